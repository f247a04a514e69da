//! The search policy for text: the nearest images by meaning, and products by keywords.

pub mod policy;

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "taja:plugin/search", generate_all });
}

use bindings::{
    exports::taja::plugin::searching::{Content, Guest, Leg, Measure, Part, Query},
    taja::host::{catalogue, embed, types::Error},
};
use policy::{Settings, depth, leg_name, words};

/// The component.
pub struct SearchText;

impl Guest for SearchText {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let depth = depth(query.limit);
        let mut legs = Vec::with_capacity(query.parts.len() * 2);
        for (at, part) in (0..).zip(&query.parts) {
            let words = words_of(part)?;
            if settings.vector_weight > 0.0 {
                legs.push(vector_leg(words, at, part.weight, depth, &settings)?);
            }
            if settings.keyword_weight > 0.0 {
                legs.push(keyword_leg(words, at, part.weight, depth, &settings)?);
            }
        }
        Ok(legs)
    }
}

fn words_of(part: &Part) -> Result<&str, String> {
    match &part.content {
        Content::Text(text) => words(text).ok_or_else(|| "the text of the query is empty".to_owned()),
        Content::Image(_) | Content::Video(_) => Err("the query holds no text".to_owned()),
    }
}

fn vector_leg(words: &str, part: u32, weight: f32, depth: u32, settings: &Settings) -> Result<Leg, String> {
    let vectors = embed::texts(&[settings.prompt(words)]).map_err(|error| refused("embed.texts", &error))?;
    let hits =
        catalogue::nearest(&vectors, "", depth).map_err(|error| refused("catalogue.nearest", &error))?;
    let name = leg_name("text-vector", part);
    Ok(Leg { name, part, measure: Measure::Cosine, weight: settings.vector_weight * weight, hits })
}

fn keyword_leg(words: &str, part: u32, weight: f32, depth: u32, settings: &Settings) -> Result<Leg, String> {
    let hits = catalogue::keyword(&settings.keywords(words), "", depth)
        .map_err(|error| refused("catalogue.keyword", &error))?;
    let name = leg_name("text-keyword", part);
    Ok(Leg { name, part, measure: Measure::Relevance, weight: settings.keyword_weight * weight, hits })
}

/// What the host refused, and why.
fn refused(call: &str, error: &Error) -> String {
    let (kind, text) = match error {
        Error::Denied(text) => ("denied", text),
        Error::Quota(text) => ("out of quota", text),
        Error::TooLarge(text) => ("too large", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Invalid(text) => ("invalid", text),
    };
    format!("{call} was refused ({kind}): {text}")
}

#[cfg(target_arch = "wasm32")]
bindings::export!(SearchText with_types_in bindings);
