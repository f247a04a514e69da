//! Orders by fields: what a value is sorted by, the same in every store.
//!
//! Numbers come before texts, those before truth values and those before dates: an attribute may be a number here and text
//! there, and the order must be total. It is the order of types that the stores have by themselves. Texts are ordered by their
//! bytes. What has no value comes last, whichever way the order goes.

use std::{
    cmp::{Ordering, Reverse},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    date,
    id::ProductId,
    port::Shelved,
    product::{Filterable, Moment, Product},
};

/// Longest name of a field, bytes: as in a filter.
const MAX_NAME_BYTES: usize = 80;

/// An order by a field instead of by relevance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// The field or attribute.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

impl Sort {
    /// Reads `price`, or `-price` for largest first; `price:asc` and `price:desc` are the same. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (field, descending) = match (text.strip_prefix('-'), text.rsplit_once(':')) {
            (None, Some((field, "asc"))) => (field, false),
            (None, Some((field, "desc"))) => (field, true),
            (None, None) => (text, false),
            (Some(field), None) => (field, true),
            (_, Some(_)) => ("", false),
        };
        let is_name = !field.is_empty()
            && field.len() <= MAX_NAME_BYTES
            && field.trim() == field
            && !field.starts_with(['-', '+'])
            && ![" asc", " desc"].iter().any(|order| field.to_lowercase().ends_with(order))
            && !field.contains(['"', '\0']);
        if is_name {
            Ok(Self { field: field.to_owned(), descending })
        } else {
            let shown: String = text.chars().take(MAX_NAME_BYTES).collect();
            Err(format!("{shown:?} is neither a field, such as price, nor -price, price:asc or price:desc"))
        }
    }
}

/// What a value is sorted by.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    Number(f64),
    Text(String),
    Truth(bool),
    Date(i64),
}

