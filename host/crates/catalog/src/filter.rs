//! Filters over product fields: parsed from JSON at the edge, evaluated by stores.
//!
//! A condition is `{"field": value}` (equality; any of a list field's entries may match), or
//! `{"field": {"eq"|"ne"|"in"|"gt"|"gte"|"lt"|"lte"|"exists"|"prefix": operand}}`; several fields or operators in one
//! object must all hold. `{"and": [..]}`, `{"or": [..]}` and `{"not": {..}}` combine conditions. The bound of a range is a
//! number, or a date, with which the texts of a field compare that are dates (see [`crate::date`]); so do texts that are to be
//! equal. `created_at` and `updated_at` are dates of every product.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::{
    date,
    product::{Filterable, Moment},
};

/// Deepest nesting a filter may have.
const MAX_DEPTH: usize = 16;
/// Most conditions one filter may hold.
const MAX_CONDITIONS: usize = 200;
/// How much deeper and wider a filter may be that was written by [`Filter::to_value`]: a written filter has a level of
/// its own for each `All`, and may be a request's filter joined with a policy's.
const WRITTEN: usize = 3;

/// A condition on products.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these; every product when there are none.
    All(Vec<Filter>),
    /// At least one of these; no product when there are none.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A test of one field.
    Field {
        /// The field or attribute.
        name: String,
        /// The test.
        test: Test,
    },
}

/// A value a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Text, compared exactly; one that is a date is the same as any other that writes the same moment.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
}

/// The end of a range. Values of another kind lie in no range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// A moment, in milliseconds since 1970.
    Date(i64),
}

/// A test of one field. A field that is missing passes none but `Exists(false)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equals, or for a list has an entry that equals, one of these.
    In(Vec<Operand>),
    /// A number or a date at least this.
    AtLeast(Bound),
    /// A number or a date above this.
    Above(Bound),
    /// A number or a date at most this.
    AtMost(Bound),
    /// A number or a date below this.
    Below(Bound),
    /// Text, or an entry of a list, that begins so.
    Prefix(String),
    /// The field is there, or is not.
    Exists(bool),
}

/// A filter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter at {at}: {problem}")]
pub struct InvalidFilter {
    /// Where, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What is wrong.
    pub problem: String,
}

impl Filter {
    /// The filter that every product passes.
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Whether every product passes for want of conditions.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(filters) if filters.iter().all(Self::is_everything))
    }

    /// Both this and the other.
    pub fn and(self, other: Self) -> Self {
        match (self.is_everything(), other.is_everything()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self::All(vec![self, other]),
        }
    }

    /// Reads JSON text; the empty text is the filter that everything passes.
    pub fn parse_text(text: &str) -> Result<Self, InvalidFilter> {
        if text.trim().is_empty() {
            return Ok(Self::everything());
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| InvalidFilter { at: String::new(), problem: format!("is not JSON: {error}") })?;
        Self::parse(&value)
    }

    /// Reads a JSON value.
    pub fn parse(value: &Value) -> Result<Self, InvalidFilter> {
        Parser { conditions: 0, room: 1 }.filter(value, "", 0)
    }

    /// As JSON that means the same, in the one form that [`Filter::from_written`] gives back exactly.
    pub fn to_value(&self) -> Value {
        let list = |filters: &[Self]| filters.iter().map(Self::to_value).collect::<Vec<_>>();
        match self {
            Self::All(filters) => json!({ "and": list(filters) }),
            Self::Any(filters) => json!({ "or": list(filters) }),
            Self::Not(filter) => json!({ "not": filter.to_value() }),
            Self::Field { name, test } => json!({ name: test.to_value() }),
        }
    }

    /// Reads what [`Filter::to_value`] wrote, under the rules of [`Filter::parse`] with more room.
    pub fn from_written(value: &Value) -> Result<Self, InvalidFilter> {
        Parser { conditions: 0, room: WRITTEN }.filter(value, "", 0)
    }

    /// Whether a product passes. What every store's own evaluation must agree with.
    pub fn matches<'a>(&self, product: impl Into<Filterable<'a>>) -> bool {
        self.passes(product.into())
    }

    fn passes(&self, product: Filterable<'_>) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.passes(product)),
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(product)),
            Self::Not(filter) => !filter.passes(product),
            Self::Field { name, test } => match Moment::named(name) {
                Some(moment) => test.passes_moment(product.moment(moment)),
                None => test.passes(product.field(name).as_ref()),
            },
        }
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_written(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Test {
    fn to_value(&self) -> Value {
        match self {
            Self::In(operands) => json!({ "in": operands.iter().map(Operand::to_value).collect::<Vec<_>>() }),
            Self::AtLeast(bound) => json!({ "gte": bound.to_value() }),
            Self::Above(bound) => json!({ "gt": bound.to_value() }),
            Self::AtMost(bound) => json!({ "lte": bound.to_value() }),
            Self::Below(bound) => json!({ "lt": bound.to_value() }),
            Self::Prefix(prefix) => json!({ "prefix": prefix }),
            Self::Exists(wanted) => json!({ "exists": wanted }),
        }
    }

    fn passes(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            (_, Some(Value::Array(entries))) => entries.iter().any(|entry| self.passes_scalar(entry)),
            (_, Some(value)) => self.passes_scalar(value),
        }
    }

    /// A moment of a product is a date, and no text.
    fn passes_moment(&self, milliseconds: Option<i64>) -> bool {
        let Some(at) = milliseconds else { return self.passes(None) };
        let order = |bound: &Bound| match bound {
            Bound::Date(bound) => Some(at.cmp(bound)),
            Bound::Number(_) => None,
        };
        match self {
            Self::In(operands) => operands.iter().any(|operand| operand.date() == Some(at)),
            Self::AtLeast(bound) => order(bound).is_some_and(Ordering::is_ge),
            Self::Above(bound) => order(bound).is_some_and(Ordering::is_gt),
            Self::AtMost(bound) => order(bound).is_some_and(Ordering::is_le),
            Self::Below(bound) => order(bound).is_some_and(Ordering::is_lt),
            Self::Prefix(_) => false,
            Self::Exists(wanted) => *wanted,
        }
    }

    fn passes_scalar(&self, value: &Value) -> bool {
        match self {
            Self::In(operands) => operands.iter().any(|operand| operand.equals(value)),
            Self::AtLeast(bound) => bound.order(value).is_some_and(Ordering::is_ge),
            Self::Above(bound) => bound.order(value).is_some_and(Ordering::is_gt),
            Self::AtMost(bound) => bound.order(value).is_some_and(Ordering::is_le),
            Self::Below(bound) => bound.order(value).is_some_and(Ordering::is_lt),
            Self::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix.as_str())),
            Self::Exists(wanted) => *wanted,
        }
    }
}

