//! When a choice is to be withdrawn: it fails again and again, or takes much longer than the one it is to replace.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use taja_catalog::policy::PolicyFault;

use crate::book::Record;

/// Calls that are looked back on.
const WINDOW: usize = 20;
/// Failures among them that are too many. One may be bad luck; a policy that is broken fails more often.
const FAILURES: usize = 3;
/// Calls of both sides before their times are compared.
const CALLS: u64 = 50;
/// How many times as long it may take, for nine calls of ten. Times are known to a factor of two.
const SLOWER: u64 = 4;
/// What is never too long, microseconds: the clock of a busy machine is not that exact.
const QUICK: u64 = 5_000;

/// Looks at the last calls of one choice.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// Whether each failed, oldest first.
    failed: VecDeque<bool>,
    withdrawn: bool,
}

impl Watch {
    /// Notes how a call went. Why the choice is to be withdrawn, once, when this was too much.
    pub(crate) fn note(
        &self,
        fault: Option<&PolicyFault>,
        this: &Arc<Record>,
        other: &Arc<Record>,
    ) -> Option<String> {
        let mut recent = self.0.lock();
        recent.failed.push_back(fault.is_some());
        if recent.failed.len() > WINDOW {
            recent.failed.pop_front();
        }
        if recent.withdrawn {
            return None;
        }
        let failures = recent.failed.iter().filter(|failed| **failed).count();
        let reason = match fault {
            Some(fault) if failures >= FAILURES => Some(format!(
                "{failures} of its last {} calls failed; the last one {fault}",
                recent.failed.len()
            )),
            _ => too_slow(this, other),
        };
        recent.withdrawn = reason.is_some();
        reason
    }

    /// Whether it is to be withdrawn.
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().withdrawn
    }
}

fn too_slow(this: &Record, other: &Record) -> Option<String> {
    let (this, other) = (this.quantile_micros(0.9, CALLS)?, other.quantile_micros(0.9, CALLS)?);
    let allowed = (other * SLOWER).max(QUICK);
    (this > allowed).then(|| {
        format!(
            "nine calls of ten take up to {this} microseconds; those of the choice it replaces take {other}"
        )
    })
}

/// Whether a policy is to blame for this, and another one may do better.
pub(crate) fn is_failure(fault: &PolicyFault) -> bool {
    matches!(fault, PolicyFault::Trap(_) | PolicyFault::Timeout { .. } | PolicyFault::InvalidAnswer(_))
}
