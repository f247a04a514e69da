//! Answers against the rules of the contract.

use proptest::prelude::*;

use super::*;
use crate::{
    rank::{Leg, Matches},
    testing::{Sample, assert_valid},
};

fn sample() -> Sample {
    Sample::new(&[], &[]).cosines("image-vector", "image", &[("a", 0.9), ("b", 0.8), ("a", 0.7)]).relevances(
        "text-keyword",
        "text",
        &[("c", 5.0), ("a", 4.0)],
    )
}

#[test]
fn products_stand_by_score_and_equals_as_they_were_put() {
    let sample = sample();
    let candidates = sample.candidates();
    let mut answer = Answer::to(&candidates);
    answer.put(2, 0.5).unwrap();
    answer.put(0, 0.5).unwrap();
    answer.put(1, 0.9).unwrap().note("wide").note("red");
    let ranked = answer.finish();
    assert_eq!(sample.order(&ranked), ["b", "c", "a"]);
    assert_eq!(sample.note(&ranked, "b"), Some("wide; red"));
    assert_eq!(sample.note(&ranked, "a"), None);
}

#[test]
fn an_order_of_its_own_lowers_scores_that_would_rise() {
    let sample = sample();
    let candidates = sample.candidates();
    let mut answer = Answer::to(&candidates);
    for (product, score) in [(2, 0.2), (0, 0.9), (1, 0.1)] {
        answer.put(product, score).unwrap();
    }
    let ranked = answer.finish_in_order();
    assert_eq!(sample.order(&ranked), ["c", "a", "b"]);
    assert_eq!(ranked.scores, [0.2, 0.2, 0.1]);
}

#[test]
fn what_cannot_be_put_is_an_error_that_names_the_product() {
    let candidates = sample().candidates();
    let mut answer = Answer::to(&candidates);
    answer.put(1, 0.5).unwrap();
    assert!(answer.put(1, 0.4).unwrap_err().contains("product 1 was put twice"));
    assert!(answer.put(3, 0.4).unwrap_err().contains("product 3 is not among the 3"));
    for score in [f64::NAN, f64::INFINITY, 1e300] {
        assert!(answer.put(0, score).unwrap_err().contains("product 0"), "{score}");
    }
    assert_eq!(answer.finish().products, [1]);
}

#[test]
fn evidence_is_the_best_image_first_and_words_where_there_is_no_image() {
    let sample = sample();
    let candidates = sample.candidates();
    let shown = |most| {
        let mut answer = Answer::to(&candidates).evidence(most);
        for product in candidates.products() {
            answer.put(product, 1.0).unwrap();
        }
        let ranked = answer.finish();
        (ranked.evidence, ranked.evidence_ends)
    };
    assert_eq!(shown(3), (vec![0, 2, 1, 3], vec![2, 3, 4]));
    assert_eq!(shown(1), (vec![0, 1, 3], vec![1, 2, 3]));
    assert_eq!(shown(0), (vec![], vec![0, 0, 0]));
}

#[test]
fn no_more_than_the_limit_is_answered() {
    let candidates = sample().limit(2).candidates();
    let mut answer = Answer::to(&candidates);
    for product in candidates.products() {
        answer.put(product, f64::from(product)).unwrap().note("n");
    }
    let ranked = answer.finish();
    assert_eq!((ranked.products, ranked.notes.len()), (vec![2, 1], 2));
}

proptest! {
    #[test]
    fn whatever_is_put_the_answer_is_valid(
        rows in prop::collection::vec((0_u32..4, 0_u32..40, 0_u32..9, any::<f32>()), 0..300),
        puts in prop::collection::vec((0_u32..50, any::<f64>()), 0..150),
        in_order in any::<bool>(),
        limit in 0_u32..200,
    ) {
        let leg = |cosine| Leg { name: "l".into(), modality: "m".into(), cosine, weight: 1.0 };
        let candidates = Candidates {
            legs: vec![leg(true), leg(false), leg(true)],
            product_count: 40,
            matches: Matches {
                legs: rows.iter().map(|row| row.0).collect(),
                products: rows.iter().map(|row| row.1).collect(),
                images: rows.iter().map(|row| if row.2 == 8 { NONE } else { row.2 }).collect(),
                scores: rows.iter().map(|row| row.3).collect(),
            },
            numbers: vec![],
            texts: vec![],
            limit,
            settings: String::new(),
        };
        let mut answer = Answer::to(&candidates);
        for (product, score) in puts {
            if let Ok(place) = answer.put(product, score) {
                place.note("why");
            }
        }
        let ranked = if in_order { answer.finish_in_order() } else { answer.finish() };
        prop_assert!(ranked.products.len() <= limit as usize);
        assert_valid(&candidates, &ranked);
    }
}
