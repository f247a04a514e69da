//! Filters as match documents over `fields`, and the entries of that list.
//!
//! What the server lets pass is exactly what [`Filter::matches`] lets pass. A product's fields are kept as a list of
//! `{k: name, v: value}`, one entry per value: a name is data and never a path, so no name can mean anything else to the
//! server, and one index serves every field. Numbers are doubles, a text that is a date has an entry more, and the server
//! compares only values of one type.

use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::Value;
use taja_catalog::{
    Details, Filter, Filterable, Moment, date,
    filter::{Bound, Operand, Test},
};

/// Fields of which a product has one number, or none.
const SINGLE: [&str; 3] = ["price", "stock", "weight_kg"];

/// The entries of a product.
pub(crate) fn entries(product: Filterable<'_>) -> Vec<Document> {
    let values = |(name, value): (String, Value)| {
        let date = value.as_str().and_then(date::milliseconds);
        let date = date.map(|date| doc! { "k": &name, "v": moment(date) });
        std::iter::once(doc! { "k": name, "v": stored_value(&value) }).chain(date)
    };
    product.stored_fields().into_iter().flat_map(values).collect()
}

pub(crate) fn moment(milliseconds: i64) -> Bson {
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
        Filter::All(filters) => doc! { "$and": all(filters) },
        Filter::Any(filters) if filters.is_empty() => nothing(),
        Filter::Any(filters) => doc! { "$or": conditions(filters) },
        Filter::Not(filter) => doc! { "$nor": [condition(filter)] },
        Filter::Field { name, test } => match Moment::named(name) {
            Some(moment) => of_moment(moment, test),
            None => field(&Details::stored_name(name), test),
        },
    }
}

/// Conditions by each of which the index of fields leads to what passes; none when all of it has to be gone through.
pub(crate) fn leads(filter: &Filter) -> Vec<Document> {
    let indexed = parts(filter).into_iter().filter(|filter| is_indexed(filter));
    all(&indexed.cloned().collect::<Vec<_>>())
}

/// Filters that all have to be passed.
fn parts(filter: &Filter) -> Vec<&Filter> {
    match filter {
        Filter::All(filters) => filters.iter().flat_map(parts).collect(),
        filter => vec![filter],
    }
}

fn is_indexed(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) => filters.iter().any(is_indexed),
        Filter::Any(filters) => filters.iter().all(is_indexed),
        Filter::Not(_) | Filter::Field { test: Test::Exists(false), .. } => false,
        Filter::Field { name, .. } => Moment::named(name).is_none(),
    }
}

/// A filter as a condition that the server uses no index for.
pub(crate) fn unindexed(filter: &Filter) -> Document {
    doc! { "$nor": [{ "$nor": [condition(filter)] }] }
}

/// Conditions that all hold. The two ends of a range are one where a field has one value: each for itself, the index is
/// gone through from one end of the range to the end of everything.
fn all(filters: &[Filter]) -> Vec<Document> {
    let mut ranges: Vec<(&str, Document)> = Vec::new();
    let mut all = Vec::new();
    for filter in filters {
        let Some((name, operator, number)) = end(filter) else {
            all.push(condition(filter));
            continue;
        };
        let same = ranges.iter_mut().find(|(other, ends)| *other == name && !ends.contains_key(operator));
        match same {
            Some((_, ends)) => _ = ends.insert(operator, double(number)),
            None => ranges.push((name, doc! { operator: double(number) })),
        }
    }
    all.extend(ranges.into_iter().map(|(name, ends)| is(name, ends)));
    all
}

/// The end of a range of a field that has one number at most.
fn end(filter: &Filter) -> Option<(&str, &'static str, f64)> {
    let Filter::Field { name, test } = filter else { return None };
    let (operator, bound) = match test {
        Test::AtLeast(bound) => ("$gte", bound),
        Test::Above(bound) => ("$gt", bound),
        Test::AtMost(bound) => ("$lte", bound),
        Test::Below(bound) => ("$lt", bound),
        _ => return None,
    };
    match bound {
        Bound::Number(number) if SINGLE.contains(&name.as_str()) && !number.is_nan() => {
            Some((name, operator, *number))
        }
        _ => None,
    }
}

