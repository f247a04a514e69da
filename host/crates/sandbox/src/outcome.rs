//! Why a call ended before it had an answer: by the guest's doing, its limits, or the host's fault.

use taja_catalog::policy::PolicyFault;
use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::{limits::Limits, memory::MemoryUsedUp, refusal::HostBroken};

/// The guest computed longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cpu time used up")]
pub(crate) struct CpuUsedUp;

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The instance was being made: what is not a trap is the host's fault.
    Entering,
    /// The guest was running: what is not a trap is an answer or argument that breaks the component's contract.
    Running,
}

/// The fault that an error of wasmtime stands for. `last_words` is what the guest wrote before it ended.
pub(crate) fn fault(error: &wasmtime::Error, stage: Stage, limits: &Limits, last_words: &str) -> PolicyFault {
    if error.downcast_ref::<CpuUsedUp>().is_some() {
        return PolicyFault::Timeout { what: "cpu", limit: limits.cpu };
    }
    if let Some(broken) = error.downcast_ref::<HostBroken>() {
        return PolicyFault::Host(broken.to_string());
    }
    if let Some(memory) = error.downcast_ref::<MemoryUsedUp>() {
        return PolicyFault::Trap(memory.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return PolicyFault::Trap(with_last_words(&trap.to_string(), last_words));
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return PolicyFault::Trap(with_last_words(&format!("exited with status {}", exit.0), last_words));
    }
    match stage {
        Stage::Entering => PolicyFault::Host(format!("{error:#}")),
        Stage::Running => {
            PolicyFault::Trap(with_last_words(&format!("{:#}", error.root_cause()), last_words))
        }
    }
}

fn with_last_words(what: &str, last_words: &str) -> String {
    if last_words.is_empty() { what.to_owned() } else { format!("{what}: {last_words}") }
}
