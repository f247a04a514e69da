//! What a tenant may set.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// Where codes are looked for unless told otherwise.
const FIELDS: [&str; 5] =
    ["attributes.ean", "attributes.gtin", "attributes.upc", "attributes.barcode", "sku"];
/// Most fields.
const MAX_FIELDS: usize = 10;

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The fields that may hold a product's code.
    pub fields: Vec<String>,
    /// How much the leg counts.
    pub weight: f32,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            fields: given.texts("fields", &FIELDS, MAX_FIELDS)?,
            weight: given.number("weight", 1.0, 0.01..=10.0)? as f32,
        };
        if settings.fields.is_empty() || settings.fields.iter().any(String::is_empty) {
            return Err(given.problem("fields", "names no field, or one without a name"));
        }
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
    fn there_is_at_least_one_field_with_a_name() {
        for text in [r#"{"fields": []}"#, r#"{"fields": ["sku", ""]}"#] {
            assert_eq!(Settings::parse(text).unwrap_err().name, "fields");
        }
    }
}
