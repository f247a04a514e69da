//! What is looked up for a text.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// Stands for the words of the query in a template.
const PLACEHOLDER: &str = "{text}";

/// Words that stand in every text and say nothing about a product, in English.
const IGNORED: &str = "a an and any are at be by can do for from get good has have i in is it like looking me my need of on or \
                       please really show some something that the thing things this to want what which will with you your";

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is embedded.
    pub template: String,
    /// How much the nearest images count.
    pub vector_weight: f32,
    /// How much keywords count.
    pub keyword_weight: f32,
    /// Words that are no keywords, in lower case.
    ignored: Vec<String>,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        // Together the legs of a text count as much as the one leg of a picture. Where words are found they are nearly always
        // meant: seven parts of ten was the least, in steps of a tenth, at which both together found as much of the sample
        // shop and of a grocery as the better one alone.
        let settings = Self {
            template: given.text("template", PLACEHOLDER)?,
            vector_weight: given.number("vector_weight", 0.3, 0.0..=10.0)? as f32,
            keyword_weight: given.number("keyword_weight", 0.7, 0.0..=10.0)? as f32,
            ignored: given
                .text("ignored_words", IGNORED)?
                .split_whitespace()
                .map(str::to_lowercase)
                .collect(),
        };
        given.finish()?;
        if !settings.template.contains(PLACEHOLDER) {
            return Err(InvalidSetting::new("template", "does not contain {text}"));
        }
        if settings.vector_weight + settings.keyword_weight == 0.0 {
            return Err(InvalidSetting::new("vector_weight", "and keyword_weight are both 0"));
        }
        Ok(settings)
    }

    /// The text to embed.
    pub fn prompt(&self, words: &str) -> String {
        self.template.replace(PLACEHOLDER, words)
    }

    /// The words worth looking up: all but the ignored ones, or all when nothing else is left.
    pub fn keywords(&self, words: &str) -> String {
        let says_something = |word: &&str| {
            let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
            !self.ignored.contains(&bare)
        };
        let kept: Vec<_> = words.split_whitespace().filter(says_something).collect();
        if kept.is_empty() { words.to_owned() } else { kept.join(" ") }
    }
}

/// The words of a query without the white space around them; none when nothing is left.
pub fn words(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use taja_plugin::search::leg_name;

    use super::*;

    #[test]
    fn the_manifest_and_the_code_agree() {
        taja_plugin::settings::manifest::assert_agrees(
            include_str!("../plugin.toml"),
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            |text| Settings::parse(text).map_err(|error| error.to_string()),
        );
    }

    #[test]
    fn words_that_say_nothing_are_not_looked_up() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(settings.keywords("Something red, to WEAR in the sun"), "red, WEAR sun");
        assert_eq!(settings.keywords("what is it?"), "what is it?");
        assert_eq!(Settings::parse(r#"{"ignored_words": "der die"}"#).unwrap().keywords("die rote"), "rote");
    }

    #[test]
    fn the_template_surrounds_the_words() {
        let settings = Settings::parse(r#"{"template": "a photo of {text}"}"#).unwrap();
        assert_eq!(settings.prompt("{text} shoes"), "a photo of {text} shoes");
        assert_eq!(Settings::parse("").unwrap().prompt("red shoes"), "red shoes");
        assert_eq!(Settings::parse(r#"{"template": "a photo"}"#).unwrap_err().name, "template");
    }

    #[test]
    fn a_policy_with_no_leg_left_is_refused() {
        assert!(Settings::parse(r#"{"vector_weight": 0, "keyword_weight": 0}"#).is_err());
        assert!(Settings::parse(r#"{"vector_weight": 0}"#).is_ok());
    }

    #[test]
    fn white_space_alone_is_no_query() {
        assert_eq!(words(" \t\u{a0}\u{3000}\n"), None);
        assert_eq!(words("  red shoes\n"), Some("red shoes"));
    }

    #[test]
    fn legs_of_further_parts_are_numbered() {
        assert_eq!(
            [0, 1, 2].map(|part| leg_name("text-vector", part)),
            ["text-vector", "text-vector-2", "text-vector-3"]
        );
    }
}
