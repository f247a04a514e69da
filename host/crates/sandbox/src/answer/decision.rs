//! Submissions for an ingesting guest, and the decision it answers with.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;
use taja_catalog::{
    Details, ImageHash, Picture, ProductId,
    policy::{Decision, DropReason, Dropped, Outcome, Submission},
};

use super::Checked;
use crate::{
    bindings::ingest::exports::taja::plugin::ingesting as guest, host::media::ImageEntry, refusal::Answer,
    state::GuestState,
};

/// Longest text for keyword search, bytes.
const MAX_INDEX_BYTES: usize = 64 * 1024;
/// Longest reason for a rejection, bytes.
const MAX_REASON_BYTES: usize = 1000;

/// The submission as the guest sees it, with handles for its pictures.
pub(crate) fn submission(
    state: &mut GuestState,
    submission: &Submission,
    settings: String,
) -> Answer<guest::Submission> {
    let details = details(&submission.details);
    let mut upload = |(index, picture): &(u32, Arc<Picture>)| {
        let image = state.give(ImageEntry::of_request(Arc::clone(picture)))?;
        Ok(guest::Upload { index: *index, image })
    };
    let uploads = submission.uploads.iter().map(&mut upload).collect::<Answer<_>>()?;
    Ok(guest::Submission { details, uploads, settings })
}

/// The details as the guest sees them.
fn details(details: &Details) -> guest::Details {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    guest::Details {
        name: details.name.clone(),
        price: details.price,
        currency: text(&details.currency),
        description: details.description.clone(),
        category: text(&details.category),
        sku: text(&details.sku),
        stock: details.stock,
        weight_kg: details.weight_kg,
        color: text(&details.color),
        sizes: details.sizes.clone(),
        key_features: details.key_features.clone(),
        attributes: Value::Object(details.attributes.clone()).to_string(),
    }
}

/// The decision, if it is one. `uploads` holds the places of the pictures that were submitted.
pub(crate) fn decision(decision: guest::Decision, uploads: &HashSet<u32>) -> Checked<Decision> {
    let outcome = outcome(decision.outcome, uploads)?;
    let kept: HashSet<u32> = match &outcome {
        Outcome::Create { keep, .. } | Outcome::Merge { keep, .. } => keep.iter().copied().collect(),
        Outcome::Duplicate { .. } | Outcome::Reject { .. } => HashSet::new(),
    };
    let mut gone = HashSet::new();
    for dropped in &decision.dropped {
        let index = dropped.index;
        if !uploads.contains(&index) || kept.contains(&index) || !gone.insert(index) {
            return Err(format!(
                "picture {index} is dropped, but was not submitted, is kept, or is dropped twice"
            ));
        }
    }
    Ok(Decision { outcome, dropped: decision.dropped.iter().map(dropped).collect::<Checked<_>>()? })
}

fn outcome(outcome: guest::Outcome, uploads: &HashSet<u32>) -> Checked<Outcome> {
    match outcome {
        guest::Outcome::Create(product) => {
            let details = parsed(product.details)?;
            details.check().map_err(|error| format!("details: {error}"))?;
            if product.index_text.len() > MAX_INDEX_BYTES {
                return Err(format!("the index text is longer than {MAX_INDEX_BYTES} bytes"));
            }
            let keep = kept(product.keep, uploads)?;
            Ok(Outcome::Create { details: Box::new(details), keep, index_text: product.index_text })
        }
        guest::Outcome::Merge(merge) => {
            let product = product_id(&merge.product_id)?;
            Ok(Outcome::Merge { product, keep: kept(merge.keep, uploads)? })
        }
        guest::Outcome::Duplicate(product) => Ok(Outcome::Duplicate { of: product_id(&product)? }),
        guest::Outcome::Reject(mut reason) => {
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
            Ok(Outcome::Reject { reason })
        }
    }
}