impl Key {
    /// Of an entry of a list, or of a value that is none.
    fn of_scalar(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::String(text) => {
                Some(date::milliseconds(text).map_or_else(|| Self::Text(text.clone()), Self::Date))
            }
            Value::Bool(truth) => Some(Self::Truth(*truth)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Of a list the entry that comes first in the order; where some are dates, of those.
    fn of(value: &Value, descending: bool) -> Option<Self> {
        let Value::Array(entries) = value else { return Self::of_scalar(value) };
        let keys = || entries.iter().filter_map(Self::of_scalar);
        let has_dates = keys().any(|key| matches!(key, Self::Date(_)));
        let keys = keys().filter(|key| !has_dates || matches!(key, Self::Date(_)));
        if descending { keys.max_by(Self::order) } else { keys.min_by(Self::order) }
    }

    fn order(&self, other: &Self) -> Ordering {
        let kind = |key: &Self| match key {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Truth(_) => 2,
            Self::Date(_) => 3,
        };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Truth(a), Self::Truth(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }
}

/// The place of a product in the order of one field.
#[derive(Debug, Clone)]
struct Place {
    key: Option<Key>,
    descending: bool,
}

/// The place of a product in an order by several fields: a later one decides where the earlier ones are equal.
#[derive(Debug, Clone)]
pub struct SortKey(Vec<Place>);

impl SortKey {
    /// The place of a product.
    pub fn of(sort: &[Sort], product: &Product) -> Self {
        let product = Filterable::from(product);
        let place = |sort: &Sort| {
            let value = product.field(&sort.field);
            let key = value.and_then(|value| Key::of(&value, sort.descending));
            Place { key, descending: sort.descending }
        };
        Self(sort.iter().map(place).collect())
    }

    /// The place of a product where nothing is looked for: of equals the newest comes first, and of one age the greatest
    /// identifier.
    pub fn among_all(sort: &[Sort], product: &Product) -> (Self, Reverse<(Timestamp, ProductId)>) {
        (Self::of(sort, product), Reverse((product.created_at, product.id.clone())))
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = |(one, other): (&Place, &Place)| match (&one.key, &other.key) {
            (Some(a), Some(b)) if one.descending => b.order(a),
            (Some(a), Some(b)) => a.order(b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        self.0.iter().zip(&other.0).map(order).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SortKey {}

/// The order of a list of all that a shop has: by a moment that each product has, and then by identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListOrder {
    /// Which moment.
    pub by: Moment,
    /// The latest first, and falling identifiers.
    pub descending: bool,
}

impl ListOrder {
    /// Newest first.
    pub const NEWEST: Self = Self { by: Moment::Created, descending: true };

    /// How two places lie to each other.
    pub fn compare(self, one: &Shelved, other: &Shelved) -> Ordering {
        let order = (one.at, &one.id).cmp(&(other.at, &other.id));
        if self.descending { order.reverse() } else { order }
    }
}

/// As [`Sort::parse`] reads it.
impl fmt::Display for ListOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.by.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(sort: &str, attributes: &Value) -> SortKey {
        let details = json!({"name": "n", "attributes": attributes});
        let product = Product {
            tenant: "shop".parse().unwrap(),
            id: "p".parse().unwrap(),
            details: serde_json::from_value(details).unwrap(),
            images: Vec::new(),
            offers: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            revision: 1,
        };
        let sort: Vec<_> = sort.split(',').map(|sort| Sort::parse(sort).unwrap()).collect();
        SortKey::of(&sort, &product)
    }

    /// Places of the values of an attribute, in order.
    fn ordered(sort: &str, values: &Value) -> Vec<usize> {
        let values = values.as_array().unwrap();
        let mut places: Vec<_> = (0..values.len()).collect();
        places.sort_by_key(|place| match &values[*place] {
            Value::Null => key(sort, &json!({})),
            value => key(sort, &json!({"a": value})),
        });
        places
    }

    #[test]
    fn kinds_of_values_have_an_order_and_what_has_none_comes_last_either_way() {
        let values = json!([null, "2026-03-01", true, "10", 10, 9, []]);
        assert_eq!(ordered("a", &values), [5, 4, 3, 2, 1, 0, 6]);
        assert_eq!(ordered("-a", &values), [1, 2, 3, 4, 5, 0, 6]);
    }

    #[test]
    fn dates_are_sorted_as_moments() {
        assert_eq!(ordered("a", &json!(["2026-03-02T00:30:00+02:00", "2026-03-01T23:00:00Z"])), [0, 1]);
        assert_eq!(ordered("a", &json!(["2026-03-02T00:30:00+02:00", "2026-03-01T22:00:00Z"])), [1, 0]);
    }

    #[test]
    fn a_list_stands_where_its_entry_stands_that_comes_first() {
        let values = json!([["b", "y"], ["c", "x"]]);
        assert_eq!((ordered("a", &values), ordered("-a", &values)), (vec![0, 1], vec![0, 1]));
        let dated = json!([["z", "2026-03-02"], "2026-03-01", ["2026-03-03", "a"]]);
        assert_eq!(ordered("a", &dated), [1, 0, 2]);
    }

    #[test]
    fn a_later_field_decides_between_equals() {
        let [one, other] = [1, 2].map(|b| key("a,-b", &json!({"a": 1, "b": b})));
        assert!(one > other);
    }

    #[test]
    fn an_order_is_written_in_two_ways_and_nothing_else_is_one() {
        for (text, field, descending) in [
            ("price", "price", false),
            ("-price", "price", true),
            ("price:asc", "price", false),
            ("attributes.year:desc", "attributes.year", true),
            ("shoe size", "shoe size", false),
            ("a:b:asc", "a:b", false),
        ] {
            assert_eq!(Sort::parse(text), Ok(Sort { field: field.into(), descending }), "{text}");
        }
        for text in [
            "",
            "-",
            "--price",
            "+price",
            " price",
            "price:",
            ":asc",
            "price:down",
            "-price:desc",
            "price DESC",
            "a\"b",
        ] {
            assert!(Sort::parse(text).is_err(), "{text}");
        }
        assert!(Sort::parse(&"x".repeat(MAX_NAME_BYTES + 1)).is_err());
    }
}
