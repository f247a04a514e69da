//! Any decoded pixels -> 8-bit RGB, by the rules of Pillow's `convert("RGB")`: transparency is dropped and not blended
//! with a colour, palettes are looked up, grey is repeated, and the high byte of 16 bits is kept.
//!
//! One difference is meant: Pillow clips 16-bit *grey* at 255, which turns nearly all of such a picture white. Here it is
//! treated as 16-bit colour is.

use image::DynamicImage;

/// The three colour bytes of every pixel, without copying when they are RGB already.
pub(crate) fn into_rgb8(image: DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageRgba8(image) => first_three::<4>(image.as_raw()),
        DynamicImage::ImageLuma8(image) => repeated::<1>(image.as_raw()),
        DynamicImage::ImageLumaA8(image) => repeated::<2>(image.as_raw()),
        DynamicImage::ImageRgb16(image) => image.as_raw().iter().map(high_byte).collect(),
        DynamicImage::ImageRgba16(image) => {
            image.as_raw().chunks_exact(4).flat_map(|p| [&p[0], &p[1], &p[2]]).map(high_byte).collect()
        }
        DynamicImage::ImageLuma16(image) => {
            image.as_raw().iter().map(high_byte).flat_map(|grey| [grey; 3]).collect()
        }
        DynamicImage::ImageLumaA16(image) => {
            image.as_raw().iter().step_by(2).map(high_byte).flat_map(|grey| [grey; 3]).collect()
        }
        other => other.into_rgb8().into_raw(),
    }
}

fn high_byte(sample: &u16) -> u8 {
    sample.to_be_bytes()[0]
}

fn first_three<const CHANNELS: usize>(samples: &[u8]) -> Vec<u8> {
    samples.chunks_exact(CHANNELS).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn repeated<const CHANNELS: usize>(samples: &[u8]) -> Vec<u8> {
    samples.chunks_exact(CHANNELS).flat_map(|pixel| [pixel[0]; 3]).collect()
}
