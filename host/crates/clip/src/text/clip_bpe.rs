//! OpenAI's tokenizer for CLIP: repair, unescape twice, lower case, split into words, byte-pair encoding.
//!
//! The ids are those of `clip.tokenize(text, truncate=True)`, and that includes one oddity: the words `<|startoftext|>`
//! and `<|endoftext|>` inside a text become the special tokens. A text can so end itself early, or begin twice; it
//! shares its sequence with nobody, so it harms only the query it is. Being identical to the reference is worth more.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::LazyLock,
};

use regex::Regex;

use super::{entities, mojibake};

/// Merges of CLIP's vocabulary: 49,152 tokens less 256 bytes, with 2 special ones; `merges[1:49152-256-2+1]`.
const MERGES: usize = 49_152 - 256 - 2;
/// Longest text looked at, characters. 77 tokens hardly ever need more than a few hundred; the rest is cut before any
/// work is done on it.
const MAX_CHARS: usize = 64 * 1024;

static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+",
    )
    .expect("the pattern is constant")
});

/// Why a file is no vocabulary of CLIP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VocabularyError {
    #[error("is not UTF-8 text")]
    NotText,
    #[error("line {0} is not a pair of tokens that came before")]
    Line(usize),
    #[error("has {0} merges, and CLIP has {MERGES}")]
    TooFew(usize),
}

/// A vocabulary of byte pairs.
pub(crate) struct ClipBpe {
    /// What a pair of tokens merges into, by rank: the lower is merged first.
    merges: HashMap<(u32, u32), Merge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Merge {
    rank: u32,
    token: u32,
}

const START: u32 = (512 + MERGES) as u32;
const END: u32 = START + 1;

impl ClipBpe {
    /// Reads the merges, a pair a line in the order of rank. The header of published files may stand before them, and
    /// what OpenAI's own file has behind them is not looked at.
    pub(crate) fn read(file: &[u8]) -> Result<Self, VocabularyError> {
        let text = std::str::from_utf8(file).map_err(|_| VocabularyError::NotText)?;
        let mut tokens: HashMap<String, u32> = HashMap::with_capacity(512 + MERGES);
        for (id, (_, char)) in byte_chars().into_iter().enumerate() {
            tokens.insert(char.to_string(), id as u32);
            tokens.insert(format!("{char}</w>"), id as u32 + 256);
        }
        let header = usize::from(text.lines().next().is_some_and(|line| line.contains("#version")));
        let mut merges = HashMap::with_capacity(MERGES);
        for (place, line) in text.lines().skip(header).take(MERGES).enumerate() {
            let pair = line.split_once(' ').map(|(left, right)| (tokens.get(left), tokens.get(right)));
            let Some((Some(left), Some(right))) = pair else {
                return Err(VocabularyError::Line(place + header + 1));
            };
            let merge = Merge { rank: place as u32, token: (512 + place) as u32 };
            merges.entry((*left, *right)).or_insert(merge);
            // A text that two merges make keeps the later id, as a Python dictionary does.
            tokens.insert(line.replace(' ', ""), merge.token);
        }
        if merges.len() < MERGES {
            return Err(VocabularyError::TooFew(merges.len()));
        }
        Ok(Self { merges })
    }

    /// The ids from start to end, at most `context`; a longer text is cut and still ends in the end token.
    pub(crate) fn encode(&self, text: &str, context: usize) -> Vec<u32> {
        let clean = clean(text);
        let mut ids = vec![START];
        for word in WORDS.find_iter(&clean) {
            if ids.len() >= context {
                break;
            }
            match word.as_str() {
                "<|startoftext|>" => ids.push(START),
                "<|endoftext|>" => ids.push(END),
                word => ids.extend(self.word(word)),
            }
        }
        ids.truncate(context.saturating_sub(1));
        ids.push(END);
        ids
    }

    /// Merges the pair of lowest rank wherever it occurs, from left to right, until no pair is known.
    fn word(&self, word: &str) -> Vec<u32> {
        let mut chain = Chain::new(word);
        let mut queue = BinaryHeap::new();
        for place in 0..chain.tokens.len() {
            queue.extend(self.candidate(&chain, place));
        }
        let mut due = Vec::new();
        while let Some(Reverse(first)) = queue.pop() {
            // All places of one pair are merged before any pair that this creates, whatever its rank.
            due.push(first);
            while queue.peek().is_some_and(|Reverse(next)| next.rank == first.rank) {
                due.extend(queue.pop().map(|Reverse(next)| next));
            }
            let mut changed = Vec::new();
            for candidate in due.drain(..) {
                if chain.pair(candidate.place) == Some(candidate.pair) {
                    chain.merge(candidate.place, candidate.token);
                    changed.push(candidate.place);
                }
            }
            for place in changed {
                let places = [chain.before(place), chain.live(place)];
                queue.extend(places.into_iter().flatten().filter_map(|place| self.candidate(&chain, place)));
            }
        }
        chain.finish()
    }

