//! What every call of a plugin leaves in the metrics.

use std::time::Duration;

use metrics::{Counter, Histogram, Label, counter, histogram};
use taja_catalog::{
    TenantId,
    plugins::Part,
    policy::{PluginRef, PolicyFault},
};

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
    /// Instructions the guest executed, where they are counted.
    pub fuel: Option<u64>,
    /// Host calls that could have been refused.
    pub host_calls: u32,
    /// Bytes of the texts, numbers and pixels that host calls carried, arguments to the host and answers to the guest. A
    /// handle is none: what lies behind it stays where it is.
    pub host_bytes: u64,
    /// Bytes of linear memories and tables at their largest.
    pub peak_memory_bytes: usize,
    /// Log lines that found no room.
    pub log_lines_dropped: u64,
}

/// The metrics of one version for one shop, looked up once.
pub(crate) struct CallMetrics {
    outcomes: Vec<(&'static str, Counter)>,
    seconds: Histogram,
    cpu: Histogram,
    instantiation: Histogram,
    host_calls: Histogram,
    host_bytes: Histogram,
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
    pub(crate) fn of(identity: &Identity, tenant: &TenantId, part: Part) -> Self {
        let labels = vec![
            Label::new("plugin", identity.manifest.name.clone()),
            Label::new("kind", identity.manifest.kind.name()),
            Label::new("digest", identity.digest.to_string()),
            Label::new("tenant", tenant.to_string()),
            Label::new("part", part.as_str()),
        ];
        let outcome = |name: &'static str| {
            let mut labels = labels.clone();
            labels.push(Label::new("outcome", name));
            (name, counter!("taja_plugin_calls_total", labels))
        };
        let histogram = |name: &'static str| histogram!(name, labels.clone());
        Self {
            outcomes: OUTCOMES.into_iter().map(outcome).collect(),
            seconds: histogram("taja_plugin_call_seconds"),
            cpu: histogram("taja_plugin_cpu_seconds"),
            instantiation: histogram("taja_plugin_instantiation_seconds"),
            host_calls: histogram("taja_plugin_host_calls"),
            host_bytes: histogram("taja_plugin_host_bytes"),
            peak_memory: histogram("taja_plugin_peak_memory_bytes"),
            queue_wait: histogram("taja_plugin_queue_wait_seconds"),
        }
    }

    pub(crate) fn record(&self, stats: &CallStats) {
        self.count(stats.outcome);
        self.queue_wait.record(stats.queue_wait);
        self.seconds.record(stats.total);
        self.cpu.record(stats.cpu);
        self.instantiation.record(stats.instantiation);
        self.host_calls.record(stats.host_calls);
        self.host_bytes.record(stats.host_bytes as f64);
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
