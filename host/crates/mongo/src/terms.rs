//! The terms by which keyword search finds a product, and those that a query asks for.
//!
//! Text and query go the same way: no case, no diacritics, split into words, English stems of plain Latin words. What
//! the server indexes are these terms; it splits and stems nothing by itself. A term is letters, digits and marks, so
//! that nothing a shopper types is an operator.

use std::collections::BTreeSet;

use rust_stemmers::{Algorithm, Stemmer};
use taja_catalog::words::{
    Instead, MAX_WORD_CHARS, MAX_WORDS, MIN_PREFIX, Wanted, fold, is_unspaced, pairs, words,
};
use unicode_normalization::char::is_combining_mark;

/// The terms of one product.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// Words of the name: stems, and pairs and characters of scripts without spaces.
    pub(crate) name: BTreeSet<String>,
    /// Words of the text.
    pub(crate) text: BTreeSet<String>,
    /// What longer words of both begin with.
    pub(crate) beginnings: BTreeSet<String>,
    /// Every three characters inside words of both, to find a part of a compound.
    pub(crate) pieces: BTreeSet<String>,
}

impl Terms {
    /// The terms of a product's name and of the text that finds it.
    pub(crate) fn of(name: &str, text: &str) -> Self {
        let mut terms = Self { name: BTreeSet::new(), ..Self::default() };
        let stemmer = stemmer();
        for (whole, words) in [(name, &mut terms.name), (text, &mut terms.text)] {
            for token in tokens(whole) {
                match token {
                    Token::Run(run) => {
                        words.extend(run.chars().map(String::from));
                        words.extend(pairs(&run).map(String::from));
                    }
                    Token::Word(word) => {
                        words.insert(stem(&stemmer, &word));
                        terms.beginnings.extend(beginnings(&word));
                        terms.pieces.extend(pieces(&word));
                    }
                }
            }
        }
        terms
    }
}

/// What one word of a query asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// A term of the name or the text.
    pub(crate) term: String,
    /// The word as it was written, if longer words may begin with it.
    pub(crate) beginning: Option<String>,
    /// Its pieces; none when it is too short for them to tell anything.
    pub(crate) pieces: Vec<String>,
    /// Terms that stand for it where it is not itself, all of each list, with what that counts; best first.
    pub(crate) instead: Vec<(Vec<String>, f64)>,
}

/// What a query asks for, each thing once.
pub(crate) fn asked(wanted: &Wanted) -> Vec<Asked> {
    let stemmer = stemmer();
    let mut all: Vec<Asked> = Vec::new();
    for next in tokens(wanted.text()).flat_map(|token| ask_for(&stemmer, token, wanted)) {
        if all.len() == MAX_WORDS {
            break;
        }
        if !all.contains(&next) {
            all.push(next);
        }
    }
    all
}

fn ask_for(stemmer: &Stemmer, token: Token, wanted: &Wanted) -> Vec<Asked> {
    let exactly = |term: &str| Asked {
        term: term.to_owned(),
        beginning: None,
        pieces: Vec::new(),
        instead: Vec::new(),
    };
    match token {
        Token::Run(run) if run.chars().nth(1).is_none() => vec![exactly(&run)],
        Token::Run(run) => pairs(&run).take(MAX_WORDS).map(exactly).collect(),
        Token::Word(word) => {
            let is_long = word.chars().nth(MIN_PREFIX - 1).is_some();
            let term = stem(stemmer, &word);
            let pieces = if is_long { pieces(&word).collect() } else { Vec::new() };
            let others = wanted.instead(&word).iter();
            let terms = |one: &Instead| one.words().map(|word| stem(stemmer, &fold(word))).collect();
            let instead = others.map(|one| (terms(one), one.weight.into())).collect();
            vec![Asked { term, beginning: is_long.then_some(word), pieces, instead }]
        }
    }
}

/// A stretch of text that is looked up.
enum Token {
    /// Of a script without spaces.
    Run(String),
    /// Of any other.
    Word(String),
}

fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let folded = fold(text);
    let tokens: Vec<_> = words(&folded)
        .flat_map(|word| {
            if word.starts_with(is_unspaced) {
                return vec![Token::Run(word.to_owned())];
            }
            let parts = word.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
            let parts = parts.filter(|part| part.contains(char::is_alphanumeric));
            parts.map(|part| Token::Word(part.chars().take(MAX_WORD_CHARS).collect())).collect()
        })
        .collect();
    tokens.into_iter()
}

fn stemmer() -> Stemmer {
    Stemmer::create(Algorithm::English)
}

fn stem(stemmer: &Stemmer, word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        stemmer.stem(word).into_owned()
    } else {
        word.to_owned()
    }
}

/// Everything a word begins with that is shorter than it and long enough to be asked for.
fn beginnings(word: &str) -> impl Iterator<Item = String> {
    word.char_indices().skip(MIN_PREFIX).map(|(end, _)| word[..end].to_owned())
}

fn pieces(word: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = word.chars().collect();
    let pieces: Vec<_> = chars.windows(3).map(|three| three.iter().collect()).collect();
    pieces.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(terms: &BTreeSet<String>) -> Vec<&str> {
        terms.iter().map(String::as_str).collect()
    }

    #[test]
    fn words_are_indexed_by_stem_and_beginning() {
        let terms = Terms::of("Café Running-Shoes", "赤いTシャツ");
        assert_eq!(listed(&terms.name), ["cafe", "run", "shoe"]);
        assert_eq!(listed(&terms.text), ["t", "い", "シ", "シャ", "ツ", "ャ", "ャツ", "赤", "赤い"]);
        assert_eq!(listed(&terms.beginnings), ["runn", "runni", "runnin", "shoe"]);
    }

    #[test]
    fn a_term_has_nothing_that_the_server_could_read_as_an_operator() {
        let hostile = "a\"b* NEAR(c) {name}:d AND^e \u{201c}f -g+h €i \u{1f600} -\"j\" $k \\l";
        for asked in asked(&hostile.into()) {
            assert!(asked.term.chars().all(char::is_alphanumeric), "{asked:?}");
        }
    }

    #[test]
    fn a_query_asks_for_no_more_words_than_count() {
        let long: String = (0..500).map(|n| format!("word{n} ")).collect();
        assert_eq!(asked(&long.as_str().into()).len(), MAX_WORDS);
        assert_eq!(asked(&Wanted::new("字".repeat(10_000))).len(), 1, "the same pair is asked for once");
        assert_eq!(asked(&"shoe Shoe SHOE".into()).len(), 1);
    }

    #[test]
    fn text_without_letters_has_no_terms() {
        assert_eq!(Terms::of("\u{301} * \u{1f600}", ""), Terms::default());
        assert_eq!(asked(&"\0 () '".into()), []);
    }
}
