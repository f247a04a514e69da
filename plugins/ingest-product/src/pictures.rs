//! Sorts the pictures of a submission into those to keep and those to drop, and why.

use std::collections::HashSet;

use crate::settings::Settings;

/// An uploaded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its place in the request.
    pub index: u32,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// The smaller of width and height, pixels.
    pub min_side: u32,
}

/// A stored picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The product it belongs to.
    pub product: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// Why a picture is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The shop has these bytes.
    Exact(Stored),
    /// The shop has a picture that looks the same.
    Near(Stored),
    /// It stands earlier in the request.
    Repeated,
    /// Too small.
    Unsuitable,
}

impl Reason {
    /// The stored picture it equals or resembles.
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Exact(stored) | Self::Near(stored) => Some(stored),
            Self::Repeated | Self::Unsuitable => None,
        }
    }
}

/// What the shop has already. Uploads are named by their place in the list that is sorted out.
pub trait Shop {
    /// The stored picture with these bytes.
    fn same_bytes(&self, sha256: &str) -> Result<Option<Stored>, String>;
    /// The stored pictures whose perceptual hash is within the distance, nearest first.
    fn alike(&self, upload: usize, max_distance: u32) -> Result<Vec<Stored>, String>;
    /// Uploads, each with a stored picture whose vector has at least this cosine with the upload's.
    fn close(&self, uploads: &[usize], min_cosine: f32) -> Result<Vec<(usize, Stored)>, String>;
}

/// Why each upload is not kept, or none where it is.
pub fn sort_out(
    uploads: &[Upload],
    shop: &dyn Shop,
    settings: &Settings,
) -> Result<Vec<Option<Reason>>, String> {
    let mut reasons = Vec::with_capacity(uploads.len());
    for (at, upload) in uploads.iter().enumerate() {
        reasons.push(if uploads[..at].iter().any(|earlier| earlier.sha256 == upload.sha256) {
            Some(Reason::Repeated)
        } else if upload.min_side < settings.min_side {
            Some(Reason::Unsuitable)
        } else {
            shop.same_bytes(&upload.sha256)?.map(Reason::Exact)
        });
    }
    if settings.near_duplicates {
        drop_look_alikes(&mut reasons, shop, settings)?;
    }
    Ok(reasons)
}

/// First both signs are asked for, and of one stored picture: two shirts photographed on one background have like hashes, and
/// two pictures of one model of shoe have like vectors, and neither pair is the same picture.
fn drop_look_alikes(
    reasons: &mut [Option<Reason>],
    shop: &dyn Shop,
    settings: &Settings,
) -> Result<(), String> {
    let mut suspects = Vec::new();
    for at in unexplained(reasons) {
        let alike = shop.alike(at, settings.near_distance)?;
        if !alike.is_empty() {
            suspects.push((at, alike));
        }
    }
    if !suspects.is_empty() {
        let places: Vec<usize> = suspects.iter().map(|(at, _)| *at).collect();
        let close: HashSet<_> = shop.close(&places, settings.near_cosine)?.into_iter().collect();
        for (at, alike) in suspects {
            let same = alike.into_iter().find(|stored| close.contains(&(at, stored.clone())));
            reasons[at] = same.map(Reason::Near);
        }
    }
    let left = unexplained(reasons);
    if settings.same_cosine < 1.0 && !left.is_empty() {
        for (at, stored) in shop.close(&left, settings.same_cosine)? {
            // The closest comes first.
            reasons[at].get_or_insert(Reason::Near(stored));
        }
    }
    Ok(())
}

/// The places of pictures that are kept so far.
fn unexplained(reasons: &[Option<Reason>]) -> Vec<usize> {
    let kept = reasons.iter().enumerate().filter(|(_, reason)| reason.is_none());
    kept.map(|(at, _)| at).collect()
}

