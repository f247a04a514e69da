//! The kernels of x86-64.

use std::arch::x86_64::*;

use super::prefetch;
use crate::code::{Bytes, Floats, Query, WIDTH, Words};

/// Rows that are asked for before they are read.
const AHEAD: usize = 4;

/// Asks for the row that is read `AHEAD` rows after this one.
#[inline]
fn ask(rows: &[&[Bytes]], at: usize) {
    if let Some(row) = rows.get(at + AHEAD) {
        row.iter().for_each(prefetch);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn line(bytes: &Bytes) -> __m512i {
    // SAFETY: 64 bytes on a 64-byte boundary are read.
    unsafe { _mm512_load_si512(bytes.0.as_ptr().cast()) }
}

/// The one instruction that multiplies bytes takes one factor unsigned: 128 is added to the row's bytes, by flipping
/// their sign bits, and what that adds to the sum is taken away at the end.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn dots_vnni(rows: &[&[Bytes]], query: &Query, out: &mut Vec<i32>) {
    let flip = _mm512_set1_epi8(i8::MIN);
    for (at, row) in rows.iter().enumerate() {
        ask(rows, at);
        let (mut upper, mut lower) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for ((row, high), low) in row.iter().zip(&query.upper).zip(&query.lower) {
            let row = _mm512_xor_si512(line(row), flip);
            upper = _mm512_dpbusd_epi32(upper, row, line(high));
            lower = _mm512_dpbusd_epi32(lower, row, line(low));
        }
        let sums = _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), lower);
        out.push(_mm512_reduce_add_epi32(sums).wrapping_sub(query.excess));
    }
}

/// As above; the sum of the other row's bytes is found on the way.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn pairs_vnni(rows: &[&[Bytes]], with: &[Bytes], out: &mut Vec<i32>) {
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut excess = _mm512_setzero_si512();
    for with in with {
        excess = _mm512_dpbusd_epi32(excess, flip, line(with));
    }
    let excess = _mm512_reduce_add_epi32(excess);
    for (at, row) in rows.iter().enumerate() {
        ask(rows, at);
        let mut sums = _mm512_setzero_si512();
        for (row, with) in row.iter().zip(with) {
            sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(line(row), flip), line(with));
        }
        out.push(_mm512_reduce_add_epi32(sums).wrapping_sub(excess));
    }
}

/// 16 of a line's bytes, as words.
#[inline]
#[target_feature(enable = "avx2")]
fn widened(bytes: &Bytes, from: usize) -> __m256i {
    let quarter: &[i8; 16] = bytes.0[from..].first_chunk().expect("a line has four quarters");
    // SAFETY: 16 bytes are read of a place that has them.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn words(words: &Words, from: usize) -> __m256i {
    let quarter: &[i16; 16] = words.0[from..].first_chunk().expect("a line has four quarters");
    // SAFETY: 32 bytes are read of a place that has them.
    unsafe { _mm256_loadu_si256(quarter.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(sums: __m256i) -> i32 {
    let halves = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b01_00_11_10>(halves));
    _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs)))
}

#[target_feature(enable = "avx2")]
pub(super) fn dots_avx2(rows: &[&[Bytes]], query: &Query, out: &mut Vec<i32>) {
    for (at, row) in rows.iter().enumerate() {
        ask(rows, at);
        let mut sums = [_mm256_setzero_si256(); 2];
        for (row, query) in row.iter().zip(&query.words) {
            for from in (0..WIDTH).step_by(16) {
                let product = _mm256_madd_epi16(widened(row, from), words(query, from));
                sums[from / 16 % 2] = _mm256_add_epi32(sums[from / 16 % 2], product);
            }
        }
        out.push(sum(_mm256_add_epi32(sums[0], sums[1])));
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn pairs_avx2(rows: &[&[Bytes]], with: &[Bytes], out: &mut Vec<i32>) {
    for (at, row) in rows.iter().enumerate() {
        ask(rows, at);
        let mut sums = [_mm256_setzero_si256(); 2];
        for (row, with) in row.iter().zip(with) {
            for from in (0..WIDTH).step_by(16) {
                let product = _mm256_madd_epi16(widened(row, from), widened(with, from));
                sums[from / 16 % 2] = _mm256_add_epi32(sums[from / 16 % 2], product);
            }
        }
        out.push(sum(_mm256_add_epi32(sums[0], sums[1])));
    }
}

/// The 24 bits of 8 components, put together and made floats, which hold them exactly.
#[inline]
#[target_feature(enable = "avx2")]
fn whole(high: &Bytes, low: &Words, from: usize) -> __m256 {
    let high: &[i8; 8] = high.0[from..].first_chunk().expect("a line has eight eighths");
    let low: &[i16; 8] = low.0[from..].first_chunk().expect("a line has eight eighths");
    // SAFETY: 8 and 16 bytes are read of places that have them.
    let (high, low) =
        unsafe { (_mm_loadl_epi64(high.as_ptr().cast()), _mm_loadu_si128(low.as_ptr().cast())) };
    let high = _mm256_slli_epi32::<16>(_mm256_cvtepi8_epi32(high));
    _mm256_cvtepi32_ps(_mm256_add_epi32(high, _mm256_cvtepi16_epi32(low)))
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn precise_avx2(high: &[Bytes], low: &[Words], query: &[Floats]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 4];
    for ((high, low), query) in high.iter().zip(low).zip(query) {
        for from in (0..WIDTH).step_by(8) {
            let query: &[f32; 8] = query.0[from..].first_chunk().expect("a line has eight eighths");
            // SAFETY: 8 floats are read of a place that has them.
            let query = unsafe { _mm256_loadu_ps(query.as_ptr()) };
            let sum = &mut sums[from / 8 % 4];
            *sum = _mm256_fmadd_ps(whole(high, low, from), query, *sum);
        }
    }
    let total = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let mut eight = [0.0; 8];
    // SAFETY: 8 floats are written to a place for 8.
    unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), total) };
    eight.iter().sum::<f32>() / 65536.0
}
