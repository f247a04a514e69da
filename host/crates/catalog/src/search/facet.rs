//! What is counted of a result set: the values of a field, or the ranges that its values lie in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arrange::entries;
use crate::filter::Bound;

/// Most ranges of one facet.
pub const MAX_RANGES: usize = 100;

/// What to count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Facet {
    /// How often each value of a field occurs.
    Values(String),
    /// How many matches have a value in each range of a field.
    Ranges {
        /// The field or attribute.
        field: String,
        /// In the order in which they are told.
        ranges: Vec<Range>,
    },
}

/// A range of numbers or of dates. One end at least is there; both are of one kind, and the first lies before the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least value that lies in it, as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The least value above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// How often a value occurs in the result set, or how many values lie in a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FacetCount {
    /// Of a value.
    Value {
        /// The value.
        value: Value,
        /// Number of matches.
        count: u32,
    },
    /// Of a range.
    Range {
        /// The least value that lies in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Value>,
        /// The least value above it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Value>,
        /// Number of matches.
        count: u32,
    },
}

impl FacetCount {
    /// Number of matches.
    pub fn count(&self) -> u32 {
        match self {
            Self::Value { count, .. } | Self::Range { count, .. } => *count,
        }
    }
}

impl Facet {
    /// The field or attribute.
    pub fn field(&self) -> &str {
        match self {
            Self::Values(field) | Self::Ranges { field, .. } => field,
        }
    }

    /// Reads the name of a field, or `{"field": .., "ranges": [{"from": .., "to": ..}, ..]}`. The error says what is wrong.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let facet = Self::deserialize(value)
            .map_err(|_| "is neither the name of a field nor an object of field and ranges".to_owned())?;
        if facet.field().is_empty() {
            return Err("has an empty field name".to_owned());
        }
        if let Self::Ranges { ranges, .. } = &facet {
            if ranges.is_empty() || ranges.len() > MAX_RANGES {
                return Err(format!("has {} ranges; 1 to {MAX_RANGES} are taken", ranges.len()));
            }
            for (place, range) in ranges.iter().enumerate() {
                range.check().map_err(|problem| format!("ranges/{place} {problem}"))?;
            }
        }
        Ok(facet)
    }
}

impl Range {
    fn check(&self) -> Result<(), String> {
        let bound = |end: &Option<Value>| end.as_ref().map(Bound::parse).transpose();
        match (bound(&self.from)?, bound(&self.to)?) {
            (None, None) => Err("has neither from nor to".to_owned()),
            (Some(from), Some(to)) if !from.is_below(to) => Err("does not begin below its end".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A range whose ends are read.
struct Ends {
    from: Option<Bound>,
    to: Option<Bound>,
}

impl Ends {
    fn of(range: &Range) -> Self {
        let bound = |end: &Option<Value>| end.as_ref().and_then(|end| Bound::parse(end).ok());
        Self { from: bound(&range.from), to: bound(&range.to) }
    }

    /// Whether a value lies between them; one of another kind does not.
    fn hold(&self, value: Bound) -> bool {
        self.from.is_none_or(|from| from == value || from.is_below(value))
            && self.to.is_none_or(|to| value.is_below(to))
    }
}

/// Counts the matches that have a value in each range, in the order of the ranges; a match has the values of all its
/// products, and counts once in a range.
pub(super) fn count_ranges<M: Iterator<Item = Value>>(
    ranges: &[Range],
    matches: impl Iterator<Item = M>,
) -> Vec<FacetCount> {
    // Read once: there are as many comparisons as ranges times values.
    let ends: Vec<_> = ranges.iter().map(Ends::of).collect();
    let mut counts = vec![0; ranges.len()];
    for values in matches {
        let values: Vec<_> = values.flat_map(entries).filter_map(|value| Bound::parse(&value).ok()).collect();
        for (ends, count) in ends.iter().zip(&mut counts) {
            *count += u32::from(values.iter().any(|value| ends.hold(*value)));
        }
    }
    let told = |(range, count): (&Range, u32)| {
        let Range { from, to } = range.clone();
        FacetCount::Range { from, to, count }
    };
    ranges.iter().zip(counts).map(told).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counted(ranges: &Value, matches: &[Value]) -> Vec<u32> {
        let Facet::Ranges { ranges, .. } = Facet::parse(&json!({"field": "f", "ranges": ranges})).unwrap()
        else {
            panic!("no ranges");
        };
        let matches = matches.iter().map(|values| values.as_array().unwrap().clone().into_iter());
        count_ranges(&ranges, matches).iter().map(FacetCount::count).collect()
    }

    #[test]
    fn a_range_begins_with_its_first_end_and_ends_before_its_second() {
        let ranges = json!([{"to": 10}, {"from": 10, "to": 50}, {"from": 50}, {"from": 90, "to": 91}]);
        let prices = [json!([9.99]), json!([10]), json!([49]), json!([50]), json!(["cheap"]), json!([])];
        assert_eq!(counted(&ranges, &prices), [1, 2, 1, 0]);
    }

    #[test]
    fn dates_lie_in_ranges_of_dates_and_numbers_do_not() {
        let ranges = json!([{"from": "2026-03-01", "to": "2026-04-01"}, {"from": "2026-03-31T22:00:00Z"}]);
        let dates = [json!(["2026-03-01"]), json!(["2026-04-01T00:30:00+02:00"]), json!([2026])];
        assert_eq!(counted(&ranges, &dates), [2, 1]);
    }

    #[test]
    fn a_match_of_several_values_counts_once_in_a_range() {
        let ranges = json!([{"to": 42}, {"from": 42}]);
        assert_eq!(counted(&ranges, &[json!([[40, 41, 43], 44])]), [1, 1]);
    }

    #[test]
    fn what_is_no_facet_is_refused() {
        let ranges = |ranges: Value| json!({"field": "price", "ranges": ranges});
        let many: Vec<_> = (0..=MAX_RANGES).map(|n| json!({"from": n})).collect();
        for facet in [
            json!(""),
            json!(7),
            json!({"field": "price"}),
            ranges(json!([])),
            ranges(json!(many)),
            ranges(json!([{}])),
            ranges(json!([{"from": 10, "to": 10}])),
            ranges(json!([{"from": 10, "to": "2026-03-01"}])),
            ranges(json!([{"from": "ten"}])),
            ranges(json!([{"from": true}])),
            ranges(json!([{"above": 1}])),
            json!({"field": "price", "ranges": [{"to": 1}], "count": true}),
        ] {
            assert!(Facet::parse(&facet).is_err(), "{facet}");
        }
    }

    #[test]
    fn facets_and_counts_survive_being_stored() {
        for facet in [json!("color"), json!({"field": "price", "ranges": [{"from": 1, "to": 2.5}]})] {
            assert_eq!(serde_json::to_value(Facet::parse(&facet).unwrap()).unwrap(), facet);
        }
        for count in [json!({"value": "red", "count": 2}), json!({"from": 1, "to": 2.5, "count": 0})] {
            let read: FacetCount = serde_json::from_value(count.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), count);
        }
    }
}
