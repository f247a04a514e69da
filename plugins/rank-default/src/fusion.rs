//! Fuses the legs of a query into one order of products.
//!
//! Cormack, Clarke, Buettcher: Reciprocal rank fusion outperforms Condorcet and individual rank learning methods,
//! SIGIR 2009. A product gains `weight / (k + rank)` from every leg it appears in. Ranks count products, not matches:
//! a product with five matching images takes one place of a leg and pushes nobody down.
//!
//! Ranks alone forget how far apart two matches are (Bruch, Gai, Ingber: An analysis of fusion functions for hybrid retrieval,
//! TOIS 42(1), 2023): of words, the second place may hold half of what the first one does. So the gain of a leg whose scores
//! are relevances is taken in proportion to the best of the leg. Cosines lie too close together for that.
//!
//! A leg whose weight is below 0 is of what the results should be unlike: what a product would gain from it, it loses. It
//! brings no product, and no evidence.

use crate::settings::Settings;

/// More products than this do not come from any query: it bounds the memory taken on the word of the caller.
const MAX_PRODUCTS: u32 = 200_000;
/// Where a match is by no image, and where a chain of matches ends.
const NONE: u32 = u32::MAX;

/// One leg.
#[derive(Debug, Clone, Copy)]
pub struct Leg<'a> {
    /// Its name.
    pub name: &'a str,
    /// The modality of its part.
    pub modality: &'a str,
    /// Whether scores are cosines.
    pub cosine: bool,
    /// How much it counts: against its products where it is below 0, and not at all where it is 0 or no number.
    pub weight: f32,
}

/// The matches, in columns of equal length.
#[derive(Debug, Clone, Copy)]
pub struct Matches<'a> {
    /// Place of the leg.
    pub legs: &'a [u32],
    /// Number of the product.
    pub products: &'a [u32],
    /// Number of the image, or `u32::MAX`.
    pub images: &'a [u32],
    /// Score in the leg.
    pub scores: &'a [f32],
}

/// A product and what it gained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Its number.
    pub product: u32,
    /// 1 for a product that is first in every leg that brought anything, and never more; 0 for one that lost more than it
    /// gained.
    pub score: f32,
}

/// The matches of each product, one behind the other.
#[derive(Debug)]
struct Chains {
    /// The last match of every product; the one before it is in `previous`.
    last: Vec<u32>,
    previous: Vec<u32>,
}

impl Chains {
    fn new(products: usize, matches: usize) -> Self {
        Self { last: vec![NONE; products], previous: vec![NONE; matches] }
    }

    fn push(&mut self, product: usize, at: u32) {
        self.previous[at as usize] = std::mem::replace(&mut self.last[product], at);
    }

    /// Those of a product, the last one first.
    fn of(&self, product: u32) -> impl Iterator<Item = u32> {
        let last = self.last.get(product as usize).copied();
        std::iter::successors(last, |at| self.previous.get(*at as usize).copied())
            .take_while(|at| *at != NONE)
    }
}

/// What made a match count as it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The rank it gave its product in its leg, from 1.
    pub rank: u32,
    /// The share of the leg's gain that it was worth.
    pub worth: f64,
    /// What it adds to the score of its product.
    pub gain: f64,
}

/// What a leg as a whole came to.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// The best relevance of it; 0 where it measures cosines.
    best: f32,
    /// The least cosine that counts; none where scores are no cosines, or the leg has no weight.
    least: Option<f32>,
}

/// The fused order, and what is needed to explain it.
#[derive(Debug)]
pub struct Fused {
    /// Best first.
    pub places: Vec<Place>,
    counted: Chains,
    left_out: Chains,
    /// The rank a match gave its product; 0 where the product had a better one in the same leg.
    ranks: Vec<u32>,
    legs: Vec<Measured>,
    /// What a product has gained that is first in every leg.
    best_possible: f64,
}

impl Fused {
    /// The matches of a product that passed the thresholds, as places in the columns, the last one first.
    pub fn matches(&self, product: u32) -> impl Iterator<Item = u32> {
        self.counted.of(product)
    }

    /// Those that did not, in the same order.
    pub fn left_out(&self, product: u32) -> impl Iterator<Item = u32> {
        self.left_out.of(product)
    }

