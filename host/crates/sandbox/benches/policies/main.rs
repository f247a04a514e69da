//! What policies cost: a ranking on a fresh instance, many at once, a neighbour that misbehaves, and a thousand shops each
//! with a ranker of its own. `cargo bench --bench policies -- component.wasm`; without an argument
//! `TAJA_RANK_COMPONENT` names the file. It must be a ranker and carry its manifest. What a swap costs is measured where
//! all of it takes place: in the bench of the service.

mod calls;
#[path = "../../fixtures/component.rs"]
mod component;
mod neighbours;
mod room;
mod shops;
mod world;

use std::{path::PathBuf, time::Duration};

use metrics_exporter_prometheus::Matcher;
use taja_sandbox::PagemapScan;

use self::room::Room;

/// Calls measured for each size, after a tenth as many that are not.
const CALLS: usize = 5000;
/// How long calls are counted.
const COUNTED: Duration = Duration::from_secs(4);

/// As many bounds as the service's histograms have.
const BOUNDS: [f64; 20] = [
    2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10.,
    30., 60.,
];

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(()); // a test runner asks for tests; there are none
    }
    let named = std::env::args().skip(1).find(|argument| argument.ends_with(".wasm"));
    let Some(file) = named.or_else(|| std::env::var("TAJA_RANK_COMPONENT").ok()).map(PathBuf::from) else {
        report("no component named: nothing measured");
        return Ok(());
    };
    let component = std::fs::read(file)?;
    // As in the service: every call is counted.
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new();
    recorder.set_buckets_for_metric(Matcher::Prefix("taja".into()), &BOUNDS)?.install_recorder()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(&component))
}

async fn measure(component: &[u8]) -> Outcome<()> {
    // The one that is safe everywhere first, so that the other's figures stand below it.
    for (scan, aim) in [(PagemapScan::Off, 20), (PagemapScan::WhereSafe, 12)] {
        let room = Room::open(component, scan).await?;
        report(&format!("{}:", describe(scan)));
        calls::one_by_one(&room, Duration::from_micros(aim)).await?;
        calls::on_two_threads(&room).await?;
    }
    let room = Room::open(component, PagemapScan::Off).await?;
    neighbours::beside_others(&room).await?;
    shops::with_their_own(&room).await
}

/// How memory is reset between calls, and what that depends on here.
fn describe(scan: PagemapScan) -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    match scan {
        PagemapScan::Off => "memory reset without page-map scanning".to_owned(),
        PagemapScan::WhereSafe => format!(
            "memory reset by page-map scanning where it is safe (kernel 6.7 or newer: here {}; no swap: here {} areas)",
            read("/proc/sys/kernel/osrelease").trim(),
            read("/proc/swaps").lines().count().saturating_sub(1)
        ),
    }
}

#[expect(clippy::print_stdout, reason = "a bench tells its figures")]
fn report(line: &str) {
    println!("{line}");
}

/// What was aimed at, and whether it was reached.
fn aim(text: &str, reached: bool) -> String {
    format!("[aim: {text}: {}]", if reached { "reached" } else { "missed" })
}

fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
