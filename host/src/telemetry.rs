//! Logs to standard error and metrics for Prometheus.

mod shops;

use std::{io::IsTerminal, sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use self::shops::FirstShops;

/// How long a series is kept that nobody adds to: versions of policies come and go, and each has some for every shop. Whoever
/// counts looks its counter up each time, so that one that was dropped comes back, from zero.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Bounds of histograms of seconds: from a plugin call (20 us) to a slow video (60 s).
const SECONDS: &[f64] = &[
    2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10.,
    30., 60.,
];
/// Bounds of histograms of counts.
const COUNTS: &[f64] = &[1., 2., 4., 8., 16., 32., 64., 128., 256.];
/// Bounds of histograms of bytes.
const BYTES: &[f64] = &[65536., 262144., 1048576., 4194304., 16777216., 67108864., 268435456.];

/// Shops that metrics name; a thousand with a ranking of their own are some hundred thousand lines per scrape.
const NAMED_SHOPS: usize = 1000;

/// Sends logs to standard error: text for a person, JSON for a machine and in production. `wanted` is a level, or levels
/// by module as in `info,taja=debug`; what cannot be read counts as `info`.
pub fn init_logs(wanted: &str, production: bool) {
    let wanted = wanted.to_lowercase();
    // ONNX Runtime tells of every graph it rewrites, a thousand lines at each start, and cries over every backend that is only
    // tried; what fails comes back as an error. Whoever names modules names all they mean.
    let level_alone = wanted.chars().all(char::is_alphabetic);
    let text = if level_alone { format!("{wanted},ort=off") } else { wanted };
    let filter = text.parse().unwrap_or_else(|_| EnvFilter::new("info,ort=off"));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second call in one process (tests) keeps the first subscriber.
    let _ = if std::io::stderr().is_terminal() && !production {
        registry.with(layer.compact()).try_init()
    } else {
        registry.with(layer.json()).try_init()
    };
}

/// The process's metrics. Installed once; every caller gets the same.
pub fn metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".into()), COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_host_calls".into()), COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), BYTES)?
        .idle_timeout(MetricKindMask::COUNTER | MetricKindMask::HISTOGRAM, Some(KEPT))
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(FirstShops::new(recorder, NAMED_SHOPS))
        .map_err(|_| anyhow::anyhow!("another metrics recorder is installed"))?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}
