//! Pillow's resampling of 8-bit pixels, to the bit: the reference CLIP was trained and measured with it.
//!
//! Two passes of fixed-point arithmetic, horizontal first, each rounded and clamped to 8 bits, with kernels that
//! widen when shrinking (antialiasing). After `src/libImaging/Resample.c` of Pillow up to 12; later versions may do
//! the vertical pass first, which moves a pixel by three levels at most.

mod passes;

/// Fractional bits of a weight: 8 bits of pixel and 2 of head room leave these of 32.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const CHANNELS: usize = 3;

/// The curve that weighs neighbouring pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// Pillow's `BICUBIC` (Catmull-Rom, a = -0.5).
    Bicubic,
    /// Pillow's `BILINEAR` (a triangle).
    Bilinear,
}

impl Interpolation {
    /// How far the curve reaches at scale 1, pixels.
    fn support(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Bilinear => 1.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            _ => 0.0,
        }
    }
}

/// One axis of a resize of which only a window is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    /// Pixels there are.
    pub(crate) from: usize,
    /// Pixels the whole axis is scaled to.
    pub(crate) to: usize,
    /// First scaled pixel that is wanted.
    pub(crate) start: usize,
    /// How many of them are wanted.
    pub(crate) len: usize,
}

/// The weights of the source pixels that make one target pixel.
struct Kernel {
    first: usize,
    weights: Vec<i32>,
}

impl Axis {
    fn kernels(self, interpolation: Interpolation) -> Vec<Kernel> {
        let scale = self.from as f64 / self.to as f64;
        let widening = scale.max(1.0);
        let support = interpolation.support() * widening;
        let kernel = |target: usize| {
            let centre = (target as f64 + 0.5) * scale;
            // Truncated, not floored, as C casts do; what lies below 0 becomes 0 either way.
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(self.from);
            let weight = |x: usize| interpolation.weight((x as f64 - centre + 0.5) * (1.0 / widening));
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            Kernel { first, weights: weights.into_iter().map(|weight| fixed(weight / sum)).collect() }
        };
        (self.start..self.start + self.len).map(kernel).collect()
    }

    /// Nothing is scaled, only cut.
    fn is_cut(self) -> bool {
        self.from == self.to
    }
}

/// Rounds half away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1_u32 << PRECISION_BITS);
    (scaled + 0.5_f64.copysign(scaled)) as i32
}

fn clamp(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The wanted window of the scaled picture, as RGB rows.
pub(crate) fn resample(rgb: &[u8], x: Axis, y: Axis, interpolation: Interpolation) -> Vec<u8> {
    let rows = if y.is_cut() { None } else { Some(y.kernels(interpolation)) };
    let needed = match &rows {
        None => y.start..y.start + y.len,
        Some(kernels) => source_span(kernels),
    };
    let source = &rgb[needed.start * x.from * CHANNELS..needed.end * x.from * CHANNELS];
    let narrow = horizontal(source, x, interpolation);
    match rows {
        None => narrow,
        Some(kernels) => passes::vertical(&narrow, x.len * CHANNELS, &kernels, needed.start),
    }
}

/// The source pixels that any kernel reads. Kernels come in order, so the first begins and the last ends it.
fn source_span(kernels: &[Kernel]) -> std::ops::Range<usize> {
    let start = kernels.first().map_or(0, |kernel| kernel.first);
    start..kernels.last().map_or(0, |kernel| kernel.first + kernel.weights.len())
}

fn horizontal(source: &[u8], x: Axis, interpolation: Interpolation) -> Vec<u8> {
    let rows = source.chunks_exact(x.from * CHANNELS);
    if x.is_cut() {
        let window = x.start * CHANNELS..(x.start + x.len) * CHANNELS;
        return rows.map(|row| &row[window.clone()]).collect::<Vec<_>>().concat();
    }
    passes::horizontal(source, x.from, &x.kernels(interpolation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(from: usize, to: usize) -> Axis {
        Axis { from, to, start: 0, len: to }
    }

    #[test]
    fn a_flat_colour_stays_what_it_is() {
        for interpolation in [Interpolation::Bicubic, Interpolation::Bilinear] {
            let flat: Vec<u8> = [7, 130, 251].repeat(31 * 17);
            let scaled = resample(&flat, axis(31, 12), axis(17, 40), interpolation);
            assert!(scaled.chunks_exact(3).all(|pixel| pixel == [7, 130, 251]));
            assert_eq!(scaled.len(), 12 * 40 * 3);
        }
    }

    #[test]
    fn a_window_holds_the_same_pixels_as_the_whole() {
        let rgb: Vec<u8> = (0..50 * 40 * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let whole = resample(&rgb, axis(50, 23), axis(40, 19), Interpolation::Bicubic);
        let x = Axis { start: 5, len: 11, ..axis(50, 23) };
        let y = Axis { start: 3, len: 9, ..axis(40, 19) };
        let window = resample(&rgb, x, y, Interpolation::Bicubic);
        for (line, row) in window.chunks_exact(11 * 3).enumerate() {
            let start = ((line + 3) * 23 + 5) * 3;
            assert_eq!(row, &whole[start..start + 11 * 3]);
        }
    }
}
