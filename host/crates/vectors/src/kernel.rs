//! Dot products of stored rows with queries, in the widest registers that the machine has.
//!
//! There is one source, over a register of 16 floats; it is compiled once per instruction set, and the best one is
//! chosen at start.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64;

/// Floats that are loaded together: one cache line, and one AVX-512 register.
pub(crate) const WIDTH: usize = 16;
/// Queries that share each load of a row. Their sums, and what is being multiplied, fit the 16 registers of AVX2.
const TOGETHER: usize = 4;

/// 16 floats on a cache line of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lane([f32; WIDTH]);

impl Lane {
    const ZERO: Self = Self([0.0; WIDTH]);
}

/// How many lanes a vector takes; its last one is padded with zeros, which add nothing to a dot product.
pub(crate) fn lanes_of(dimension: usize) -> usize {
    dimension.div_ceil(WIDTH)
}

/// Writes a vector into its lanes.
pub(crate) fn fill(lanes: &mut [Lane], values: &[f32]) {
    for (lane, values) in lanes.iter_mut().zip(values.chunks(WIDTH)) {
        *lane = Lane::ZERO;
        lane.0[..values.len()].copy_from_slice(values);
    }
}

/// A vector in lanes.
pub(crate) fn padded(values: &[f32]) -> Vec<Lane> {
    let mut lanes = vec![Lane::ZERO; lanes_of(values.len())];
    fill(&mut lanes, values);
    lanes
}

/// Rows of equal length, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Their lanes.
    pub(crate) lanes: &'a [Lane],
    /// Lanes of each.
    pub(crate) stride: usize,
}

