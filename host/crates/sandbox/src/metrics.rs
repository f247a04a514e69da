//! What every call of a plugin leaves in the metrics.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use metrics::{Histogram, Key, Label, Level, Metadata, with_recorder};
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

/// The metrics of one version for one shop. The exporter drops what nobody added to for long, and whoever goes on adding to
/// such a one adds to what nobody sees. So the counters, of which a call adds to one, are looked up each time; the
/// histograms, of which it adds to all, only after a pause.
pub(crate) struct CallMetrics {
    outcomes: [Key; OUTCOMES.len()],
    measures: [Key; MEASURES.len()],
    histograms: ArcSwap<[Histogram; MEASURES.len()]>,
}

/// The outcome of a call that went well.
pub(crate) const OK: &str = "ok";
/// The outcome of a call whose caller went away.
pub(crate) const CANCELLED: &str = "cancelled";

const OUTCOMES: [&str; 8] =
    [OK, "guest_error", "trap", "timeout", "invalid_answer", "host_failure", "busy", CANCELLED];

/// The histograms; those of time are of seconds.
const MEASURES: [&str; 7] = [
    "taja_plugin_queue_wait_seconds",
    "taja_plugin_call_seconds",
    "taja_plugin_cpu_seconds",
    "taja_plugin_instantiation_seconds",
    "taja_plugin_host_calls",
    "taja_plugin_host_bytes",
    "taja_plugin_peak_memory_bytes",
];

impl CallStats {
    /// In the order of [`MEASURES`].
    fn measures(&self) -> [f64; MEASURES.len()] {
        [
            self.queue_wait.as_secs_f64(),
            self.total.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.instantiation.as_secs_f64(),
            f64::from(self.host_calls),
            self.host_bytes as f64,
            self.peak_memory_bytes as f64,
        ]
    }
}

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
            Key::from_parts("taja_plugin_calls_total", labels)
        };
        let measures = MEASURES.map(|name| Key::from_parts(name, labels.clone()));
        let histograms = ArcSwap::from_pointee(look_up(&measures));
        Self { outcomes: OUTCOMES.map(outcome), measures, histograms }
    }

    /// Looks up again what was not added to for a while.
    pub(crate) fn renew(&self) {
        self.histograms.store(Arc::new(look_up(&self.measures)));
    }

    pub(crate) fn record(&self, stats: &CallStats) {
        self.count(stats.outcome);
        for (histogram, measure) in self.histograms.load().iter().zip(stats.measures()) {
            histogram.record(measure);
        }
    }

    /// Counts a call that never ran.
    pub(crate) fn count(&self, outcome: &'static str) {
        if let Some(place) = OUTCOMES.iter().position(|name| *name == outcome) {
            let counter =
                with_recorder(|recorder| recorder.register_counter(&self.outcomes[place], &METADATA));
            counter.increment(1);
        }
    }
}

fn look_up(measures: &[Key; MEASURES.len()]) -> [Histogram; MEASURES.len()] {
    measures.each_ref().map(|key| with_recorder(|recorder| recorder.register_histogram(key, &METADATA)))
}

/// The outcome's name.
pub(crate) fn outcome<T>(answer: &Result<T, PolicyFault>) -> &'static str {
    answer.as_ref().map_or_else(PolicyFault::outcome, |_| OK)
}
