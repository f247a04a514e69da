//! Filters as SQL over the `fields` table, and the rows of that table.
//!
//! What the SQL lets pass is exactly what [`Filter::matches`] lets pass. SQLite orders values by type: numbers before
//! text before blobs; a range of one type therefore ends where the next type begins.

use std::rc::Rc;

use rusqlite::types::Value as Sql;
use serde_json::Value;
use taja_catalog::{
    Details, Filter, Filterable, Moment, date,
    filter::{Bound as End, Operand, Test},
};

/// Of a millisecond.
const MICROSECONDS: i64 = 1000;
/// What a date begins with; false and true are x'00' and x'01'.
const DATE: u8 = 2;

/// A value for SQL: one, or a list for `rarray`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    /// One value.
    One(Sql),
    /// Several.
    Many(Rc<Vec<Sql>>),
}

impl rusqlite::ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::One(value) => value.to_sql(),
            Self::Many(values) => values.to_sql(),
        }
    }
}

/// Values in the order of their places: the first is `?1`.
#[derive(Debug, Default)]
pub(crate) struct Bindings(pub(crate) Vec<Bound>);

impl Bindings {
    /// Adds a value; the place it is bound to.
    pub(crate) fn bind(&mut self, value: impl Into<Sql>) -> String {
        self.push(Bound::One(value.into()))
    }

    /// Adds a list for `rarray`; the place it is bound to.
    pub(crate) fn bind_all(&mut self, values: Vec<Sql>) -> String {
        self.push(Bound::Many(Rc::new(values)))
    }

    fn push(&mut self, bound: Bound) -> String {
        self.0.push(bound);
        format!("?{}", self.0.len())
    }
}

/// The rows of a product: name and value.
pub(crate) fn rows(product: Filterable<'_>) -> Vec<(String, Sql)> {
    let values = |(name, value): (String, Value)| {
        let date = value.as_str().and_then(date_value).map(|date| (name.clone(), date));
        std::iter::once((name, stored_value(&value))).chain(date)
    };
    product.stored_fields().into_iter().flat_map(values).collect()
}

/// What is kept of a text that is a date, besides it: a mark, and the moment in bytes that compare as moments do.
pub(crate) fn date_value(text: &str) -> Option<Sql> {
    date::milliseconds(text).map(moment)
}

fn moment(milliseconds: i64) -> Sql {
    let ordered = milliseconds.cast_unsigned() ^ 1 << 63;
    Sql::Blob([&[DATE][..], &ordered.to_be_bytes()].concat())
}

fn stored_value(value: &Value) -> Sql {
    match value {
        Value::String(text) => Sql::Text(text.clone()),
        Value::Bool(truth) => Sql::Blob(vec![u8::from(*truth)]),
        Value::Number(number) => number.as_f64().map_or(Sql::Blob(Vec::new()), Sql::Real),
        Value::Null | Value::Array(_) | Value::Object(_) => Sql::Blob(Vec::new()),
    }
}

/// A condition on `p.seq`; `tenant` is the place the shop is bound to.
pub(crate) fn condition(filter: &Filter, tenant: &str, bindings: &mut Bindings) -> String {
    match filter {
        Filter::All(filters) => joined(filters, "AND", "1", tenant, bindings),
        Filter::Any(filters) => joined(filters, "OR", "0", tenant, bindings),
        Filter::Not(filter) => format!("NOT {}", condition(filter, tenant, bindings)),
        Filter::Field { name, test } => match Moment::named(name) {
            Some(moment) => moment_condition(moment, test, bindings),
            None => field_condition(name, test, tenant, bindings),
        },
    }
}

fn field_condition(name: &str, test: &Test, tenant: &str, bindings: &mut Bindings) -> String {
    let name = bindings.bind(Details::stored_name(name));
    let (not, test) = match test {
        Test::Exists(wanted) => (if *wanted { "" } else { "NOT " }, String::new()),
        test => ("", format!(" AND {}", test_of(test, bindings))),
    };
    format!(
        "(p.seq {not}IN (SELECT f.product FROM fields f WHERE f.tenant = {tenant} AND f.name = {name}{test}))"
    )
}

