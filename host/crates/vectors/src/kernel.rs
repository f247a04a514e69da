//! Dot products of stored rows, in the widest registers that the machine has.
//!
//! Products with the upper bytes are integers, and every kernel gives the same ones. [`Kernel::Plain`] is the
//! reference; the best kernel is chosen at start.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::code::{Bytes, Floats, Query, Words};

/// The instruction set to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Whatever the compiler assumes of every machine of this kind: SSE2 or NEON.
    Plain,
    /// 16 products of words at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 64 products of bytes at a time.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Kernel {
    /// Every kernel that this machine can run, the best one last.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                kernels.push(Self::Avx2);
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                kernels.push(Self::Vnni);
            }
        }
        kernels
    }

    /// The best of them.
    pub(crate) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Plain)
    }

    /// The words of a query with the bytes of every row.
    pub(crate) fn dots(self, rows: &[&[Bytes]], query: &Query, out: &mut Vec<i32>) {
        out.clear();
        match self {
            Self::Plain => out.extend(rows.iter().map(|row| dot(row, &query.words))),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available`, the only source of this kernel, saw AVX2 on this machine.
            Self::Avx2 => unsafe { x86::dots_avx2(rows, query, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available`, the only source of this kernel, saw AVX-512 with BW and VNNI on this machine.
            Self::Vnni => unsafe { x86::dots_vnni(rows, query, out) },
        }
    }

    /// The bytes of one row with the bytes of every row.
    pub(crate) fn pairs(self, rows: &[&[Bytes]], with: &[Bytes], out: &mut Vec<i32>) {
        out.clear();
        match self {
            Self::Plain => out.extend(rows.iter().map(|row| pair(row, with))),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx2 => unsafe { x86::pairs_avx2(rows, with, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Vnni => unsafe { x86::pairs_vnni(rows, with, out) },
        }
    }

    /// A query with a whole row, in units of the row's scale.
    pub(crate) fn precise(self, high: &[Bytes], low: &[Words], query: &[Floats]) -> f32 {
        match self {
            Self::Plain => precise(high, low, query),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above; what has VNNI has AVX2 and FMA too, `available` asks for both.
            Self::Avx2 | Self::Vnni => unsafe { x86::precise_avx2(high, low, query) },
        }
    }
}

fn dot(row: &[Bytes], words: &[Words]) -> i32 {
    let line = |(row, words): (&Bytes, &Words)| -> i32 {
        row.0.iter().zip(&words.0).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
    };
    row.iter().zip(words).map(line).sum()
}

fn pair(row: &[Bytes], with: &[Bytes]) -> i32 {
    let line = |(row, with): (&Bytes, &Bytes)| -> i32 {
        row.0.iter().zip(&with.0).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
    };
    row.iter().zip(with).map(line).sum()
}

fn precise(high: &[Bytes], low: &[Words], query: &[Floats]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for ((high, low), query) in high.iter().zip(low).zip(query) {
        for (at, query) in query.0.iter().enumerate() {
            let number = (i32::from(high.0[at]) << 16) + i32::from(low.0[at]);
            sums[at % 16] += number as f32 * query;
        }
    }
    sums.iter().sum::<f32>() / 65536.0
}

/// Asks for rows that are read soon.
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Row;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_gives_the_same_integers_within_the_doubt(
            dimension in 1_usize..300,
            numbers in prop::collection::vec(-1.0_f32..1.0, 1000),
            scales in prop::collection::vec(0.01_f32..1.0, 8),
        ) {
            let unit = |n: usize| {
                let values = &numbers[n * 83..][..dimension];
                // A few great components among small ones, as embeddings have them.
                let skewed = values.iter().zip(scales.iter().cycle()).map(|(v, s)| v * s + 1e-3);
                let values: Vec<f32> = skewed.collect();
                let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
                values.into_iter().map(|v| v / length).collect::<Vec<_>>()
            };
            let vectors: Vec<_> = (0..7).map(unit).collect();
            let rows: Vec<_> = vectors.iter().map(|vector| Row::of(vector)).collect();
            let bytes: Vec<_> = rows.iter().map(|row| row.high.as_slice()).collect();
            let asked = unit(8);
            let query = Query::of(&asked);
            let (mut dots, mut pairs) = (Vec::new(), Vec::new());
            Kernel::Plain.dots(&bytes, &query, &mut dots);
            Kernel::Plain.pairs(&bytes, &rows[3].high, &mut pairs);
            for kernel in Kernel::available() {
                let mut out = Vec::new();
                kernel.dots(&bytes, &query, &mut out);
                prop_assert_eq!(&out, &dots, "{:?}", kernel);
                kernel.pairs(&bytes, &rows[3].high, &mut out);
                prop_assert_eq!(&out, &pairs, "{:?}", kernel);
                for ((row, vector), dot) in rows.iter().zip(&vectors).zip(&dots) {
                    let exact: f64 = asked.iter().zip(vector).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let found = f64::from(kernel.precise(&row.high, &row.low, &query.floats) * row.scale);
                    prop_assert!((found - exact).abs() < 1e-6, "{kernel:?}: {found} is not {exact}");
                    let rough = f64::from(query.score(*dot, row.scale));
                    prop_assert!((rough - exact).abs() <= f64::from(query.doubt(row.rest)));
                }
            }
        }
    }

    #[test]
    fn the_greatest_components_do_not_overflow() {
        for dimension in [64, 768, 4096, 20_000] {
            let values = vec![1.0 / (dimension as f32).sqrt(); dimension];
            let (row, query) = (Row::of(&values), Query::of(&values));
            for kernel in Kernel::available() {
                let mut out = Vec::new();
                kernel.dots(&[&row.high], &query, &mut out);
                let score = query.score(out[0], row.scale);
                assert!(
                    (score - 1.0).abs() <= query.doubt(row.rest) + 1e-4,
                    "{kernel:?}, {dimension}: {score}"
                );
            }
        }
    }
}
