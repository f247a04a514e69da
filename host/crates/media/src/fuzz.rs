//! Bytes that may be pictures: whatever they are, they are a picture within the limits or refused, and no decoder panics.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use taja_catalog::port::MediaError;

use crate::{decode, sniff};

const MAX_PIXELS: u64 = 1 << 16;
const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];

/// Bytes overwritten in a picture: where, as a share of its length, and with what.
type Damage = Vec<(u16, u8)>;

#[test]
fn any_bytes_are_a_picture_within_the_limits_or_refused() {
    let whole = FORMATS.map(encoded);
    bolero::check!().with_type::<(Vec<u8>, u8, Damage, u16)>().for_each(|(bytes, format, damage, kept)| {
        taken_or_refused(bytes);
        let mut picture = whole[usize::from(*format) % whole.len()].clone();
        for (place, byte) in damage {
            let place = usize::from(*place) % picture.len();
            picture[place] = *byte;
        }
        taken_or_refused(&picture);
        picture.truncate(picture.len() * usize::from(*kept) / usize::from(u16::MAX));
        picture.extend_from_slice(bytes);
        taken_or_refused(&picture);
    });
}

fn taken_or_refused(bytes: &[u8]) {
    let sniffed = sniff(bytes);
    match decode::picture(bytes, MAX_PIXELS) {
        Ok(picture) => {
            assert!(sniffed.image().is_ok());
            let (width, height) = (u64::from(picture.raster.width()), u64::from(picture.raster.height()));
            assert!(width * height <= MAX_PIXELS, "{width} x {height}");
        }
        Err(MediaError::Failed(why)) => panic!("{why}: {bytes:?}"),
        Err(_) => {}
    }
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture =
        RgbImage::from_fn(24, 17, |x, y| image::Rgb([(x * 10) as u8, (y * 15) as u8, (x * y) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("the picture can be encoded");
    bytes.into_inner()
}
