//! Latency and throughput of models: `cargo bench -p taja-clip --bench embed -- FOLDER...`.
//!
//! Each FOLDER (or else `TAJA_MODEL`) holds a model.toml; `TAJA_ONNXRUNTIME` names the library. Paths are absolute, or
//! relative to the crate: that is where `cargo bench` runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use taja_catalog::{PerceptualHash, Picture, Raster, TenantId, port::Embedder};
use taja_clip::{Clip, ClipConfig, Manifest};

/// How long each line is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// Sides of a product photograph, pixels.
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 900;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench` passes --bench along.
    let mut folders: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(PathBuf::from).collect();
    if folders.is_empty() {
        folders.push(installed("TAJA_MODEL", "models/default"));
    }
    folders.into_iter().try_for_each(bench)
}

/// Where set-up put something, unless the environment names another place.
fn installed(variable: &str, place: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.tools");
    std::env::var_os(variable).map_or_else(|| tools.join(place), PathBuf::from)
}

fn bench(folder: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let clip = Clip::start(ClipConfig {
        library: installed("TAJA_ONNXRUNTIME", "onnxruntime/lib/libonnxruntime.so"),
        manifest: Manifest::load(&folder.join("model.toml"))?,
        model_dir: folder,
        threads: 0,
        max_batch: 8,
        max_wait: Duration::from_millis(5),
        queue_capacity: 64,
    })?;
    report(&format!("{}, started in {:.1} s", clip.info().title, start.elapsed().as_secs_f64()));
    let runtime = tokio::runtime::Runtime::new()?;
    for jobs in [1, 8] {
        runtime.block_on(measure("image", jobs, Arc::new(Images(clip_pictures())), &clip));
        runtime.block_on(measure("text", jobs, Arc::new(Texts), &clip));
    }
    Ok(())
}

/// Something to embed over and over.
trait Work {
    async fn once(&self, clip: &Clip, turn: usize);
}

struct Images(Vec<Arc<Picture>>);
struct Texts;

impl Work for Images {
    async fn once(&self, clip: &Clip, turn: usize) {
        let picture = Arc::clone(&self.0[turn % self.0.len()]);
        clip.images(&shop(), &[picture]).await.expect("the model was warmed up");
    }
}

impl Work for Texts {
    async fn once(&self, clip: &Clip, turn: usize) {
        let text = format!("red running shoes for men, size {turn}");
        clip.texts(&shop(), &[text]).await.expect("the model was warmed up");
    }
}

/// Whoever asks: a model says the same to everybody.
fn shop() -> TenantId {
    "shop".parse().expect("the word is a tenant name")
}

/// `jobs` callers, each with one item at a time.
async fn measure<W: Work>(what: &str, jobs: usize, work: Arc<W>, clip: &Clip) {
    let start = Instant::now();
    let job = |job: usize| {
        let work = Arc::clone(&work);
        async move {
            let mut latencies = Vec::new();
            while start.elapsed() < MEASURE {
                let call = Instant::now();
                work.once(clip, job + latencies.len() * jobs).await;
                latencies.push(call.elapsed());
            }
            latencies
        }
    };
    let mut latencies = futures::future::join_all((0..jobs).map(job)).await.concat();
    let rate = latencies.len() as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    report(&format!(
        "{what:5} x{jobs}: {rate:7.1} per second, median {:6.1} ms, p95 {:6.1} ms",
        at(0.5),
        at(0.95)
    ));
}

fn clip_pictures() -> Vec<Arc<Picture>> {
    let picture = |seed: u32| {
        let rgb = (0..WIDTH * HEIGHT * 3)
            .map(|place| (place.wrapping_mul(seed * 2 + 2_654_435_761) >> 13) as u8)
            .collect();
        let raster = Raster::new(WIDTH, HEIGHT, rgb).expect("the sides fit");
        Arc::new(Picture { hash: None, perceptual: PerceptualHash(0), raster })
    };
    (0..4).map(picture).collect()
}

#[expect(clippy::print_stdout, reason = "a bench talks to whoever runs it")]
fn report(line: &str) {
    println!("{line}");
}
