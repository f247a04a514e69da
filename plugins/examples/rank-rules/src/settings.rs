//! What a tenant may set.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// The fields that a rule may look at: the text columns of `plugin.toml`.
pub const FIELDS: [&str; 6] = ["sku", "name", "category", "color", "attributes.brand", "attributes.label"];
/// Most rules of one list.
const MAX_RULES: usize = 50;

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The constant of reciprocal-rank fusion.
    pub k: f64,
    /// Whether products with a stock of 0 stand after all others.
    pub in_stock_first: bool,
    /// Share of the margin in the score.
    pub margin_weight: f64,
    /// Rules with the factor that the score is multiplied by.
    pub boost: Vec<Rule<f64>>,
    /// Rules for what stands last.
    pub bury: Vec<Rule<()>>,
    /// Rules with the place that a product stands at, from 1.
    pub pin: Vec<Rule<u32>>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule<T> {
    /// What notes call it.
    pub name: String,
    /// The field it looks at.
    pub field: &'static str,
    /// The value it looks for.
    pub is: String,
    /// What it does.
    pub with: T,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            k: given.number("k", 60.0, 1.0..=10_000.0)?,
            in_stock_first: given.flag("in_stock_first", true)?,
            margin_weight: given.number("margin_weight", 0.0, 0.0..=1.0)?,
            boost: rules(&mut given, "boost", |rule| rule.number("factor", 1.5, 0.1..=100.0))?,
            bury: rules(&mut given, "bury", |_| Ok(()))?,
            pin: rules(&mut given, "pin", |rule| rule.whole("place", 1, 1..=1000))?,
        };
        given.finish()?;
        Ok(settings)
    }
}

/// The rules of one list; `with` reads what stands in a rule beside its condition.
fn rules<T>(
    given: &mut Given,
    list: &'static str,
    with: impl Fn(&mut Given) -> Result<T, InvalidSetting>,
) -> Result<Vec<Rule<T>>, InvalidSetting> {
    let rule = |mut given: Given| {
        let field = given.choice("field", &FIELDS.map(|field| (field, field)))?;
        let is = given.text("is", "")?;
        if is.is_empty() {
            return Err(given.problem("is", "is missing or empty"));
        }
        let name = given.text("name", "")?;
        let name = if name.is_empty() { format!("{field} is {is}") } else { name };
        let rule = Rule { name, field, is, with: with(&mut given)? };
        given.finish()?;
        Ok(rule)
    };
    given.list(list, MAX_RULES)?.into_iter().map(rule).collect()
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
    fn the_fields_of_rules_are_the_columns_of_the_manifest() {
        let manifest = include_str!("../plugin.toml");
        let list = FIELDS.map(|field| format!("\"{field}\"")).join(", ");
        assert!(manifest.contains(&format!("texts = [{list}]")));
        assert_eq!(manifest.matches(&format!("enum = [{list}]")).count(), 3);
    }

    #[test]
    fn a_rule_is_read_with_its_defaults() {
        let settings = Settings::parse(r#"{"pin": [{"is": "RS-1"}], "boost": [{"is": "a", "name": "n"}]}"#);
        let settings = settings.unwrap();
        let pin = Rule { name: "sku is RS-1".into(), field: "sku", is: "RS-1".into(), with: 1 };
        assert_eq!(settings.pin, [pin]);
        assert_eq!((settings.boost[0].name.as_str(), settings.boost[0].with), ("n", 1.5));
    }

    #[test]
    fn a_rule_that_cannot_be_is_named_by_its_place() {
        let error = |text| Settings::parse(text).unwrap_err().to_string();
        assert_eq!(error(r#"{"pin": [{"is": "a"}, {}]}"#), "setting pin[1].is is missing or empty");
        assert!(error(r#"{"bury": [{"is": "a", "factor": 2}]}"#).starts_with("setting bury[0].factor"));
        assert!(error(r#"{"boost": [{"is": "a", "field": "size"}]}"#).starts_with("setting boost[0].field"));
    }
}
