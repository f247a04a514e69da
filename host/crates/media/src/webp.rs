//! Walks the chunks of a WebP file. The canvas in its header is one thing, the sizes of the coded frames inside are
//! another: the decoder allocates by the latter before it compares them, so that both are checked first.

use taja_catalog::{Chroma, port::MediaError};

use crate::decode::check_pixels;

/// Refuses a file that ends before its declared size, and one whose first coded frame has too many pixels. Tells how its
/// colours were sampled.
pub(crate) fn check(file: &[u8], max_pixels: u64) -> Result<Chroma, MediaError> {
    let cut_short = || MediaError::Corrupt("the WebP file was cut short".into());
    let declared = u32_at(file, 4).ok_or_else(cut_short)? as usize;
    let body = file.get(12..declared.saturating_add(8)).ok_or_else(cut_short)?;
    match first_frame(body) {
        Some((width, height, chroma)) => check_pixels(width, height, max_pixels).map(|()| chroma),
        None => Err(MediaError::Corrupt("the WebP file holds no picture".into())),
    }
}

/// The sides that the first coded frame gives itself, and its colours; a frame of an animation is looked for inside its chunk.
fn first_frame(chunks: &[u8]) -> Option<(u32, u32, Chroma)> {
    let mut at = 0;
    while let Some(name) = chunks.get(at..at + 4) {
        let size = u32_at(chunks, at + 4)? as usize;
        let data = chunks.get(at + 8..)?;
        let data = &data[..size.min(data.len())];
        match name {
            b"VP8 " => return lossy(data),
            b"VP8L" => return lossless(data),
            // 16 bytes of position and duration come before the frame's own chunks.
            b"ANMF" => return first_frame(data.get(16..)?),
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size % 2)?;
    }
    None
}

/// RFC 6386, 9.1: three bytes of tag, a start code, then 14 bits each; 4:2:0 always (2).
fn lossy(data: &[u8]) -> Option<(u32, u32, Chroma)> {
    let side = |at: usize| Some(u32::from(u16::from_le_bytes([*data.get(at)?, *data.get(at + 1)?]) & 0x3fff));
    Some((side(6)?, side(8)?, Chroma::Quarter))
}

/// RFC 9649, 3.4: a signature byte, then 14 bits each, less one.
fn lossless(data: &[u8]) -> Option<(u32, u32, Chroma)> {
    let bits = u32_at(data, 1)?;
    Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1, Chroma::Full))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[u8]) -> Vec<u8> {
        let size = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
        [b"RIFF", &size[..], b"WEBP", chunks].concat()
    }

    const BIG_LOSSY: &[u8] = b"VP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f";
    const BIG_LOSSLESS: &[u8] = b"VP8L\x05\0\0\0\x2f\xff\xff\xff\x0f\0";

    #[test]
    fn a_huge_frame_behind_a_small_canvas_is_refused() {
        let canvas = b"VP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0";
        for frame in [BIG_LOSSY, BIG_LOSSLESS] {
            let error = check(&file(&[canvas, frame].concat()), 50_000_000).unwrap_err();
            assert!(matches!(error, MediaError::TooLarge { width: 16383 | 16384, .. }), "{error}");
        }
    }

    #[test]
    fn a_huge_frame_inside_an_animation_is_refused() {
        let size = u32::try_from(16 + BIG_LOSSY.len()).unwrap().to_le_bytes();
        let animation = [b"ANMF", &size[..], &[0; 16], BIG_LOSSY].concat();
        assert!(matches!(check(&file(&animation), 50_000_000), Err(MediaError::TooLarge { .. })));
    }

    #[test]
    fn a_file_shorter_than_it_says_is_refused() {
        let whole = file(BIG_LOSSY);
        assert_eq!(check(&whole, u64::MAX).unwrap(), Chroma::Quarter);
        assert_eq!(check(&file(BIG_LOSSLESS), u64::MAX).unwrap(), Chroma::Full);
        assert!(matches!(check(&whole[..whole.len() - 1], u64::MAX), Err(MediaError::Corrupt(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = check(&bytes, 100);
            let _ = check(&file(&bytes), 100);
        }
    }
}
