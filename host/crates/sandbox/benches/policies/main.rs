//! What policies cost: a ranking on a fresh instance, many at once, a neighbour that misbehaves, a swap, and a thousand
//! shops each with a ranker of its own. `cargo bench --bench policies -- component.wasm`; without an argument
//! `TAJA_RANK_COMPONENT` names the file. It must be a ranker and carry its manifest.

#[path = "../../fixtures/component.rs"]
mod component;
mod world;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::json;
use taja_catalog::{
    PluginDigest, TenantId,
    fakes::InMemoryPlugins,
    plugins::Slot,
    policy::{Candidates, LegInfo, Matches, Measure, Pins, PolicyContext},
};
use taja_sandbox::{Capability, Order, Sandbox, SandboxConfig, Step, Upload, Wanted, manifest};

use self::world::Nothing;

/// Calls measured for each size, after a tenth as many that are not.
const CALLS: usize = 5000;
/// How long calls are counted.
const COUNTED: Duration = Duration::from_secs(4);
/// Shops with a ranker of their own.
const SHOPS: usize = 1000;
/// Swaps measured.
const SWAPS: usize = 10;

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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let bench = Bench::open(component).await?;
        bench.calls().await?;
        bench.throughput().await?;
        bench.neighbour().await?;
        bench.swaps().await?;
        bench.shops().await
    })
}

struct Bench {
    component: Vec<u8>,
    sandbox: Arc<Sandbox>,
    nothing: Arc<Nothing>,
    /// Lives as long as the sandbox.
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn open(component: Vec<u8>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        std::fs::write(plugins.join("rank.wasm"), &component)?;
        let mut config = SandboxConfig::new(plugins);
        config.cache = Some(folder.path().join("cache"));
        config.rank = manifest::read(&component)?.name;
        if let Some(bytes) = std::env::var("TAJA_KEEP_RESIDENT_BYTES").ok().and_then(|text| text.parse().ok())
        {
            config.keep_resident_bytes = bytes;
        }
        if std::env::var_os("TAJA_NO_PAGEMAP_SCAN").is_some() {
            config.pagemap_scan = taja_sandbox::PagemapScan::Off;
        }
        let nothing = Arc::new(Nothing::default());
        let store = Arc::new(InMemoryPlugins::default());
        let sandbox = Sandbox::open(config, store, nothing.clone(), nothing.clone()).await?;
        Ok(Self { component, sandbox: Arc::new(sandbox), nothing, _folder: folder })
    }

    fn context(&self, tenant: &TenantId) -> PolicyContext {
        Nothing::context(&self.nothing, tenant)
    }

