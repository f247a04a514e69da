//! Looks words up by their meaning and as keywords, one leg each.

use taja_plugin::{
    host::{
        Named,
        catalogue::{self, Hits},
        embed,
        types::Error,
    },
    search::{self, Guest, Leg, Measure, Part, Query, depth, leg_name},
    settings::{InvalidSetting, Settings as Given},
    warn,
};

/// The component.
pub struct {{type}};

impl Guest for {{type}} {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let mut legs = Vec::new();
        for (at, part) in (0..).zip(&query.parts) {
            let words = words(part).ok_or_else(|| format!("part {at} holds no words"))?;
            let hits = catalogue::keyword(words, "", depth(query.limit)).named("catalogue.keyword")?;
            let (name, weight) = (leg_name("{{name}}-keyword", at), settings.keyword_weight * part.weight);
            legs.push(Leg { name, part: at, measure: Measure::Relevance, weight, hits });
            if let Some(hits) = near(words, query.limit)? {
                let (name, weight) = (leg_name("{{name}}-vector", at), settings.vector_weight * part.weight);
                legs.push(Leg { name, part: at, measure: Measure::Cosine, weight, hits });
            }
        }
        Ok(legs)
    }
}

taja_plugin::search::export!({{type}});

fn words(part: &Part) -> Option<&str> {
    part.text().map(str::trim).filter(|words| !words.is_empty())
}

/// The images nearest to the words; none while the model is not there, for keywords are better than nothing.
fn near(words: &str, limit: u32) -> Result<Option<Hits>, String> {
    let vectors = match embed::texts(&[words.to_owned()]) {
        Err(Error::Unavailable(reason)) => {
            warn!("searched by keywords alone: {reason}");
            return Ok(None);
        }
        answer => answer.named("embed.texts")?,
    };
    search::nearest(&vectors, limit).named("catalogue.nearest").map(Some)
}

/// What a tenant may set, with the defaults of `plugin.toml`.
#[derive(Debug, PartialEq)]
struct Settings {
    vector_weight: f32,
    keyword_weight: f32,
}

impl Settings {
    fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            vector_weight: given.number("vector_weight", 0.5, 0.01..=10.0)? as f32,
            keyword_weight: given.number("keyword_weight", 0.5, 0.01..=10.0)? as f32,
        };
        given.finish()?;
        Ok(settings)
    }
}

// What calls the host is tested in the sandbox, by the cases in `tests/`.
#[cfg(test)]
mod tests {
    use taja_plugin::search::Content;

    use super::*;

    #[test]
    fn white_space_around_words_is_no_part_of_them() {
        let part = |text: &str| Part {
            modality: "{{name}}".to_owned(),
            content: Content::Text(text.to_owned()),
            weight: 1.0,
        };
        assert_eq!(words(&part("  red shoe\n")), Some("red shoe"));
        assert_eq!(words(&part(" ")), None);
    }

    #[test]
    fn the_manifest_and_the_code_agree() {
        taja_plugin::settings::manifest::assert_agrees(
            include_str!("../plugin.toml"),
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            |text| Settings::parse(text).map_err(|error| error.to_string()),
        );
    }
}
