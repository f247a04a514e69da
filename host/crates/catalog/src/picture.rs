//! Decoded pictures and videos, as the use cases and policies see them.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{id::ImageHash, recording::exact};

/// 8-bit RGB pixels, row by row from the top left: `width * height * 3` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Raster {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    chroma: Chroma,
}

/// How many samples of colour pixels were made of. More cannot be seen in them, however they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chroma {
    /// One for each pixel, 4:4:4.
    #[default]
    Full,
    /// One for each two by two pixels, 4:2:0.
    Quarter,
}

impl Raster {
    /// Takes pixels; none when `rgb` is not `width * height * 3` bytes or a side is 0.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        let expected = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
        let chroma = Chroma::Full;
        (expected > 0 && rgb.len() == expected).then_some(Self { width, height, rgb, chroma })
    }

    /// The same pixels, known to be made of so many samples of colour.
    pub fn made_of(self, chroma: Chroma) -> Self {
        Self { chroma, ..self }
    }

    /// How many samples of colour the pixels were made of.
    pub fn chroma(&self) -> Chroma {
        self.chroma
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels inside a rectangle; none when it is empty or reaches outside.
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Option<Self> {
        let inside = x.checked_add(width)? <= self.width && y.checked_add(height)? <= self.height;
        if !inside || width == 0 || height == 0 {
            return None;
        }
        let row = |line: u32| {
            let start = ((line as usize) * self.width as usize + x as usize) * 3;
            &self.rgb[start..start + width as usize * 3]
        };
        let rgb = (y..y + height).flat_map(row).copied().collect();
        Self::new(width, height, rgb)
    }
}

impl fmt::Debug for Raster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raster({}x{})", self.width, self.height)
    }
}

/// How a picture looks, in 64 bits that stay nearly the same when it is scaled or encoded again; written as 16
/// lower-case hex digits.
///
/// A gradient hash ("dHash", N. Krawetz 2013): the picture is averaged down to 9 x 8 cells of luminance (ITU-R BT.601),
/// and each bit says whether a cell is brighter than its left neighbour. Bits go row by row from the top left, the first
/// one being the most significant. One thing is added to the usual recipe: brighter means by more than 2 levels of 255.
/// Product photographs have plain backgrounds, where neighbours differ by encoding noise alone and half of the bits
/// would be dice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PerceptualHash(pub u64);

/// Columns and rows of the grid.
const GRID: (u32, u32) = (9, 8);
/// Samples per side of a cell, evenly spread: 294,912 in all, so that the work is the same for a picture of any size.
/// Of 600 product photographs none moved by more than 4 bits when halved and encoded again; with 32 samples one moved by 5.
const SAMPLES: u32 = 64;
/// Levels of luminance (of 255) by which a cell must be brighter than its left neighbour.
const MARGIN: u32 = 2;

impl PerceptualHash {
    /// Of these pixels. Takes about a millisecond, whatever their number.
    pub fn of(raster: &Raster) -> Self {
        let columns = sampled(raster.width(), GRID.0);
        let lines = sampled(raster.height(), GRID.1);
        let mut hash = 0;
        for lines in lines.chunks_exact(SAMPLES as usize) {
            let cells =
                columns.chunks_exact(SAMPLES as usize).map(|columns| luminance(raster, columns, lines));
            let row: Vec<u32> = cells.collect();
            for pair in row.windows(2) {
                let brighter = pair[1] > pair[0] + MARGIN * 1000 * SAMPLES * SAMPLES;
                hash = hash << 1 | u64::from(brighter);
            }
        }
        Self(hash)
    }