/// The rows whose score is at least `min_cosine`; one that is no number is none of them.
pub fn close_rows(scores: &[f32], min_cosine: f32) -> impl Iterator<Item = u32> {
    (0..).zip(scores).filter(move |(_, score)| **score >= min_cosine).map(|(row, _)| row)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A shop that knows bytes by hash, and by place the distances and cosines of stored pictures.
    #[derive(Default)]
    struct Table {
        bytes: HashMap<&'static str, Stored>,
        distances: Vec<(usize, &'static str, u32)>,
        cosines: Vec<(usize, &'static str, f32)>,
    }

    impl Shop for Table {
        fn same_bytes(&self, sha256: &str) -> Result<Option<Stored>, String> {
            Ok(self.bytes.get(sha256).cloned())
        }
        fn alike(&self, upload: usize, max_distance: u32) -> Result<Vec<Stored>, String> {
            let near =
                self.distances.iter().filter(|(at, _, distance)| *at == upload && *distance <= max_distance);
            Ok(near.map(|(_, product, _)| stored(product)).collect())
        }
        fn close(&self, uploads: &[usize], min_cosine: f32) -> Result<Vec<(usize, Stored)>, String> {
            let near =
                self.cosines.iter().filter(|(at, _, cosine)| uploads.contains(at) && *cosine >= min_cosine);
            Ok(near.map(|(at, product, _)| (*at, stored(product))).collect())
        }
    }

    fn stored(product: &str) -> Stored {
        Stored { product: product.into(), sha256: format!("hash of {product}") }
    }

    fn uploads(hashes: &[&str]) -> Vec<Upload> {
        let upload = |(hash, index): (&&str, u32)| Upload { index, sha256: (*hash).into(), min_side: 100 };
        hashes.iter().zip(0..).map(upload).collect()
    }

    fn sorted(uploads: &[Upload], shop: &Table, json: &str) -> Vec<Option<Reason>> {
        sort_out(uploads, shop, &Settings::parse(json).unwrap()).unwrap()
    }

    #[test]
    fn the_first_of_repeated_pictures_is_kept() {
        let reasons = sorted(&uploads(&["a", "b", "a", "a"]), &Table::default(), "{}");
        assert_eq!(reasons, [None, None, Some(Reason::Repeated), Some(Reason::Repeated)]);
    }

    #[test]
    fn bytes_the_shop_has_are_exact_duplicates() {
        let shop = Table { bytes: [("b", stored("p1"))].into(), ..Table::default() };
        let reasons = sorted(&uploads(&["a", "b"]), &shop, "{}");
        assert_eq!(reasons, [None, Some(Reason::Exact(stored("p1")))]);
    }

    #[test]
    fn a_look_alike_needs_both_hash_and_vector() {
        let shop = Table {
            distances: vec![(0, "p1", 4), (1, "p2", 4), (2, "p3", 5)],
            cosines: vec![(0, "p1", 0.921), (1, "p2", 0.91), (2, "p3", 0.99), (3, "p4", 0.99)],
            ..Table::default()
        };
        let pictures = uploads(&["a", "b", "c", "d"]);
        assert_eq!(sorted(&pictures, &shop, "{}"), [Some(Reason::Near(stored("p1"))), None, None, None]);
        let wider = sorted(&pictures, &shop, r#"{"near_distance": 5, "near_cosine": 0.5}"#);
        assert_eq!(wider.iter().flatten().count(), 3, "{wider:?}");
        assert_eq!(sorted(&pictures, &shop, r#"{"near_duplicates": false}"#), [None, None, None, None]);
    }

    #[test]
    fn hash_and_vector_must_be_of_one_stored_picture_and_one_upload() {
        let shop = Table {
            distances: vec![(0, "background", 0), (1, "background", 0), (1, "same", 3)],
            cosines: vec![(0, "model", 1.0), (1, "model", 1.0), (1, "same", 0.98), (2, "background", 1.0)],
            ..Table::default()
        };
        let reasons = sorted(&uploads(&["a", "b", "c"]), &shop, "{}");
        assert_eq!(reasons, [None, Some(Reason::Near(stored("same"))), None]);
    }

    #[test]
    fn a_vector_that_is_the_same_suffices_where_the_shop_says_so() {
        let shop = Table { cosines: vec![(0, "cropped", 0.97), (1, "other", 0.95)], ..Table::default() };
        let pictures = uploads(&["a", "b"]);
        assert_eq!(sorted(&pictures, &shop, "{}"), [None, None]);
        let alone = sorted(&pictures, &shop, r#"{"same_cosine": 0.96}"#);
        assert_eq!(alone, [Some(Reason::Near(stored("cropped"))), None]);
    }

    #[test]
    fn of_several_look_alikes_the_nearest_by_hash_is_named() {
        let shop = Table {
            distances: vec![(0, "nearest", 1), (0, "other", 2)],
            cosines: vec![(0, "other", 0.999), (0, "nearest", 0.98)],
            ..Table::default()
        };
        assert_eq!(sorted(&uploads(&["a"]), &shop, "{}"), [Some(Reason::Near(stored("nearest")))]);
    }

    #[test]
    fn a_cosine_that_is_no_number_makes_no_duplicate() {
        assert_eq!(close_rows(&[0.97, f32::NAN, 0.96, 1.0], 0.97).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(close_rows(&[f32::NAN], 0.0).count(), 0);
    }

    #[test]
    fn a_picture_that_is_too_small_is_unsuitable() {
        let mut pictures = uploads(&["a", "b"]);
        pictures[0].min_side = 15;
        pictures[1].min_side = 16;
        assert_eq!(sorted(&pictures, &Table::default(), "{}"), [Some(Reason::Unsuitable), None]);
    }
}
