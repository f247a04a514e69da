//! Sorting by fields and counting their values.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use serde_json::Value;

use super::facet::FacetCount;
use crate::date;

/// Most values counted for one facet.
const MAX_FACET_VALUES: usize = 100;

/// What a value is sorted by. Numbers before dates, and those before all other texts: an attribute may be a number here and
/// text there, and the order must be total.
enum Key {
    Number(f64),
    Date(i64),
    Text(String),
}

impl Key {
    fn of(value: &Value) -> Self {
        let date = || value.as_str().and_then(date::milliseconds);
        match (value.as_f64(), date()) {
            (Some(number), _) => Self::Number(number),
            (None, Some(date)) => Self::Date(date),
            (None, None) => Self::Text(text_of(value)),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let kind = |key: &Self| match key {
            Self::Number(_) => 0,
            Self::Date(_) => 1,
            Self::Text(_) => 2,
        };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }
}

/// By number, by moment, else by text; what has no value comes last either way.
pub(super) fn compare_missing_last(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none().cmp(&b.is_none());
    };
    let order = Key::of(a).order(&Key::of(b));
    if descending { order.reverse() } else { order }
}

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

/// Counts the matches that have each value, most frequent first; each entry of a list counts. A match has the values of all
/// its products, each once: so a count is the number of matches that a filter by the value would leave. False beside the
/// counts where there were more values than are told.
pub(super) fn count_values<M: Iterator<Item = Value>>(
    matches: impl Iterator<Item = M>,
) -> (Vec<FacetCount>, bool) {
    let mut counts: HashMap<String, (Value, u32)> = HashMap::new();
    for values in matches {
        let scalars = values.flat_map(entries);
        let distinct: BTreeMap<String, Value> = scalars.map(|value| (value.to_string(), value)).collect();
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
    fn a_product_without_the_sorted_field_comes_last_in_both_directions() {
        let (two, ten) = (Value::from(2), Value::from(10));
        assert!(compare_missing_last(Some(&two), None, true).is_lt());
        assert!(compare_missing_last(None, Some(&two), false).is_gt());
        assert!(compare_missing_last(Some(&two), Some(&ten), true).is_gt());
    }

    #[test]
    fn dates_are_sorted_as_moments() {
        let (early, late) = (Value::from("2026-03-02T00:30:00+02:00"), Value::from("2026-03-01T23:00:00Z"));
        assert!(compare_missing_last(Some(&early), Some(&late), false).is_lt());
        assert!(compare_missing_last(Some(&late), Some(&Value::from("10 years ago")), false).is_lt());
    }

    #[test]
    fn numbers_and_texts_do_not_go_round_in_circles() {
        let values = [Value::from(9), Value::from(10), Value::from("1a")];
        let less =
            |a: usize, b: usize| compare_missing_last(Some(&values[a]), Some(&values[b]), false).is_lt();
        assert!(less(0, 1) && less(1, 2) && less(0, 2));
    }

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
    fn more_values_than_are_told_are_no_whole_facet() {
        let values = |n: usize| (0..n).map(|n| std::iter::once(Value::from(n)));
        let (counts, whole) = count_values(values(MAX_FACET_VALUES + 1));
        assert_eq!((counts.len(), whole), (MAX_FACET_VALUES, false));
        assert!(count_values(values(MAX_FACET_VALUES)).1);
    }
}
