//! Latency and throughput of models: `cargo bench -p taja-clip --bench embed -- [--served] FOLDER...`.
//!
//! For each FOLDER with a model.toml (or else `TAJA_MODEL`): every backend of the library on the bare towers, beside the
//! rate at which it multiplies matrices; then what is fastest behind the batcher, from the bytes of a JPEG file
//! (`TAJA_BENCH_PICTURE`) and from many callers at once. `--served` leaves the first part out; with `TAJA_BENCH_MEMORY`, a
//! folder, what was measured before is taken from there. `TAJA_ONNXRUNTIME` names the library. Paths are absolute, or relative to the crate: that is where `cargo bench` runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use taja_catalog::{PerceptualHash, Picture, Raster, TenantId, port::Embedder};
use taja_clip::{
    Backend, Choice, Clip, ClipConfig, Compute, Manifest, Part, Precision, Tuning, product_rate,
};

/// How long each line is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// Sides of a product photograph, pixels.
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 900;
/// Sides of the square products; the fastest counts.
const SIDES: [usize; 3] = [1024, 2048, 4096];
/// Operations of image towers, by what the model's name holds.
const OPERATIONS: [(&str, Operations); 3] = [
    ("vit-l-14", Operations { of_weights: 155.2e9, others: 6.8e9 }),
    ("vit-b-32", Operations { of_weights: 8.50e9, others: 0.32e9 }),
    ("b16", Operations { of_weights: 33.5e9, others: 1.66e9 }),
];

/// Additions and multiplications in the matrix products of a tower of `t` tokens of `d` numbers each.
#[derive(Clone, Copy)]
struct Operations {
    /// With the weights of layers: `layers 24 t d^2`. A format of integers has these of integers.
    of_weights: f64,
    /// Between tokens, and of patches: `layers 4 t^2 d + 6 (t - 1) patch^2 d`.
    others: f64,
}

/// Operations per second in products: with constant weights, and others.
#[derive(Clone, Copy)]
struct Rates {
    of_weights: f64,
    others: f64,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `cargo bench` passes --bench along.
    let (options, folders): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut folders: Vec<PathBuf> = folders.into_iter().map(PathBuf::from).collect();
    if folders.is_empty() {
        folders.push(installed("TAJA_MODEL", "models/default"));
    }
    let served = options.iter().any(|option| option == "--served");
    folders.iter().try_for_each(|folder| bench(folder, served))
}

/// Where set-up put something, unless the environment names another place.
fn installed(variable: &str, place: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.tools");
    std::env::var_os(variable).map_or_else(|| tools.join(place), PathBuf::from)
}

fn bench(folder: &Path, served: bool) -> Result<(), Failure> {
    let fresh = tempfile::tempdir()?;
    let memory = std::env::var_os("TAJA_BENCH_MEMORY").map_or(fresh.path().to_owned(), PathBuf::from);
    let config = ClipConfig {
        library: installed("TAJA_ONNXRUNTIME", "onnxruntime/lib/libonnxruntime.so"),
        manifest: Manifest::load(&folder.join("model.toml"))?,
        model_dir: folder.to_owned(),
        threads: 0,
        max_batch: 8,
        max_wait: Duration::from_millis(5),
        queue_capacity: 64,
        compute: Compute { choice: Choice::Auto, memory: Some(memory) },
    };
    report(&format!("== {}", config.manifest.title));
    if !served {
        let start = Instant::now();
        let tuning = Clip::measure(config.clone())?;
        report(&format!("all measured in {:.1} s", start.elapsed().as_secs_f64()));
        backends(&config, &tuning)?;
    }
    let start = Instant::now();
    let clip = Clip::start(config)?;
    let (info, started) = (clip.info(), start.elapsed().as_secs_f64());
    report(&format!("served by {} and {}, started in {started:.1} s", info.images, info.texts));
    let runtime = tokio::runtime::Runtime::new()?;
    let picture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/goldens/pictures/photo-large.jpg");
    let jpeg = std::env::var_os("TAJA_BENCH_PICTURE").map_or(picture, PathBuf::from);
    let jpeg = Arc::new(Jpeg(std::fs::read(jpeg)?));
    runtime.block_on(measure("jpeg", 1, jpeg, &clip));
    for jobs in [1, 8] {
        runtime.block_on(measure("image", jobs, Arc::new(Images(clip_pictures())), &clip));
        runtime.block_on(measure("text", jobs, Arc::new(Texts), &clip));
    }
    Ok(())
}

