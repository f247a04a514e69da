//! Sorts the pictures of a submission into those to keep and those to drop, and why.

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The stored picture whose perceptual hash is nearest, within the distance.
    fn alike(&self, upload: usize, max_distance: u32) -> Result<Option<Stored>, String>;
    /// For each upload the cosine to the nearest stored picture.
    fn best_cosines(&self, uploads: &[usize]) -> Result<Vec<f32>, String>;
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

/// Both signs are asked for: two shirts photographed on one background have like hashes, and two pictures of one
/// model of shoe have like vectors, and neither pair is the same picture.
fn drop_look_alikes(
    reasons: &mut [Option<Reason>],
    shop: &dyn Shop,
    settings: &Settings,
) -> Result<(), String> {
    let mut suspects = Vec::new();
    for (at, reason) in reasons.iter().enumerate() {
        if reason.is_none()
            && let Some(stored) = shop.alike(at, settings.near_distance)?
        {
            suspects.push((at, stored));
        }
    }
    if suspects.is_empty() {
        return Ok(());
    }
    let places: Vec<usize> = suspects.iter().map(|(at, _)| *at).collect();
    let cosines = shop.best_cosines(&places)?;
    for ((at, stored), cosine) in suspects.into_iter().zip(cosines) {
        if cosine >= settings.near_cosine {
            reasons[at] = Some(Reason::Near(stored));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A shop that knows bytes by hash, and look-alikes and cosines by place.
    #[derive(Default)]
    struct Table {
        bytes: HashMap<&'static str, Stored>,
        alike: HashMap<usize, (u32, Stored)>,
        cosines: HashMap<usize, f32>,
    }

    impl Shop for Table {
        fn same_bytes(&self, sha256: &str) -> Result<Option<Stored>, String> {
            Ok(self.bytes.get(sha256).cloned())
        }
        fn alike(&self, upload: usize, max_distance: u32) -> Result<Option<Stored>, String> {
            let near = self.alike.get(&upload).filter(|(distance, _)| *distance <= max_distance);
            Ok(near.map(|(_, stored)| stored.clone()))
        }
        fn best_cosines(&self, uploads: &[usize]) -> Result<Vec<f32>, String> {
            Ok(uploads.iter().map(|at| self.cosines.get(at).copied().unwrap_or(-1.0)).collect())
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
        let alike = [(0, (4, stored("p1"))), (1, (4, stored("p2"))), (2, (5, stored("p3")))];
        let shop = Table {
            alike: alike.into(),
            cosines: [(0, 0.971), (1, 0.96), (2, 0.99), (3, 0.99)].into(),
            ..Table::default()
        };
        let pictures = uploads(&["a", "b", "c", "d"]);
        assert_eq!(sorted(&pictures, &shop, "{}"), [Some(Reason::Near(stored("p1"))), None, None, None]);
        let wider = sorted(&pictures, &shop, r#"{"near_distance": 5, "near_cosine": 0.5}"#);
        assert_eq!(wider.iter().flatten().count(), 3, "{wider:?}");
        assert_eq!(sorted(&pictures, &shop, r#"{"near_duplicates": false}"#), [None, None, None, None]);
    }

    #[test]
    fn a_cosine_that_is_no_number_makes_no_duplicate() {
        let shop = Table {
            alike: [(0, (0, stored("p1")))].into(),
            cosines: [(0, f32::NAN)].into(),
            ..Table::default()
        };
        assert_eq!(sorted(&uploads(&["a"]), &shop, "{}"), [None]);
    }

    #[test]
    fn a_picture_that_is_too_small_is_unsuitable() {
        let mut pictures = uploads(&["a", "b"]);
        pictures[0].min_side = 15;
        pictures[1].min_side = 16;
        assert_eq!(sorted(&pictures, &Table::default(), "{}"), [Some(Reason::Unsuitable), None]);
    }
}
