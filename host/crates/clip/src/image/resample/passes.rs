//! The two passes of the resampler over rows of pixels: the arithmetic that takes the time.
//!
//! Sums are of 32-bit integers, so lanes may be added up in any order and the result is the same to the bit. On x86-64 with
//! AVX2 the horizontal pass multiplies two pixels at a time and the vertical one is compiled for its wider registers; what
//! it runs on otherwise is the same code in plain Rust.

use super::{CHANNELS, HALF, Kernel, clamp};

/// Rows of `from` pixels become rows of one pixel per kernel.
pub(super) fn horizontal(source: &[u8], from: usize, kernels: &[Kernel]) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::horizontal(source, from, kernels) };
    }
    horizontal_plain(source, from, kernels)
}

/// Rows of `stride` bytes, of which the first is the source's row `first_row`, become one row per kernel.
pub(super) fn vertical(rows: &[u8], stride: usize, kernels: &[Kernel], first_row: usize) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::vertical(rows, stride, kernels, first_row) };
    }
    vertical_plain(rows, stride, kernels, first_row)
}

fn horizontal_plain(source: &[u8], from: usize, kernels: &[Kernel]) -> Vec<u8> {
    let rows = source.chunks_exact(from * CHANNELS);
    let mut target = Vec::with_capacity(rows.len() * kernels.len() * CHANNELS);
    for row in rows {
        for kernel in kernels {
            let pixels = row[kernel.first * CHANNELS..].as_chunks::<CHANNELS>().0;
            let mut sum = [HALF; CHANNELS];
            for (pixel, weight) in pixels.iter().zip(&kernel.weights) {
                sum[0] += i32::from(pixel[0]) * weight;
                sum[1] += i32::from(pixel[1]) * weight;
                sum[2] += i32::from(pixel[2]) * weight;
            }
            target.extend(sum.map(clamp));
        }
    }
    target
}

#[inline(always)]
fn vertical_plain(rows: &[u8], stride: usize, kernels: &[Kernel], first_row: usize) -> Vec<u8> {
    let mut target = vec![0; kernels.len() * stride];
    for (line, kernel) in target.chunks_exact_mut(stride).zip(kernels) {
        let first = (kernel.first - first_row) * stride;
        // As many columns as fit in registers go down all rows together.
        let (blocks, rest) = line.as_chunks_mut::<COLUMNS>();
        for (place, block) in blocks.iter_mut().enumerate() {
            *block = column::<COLUMNS>(&rows[first + place * COLUMNS..], stride, &kernel.weights).map(clamp);
        }
        let done = stride - rest.len();
        for (place, value) in rest.iter_mut().enumerate() {
            *value = clamp(column::<1>(&rows[first + done + place..], stride, &kernel.weights)[0]);
        }
    }
    target
}

/// Bytes of a row whose sums are kept in registers: four of AVX2. A row of a 224-pixel square is 21 times as long.
const COLUMNS: usize = 32;

#[inline(always)]
fn column<const N: usize>(rows: &[u8], stride: usize, weights: &[i32]) -> [i32; N] {
    let mut sums = [HALF; N];
    for (row, weight) in weights.iter().enumerate() {
        let values = &rows[row * stride..row * stride + N];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += i32::from(*value) * weight;
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_loadl_epi64, _mm_set1_epi32, _mm_setr_epi8, _mm_shuffle_epi8,
        _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepu8_epi32,
        _mm256_extracti128_si256, _mm256_mullo_epi32, _mm256_set_m128i, _mm256_setzero_si256,
    };

    use super::{CHANNELS, HALF, Kernel, clamp};

    /// Bytes that two pixels are read as.
    const READ: usize = 8;

    #[target_feature(enable = "avx2")]
    pub(super) fn vertical(rows: &[u8], stride: usize, kernels: &[Kernel], first_row: usize) -> Vec<u8> {
        super::vertical_plain(rows, stride, kernels, first_row)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn horizontal(source: &[u8], from: usize, kernels: &[Kernel]) -> Vec<u8> {
        let mut target = vec![0; source.len() / from * kernels.len()];
        let lines = target.as_chunks_mut::<CHANNELS>().0.chunks_exact_mut(kernels.len());
        for (row, line) in source.chunks_exact(from * CHANNELS).zip(lines) {
            for (kernel, target) in kernels.iter().zip(line) {
                *target = pixel(&row[kernel.first * CHANNELS..], &kernel.weights).map(clamp);
            }
        }
        target
    }

    /// The sums of one pixel. `pixels` begins with the first that is weighed.
    #[target_feature(enable = "avx2")]
    fn pixel(pixels: &[u8], weights: &[i32]) -> [i32; CHANNELS] {
        // Two pixels of three bytes, each spread to four lanes.
        let spread = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1);
        let mut sums = _mm256_setzero_si256();
        let pairs = weights.as_chunks::<2>().0;
        // The last pair may lie too close to the end of the row to be read as eight bytes.
        let wide = pairs.len().min((pixels.len() + CHANNELS * 2 - READ) / (CHANNELS * 2));
        for (pair, bytes) in pairs[..wide].iter().zip(pixels.chunks(CHANNELS * 2)) {
            // SAFETY: `wide` counts the pairs with READ bytes from their start.
            let both = unsafe { _mm_loadl_epi64(bytes.as_ptr().cast::<__m128i>()) };
            let both = _mm256_cvtepu8_epi32(_mm_shuffle_epi8(both, spread));
            let factors = _mm256_set_m128i(_mm_set1_epi32(pair[1]), _mm_set1_epi32(pair[0]));
            sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(both, factors));
        }
        let folded = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let mut lanes = [0_i32; 4];
        // SAFETY: four lanes of 32 bits are 16 bytes.
        unsafe { _mm_storeu_si128(lanes.as_mut_ptr().cast(), folded) };
        let mut sum = [lanes[0] + HALF, lanes[1] + HALF, lanes[2] + HALF];
        let left = pixels[wide * 2 * CHANNELS..].as_chunks::<CHANNELS>().0;
        for (pixel, weight) in left.iter().zip(&weights[wide * 2..]) {
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += i32::from(*value) * weight;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern.
    fn bytes(count: usize, seed: u32) -> Vec<u8> {
        (0..count as u32).map(|place| ((place ^ seed).wrapping_mul(2_654_435_761) >> 23) as u8).collect()
    }

    #[test]
    fn wide_registers_give_the_sums_of_plain_ones() {
        for from in 1..40 {
            for taps in 1..=from {
                let weights = |first: usize| {
                    (0..taps).map(move |tap| ((tap * 7919 + first * 31) % 2_000) as i32 * 97 - 60_000)
                };
                let kernel = |first: usize| Kernel { first, weights: weights(first).collect() };
                let kernels: Vec<_> = (0..=from - taps).map(kernel).collect();
                let rows = bytes(from * CHANNELS * 3, (from * 64 + taps) as u32);
                assert_eq!(
                    horizontal(&rows, from, &kernels),
                    horizontal_plain(&rows, from, &kernels),
                    "{from} {taps}"
                );
                let column = bytes(from * 131, taps as u32);
                assert_eq!(vertical(&column, 131, &kernels, 0), vertical_plain(&column, 131, &kernels, 0));
            }
        }
    }
}
