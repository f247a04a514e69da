//! Filters as match documents over `fields`, and the entries of that list.
//!
//! What the server lets pass is exactly what [`Filter::matches`] lets pass. A product's fields are kept as a list of
//! `{k: name, v: value}`, one entry per value: a name is data and never a path, so no name can mean anything else to the
//! server, and one index serves every field. Numbers are doubles, and the server compares only values of one type.

use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;
use taja_catalog::{
    Details, Filter,
    filter::{Operand, Test},
};

/// The fields every product has a place for, by the names [`Details::field`] gives them. Any other name is an
/// attribute's, with or without `attributes.` before it.
const FIELDS: [&str; 11] = [
    "name",
    "price",
    "currency",
    "description",
    "category",
    "sku",
    "stock",
    "weight_kg",
    "color",
    "sizes",
    "key_features",
];

/// The field's name in the list.
fn stored_name(name: &str) -> String {
    if FIELDS.contains(&name) {
        name.to_owned()
    } else {
        format!("attributes.{}", name.strip_prefix("attributes.").unwrap_or(name))
    }
}

/// The entries of a product.
pub(crate) fn entries(details: &Details) -> Vec<Document> {
    let fields = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), details.field(name)?)));
    let attributes =
        details.attributes.iter().map(|(name, value)| (format!("attributes.{name}"), value.clone()));
    let entries = fields.chain(attributes).flat_map(|(name, value)| {
        let values = match &value {
            Value::Array(entries) if !entries.is_empty() => entries.iter().map(stored_value).collect(),
            value => vec![stored_value(value)],
        };
        values.into_iter().map(move |value| doc! { "k": &name, "v": value })
    });
    entries.collect()
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
        Filter::Field { name, test } => field(&stored_name(name), test),
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
    let number = |operator: &str, bound: f64| {
        // Nothing compares with what is not a number; to the server it equals itself.
        if bound.is_nan() { nothing() } else { is(doc! { operator: double(bound) }) }
    };
    match test {
        Test::In(operands) => is(doc! { "$in": operands.iter().filter_map(operand).collect::<Vec<_>>() }),
        Test::AtLeast(bound) => number("$gte", *bound),
        Test::Above(bound) => number("$gt", *bound),
        Test::AtMost(bound) => number("$lte", *bound),
        Test::Below(bound) => number("$lt", *bound),
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
