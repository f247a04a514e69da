//! Walks the segments of a JPEG file: the decoder fills what is missing with grey, so that a file that was cut short has
//! to be told before, and does not tell how colours were sampled.

use taja_catalog::{Chroma, port::MediaError};

/// Scans a progressive file may have. libjpeg's encoders write about ten; thousands are a way to burn processor time.
const MAX_SCANS: usize = 100;

const SOS: u8 = 0xda;
const EOI: u8 = 0xd9;

/// Refuses a file that ends before its end marker, or that has too many scans.
pub(crate) fn check_complete(file: &[u8]) -> Result<(), MediaError> {
    let mut scans = 0;
    for (marker, _) in Segments::of(file) {
        match marker {
            EOI if scans > 0 => return Ok(()),
            SOS => scans += 1,
            _ => {}
        }
        if scans > MAX_SCANS {
            return Err(MediaError::Corrupt(format!("more than {MAX_SCANS} scans")));
        }
    }
    Err(MediaError::Corrupt("the JPEG file was cut short".into()))
}

/// How its colours were sampled, by the first frame header (ITU-T T.81, B.2.2): what it does not say is taken as full.
pub(crate) fn chroma(file: &[u8]) -> Chroma {
    let header = Segments::of(file).find(|(marker, _)| is_frame(*marker));
    // Precision, height and width, then three components of an identifier, two factors in a byte, and a table.
    match header {
        Some((_, [_, _, _, _, _, 3, _, 0x22, _, _, 0x11, _, _, 0x11, ..])) => Chroma::Quarter,
        _ => Chroma::Full,
    }
}

/// Start of frame: all in the range but tables of Huffman codes, an extension, and conditions of arithmetic coding.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

#[cfg(test)]
pub(crate) fn markers(file: &[u8]) -> Vec<u8> {
    Segments::of(file).map(|(marker, _)| marker).collect()
}

/// The markers of a file in order, each with its segment, without those inside segments (an embedded thumbnail has an end
/// marker too).
struct Segments<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn of(file: &'a [u8]) -> Self {
        Self { file, at: 2 }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // Coded data lies between markers: FF 00 is a stuffed byte of it, FF D0 to D7 a restart, FF FF filling.
        while let [first, second, ..] = self.file.get(self.at..)? {
            match (first, second) {
                (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => self.at += 2,
                (0xff, 0xff) => self.at += 1,
                (0xff, _) => break,
                _ => self.at += 1,
            }
        }
        let marker = *self.file.get(self.at + 1)?;
        self.at += 2;
        if marker == EOI {
            return Some((marker, &[]));
        }
        let length = self.file.get(self.at..self.at + 2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        let segment = self.file.get(self.at + 2..self.at + length).unwrap_or_default();
        self.at += length;
        Some((marker, segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one scan whose coded data holds a stuffed byte and a restart.
    const WHOLE: &[u8] =
        b"\xff\xd8\xff\xe1\0\x06\xff\xd9\xff\xd9\xff\xda\0\x02\x11\xff\0\xff\xd0\x22\xff\xff\xd9trailing";

    #[test]
    fn a_whole_file_passes_and_its_thumbnails_end_is_not_taken_for_its_own() {
        assert_eq!(markers(WHOLE), [0xe1, SOS, EOI]);
        check_complete(WHOLE).unwrap();
    }

    #[test]
    fn a_file_cut_anywhere_before_its_end_is_refused() {
        for cut in 0..WHOLE.len() - b"trailing".len() {
            assert!(check_complete(&WHOLE[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn colours_are_sampled_as_the_frame_header_says() {
        use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
        for (sampling, chroma) in [
            (SamplingFactor::R_4_4_4, Chroma::Full),
            (SamplingFactor::R_4_2_2, Chroma::Full),
            (SamplingFactor::R_4_2_0, Chroma::Quarter),
        ] {
            for progressive in [false, true] {
                let mut file = Vec::new();
                let mut encoder = Encoder::new(&mut file, 90);
                encoder.set_sampling_factor(sampling);
                encoder.set_progressive(progressive);
                encoder.encode(&[90; 16 * 16 * 3], 16, 16, ColorType::Rgb).unwrap();
                assert_eq!(super::chroma(&file), chroma, "{sampling:?}");
            }
        }
        let mut grey = Vec::new();
        Encoder::new(&mut grey, 90).encode(&[90; 256], 16, 16, ColorType::Luma).unwrap();
        assert_eq!(chroma(&grey), Chroma::Full);
        assert_eq!(chroma(WHOLE), Chroma::Full);
    }

    #[test]
    fn a_file_with_a_thousand_scans_is_refused() {
        let mut file = b"\xff\xd8".to_vec();
        file.extend(b"\xff\xda\0\x02\x11".repeat(1000));
        file.extend(b"\xff\xd9");
        assert!(check_complete(&file).unwrap_err().to_string().contains("scans"));
    }
}
