//! What is shown of a fused order: evidence and notes.

use std::fmt::Write;

use crate::{
    fusion::{Fused, Leg, Matches, fuse},
    settings::Settings,
};

/// Where a match is by no image.
const NO_IMAGE: u32 = u32::MAX;

/// The answer, in the columns of the contract.
#[derive(Debug, Default, PartialEq)]
pub struct Ranking {
    /// Product numbers, best first.
    pub products: Vec<u32>,
    /// Their scores, 0 to 1.
    pub scores: Vec<f32>,
    /// Places in the matches, product after product.
    pub evidence: Vec<u32>,
    /// Where the evidence of each product ends.
    pub evidence_ends: Vec<u32>,
    /// Place in `products`, and why the product stands there.
    pub notes: Vec<(u32, String)>,
}

/// Orders the products and gives the first `limit` of them.
pub fn rank(
    legs: &[Leg<'_>],
    product_count: u32,
    matches: &Matches<'_>,
    limit: u32,
    settings: &Settings,
) -> Result<Ranking, String> {
    let fused = fuse(legs, product_count, matches, settings)?;
    let mut ranking = Ranking::default();
    for (at, place) in fused.places.iter().take(limit as usize).enumerate() {
        ranking.products.push(place.product);
        ranking.scores.push(place.score);
        ranking.evidence.extend(evidence(&fused, place.product, legs, matches, settings.evidence));
        ranking.evidence_ends.push(ranking.evidence.len() as u32);
        if at < settings.notes {
            ranking.notes.push((at as u32, note(&fused, place.product, legs, matches)));
        }
    }
    Ok(ranking)
}

/// One match for each image of the product, highest cosine first; a match by words where no image matched.
fn evidence(fused: &Fused, product: u32, legs: &[Leg<'_>], matches: &Matches<'_>, most: usize) -> Vec<u32> {
    let image = |row: u32| matches.images[row as usize];
    let worth = |row: u32| {
        let cosine = legs[matches.legs[row as usize] as usize].cosine;
        let score = if cosine { matches.scores[row as usize] } else { f32::NEG_INFINITY };
        (image(row) != NO_IMAGE, score)
    };
    let mut rows: Vec<u32> = fused.matches(product).collect();
    // The chain of matches runs backwards; of two that are worth the same the earlier one is to be shown.
    rows.reverse();
    let mut shown = Vec::with_capacity(most.min(rows.len()));
    while shown.len() < most {
        let better = |best: u32, row: u32| if exceeds(worth(row), worth(best)) { row } else { best };
        let Some(best) = rows.iter().copied().reduce(better) else { break };
        if image(best) == NO_IMAGE && !shown.is_empty() {
            break;
        }
        shown.push(best);
        rows.retain(|row| image(*row) != image(best));
    }
    shown
}

/// Whether a match is worth more as evidence: one by an image before one by words, then the higher cosine.
fn exceeds(one: (bool, f32), other: (bool, f32)) -> bool {
    if one.0 == other.0 { one.1 > other.1 } else { one.0 }
}

/// For instance `image-vector 2, text-keyword 1`: the product's rank in each leg.
fn note(fused: &Fused, product: u32, legs: &[Leg<'_>], matches: &Matches<'_>) -> String {
    let mut ranks: Vec<(u32, u32)> = fused
        .matches(product)
        .filter_map(|row| fused.rank(row).map(|rank| (matches.legs[row as usize], rank)))
        .collect();
    ranks.reverse();
    let mut text = String::new();
    for (leg, rank) in ranks {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(text, "{comma}{} {rank}", legs[leg as usize].name);
    }
    text
}

#[cfg(test)]
mod tests;
