//! What becomes of a submission, given which of its pictures are kept.

use crate::{
    pictures::{Reason, Upload},
    settings::{OnKnown, OnPartial, Settings},
};

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new product with these pictures.
    Create(Vec<u32>),
    /// The pictures join this product; without any, the terms do, as another offer.
    Merge(String, Vec<u32>),
    /// Every picture is known; this product has most of them.
    Duplicate(String),
    /// Nothing to make a product of, and why.
    Reject(String),
}

/// Decides. `reasons` says of each upload why it is not kept, or none where it is.
pub fn decide(uploads: &[Upload], reasons: &[Option<Reason>], settings: &Settings) -> Outcome {
    let min_side = settings.min_side;
    let keep: Vec<u32> = uploads
        .iter()
        .zip(reasons)
        .filter(|(_, reason)| reason.is_none())
        .map(|(upload, _)| upload.index)
        .collect();
    let owners: Vec<&str> =
        reasons.iter().flatten().filter_map(Reason::stored).map(|stored| stored.product.as_str()).collect();
    if keep.is_empty() {
        return match most_frequent(&owners) {
            Some(product) => match settings.on_known {
                OnKnown::Duplicate => Outcome::Duplicate(product.to_owned()),
                OnKnown::Offer => Outcome::Merge(product.to_owned(), Vec::new()),
            },
            None if uploads.is_empty() => Outcome::Reject("there is no picture that can be used".to_owned()),
            None => Outcome::Reject(format!("every picture is smaller than {min_side} pixels on a side")),
        };
    }
    match owners.split_first() {
        Some((owner, others))
            if settings.on_partial == OnPartial::Merge && others.iter().all(|other| other == owner) =>
        {
            Outcome::Merge((*owner).to_owned(), keep)
        }
        _ => Outcome::Create(keep),
    }
}

/// The name that comes most often, the first such.
fn most_frequent<'a>(names: &[&'a str]) -> Option<&'a str> {
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    names.iter().copied().reduce(|best, name| if count(name) > count(best) { name } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::Stored;

    fn outcome(reasons: &[Option<Reason>], on_partial: OnPartial) -> Outcome {
        let on_known = OnKnown::Duplicate;
        outcome_with(reasons, &Settings { on_partial, on_known, ..Settings::parse("{}").unwrap() })
    }

    fn outcome_with(reasons: &[Option<Reason>], settings: &Settings) -> Outcome {
        // Places 10, 11, ..: an index is a place in the request and not in this list.
        let upload = |at: u32| Upload { index: 10 + at, sha256: at.to_string(), min_side: 100 };
        let uploads: Vec<_> = (0..reasons.len() as u32).map(upload).collect();
        decide(&uploads, reasons, settings)
    }

    fn exact(product: &str) -> Option<Reason> {
        Some(Reason::Exact(Stored { product: product.into(), sha256: "x".into() }))
    }

    fn near(product: &str) -> Option<Reason> {
        Some(Reason::Near(Stored { product: product.into(), sha256: "x".into() }))
    }

    #[test]
    fn new_pictures_make_a_product_in_the_order_of_the_request() {
        let reasons = [None, Some(Reason::Repeated), Some(Reason::Unsuitable), None];
        for on_partial in [OnPartial::Create, OnPartial::Merge] {
            assert_eq!(outcome(&reasons, on_partial), Outcome::Create(vec![10, 13]));
        }
    }

    #[test]
    fn a_product_whose_pictures_are_all_known_is_a_duplicate_of_the_one_that_has_most() {
        let reasons = [exact("a"), near("b"), exact("b"), Some(Reason::Unsuitable)];
        assert_eq!(outcome(&reasons, OnPartial::Create), Outcome::Duplicate("b".into()));
        assert_eq!(outcome(&[exact("a"), near("b")], OnPartial::Merge), Outcome::Duplicate("a".into()));
    }

    #[test]
    fn known_pictures_are_an_offer_unless_the_shop_wants_none() {
        let settings = Settings::parse("{}").unwrap();
        let known = [exact("a"), near("b"), exact("b")];
        assert_eq!(outcome_with(&known, &settings), Outcome::Merge("b".into(), Vec::new()));
        assert_eq!(outcome_with(&[exact("a"), None], &settings), Outcome::Create(vec![11]));
        assert!(matches!(outcome_with(&[], &settings), Outcome::Reject(_)));
    }

    #[test]
    fn partly_known_pictures_join_their_product_only_when_asked_to() {
        let reasons = [exact("a"), None, near("a")];
        assert_eq!(outcome(&reasons, OnPartial::Create), Outcome::Create(vec![11]));
        assert_eq!(outcome(&reasons, OnPartial::Merge), Outcome::Merge("a".into(), vec![11]));
    }

    #[test]
    fn pictures_known_from_two_products_join_neither() {
        let reasons = [exact("a"), None, exact("b")];
        assert_eq!(outcome(&reasons, OnPartial::Merge), Outcome::Create(vec![11]));
    }

    #[test]
    fn a_submission_without_a_usable_picture_is_rejected_with_the_reason() {
        let small = [Some(Reason::Unsuitable), Some(Reason::Repeated)];
        assert!(
            matches!(outcome(&small, OnPartial::Create), Outcome::Reject(why) if why.contains("16 pixels"))
        );
        assert!(
            matches!(outcome(&[], OnPartial::Create), Outcome::Reject(why) if why.contains("no picture"))
        );
    }
}
