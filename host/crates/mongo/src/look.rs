//! Pictures that look alike: hashes of 64 bits that differ in few of them.
//!
//! A hash is cut into [`BANDS`] bands. Two hashes that differ in fewer bits than there are bands agree in one band at
//! least, so an index over bands finds every such pair; for a greater distance all hashes of the shop are read from an
//! index that holds nothing else. Either way the host compares, and keeps no more than it was asked for.

use std::collections::BinaryHeap;

use futures::TryStreamExt;
use mongodb::{bson::doc, options::Hint};
use taja_catalog::{ImageHash, PerceptualHash, PortResult, ProductId, TenantId, port::KnownImage};

use crate::{
    collections::Collections,
    document::{hash, id},
    error::{damaged, mongo},
};

/// A near duplicate is within 4 bits: five bands of 13 bits (the last of 12) hold little more than what is near.
const BANDS: u32 = 5;
const BAND_BITS: u32 = 13;

/// A hash's bands, each with its number above its bits.
pub(crate) fn bands(look: PerceptualHash) -> Vec<i32> {
    let band =
        |n: u32| ((look.0 >> (n * BAND_BITS)) & ((1 << BAND_BITS) - 1)) as i32 | (n << BAND_BITS) as i32;
    (0..BANDS).map(band).collect()
}

/// Images within a distance, nearest first.
pub(crate) async fn alike(
    collections: &Collections,
    tenant: &TenantId,
    look: PerceptualHash,
    max_distance: u32,
    limit: usize,
) -> PortResult<Vec<KnownImage>> {
    let mut filter = doc! { "tenant": tenant.as_str() };
    let index = if max_distance < BANDS {
        filter.insert("bands", doc! { "$in": bands(look) });
        "taja_bands"
    } else {
        filter.insert("look", doc! { "$type": "long" });
        "taja_look"
    };
    let wanted = doc! { "_id": 0, "look": 1, "hash": 1, "product": 1 };
    let find = collections.images.find(filter).projection(wanted);
    let mut cursor = find.hint(Hint::Name(index.into())).await.map_err(mongo)?;
    // The farthest of the nearest is on top, to be pushed out by a nearer one.
    let mut nearest: BinaryHeap<(u32, ImageHash, ProductId)> = BinaryHeap::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        let stored = document.get_i64("look").map_err(|error| damaged("image", error))?;
        let distance = PerceptualHash(stored.cast_unsigned()).distance(look);
        if distance <= max_distance {
            nearest.push((distance, hash(&document, "hash")?, id(&document, "product")?));
            if nearest.len() > limit {
                nearest.pop();
            }
        }
    }
    let known = |(distance, hash, product)| KnownImage { product, hash, distance };
    Ok(nearest.into_sorted_vec().into_iter().map(known).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_that_differ_in_fewer_bits_than_there_are_bands_share_a_band() {
        let look = PerceptualHash(0x0123_4567_89ab_cdef);
        for bits in 0..(1_u32 << (BANDS - 1)) {
            // One bit in each of all bands but one, for every choice of bits.
            let differing =
                (0..BANDS - 1).map(|n| u64::from(bits >> n & 1) << (n * BAND_BITS + bits % BAND_BITS));
            let other = PerceptualHash(look.0 ^ differing.sum::<u64>());
            let shared = bands(look).iter().filter(|band| bands(other).contains(band)).count();
            assert_eq!(shared, (BANDS - look.distance(other)) as usize);
        }
    }

    #[test]
    fn bands_hold_every_bit() {
        for bit in 0..64 {
            assert_ne!(bands(PerceptualHash(1 << bit)), bands(PerceptualHash(0)), "bit {bit}");
        }
    }
}
