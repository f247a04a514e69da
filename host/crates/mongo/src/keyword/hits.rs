//! The products that a search finds, in order.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashSet,
};

use jiff::Timestamp;
use taja_catalog::{PortResult, ProductId};

use super::{
    ALL_WORDS_BONUS, Occurrences,
    ranking::{Scored, count, score},
    shop::Shop,
    sought::Sought,
};
use crate::{error::damaged, ranked::Placed};

/// A product that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    score: f64,
    /// Milliseconds since 1970.
    created_at: i64,
    number: u32,
}

/// What is found by the lists of a shop, in no order, and how often each word occurs, `elsewhere` too. When there is one
/// word, that is nothing: it is as rare as itself.
pub(super) fn find(shop: &Shop, sought: &[Sought], elsewhere: &Occurrences) -> (Vec<Hit>, Occurrences) {
    let phrases = shop.phrases(sought);
    let words = elsewhere.each.len();
    let mut occurrences = Occurrences::none(words);
    if words > 1 {
        let (products, _) = shop.size();
        occurrences.add(elsewhere);
        occurrences.add(&Occurrences { products: 0.0, each: count(&phrases, words, products) });
    }
    let bonus = if words > 1 { ALL_WORDS_BONUS } else { 0.0 };
    let hit = |Scored { number, score }| Hit { score, number, created_at: shop.product(number).1 };
    let hits = score(&phrases, &occurrences.rareness(), bonus).into_iter().map(hit).collect();
    (hits, occurrences)
}

/// Takes the best out, in order.
pub(super) fn take_best(shop: &Shop, hits: &mut Vec<Hit>, count: usize) -> PortResult<Vec<Placed>> {
    let order = |one: &Hit, other: &Hit| -> Ordering {
        let age = |hit: &Hit| Reverse((hit.created_at, shop.product(hit.number).0));
        other.score.total_cmp(&one.score).then_with(|| age(one).cmp(&age(other)))
    };
    let others = if count < hits.len() {
        hits.select_nth_unstable_by(count, order);
        hits.split_off(count)
    } else {
        Vec::new()
    };
    let mut best = std::mem::replace(hits, others);
    best.sort_unstable_by(order);
    let placed = |Hit { score, created_at, number }: Hit| {
        let created_at = Timestamp::from_millisecond(created_at).map_err(|error| damaged("time", error))?;
        Ok(Placed { score, created_at, product: shop.product(number).0.clone() })
    };
    best.into_iter().map(placed).collect()
}

/// Keeps those that are among these.
pub(super) fn keep(shop: &Shop, hits: &mut Vec<Hit>, among: &[ProductId]) {
    let numbers: HashSet<_> = among.iter().filter_map(|product| shop.number_of(product)).collect();
    hits.retain(|hit| numbers.contains(&hit.number));
}