impl Bound {
    /// Reads a number or a date; the error says what is wrong.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => date::milliseconds(text).map(Self::Date).ok_or_else(|| {
                "is neither a number nor a date such as 2026-03-01 or 2026-03-01T12:30:00Z".to_owned()
            }),
            value => {
                value.as_f64().map(Self::Number).ok_or_else(|| "is neither a number nor a date".to_owned())
            }
        }
    }

    /// Whether it is of the other's kind, and lies before it.
    pub(crate) fn is_below(self, other: Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one < other,
            (Self::Date(one), Self::Date(other)) => one < other,
            _ => false,
        }
    }

    fn to_value(self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Date(milliseconds) => json!(date::text_of(milliseconds)),
        }
    }

    /// How a value lies to it; none of another kind.
    fn order(self, value: &Value) -> Option<Ordering> {
        match self {
            Self::Number(bound) => value.as_f64()?.partial_cmp(&bound),
            Self::Date(bound) => Some(date::milliseconds(value.as_str()?)?.cmp(&bound)),
        }
    }
}

impl Operand {
    fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Bool(truth) => json!(truth),
        }
    }

    /// The moment that a text writes, in milliseconds since 1970.
    pub fn date(&self) -> Option<i64> {
        match self {
            Self::Text(text) => date::milliseconds(text),
            Self::Number(_) | Self::Bool(_) => None,
        }
    }

    fn equals(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => {
                let is_same = |value: &str| {
                    value == text || self.date().is_some_and(|date| date::milliseconds(value) == Some(date))
                };
                value.as_str().is_some_and(is_same)
            }
            Self::Number(number) => value.as_f64() == Some(*number),
            Self::Bool(truth) => value.as_bool() == Some(*truth),
        }
    }
}

struct Parser {
    conditions: usize,
    /// How many times the depth and the conditions of a client's filter are taken.
    room: usize,
}

