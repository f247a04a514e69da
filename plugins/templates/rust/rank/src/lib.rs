//! Orders products by reciprocal-rank fusion of the legs, and prefers what is in stock.

use taja_plugin::{
    rank::{Answer, Candidates, Guest, Ranked},
    settings::{InvalidSetting, Settings as Given},
};

/// The component.
pub struct {{type}};

impl Guest for {{type}} {
    fn rank(candidates: Candidates) -> Result<Ranked, String> {
        let settings = Settings::parse(&candidates.settings).map_err(|error| error.to_string())?;
        let stock = candidates.number("stock")?;
        let mut answer = Answer::to(&candidates);
        for (product, score) in candidates.products().zip(candidates.best().fused(settings.k)) {
            if stock.get(product).is_some_and(|pieces| pieces > 0.0) {
                answer.put(product, score * (1.0 + settings.in_stock))?.note("in stock");
            } else {
                answer.put(product, score)?;
            }
        }
        Ok(answer.finish())
    }
}

taja_plugin::rank::export!({{type}});

/// What a tenant may set, with the defaults of `plugin.toml`.
#[derive(Debug, PartialEq)]
struct Settings {
    k: f64,
    in_stock: f64,
}

impl Settings {
    fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self {
            k: given.number("k", 60.0, 1.0..=10_000.0)?,
            in_stock: given.number("in_stock", 0.2, 0.0..=1.0)?,
        };
        given.finish()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use taja_plugin::testing::Sample;

    use super::*;

    #[test]
    fn what_is_in_stock_overtakes_a_neighbour_that_is_not() {
        let sample = Sample::new(&["stock"], &[])
            .product("lamp", &[("stock", 0.0)], &[])
            .product("lantern", &[("stock", 4.0)], &[])
            .cosines("image-vector", "image", &[("lamp", 0.31), ("lantern", 0.3), ("torch", 0.2)]);
        let ranked = {{type}}::rank(sample.candidates()).unwrap();
        assert_eq!(sample.order(&ranked), ["lantern", "lamp", "torch"]);
        assert_eq!(sample.note(&ranked, "lantern"), Some("in stock"));
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
