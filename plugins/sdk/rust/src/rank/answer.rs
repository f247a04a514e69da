//! An answer that the host takes, however it is put together.

use super::{Candidates, NONE, Note, Ranked, descending};

/// Notes that an answer may hold.
const MAX_NOTES: usize = 100;
/// Matching images shown per product unless told otherwise.
const EVIDENCE: usize = 3;

/// Products with their scores, on the way to becoming a [`Ranked`].
#[derive(Debug)]
pub struct Answer<'a> {
    candidates: &'a Candidates,
    places: Vec<Place>,
    taken: Vec<bool>,
    evidence: usize,
}

/// One product of an answer.
#[derive(Debug)]
pub struct Place {
    product: u32,
    score: f32,
    note: String,
}

impl Place {
    /// Tells why the product stands where it does. Several notes of one product are joined.
    pub fn note(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.note.push_str(if self.note.is_empty() { "" } else { "; " });
        self.note.push_str(text.as_ref());
        self
    }
}

impl<'a> Answer<'a> {
    /// An answer that holds nothing yet.
    pub fn to(candidates: &'a Candidates) -> Self {
        let taken = vec![false; candidates.product_count as usize];
        Self { candidates, places: Vec::new(), taken, evidence: EVIDENCE }
    }

    /// How many matching images are shown of each product, at most; 3 unless told.
    pub fn evidence(mut self, most: usize) -> Self {
        self.evidence = most;
        self
    }

    /// Puts a product in. What is never put is not shown. The error names a product that is not there or was put
    /// before, or a score that is no finite number.
    pub fn put(&mut self, product: u32, score: f64) -> Result<&mut Place, String> {
        let score = score as f32;
        if !score.is_finite() {
            return Err(format!("the score of product {product} is no finite number"));
        }
        match self.taken.get_mut(product as usize) {
            None => {
                let count = self.candidates.product_count;
                return Err(format!("product {product} is not among the {count} candidates"));
            }
            Some(true) => return Err(format!("product {product} was put twice")),
            Some(taken) => *taken = true,
        }
        self.places.push(Place { product, score, note: String::new() });
        let last = self.places.len() - 1;
        Ok(&mut self.places[last])
    }

    /// The order by score; of equal scores the one that was put first. As many as the client can page through.
    pub fn finish(self) -> Ranked {
        let mut keys: Vec<[u32; 2]> =
            self.places.iter().zip(0..).map(|(place, at)| [descending(place.score), at]).collect();
        keys.sort_unstable();
        let order: Vec<_> = keys.into_iter().map(|[_, at]| at).collect();
        self.ranked(&order)
    }

    /// The order in which the products were put. Scores may not rise, so one that does is lowered to the one before.
    pub fn finish_in_order(mut self) -> Ranked {
        let mut least = f32::MAX;
        for place in &mut self.places {
            least = least.min(place.score);
            place.score = least;
        }
        let order: Vec<_> = (0..self.places.len() as u32).collect();
        self.ranked(&order)
    }

    fn ranked(mut self, order: &[u32]) -> Ranked {
        let rows = RowsByProduct::of(self.candidates);
        let nothing = || Vec::with_capacity(order.len());
        let mut ranked = Ranked {
            products: nothing(),
            scores: Vec::with_capacity(order.len()),
            evidence: Vec::new(),
            evidence_ends: nothing(),
            notes: Vec::new(),
        };
        for (at, place) in order.iter().take(self.candidates.limit as usize).zip(0..) {
            let Place { product, score, note } = &mut self.places[*at as usize];
            ranked.products.push(*product);
            ranked.scores.push(*score);
            let shown = evidence(self.candidates, rows.of_product(*product).to_vec(), self.evidence);
            ranked.evidence.extend(shown);
            ranked.evidence_ends.push(ranked.evidence.len() as u32);
            if !note.is_empty() && ranked.notes.len() < MAX_NOTES {
                ranked.notes.push(Note { place, text: std::mem::take(note) });
            }
        }
        ranked
    }
}

/// One match for each image, highest cosine first; a match by words where no image matched.
fn evidence(candidates: &Candidates, mut rows: Vec<u32>, most: usize) -> Vec<u32> {
    let matches = &candidates.matches;
    let image = |row: u32| matches.images.get(row as usize).copied().unwrap_or(NONE);
    let worth = |row: u32| {
        let leg = candidates.legs.get(matches.legs[row as usize] as usize);
        let score = matches.scores.get(row as usize).copied();
        let cosine = score.filter(|score| leg.is_some_and(|leg| leg.cosine) && score.is_finite());
        [u32::from(image(row) == NONE), descending(cosine.unwrap_or(f32::NEG_INFINITY))]
    };
    let mut shown = Vec::new();
    while shown.len() < most {
        // Of two that are worth the same the earlier one is shown.
        let Some(best) = rows.iter().copied().min_by_key(|row| worth(*row)) else { break };
        if image(best) == NONE && !shown.is_empty() {
            break;
        }
        shown.push(best);
        rows.retain(|row| image(*row) != image(best));
    }
    shown
}

/// The rows of every product, in the order of the matches.
struct RowsByProduct {
    /// Where the rows of each product end.
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl RowsByProduct {
    fn of(candidates: &Candidates) -> Self {
        let count = candidates.product_count;
        let matches = &candidates.matches;
        let known = matches.products.iter().zip(0_u32..matches.legs.len() as u32);
        let known = known.filter(|(product, _)| **product < count);
        let mut ends = vec![0; count as usize];
        known.clone().for_each(|(product, _)| ends[*product as usize] += 1);
        let mut total = 0;
        for end in &mut ends {
            // Where the rows begin, which moves to where they end as they are filled in.
            (*end, total) = (total, total + *end);
        }
        let mut rows = vec![0; total as usize];
        for (product, row) in known {
            let end = &mut ends[*product as usize];
            rows[*end as usize] = row;
            *end += 1;
        }
        Self { ends, rows }
    }

    fn of_product(&self, product: u32) -> &[u32] {
        let product = product as usize;
        let from = if product == 0 { 0 } else { self.ends[product - 1] };
        &self.rows[from as usize..self.ends[product] as usize]
    }
}

#[cfg(test)]
mod tests;
