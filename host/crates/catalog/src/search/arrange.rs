//! Sorting by fields and counting their values.

use std::{cmp::Ordering, collections::HashMap};

use serde_json::Value;

use super::FacetCount;

/// Most values counted for one facet.
const MAX_FACET_VALUES: usize = 100;

/// By number, else by text; what has no value comes last either way.
pub(super) fn compare_missing_last(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none().cmp(&b.is_none());
    };
    // Numbers before everything else: an attribute may be a number here and text there, and the order must be total.
    let order = match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a_number, b_number) => {
            b_number.is_some().cmp(&a_number.is_some()).then_with(|| text_of(a).cmp(&text_of(b)))
        }
    };
    if descending { order.reverse() } else { order }
}

pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Counts values, most frequent first; each entry of a list counts.
pub(super) fn count_values(values: impl Iterator<Item = Value>) -> Vec<FacetCount> {
    let mut counts: HashMap<String, FacetCount> = HashMap::new();
    let scalars = values.flat_map(|value| match value {
        Value::Array(entries) => entries,
        scalar => vec![scalar],
    });
    for value in scalars {
        counts.entry(value.to_string()).or_insert(FacetCount { value, count: 0 }).count += 1;
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| text_of(&a.value).cmp(&text_of(&b.value))));
    counts.truncate(MAX_FACET_VALUES);
    counts
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
    fn numbers_and_texts_do_not_go_round_in_circles() {
        let values = [Value::from(9), Value::from(10), Value::from("1a")];
        let less =
            |a: usize, b: usize| compare_missing_last(Some(&values[a]), Some(&values[b]), false).is_lt();
        assert!(less(0, 1) && less(1, 2) && less(0, 2));
    }

    #[test]
    fn each_entry_of_a_list_counts_in_a_facet() {
        let counts = count_values([serde_json::json!(["41", "42"]), serde_json::json!("42")].into_iter());
        assert_eq!(counts[0], FacetCount { value: "42".into(), count: 2 });
        assert_eq!(counts.len(), 2);
    }
}