/// A condition on a column of microseconds, of which whole milliseconds are compared.
fn moment_condition(moment: Moment, test: &Test, bindings: &mut Bindings) -> String {
    let mut compared = |operator: &str, milliseconds: i64| {
        let bound = bindings.bind(milliseconds.saturating_mul(MICROSECONDS));
        format!("p.{} {operator} {bound}", moment.name())
    };
    match test {
        Test::AtLeast(End::Date(date)) => compared(">=", *date),
        Test::Above(End::Date(date)) => compared(">=", date.saturating_add(1)),
        Test::AtMost(End::Date(date)) => compared("<", date.saturating_add(1)),
        Test::Below(End::Date(date)) => compared("<", *date),
        Test::In(operands) => {
            let dates = operands.iter().filter_map(Operand::date).map(Sql::Integer).collect();
            format!("p.{} / {MICROSECONDS} IN rarray({})", moment.name(), bindings.bind_all(dates))
        }
        Test::Exists(true) => "1".to_owned(),
        // No number, and no text.
        _ => "0".to_owned(),
    }
}

/// Joined as a balanced tree: SQLite refuses expressions that are 1,000 deep.
fn joined(filters: &[Filter], word: &str, empty: &str, tenant: &str, bindings: &mut Bindings) -> String {
    match filters {
        [] => empty.to_owned(),
        [one] => condition(one, tenant, bindings),
        several => {
            let (first, second) = several.split_at(several.len() / 2);
            let first = joined(first, word, empty, tenant, bindings);
            let second = joined(second, word, empty, tenant, bindings);
            format!("({first} {word} {second})")
        }
    }
}

fn test_of(test: &Test, bindings: &mut Bindings) -> String {
    match test {
        Test::In(operands) => {
            let values = operands.iter().map(operand).collect();
            format!("f.value IN rarray({})", bindings.bind_all(values))
        }
        Test::AtLeast(bound) => from(">=", bound, bindings),
        Test::Above(bound) => from(">", bound, bindings),
        Test::AtMost(bound) => until("<=", bound, bindings),
        Test::Below(bound) => until("<", bound, bindings),
        Test::Prefix(prefix) => {
            let from = bindings.bind(prefix.clone());
            let to = successor(prefix).map_or_else(|| "x''".to_owned(), |end| bindings.bind(end));
            format!("f.value >= {from} AND f.value < {to}")
        }
        Test::Exists(_) => "1".to_owned(),
    }
}

/// From a bound to the last value of its kind: numbers end where texts begin.
fn from(operator: &str, bound: &End, bindings: &mut Bindings) -> String {
    match bound {
        End::Number(number) => format!("f.value {operator} {} AND f.value < ''", bindings.bind(*number)),
        End::Date(date) => format!("f.value {operator} {} AND f.value < x'03'", bindings.bind(moment(*date))),
    }
}

/// From the first value of a bound's kind to it: nothing comes before numbers.
fn until(operator: &str, bound: &End, bindings: &mut Bindings) -> String {
    match bound {
        End::Number(number) => format!("f.value {operator} {}", bindings.bind(*number)),
        End::Date(date) => format!("f.value {operator} {} AND f.value > x'02'", bindings.bind(moment(*date))),
    }
}

fn operand(operand: &Operand) -> Sql {
    match operand {
        // Whichever way a moment is written, it is kept besides.
        Operand::Text(text) => date_value(text).unwrap_or_else(|| Sql::Text(text.clone())),
        Operand::Number(number) => Sql::Real(*number),
        Operand::Bool(truth) => Sql::Blob(vec![u8::from(*truth)]),
    }
}

/// The least text after all that begin with `prefix`; none when there is no such text.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The range of characters leaves out the surrogates by itself.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_field_is_known_to_details_and_no_other_is() {
        let full = serde_json::json!({"name": "n", "price": 1, "currency": "EUR", "description": "d",
            "category": "c", "sku": "s", "stock": 1, "weight_kg": 1, "color": "red", "sizes": ["s"],
            "key_features": ["k"], "item_group_id": "g"});
        let details: Details = serde_json::from_value(full.clone()).unwrap();
        assert!(Details::FIELDS.iter().all(|name| details.field(name).is_some()));
        let names: Vec<_> =
            serde_json::to_value(&details).unwrap().as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), Details::FIELDS.len());
        assert!(names.iter().all(|name| Details::FIELDS.contains(&name.as_str())), "{names:?}");
    }

    #[test]
    fn the_successor_is_just_after_everything_that_begins_so() {
        assert_eq!(successor("ab").unwrap(), "ac");
        assert_eq!(successor("a\u{d7ff}").unwrap(), "a\u{e000}");
        assert_eq!(successor("a\u{10ffff}").unwrap(), "b");
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }
}
