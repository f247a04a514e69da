//! How a shop wants its words understood.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Language, MAX_WORD_CHARS, is_unspaced, words};
use crate::{id::TenantId, port::PortResult};

/// Rules of synonyms that a shop may have: all are gone through for each word of a search.
pub const MAX_SYNONYMS: usize = 1_000;
/// Words that a rule may name.
pub const MAX_SYNONYM_WORDS: usize = 20;

/// What a shop says of its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WordSettings {
    /// By whose stems words are found, beside English ones.
    pub language: Option<Language>,
    /// Whether words that the shop does not have stand for like ones that it has.
    pub typos: bool,
    /// Words that stand for each other.
    pub synonyms: Vec<Synonyms>,
}

impl Default for WordSettings {
    fn default() -> Self {
        Self { language: None, typos: true, synonyms: Vec::new() }
    }
}

impl WordSettings {
    /// Whether words stand for nothing but themselves.
    pub(super) fn takes_words_literally(&self) -> bool {
        self.language.is_none() && !self.typos && self.synonyms.is_empty()
    }
}

/// Words that stand for each other, `sneaker, trainer`, or that some stand for and not the other way, `sneaker => shoe, boot`.
/// Solr and Elasticsearch write them so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Synonyms {
    /// Each of these is looked for ..
    pub(super) typed: Vec<String>,
    /// .. by these, too.
    pub(super) found: Vec<String>,
    text: String,
}

/// Why a rule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSynonyms {
    /// A part of it is not one word.
    #[error("{0:?} is not one word of at most {MAX_WORD_CHARS} letters and digits in a script with spaces")]
    NoWord(String),
    /// There are too few or too many.
    #[error("a rule names 2 to {MAX_SYNONYM_WORDS} words, as in \"sneaker, trainer\" or \"handy => phone\"")]
    Count,
}

impl Synonyms {
    /// Reads a rule.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, InvalidSynonyms> {
        let (typed, found) = match text.split_once("=>") {
            Some((typed, found)) => (list(typed)?, list(found)?),
            None => (list(text)?, Vec::new()),
        };
        let is_rule =
            if text.contains("=>") { !found.is_empty() && !typed.is_empty() } else { typed.len() > 1 };
        if !is_rule || typed.len() + found.len() > MAX_SYNONYM_WORDS {
            return Err(InvalidSynonyms::Count);
        }
        let found = if found.is_empty() { typed.clone() } else { found };
        Ok(Self { typed, found, text: text.to_owned() })
    }
}

fn list(text: &str) -> Result<Vec<String>, InvalidSynonyms> {
    let word = |part: &str| {
        let part = part.trim();
        let fits = part.chars().count() <= MAX_WORD_CHARS && !part.starts_with(is_unspaced);
        let is_word = fits && words(part).eq([part]);
        let shown = || part.chars().take(MAX_WORD_CHARS).collect();
        if is_word { Ok(part.to_lowercase()) } else { Err(InvalidSynonyms::NoWord(shown())) }
    };
    text.split(',').map(word).collect()
}

impl TryFrom<String> for Synonyms {
    type Error = InvalidSynonyms;

    fn try_from(text: String) -> Result<Self, InvalidSynonyms> {
        Self::parse(&text)
    }
}

impl From<Synonyms> for String {
    fn from(synonyms: Synonyms) -> Self {
        synonyms.text
    }
}

/// Knows what each shop says of its words.
#[async_trait]
pub trait WordRules: Send + Sync {
    /// What a shop says; the defaults of one that says nothing.
    async fn of(&self, tenant: &TenantId) -> PortResult<Arc<WordSettings>>;
}

/// The same for every shop.
#[async_trait]
impl WordRules for WordSettings {
    async fn of(&self, _tenant: &TenantId) -> PortResult<Arc<WordSettings>> {
        Ok(Arc::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_solr_writes_them() {
        let both = Synonyms::parse("Sneaker, trainer").unwrap();
        assert_eq!(
            (both.typed, both.found),
            (vec!["sneaker".into(), "trainer".into()], vec!["sneaker".into(), "trainer".into()])
        );
        let one_way = Synonyms::parse("handy => phone").unwrap();
        assert_eq!((one_way.typed, one_way.found), (vec!["handy".into()], vec!["phone".into()]));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "alone", "a,,b", "=> b", "a =>", "two words, b", "a => b => c", "a-b, c"] {
            assert!(Synonyms::parse(text).is_err(), "{text}");
        }
        let many: Vec<_> = (0..=MAX_SYNONYM_WORDS).map(|n| format!("w{n}")).collect();
        assert_eq!(Synonyms::parse(&many.join(",")), Err(InvalidSynonyms::Count));
    }

    #[test]
    fn settings_come_back_as_they_were_written() {
        let text = r#"{"language":"de","typos":false,"synonyms":["handy => phone"]}"#;
        let settings: WordSettings = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
        assert_eq!(serde_json::from_str::<WordSettings>("{}").unwrap(), WordSettings::default());
    }
}
