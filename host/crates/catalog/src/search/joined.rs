//! The legs of a query joined over their products: what the ranking policy gets, and what becomes of its answer.

use std::collections::{BTreeSet, HashMap};

use super::{Evidence, Found, Fused, LeftOut, LegSummary, ResultSet, arrange::text_of, today};
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
    /// By product number: whether some leg brought it, rather than only such as count against it.
    brought: Vec<bool>,
}

/// The constant of reciprocal-rank fusion (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009).
pub const FUSION_K: f64 = 60.0;

impl Joined {
    pub(super) fn of(legs: &[Leg]) -> Self {
        let count = legs.iter().map(|leg| leg.hits.len()).sum();
        let (mut products, mut images) = (Numbered::default(), Numbered::default());
        products.reserve(count);
        let mut matches = Matches::default();
        let mut ranks = Vec::with_capacity(count);
        let mut brought = Vec::with_capacity(count);
        for (place, leg) in (0..).zip(legs) {
            for (rank, hit) in (1..).zip(&leg.hits) {
                matches.legs.push(place);
                let product = products.number(&hit.product);
                matches.products.push(product);
                brought.resize(products.things().len(), false);
                brought[product as usize] |= !leg.is_against();
                matches.images.push(hit.image.map_or(u32::MAX, |image| images.number(&image)));
                matches.scores.push(hit.score);
                ranks.push(rank);
            }
        }
        Self { products, matches, ranks, brought }
    }

    /// How many products there are that some leg brought.
    pub(super) fn brought(&self) -> usize {
        self.brought.iter().filter(|brought| **brought).count()
    }

    /// By product number: what the legs alone make of it. What no leg brought has place 0.
    fn fused(&self, legs: &[Leg]) -> Vec<Fused> {
        let mut fused = vec![Fused::default(); self.brought.len()];
        let (mut last, mut rank) = (vec![u32::MAX; fused.len()], 0);
        for (row, (leg, product)) in self.matches.legs.iter().zip(&self.matches.products).enumerate() {
            if row > 0 && self.matches.legs[row - 1] != *leg {
                rank = 0;
            }
            let product = *product as usize;
            if std::mem::replace(&mut last[product], *leg) != *leg {
                rank += 1;
                fused[product].score += f64::from(legs[*leg as usize].weight) / (FUSION_K + f64::from(rank));
            }
        }
        let mut order: Vec<usize> = (0..fused.len()).filter(|product| self.brought[*product]).collect();
        order.sort_by(|a, b| fused[*b].score.total_cmp(&fused[*a].score));
        (1..).zip(order).for_each(|(place, product)| fused[product].place = place);
        fused
    }

    pub(super) fn candidates(
        &self,
        legs: &[Leg],
        known: &HashMap<ProductId, Product>,
        columns: &Columns,
        limit: u32,
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
            limit,
            day: today(),
        }
    }

    pub(super) fn result_set(
        &self,
        legs: &[Leg],
        ranking: Ranking,
        limit: u32,
        context: &PolicyContext,
    ) -> ResultSet {
        let most = limit as usize;
        let hits: Vec<&Hit> = legs.iter().flat_map(|leg| &leg.hits).collect();
        let evidence = |place: usize| Evidence {
            leg: self.matches.legs[place],
            rank: self.ranks[place],
            score: hits[place].score,
            image: hits[place].image,
            at_ms: hits[place].at_ms,
        };
        let products = self.products.things();
        let (total, fused) = (ranking.products.len(), self.fused(legs));
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
        // What only a leg brought that counts against it was never asked for, whatever the policy makes of that.
        let ranked = (0..).zip(ranking.products).filter(|(_, ranked)| self.brought[ranked.product as usize]);
        let shows = |row: &&u32| !legs[self.matches.legs[**row as usize] as usize].is_against();
        let found = (1..).zip(ranked.take(most)).map(|(ranked_place, (place, ranked))| Found {
            product: products[ranked.product as usize].clone(),
            score: ranked.score,
            ranked_place,
            fused: fused[ranked.product as usize],
            evidence: ranked.evidence.iter().filter(shows).map(|row| evidence(*row as usize)).collect(),
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
        let degraded = context.degraded();
        // A policy that places fewer than it may has left the others out because they do not belong there.
        let is_whole = self.brought() <= most || total < most;
        let found: Vec<_> = found.collect();
        let missing = (self.brought() - found.len()) as u32;
        let (ranking, limit) = if is_whole { (missing, 0) } else { (0, missing) };
        ResultSet {
            found,
            exact: is_whole && degraded.is_empty() && !context.may_have_left_out(),
            candidates: self.brought() as u32,
            left_out: LeftOut { ranking, limit, deleted: 0 },
            facets: HashMap::new(),
            capped_facets: BTreeSet::new(),
            legs: legs.iter().map(summary).collect(),
            plugins: context.used(),
            settings: context.settings(),
            model: context.embedder.space().id.clone(),
            did_you_mean: None,
            recording: None,
            degraded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Measure;

    #[test]
    fn what_only_a_leg_brought_that_counts_against_it_is_not_brought() {
        let against = Leg { weight: -0.0, ..leg("not", &["p2", "p3"]) };
        let joined = Joined::of(&[against, leg("a", &["p1", "p2"])]);
        let brought = joined.products.things().iter().zip(&joined.brought);
        let brought: Vec<_> = brought.filter(|(_, brought)| **brought).map(|(id, _)| id.as_str()).collect();
        assert_eq!((brought, joined.brought()), (vec!["p2", "p1"], 2));
    }

    #[test]
    fn places_before_the_ranking_are_those_of_the_legs_alone() {
        let against = Leg { weight: -1.0, ..leg("not", &["p1", "p9"]) };
        let legs = [leg("a", &["p1", "p1", "p2", "p3"]), leg("b", &["p3"]), against];
        let joined = Joined::of(&legs);
        let fused = joined.fused(&legs);
        let of = |id: &str| {
            fused[joined.products.things().iter().position(|product| product.as_str() == id).unwrap()]
        };
        assert_eq!(["p1", "p2", "p3", "p9"].map(|id| of(id).place), [3, 2, 1, 0]);
        assert_eq!([of("p1").score, of("p3").score], [0.0, 1.0 / 63.0 + 1.0 / 61.0]);
    }

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
