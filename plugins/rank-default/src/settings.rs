//! What a tenant may set.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The constant of reciprocal-rank fusion.
    pub k: f64,
    /// How much a match by words loses for being less relevant than the best one of its leg: 0 nothing, 1 in proportion.
    pub relevance_share: f64,
    /// Least cosine of a match, by the modality of its part.
    pub min_cosine: MinCosine,
    /// Least share of the leg's best cosine.
    pub relative_cut: f64,
    /// Matches shown per product, at most.
    pub evidence: usize,
    /// Number of products whose place is explained; the contract takes a hundred notes.
    pub notes: usize,
}

/// Least cosines. Each modality has its own: an image and its caption are far apart in the space of most models.
#[derive(Debug, Clone, PartialEq)]
pub struct MinCosine {
    text: f64,
    image: f64,
    video: f64,
    other: f64,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            k: given.number("k", 60.0, 1.0..=10_000.0)?,
            relevance_share: given.number("relevance_share", 1.0, 0.0..=1.0)?,
            min_cosine: MinCosine {
                text: given.number("min_cosine_text", 0.0, -1.0..=1.0)?,
                image: given.number("min_cosine_image", 0.0, -1.0..=1.0)?,
                video: given.number("min_cosine_video", 0.0, -1.0..=1.0)?,
                other: given.number("min_cosine_other", 0.0, -1.0..=1.0)?,
            },
            relative_cut: given.number("relative_cut", 0.0, 0.0..=1.0)?,
            evidence: given.whole("evidence", 3, 1..=20)? as usize,
            notes: given.whole("notes", 100, 0..=100)? as usize,
        };
        given.finish()?;
        Ok(settings)
    }
}

impl MinCosine {
    /// The least cosine for a modality.
    pub fn of(&self, modality: &str) -> f64 {
        match modality {
            "text" => self.text,
            "image" => self.image,
            "video" => self.video,
            _ => self.other,
        }
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
    fn each_modality_has_its_own_least_cosine() {
        let text = r#"{"min_cosine_text": 0.2, "min_cosine_video": 0.7, "min_cosine_other": 0.1}"#;
        let least = Settings::parse(text).unwrap().min_cosine;
        let of = ["text", "image", "video", "sound"].map(|modality| least.of(modality));
        assert_eq!(of, [0.2, 0.0, 0.7, 0.1]);
    }
}
