//! What of a picture is embedded.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// A centre smaller than this on a side, in pixels, holds too little to embed: models see 224 pixels and more.
const MIN_CENTRE: u32 = 32;

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How much the leg counts.
    pub vector_weight: f32,
    /// Share of the centre in the vector.
    pub centre_weight: f32,
    /// Side of the centre as a share of the picture's.
    pub centre_size: f64,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            vector_weight: given.number("vector_weight", 1.0, 0.01..=10.0)? as f32,
            centre_weight: given.number("centre_weight", 0.0, 0.0..=1.0)? as f32,
            centre_size: given.number("centre_size", 0.6, 0.2..=0.95)?,
        };
        given.finish()?;
        Ok(settings)
    }

    /// The centre to embed as well, of a picture of this size; none when it is off or too small.
    pub fn centre(&self, width: u32, height: u32) -> Option<Rectangle> {
        let (x, centre_width) = middle(width, self.centre_size);
        let (y, centre_height) = middle(height, self.centre_size);
        let wanted = self.centre_weight > 0.0 && centre_width.min(centre_height) >= MIN_CENTRE;
        wanted.then_some(Rectangle { x, y, width: centre_width, height: centre_height })
    }
}

/// A part of a picture, in pixels from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Where the middle of a side begins, and its length.
fn middle(side: u32, share: f64) -> (u32, u32) {
    let length = (f64::from(side) * share) as u32;
    ((side - length.min(side)) / 2, length.min(side))
}

/// The name of a leg: `image-vector` for the first part, `image-vector-2` for the second.
pub fn leg_name(part: u32) -> String {
    taja_plugin::search::leg_name("image-vector", part)
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
    fn the_centre_is_off_until_it_has_a_weight() {
        assert_eq!(Settings::parse("{}").unwrap().centre(1000, 1000), None);
    }

    #[test]
    fn the_centre_lies_inside_the_picture_whatever_its_size() {
        for size in [0.2, 0.6, 0.95] {
            let settings =
                Settings::parse(&format!(r#"{{"centre_weight": 0.3, "centre_size": {size}}}"#)).unwrap();
            for (width, height) in [(0, 0), (1, 1), (31, 500), (200, 301), (u32::MAX, u32::MAX)] {
                let Some(centre) = settings.centre(width, height) else { continue };
                assert!(centre.x.checked_add(centre.width).is_some_and(|right| right <= width));
                assert!(centre.y.checked_add(centre.height).is_some_and(|bottom| bottom <= height));
                assert!(centre.width >= MIN_CENTRE && centre.height >= MIN_CENTRE);
            }
        }
        let settings = Settings::parse(r#"{"centre_weight": 0.3}"#).unwrap();
        assert_eq!(settings.centre(100, 200), Some(Rectangle { x: 20, y: 40, width: 60, height: 120 }));
        assert_eq!(settings.centre(40, 400), None, "24 pixels are too few");
    }

    #[test]
    fn legs_of_further_parts_are_numbered() {
        assert_eq!([0, 1].map(leg_name), ["image-vector", "image-vector-2"]);
    }
}
