//! How long a ranking takes on a fresh instance: `cargo bench --bench rank -- [component.wasm]`. Without an argument
//! `TAJA_RANK_COMPONENT` names the file; it must carry its manifest.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use taja_catalog::{
    Embedding, Filter, Frame, FramePlan, ImageHash, PerceptualHash, Picture, ProductId, Space, TenantId,
    VideoFile, VideoInfo,
    policy::{Candidates, JobHandle, LegInfo, Matches, Measure, PolicyContext},
    port::{Embedder, KnownImage, MediaError, Neighbour, PortResult, VideoDecoder},
    retrieval::Catalogue,
};
use taja_sandbox::{Sandbox, SandboxConfig};

/// Calls measured for each size, after a tenth as many that are not.
const CALLS: usize = 5000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(()); // a test runner asks for tests; there are none
    }
    let named = std::env::args().skip(1).find(|argument| argument.ends_with(".wasm"));
    let Some(file) = named.or_else(|| std::env::var("TAJA_RANK_COMPONENT").ok()).map(PathBuf::from) else {
        report("no component named: nothing measured");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(&file))
}

async fn measure(file: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(file, folder.path().join("rank.wasm"))?;
    let mut config = SandboxConfig::new(folder.path());
    config.rank = taja_sandbox::manifest::read(&std::fs::read(file)?)?.name;
    if let Some(bytes) = std::env::var("TAJA_KEEP_RESIDENT_BYTES").ok().and_then(|bytes| bytes.parse().ok()) {
        config.keep_resident_bytes = bytes;
    }
    if std::env::var_os("TAJA_NO_PAGEMAP_SCAN").is_some() {
        config.pagemap_scan = taja_sandbox::PagemapScan::Off;
    }
    let nothing = Arc::new(Nothing(Space { id: "none".into(), model: "none".into(), dimension: 1 }));
    let sandbox = Sandbox::load(config, nothing.clone(), nothing.clone()).await?;
    let context = PolicyContext::new("bench".parse()?, nothing.clone(), Filter::everything(), nothing);
    for products in [100, 1000] {
        let mut calls = Vec::with_capacity(CALLS);
        for call in 0..CALLS + CALLS / 10 {
            let candidates = candidates(products);
            let began = Instant::now();
            let (answer, stats) = sandbox.rank_measured(&context, candidates).await;
            let took = began.elapsed();
            answer?;
            if call >= CALLS / 10 {
                calls.push((took, stats.map(|stats| stats.instantiation).unwrap_or_default()));
            }
        }
        let (median, p99) = quantiles(calls.iter().map(|call| call.0).collect());
        let (instance, _) = quantiles(calls.iter().map(|call| call.1).collect());
        report(&format!(
            "rank {products} products, {} matches: median {median:?}, p99 {p99:?}, of which instance {instance:?}",
            2 * products
        ));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench tells its figures")]
fn report(line: &str) {
    println!("{line}");
}

fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Two legs that find the same products in opposite order.
fn candidates(products: u32) -> Candidates {
    let leg = |name: &str| LegInfo {
        name: name.into(),
        modality: name.into(),
        measure: Measure::Cosine,
        weight: 1.0,
    };
    let rows = 0..2 * products;
    let product = |row: u32| if row < products { row } else { 2 * products - 1 - row };
    Candidates {
        legs: vec![leg("image"), leg("text")],
        product_count: products,
        matches: Matches {
            legs: rows.clone().map(|row| row / products).collect(),
            products: rows.clone().map(product).collect(),
            images: rows.clone().map(product).collect(),
            scores: rows.map(|row| 1.0 - (row % products) as f32 / products as f32).collect(),
        },
        limit: 20,
        ..Candidates::default()
    }
}

/// A world that a ranking never looks at.
struct Nothing(Space);

#[async_trait]
impl Embedder for Nothing {
    fn space(&self) -> &Space {
        &self.0
    }
    async fn images(&self, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        Ok(Vec::new())
    }
    async fn texts(&self, _: &[String]) -> PortResult<Vec<Embedding>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl VideoDecoder for Nothing {
    async fn probe(&self, _: &std::path::Path) -> Result<VideoInfo, MediaError> {
        Err(MediaError::Empty)
    }
    async fn frames(&self, _: &VideoFile, _: FramePlan) -> Result<Vec<Frame>, MediaError> {
        Err(MediaError::Empty)
    }
}

impl JobHandle for Nothing {
    fn progress(&self, _: u8, _: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}

#[async_trait]
impl Catalogue for Nothing {
    async fn nearest(
        &self,
        _: &TenantId,
        _: &[Embedding],
        _: &Filter,
        _: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        Ok(Vec::new())
    }
    async fn keyword(
        &self,
        _: &TenantId,
        _: &str,
        _: &Filter,
        _: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        Ok(Vec::new())
    }
    async fn matching(&self, _: &TenantId, _: &Filter, _: usize) -> PortResult<Vec<ProductId>> {
        Ok(Vec::new())
    }
    async fn image_by_hash(&self, _: &TenantId, _: &ImageHash) -> PortResult<Option<KnownImage>> {
        Ok(None)
    }
    async fn near_duplicates(
        &self,
        _: &TenantId,
        _: PerceptualHash,
        _: u32,
        _: usize,
    ) -> PortResult<Vec<KnownImage>> {
        Ok(Vec::new())
    }
}