    fn candidate(&self, chain: &Chain, place: usize) -> Option<Reverse<Candidate>> {
        let pair = chain.pair(place)?;
        let Merge { rank, token } = *self.merges.get(&pair)?;
        Some(Reverse(Candidate { rank, place, pair, token }))
    }
}

/// A merge that may be done; ordered by rank, then from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    place: usize,
    pair: (u32, u32),
    token: u32,
}

/// The tokens of a word, linked so that merging two costs the same wherever they stand.
struct Chain {
    tokens: Vec<Option<u32>>,
    previous: Vec<Option<usize>>,
    next: Vec<Option<usize>>,
}

impl Chain {
    /// The bytes of a word, the last of which is marked as the end.
    fn new(word: &str) -> Self {
        let len = word.len();
        let last = |place: usize| if place + 1 == len { 256 } else { 0 };
        let token = |(place, byte): (usize, u8)| Some(BYTE_IDS[usize::from(byte)] + last(place));
        Self {
            tokens: word.bytes().enumerate().map(token).collect(),
            previous: (0..len).map(|place| place.checked_sub(1)).collect(),
            next: (1..=len).map(|place| (place < len).then_some(place)).collect(),
        }
    }

    fn pair(&self, place: usize) -> Option<(u32, u32)> {
        Some((self.tokens[place]?, self.tokens[self.next[place]?]?))
    }

    fn before(&self, place: usize) -> Option<usize> {
        self.live(place).and_then(|place| self.previous[place])
    }

    fn live(&self, place: usize) -> Option<usize> {
        self.tokens[place].map(|_| place)
    }

    /// `place` takes the token in, and what came after it is gone.
    fn merge(&mut self, place: usize, token: u32) {
        let Some(gone) = self.next[place] else { return };
        self.tokens[place] = Some(token);
        self.tokens[gone] = None;
        self.next[place] = self.next[gone];
        if let Some(after) = self.next[gone] {
            self.previous[after] = Some(place);
        }
    }

    fn finish(self) -> Vec<u32> {
        self.tokens.into_iter().flatten().collect()
    }
}

/// Bytes in the order of their ids, and the visible characters that stand for them in the file.
fn byte_chars() -> [(u8, char); 256] {
    let visible = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let shown = (0..=255).filter(visible).map(|byte| (byte, char::from(byte)));
    let hidden = (0..=255).filter(|byte| !visible(byte));
    let renamed = hidden.zip('\u{100}'..);
    let mut table = [(0, '\0'); 256];
    table.iter_mut().zip(shown.chain(renamed)).for_each(|(slot, entry)| *slot = entry);
    table
}

/// The id of each byte that does not end a word.
static BYTE_IDS: LazyLock<[u32; 256]> = LazyLock::new(|| {
    let mut ids = [0; 256];
    for (id, (byte, _)) in byte_chars().into_iter().enumerate() {
        ids[usize::from(byte)] = id as u32;
    }
    ids
});

/// `whitespace_clean(basic_clean(text)).lower()`.
fn clean(text: &str) -> String {
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(end, _)| end);
    let fixed = mojibake::fix_text(&text[..end]);
    let plain = entities::unescape(&fixed);
    let plain = entities::unescape(&plain);
    plain.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGES_FILE: &str = include_str!("../../../../../models/tokenizer/merges.txt");

    fn openai() -> ClipBpe {
        ClipBpe::read(MERGES_FILE.as_bytes()).unwrap()
    }

    #[test]
    fn a_header_before_and_lines_behind_the_merges_change_nothing() {
        let published = format!("#version: 0.2\n{MERGES_FILE}the rest</w>\n");
        assert_eq!(ClipBpe::read(published.as_bytes()).unwrap().merges, openai().merges);
    }

    #[test]
    fn a_text_begins_and_ends_with_the_special_tokens() {
        assert_eq!(openai().encode("a photo of a cat", 77), [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert_eq!(openai().encode("", 77), [49406, 49407]);
    }

    #[test]
    fn a_text_that_is_cut_still_ends() {
        let ids = openai().encode(&"cat ".repeat(100), 77);
        assert_eq!((ids.len(), ids[75], ids[76]), (77, 2368, 49407));
    }

    #[test]
    fn a_word_without_end_costs_no_more_than_a_moment() {
        let ids = openai().encode(&"ab".repeat(1_000_000), 77);
        assert_eq!(ids.len(), 77);
    }

    #[test]
    fn a_damaged_vocabulary_is_refused() {
        assert!(matches!(ClipBpe::read(b"i n\nt h\n"), Err(VocabularyError::TooFew(2))));
        assert!(matches!(ClipBpe::read(b"i n\nin q in\n"), Err(VocabularyError::Line(2))));
        assert!(matches!(ClipBpe::read(b"\xff\xfe"), Err(VocabularyError::NotText)));
    }
}
