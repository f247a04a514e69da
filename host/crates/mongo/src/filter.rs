//! Filters as match documents over `fields`, and the entries of that list.
//!
//! What the server lets pass is exactly what [`Filter::matches`] lets pass. A product's fields are kept as a list of
//! `{k: name, v: value}`, one entry per value: a name is data and never a path, so no name can mean anything else to the
//! server, and one index serves every field. Numbers are doubles, a text that is a date has an entry more, and the server
//! compares only values of one type.

use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::Value;
use taja_catalog::{
    Details, Filter, Filterable, date,
    filter::{Bound, Operand, Test},
};

/// The entries of a product.
pub(crate) fn entries(product: Filterable<'_>) -> Vec<Document> {
    let values = |(name, value): (String, Value)| {
        let date = value.as_str().and_then(date::milliseconds);
        let date = date.map(|date| doc! { "k": &name, "v": moment(date) });
        std::iter::once(doc! { "k": name, "v": stored_value(&value) }).chain(date)
    };
    product.stored_fields().into_iter().flat_map(values).collect()
}

fn moment(milliseconds: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(milliseconds))
}

/// Null stands for a value that no test but `exists` can pass, such as an empty list.
fn stored_value(value: &Value) -> Bson {
    match value {
        Value::String(text) => Bson::String(text.clone()),
        Value::Bool(truth) => Bson::Boolean(*truth),
        Value::Number(number) => number.as_f64().map_or(Bson::Null, double),
        Value::Null | Value::Array(_) | Value::Object(_) => Bson::Null,
    }
}

/// There is one zero.
fn double(number: f64) -> Bson {
    Bson::Double(number + 0.0)
}

/// A condition on the documents that have these entries.
pub(crate) fn condition(filter: &Filter) -> Document {
    match filter {
        Filter::All(filters) if filters.is_empty() => doc! {},
        Filter::All(filters) => doc! { "$and": conditions(filters) },
        Filter::Any(filters) if filters.is_empty() => nothing(),
        Filter::Any(filters) => doc! { "$or": conditions(filters) },
        Filter::Not(filter) => doc! { "$nor": [condition(filter)] },
        Filter::Field { name, test } => field(&Details::stored_name(name), test),
    }
}

fn conditions(filters: &[Filter]) -> Vec<Document> {
    filters.iter().map(condition).collect()
}

fn nothing() -> Document {
    doc! { "_id": { "$in": [] } }
}

fn field(name: &str, test: &Test) -> Document {
    let is = |value: Document| doc! { "fields": { "$elemMatch": { "k": name, "v": value } } };
    let range = |operator: &str, bound: &Bound| match bound {
        // Nothing compares with what is not a number; to the server it equals itself.
        Bound::Number(number) if number.is_nan() => nothing(),
        Bound::Number(number) => is(doc! { operator: double(*number) }),
        Bound::Date(date) => is(doc! { operator: moment(*date) }),
    };
    match test {
        Test::In(operands) => is(doc! { "$in": operands.iter().filter_map(operand).collect::<Vec<_>>() }),
        Test::AtLeast(bound) => range("$gte", bound),
        Test::Above(bound) => range("$gt", bound),
        Test::AtMost(bound) => range("$lte", bound),
        Test::Below(bound) => range("$lt", bound),
        // A range, not a pattern: texts are ordered by their bytes, and a range has no limit of length.
        Test::Prefix(prefix) => is(match successor(prefix) {
            Some(end) => doc! { "$gte": prefix, "$lt": end },
            None => doc! { "$gte": prefix },
        }),
        Test::Exists(true) => doc! { "fields": { "$elemMatch": { "k": name } } },
        Test::Exists(false) => doc! { "$nor": [{ "fields": { "$elemMatch": { "k": name } } }] },
    }
}

fn operand(operand: &Operand) -> Option<Bson> {
    match operand {
        Operand::Text(text) => Some(Bson::String(text.clone())),
        Operand::Number(number) => (!number.is_nan()).then(|| double(*number)),
        Operand::Bool(truth) => Some(Bson::Boolean(*truth)),
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
