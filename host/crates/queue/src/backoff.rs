//! How long a failed job waits before its next attempt: exponential, capped, with full jitter.

use std::{collections::BTreeMap, time::Duration};

use crate::JobId;

/// Exponential backoff with full jitter: a wait drawn evenly from nothing up to `base * 2^(attempt - 1)`, at most `cap`.
///
/// Full jitter spreads a herd of failures best for the least work (Brooker, "Exponential Backoff and Jitter", 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub base: Duration,
    /// The longest wait after any failure.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), cap: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// The longest wait after the given attempt, counted from 1.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// The wait after the given attempt of a job. The draw comes from the job's own random id, so it is spread
    /// between jobs and yet the same in every process and every test.
    #[must_use]
    pub fn delay(&self, job: JobId, attempt: u32) -> Duration {
        self.ceiling(attempt).mul_f64(draw(job, attempt))
    }
}

/// How long failed jobs wait: as usual, and those of some kinds otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backoffs {
    /// The usual wait.
    pub usual: Backoff,
    /// That of jobs of these kinds.
    pub kinds: BTreeMap<String, Backoff>,
}

impl Backoffs {
    /// The wait of jobs of this kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> Backoff {
        self.kinds.get(kind).copied().unwrap_or(self.usual)
    }
}

impl From<Backoff> for Backoffs {
    fn from(usual: Backoff) -> Self {
        Self { usual, kinds: BTreeMap::new() }
    }
}

/// A number in `0.0..1.0` from a job's random bits and the attempt (the finaliser of SplitMix64).
fn draw(job: JobId, attempt: u32) -> f64 {
    let mut x = job.random_bits().wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_delay_never_passes_its_ceiling(attempt in 0_u32..u32::MAX, base_ms in 0_u64..u64::MAX, cap_ms in 0_u64..1 << 40) {
            let backoff = Backoff { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms) };
            let delay = backoff.delay(JobId::new(), attempt);
            proptest::prop_assert!(delay <= backoff.ceiling(attempt) && delay <= backoff.cap);
        }
    }

    #[test]
    fn the_ceiling_doubles_until_the_cap() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(5) };
        let ceilings: Vec<u64> = (1..=5).map(|attempt| backoff.ceiling(attempt).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn a_kind_may_wait_otherwise_than_the_rest() {
        let patient = Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(3600) };
        let backoffs = Backoffs { kinds: [("b".to_owned(), patient)].into(), ..Backoffs::default() };
        assert_eq!((backoffs.of("a"), backoffs.of("b")), (Backoff::default(), patient));
    }

    #[test]
    fn jobs_that_fail_together_do_not_return_together() {
        let backoff = Backoff { base: Duration::from_secs(100), cap: Duration::from_secs(100) };
        let mut tenths = [0; 10];
        for _ in 0..1000 {
            tenths[backoff.delay(JobId::new(), 1).as_secs() as usize / 10] += 1;
        }
        // Each tenth expects 100; five standard deviations are 47.
        assert!(tenths.iter().all(|&count| (53..=147).contains(&count)), "{tenths:?}");
    }
}
