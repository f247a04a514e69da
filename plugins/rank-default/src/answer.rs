//! What is shown of a fused order: evidence and notes.

use crate::{
    fusion::{Fused, Leg, Matches, Share, fuse},
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
    let first = &fused.places[..fused.places.len().min(limit as usize)];
    let mut ranking = Ranking {
        products: first.iter().map(|place| place.product).collect(),
        scores: first.iter().map(|place| place.score).collect(),
        evidence: Vec::with_capacity(first.len() * settings.evidence.min(legs.len())),
        evidence_ends: Vec::with_capacity(first.len()),
        notes: Vec::with_capacity(first.len().min(settings.notes)),
    };
    let mut rows = Vec::new();
    for (at, place) in (0..).zip(first) {
        // The chain of matches runs backwards; of two that are worth the same the earlier one is to be shown.
        rows.clear();
        rows.extend(fused.matches(place.product));
        rows.reverse();
        if (at as usize) < settings.notes {
            ranking.notes.push((at, note(&fused, (place.product, &rows), legs, matches, settings)));
        }
        show(&mut rows, legs, matches, settings.evidence, &mut ranking.evidence);
        ranking.evidence_ends.push(ranking.evidence.len() as u32);
    }
    Ok(ranking)
}

/// Shows one match for each image of a product, highest cosine first; a match by words where no image matched. What counts
/// against the product shows nothing. Takes from `rows` what it looked at.
fn show(rows: &mut Vec<u32>, legs: &[Leg<'_>], matches: &Matches<'_>, most: usize, evidence: &mut Vec<u32>) {
    let image = |row: u32| matches.images[row as usize];
    let worth = |row: u32| {
        let cosine = legs[matches.legs[row as usize] as usize].cosine;
        let score = if cosine { matches.scores[row as usize] } else { f32::NEG_INFINITY };
        (image(row) != NO_IMAGE, score)
    };
    rows.retain(|row| legs[matches.legs[*row as usize] as usize].weight > 0.0);
    for shown in 0..most {
        let better = |best: u32, row: u32| if exceeds(worth(row), worth(best)) { row } else { best };
        let Some(best) = rows.iter().copied().reduce(better) else { break };
        if image(best) == NO_IMAGE && shown > 0 {
            break;
        }
        evidence.push(best);
        rows.retain(|row| image(*row) != image(best));
    }
}

/// Whether a match is worth more as evidence: one by an image before one by words, then the higher cosine.
fn exceeds(one: (bool, f32), other: (bool, f32)) -> bool {
    if one.0 == other.0 { one.1 > other.1 } else { one.0 }
}

/// For instance `image-vector rank 1, weight 1: +0.5; text-keyword rank 2, weight 1, worth 0.889: +0.437; text-vector left out:
/// 0.12 is below 0.2`: how a product, whose counted matches these are, came to its score, leg by leg. What legs add is that
/// score, unless it is cut at 0.
fn note(
    fused: &Fused,
    (product, rows): (u32, &[u32]),
    legs: &[Leg<'_>],
    matches: &Matches<'_>,
    settings: &Settings,
) -> String {
    let mut text = String::with_capacity(128);
    for row in rows {
        if let Some(share) = fused.share(*row, legs, matches, settings) {
            push_share(&mut text, &legs[matches.legs[*row as usize] as usize], share);
        }
    }
    let leg_of = |row: u32| matches.legs[row as usize];
    let mut left_out: Vec<u32> = fused.left_out(product).collect();
    // The best match of each leg says why none of it counts.
    left_out.reverse();
    left_out.dedup_by_key(|row| leg_of(*row));
    left_out.retain(|row| rows.iter().all(|counted| leg_of(*counted) != leg_of(*row)));
    for row in left_out {
        let least = fused.least(leg_of(row)).map(|least| (matches.scores[row as usize], least));
        push_left_out(&mut text, &legs[leg_of(row) as usize], least);
    }
    text
}

fn push_share(text: &mut String, leg: &Leg<'_>, share: Share) {
    begin(text, leg);
    text.push_str(" rank ");
    push_number(text, share.rank);
    text.push_str(", weight ");
    push_decimal(text, f64::from(leg.weight));
    if share.worth < 1.0 {
        text.push_str(", worth ");
        push_decimal(text, share.worth);
    }
    text.push_str(if share.gain < 0.0 { ": " } else { ": +" });
    push_decimal(text, share.gain);
}

/// The cosine, and what it would have to be, of a leg that has a weight.
fn push_left_out(text: &mut String, leg: &Leg<'_>, cosines: Option<(f32, f32)>) {
    begin(text, leg);
    let Some((cosine, least)) = cosines else { return text.push_str(" left out: no weight") };
    text.push_str(" left out: ");
    push_decimal(text, f64::from(cosine));
    text.push_str(" is below ");
    push_decimal(text, f64::from(least));
}

fn begin(text: &mut String, leg: &Leg<'_>) {
    if !text.is_empty() {
        text.push_str("; ");
    }
    text.push_str(leg.name);
}

/// Writes a number to three places behind the point, without zeros at the end.
fn push_decimal(text: &mut String, number: f64) {
    let thousandths = (number.abs() * 1000.0 + 0.5) as u32;
    if number < 0.0 && thousandths > 0 {
        text.push('-');
    }
    push_number(text, thousandths / 1000);
    let mut rest = thousandths % 1000;
    if rest > 0 {
        text.push('.');
    }
    while rest > 0 {
        text.push(char::from(b'0' + (rest / 100) as u8));
        rest = rest % 100 * 10;
    }
}

/// Writes a number: a tenth of what the formatting of the standard library takes, which is a tenth of a call.
fn push_number(text: &mut String, number: u32) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests;
