//! Products of one group as one match.

use std::collections::HashMap;

use super::Found;
use crate::id::ProductId;

/// Leaves the first of each group, with those that follow as its variants. Products without a group stay as they are.
pub(super) fn groups<'a>(found: &mut Vec<Found>, group_of: impl Fn(&ProductId) -> Option<&'a str>) {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut folded: Vec<Found> = Vec::with_capacity(found.len());
    for one in found.drain(..) {
        match group_of(&one.product) {
            Some(group) if places.contains_key(group) => folded[places[group]].variants.push(one.product),
            group => {
                places.extend(group.map(|group| (group, folded.len())));
                folded.push(one);
            }
        }
    }
    *found = folded;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_a_group_stands_for_it_and_the_others_follow_in_their_order() {
        let one = |id: &str| Found {
            product: id.parse().unwrap(),
            score: 1.0,
            ranked_place: 1,
            fused: crate::search::Fused::default(),
            evidence: Vec::new(),
            legs: Vec::new(),
            notes: Vec::new(),
            variants: Vec::new(),
        };
        let mut found: Vec<_> = ["a1", "x", "b1", "a2", "y", "a3", "b2"].map(one).into();
        groups(&mut found, |id| match &id.as_str()[..1] {
            "a" => Some("a"),
            "b" => Some("b"),
            _ => None,
        });
        let told = |found: &Found| {
            let variants: Vec<_> = found.variants.iter().map(ProductId::as_str).collect();
            format!("{}:{}", found.product, variants.join(","))
        };
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), ["a1:a2,a3", "x:", "b1:b2", "y:"]);
    }
}