    /// The least cosine that counts in a leg; none where scores are no cosines, or the leg has no weight.
    pub fn least(&self, leg: u32) -> Option<f32> {
        self.legs.get(leg as usize).and_then(|leg| leg.least)
    }

    /// The rank a match gave its product in its leg, from 1.
    pub fn rank(&self, at: u32) -> Option<u32> {
        self.ranks.get(at as usize).copied().filter(|rank| *rank > 0)
    }

    /// How a match counted; none where its product had a better one in the same leg.
    pub fn share(&self, at: u32, legs: &[Leg<'_>], matches: &Matches<'_>, by: &Settings) -> Option<Share> {
        let rank = self.rank(at)?;
        let leg = matches.legs[at as usize] as usize;
        let worth = worth(matches.scores[at as usize], self.legs[leg].best, by.relevance_share);
        Some(Share { rank, worth, gain: gain(&legs[leg], worth, rank, by) / self.best_possible })
    }
}

/// What a match of this rank gains for its product.
fn gain(leg: &Leg<'_>, worth: f64, rank: u32, by: &Settings) -> f64 {
    f64::from(leg.weight) * worth / (by.k + f64::from(rank))
}

impl Fused {
    /// Counts the rows of one leg, best first.
    fn add(
        &mut self,
        rows: &[u32],
        (place, leg): (u32, &Leg<'_>),
        matches: &Matches<'_>,
        by: &Settings,
        gains: &mut [Gain],
    ) {
        let mut rank = 0;
        let best = self.legs[place as usize].best;
        for row in rows {
            let at = *row as usize;
            let product = matches.products[at] as usize;
            let gained = &mut gains[product];
            if leg.cosine && leg.weight > 0.0 {
                let score = matches.scores[at];
                // `f32::max` is a call in WebAssembly.
                if score > gained.best_cosine {
                    gained.best_cosine = score;
                }
            }
            self.counted.push(product, *row);
            gained.brought |= leg.weight > 0.0;
            if gained.counted_by != Some(place) {
                gained.counted_by = Some(place);
                rank += 1;
                self.ranks[at] = rank;
                gained.fused += gain(leg, worth(matches.scores[at], best, by.relevance_share), rank, by);
            }
        }
    }
}

/// What a product gained so far.
#[derive(Clone, Copy)]
struct Gain {
    fused: f64,
    best_cosine: f32,
    /// The last leg that counted it.
    counted_by: Option<u32>,
    /// Whether some leg brought it, rather than only such as count against it.
    brought: bool,
}

/// Orders the products of `matches`. The error names what cannot be.
pub fn fuse(
    legs: &[Leg<'_>],
    product_count: u32,
    matches: &Matches<'_>,
    settings: &Settings,
) -> Result<Fused, String> {
    check(legs.len(), product_count, matches)?;
    let count = matches.legs.len();
    let nothing = Gain { fused: 0.0, best_cosine: f32::NEG_INFINITY, counted_by: None, brought: false };
    let mut gains = vec![nothing; product_count as usize];
    let mut fused = Fused {
        places: Vec::new(),
        counted: Chains::new(product_count as usize, count),
        left_out: Chains::new(product_count as usize, count),
        ranks: vec![0; count],
        legs: Vec::with_capacity(legs.len()),
        best_possible: 0.0,
    };
    for (leg, place) in legs.iter().zip(0..) {
        let rows = rows_of(place, leg, matches);
        let (passing, least) = passing(&rows, leg, matches, settings);
        let (rows, cut) = rows.split_at(passing);
        for row in cut {
            fused.left_out.push(matches.products[*row as usize] as usize, *row);
        }
        fused.legs.push(Measured { best: if leg.cosine { 0.0 } else { best_of(rows, matches) }, least });
        if !rows.is_empty() {
            if leg.weight > 0.0 {
                fused.best_possible += f64::from(leg.weight) / (settings.k + 1.0);
            }
            fused.add(rows, (place, leg), matches, settings, &mut gains);
        }
    }
    fused.places = order(&gains, fused.best_possible);
    Ok(fused)
}

/// The matches of one leg, best first.
fn rows_of(place: u32, leg: &Leg<'_>, matches: &Matches<'_>) -> Vec<u32> {
    let score = |row: &u32| matches.scores[*row as usize];
    let of_leg = |row: &u32| matches.legs[*row as usize] == place && score(row).is_finite();
    let mut rows = Vec::with_capacity(matches.legs.len());
    rows.extend((0..matches.legs.len() as u32).filter(of_leg));
    if !leg.cosine {
        return rows;
    }
    // The host sends them in this order; the promise that one leg alone keeps its order must not hang on that.
    let rows = sorted(rows.into_iter().map(|row| [descending(score(&row)), row, 0]).collect());
    rows.into_iter().map(|[_, row, _]| row).collect()
}

/// How many of the first matches of a leg count, and from which cosine on.
fn passing(rows: &[u32], leg: &Leg<'_>, matches: &Matches<'_>, by: &Settings) -> (usize, Option<f32>) {
    if !leg.weight.is_finite() || leg.weight == 0.0 {
        return (0, None);
    }
    if !leg.cosine {
        return (rows.len(), None);
    }
    let score = |row: &u32| matches.scores[*row as usize];
    let best = rows.first().map_or(0.0, |row| f64::from(score(row)));
    let least = by.min_cosine.of(leg.modality).max(relative(by.relative_cut, best)) as f32;
    (rows.iter().take_while(|row| score(row) >= least).count(), Some(least))
}

/// The highest score of a leg, 0 if none is above.
fn best_of(rows: &[u32], matches: &Matches<'_>) -> f32 {
    let scores = rows.iter().map(|row| matches.scores[*row as usize]);
    scores.fold(0.0, |best, score| if score > best { score } else { best })
}

/// The share of its gain that a match is worth, 1 where nothing in the leg is above 0.
fn worth(score: f32, best: f32, relevance_share: f64) -> f64 {
    if best <= 0.0 || score >= best {
        return 1.0;
    }
    let share = if score > 0.0 { f64::from(score) / f64::from(best) } else { 0.0 };
    1.0 - relevance_share * (1.0 - share)
}

/// Sorts by the first number, then the second, then the third. All sorting here is of one type, because each type
/// more adds 8 KB to the component.
fn sorted(mut keys: Vec<[u32; 3]>) -> Vec<[u32; 3]> {
    keys.sort_unstable();
    keys
}

/// A key that is smaller for a larger score.
fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    // IEEE 754: the bits of positive numbers rise with them, those of negative ones fall.
    if score.is_sign_negative() { bits } else { !bits & 0x7fff_ffff }
}

/// The cosine below which a leg is cut for being far from its best; a best that is not positive has no share.
fn relative(share: f64, best: f64) -> f64 {
    if share > 0.0 && best > 0.0 { share * best } else { -1.0 }
}

/// Products that gained something, by score, then by best cosine, then by number.
fn order(gains: &[Gain], best_possible: f64) -> Vec<Place> {
    // Compared as f32: sums of the same shares in another order differ in the last bits of f64 and must tie.
    let score = |gain: &Gain| {
        let share = gain.fused / best_possible;
        if share < 1.0 { share as f32 } else { 1.0 }
    };
    let gained = gains.iter().zip(0_u32..).filter(|(gain, _)| gain.brought);
    let key =
        |(gain, product): (&Gain, u32)| [descending(score(gain)), descending(gain.best_cosine), product];
    let place = |[_, _, product]: [u32; 3]| {
        let score = score(&gains[product as usize]);
        Place { product, score: if score > 0.0 { score } else { 0.0 } }
    };
    sorted(gained.map(key).collect()).into_iter().map(place).collect()
}

fn check(legs: usize, product_count: u32, matches: &Matches<'_>) -> Result<(), String> {
    let count = matches.legs.len();
    if [matches.products.len(), matches.images.len(), matches.scores.len()] != [count; 3] {
        return Err("the columns of matches differ in length".to_owned());
    }
    if product_count > MAX_PRODUCTS {
        return Err(format!("{product_count} products are more than {MAX_PRODUCTS}"));
    }
    if let Some(leg) = matches.legs.iter().find(|leg| **leg as usize >= legs) {
        return Err(format!("a match names leg {leg}, and there are {legs}"));
    }
    match matches.products.iter().find(|product| **product >= product_count) {
        Some(product) => Err(format!("a match names product {product}, and there are {product_count}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
