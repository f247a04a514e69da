//! BM25 over lists of rows, as FTS5's own `bm25` calculates it.
//!
//! Robertson, Walker, Jones, Hancock-Beaulieu, Gatford: Okapi at TREC-3, 1994; constants and the least weight of a word as
//! in FTS5 (<https://sqlite.org/fts5.html#the_bm25_function>), so that an order is the same whichever of the two made it.

use std::cmp::Ordering;

use super::lists::{Posting, Rows, Snapshot};

/// How soon another occurrence of a word adds little.
const K1: f64 = 1.2;
/// How much a long text counts less.
const B: f64 = 0.75;
/// What a word is worth that more than half of all rows have.
const LEAST_RARITY: f64 = 1e-6;
/// How much a word in the name counts beside one in the text.
const NAME_WEIGHT: f64 = 3.0;
/// What having every word adds; a rare word alone scores 3 to 10.
const ALL_WORDS_BONUS: f64 = 2.0;
/// Rows that are scored together: their sums fit a core's nearest cache.
const BLOCK: u32 = 2048;

/// A phrase that was asked for.
#[derive(Debug)]
pub(super) struct Phrase {
    /// The rows that have it.
    pub(super) rows: Rows,
    /// The word of the query that it stands for: its place, at most 31.
    pub(super) word: usize,
    /// What it counts beside the word itself: 1 for the word itself, and less for what stands for it. Phrases of a word come by
    /// falling weight.
    pub(super) weight: f64,
}

/// A product's number and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    /// The number.
    pub(super) product: u32,
    /// The score.
    pub(super) score: f64,
}

impl Scored {
    /// Best first; of equals the newest first.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(other.product.cmp(&self.product))
    }
}

/// Takes the best `count` out, in order; the others follow in none.
pub(super) fn best_first(scored: &mut [Scored], count: usize) -> (&[Scored], &mut [Scored]) {
    if count < scored.len() {
        scored.select_nth_unstable_by(count, Scored::order);
    }
    let (best, others) = scored.split_at_mut(count.min(scored.len()));
    best.sort_unstable_by(Scored::order);
    (best, others)
}

/// A phrase's rows that are not scored yet.
struct Cursor<'rows> {
    rest: &'rows [Posting],
    /// What finding it is worth.
    worth: f64,
    word: u32,
    /// Counts where no phrase of the same word did.
    is_instead: bool,
}

impl<'rows> Cursor<'rows> {
    /// What stands for a word is worth no more than the word itself, however rare it is: `with_word` rows have that.
    fn new(phrase: &'rows Phrase, with_word: usize, snapshot: &Snapshot) -> Self {
        let is_instead = phrase.weight < 1.0;
        let rows = if is_instead { phrase.rows.len().max(with_word) } else { phrase.rows.len() };
        let worth = phrase.weight * rarity(rows, snapshot.rows);
        Self { rest: &phrase.rows, worth, word: 1 << phrase.word, is_instead }
    }
}

/// Takes the rows of the block that begins at `start`; none is before it.
fn take_block<'rows>(rest: &mut &'rows [Posting], start: u32) -> &'rows [Posting] {
    let count = rest.iter().take_while(|posting| posting.product - start < BLOCK).count();
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

/// The inverse document frequency.
fn rarity(rows_with_it: usize, rows: i64) -> f64 {
    let (with, all) = (rows_with_it as f64, rows as f64);
    let rarity = ((all - with + 0.5) / (with + 0.5)).ln();
    if rarity > 0.0 { rarity } else { LEAST_RARITY }
}

/// One product of a block.
#[derive(Clone, Copy, Default)]
struct Sum {
    score: f64,
    /// A bit for each word that it has.
    words: u32,
    allowed: bool,
}

/// Scores every product that has one of the phrases and is `among` these, in no order; without any, among all.
/// `words` is how many words were asked for, at most 32.
pub(super) fn score(
    snapshot: &Snapshot,
    phrases: &[Phrase],
    words: usize,
    among: Option<&[Posting]>,
) -> Vec<Scored> {
    let every_word = u32::MAX >> (u32::BITS as usize - words.clamp(1, 32));
    let bonus = if words > 1 { ALL_WORDS_BONUS } else { 0.0 };
    let average = snapshot.tokens as f64 / snapshot.rows as f64;
    let with_word = |word: usize| {
        let itself = phrases.iter().filter(|phrase| phrase.word == word && phrase.weight == 1.0);
        itself.map(|phrase| phrase.rows.len()).max().unwrap_or_default()
    };
    let cursor = |phrase| Cursor::new(phrase, with_word(phrase.word), snapshot);
    let mut cursors: Vec<_> = phrases.iter().map(cursor).collect();
    let mut allowed = among;
    let mut scored = Vec::new();
    let mut block = [Sum::default(); BLOCK as usize];
    // Blocks without any row are passed over.
    while let Some(first) =
        cursors.iter().filter_map(|cursor| cursor.rest.first()).map(|row| row.product).min()
    {
        let start = first / BLOCK * BLOCK;
        block.fill(Sum { allowed: among.is_none(), ..Sum::default() });
        if let Some(rest) = &mut allowed {
            let past = rest.partition_point(|posting| posting.product < start);
            *rest = &rest[past..];
            for posting in take_block(rest, start) {
                block[(posting.product - start) as usize].allowed = true;
            }
        }
        for cursor in &mut cursors {
            for posting in take_block(&mut cursor.rest, start) {
                let sum = &mut block[(posting.product - start) as usize];
                if cursor.is_instead && sum.words & cursor.word != 0 {
                    continue;
                }
                sum.score += cursor.worth * saturated(posting, average);
                sum.words |= cursor.word;
            }
        }
        for (product, sum) in
            (start..=start + (BLOCK - 1)).zip(&block).filter(|(_, sum)| sum.words != 0 && sum.allowed)
        {
            let bonus = if sum.words == every_word { bonus } else { 0.0 };
            scored.push(Scored { product, score: sum.score + bonus });
        }
    }
    scored
}

