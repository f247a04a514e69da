//! The perceptual hash: 64 bits that stay nearly the same when a picture is scaled or encoded again.
//!
//! A gradient hash ("dHash", N. Krawetz 2013): the picture is averaged down to 9 x 8, turned into luminance
//! (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), and each of the 8 x 8 bits says whether a cell is brighter than its
//! left neighbour. Bits go row by row from the top left, the first one being the most significant.
//!
//! One thing is added to the usual recipe: brighter means by more than [`MARGIN`]. Product photographs have plain
//! backgrounds, where neighbours differ by encoding noise alone and half of the bits would be dice.

use taja_catalog::{PerceptualHash, Raster};

use crate::scale::{Filter, scaled};

const COLUMNS: u32 = 9;
const ROWS: u32 = 8;
/// Thousandths of a luminance level (of 255) by which a cell must be brighter than its left neighbour.
const MARGIN: i32 = 2_000;

/// The perceptual hash of pixels.
pub fn perceptual_hash(raster: &Raster) -> PerceptualHash {
    let small = scaled(raster, COLUMNS, ROWS, Filter::Average);
    let luminance: Vec<i32> = small
        .rgb()
        .chunks_exact(3)
        .map(|p| 299 * i32::from(p[0]) + 587 * i32::from(p[1]) + 114 * i32::from(p[2]))
        .collect();
    let bits = luminance
        .chunks_exact(COLUMNS as usize)
        .flat_map(|row| row.windows(2).map(|pair| pair[1] - pair[0] > MARGIN))
        .fold(0, |hash, brighter| hash << 1 | u64::from(brighter));
    PerceptualHash(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(values: [u8; 9]) -> Raster {
        let row: Vec<u8> = values.iter().flat_map(|v| [*v; 3]).collect();
        Raster::new(9, 8, row.repeat(8)).unwrap()
    }

    #[test]
    fn every_bit_says_whether_it_gets_brighter_to_the_right() {
        let hash = perceptual_hash(&columns([0, 10, 10, 30, 20, 40, 41, 90, 80]));
        assert_eq!(hash.to_string(), "aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn noise_on_a_plain_background_is_no_gradient() {
        assert_eq!(perceptual_hash(&columns([255, 254, 255, 253, 255, 254, 255, 255, 254])).0, 0);
    }

    #[test]
    fn a_mirrored_picture_looks_different() {
        let rising = perceptual_hash(&columns([0, 30, 60, 90, 120, 150, 180, 210, 240]));
        let falling = perceptual_hash(&columns([240, 210, 180, 150, 120, 90, 60, 30, 0]));
        assert_eq!(rising.distance(falling), 64);
    }
}
