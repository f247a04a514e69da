//! The settings of a policy: a JSON object read strictly, so that a misspelt key is an error and not a default.
//!
//! Written by hand because it is linked into every component: `serde_json` makes each of them 30 KB larger than
//! this does, and most of that is the general conversion of decimal numbers.

#[cfg(feature = "manifest")]
pub mod manifest;

use std::{fmt, ops::RangeInclusive};

use crate::json::{self, Value};

/// A setting the policy does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The key; empty when the settings as a whole are at fault.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl InvalidSetting {
    /// A problem with one setting.
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return write!(f, "settings {}", self.problem);
        }
        write!(f, "setting {} {}", self.name, self.problem)
    }
}

impl std::error::Error for InvalidSetting {}

/// Settings from which a policy takes one value after the other. [`Settings::finish`] refuses what nobody took.
pub struct Settings {
    /// What stands before the names in errors: empty, or for an entry of a list for instance `rules[2].`.
    prefix: String,
    given: Vec<(String, Value)>,
    known: Vec<&'static str>,
}

impl Settings {
    /// Reads JSON text; the empty text stands for no settings.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::of(String::new(), Vec::new()));
        }
        match json::parse(text) {
            Ok(Value::Object(given)) => Ok(Self::of(String::new(), given)),
            Ok(_) => Err(InvalidSetting::new("", "are not a JSON object")),
            Err(error) => Err(InvalidSetting::new("", error.to_string())),
        }
    }

    fn of(prefix: String, given: Vec<(String, Value)>) -> Self {
        Self { prefix, given, known: Vec::new() }
    }

    /// A problem with one of these settings, for what only the policy can judge.
    pub fn problem(&self, name: &str, problem: impl Into<String>) -> InvalidSetting {
        InvalidSetting::new(&format!("{}{name}", self.prefix), problem)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let place = self.given.iter().position(|(key, _)| key == name)?;
        Some(self.given.swap_remove(place).1)
    }

    /// A number inside `range`.
    pub fn number(
        &mut self,
        name: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, InvalidSetting> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Number(number)) if number < *range.start() => {
                Err(self.problem(name, "is smaller than the manifest allows"))
            }
            Some(Value::Number(number)) if number > *range.end() => {
                Err(self.problem(name, "is larger than the manifest allows"))
            }
            Some(Value::Number(number)) => Ok(number),
            Some(_) => Err(self.problem(name, "is not a number")),
        }
    }

    /// A whole number inside `range`.
    pub fn whole(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Result<u32, InvalidSetting> {
        let bounds = f64::from(*range.start())..=f64::from(*range.end());
        let number = self.number(name, f64::from(default), bounds)?;
        if number.trunc() != number {
            return Err(self.problem(name, "is not a whole number"));
        }
        // The range is one of u32, and the number lies inside it.
        Ok(number as u32)
    }

    /// True or false.
    pub fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, InvalidSetting> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.problem(name, "is not true or false")),
        }
    }

    /// Text.
    pub fn text(&mut self, name: &'static str, default: &str) -> Result<String, InvalidSetting> {
        match self.take(name) {
            None => Ok(default.to_owned()),
            Some(Value::Text(text)) => Ok(text),
            Some(_) => Err(self.problem(name, "is not text")),
        }
    }

    /// Texts, at most `most`; `default` where there are none given.
    pub fn texts(
        &mut self,
        name: &'static str,
        default: &[&str],
        most: usize,
    ) -> Result<Vec<String>, InvalidSetting> {
        let Some(entries) = self.entries(name, most)? else {
            return Ok(default.iter().map(|text| (*text).to_owned()).collect());
        };
        let text = |entry| match entry {
            Value::Text(text) => Ok(text),
            _ => Err(self.problem(name, "holds something that is not text")),
        };
        entries.into_iter().map(text).collect()
    }

    /// Objects, at most `most`, each to be taken apart like the settings themselves; none where they are not given.
    pub fn list(&mut self, name: &'static str, most: usize) -> Result<Vec<Self>, InvalidSetting> {
        let entries = self.entries(name, most)?.unwrap_or_default();
        let object = |(entry, at)| match entry {
            Value::Object(given) => Ok(Self::of(format!("{}{name}[{at}].", self.prefix), given)),
            _ => Err(self.problem(name, format!("holds at place {at} something that is not an object"))),
        };
        entries.into_iter().zip(0_usize..).map(object).collect()
    }

    fn entries(&mut self, name: &'static str, most: usize) -> Result<Option<Vec<Value>>, InvalidSetting> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::List(entries)) if entries.len() > most => {
                Err(self.problem(name, format!("holds more than {most} entries")))
            }
            Some(Value::List(entries)) => Ok(Some(entries)),
            Some(_) => Err(self.problem(name, "is not a list")),
        }
    }

    /// One of a few words, the first of which is the default.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<T, InvalidSetting> {
        let (default, _) = words.first().ok_or_else(|| self.problem(name, "has no words to choose"))?;
        let given = self.text(name, default)?;
        match words.iter().find(|(word, _)| *word == given) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.problem(name, format!("is none of {}", words.join(", "))))
            }
        }
    }

    /// Refuses a setting that was given and that no one took.
    pub fn finish(self) -> Result<(), InvalidSetting> {
        match self.given.first() {
            None => Ok(()),
            Some((name, _)) => {
                let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
                Err(self.problem(name, format!("is not known; there are {known}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_named_with_those_there_are() {
        let mut settings = Settings::parse(r#"{"kk": 3}"#).unwrap();
        assert_eq!(settings.number("k", 60.0, 1.0..=100.0), Ok(60.0));
        settings.flag("fold", true).unwrap();
        let error = settings.finish().unwrap_err();
        assert_eq!(error.to_string(), "setting kk is not known; there are k, fold");
    }

    #[test]
    fn values_of_another_type_or_outside_the_range_are_refused_by_name() {
        let text = r#"{"a": "1", "b": 7, "c": 1.5, "d": null, "e": -1, "f": 3}"#;
        let mut settings = Settings::parse(text).unwrap();
        assert_eq!(settings.number("a", 0.0, 0.0..=1.0).unwrap_err().name, "a");
        assert_eq!(settings.text("b", "").unwrap_err().name, "b");
        assert_eq!(settings.whole("c", 1, 0..=9).unwrap_err().name, "c");
        assert_eq!(settings.flag("d", false).unwrap_err().name, "d");
        assert!(settings.whole("e", 1, 0..=9).unwrap_err().problem.contains("smaller"));
        assert!(settings.whole("f", 1, 0..=2).unwrap_err().problem.contains("larger"));
    }

    #[test]
    fn a_choice_defaults_to_its_first_word_and_refuses_others() {
        let words = [("uniform", 1), ("scene-change", 2)];
        assert_eq!(Settings::parse("").unwrap().choice("plan", &words), Ok(1));
        assert_eq!(Settings::parse(r#"{"plan":"scene-change"}"#).unwrap().choice("plan", &words), Ok(2));
        let error = Settings::parse(r#"{"plan":"random"}"#).unwrap().choice("plan", &words).unwrap_err();
        assert_eq!(error.to_string(), "setting plan is none of uniform, scene-change");
    }

    #[test]
    fn entries_of_lists_are_read_like_settings_and_named_with_their_place() {
        let text = r#"{"rules": [{"by": 2}, {"buy": 3}], "fields": ["sku", "ean"]}"#;
        let mut settings = Settings::parse(text).unwrap();
        assert_eq!(settings.texts("fields", &["gtin"], 3), Ok(vec!["sku".to_owned(), "ean".to_owned()]));
        let mut rules = settings.list("rules", 2).unwrap();
        assert_eq!(rules[0].whole("by", 1, 1..=9), Ok(2));
        assert_eq!(rules[1].whole("by", 1, 1..=9), Ok(1));
        assert_eq!(rules[0].problem("by", "is odd").to_string(), "setting rules[0].by is odd");
        let error = rules.remove(1).finish().unwrap_err();
        assert_eq!(error.to_string(), "setting rules[1].buy is not known; there are by");
        assert!(settings.finish().is_ok());
    }

    #[test]
    fn lists_of_something_else_or_too_long_are_refused_by_name() {
        let text = r#"{"a": {}, "b": [1], "c": ["x", "y"], "d": [{}, 1]}"#;
        let mut settings = Settings::parse(text).unwrap();
        assert_eq!(settings.texts("a", &[], 9).unwrap_err().to_string(), "setting a is not a list");
        assert_eq!(settings.texts("b", &[], 9).unwrap_err().name, "b");
        assert!(settings.texts("c", &[], 1).unwrap_err().problem.contains("more than 1"));
        assert!(settings.list("d", 9).err().unwrap().problem.contains("place 1"));
        assert_eq!(settings.texts("e", &["z"], 9), Ok(vec!["z".to_owned()]));
        assert!(settings.list("f", 9).unwrap().is_empty());
    }

    #[test]
    fn settings_that_are_no_object_are_refused() {
        assert!(Settings::parse("[1]").is_err());
        assert!(Settings::parse("{").is_err());
        assert!(Settings::parse(r#"{"a": 1, "a": 2}"#).is_err());
        assert!(Settings::parse("  ").unwrap().finish().is_ok());
    }
}
