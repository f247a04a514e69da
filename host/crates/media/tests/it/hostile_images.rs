//! Images made to break a decoder.

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use taja_catalog::port::{ImageDecoder, MediaError};
use taja_media::{Media, MediaConfig, probe};

use crate::{config, fixture, images};

/// A PNG whose header promises 60,000 x 60,000 pixels.
fn png_bomb() -> Vec<u8> {
    let mut file = fixture("rgb.png");
    file[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A GIF whose canvas is 65,535 x 65,535.
fn gif_bomb() -> Vec<u8> {
    let mut file = fixture("still.gif");
    file[6..10].copy_from_slice(&[0xff; 4]);
    file
}

/// A GIF with an honest canvas whose first frame is 65,535 x 65,535.
fn gif_frame_bomb() -> Vec<u8> {
    let mut file = b"GIF89a\x04\0\x04\0\0\0\0".to_vec();
    file.extend(b"\x2c\0\0\0\0\xff\xff\xff\xff\x80\0\0\0\xff\xff\xff\x02\x02\x44\x01\0\x3b");
    file
}

/// An animation of two empty frames on a canvas of 16,384 x 16,384, in 100 bytes.
fn webp_bomb() -> Vec<u8> {
    let mut chunks = b"VP8X\x0a\0\0\0\x02\0\0\0\xff\x3f\0\xff\x3f\0ANIM\x06\0\0\0\0\0\0\0\0\0".to_vec();
    for _ in 0..2 {
        chunks.extend(b"ANMF\x1e\0\0\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0\x64\0\0\0");
        chunks.extend(b"VP8L\x06\0\0\0\x2f\xff\xff\xff\x0f\0");
    }
    let size = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
    [b"RIFF", &size[..], b"WEBP", &chunks[..]].concat()
}

fn bmp_bomb() -> Vec<u8> {
    let mut file = crate::tool::bitmap();
    file[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]);
    file
}

#[rstest]
#[case(png_bomb())]
#[case(gif_bomb())]
#[case(webp_bomb())]
#[case(bmp_bomb())]
#[tokio::test]
async fn a_decompression_bomb_is_too_large_and_never_decoded(#[case] bomb: Vec<u8>) {
    let result = images().decode(Bytes::from(bomb)).await;
    assert!(matches!(result, Err(MediaError::TooLarge { .. })), "{result:?}");
}

#[tokio::test]
async fn a_frame_larger_than_its_canvas_takes_no_memory_of_its_size() {
    let result = images().decode(Bytes::from(gif_frame_bomb())).await;
    assert!(matches!(result, Err(MediaError::Corrupt(_))), "{result:?}");
}

#[tokio::test]
async fn the_limit_of_pixels_is_the_configured_one() {
    let bytes = Bytes::from(fixture("rgb.png"));
    let limited = |max_pixels| Media::new(MediaConfig { max_pixels, ..config() }).unwrap();
    limited(47 * 33).decode(bytes.clone()).await.unwrap();
    let error = limited(47 * 33 - 1).decode(bytes).await.unwrap_err();
    assert_eq!(error, MediaError::TooLarge { width: 47, height: 33, max_pixels: 47 * 33 - 1 });
}

#[rstest]
#[case(b"", "media_empty")]
#[case(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "media_type_unsupported")]
#[case(b"%PDF-1.7\n", "media_type_unsupported")]
#[case(b"#EXTM3U\nhttp://127.0.0.1/\n", "media_type_unsupported")]
#[case(b"\x89PNG\r\n\x1a\n", "media_undecodable")]
#[case(b"\xff\xd8\xff\xff\xff\xff", "media_undecodable")]
#[case(b"GIF89a", "media_undecodable")]
#[case(b"RIFF\0\0\0\0WEBP", "media_undecodable")]
#[tokio::test]
async fn what_is_no_picture_is_refused_with_its_reason(#[case] bytes: &'static [u8], #[case] code: &str) {
    assert_eq!(images().decode(Bytes::from_static(bytes)).await.unwrap_err().code(), code);
    assert_eq!(probe(bytes).unwrap_err().code(), code);
}

const SEEDS: [&str; 14] = [
    "baseline-420.jpg",
    "progressive.jpg",
    "cmyk.jpg",
    "orientation-6.jpg",
    "rgba.png",
    "palette.png",
    "animated.png",
    "lossy.webp",
    "lossless.webp",
    "animated.webp",
    "still.gif",
    "animated.gif",
    "rgb.bmp",
    "palette.bmp",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_file_gives_a_picture_or_an_error(
        seed in 0..SEEDS.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = fixture(SEEDS[seed]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        never_fails(bytes)?;
    }

    #[test]
    fn noise_behind_a_true_signature_gives_a_picture_or_an_error(
        seed in 0..SEEDS.len(),
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        kept in 0_usize..60,
    ) {
        let mut bytes = fixture(SEEDS[seed]);
        bytes.truncate(kept);
        bytes.extend(noise);
        never_fails(bytes)?;
    }
}

/// `Failed` would blame the host for what the file did.
fn never_fails(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let media = Media::new(MediaConfig { max_pixels: 1_000_000, threads: 1, ..config() }).unwrap();
    let _ = probe(&bytes);
    let result = runtime.block_on(media.decode(bytes.into()));
    prop_assert!(!matches!(result, Err(MediaError::Failed(_))), "{result:?}");
    Ok(())
}
