//! What a tenant may set.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How much a picture counts in the blend.
    pub image_weight: f32,
    /// How much words count in the blend.
    pub text_weight: f32,
    /// The text whose vector is taken away from that of the words.
    pub neutral: Option<String>,
    /// How much the leg of vectors counts.
    pub vector_weight: f32,
    /// How much each leg of words alone counts.
    pub words_weight: f32,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            image_weight: given.number("image_weight", 1.0, 0.0..=10.0)? as f32,
            text_weight: given.number("text_weight", 1.0, 0.0..=10.0)? as f32,
            neutral: Some(given.text("neutral", "")?).filter(|text| !text.trim().is_empty()),
            vector_weight: given.number("vector_weight", 1.0, 0.01..=10.0)? as f32,
            words_weight: given.number("words_weight", 0.5, 0.0..=10.0)? as f32,
        };
        given.finish()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
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
    fn an_empty_neutral_text_is_none() {
        assert_eq!(Settings::parse(r#"{"neutral": " "}"#).unwrap().neutral, None);
    }
}