    /// Number of differing bits, 0 to 64; small when the pictures look alike.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

/// The pixels of a side that are sampled for `cells` cells: the middles of `cells * SAMPLES` equal stretches. A side
/// shorter than that gives each pixel as many samples as its share of a cell is wide.
fn sampled(side: u32, cells: u32) -> Vec<usize> {
    let stretches = u64::from(cells * SAMPLES);
    (0..stretches).map(|n| ((2 * n + 1) * u64::from(side) / (2 * stretches)) as usize).collect()
}

/// The sum of the samples' luminance, each in thousandths of a level. At most 4,096 times 255,000: fits.
fn luminance(raster: &Raster, columns: &[usize], lines: &[usize]) -> u32 {
    let samples = lines.iter().flat_map(|line| {
        let start = line * raster.width() as usize;
        columns.iter().map(move |column| (start + column) * 3)
    });
    let luma = |at: usize| {
        let pixel = &raster.rgb()[at..at + 3];
        299 * u32::from(pixel[0]) + 587 * u32::from(pixel[1]) + 114 * u32::from(pixel[2])
    };
    samples.map(luma).sum()
}

impl fmt::Display for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for PerceptualHash {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl TryFrom<String> for PerceptualHash {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PerceptualHash> for String {
    fn from(hash: PerceptualHash) -> Self {
        hash.to_string()
    }
}

/// A decoded picture: upright, RGB, first frame only.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// SHA-256 of the uploaded bytes; none for a crop or a video frame.
    pub hash: Option<ImageHash>,
    /// Its look in 64 bits.
    pub perceptual: PerceptualHash,
    /// Its pixels.
    pub raster: Raster,
}

impl Picture {
    /// What a region of it shows, as a picture of its own.
    pub fn cut(&self, region: &Region) -> Self {
        let [x, y, width, height] = region.pixels(self.raster.width(), self.raster.height());
        let raster = self.raster.crop(x, y, width, height);
        let raster = raster.expect("the pixels of a region lie inside the picture that they are of");
        Self { hash: None, perceptual: PerceptualHash::of(&raster), raster }
    }
}

/// A part of a picture in shares of its sides, from the top left corner: the same part however large the picture is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Region {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// How far a region may reach outside for being rounded.
const ROUNDING: f64 = 1e-6;

impl Region {
    /// From the left, from the top, width and height; none when it is empty or reaches outside.
    pub fn new([x, y, width, height]: [f64; 4]) -> Option<Self> {
        let inside = |from: f64, length: f64| {
            (0.0..1.0).contains(&from) && length > 0.0 && from + length <= 1.0 + ROUNDING
        };
        (inside(x, width) && inside(y, height)).then_some(Self { x, y, width, height })
    }

    /// From the left, from the top, width and height.
    pub fn sides(&self) -> [f64; 4] {
        [self.x, self.y, self.width, self.height]
    }

    /// Every pixel that it touches, of a picture of this size, as [`Raster::crop`] takes them.
    fn pixels(&self, width: u32, height: u32) -> [u32; 4] {
        let (x, across) = stretch(self.x, self.width, width);
        let (y, down) = stretch(self.y, self.height, height);
        [x, y, across, down]
    }
}

/// The first pixel of a side that is touched, and how many are.
fn stretch(from: f64, length: f64, side: u32) -> (u32, u32) {
    let pixels = f64::from(side);
    let first = ((from * pixels + ROUNDING) as u32).min(side - 1);
    let end = ((from + length) * pixels - ROUNDING).ceil() as u32;
    (first, end.clamp(first + 1, side) - first)
}

/// A picture out of a video.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Milliseconds from the start of the video.
    pub timestamp_ms: u32,
    /// The picture, without a hash of bytes.
    pub picture: Picture,
}

/// How frames are chosen from a video.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FramePlan {
    /// This many frames at equal distances over the whole duration.
    Uniform {
        /// Number of frames, at least 1.
        frames: u32,
    },
    /// The first frame and then each that differs from its predecessor.
    SceneChange {
        /// 0 (any change) to 1 (a hard cut).
        #[serde(with = "exact")]
        threshold: f32,
        /// Upper bound of the number of frames.
        max_frames: u32,
    },
}