fn parsed(details: guest::Details) -> Checked<Details> {
    let optional = |text: String| Some(text).filter(|text| !text.is_empty());
    let Ok(Value::Object(attributes)) = serde_json::from_str(&details.attributes) else {
        return Err("details: attributes is not the text of a JSON object".into());
    };
    Ok(Details {
        name: details.name,
        price: details.price,
        currency: optional(details.currency),
        description: details.description,
        category: optional(details.category),
        sku: optional(details.sku),
        stock: details.stock,
        weight_kg: details.weight_kg,
        color: optional(details.color),
        sizes: details.sizes,
        key_features: details.key_features,
        // Policies know of no groups: the host keeps what the shop said.
        item_group_id: None,
        attributes,
    })
}

fn kept(keep: Vec<u32>, uploads: &HashSet<u32>) -> Checked<Vec<u32>> {
    let mut seen = HashSet::with_capacity(keep.len());
    match keep.iter().find(|index| !uploads.contains(index) || !seen.insert(**index)) {
        Some(index) => Err(format!("picture {index} is kept, but was not submitted or is kept twice")),
        None => Ok(keep),
    }
}

fn dropped(dropped: &guest::Dropped) -> Checked<Dropped> {
    let given = |text: &str| !text.is_empty();
    let image = |text: &String| text.parse::<ImageHash>().map_err(|error| error.to_string());
    Ok(Dropped {
        index: dropped.index,
        reason: match dropped.reason {
            guest::DropReason::ExactDuplicate => DropReason::ExactDuplicate,
            guest::DropReason::NearDuplicate => DropReason::NearDuplicate,
            guest::DropReason::Repeated => DropReason::Repeated,
            guest::DropReason::Unsuitable => DropReason::Unsuitable,
        },
        product: given(&dropped.product_id).then(|| product_id(&dropped.product_id)).transpose()?,
        image: given(&dropped.sha256).then(|| image(&dropped.sha256)).transpose()?,
    })
}

fn product_id(text: &str) -> Checked<ProductId> {
    text.parse().map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shoe() -> guest::Details {
        details(&Details { name: "shoe".into(), price: 3.0, ..Details::default() })
    }

    fn create(details: guest::Details, keep: &[u32], gone: &[u32]) -> guest::Decision {
        let dropped = |index: &u32| guest::Dropped {
            index: *index,
            reason: guest::DropReason::Unsuitable,
            product_id: String::new(),
            sha256: String::new(),
        };
        let product = guest::Product { details, keep: keep.to_vec(), index_text: "shoe".into() };
        guest::Decision {
            outcome: guest::Outcome::Create(product),
            dropped: gone.iter().map(dropped).collect(),
        }
    }

    fn check(answer: guest::Decision) -> Checked<Decision> {
        decision(answer, &HashSet::from([0, 2, 5]))
    }

    #[test]
    fn details_survive_the_way_to_the_guest_and_back() {
        let mut details = Details { name: "shoe".into(), sku: Some("a-1".into()), ..Details::default() };
        details.attributes.insert("brand".into(), "Bata".into());
        assert_eq!(parsed(super::details(&details)).unwrap(), details);
    }

    #[test]
    fn a_proper_decision_is_taken_over() {
        let Outcome::Create { keep, .. } = check(create(shoe(), &[5, 0], &[2])).unwrap().outcome else {
            panic!()
        };
        assert_eq!(keep, [5, 0]);
    }

    #[rstest::rstest]
    #[case::kept_twice(create(shoe(), &[0, 0], &[]), "kept twice")]
    #[case::not_submitted(create(shoe(), &[1], &[]), "not submitted")]
    #[case::kept_and_dropped(create(shoe(), &[0], &[0]), "is kept")]
    #[case::dropped_twice(create(shoe(), &[], &[2, 2]), "dropped twice")]
    #[case::no_name(create(guest::Details { name: String::new(), ..shoe() }, &[0], &[]), "name")]
    #[case::price(create(guest::Details { price: f64::NAN, ..shoe() }, &[0], &[]), "price")]
    #[case::attributes(create(guest::Details { attributes: "[]".into(), ..shoe() }, &[0], &[]), "JSON object")]
    fn a_decision_that_cannot_be_is_refused(#[case] answer: guest::Decision, #[case] says: &str) {
        let error = check(answer).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn a_product_id_that_is_none_is_refused() {
        let outcome = guest::Outcome::Duplicate("../x".into());
        assert!(check(guest::Decision { outcome, dropped: vec![] }).unwrap_err().contains("product id"));
    }
}