impl Parser {
    fn filter(&mut self, value: &Value, at: &str, depth: usize) -> Result<Filter, InvalidFilter> {
        if depth > MAX_DEPTH * self.room {
            return refuse(at, format!("is nested deeper than {}", MAX_DEPTH * self.room));
        }
        let Some(object) = value.as_object() else {
            return refuse(at, "is not an object");
        };
        let mut all = Vec::with_capacity(object.len());
        for (key, operand) in object {
            let at = format!("{at}/{key}");
            all.push(match key.as_str() {
                "and" => Filter::All(self.list(operand, &at, depth)?),
                "or" => Filter::Any(self.list(operand, &at, depth)?),
                "not" => Filter::Not(Box::new(self.filter(operand, &at, depth + 1)?)),
                field => self.field(field, operand, &at)?,
            });
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::All(all) })
    }

    fn list(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Filter>, InvalidFilter> {
        let Some(entries) = value.as_array() else {
            return refuse(at, "is not a list of conditions");
        };
        let entry = |(place, entry)| self.filter(entry, &format!("{at}/{place}"), depth + 1);
        entries.iter().enumerate().map(entry).collect()
    }

    fn field(&mut self, name: &str, value: &Value, at: &str) -> Result<Filter, InvalidFilter> {
        if name.is_empty() || name.len() > 80 || name.contains(['"', '\0']) {
            return refuse(at, "is not a field name");
        }
        let tests = match value {
            Value::Object(operators) => operators
                .iter()
                .map(|(operator, operand)| test(operator, operand, at))
                .collect::<Result<_, _>>()?,
            Value::Array(_) => vec![test("in", value, at)?],
            scalar => vec![test("eq", scalar, at)?],
        };
        self.conditions += tests.len();
        if self.conditions > MAX_CONDITIONS * self.room {
            return refuse(at, format!("is one of more than {} conditions", MAX_CONDITIONS * self.room));
        }
        let field = |test| match test {
            (true, test) => Filter::Field { name: name.to_owned(), test },
            (false, test) => Filter::Not(Box::new(Filter::Field { name: name.to_owned(), test })),
        };
        let mut filters: Vec<_> = tests.into_iter().map(field).collect();
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::All(filters) })
    }
}

/// The test an operator stands for; false beside it when it is to be negated.
fn test(operator: &str, operand: &Value, at: &str) -> Result<(bool, Test), InvalidFilter> {
    let at = &format!("{at}/{operator}");
    let bound = || Bound::parse(operand).or_else(|problem| refuse(at, problem));
    Ok((
        operator != "ne",
        match operator {
            "eq" | "ne" => Test::In(vec![scalar(operand, at)?]),
            "in" => Test::In(scalars(operand, at)?),
            "gt" => Test::Above(bound()?),
            "gte" => Test::AtLeast(bound()?),
            "lt" => Test::Below(bound()?),
            "lte" => Test::AtMost(bound()?),
            "prefix" => match operand.as_str() {
                Some(prefix) => Test::Prefix(prefix.to_owned()),
                None => return refuse(at, "is not text"),
            },
            "exists" => match operand.as_bool() {
                Some(wanted) => Test::Exists(wanted),
                None => return refuse(at, "is not true or false"),
            },
            _ => {
                return refuse(
                    at,
                    "is no operator; there are eq, ne, in, gt, gte, lt, lte, prefix and exists",
                );
            }
        },
    ))
}

fn scalars(value: &Value, at: &str) -> Result<Vec<Operand>, InvalidFilter> {
    let Some(entries) = value.as_array() else {
        return refuse(at, "is not a list");
    };
    if entries.len() > MAX_CONDITIONS {
        return refuse(at, format!("has more than {MAX_CONDITIONS} entries"));
    }
    entries.iter().map(|entry| scalar(entry, at)).collect()
}

fn scalar(value: &Value, at: &str) -> Result<Operand, InvalidFilter> {
    match value {
        Value::String(text) => Ok(Operand::Text(text.clone())),
        Value::Bool(truth) => Ok(Operand::Bool(*truth)),
        Value::Number(number) => match number.as_f64() {
            Some(number) => Ok(Operand::Number(number)),
            None => refuse(at, "is not a number that can be compared"),
        },
        _ => refuse(at, "is not text, a number, true or false"),
    }
}

