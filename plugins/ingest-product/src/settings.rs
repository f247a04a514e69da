//! What a tenant may set.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Least width and height of a picture, pixels.
    pub min_side: u32,
    /// Whether look-alikes are looked for.
    pub near_duplicates: bool,
    /// Most differing bits of the perceptual hashes of look-alikes.
    pub near_distance: u32,
    /// Least cosine of look-alikes.
    pub near_cosine: f32,
    /// Least cosine at which a picture is a look-alike whatever its hash says.
    pub same_cosine: f32,
    /// What becomes of a product whose pictures are all known.
    pub on_known: OnKnown,
    /// What becomes of the pictures a known product does not have yet.
    pub on_partial: OnPartial,
    /// How often the name stands in the index text.
    pub name_repeats: usize,
}

/// What to do when one stored product has some of the pictures, but not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPartial {
    /// A new product with the others.
    Create,
    /// The others join the stored product.
    Merge,
}

/// What to do when every picture is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnKnown {
    /// Nothing: it is a duplicate.
    Duplicate,
    /// Its terms, if they are others, become an offer of the product that has most of the pictures.
    Offer,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            min_side: given.whole("min_side", 16, 1..=4096)?,
            near_duplicates: given.flag("near_duplicates", true)?,
            near_distance: given.whole("near_distance", 4, 0..=32)?,
            near_cosine: given.number("near_cosine", 0.92, 0.0..=1.0)? as f32,
            same_cosine: given.number("same_cosine", 1.0, 0.0..=1.0)? as f32,
            on_known: given
                .choice("on_known", &[("offer", OnKnown::Offer), ("duplicate", OnKnown::Duplicate)])?,
            on_partial: given
                .choice("on_partial", &[("create", OnPartial::Create), ("merge", OnPartial::Merge)])?,
            name_repeats: given.whole("name_repeats", 2, 1..=5)? as usize,
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
}
