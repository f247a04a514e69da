//! Decoded pictures and videos, as the use cases and policies see them.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::id::ImageHash;

/// 8-bit RGB pixels, row by row from the top left: `width * height * 3` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Raster {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Raster {
    /// Takes pixels; none when `rgb` is not `width * height * 3` bytes or a side is 0.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        let expected = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
        (expected > 0 && rgb.len() == expected).then_some(Self { width, height, rgb })
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

/// A 64-bit gradient hash ("dHash") of a picture's luminance, written as 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PerceptualHash(pub u64);

impl PerceptualHash {
    /// Number of differing bits, 0 to 64; small when the pictures look alike.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
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

/// A picture out of a video.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Milliseconds from the start of the video.
    pub timestamp_ms: u32,
    /// The picture, without a hash of bytes.
    pub picture: Picture,
}

/// How frames are chosen from a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FramePlan {
    /// This many frames at equal distances over the whole duration.
    Uniform {
        /// Number of frames, at least 1.
        frames: u32,
    },
    /// The first frame and then each that differs from its predecessor.
    SceneChange {
        /// 0 (any change) to 1 (a hard cut).
        threshold: f32,
        /// Upper bound of the number of frames.
        max_frames: u32,
    },
}

/// What a video's container says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoInfo {
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// A video that was checked and lies in a file the host owns.
#[derive(Debug, Clone)]
pub struct VideoFile {
    /// Where it lies.
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
}