fn refuse<T>(at: &str, problem: impl Into<String>) -> Result<T, InvalidFilter> {
    Err(InvalidFilter { at: at.to_owned(), problem: problem.into() })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::product::Details;

    fn shoe() -> Details {
        let attributes = json!({"brand": "Bata", "waterproof": true}).as_object().unwrap().clone();
        Details {
            name: "shoe".into(),
            price: 40.0,
            category: Some("shoes".into()),
            sizes: vec!["41".into(), "42".into()],
            attributes,
            description: "2026-03-01".into(),
            ..Details::default()
        }
    }

    #[rstest::rstest]
    #[case(json!({}), true)]
    #[case(json!({"category": "shoes"}), true)]
    #[case(json!({"category": ["hats", "shoes"]}), true)]
    #[case(json!({"category": {"ne": "shoes"}}), false)]
    #[case(json!({"sizes": "42"}), true)]
    #[case(json!({"sizes": "43"}), false)]
    #[case(json!({"price": {"gte": 40, "lt": 41}}), true)]
    #[case(json!({"price": {"gt": 40}}), false)]
    #[case(json!({"color": {"exists": false}}), true)]
    #[case(json!({"color": "red"}), false)]
    #[case(json!({"not": {"color": "red"}}), true)]
    #[case(json!({"or": [{"price": 1}, {"brand": "Bata"}]}), true)]
    #[case(json!({"or": []}), false)]
    #[case(json!({"attributes.brand": {"prefix": "Ba"}}), true)]
    #[case(json!({"waterproof": true, "price": 40}), true)]
    #[case(json!({"description": {"gte": "2026-03-01T01:00:00+01:00", "lt": "2026-03-02"}}), true)]
    #[case(json!({"description": {"gt": "2026-03-01"}}), false)]
    #[case(json!({"description": {"lt": 3000}}), false)]
    #[case(json!({"price": {"gt": "1970-01-01"}}), false)]
    #[case(json!({"description": {"prefix": "2026-"}}), true)]
    #[case(json!({"description": "2026-03-01T01:00:00+01:00"}), true)]
    #[case(json!({"description": ["2026-03-02", "2026-03-01T00:00:00.0004Z"]}), true)]
    #[case(json!({"description": {"ne": "2026-03-01T00:00:00.001Z"}}), true)]
    #[case(json!({"created_at": {"exists": true}}), false)]
    fn filters_mean_what_they_say(#[case] filter: Value, #[case] passes: bool) {
        assert_eq!(Filter::parse(&filter).unwrap().matches(&shoe()), passes, "{filter}");
    }

    #[test]
    fn moments_of_a_product_are_dates_and_no_texts() {
        let at = |text: &str| text.parse().unwrap();
        let details = shoe();
        let moments = Some([at("2026-03-01T12:00:00.0009Z"), at("2026-03-02T00:00:00Z")]);
        let product = Filterable { moments, ..Filterable::from(&details) };
        for (filter, passes) in [
            (json!({"created_at": "2026-03-01T13:00:00+01:00"}), true),
            (json!({"created_at": {"gt": "2026-03-01T12:00:00Z"}}), false),
            (json!({"created_at": {"gte": "2026-03-01", "lt": "2026-03-02"}}), true),
            (json!({"updated_at": {"in": ["2026-03-02"]}}), true),
            (json!({"updated_at": {"lt": 1e300}}), false),
            (json!({"updated_at": {"prefix": "2026"}}), false),
            (json!({"updated_at": {"exists": true}}), true),
            (json!({"attributes.updated_at": {"exists": true}}), false),
        ] {
            assert_eq!(Filter::parse(&filter).unwrap().matches(product), passes, "{filter}");
        }
    }

    #[rstest::rstest]
    #[case(json!([1]), "")]
    #[case(json!({"price": {"about": 1}}), "/price/about")]
    #[case(json!({"and": [{"price": {"gt": "x"}}]}), "/and/0/price/gt")]
    #[case(json!({"a": null}), "/a/eq")]
    #[case(json!({"a": {"lt": "2026-02-30"}}), "/a/lt")]
    fn a_filter_that_makes_no_sense_is_refused_with_its_place(#[case] filter: Value, #[case] at: &str) {
        assert_eq!(Filter::parse(&filter).unwrap_err().at, at);
    }

    #[test]
    fn a_deep_or_wide_filter_is_refused() {
        let deep = (0..40).fold(json!({}), |inner, _| json!({"not": inner}));
        assert!(Filter::parse(&deep).is_err());
        let wide = json!({"or": vec![json!({"price": 1}); MAX_CONDITIONS + 1]});
        assert!(Filter::parse(&wide).is_err());
    }

    #[rstest::rstest]
    #[case(json!({}))]
    #[case(json!({"and": [{}, {"or": []}]}))]
    #[case(json!({"price": {"gte": 0.1, "gt": -0.0, "lt": 1e300, "lte": 9_007_199_254_740_993_u64}, "a": {"ne": true}}))]
    #[case(json!({"a": {"gt": "2026-03-01", "lte": "0000-01-01T00:00:00.001Z"}}))]
    #[case(json!({"not": {"not": {"name": {"in": ["x", 1, false]}, "a.b": {"prefix": "é"}, "c": {"exists": false}}}}))]
    #[case::as_deep_as_it_may_be((0..MAX_DEPTH).fold(json!({}), |inner, _| json!({"and": [inner], "a": 1, "not": {"b": [1]}})))]
    #[case::as_wide_as_it_may_be(json!({"or": vec![json!({"price": {"ne": 1}}); MAX_CONDITIONS]}))]
    fn a_written_filter_is_the_same_filter_also_when_joined(#[case] filter: Value) {
        let filter = Filter::parse(&filter).unwrap();
        let joined = filter.clone().and(filter.clone());
        for filter in [filter, joined] {
            let text = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
        }
    }
}
