//! One image file -> one upright RGB raster. Limits come first: nothing is allocated by a header's word alone.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage, metadata::Orientation};
use taja_catalog::{Chroma, ImageHash, PerceptualHash, Picture, Raster, port::MediaError};

use crate::{ImageType, jpeg, rgb, sniff, webp};

/// Sides of an image in pixels, as its header gives them: before its orientation is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// What an image's header says of its size. Reads no pixels, but parses: hostile bytes get an error, never a panic.
///
/// # Errors
/// `Empty`, `Unsupported` for what is no image that is taken, `Corrupt` for a header that makes no sense. No limit is
/// applied here.
pub fn probe(bytes: &[u8]) -> Result<Dimensions, MediaError> {
    let kind = sniff(bytes).image()?;
    guarded(|| {
        let (width, height) = reader(bytes, kind).into_decoder().map_err(corrupt)?.dimensions();
        Ok(Dimensions { width, height })
    })
}

/// The whole way of an upload: sniff, check, decode the first frame, turn upright, hash.
pub(crate) fn picture(bytes: &[u8], max_pixels: u64) -> Result<Picture, MediaError> {
    let kind = sniff(bytes).image()?;
    let raster = guarded(|| raster(bytes, kind, max_pixels))?;
    Ok(Picture { hash: Some(ImageHash::of(bytes)), perceptual: PerceptualHash::of(&raster), raster })
}

fn raster(bytes: &[u8], kind: ImageType, max_pixels: u64) -> Result<Raster, MediaError> {
    let mut reader = reader(bytes, kind);
    reader.limits(limits(max_pixels));
    let mut decoder = reader.into_decoder().map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height, max_pixels)?;
    let chroma = check_body(bytes, kind, max_pixels)?;
    // A damaged EXIF block is no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // The first frame only: `into_frames` allocates without minding the limits.
    let pixels = rgb::into_rgb8(DynamicImage::from_decoder(decoder).map_err(corrupt)?);
    Ok(upright(width, height, pixels, orientation)?.made_of(chroma))
}

fn check_body(bytes: &[u8], kind: ImageType, max_pixels: u64) -> Result<Chroma, MediaError> {
    match kind {
        ImageType::Jpeg => jpeg::check_complete(bytes).map(|()| jpeg::chroma(bytes)),
        ImageType::WebP => webp::check(bytes, max_pixels),
        ImageType::Png | ImageType::Gif | ImageType::Bmp => Ok(Chroma::Full),
    }
}

fn upright(width: u32, height: u32, rgb: Vec<u8>, orientation: Orientation) -> Result<Raster, MediaError> {
    let wrong_size = || MediaError::Corrupt("the pixels are not as many as the header says".into());
    if orientation == Orientation::NoTransforms {
        return Raster::new(width, height, rgb).ok_or_else(wrong_size);
    }
    let image = RgbImage::from_raw(width, height, rgb).ok_or_else(wrong_size)?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    Raster::new(width, height, image.into_rgb8().into_raw()).ok_or_else(wrong_size)
}

fn reader(bytes: &[u8], kind: ImageType) -> ImageReader<Cursor<&[u8]>> {
    ImageReader::with_format(Cursor::new(bytes), kind.format())
}

/// The decoders' own limits, as a second fence: 8 bytes for each pixel (16-bit RGBA) and room for their tables.
fn limits(max_pixels: u64) -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(max_pixels.saturating_mul(8).saturating_add(16 << 20));
    limits
}

pub(crate) fn check_pixels(width: u32, height: u32, max_pixels: u64) -> Result<(), MediaError> {
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(MediaError::TooLarge { width, height, max_pixels });
    }
    Ok(())
}

fn corrupt(error: image::ImageError) -> MediaError {
    match error {
        image::ImageError::Unsupported(error) => MediaError::Unsupported(error.to_string()),
        error => MediaError::Corrupt(error.to_string()),
    }
}

/// A decoder that panics met a file nobody thought of: the file's fault, and no reason to fall over.
fn guarded<T>(work: impl FnOnce() -> Result<T, MediaError>) -> Result<T, MediaError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::warn!("an image decoder panicked");
        Err(MediaError::Corrupt("the decoder gave up on it".into()))
    })
}
