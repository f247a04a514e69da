//! The legs of a query joined over their products: what the ranking policy gets, and what becomes of its answer.

use std::collections::HashMap;

use super::{Evidence, Found, LegSummary, RESULT_SET, ResultSet, arrange::text_of, today};
use crate::{
    id::ProductId,
    numbered::Numbered,
    policy::{Candidates, Columns, Hit, Leg, LegInfo, Matches, PolicyContext, Ranking},
    product::Product,
};

/// The legs of a query joined over their products.
pub(super) struct Joined {
    /// The distinct products, by number.
    pub(super) products: Numbered<ProductId>,
    matches: Matches,
    /// The rank of each match in its leg, from 1.
    ranks: Vec<u32>,
}

impl Joined {
    pub(super) fn of(legs: &[Leg]) -> Self {
        let count = legs.iter().map(|leg| leg.hits.len()).sum();
        let (mut products, mut images) = (Numbered::default(), Numbered::default());
        products.reserve(count);
        let mut matches = Matches::default();
        let mut ranks = Vec::with_capacity(count);
        for (place, leg) in (0..).zip(legs) {
            for (rank, hit) in (1..).zip(&leg.hits) {
                matches.legs.push(place);
                matches.products.push(products.number(&hit.product));
                matches.images.push(hit.image.map_or(u32::MAX, |image| images.number(&image)));
                matches.scores.push(hit.score);
                ranks.push(rank);
            }
        }
        Self { products, matches, ranks }
    }

    pub(super) fn candidates(
        &self,
        legs: &[Leg],
        known: &HashMap<ProductId, Product>,
        columns: &Columns,
    ) -> Candidates {
        let field = |id: &ProductId, name: &str| known.get(id).and_then(|product| product.column(name));
        let number = |name: &String| {
            let value = |id| field(id, name).and_then(|value| value.as_f64()).unwrap_or(f64::NAN);
            (name.clone(), self.products.things().iter().map(value).collect())
        };
        let text = |name: &String| {
            let value = |id| field(id, name).map(|value| text_of(&value));
            (name.clone(), self.products.things().iter().map(value).collect())
        };
        let leg = |leg: &Leg| LegInfo {
            name: leg.name.clone(),
            modality: leg.modality.clone(),
            measure: leg.measure,
            weight: leg.weight,
        };
        Candidates {
            legs: legs.iter().map(leg).collect(),
            product_count: self.products.things().len() as u32,
            matches: self.matches.clone(),
            numbers: columns.numbers.iter().map(number).collect(),
            texts: columns.texts.iter().map(text).collect(),
            limit: RESULT_SET,
            day: today(),
        }
    }

    pub(super) fn result_set(&self, legs: &[Leg], ranking: Ranking, context: &PolicyContext) -> ResultSet {
        let hits: Vec<&Hit> = legs.iter().flat_map(|leg| &leg.hits).collect();
        let evidence = |place: usize| Evidence {
            leg: self.matches.legs[place],
            rank: self.ranks[place],
            score: hits[place].score,
            image: hits[place].image,
            at_ms: hits[place].at_ms,
        };
        let products = self.products.things();
        let mut best: Vec<Vec<Evidence>> = vec![Vec::new(); products.len()];
        for place in 0..hits.len() {
            let of_product = &mut best[self.matches.products[place] as usize];
            // Matches come leg by leg and best first: the first of a leg is its best.
            if of_product.last().is_none_or(|last| last.leg != self.matches.legs[place]) {
                of_product.push(evidence(place));
            }
        }
        let mut notes: HashMap<u32, Vec<String>> = HashMap::new();
        for (place, note) in ranking.notes {
            notes.entry(place).or_default().push(note);
        }
        let found = (0..).zip(ranking.products).map(|(place, ranked)| Found {
            product: products[ranked.product as usize].clone(),
            score: ranked.score,
            evidence: ranked.evidence.iter().map(|place| evidence(*place as usize)).collect(),
            legs: std::mem::take(&mut best[ranked.product as usize]),
            notes: notes.remove(&place).unwrap_or_default(),
            variants: Vec::new(),
        });
        let summary = |leg: &Leg| LegSummary {
            name: leg.name.clone(),
            modality: leg.modality.clone(),
            measure: leg.measure,
            weight: leg.weight,
            hits: leg.hits.len() as u32,
        };
        ResultSet {
            found: found.collect(),
            facets: HashMap::new(),
            legs: legs.iter().map(summary).collect(),
            plugins: context.used(),
            model: context.embedder.space().id.clone(),
            did_you_mean: None,
            recording: None,
            degraded: context.degraded(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Measure;

    fn leg(name: &str, products: &[&str]) -> Leg {
        let hit = |id: &&str| Hit { product: id.parse().unwrap(), image: None, score: 0.5, at_ms: None };
        Leg {
            name: name.into(),
            modality: "text".into(),
            measure: Measure::Cosine,
            weight: 1.0,
            hits: products.iter().map(hit).collect(),
        }
    }

    #[test]
    fn legs_are_joined_over_their_products() {
        let joined = Joined::of(&[leg("a", &["p1", "p2", "p1"]), leg("b", &["p2", "p3"])]);
        assert_eq!(joined.matches.products, [0, 1, 0, 1, 2]);
        assert_eq!(joined.matches.legs, [0, 0, 0, 1, 1]);
        assert_eq!(joined.ranks, [1, 2, 3, 1, 2]);
        assert_eq!(joined.products.things().len(), 3);
    }
}