/// How much of a word's rarity a row gains that has it so often and is so long.
fn saturated(posting: &Posting, average: f64) -> f64 {
    let found = &posting.occurrences;
    let often = NAME_WEIGHT * f64::from(found.name) + f64::from(found.text);
    (often * (K1 + 1.0)) / (often + K1 * (1.0 - B + B * f64::from(found.length) / average))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::occurrences::Occurrences;

    /// Numbers in several blocks, at their borders and at the end of all.
    const PRODUCTS: [u32; 8] = [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 7, 9 * BLOCK, u32::MAX - 1, u32::MAX];
    const SNAPSHOT: Snapshot = Snapshot { age: 0, last: u32::MAX, rows: 1000, tokens: 9000 };

    fn row(product: u32) -> Posting {
        let length = 4 + product % 9;
        Posting { product, occurrences: Occurrences { name: (product % 2) as u16, text: 1, length } }
    }

    fn phrase(word: usize, products: &[u32]) -> Phrase {
        Phrase { rows: products.iter().map(|product| row(*product)).collect(), word, weight: 1.0 }
    }

    fn ordered(mut scored: Vec<Scored>) -> Vec<u32> {
        best_first(&mut scored, usize::MAX).0.iter().map(|one| one.product).collect()
    }

    #[test]
    fn every_block_is_scored_once() {
        let phrases = [phrase(0, &PRODUCTS), phrase(1, &PRODUCTS[3..5])];
        let scored = score(&SNAPSHOT, &phrases, 2, None);
        assert_eq!(scored.iter().map(|one| one.product).collect::<Vec<_>>(), PRODUCTS);
        for one in scored {
            let gain = |phrase: &Phrase| rarity(phrase.rows.len(), 1000) * saturated(&row(one.product), 9.0);
            let both = PRODUCTS[3..5].contains(&one.product);
            let second = if both { gain(&phrases[1]) + ALL_WORDS_BONUS } else { 0.0 };
            assert!((one.score - gain(&phrases[0]) - second).abs() < 1e-12, "{one:?}");
        }
    }

    #[test]
    fn only_those_among_are_scored() {
        let phrases = [phrase(0, &PRODUCTS), phrase(1, &[2, BLOCK])];
        let among: Vec<_> = [1, 2, BLOCK, 4 * BLOCK, u32::MAX].map(row).into();
        let scored = score(&SNAPSHOT, &phrases, 2, Some(&among));
        assert_eq!(scored.iter().map(|one| one.product).collect::<Vec<_>>(), [1, 2, BLOCK, u32::MAX]);
        assert!(score(&SNAPSHOT, &phrases, 2, Some(&[])).is_empty());
    }

    #[test]
    fn what_stands_for_a_word_counts_once_and_only_where_the_word_is_not() {
        let instead = |weight, products: &[u32]| Phrase { weight, ..phrase(0, products) };
        let phrases =
            [phrase(0, &[2, 4, 6]), phrase(1, &[4, 8]), instead(0.5, &[4, 8]), instead(0.4, &[8, 10])];
        let scored = score(&SNAPSHOT, &phrases, 2, None);
        let alone = score(&SNAPSHOT, &phrases[..2], 2, None);
        let of = |scored: &[Scored], product| scored.iter().find(|one| one.product == product).unwrap().score;
        assert_eq!(of(&scored, 4), of(&alone, 4));
        let half = 0.5 * rarity(3, 1000) * saturated(&row(8), 9.0);
        assert!((of(&scored, 8) - of(&alone, 8) - half - ALL_WORDS_BONUS).abs() < 1e-12);
        assert!(of(&scored, 10) < of(&scored, 2));
    }

    #[test]
    fn equals_come_newest_first_whether_or_not_all_are_wanted() {
        let same: Vec<_> = (0..50).map(|n| 18 * n).collect();
        let newest: Vec<_> = same.iter().rev().copied().collect();
        let mut scored = score(&SNAPSHOT, &[phrase(0, &same)], 1, None);
        assert_eq!(ordered(scored.clone()), newest);
        let (best, others) = best_first(&mut scored, 7);
        assert_eq!(best.iter().map(|one| one.product).collect::<Vec<_>>(), newest[..7]);
        assert_eq!(ordered(others.to_vec()), newest[7..]);
    }

    #[test]
    fn a_word_that_most_rows_have_is_still_worth_something() {
        assert_eq!(rarity(900, 1000), LEAST_RARITY);
        assert!(rarity(1, 1000) > rarity(10, 1000));
    }

    #[test]
    fn as_many_words_as_there_may_be_earn_the_bonus() {
        let phrases: Vec<_> = (0..32).map(|word| phrase(word, &[3])).collect();
        let with = score(&SNAPSHOT, &phrases, 32, None)[0].score;
        let without = score(&SNAPSHOT, &phrases[..31], 32, None)[0].score;
        assert!(with - without > ALL_WORDS_BONUS);
    }
}