/// What a video's container says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoInfo {
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// A video that was checked and lies in a file the host owns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoFile {
    /// Where it lies; the host's own business, so it is never written.
    #[serde(skip)]
    pub path: PathBuf,
    /// What it is.
    pub info: VideoInfo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_takes_the_pixels_inside_and_nothing_outside() {
        let raster = Raster::new(3, 2, (0..18).collect()).unwrap();
        assert_eq!(raster.crop(1, 1, 2, 1).unwrap().rgb(), &[12, 13, 14, 15, 16, 17]);
        assert!(raster.crop(2, 0, 2, 1).is_none());
        assert!(raster.crop(0, 0, 0, 1).is_none());
        assert!(raster.crop(u32::MAX, 0, 2, 1).is_none());
    }

    #[test]
    fn a_region_is_the_same_part_of_a_picture_of_any_size() {
        let region = Region::new([0.25, 0.5, 0.5, 0.5]).unwrap();
        assert_eq!(region.pixels(8, 4), [2, 2, 4, 2]);
        assert_eq!(region.pixels(800, 400), [200, 200, 400, 200]);
        assert_eq!(region.pixels(1, 1), [0, 0, 1, 1]);
        let thirds = Region::new([1.0 / 3.0, 0.0, 2.0 / 3.0, 1e-9]).unwrap();
        assert_eq!(thirds.pixels(3, 3), [1, 0, 2, 1]);
        for side in [1, 2, 7, 1000, u32::MAX] {
            for (from, length) in [(0.0, 1.0), (0.999_999_9, 1e-7), (0.3, 0.7), (0.1, 0.9)] {
                let (first, count) = stretch(from, length, side);
                assert!(count >= 1 && first.checked_add(count).is_some_and(|end| end <= side), "{side}");
            }
        }
    }

    #[test]
    fn a_region_that_is_empty_or_reaches_outside_is_none() {
        for region in [
            [-0.1, 0.0, 0.5, 0.5],
            [0.0, 0.0, 0.0, 0.5],
            [0.6, 0.0, 0.5, 0.5],
            [1.0, 0.0, 0.1, 0.5],
            [0.0, 0.0, 0.5, -0.5],
            [f64::NAN, 0.0, 0.5, 0.5],
            [0.0, 0.0, f64::INFINITY, 0.5],
        ] {
            assert_eq!(Region::new(region), None, "{region:?}");
        }
    }

    #[test]
    fn what_is_cut_out_of_a_picture_has_a_look_of_its_own_and_no_bytes() {
        let mut rgb = [0_u8; 16 * 3].to_vec();
        rgb[8 * 3..].fill(255);
        let raster = Raster::new(4, 4, rgb).unwrap();
        let picture = Picture { hash: Some(ImageHash::of(b"x")), perceptual: PerceptualHash(7), raster };
        let cut = picture.cut(&Region::new([0.0, 0.5, 1.0, 0.5]).unwrap());
        assert_eq!((cut.hash, cut.perceptual), (None, PerceptualHash(0)));
        assert_eq!((cut.raster.width(), cut.raster.height(), cut.raster.rgb()), (4, 2, &[255; 24][..]));
    }

    fn columns(values: [u8; 9]) -> Raster {
        let row: Vec<u8> = values.iter().flat_map(|v| [*v; 3]).collect();
        Raster::new(9, 8, row.repeat(8)).unwrap()
    }

    #[test]
    fn every_bit_says_whether_it_gets_brighter_to_the_right() {
        let hash = PerceptualHash::of(&columns([0, 10, 10, 30, 20, 40, 41, 90, 80]));
        assert_eq!(hash.to_string(), "aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn the_first_bit_is_the_top_left_one() {
        let mut rgb = vec![0; 9 * 8 * 3];
        rgb[3..6].fill(255);
        assert_eq!(PerceptualHash::of(&Raster::new(9, 8, rgb).unwrap()).to_string(), "8000000000000000");
    }

    #[test]
    fn noise_on_a_plain_background_is_no_gradient() {
        assert_eq!(PerceptualHash::of(&columns([255, 254, 255, 253, 255, 254, 255, 255, 254])).0, 0);
        assert_eq!(PerceptualHash::of(&columns([0, 3, 0, 2, 0, 3, 0, 2, 0])).to_string(), "8888888888888888");
    }

    #[test]
    fn a_mirrored_picture_looks_different() {
        let rising = PerceptualHash::of(&columns([0, 30, 60, 90, 120, 150, 180, 210, 240]));
        let falling = PerceptualHash::of(&columns([240, 210, 180, 150, 120, 90, 60, 30, 0]));
        assert_eq!(rising.distance(falling), 64);
    }

    #[test]
    fn pictures_of_any_size_have_a_hash() {
        let ramp = |width: u32, height: u32| {
            let line = (0..width).flat_map(|x| [(u64::from(x) * 255 / u64::from(width)) as u8; 3]);
            let line: Vec<u8> = line.collect();
            PerceptualHash::of(&Raster::new(width, height, line.repeat(height as usize)).unwrap())
        };
        assert_eq!(ramp(1, 1).0, 0);
        for (width, height) in [(10, 1), (13, 2000), (4001, 3)] {
            assert_eq!(ramp(width, height).0, u64::MAX, "{width} x {height}");
        }
    }
}
