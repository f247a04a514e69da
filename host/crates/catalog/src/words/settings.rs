//! How a shop wants its words understood.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Languages, MAX_WORD_CHARS, fold, is_unspaced, words};
use crate::{id::TenantId, port::PortResult};

/// Rules of synonyms that a shop may have: all are gone through for each search.
pub const MAX_SYNONYMS: usize = 1_000;
/// Words and phrases that a rule may name.
pub const MAX_SYNONYM_WORDS: usize = 20;
/// Words of a phrase.
pub const MAX_PHRASE_WORDS: usize = 4;

/// What a shop says of its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WordSettings {
    /// By whose stems words are found, beside English ones.
    pub language: Languages,
    /// Whether words that the shop does not have stand for like ones that it has.
    pub typos: bool,
    /// Words that stand for each other.
    pub synonyms: Vec<Synonyms>,
}

impl Default for WordSettings {
    fn default() -> Self {
        Self { language: Languages::default(), typos: true, synonyms: Vec::new() }
    }
}

impl WordSettings {
    /// Whether words stand for nothing but themselves.
    pub(super) fn takes_words_literally(&self) -> bool {
        self.language.is_empty() && !self.typos && self.synonyms.is_empty()
    }
}

/// Words and phrases that stand for each other, `sneaker, trainer` or `t shirt, tee`, or that some stand for and not the other
/// way, `sneaker => shoe, boot`. Solr and Elasticsearch write them so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Synonyms {
    /// Each of these is looked for ..
    pub(super) typed: Vec<Phrase>,
    /// .. by these, too.
    pub(super) found: Vec<Phrase>,
    text: String,
}

/// Words that follow each other; one is the shortest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    /// In lower case, with a space between them.
    pub(super) text: String,
    /// As they are compared.
    pub(super) folded: Vec<String>,
}

impl Phrase {
    fn parse(part: &str) -> Result<Self, InvalidSynonyms> {
        let words: Vec<_> = words(part).map(str::to_lowercase).collect();
        let fits = |word: &String| word.chars().count() <= MAX_WORD_CHARS && !word.starts_with(is_unspaced);
        if (1..=MAX_PHRASE_WORDS).contains(&words.len()) && words.iter().all(fits) {
            let folded = words.iter().map(|word| fold(word)).collect();
            Ok(Self { text: words.join(" "), folded })
        } else {
            Err(InvalidSynonyms::NoPhrase(part.trim().chars().take(MAX_WORD_CHARS).collect()))
        }
    }
}

/// Why a rule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSynonyms {
    /// A part of it is no phrase.
    #[error(
        "{0:?} is not 1 to {MAX_PHRASE_WORDS} words of at most {MAX_WORD_CHARS} letters and digits in a script with spaces"
    )]
    NoPhrase(String),
    /// There are too few or too many.
    #[error(
        "a rule names 2 to {MAX_SYNONYM_WORDS} words or phrases, as in \"sneaker, trainer\" or \"handy => mobile phone\""
    )]
    Count,
}

impl Synonyms {
    /// Reads a rule.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, InvalidSynonyms> {
        let list = |text: &str| text.split(',').map(Phrase::parse).collect::<Result<Vec<_>, _>>();
        let (typed, found) = match text.split_once("=>") {
            Some((_, found)) if found.contains("=>") => return Err(InvalidSynonyms::Count),
            Some((typed, found)) => (list(typed)?, list(found)?),
            None => (list(text)?, Vec::new()),
        };
        let count = typed.len() + found.len();
        if !(2..=MAX_SYNONYM_WORDS).contains(&count) {
            return Err(InvalidSynonyms::Count);
        }
        let found = if found.is_empty() { typed.clone() } else { found };
        Ok(Self { typed, found, text: text.to_owned() })
    }
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
        let read = |rule: &str| {
            let Synonyms { typed, found, .. } = Synonyms::parse(rule).unwrap();
            [typed, found].map(|phrases| phrases.into_iter().map(|phrase| phrase.text).collect::<Vec<_>>())
        };
        assert_eq!(read("Sneaker, trainer"), [["sneaker", "trainer"]; 2]);
        assert_eq!(read("handy => phone"), [["handy"], ["phone"]]);
        assert_eq!(read("T-Shirt,  wedding  dress"), [["t shirt", "wedding dress"]; 2]);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in
            ["", "alone", "a,,b", "=> b", "a =>", "a b c d e, f", "a => b => c", "\u{80cc}\u{5305}, c"]
        {
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