fn conditions(filters: &[Filter]) -> Vec<Document> {
    filters.iter().map(condition).collect()
}

fn is(name: &str, value: Document) -> Document {
    doc! { "fields": { "$elemMatch": { "k": name, "v": value } } }
}

fn nothing() -> Document {
    doc! { "_id": { "$in": [] } }
}

/// A moment is a field of its own, and a date.
fn of_moment(of: Moment, test: &Test) -> Document {
    let is = |operator: &str, value: Bson| doc! { of.name(): { operator: value } };
    match test {
        Test::In(operands) => {
            let dates: Vec<_> = operands.iter().filter_map(Operand::date).map(moment).collect();
            is("$in", dates.into())
        }
        Test::AtLeast(Bound::Date(date)) => is("$gte", moment(*date)),
        Test::Above(Bound::Date(date)) => is("$gt", moment(*date)),
        Test::AtMost(Bound::Date(date)) => is("$lte", moment(*date)),
        Test::Below(Bound::Date(date)) => is("$lt", moment(*date)),
        Test::Exists(true) => doc! {},
        // No number, and no text.
        _ => nothing(),
    }
}

fn field(name: &str, test: &Test) -> Document {
    let is = |value: Document| is(name, value);
    let range = |operator: &str, bound: &Bound| match bound {
        // Nothing compares with what is not a number; to the server it equals itself.
        Bound::Number(number) if number.is_nan() => nothing(),
        Bound::Number(number) => is(doc! { operator: double(*number) }),
        Bound::Date(date) => is(doc! { operator: moment(*date) }),
    };
    match test {
        Test::In(operands) => {
            // A text that is a date is found as text, too: what was stored before dates were has no moments.
            let dates = operands.iter().filter_map(Operand::date).map(moment);
            is(doc! { "$in": operands.iter().filter_map(operand).chain(dates).collect::<Vec<_>>() })
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(filter: &Value) -> Filter {
        Filter::parse(filter).unwrap()
    }

    #[test]
    fn the_ends_of_a_range_are_one_condition_where_a_field_has_one_number() {
        let range = condition(&parsed(&json!({"price": {"gte": 5, "lt": 9}})));
        assert_eq!(range, doc! { "$and": [is("price", doc! { "$gte": 5.0, "$lt": 9.0 })] });
        let twice = [json!({"price": {"gt": 5}}), json!({"price": {"gt": 7}}), json!({"stock": {"lte": 1}})];
        let twice = condition(&parsed(&json!({ "and": twice })));
        let each = [("price", "$gt", 5.0), ("price", "$gt", 7.0), ("stock", "$lte", 1.0)];
        let each = each.map(|(name, operator, number)| is(name, doc! { operator: number }));
        assert_eq!(twice, doc! { "$and": each.to_vec() });
        // One size may be above the one end and another below the other.
        let several = condition(&parsed(&json!({"sizes": {"gte": 5, "lt": 9}})));
        let each = [is("sizes", doc! { "$gte": 5.0 }), is("sizes", doc! { "$lt": 9.0 })];
        assert_eq!(several, doc! { "$and": each.to_vec() });
    }

    #[test]
    fn the_index_leads_to_what_has_a_value() {
        for filter in [
            json!({"price": {"lt": 5}}),
            json!({"brand": {"exists": true}, "not": {"price": 1}}),
            json!({"or": [{"price": 1}, {"brand": {"prefix": "a"}}]}),
        ] {
            assert_eq!(leads(&parsed(&filter)).len(), 1, "{filter}");
        }
        for filter in [
            json!({"created_at": {"gt": "2026-03-01"}}),
            json!({"not": {"price": 1}}),
            json!({"brand": {"exists": false}}),
            json!({"or": [{"price": 1}, {"brand": {"ne": "a"}}]}),
        ] {
            assert!(leads(&parsed(&filter)).is_empty(), "{filter}");
        }
        let both =
            leads(&parsed(&json!({"brand": "a", "price": {"gt": 1, "lt": 3}, "color": {"ne": "red"}})));
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
