//! Vectors as fixed-point numbers of 24 bits with one scale per vector.
//!
//! A component is `scale * (high + low / 65536)`: `high`, one byte, is what searches read first, and `low`, 16 bits, is
//! read only of the few rows that decide. Together they are as precise as `f32`: a dot product with a unit vector of
//! 768 components is off by less than 3e-7. The bytes alone are off by no more than [`Query::doubt`] says
//! (Cauchy-Schwarz), and so a search that reads them first still gives the exact answer.

/// Components on one line of memory; the last line of a vector is padded with zeros.
pub(crate) const WIDTH: usize = 64;
/// What one unit of `high` is in units of `low`.
const LOWS: f64 = 65536.0;
/// The greatest `high`.
const GREATEST: f64 = 127.0;
/// The greatest component of a query, so that its upper byte fits after rounding.
const GREATEST_QUERY: i32 = 127 * 256 + 127;
/// More than rounding in `f32` moves a score by.
const ROUNDING: f32 = 2e-6;

/// The upper bytes of 64 components, on a cache line of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Bytes(pub(crate) [i8; WIDTH]);

/// The lower 16 bits of 64 components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Words(pub(crate) [i16; WIDTH]);

/// 64 components of a query, unrounded.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Floats(pub(crate) [f32; WIDTH]);

/// Lines of a vector with this many components.
pub(crate) fn lines_of(dimension: usize) -> usize {
    dimension.div_ceil(WIDTH)
}

/// A vector as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Upper bytes.
    pub(crate) high: Vec<Bytes>,
    /// Lower words.
    pub(crate) low: Vec<Words>,
    /// Value of one unit of the upper bytes.
    pub(crate) scale: f32,
    /// Length of what the upper bytes leave out.
    pub(crate) rest: f32,
}

impl Row {
    /// Encodes a vector of unit length.
    pub(crate) fn of(values: &[f32]) -> Self {
        let greatest = values.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
        // A vector of zeros has no direction and cannot come here; it would be read as zeros.
        let scale = (f64::from(greatest) / GREATEST) as f32;
        let units = if scale > 0.0 { LOWS / f64::from(scale) } else { 0.0 };
        let lines = lines_of(values.len());
        let (mut high, mut low) = (vec![Bytes([0; WIDTH]); lines], vec![Words([0; WIDTH]); lines]);
        let mut rest = 0.0;
        for ((high, low), values) in high.iter_mut().zip(&mut low).zip(values.chunks(WIDTH)) {
            for ((high, low), value) in high.0.iter_mut().zip(&mut low.0).zip(values) {
                let limit = (GREATEST * LOWS) as i32;
                let number = ((f64::from(*value) * units).round() as i32).clamp(-limit, limit);
                let upper = (number + (1 << 15)) >> 16;
                *high = upper as i8;
                *low = (number - (upper << 16)) as i16;
                rest += f64::from(*low) * f64::from(*low);
            }
        }
        // Rounded up: it is part of a bound.
        let rest = (rest.sqrt() / LOWS * f64::from(scale) * (1.0 + 1e-6)) as f32;
        Self { high, low, scale, rest }
    }
}

/// A vector to look for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The unrounded components.
    pub(crate) floats: Vec<Floats>,
    /// The components in 16 bits.
    pub(crate) words: Vec<Words>,
    /// The upper bytes of `words`, rounded to the nearest.
    pub(crate) upper: Vec<Bytes>,
    /// What is left of `words`: `words = 256 * upper + lower`.
    pub(crate) lower: Vec<Bytes>,
    /// 128 times the sum of `words`, modulo 2^32: what a dot product has too much when 128 is added to every byte.
    pub(crate) excess: i32,
    /// Value of one unit of `words`.
    pub(crate) scale: f32,
    /// Length of what `words` stand for.
    length: f32,
    /// Length of what `words` leave out.
    rest: f32,
}

impl Query {
    /// Prepares a vector of unit length.
    pub(crate) fn of(values: &[f32]) -> Self {
        let lines = lines_of(values.len());
        let greatest = values.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
        // So that the sum of all products with bytes fits 32 bits.
        let limit = (i32::MAX / (128 * (lines * WIDTH).max(1) as i32)).clamp(1, GREATEST_QUERY);
        let scale = greatest / limit as f32;
        let mut query = Self {
            floats: vec![Floats([0.0; WIDTH]); lines],
            words: vec![Words([0; WIDTH]); lines],
            upper: vec![Bytes([0; WIDTH]); lines],
            lower: vec![Bytes([0; WIDTH]); lines],
            excess: 0,
            scale,
            length: 0.0,
            rest: 0.0,
        };
        let (mut length, mut rest, mut sum) = (0.0, 0.0, 0_i32);
        for (at, value) in values.iter().enumerate() {
            let number = if scale > 0.0 { ((value / scale).round() as i32).clamp(-limit, limit) } else { 0 };
            let upper = (number + 128) >> 8;
            let (line, place) = (at / WIDTH, at % WIDTH);
            query.floats[line].0[place] = *value;
            query.words[line].0[place] = number as i16;
            query.upper[line].0[place] = upper as i8;
            query.lower[line].0[place] = (number - (upper << 8)) as i8;
            let stands_for = f64::from(number) * f64::from(scale);
            length += stands_for * stands_for;
            rest += (f64::from(*value) - stands_for).powi(2);
            sum = sum.wrapping_add(number);
        }
        query.excess = sum.wrapping_mul(128);
        query.length = length.sqrt() as f32;
        query.rest = rest.sqrt() as f32;
        query
    }

    /// The score that a dot product of `words` with a row's bytes stands for.
    pub(crate) fn score(&self, dot: i32, row_scale: f32) -> f32 {
        dot as f32 * (self.scale * row_scale)
    }

    /// How far that score is at most from the dot product of the whole vectors. With `q = q' + f` and `x = x' + e`:
    /// `|q.x - q'.x'| = |q'.e + f.x| <= |q'||e| + |f|`, and what rounding adds.
    pub(crate) fn doubt(&self, row_rest: f32) -> f32 {
        (self.length * row_rest + self.rest).mul_add(1.0 + 1e-5, ROUNDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(row: &Row, at: usize) -> f64 {
        let (line, place) = (at / WIDTH, at % WIDTH);
        let number = f64::from(row.high[line].0[place]) + f64::from(row.low[line].0[place]) / LOWS;
        number * f64::from(row.scale)
    }

    proptest! {
        #[test]
        fn a_row_keeps_24_bits_of_every_component(values in prop::collection::vec(-1.0_f32..1.0, 1..200)) {
            let row = Row::of(&values);
            for (at, value) in values.iter().enumerate() {
                let off = (decoded(&row, at) - f64::from(*value)).abs();
                prop_assert!(off <= f64::from(row.scale) / LOWS * 0.51 + 1e-7 * f64::from(value.abs()), "off by {off}");
            }
        }
    }

    #[test]
    fn the_words_of_a_query_are_its_two_bytes() {
        let values: Vec<f32> = (0..200).map(|n| (n as f32 * 0.7).sin()).collect();
        let query = Query::of(&values);
        for line in 0..lines_of(200) {
            for place in 0..WIDTH {
                let word = i32::from(query.words[line].0[place]);
                let bytes = (i32::from(query.upper[line].0[place]), i32::from(query.lower[line].0[place]));
                assert_eq!(word, bytes.0 * 256 + bytes.1);
            }
        }
    }
}
