//! The search policy for text: the nearest images by meaning, and products by keywords.

pub mod policy;

use policy::{Settings, words};
use taja_plugin::{
    host::{Named, catalogue, embed},
    search::{self, Guest, Leg, Measure, Part, Query, depth, leg_name},
};

/// The component.
pub struct SearchText;

impl Guest for SearchText {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let mut legs = Vec::with_capacity(query.parts.len() * 2);
        for (at, part) in (0..).zip(&query.parts) {
            let words = words_of(part)?;
            if settings.vector_weight > 0.0 {
                legs.push(vector_leg(words, at, part.weight, query.limit, &settings)?);
            }
            if settings.keyword_weight > 0.0 {
                legs.push(keyword_leg(words, at, part.weight, query.limit, &settings)?);
            }
        }
        Ok(legs)
    }
}

fn words_of(part: &Part) -> Result<&str, String> {
    let text = part.text().ok_or("the query holds no text")?;
    words(text).ok_or_else(|| "the text of the query is empty".to_owned())
}

fn vector_leg(words: &str, part: u32, weight: f32, limit: u32, settings: &Settings) -> Result<Leg, String> {
    let vectors = embed::texts(&[settings.prompt(words)]).named("embed.texts")?;
    let hits = search::nearest(&vectors, limit).named("catalogue.nearest")?;
    let name = leg_name("text-vector", part);
    Ok(Leg { name, part, measure: Measure::Cosine, weight: settings.vector_weight * weight, hits })
}

fn keyword_leg(words: &str, part: u32, weight: f32, limit: u32, settings: &Settings) -> Result<Leg, String> {
    let hits = catalogue::keyword(&settings.keywords(words), "", depth(limit)).named("catalogue.keyword")?;
    let name = leg_name("text-keyword", part);
    Ok(Leg { name, part, measure: Measure::Relevance, weight: settings.keyword_weight * weight, hits })
}

taja_plugin::search::export!(SearchText);
