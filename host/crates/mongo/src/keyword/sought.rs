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

/// Lists, and what a product counts that is in all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sought {
    /// Which lists: one at least.
    pub(super) keys: Vec<Key>,
    /// The word that was asked for: its place among all, at most 31.
    pub(super) word: usize,
    /// What it counts in a name.
    pub(super) in_name: f64,
    /// What it counts in a text, or partly there.
    pub(super) in_text: f64,
}

/// All lists for these words, those of a word one after another: the first that has a product tells what the word counts
/// there.
pub(super) fn sought(asked: &[Asked]) -> Vec<Sought> {
    let mut all = Vec::new();
    for (word, asked) in asked.iter().enumerate() {
        let terms = |terms: &[String], weight| {
            (terms.iter().cloned().map(Key::Term).collect(), weight * NAME, weight * TEXT)
        };
        let beginning = asked.beginning.clone();
        let beginning = beginning.map(|beginning| (vec![Key::Beginning(beginning)], BEGINNING, BEGINNING));
        let instead = asked.instead.iter().map(|(others, weight)| terms(others, *weight));
        let itself = terms(std::slice::from_ref(&asked.term), 1.0);
        let lists = [itself].into_iter().chain(beginning).chain(instead);
        all.extend(lists.map(|(keys, in_name, in_text)| Sought { keys, word, in_name, in_text }));
    }
    all
}

/// What lists there are among them, each once.
pub(super) fn keys(sought: &[Sought]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for key in sought.iter().flat_map(|lists| &lists.keys) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}
