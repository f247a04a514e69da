//! Counting the values of fields.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::facet::FacetCount;
use crate::date;

/// Most values counted for one facet.
const MAX_FACET_VALUES: usize = 100;

pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values of a field: the entries of a list, or the value itself.
pub(super) fn entries(value: Value) -> Vec<Value> {
    match value {
        Value::Array(entries) => entries,
        scalar => vec![scalar],
    }
}

/// What values are equal by: dates are where they write one moment.
fn same(value: &Value) -> String {
    match value.as_str().and_then(date::milliseconds) {
        Some(milliseconds) => date::text_of(milliseconds),
        None => value.to_string(),
    }
}

/// Counts the matches that have each value, most frequent first; each entry of a list counts. A match has the values of all
/// its products, each once: so a count is the number of matches that a filter by the value would leave. Dates that write one
/// moment in several ways are told in one of them. False beside the counts where there were more values than are told.
pub(super) fn count_values<M: Iterator<Item = Value>>(
    matches: impl Iterator<Item = M>,
) -> (Vec<FacetCount>, bool) {
    let mut counts: HashMap<String, (Value, u32)> = HashMap::new();
    for values in matches {
        let scalars = values.flat_map(entries);
        let distinct: BTreeMap<String, Value> = scalars.map(|value| (same(&value), value)).collect();
        for (text, value) in distinct {
            counts.entry(text).or_insert((value, 0)).1 += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| text_of(&a.0).cmp(&text_of(&b.0))));
    let whole = counts.len() <= MAX_FACET_VALUES;
    counts.truncate(MAX_FACET_VALUES);
    (counts.into_iter().map(|(value, count)| FacetCount::Value { value, count }).collect(), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_of_a_list_counts_in_a_facet() {
        let matches = [vec![serde_json::json!(["41", "42", "42"])], vec![serde_json::json!("42")]];
        let (counts, whole) = count_values(matches.into_iter().map(Vec::into_iter));
        assert_eq!(counts[0], FacetCount::Value { value: "42".into(), count: 2 });
        assert_eq!((counts.len(), whole), (2, true));
    }

    #[test]
    fn a_match_of_several_products_counts_once_for_each_value() {
        let matches = [vec![Value::from("red"), "blue".into(), "red".into()], vec!["red".into()]];
        let (counts, _) = count_values(matches.into_iter().map(Vec::into_iter));
        let expected = [("red", 2), ("blue", 1)];
        let expected = expected.map(|(value, count)| FacetCount::Value { value: value.into(), count });
        assert_eq!(counts, expected);
    }

    #[test]
    fn dates_that_write_one_moment_are_one_value() {
        let matches = [vec!["2026-03-01", "2026-03-01T00:00:00Z"], vec!["2026-03-01T01:00:00+01:00"]];
        let (counts, _) = count_values(matches.map(|dates| dates.into_iter().map(Value::from)).into_iter());
        assert_eq!(counts.iter().map(FacetCount::count).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn more_values_than_are_told_are_no_whole_facet() {
        let values = |n: usize| (0..n).map(|n| std::iter::once(Value::from(n)));
        let (counts, whole) = count_values(values(MAX_FACET_VALUES + 1));
        assert_eq!((counts.len(), whole), (MAX_FACET_VALUES, false));
        assert!(count_values(values(MAX_FACET_VALUES)).1);
    }
}
