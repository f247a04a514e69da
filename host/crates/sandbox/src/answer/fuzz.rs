//! Answers of plugins that may be anything: what is taken over holds what the host relies on.

use std::collections::HashSet;

use taja_catalog::policy::{Candidates, Matches, Outcome};

use super::{decision, ranking};
use crate::bindings::{
    ingest::exports::taja::plugin::ingesting as ingest, rank::exports::taja::plugin::ranking as rank,
};

/// Products, scores, evidence, its ends, and notes with their places.
type Order = (Vec<u8>, Vec<f32>, Vec<u8>, Vec<u8>, Vec<(u8, String)>);

/// Most products and rows that made-up answers speak of: few, so that many of them are nearly right.
const FEW: u8 = 6;

#[test]
fn whatever_a_ranking_answers_is_an_order_of_its_candidates_or_refused() {
    let matches =
        Matches { legs: vec![0; 5], products: vec![0, 1, 2, 1, 3], images: vec![0; 5], scores: vec![1.0; 5] };
    let asked = Candidates { product_count: 4, matches, ..Candidates::default() };
    let asked = ranking::Asked::new(asked, false).guest;
    bolero::check!().with_type::<Order>().for_each(|(products, scores, evidence, ends, notes)| {
        let few = |numbers: &[u8]| numbers.iter().map(|number| u32::from(number % FEW)).collect::<Vec<_>>();
        let notes =
            notes.iter().map(|(place, text)| rank::Note { place: u32::from(*place), text: text.clone() });
        let mut scores = scores.clone();
        let products = few(products);
        if products.len() % 2 == 0 {
            // Else hardly any is as it has to be.
            scores.resize(products.len(), 0.0);
            scores.sort_by(|one, other| other.total_cmp(one));
        }
        let mut evidence_ends = few(ends);
        evidence_ends.resize(products.len(), 0);
        let answer =
            rank::Ranked { products, scores, evidence: few(evidence), evidence_ends, notes: notes.collect() };
        let Ok(taken) = ranking::ranking(answer, &asked) else { return };
        let distinct: HashSet<_> = taken.products.iter().map(|ranked| ranked.product).collect();
        assert_eq!(distinct.len(), taken.products.len());
        assert!(distinct.iter().all(|product| *product < asked.product_count));
        assert!(taken.products.is_sorted_by(|one, next| one.score >= next.score));
        assert!(taken.products.iter().all(|ranked| ranked.score.is_finite()));
        for ranked in &taken.products {
            let own = |row: &u32| asked.matches.products[*row as usize] == ranked.product;
            assert!(ranked.evidence.iter().all(own));
        }
        assert!(taken.notes.iter().all(|(place, _)| (*place as usize) < taken.products.len()));
    });
}

/// What is to happen, places to keep and to drop, texts, and a price.
type Said = (u8, Vec<u8>, Vec<u8>, [String; 4], f64);

#[test]
fn whatever_an_ingestion_answers_is_a_decision_on_its_pictures_or_refused() {
    let uploads = HashSet::from([0, 2, 3]);
    bolero::check!().with_type::<Said>().for_each(|(kind, keep, gone, texts, price)| {
        let few = |numbers: &[u8]| numbers.iter().map(|number| u32::from(number % FEW)).collect::<Vec<_>>();
        let [name, sku, id, attributes] = texts.clone();
        let details = ingest::Details {
            name,
            price: *price,
            currency: String::new(),
            description: sku.clone(),
            category: String::new(),
            sku,
            stock: None,
            weight_kg: Some(*price),
            color: String::new(),
            sizes: vec![id.clone()],
            key_features: Vec::new(),
            attributes: if kind % 2 == 0 { "{}".into() } else { attributes },
        };
        let product_id = if kind % 3 == 0 { "a-product".into() } else { id };
        let outcome = match kind % 4 {
            0 => ingest::Outcome::Create(ingest::Product {
                index_text: details.name.clone(),
                details,
                keep: few(keep),
            }),
            1 => ingest::Outcome::Merge(ingest::Merge { product_id: product_id.clone(), keep: few(keep) }),
            2 => ingest::Outcome::Duplicate(product_id.clone()),
            _ => ingest::Outcome::Reject(product_id.clone()),
        };
        let dropped = few(gone).into_iter().map(|index| ingest::Dropped {
            index,
            reason: ingest::DropReason::NearDuplicate,
            product_id: product_id.clone(),
            sha256: String::new(),
        });
        let answer = ingest::Decision { outcome, dropped: dropped.collect() };
        let Ok(taken) = decision::decision(answer, &uploads) else { return };
        let kept: HashSet<u32> = match &taken.outcome {
            Outcome::Create { details, keep, .. } => {
                details.check().expect("details that are taken over can be stored");
                assert_eq!(keep.iter().collect::<HashSet<_>>().len(), keep.len());
                keep.iter().copied().collect()
            }
            Outcome::Merge { keep, .. } => keep.iter().copied().collect(),
            Outcome::Duplicate { .. } | Outcome::Reject { .. } => HashSet::new(),
        };
        let gone: HashSet<u32> = taken.dropped.iter().map(|dropped| dropped.index).collect();
        assert_eq!(gone.len(), taken.dropped.len());
        assert!(kept.is_subset(&uploads) && gone.is_subset(&uploads) && kept.is_disjoint(&gone));
    });
}
