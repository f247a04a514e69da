//! What a column is called, and what the cells of an attribute hold: text, unless the name of its column says otherwise.

use serde_json::{Number, Value};
use taja_catalog::date;

use super::fraction;

/// What a column of an attribute begins with.
pub const ATTRIBUTE: &str = "attributes.";

/// A column of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// The field, without what is said of its type.
    pub name: String,
    /// What the cells of an attribute hold.
    pub kind: Kind,
}

/// What cells hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Texts between `|`.
    List,
    /// A date or a moment as RFC 3339 writes it.
    Date,
}

impl Column {
    /// Reads `attributes.NAME:TYPE`; any other heading is a name. The reason completes a sentence that begins with the column.
    pub fn read(heading: &str) -> Result<Self, String> {
        let typed = heading.strip_prefix(ATTRIBUTE).and_then(|attribute| attribute.rsplit_once(':'));
        let Some((attribute, kind)) = typed else {
            return Ok(Self { name: heading.to_owned(), kind: Kind::Text });
        };
        let kind = Kind::named(kind.trim()).ok_or_else(|| {
            format!("is called {heading}, and what follows the colon is none of text, number, boolean, list and date")
        })?;
        Ok(Self { name: format!("{ATTRIBUTE}{}", attribute.trim()), kind })
    }
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            "list" => Some(Self::List),
            "date" => Some(Self::Date),
            _ => None,
        }
    }

    /// What a cell says. The reason completes a sentence that begins with the column.
    pub fn value(self, cell: &str, separator: u8) -> Result<Value, &'static str> {
        let plain = cell.trim();
        match self {
            Self::Text => Ok(cell.into()),
            Self::Number => number(&fraction(plain, separator)).ok_or("is not a number"),
            Self::Boolean if plain.eq_ignore_ascii_case("true") => Ok(true.into()),
            Self::Boolean if plain.eq_ignore_ascii_case("false") => Ok(false.into()),
            Self::Boolean => Err("is neither true nor false"),
            Self::List => Ok(plain
                .split('|')
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
                .map(Value::from)
                .collect()),
            Self::Date if date::milliseconds(plain).is_some() => Ok(plain.into()),
            Self::Date => Err("is not a date such as 2026-03-01 or 2026-03-01T12:30:00+01:00"),
        }
    }
}

fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    text.parse().ok().and_then(Number::from_f64).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("attributes.fit", "attributes.fit", Kind::Text)]
    #[case("attributes.fit:text", "attributes.fit", Kind::Text)]
    #[case("attributes.a:b:number", "attributes.a:b", Kind::Number)]
    #[case("attributes.fit : list", "attributes.fit", Kind::List)]
    #[case("price:number", "price:number", Kind::Text)]
    fn only_an_attribute_says_its_type(#[case] heading: &str, #[case] name: &str, #[case] kind: Kind) {
        assert_eq!(Column::read(heading), Ok(Column { name: name.to_owned(), kind }));
    }

    #[rstest]
    #[case("attributes.fit:integer")]
    #[case("attributes.fit:Number")]
    #[case("attributes.fit:")]
    fn a_type_that_nobody_knows_is_refused(#[case] heading: &str) {
        assert!(Column::read(heading).unwrap_err().starts_with(&format!("is called {heading}, and")));
    }

    #[rstest]
    #[case(Kind::Text, " 1.5 ", json!(" 1.5 "))]
    #[case(Kind::Number, " 1.5 ", json!(1.5))]
    #[case(Kind::Number, "-12", json!(-12))]
    #[case(Kind::Number, "1e3", json!(1000.0))]
    #[case(Kind::Number, "3,50", json!(3.5))]
    #[case(Kind::Boolean, "TRUE", json!(true))]
    #[case(Kind::Boolean, "false", json!(false))]
    #[case(Kind::List, "a| b ||c;d", json!(["a", "b", "c;d"]))]
    #[case(Kind::List, "one", json!(["one"]))]
    #[case(Kind::Date, " 2026-03-01", json!("2026-03-01"))]
    #[case(Kind::Date, "2026-03-01T12:30:00+01:00", json!("2026-03-01T12:30:00+01:00"))]
    fn a_cell_is_what_its_column_says(#[case] kind: Kind, #[case] cell: &str, #[case] said: Value) {
        assert_eq!(kind.value(cell, b';'), Ok(said));
    }

    #[rstest]
    #[case(Kind::Number, "wide")]
    #[case(Kind::Number, "1.234,5")]
    #[case(Kind::Number, "inf")]
    #[case(Kind::Number, "NaN")]
    #[case(Kind::Number, "1e999")]
    #[case(Kind::Boolean, "1")]
    #[case(Kind::Boolean, "yes")]
    #[case(Kind::Date, "01.03.2026")]
    #[case(Kind::Date, "2026-02-30")]
    fn a_cell_that_is_not_is_told(#[case] kind: Kind, #[case] cell: &str) {
        assert!(kind.value(cell, b';').is_err());
    }
}