/// What was measured of the bare towers; of image towers, the share of their time that their products alone would take at
/// the rates of large square ones.
fn backends(config: &ClipConfig, tuning: &Tuning) -> Result<(), Failure> {
    let operations =
        OPERATIONS.iter().find(|(name, _)| config.manifest.name.contains(name)).map(|(_, count)| *count);
    let mut known: Option<(Backend, Rates)> = None;
    for row in &tuning.rows {
        let mut line = format!("{:5?} {:14} batch {}", row.part, row.backend.to_string(), row.batch);
        if let Some(ms) = row.ms_per_item {
            let alone = row.ms_alone.unwrap_or(ms);
            line +=
                &format!(": {ms:8.2} ms each, {alone:8.2} alone, cosine {:.6}", row.cosine.unwrap_or(0.0));
            if let (Part::Image, Some(operations)) = (row.part, operations) {
                let rates = match known {
                    Some((backend, rates)) if backend == row.backend => rates,
                    _ => fastest_products(config, row.backend, row.threads)?,
                };
                known = Some((row.backend, rates));
                let products = operations.of_weights / rates.of_weights + operations.others / rates.others;
                let share = products * 1e3 / alone;
                // A tower of integers is faster than any product of floats, which then says nothing of it.
                if share <= 1.0 {
                    let (weights, others) = (rates.of_weights / 1e9, rates.others / 1e9);
                    let share = share * 100.0;
                    line += &format!(", {share:2.0} % of {weights:4.0} and {others:4.0} Gop/s");
                }
            }
        }
        line += &row.refused.as_ref().map_or(String::new(), |problem| format!("; refused: {problem}"));
        report(&format!("{line}{}", if row.chosen { "; chosen" } else { "" }));
    }
    Ok(())
}

/// What a backend's products reach. Those of integers are of weights alone: what comes of two inputs stays as it is.
fn fastest_products(config: &ClipConfig, backend: Backend, threads: usize) -> Result<Rates, Failure> {
    let fastest = |backend| -> Result<f64, Failure> {
        let rates = SIDES.map(|side| product_rate(&config.library, threads, backend, side));
        Ok(rates.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().fold(0.0, f64::max))
    };
    let of_weights = fastest(backend)?;
    let others = match backend.precision() {
        Precision::Int8 | Precision::Int8Single => fastest(Backend::REFERENCE)?,
        _ => of_weights,
    };
    Ok(Rates { of_weights, others })
}

/// Something to embed over and over.
trait Work {
    async fn once(&self, clip: &Clip, turn: usize);
}

struct Jpeg(Vec<u8>);
struct Images(Vec<Arc<Picture>>);
struct Texts;

impl Work for Jpeg {
    async fn once(&self, clip: &Clip, _: usize) {
        let rgb = image::load_from_memory(&self.0).expect("it is a picture").to_rgb8();
        let raster = Raster::new(rgb.width(), rgb.height(), rgb.into_raw()).expect("as many bytes as pixels");
        let picture = Arc::new(Picture { hash: None, perceptual: PerceptualHash(0), raster });
        clip.images(&shop(), &[picture]).await.expect("the model was warmed up");
    }
}

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
    let (start, processor) = (Instant::now(), processor_time());
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
    let processor = (processor_time() - processor).as_secs_f64() * 1e3 / latencies.len() as f64;
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    report(&format!(
        "{what:5} x{jobs}: {rate:7.1} per second, median {:6.1} ms, p95 {:6.1} ms, processor time {processor:6.1} ms each",
        at(0.5),
        at(0.95)
    ));
}

/// Of all threads of this process: what others do on the machine does not change it much.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
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
