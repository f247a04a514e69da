//! What can go wrong on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Deserialize;

/// What happens to a request instead of, before, or after being served.
///
/// As JSON: `{"fault": "fail", "status": 500}`, `{"fault": "stall", "answer_after_ms": 300}`,
/// `{"fault": "lose_reply"}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// It is answered so, and not served.
    Fail {
        /// The HTTP status.
        status: u16,
        /// Headers, such as those of a rate limit.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body; an error as Cloudinary puts it when there is none.
        #[serde(default)]
        body: Option<String>,
    },
    /// It is served this much later; never when there is no time.
    Stall {
        /// The time, in milliseconds.
        #[serde(default)]
        answer_after_ms: Option<u64>,
    },
    /// It is served, and then the connection is closed without an answer.
    LoseReply,
}

impl Fault {
    /// A failure with this status and an error as Cloudinary puts it.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Fail { status, headers: BTreeMap::new(), body: None }
    }

    /// A failure with a header, such as one that says when a rate limit ends.
    #[must_use]
    pub fn header(status: u16, name: &str, value: &str) -> Self {
        Self::Fail { status, headers: BTreeMap::from([(name.into(), value.into())]), body: None }
    }

    /// An answer with this status and body.
    #[must_use]
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Fail { status, headers: BTreeMap::new(), body: Some(body.into()) }
    }

    /// Served after this time.
    #[must_use]
    pub fn stall(time: Duration) -> Self {
        Self::Stall { answer_after_ms: Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)) }
    }

    /// Never served.
    #[must_use]
    pub fn silence() -> Self {
        Self::Stall { answer_after_ms: None }
    }
}

/// A fault as other processes set it.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    #[serde(flatten)]
    pub(super) fault: Fault,
    pub(super) times: Option<u32>,
}

/// The faults to come, one after the other.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(Fault, Option<u32>)>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, times: Option<u32>) {
        if times != Some(0) {
            self.0.push_back((fault, times));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault of the next request.
    pub(super) fn next(&mut self) -> Option<Fault> {
        let (fault, times) = self.0.front_mut()?;
        let fault = fault.clone();
        match times {
            Some(1) => drop(self.0.pop_front()),
            Some(times) => *times -= 1,
            None => {}
        }
        Some(fault)
    }
}
