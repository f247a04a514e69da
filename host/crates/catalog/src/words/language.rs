//! Languages whose words are found by their stems.

use std::{fmt, str::FromStr};

use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};

use super::fold;

/// A language, by its code in ISO 639-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(usize);

/// Every language that is known: those that Snowball has a stemmer for.
const LANGUAGES: [(&str, Algorithm); 18] = [
    ("ar", Algorithm::Arabic),
    ("da", Algorithm::Danish),
    ("de", Algorithm::German),
    ("el", Algorithm::Greek),
    ("en", Algorithm::English),
    ("es", Algorithm::Spanish),
    ("fi", Algorithm::Finnish),
    ("fr", Algorithm::French),
    ("hu", Algorithm::Hungarian),
    ("it", Algorithm::Italian),
    ("nl", Algorithm::Dutch),
    ("no", Algorithm::Norwegian),
    ("pt", Algorithm::Portuguese),
    ("ro", Algorithm::Romanian),
    ("ru", Algorithm::Russian),
    ("sv", Algorithm::Swedish),
    ("ta", Algorithm::Tamil),
    ("tr", Algorithm::Turkish),
];

impl Language {
    /// English, by whose stems every store finds plain Latin words.
    pub const ENGLISH: Self = Self(4);

    /// The codes of all, by alphabet.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        LANGUAGES.iter().map(|(code, _)| *code)
    }

    /// Its code.
    pub fn code(self) -> &'static str {
        LANGUAGES[self.0].0
    }

    /// What finds the stems of its words.
    pub(super) fn stems(self) -> Stems {
        Stems(Stemmer::create(LANGUAGES[self.0].1))
    }
}

/// Languages that a shop may write in.
pub const MAX_LANGUAGES: usize = 4;

/// The languages that a shop writes in: none, one, or several. In JSON null, a code, or a list of codes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "OneOrMany")]
pub struct Languages(Vec<Language>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    None(()),
    One(Language),
    Many(Vec<Language>),
}

impl From<OneOrMany> for Languages {
    fn from(languages: OneOrMany) -> Self {
        match languages {
            OneOrMany::None(()) => Self::default(),
            OneOrMany::One(language) => [language].into_iter().collect(),
            OneOrMany::Many(languages) => languages.into_iter().collect(),
        }
    }
}

impl From<Languages> for OneOrMany {
    fn from(Languages(languages): Languages) -> Self {
        match languages[..] {
            [] => Self::None(()),
            [language] => Self::One(language),
            _ => Self::Many(languages),
        }
    }
}

impl FromIterator<Language> for Languages {
    /// Each of them once.
    fn from_iter<I: IntoIterator<Item = Language>>(languages: I) -> Self {
        let mut all = Vec::new();
        for language in languages {
            if !all.contains(&language) {
                all.push(language);
            }
        }
        Self(all)
    }
}

impl std::ops::Deref for Languages {
    type Target = [Language];

    fn deref(&self) -> &[Language] {
        &self.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The code is of no language that has stems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no language whose stems are known")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(code: &str) -> Result<Self, UnknownLanguage> {
        let known = Self::codes().position(|known| known == code);
        known.map(Self).ok_or_else(|| UnknownLanguage(code.chars().take(20).collect()))
    }
}

impl TryFrom<String> for Language {
    type Error = UnknownLanguage;

    fn try_from(code: String) -> Result<Self, UnknownLanguage> {
        code.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.code().to_owned()
    }
}

/// A stemmer of Snowball.
pub(super) struct Stems(Stemmer);

impl Stems {
    /// The stem of a word in lower case with its diacritics, folded.
    pub(super) fn of(&self, word: &str) -> String {
        fold(&self.0.stem(word))
    }
}

impl fmt::Debug for Stems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stems")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_word_is_too_much_for_a_stemmer(word in "\\PC{0,12}") {
            for code in Language::codes() {
                code.parse::<Language>().unwrap().stems().of(&word.to_lowercase());
            }
        }
    }

    #[test]
    fn a_language_is_known_by_its_code() {
        assert_eq!(Language::ENGLISH.code(), "en");
        for code in Language::codes() {
            assert_eq!(code.parse::<Language>().unwrap().to_string(), code);
        }
        assert!("xx".parse::<Language>().is_err());
        assert!(serde_json::from_str::<Language>("\"EN\"").is_err());
    }

    #[test]
    fn languages_come_back_as_they_were_written() {
        for text in ["null", "\"de\"", "[\"de\",\"fr\"]"] {
            let languages: Languages = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&languages).unwrap(), text);
        }
        let twice: Languages = serde_json::from_str("[\"de\",\"de\"]").unwrap();
        assert_eq!(twice.len(), 1);
        assert!(serde_json::from_str::<Languages>("[\"xx\"]").is_err());
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        let stem = |code: &str, word: &str| code.parse::<Language>().unwrap().stems().of(word);
        assert_eq!(stem("de", "häuser"), stem("de", "haus"));
        assert_eq!(stem("fr", "imperméables"), stem("fr", "imperméable"));
        assert_eq!(stem("ru", "красный"), stem("ru", "красная"));
    }
}
