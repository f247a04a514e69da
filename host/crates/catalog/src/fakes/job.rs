//! A job that remembers what it was told.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::held;
use crate::policy::JobHandle;

/// A job that keeps its progress and can be cancelled by the test.
#[derive(Debug, Default)]
pub struct RecordingJob {
    cancelled: AtomicBool,
    told: Mutex<Vec<(u8, String)>>,
}

impl RecordingJob {
    /// From now on the client has given up.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Everything reported so far, in order.
    pub fn told(&self) -> Vec<(u8, String)> {
        held(&self.told).clone()
    }
}

impl JobHandle for RecordingJob {
    fn progress(&self, percent: u8, message: &str) {
        held(&self.told).push((percent, message.to_owned()));
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
