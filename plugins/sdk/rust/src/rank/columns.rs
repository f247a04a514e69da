//! The attributes of products that the manifest asks for, as typed columns.

use super::{Candidates, TextColumn};

/// A numeric attribute of every product.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a>(&'a [f64]);

impl Numbers<'_> {
    /// The number of one product; none where it is missing.
    pub fn get(&self, product: u32) -> Option<f64> {
        self.0.get(product as usize).copied().filter(|number| !number.is_nan())
    }
}

/// A text attribute of every product.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a>(&'a TextColumn);

impl<'a> Texts<'a> {
    /// The text of one product; none where it is missing.
    pub fn get(&self, product: u32) -> Option<&'a str> {
        let code = self.0.codes.get(product as usize)?;
        self.0.dictionary.get(*code as usize).map(String::as_str)
    }
}

impl Candidates {
    /// The numeric attribute `name`. The error is for the author: the manifest does not ask for it.
    pub fn number(&self, name: &str) -> Result<Numbers<'_>, String> {
        let column = self.numbers.iter().find(|column| column.name == name);
        column.map(|column| Numbers(&column.values)).ok_or_else(|| missing(name, "numbers"))
    }

    /// The text attribute `name`. The error is for the author: the manifest does not ask for it.
    pub fn text(&self, name: &str) -> Result<Texts<'_>, String> {
        self.texts.iter().find(|column| column.name == name).map(Texts).ok_or_else(|| missing(name, "texts"))
    }
}

fn missing(name: &str, list: &str) -> String {
    format!("column {name} was not asked for: add \"{name}\" to {list} under [columns] in plugin.toml")
}

#[cfg(test)]
mod tests {
    use crate::testing::Sample;

    #[test]
    fn values_are_read_by_product_and_missing_ones_are_none() {
        let candidates = Sample::new(&["price"], &["color"])
            .product("lamp", &[("price", 39.9)], &[])
            .product("vase", &[], &[("color", "red")])
            .candidates();
        let (price, color) = (candidates.number("price").unwrap(), candidates.text("color").unwrap());
        assert_eq!([0, 1, 2].map(|product| price.get(product)), [Some(39.9), None, None]);
        assert_eq!([0, 1, 2].map(|product| color.get(product)), [None, Some("red"), None]);
    }

    #[test]
    fn a_column_nobody_asked_for_is_an_error_that_says_what_to_do() {
        let candidates = Sample::new(&["price"], &[]).candidates();
        let error = candidates.number("stock").unwrap_err();
        assert!(error.contains("add \"stock\" to numbers under [columns] in plugin.toml"), "{error}");
        assert!(candidates.text("price").unwrap_err().contains("texts"));
    }
}
