//! What every call of a plugin leaves in the metrics.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};
use taja_catalog::policy::{PluginRef, PolicyFault};

use crate::{limits::Kind, plugin::Identity};

/// What one call used.
#[derive(Debug, Clone, PartialEq)]
pub struct CallStats {
    /// Which plugin.
    pub plugin: PluginRef,
    /// What it is for.
    pub kind: Kind,
    /// `ok`, or how it failed, as [`PolicyFault::outcome`] names it.
    pub outcome: &'static str,
    /// Waiting for a free place.
    pub queue_wait: Duration,
    /// From the free place to the answer.
    pub total: Duration,
    /// Linking and starting the instance; part of `total`.
    pub instantiation: Duration,
    /// Time the guest computed.
    pub cpu: Duration,
    /// Host calls that could have been refused.
    pub host_calls: u32,
    /// Bytes of linear memories and tables at their largest.
    pub peak_memory_bytes: usize,
    /// Log lines that found no room.
    pub log_lines_dropped: u64,
}

/// The metrics of one plugin, looked up once.
pub(crate) struct CallMetrics {
    outcomes: Vec<(&'static str, Counter)>,
    seconds: Histogram,
    cpu: Histogram,
    instantiation: Histogram,
    host_calls: Histogram,
    peak_memory: Histogram,
    queue_wait: Histogram,
}

/// The outcome of a call that went well.
pub(crate) const OK: &str = "ok";
/// The outcome of a call whose caller went away.
pub(crate) const CANCELLED: &str = "cancelled";

const OUTCOMES: [&str; 8] =
    [OK, "guest_error", "trap", "timeout", "invalid_answer", "host_failure", "busy", CANCELLED];

impl CallMetrics {
    pub(crate) fn of(identity: &Identity) -> Self {
        let (plugin, kind) = (identity.manifest.name.clone(), identity.manifest.kind.name());
        let labels = [("plugin", plugin), ("kind", kind.to_owned())];
        let outcome = |name: &'static str| {
            let [plugin, kind] = labels.clone();
            let labels = [plugin, kind, ("outcome", name.to_owned())];
            (name, counter!("taja_plugin_calls_total", &labels))
        };
        Self {
            outcomes: OUTCOMES.into_iter().map(outcome).collect(),
            seconds: histogram!("taja_plugin_call_seconds", &labels),
            cpu: histogram!("taja_plugin_cpu_seconds", &labels),
            instantiation: histogram!("taja_plugin_instantiation_seconds", &labels),
            host_calls: histogram!("taja_plugin_host_calls", &labels),
            peak_memory: histogram!("taja_plugin_peak_memory_bytes", &labels),
            queue_wait: histogram!("taja_plugin_queue_wait_seconds", &labels),
        }
    }

    pub(crate) fn record(&self, stats: &CallStats) {
        self.count(stats.outcome);
        self.queue_wait.record(stats.queue_wait);
        self.seconds.record(stats.total);
        self.cpu.record(stats.cpu);
        self.instantiation.record(stats.instantiation);
        self.host_calls.record(stats.host_calls);
        self.peak_memory.record(stats.peak_memory_bytes as f64);
    }

    /// Counts a call that never ran.
    pub(crate) fn count(&self, outcome: &'static str) {
        if let Some((_, counter)) = self.outcomes.iter().find(|(name, _)| *name == outcome) {
            counter.increment(1);
        }
    }
}

/// The outcome's name.
pub(crate) fn outcome<T>(answer: &Result<T, PolicyFault>) -> &'static str {
    answer.as_ref().map_or_else(PolicyFault::outcome, |_| OK)
}
