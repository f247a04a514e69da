//! Smaller pictures and JPEG files, out of pixels that are already decoded.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use taja_catalog::{Chroma, Raster, port::MediaError};

/// The picture scaled to exactly `width` x `height` (0 is taken as 1), its shape not kept. Bicubic with antialiasing,
/// as in Pillow. Computes for milliseconds: not for a runtime thread (see [`Media::compute`](crate::Media::compute)).
pub fn pixels(raster: &Raster, width: u32, height: u32) -> Raster {
    let (width, height) = (width.max(1), height.max(1));
    if (width, height) == (raster.width(), raster.height()) {
        return raster.clone();
    }
    let source = ImageRef::new(raster.width(), raster.height(), raster.rgb(), PixelType::U8x3)
        .expect("a raster holds width * height * 3 bytes");
    let mut target = Image::new(width, height, PixelType::U8x3);
    // Catmull-Rom with antialiasing: what Pillow calls bicubic.
    let bicubic = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new()
        .resize(&source, &mut target, &bicubic)
        .expect("both images have the same pixel type and nothing is cropped");
    Raster::new(width, height, target.into_vec()).expect("the target was made with these sides")
}

/// The picture with its longer side at most `max_side` pixels, its shape kept; a smaller one comes back as it is.
pub fn thumbnail(raster: &Raster, max_side: u32) -> Raster {
    let (width, height) = fitted(raster.width(), raster.height(), max_side);
    pixels(raster, width, height)
}

/// Encodes pixels as a JPEG file that holds nothing else: no EXIF, no GPS, no profile. `quality` is 1 to 100, and 85 is
/// a good one for photographs. Colours are sampled as those were that the pixels were made of.
///
/// # Errors
/// `Failed` for a side over 65,535 pixels, which the format cannot hold.
pub fn encode_jpeg(raster: &Raster, quality: u8) -> Result<Vec<u8>, MediaError> {
    let side = |pixels: u32| {
        pixels
            .try_into()
            .map_err(|_| MediaError::Failed(format!("a JPEG file cannot be {pixels} pixels wide or high")))
    };
    let (width, height) = (side(raster.width())?, side(raster.height())?);
    let mut file = Vec::with_capacity(raster.rgb().len() / 8);
    let mut encoder = Encoder::new(&mut file, quality.clamp(1, 100));
    // No colour is lost that was there: vectors are made of what is hosted when another model takes over.
    encoder.set_sampling_factor(match raster.chroma() {
        Chroma::Full => SamplingFactor::R_4_4_4,
        Chroma::Quarter => SamplingFactor::R_4_2_0,
    });
    encoder
        .encode(raster.rgb(), width, height, ColorType::Rgb)
        .map_err(|error| MediaError::Failed(format!("JPEG encoding: {error}")))?;
    Ok(file)
}

/// The sides of a rectangle shrunk, if need be, until the longer is `max_side`; never 0.
pub(crate) fn fitted(width: u32, height: u32, max_side: u32) -> (u32, u32) {
    let longer = width.max(height).max(1);
    if longer <= max_side {
        return (width.max(1), height.max(1));
    }
    let fit = |side: u32| {
        let rounded = (u64::from(side) * u64::from(max_side) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(rounded).unwrap_or(max_side).max(1)
    };
    (fit(width), fit(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32, rgb: [u8; 3]) -> Raster {
        Raster::new(width, height, rgb.repeat((width * height) as usize)).unwrap()
    }

    #[test]
    fn a_thumbnail_keeps_the_shape_and_never_grows() {
        let small = thumbnail(&plain(400, 200, [9, 9, 9]), 100);
        assert_eq!((small.width(), small.height()), (100, 50));
        let same = thumbnail(&plain(40, 20, [9, 9, 9]), 100);
        assert_eq!((same.width(), same.height()), (40, 20));
        assert_eq!(fitted(1, 100_000, 640), (1, 640));
    }

    #[test]
    fn scaling_keeps_a_plain_colour_exactly() {
        assert_eq!(pixels(&plain(97, 31, [12, 200, 77]), 20, 40), plain(20, 40, [12, 200, 77]));
    }

    #[test]
    fn an_encoded_picture_is_jpeg_and_carries_no_metadata() {
        let file = encode_jpeg(&plain(64, 48, [200, 30, 30]), 85).unwrap();
        assert_eq!(crate::sniff(&file).image().unwrap(), crate::ImageType::Jpeg);
        // Application segments other than JFIF (0xe0), and comments (0xfe).
        let markers = crate::jpeg::markers(&file);
        assert!(markers.iter().all(|m| !(0xe1..=0xef).contains(m) && *m != 0xfe), "{markers:x?}");
    }

    #[test]
    fn colours_are_written_as_finely_as_they_came() {
        for chroma in [Chroma::Full, Chroma::Quarter] {
            let file = encode_jpeg(&plain(64, 48, [200, 30, 30]).made_of(chroma), 85).unwrap();
            assert_eq!(crate::jpeg::chroma(&file), chroma);
        }
    }

    #[test]
    fn a_side_that_jpeg_cannot_hold_is_an_error() {
        assert!(matches!(encode_jpeg(&plain(70_000, 1, [0; 3]), 85), Err(MediaError::Failed(_))));
    }
}