    /// One call after the other.
    async fn calls(&self) -> Outcome<()> {
        let tenant: TenantId = "bench".parse()?;
        let (context, team) = (self.context(&tenant), self.sandbox.team(&tenant, &Pins::default()).await?);
        for products in [100, 1000] {
            let mut calls = Vec::with_capacity(CALLS);
            for call in 0..CALLS + CALLS / 10 {
                let candidates = candidates(products);
                let began = Instant::now();
                let (answer, stats) = team.rank_measured(&context, candidates).await;
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

    /// As many calls as two threads can make, with a job's lineup each.
    async fn throughput(&self) -> Outcome<()> {
        let calls = self.count(2, "bench").await?;
        report(&format!(
            "rank 100 products on 2 threads: {:.0} calls/s",
            calls as f64 / COUNTED.as_secs_f64()
        ));
        Ok(())
    }

    async fn count(&self, tasks: usize, tenant: &str) -> Outcome<usize> {
        let over = Arc::new(AtomicBool::new(false));
        let tenant: TenantId = tenant.parse()?;
        let counting: Vec<_> = (0..tasks)
            .map(|_| {
                let (sandbox, tenant, over) = (self.sandbox.clone(), tenant.clone(), over.clone());
                let context = self.context(&tenant);
                tokio::spawn(async move {
                    let mut calls = 0;
                    while !over.load(Relaxed) {
                        let team = sandbox.team(&tenant, &Pins::default()).await?;
                        team.rank_measured(&context, candidates(100)).await.0?;
                        calls += 1;
                    }
                    Outcome::Ok(calls)
                })
            })
            .collect();
        tokio::time::sleep(COUNTED).await;
        over.store(true, Relaxed);
        let mut calls = 0;
        for task in counting {
            calls += task.await??;
        }
        Ok(calls)
    }

    /// A shop's calls, alone and then beside a shop whose ranker spins until it is stopped, again and again.
    async fn neighbour(&self) -> Outcome<()> {
        let about = "name = \"spinner\"\nversion = \"1.0.0\"\nkind = \"rank\"\n";
        let spinner = manifest::embed(&component::fixture("rank"), about)?;
        let bad: TenantId = "bad".parse()?;
        let wanted = Wanted { digest: self.upload(spinner).await?, settings: Some(json!({ "do": "spin" })) };
        self.activate(Some(&bad), wanted).await?;
        let (alone_median, alone) = self.paced().await?;
        let over = Arc::new(AtomicBool::new(false));
        let spinning = {
            let (sandbox, over, context) = (self.sandbox.clone(), over.clone(), self.context(&bad));
            tokio::spawn(async move {
                let team = sandbox.team(&context.tenant, &Pins::default()).await?;
                let mut stopped = 0;
                while !over.load(Relaxed) {
                    stopped += usize::from(team.rank_measured(&context, candidates(10)).await.0.is_err());
                }
                Outcome::Ok(stopped)
            })
        };
        let (beside_median, beside) = self.paced().await?;
        over.store(true, Relaxed);
        let stopped = spinning.await??;
        report(&format!(
            "a neighbour of a ranker that was stopped {stopped} times: median {alone_median:?} -> {beside_median:?}, p99 {alone:?} -> {beside:?} ({:.2}x)",
            beside.as_secs_f64() / alone.as_secs_f64()
        ));
        Ok(())
    }

    /// Calls of a shop at an even pace, as they come from people.
    async fn paced(&self) -> Outcome<(Duration, Duration)> {
        let tenant: TenantId = "bench".parse()?;
        let (context, team) = (self.context(&tenant), self.sandbox.team(&tenant, &Pins::default()).await?);
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < COUNTED {
            let candidates = candidates(100);
            let call = Instant::now();
            team.rank_measured(&context, candidates).await.0?;
            times.push(call.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(quantiles(times))
    }

    /// From the bytes of a new version to the first answer it gives.
    async fn swaps(&self) -> Outcome<()> {
        let tenant: TenantId = "bench".parse()?;
        let mut times = Vec::new();
        for swap in 0..SWAPS {
            let component = version(&self.component, swap)?;
            let began = Instant::now();
            let digest = self.upload(component).await?;
            self.activate(None, Wanted { digest, settings: None }).await?;
            let team = self.sandbox.team(&tenant, &Pins::default()).await?;
            team.rank_measured(&self.context(&tenant), candidates(100)).await.0?;
            times.push(began.elapsed());
        }
        let (median, longest) = quantiles(times);
        report(&format!("swap, from upload to the first answer: median {median:?}, longest {longest:?}"));
        Ok(())
    }

    /// A thousand shops, each with a version of its own.
    async fn shops(&self) -> Outcome<()> {
        let before = resident();
        let began = Instant::now();
        let mut tenants = Vec::with_capacity(SHOPS);
        for shop in 0..SHOPS {
            let tenant: TenantId = format!("shop-{shop}").parse()?;
            let digest = self.upload(version(&self.component, SWAPS + shop)?).await?;
            self.activate(Some(&tenant), Wanted { digest, settings: None }).await?;
            tenants.push(tenant);
        }
        let loaded = began.elapsed();
        let held = resident().saturating_sub(before);
        let mut times = Vec::with_capacity(CALLS);
        for call in 0..CALLS + SHOPS {
            let tenant = &tenants[call * 7919 % SHOPS];
            let context = self.context(tenant);
            let candidates = candidates(100);
            let began = Instant::now();
            let team = self.sandbox.team(tenant, &Pins::default()).await?;
            team.rank_measured(&context, candidates).await.0?;
            if call >= SHOPS {
                times.push(began.elapsed());
            }
        }
        let (median, p99) = quantiles(times);
        report(&format!(
            "{SHOPS} shops with rankers of their own: {:.1} MiB ({} KiB each), taken in within {loaded:.1?}; a call of 100 products: median {median:?}, p99 {p99:?}",
            held as f64 / (1 << 20) as f64,
            held / 1024 / SHOPS as u64
        ));
        Ok(())
    }

    async fn upload(&self, component: Vec<u8>) -> Outcome<PluginDigest> {
        let upload = Upload {
            owner: None,
            by: "bench".into(),
            component: Bytes::from(component),
            signature: None,
            granted: Capability::ALL.into(),
        };
        Ok(self.sandbox.add(upload).await?.version.digest)
    }

    async fn activate(&self, tenant: Option<&TenantId>, wanted: Wanted) -> Outcome<()> {
        let step = Step::Activate(wanted);
        let (tenant, slot) = (tenant.cloned(), Slot::Rank);
        let order = Order { tenant, slot, step, reason: String::new(), by: "bench".into() };
        self.sandbox.order(&order).await?;
        Ok(())
    }
}

/// The component as another version: its manifest has another title, so it has another digest.
fn version(component: &[u8], number: usize) -> Outcome<Vec<u8>> {
    let mut manifest = manifest::read(component)?;
    manifest.title = Some(format!("number {number}"));
    Ok(manifest::embed(component, &toml::to_string(&manifest)?)?)
}

/// Bytes of memory that this process holds, as the kernel counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * 1024
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
