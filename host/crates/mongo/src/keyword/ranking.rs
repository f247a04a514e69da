//! Counting and scoring over lists of products, in the order of their numbers.

use std::borrow::Cow;

use super::sought::Sought;

/// Products that are scored together: their sums fit a core's nearest cache.
const BLOCK: u32 = 2048;
/// Bits of a word of a set.
const BITS: usize = u64::BITS as usize;

/// A product in a list: its number, and whether what the list is of is in the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posting(u32);

impl Posting {
    /// A product of this number, below 2^31.
    pub(super) fn new(number: u32, is_in_name: bool) -> Self {
        Self(number << 1 | u32::from(is_in_name))
    }

    /// The product's number.
    pub(super) fn number(self) -> u32 {
        self.0 >> 1
    }

    fn is_in_name(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What two lists have both, both of them by rising number; in the name where both are there.
pub(super) fn in_both(one: &[Posting], other: &[Posting]) -> Vec<Posting> {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let both = short.iter().filter_map(|posting| {
        let place = long.binary_search_by_key(&posting.number(), |other| other.number()).ok()?;
        Some(Posting::new(posting.number(), posting.is_in_name() && long[place].is_in_name()))
    });
    both.collect()
}

/// A list that was asked for, or what several have all, and what it counts.
#[derive(Debug, Clone)]
pub(super) struct Phrase<'a> {
    /// Its products, by rising number.
    pub(super) postings: Cow<'a, [Posting]>,
    /// Which words it is for, and what it counts.
    pub(super) sought: &'a Sought,
}

/// A product's number and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    /// The number.
    pub(super) number: u32,
    /// The score.
    pub(super) score: f64,
}

