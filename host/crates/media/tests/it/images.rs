//! Images against what Pillow reads from the same files (`tests/pillow/make.py`).

use bytes::Bytes;
use rstest::rstest;
use taja_catalog::{ImageHash, Raster, port::ImageDecoder, port::MediaError};
use taja_media::probe;

use crate::{fixture, images};

async fn decoded(name: &str) -> Raster {
    images().decode(Bytes::from(fixture(name))).await.unwrap().raster
}

/// What Pillow reads: `P6 width height 255`, a line end, the pixels.
fn by_pillow(name: &str) -> Raster {
    let file = fixture(&format!("{name}.ppm"));
    let end = file.iter().position(|byte| *byte == b'\n').unwrap();
    let words: Vec<&str> = std::str::from_utf8(&file[..end]).unwrap().split(' ').collect();
    Raster::new(words[1].parse().unwrap(), words[2].parse().unwrap(), file[end + 1..].to_vec()).unwrap()
}

fn worst_difference(ours: &Raster, theirs: &Raster) -> u8 {
    assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()));
    ours.rgb().iter().zip(theirs.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[rstest]
#[case("rgb.png")]
#[case("rgba.png")]
#[case("grey.png")]
#[case("grey-alpha.png")]
#[case("one-bit.png")]
#[case("palette.png")]
#[case("palette-transparent.png")]
#[case("animated.png")]
#[case("orientation-6.png")]
#[case("orientation-6.webp")]
#[case("lossless.webp")]
#[case("alpha.webp")]
#[case("animated.webp")]
#[case("still.gif")]
#[case("transparent.gif")]
#[case("animated.gif")]
#[case("rgb.bmp")]
#[case("palette.bmp")]
#[case("grey.bmp")]
#[tokio::test]
async fn lossless_formats_are_read_as_pillow_reads_them(#[case] name: &str) {
    assert_eq!(worst_difference(&decoded(name).await, &by_pillow(name)), 0);
}

/// Decoders round differently where colour is stored at half the resolution and changes hard, and nowhere else.
#[rstest]
#[case("baseline-420.jpg", 3)]
#[case("baseline-422.jpg", 3)]
#[case("baseline-444.jpg", 2)]
#[case("progressive.jpg", 3)]
#[case("grey.jpg", 1)]
#[case("cmyk.jpg", 2)]
#[case("lossy.webp", 2)]
#[tokio::test]
async fn lossy_formats_are_read_as_pillow_reads_them_within_rounding(#[case] name: &str, #[case] worst: u8) {
    let (ours, theirs) = (decoded(name).await, by_pillow(name));
    let difference = worst_difference(&ours, &theirs);
    assert!(difference <= worst, "{difference}");
    let sum: u32 = ours.rgb().iter().zip(theirs.rgb()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    let mean = f64::from(sum) / ours.rgb().len() as f64;
    assert!(mean <= 0.5, "{mean}");
}

#[rstest]
#[tokio::test]
async fn every_orientation_is_turned_upright(#[values(1, 2, 3, 4, 5, 6, 7, 8)] value: u8) {
    let name = format!("orientation-{value}.jpg");
    let difference = worst_difference(&decoded(&name).await, &by_pillow(&name));
    assert!(difference <= 3, "{difference}");
}

#[tokio::test]
async fn sixteen_bits_keep_their_high_byte() {
    let samples: Vec<u8> =
        [0x0080_u16, 0x7fff, 0xff00, 0xffff].iter().flat_map(|s| s.to_be_bytes()).collect();
    let mut file = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    let native: Vec<u8> =
        samples.chunks(2).flat_map(|s| u16::from_be_bytes([s[0], s[1]]).to_ne_bytes()).collect();
    image::ImageEncoder::write_image(encoder, &native, 4, 1, image::ExtendedColorType::L16).unwrap();
    let picture = images().decode(file.into()).await.unwrap();
    assert_eq!(picture.raster.rgb(), [0, 0, 0, 0x7f, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
}

#[tokio::test]
async fn the_hash_is_that_of_the_bytes_and_not_of_the_pixels() {
    let bytes = fixture("rgb.png");
    let picture = images().decode(Bytes::from(bytes.clone())).await.unwrap();
    assert_eq!(picture.hash, Some(ImageHash::of(&bytes)));
}

#[rstest]
#[case("baseline-420.jpg")]
#[case("progressive.jpg")]
#[case("rgb.png")]
#[case("palette.png")]
#[case("lossy.webp")]
#[case("lossless.webp")]
#[case("animated.webp")]
#[case("still.gif")]
#[case("rgb.bmp")]
#[case("palette.bmp")]
#[tokio::test]
async fn a_file_cut_short_is_corrupt_wherever_it_is_cut(#[case] name: &str) {
    let whole = fixture(name);
    let media = images();
    for percent in [30, 50, 70, 90] {
        let cut = Bytes::copy_from_slice(&whole[..whole.len() * percent / 100]);
        let result = media.decode(cut).await;
        // An animation may be cut after its first frame, which is all that is looked at.
        assert!(matches!(result, Err(MediaError::Corrupt(_))), "{percent} %: {result:?}");
    }
}

#[rstest]
#[case("baseline-420.jpg", 47, 33)]
#[case("orientation-6.jpg", 47, 33)]
#[case("animated.gif", 47, 33)]
#[case("alpha.webp", 47, 33)]
fn a_probe_tells_the_size_as_it_is_stored(#[case] name: &str, #[case] width: u32, #[case] height: u32) {
    let found = probe(&fixture(name)).unwrap();
    assert_eq!((found.width, found.height), (width, height));
}
