//! The lists that a search goes through.

use super::{BEGINNING, NAME, TEXT};
use crate::terms::Asked;

/// What a list is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Products with this term in the name or in the text.
    Term(String),
    /// Products with a longer word that begins so.
    Beginning(String),
}

impl Key {
    /// What the text index is asked for.
    pub(super) fn text(&self) -> &str {
        let (Self::Term(text) | Self::Beginning(text)) = self;
        text
    }
}

/// A list, and what a product counts that is in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sought {
    /// Which list.
    pub(super) key: Key,
    /// The word that was asked for: its place among all, at most 31.
    pub(super) word: usize,
    /// What it counts in a name.
    pub(super) in_name: f64,
    /// What it counts in a text.
    pub(super) in_text: f64,
}

/// All lists for these words, those of a word one after another: the first that has a product tells what the word counts
/// there.
pub(super) fn sought(asked: &[Asked]) -> Vec<Sought> {
    let mut all = Vec::new();
    for (word, asked) in asked.iter().enumerate() {
        let term = |term: &str, weight| (Key::Term(term.to_owned()), weight * NAME, weight * TEXT);
        let beginning = asked.beginning.clone();
        let beginning = beginning.map(|beginning| (Key::Beginning(beginning), BEGINNING, BEGINNING));
        let instead = asked.instead.iter().map(|(other, weight)| term(other, *weight));
        let lists = [term(&asked.term, 1.0)].into_iter().chain(beginning).chain(instead);
        all.extend(lists.map(|(key, in_name, in_text)| Sought { key, word, in_name, in_text }));
    }
    all
}

/// What lists there are among them, each once.
pub(super) fn keys(sought: &[Sought]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for list in sought {
        if !keys.contains(&list.key) {
            keys.push(list.key.clone());
        }
    }
    keys
}