/// How many products each word is found in. No product has a higher number than `numbers`.
pub(super) fn count(phrases: &[Phrase<'_>], words: usize, numbers: usize) -> Vec<f64> {
    let mut each = vec![0.0; words];
    let mut seen = vec![0_u64; numbers / BITS + 1];
    for of_word in phrases.chunk_by(|one, next| one.sought.word == next.sought.word) {
        let [first, others @ ..] = of_word else { continue };
        let mut count = first.postings.len();
        if !others.is_empty() {
            seen.fill(0);
            first.postings.iter().for_each(|posting| _ = note(&mut seen, *posting));
            for posting in others.iter().flat_map(|phrase| phrase.postings.iter()) {
                count += usize::from(note(&mut seen, *posting));
            }
        }
        each[first.sought.word] = count as f64;
    }
    each
}

/// Takes a product into a set; whether it is new there.
fn note(seen: &mut [u64], posting: Posting) -> bool {
    let number = posting.number() as usize;
    let bit = 1 << (number % BITS);
    let is_new = seen[number / BITS] & bit == 0;
    seen[number / BITS] |= bit;
    is_new
}

/// One product of a block.
#[derive(Clone, Copy, Default)]
struct Sum {
    score: f64,
    /// A bit for each word that it has.
    words: u32,
}

/// Scores every product that has one of the words, at most 32, by rising number. What having every word adds is `bonus`.
pub(super) fn score(phrases: &[Phrase<'_>], rareness: &[f64], bonus: f64) -> Vec<Scored> {
    let every_word = u32::MAX >> (u32::BITS as usize - rareness.len().clamp(1, 32));
    let mut rest: Vec<_> = phrases.iter().map(|phrase| &*phrase.postings).collect();
    let mut scored = Vec::with_capacity(rest.iter().map(|postings| postings.len()).max().unwrap_or_default());
    let mut block = [Sum::default(); BLOCK as usize];
    // Blocks without any product are passed over.
    while let Some(first) = rest.iter().filter_map(|rest| rest.first()).min() {
        let start = first.number() / BLOCK * BLOCK;
        block.fill(Sum::default());
        for (phrase, rest) in phrases.iter().zip(&mut rest) {
            let Sought { word, in_name, in_text, .. } = *phrase.sought;
            let (in_name, in_text) = (rareness[word] * in_name, rareness[word] * in_text);
            for posting in take_block(rest, start) {
                let sum = &mut block[(posting.number() - start) as usize];
                if sum.words & 1 << word == 0 {
                    sum.score += if posting.is_in_name() { in_name } else { in_text };
                    sum.words |= 1 << word;
                }
            }
        }
        for (number, sum) in (start..).zip(&block).filter(|(_, sum)| sum.words != 0) {
            let bonus = if sum.words == every_word { bonus } else { 0.0 };
            scored.push(Scored { number, score: sum.score + bonus });
        }
    }
    scored
}

/// Takes the products of the block that begins at `start`; none is before it.
fn take_block<'list>(rest: &mut &'list [Posting], start: u32) -> &'list [Posting] {
    let count = rest.iter().take_while(|posting| posting.number() - start < BLOCK).count();
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::sought::Key;

    /// Numbers in several blocks, at their borders and at the end of all.
    const NUMBERS: [u32; 8] =
        [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 7, 9 * BLOCK, (1 << 31) - 2, (1 << 31) - 1];

    fn list(numbers: &[u32]) -> Vec<Posting> {
        numbers.iter().map(|number| Posting::new(*number, number % 2 == 1)).collect()
    }

    fn sought(word: usize, weight: f64) -> Sought {
        Sought { keys: vec![Key::Term(String::new())], word, in_name: 3.0 * weight, in_text: weight }
    }

    fn phrase<'a>(postings: &'a [Posting], sought: &'a Sought) -> Phrase<'a> {
        Phrase { postings: postings.into(), sought }
    }

    #[test]
    fn what_two_lists_have_is_in_the_name_where_both_are() {
        let posting = |(number, is_in_name)| Posting::new(number, is_in_name);
        let one = [(1, true), (4, true), (6, false), (9, true)].map(posting);
        let other = [(4, true), (6, true), (7, true), (8, true), (9, false)].map(posting);
        let both = [(4, true), (6, false), (9, false)].map(posting);
        assert_eq!(in_both(&one, &other), both);
        assert_eq!(in_both(&other, &one), both);
    }

    #[test]
    fn every_block_is_scored_once() {
        let (all, some) = (list(&NUMBERS), list(&NUMBERS[3..5]));
        let (first, second) = (sought(0, 1.0), sought(1, 1.0));
        let phrases = [phrase(&all, &first), phrase(&some, &second)];
        let scored = score(&phrases, &[0.5, 7.0], 2.0);
        assert_eq!(scored.iter().map(|one| one.number).collect::<Vec<_>>(), NUMBERS);
        for Scored { number, score } in scored {
            let place = if number % 2 == 1 { 3.0 } else { 1.0 };
            let both = if NUMBERS[3..5].contains(&number) { 7.0 * place + 2.0 } else { 0.0 };
            assert_eq!(score, 0.5 * place + both, "{number}");
        }
    }

    #[test]
    fn the_first_list_of_a_word_that_has_a_product_counts_alone() {
        let (itself, other) = (list(&[2, 4]), list(&[4, 6]));
        let (whole, half, next) = (sought(0, 1.0), sought(0, 0.5), sought(1, 1.0));
        let phrases = [phrase(&itself, &whole), phrase(&other, &half), phrase(&other, &next)];
        assert_eq!(count(&phrases, 3, 7), [3.0, 2.0, 0.0]);
        let scored = score(&phrases, &[1.0, 1.0], 0.0);
        let scores: Vec<_> = scored.iter().map(|one| (one.number, one.score)).collect();
        assert_eq!(scores, [(2, 1.0), (4, 2.0), (6, 1.5)]);
    }

    #[test]
    fn as_many_words_as_there_may_be_earn_the_bonus() {
        let one = list(&[3]);
        let sought: Vec<_> = (0..32).map(|word| sought(word, 1.0)).collect();
        let phrases: Vec<_> = sought.iter().map(|sought| phrase(&one, sought)).collect();
        assert_eq!(score(&phrases, &[1.0; 32], 2.0)[0].score, 98.0);
        assert_eq!(score(&phrases[..31], &[1.0; 32], 2.0)[0].score, 93.0);
        assert!(score(&[], &[], 2.0).is_empty());
    }
}
