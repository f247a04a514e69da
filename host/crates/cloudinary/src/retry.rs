//! When a failed request is made again: exponential backoff with full jitter, never before the moment that was named.

use std::time::Duration;

use jiff::Timestamp;

use crate::CloudinaryError;

/// How often a request is made, and the waits between.
///
/// A wait is drawn evenly from nothing up to `base * 2^(attempt - 1)`, at most `cap`: full jitter spreads a herd of
/// failures best for the least work (Brooker, "Exponential Backoff and Jitter", 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts at most, the first one counted.
    pub attempts: u32,
    /// The longest wait after the first failure.
    pub base: Duration,
    /// The longest wait after any failure.
    pub cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, base: Duration::from_millis(500), cap: Duration::from_secs(10) }
    }
}

impl Retry {
    /// The wait before the attempt after this one, counted from 1; none where another would not help or is not left.
    /// `draw` is evenly spread over `0.0..1.0`.
    pub(crate) fn wait(
        &self,
        error: &CloudinaryError,
        attempt: u32,
        now: Timestamp,
        draw: f64,
    ) -> Option<Duration> {
        let CloudinaryError::Unavailable { retry_at, .. } = error else { return None };
        if attempt >= self.attempts {
            return None;
        }
        let named =
            retry_at.map_or(Duration::ZERO, |at| at.duration_since(now).try_into().unwrap_or_default());
        Some(named.saturating_add(self.ceiling(attempt).mul_f64(draw)))
    }

    fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const RETRY: Retry = Retry { attempts: 5, base: Duration::from_secs(1), cap: Duration::from_secs(3) };

    fn unavailable(retry_at: Option<i64>) -> CloudinaryError {
        let retry_at = retry_at.map(|second| Timestamp::from_second(second).unwrap());
        CloudinaryError::Unavailable { reason: String::new(), retry_at, source: None }
    }

    #[rstest]
    #[case::first(None, 1, 0.5, Some(500))]
    #[case::doubled(None, 2, 0.5, Some(1000))]
    #[case::capped(None, 4, 0.5, Some(1500))]
    #[case::at_once(None, 4, 0.0, Some(0))]
    #[case::named(Some(1060), 1, 0.5, Some(60_500))]
    #[case::named_and_past(Some(940), 1, 0.5, Some(500))]
    #[case::spent(None, 5, 0.5, None)]
    fn waits_grow_and_are_never_shorter_than_asked(
        #[case] retry_at: Option<i64>,
        #[case] attempt: u32,
        #[case] draw: f64,
        #[case] millis: Option<u64>,
    ) {
        let now = Timestamp::from_second(1000).unwrap();
        let wait = RETRY.wait(&unavailable(retry_at), attempt, now, draw);
        assert_eq!(wait, millis.map(Duration::from_millis));
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        let refused = CloudinaryError::Refused { status: 401, message: String::new() };
        let invalid = CloudinaryError::Invalid { status: 400, message: String::new() };
        for error in [refused, invalid, CloudinaryError::broken("")] {
            assert_eq!(RETRY.wait(&error, 1, Timestamp::UNIX_EPOCH, 0.5), None);
        }
    }
}
