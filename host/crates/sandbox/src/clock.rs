//! Where the time comes from: the system, or a test's hand.

use std::{fmt::Debug, time::Duration};

use jiff::{SignedDuration, Timestamp};

/// Tells the time. How long choices are kept for jobs, watched and remembered is measured by it, and changes are dated by
/// it.
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The moment so long after another; the calendar's end, at the latest.
pub(crate) fn after(moment: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    moment.checked_add(time).unwrap_or(Timestamp::MAX)
}