/// The instruction set to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Whatever the compiler assumes of every machine of this kind: SSE2 or NEON.
    Plain,
    /// 8 floats at a time, multiplied and added in one step.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 16 floats at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// Every kernel that this machine can run, the best one last.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Self::Avx512);
            }
        }
        kernels
    }

    /// Every query with every picked row: `out` receives `picks.len()` scores per query, query by query.
    pub(crate) fn scores(self, rows: Rows<'_>, picks: &[u32], queries: &[Vec<Lane>], out: &mut Vec<f32>) {
        out.clear();
        out.resize(picks.len() * queries.len(), 0.0);
        match self {
            // SAFETY: these registers ask for nothing that the target does not always have.
            Self::Plain => unsafe { all::<[f32; WIDTH]>(rows, picks, queries, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available`, the only source of this kernel, saw AVX2 and FMA on this machine.
            Self::Avx2 => unsafe { all_avx2(rows, picks, queries, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available`, the only source of this kernel, saw AVX-512 on this machine.
            Self::Avx512 => unsafe { all_avx512(rows, picks, queries, out) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn all_avx2(rows: Rows<'_>, picks: &[u32], queries: &[Vec<Lane>], out: &mut [f32]) {
    // SAFETY: this function is compiled for what the registers ask for.
    unsafe { all::<[x86_64::__m256; 2]>(rows, picks, queries, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn all_avx512(rows: Rows<'_>, picks: &[u32], queries: &[Vec<Lane>], out: &mut [f32]) {
    // SAFETY: this function is compiled for what the registers ask for.
    unsafe { all::<x86_64::__m512>(rows, picks, queries, out) }
}

/// # Safety
/// The machine has the instructions that `R` asks for, and the caller is compiled for them.
#[inline(always)]
unsafe fn all<R: Register>(rows: Rows<'_>, picks: &[u32], queries: &[Vec<Lane>], out: &mut [f32]) {
    let groups = queries.chunks(TOGETHER).zip(out.chunks_mut(picks.len().max(1) * TOGETHER));
    for (group, out) in groups {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            match group {
                [a, b, c, d] => some::<R, 4>(rows, picks, [a, b, c, d], out),
                [a, b, c] => some::<R, 3>(rows, picks, [a, b, c], out),
                [a, b] => some::<R, 2>(rows, picks, [a, b], out),
                [a] => some::<R, 1>(rows, picks, [a], out),
                _ => {}
            }
        }
    }
}

/// # Safety
/// As for [`all`].
#[inline(always)]
unsafe fn some<R: Register, const Q: usize>(
    rows: Rows<'_>,
    picks: &[u32],
    queries: [&Vec<Lane>; Q],
    out: &mut [f32],
) {
    let queries = queries.map(|query| &query[..rows.stride]);
    for (place, pick) in picks.iter().enumerate() {
        let start = *pick as usize * rows.stride;
        let row = &rows.lanes[start..start + rows.stride];
        // SAFETY: the caller's promise is passed on.
        let scores = unsafe { dots::<R, Q>(row, queries) };
        for (query, score) in scores.into_iter().enumerate() {
            out[query * picks.len() + place] = score;
        }
    }
}

/// One row with `Q` queries. The order of additions is the same for every `Q`, so that a query's scores do not
/// depend on its company.
///
/// # Safety
/// As for [`all`].
#[inline(always)]
unsafe fn dots<R: Register, const Q: usize>(row: &[Lane], queries: [&[Lane]; Q]) -> [f32; Q] {
    let queries = queries.map(|query| &query[..row.len()]);
    // SAFETY: the caller's promise is passed on.
    unsafe {
        let mut sums = [R::zero(); Q];
        for (at, lane) in row.iter().enumerate() {
            let lane = R::load(lane);
            for query in 0..Q {
                sums[query] = lane.multiply_add(R::load(&queries[query][at]), sums[query]);
            }
        }
        sums.map(|sums| sums.sum())
    }
}

/// 16 floats at work.
trait Register: Copy {
    /// All 0. As everything here, `unsafe` because the machine must have the instructions.
    unsafe fn zero() -> Self;
    /// A lane.
    unsafe fn load(lane: &Lane) -> Self;
    /// `self * factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    /// All 16 added up.
    unsafe fn sum(self) -> f32;
}

impl Register for [f32; WIDTH] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; WIDTH]
    }

    #[inline(always)]
    unsafe fn load(lane: &Lane) -> Self {
        lane.0
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // NEON always multiplies and adds in one step; SSE2 would call a library function for it.
        std::array::from_fn(|place| {
            if cfg!(target_arch = "aarch64") {
                self[place].mul_add(factor[place], sum[place])
            } else {
                self[place] * factor[place] + sum[place]
            }
        })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
impl Register for [x86_64::__m256; 2] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller promises AVX2.
        unsafe { [x86_64::_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    unsafe fn load(lane: &Lane) -> Self {
        let start = lane.0.as_ptr();
        // SAFETY: the caller promises AVX2; a lane is 16 floats on a 64-byte boundary.
        unsafe { [x86_64::_mm256_load_ps(start), x86_64::_mm256_load_ps(start.add(8))] }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the caller promises AVX2 and FMA.
        unsafe {
            [
                x86_64::_mm256_fmadd_ps(self[0], factor[0], sum[0]),
                x86_64::_mm256_fmadd_ps(self[1], factor[1], sum[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut sums = [0.0; 8];
        // SAFETY: the caller promises AVX2; eight floats are written to a place for eight.
        unsafe { x86_64::_mm256_storeu_ps(sums.as_mut_ptr(), x86_64::_mm256_add_ps(self[0], self[1])) };
        sums.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
impl Register for x86_64::__m512 {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller promises AVX-512.
        unsafe { x86_64::_mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(lane: &Lane) -> Self {
        // SAFETY: the caller promises AVX-512; a lane is 16 floats on a 64-byte boundary.
        unsafe { x86_64::_mm512_load_ps(lane.0.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the caller promises AVX-512.
        unsafe { x86_64::_mm512_fmadd_ps(self, factor, sum) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller promises AVX-512.
        unsafe { x86_64::_mm512_reduce_add_ps(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_schoolbook(
            dimension in 1_usize..100,
            rows in 1_usize..6,
            queries in 0_usize..10,
            numbers in prop::collection::vec(-1.0_f32..1.0, 1600),
        ) {
            let vector = |n: usize| &numbers[n * dimension % 1000..][..dimension];
            let lanes: Vec<Lane> = (0..rows).flat_map(|row| padded(vector(row))).collect();
            let asked: Vec<_> = (0..queries).map(|query| padded(vector(query + 7))).collect();
            let picks: Vec<u32> = (0..rows as u32).filter(|row| row % 3 != 1).collect();
            for kernel in Kernel::available() {
                let mut out = Vec::new();
                let all = Rows { lanes: &lanes, stride: lanes_of(dimension) };
                kernel.scores(all, &picks, &asked, &mut out);
                prop_assert_eq!(out.len(), picks.len() * queries);
                for query in 0..queries {
                    for (place, pick) in picks.iter().enumerate() {
                        let exact: f64 = vector(query + 7)
                            .iter()
                            .zip(vector(*pick as usize))
                            .map(|(a, b)| f64::from(*a) * f64::from(*b))
                            .sum();
                        let found = f64::from(out[query * picks.len() + place]);
                        prop_assert!((found - exact).abs() < 1e-5, "{kernel:?}: {found} is not {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_score_does_not_depend_on_the_queries_beside_it() {
        let row = padded(&std::array::from_fn::<f32, 40, _>(|n| (n as f32).sin()));
        let query = padded(&std::array::from_fn::<f32, 40, _>(|n| (n as f32).cos()));
        let rows = Rows { lanes: &row, stride: 3 };
        for kernel in Kernel::available() {
            let (mut alone, mut together) = (Vec::new(), Vec::new());
            kernel.scores(rows, &[0], std::slice::from_ref(&query), &mut alone);
            kernel.scores(rows, &[0], &vec![query.clone(); 7], &mut together);
            assert_eq!(together, vec![alone[0]; 7], "{kernel:?}");
        }
    }
}
