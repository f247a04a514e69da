//! What every call of a plugin leaves in the metrics.

use std::{sync::Arc, time::Duration};

use metrics::{Key, Label, Level, Metadata, with_recorder};
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
    pub plugin: Arc<PluginRef>,
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

/// The metrics of one version for one shop, by their names. They are looked up at every call and not held: the exporter
/// drops what nobody added to for long, and whoever held such a one would add to what nobody sees.
pub(crate) struct CallMetrics {
    outcomes: Vec<(&'static str, Key)>,
    seconds: Key,
    cpu: Key,
    instantiation: Key,
    host_calls: Key,
    host_bytes: Key,
    peak_memory: Key,
    queue_wait: Key,
}

/// The outcome of a call that went well.
pub(crate) const OK: &str = "ok";
/// The outcome of a call whose caller went away.
pub(crate) const CANCELLED: &str = "cancelled";

const OUTCOMES: [&str; 8] =
    [OK, "guest_error", "trap", "timeout", "invalid_answer", "host_failure", "busy", CANCELLED];

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

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
            (name, Key::from_parts("taja_plugin_calls_total", labels))
        };
        let histogram = |name: &'static str| Key::from_parts(name, labels.clone());
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
        for (key, value) in [
            (&self.queue_wait, stats.queue_wait.as_secs_f64()),
            (&self.seconds, stats.total.as_secs_f64()),
            (&self.cpu, stats.cpu.as_secs_f64()),
            (&self.instantiation, stats.instantiation.as_secs_f64()),
            (&self.host_calls, f64::from(stats.host_calls)),
            (&self.host_bytes, stats.host_bytes as f64),
            (&self.peak_memory, stats.peak_memory_bytes as f64),
        ] {
            with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(value));
        }
    }

    /// Counts a call that never ran.
    pub(crate) fn count(&self, outcome: &'static str) {
        if let Some((_, key)) = self.outcomes.iter().find(|(name, _)| *name == outcome) {
            with_recorder(|recorder| recorder.register_counter(key, &METADATA).increment(1));
        }
    }
}

/// The outcome's name.
pub(crate) fn outcome<T>(answer: &Result<T, PolicyFault>) -> &'static str {
    answer.as_ref().map_or_else(PolicyFault::outcome, |_| OK)
}
