//! What is looked for by words: what was typed, and what else stands for it in a shop.

use std::collections::HashMap;

use super::fold;

/// What stands for a word.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead {
    /// Another word in lower case; or several, with a space between them, of which a product has to have all.
    pub word: String,
    /// What finding it counts beside finding the word itself, above 0 and below 1.
    pub weight: f32,
}

impl Instead {
    /// The words that a product has to have, all of them.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.word.split(' ')
    }
}

/// A text to look for. A product is found by any of its words, and for each by the word or by any that stands for it; a word
/// counts once, by the best that was found for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    text: String,
    instead: HashMap<String, Vec<Instead>>,
}

impl Wanted {
    /// The text; it says nothing of what else stands for its words.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), instead: HashMap::new() }
    }

    /// Lets other words stand for one of the text.
    pub fn allow(&mut self, word: &str, mut others: Vec<Instead>) {
        if !others.is_empty() {
            others.sort_by(|a, b| b.weight.total_cmp(&a.weight));
            self.instead.insert(fold(word), others);
        }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What else stands for a word, folded or not; best first.
    pub fn instead(&self, word: &str) -> &[Instead] {
        if self.instead.is_empty() {
            return &[];
        }
        self.instead.get(&fold(word)).map_or(&[], Vec::as_slice)
    }
}

impl From<&str> for Wanted {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
