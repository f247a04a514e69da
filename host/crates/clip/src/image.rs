//! A picture becomes the tensor an image tower takes: resized, cut, scaled and normalised as in training.

mod resample;

use taja_catalog::Raster;

pub use resample::Interpolation;
use resample::{Axis, resample};

/// How a picture is fitted into the tower's square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side to `size`, then the central square (torchvision's `Resize` and `CenterCrop`).
    Shortest,
    /// Both sides to `size`, whatever the aspect ratio.
    Squash,
}

/// What a model's training did to pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Side of the square, pixels.
    pub size: usize,
    /// How a picture is fitted into it.
    pub resize: Resize,
    /// The curve that weighs neighbouring pixels.
    pub interpolation: Interpolation,
    /// Mean of each channel, red first, for values from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

impl Preprocess {
    /// Number of values in a tensor.
    pub fn tensor_len(&self) -> usize {
        3 * self.size * self.size
    }

    /// The tensor `[3, size, size]`: channel by channel, row by row.
    pub fn tensor(&self, raster: &Raster) -> Vec<f32> {
        let pixels = self.pixels(raster);
        let pixels = pixels.as_chunks::<3>().0;
        let mut tensor = Vec::with_capacity(pixels.len() * 3);
        for channel in 0..3 {
            let level = |value: u8| (f32::from(value) / 255.0 - self.mean[channel]) / self.std[channel];
            let levels: [f32; 256] = std::array::from_fn(|value| level(value as u8));
            tensor.extend(pixels.iter().map(|pixel| levels[usize::from(pixel[channel])]));
        }
        tensor
    }

    /// The square's RGB pixels, before they are scaled and normalised.
    pub fn pixels(&self, raster: &Raster) -> Vec<u8> {
        let (width, height) = (raster.width() as usize, raster.height() as usize);
        let (wide, high) = match self.resize {
            Resize::Squash => (self.size, self.size),
            Resize::Shortest => scaled_sides(self.size, width, height),
        };
        let axis = |from, to| Axis { from, to, start: central(to, self.size), len: self.size };
        resample(raster.rgb(), axis(width, wide), axis(height, high), self.interpolation)
    }
}

/// Sides after scaling the shorter one to `size`; the longer one is rounded down, as torchvision does.
fn scaled_sides(size: usize, width: usize, height: usize) -> (usize, usize) {
    let longer = (size as u64 * width.max(height) as u64 / width.min(height) as u64) as usize;
    if width <= height { (size, longer) } else { (longer, size) }
}

/// Where the central `size` of `side` pixels begins; halves are rounded to even, as Python does.
fn central(side: usize, size: usize) -> usize {
    ((side - size) as f64 / 2.0).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(size: usize) -> Preprocess {
        Preprocess {
            size,
            resize: Resize::Shortest,
            interpolation: Interpolation::Bicubic,
            mean: [0.5, 0.25, 0.0],
            std: [0.5, 0.25, 1.0],
        }
    }

    #[test]
    fn the_tensor_holds_channels_one_after_the_other() {
        let raster = Raster::new(1, 1, vec![255, 0, 51]).unwrap();
        let tensor = clip(2).tensor(&raster);
        let expected = [[1.0_f32; 4], [-1.0; 4], [0.2; 4]].concat();
        assert!(tensor.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{tensor:?}");
    }

    #[test]
    fn sides_are_rounded_as_torchvision_rounds_them() {
        assert_eq!(scaled_sides(224, 640, 427), (335, 224));
        assert_eq!(scaled_sides(224, 225, 224), (225, 224));
        assert_eq!(scaled_sides(224, 3, 900), (224, 67_200));
        assert_eq!((central(335, 224), central(225, 224), central(227, 224)), (56, 0, 2));
    }

    #[test]
    fn a_line_of_pixels_costs_no_more_than_its_square() {
        // The whole picture at this scale would have 224 x 224,000,000 pixels.
        let raster = Raster::new(1, 1_000_000, vec![9; 3_000_000]).unwrap();
        let pixels = clip(224).pixels(&raster);
        assert_eq!(pixels.len(), 224 * 224 * 3);
        assert!(pixels.iter().all(|value| *value == 9));
    }
}
