//! `taja plugin bench`: how long calls of components take, side by side.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use comfy_table::{Cell, CellAlignment, Table, presets::NOTHING};
use serde::Serialize;
use taja_catalog::{
    policy::{Candidates, LegInfo, Matches, Measure},
    recording::Input,
};
use taja_media::Media;
use taja_sandbox::{Kind, Manifest, Player, Subject};

use super::{
    cases::{self, Prepared},
    package::{Package, component_or_own},
};
use crate::{
    app,
    cli::{plugin::files, settings::Settings, write_out},
};

/// Calls before those that are timed: the first ones bring memory in.
const WARM_UP: usize = 20;
/// Products of the made-up candidates, each found by two legs.
const PRODUCTS: u32 = 100;

/// What to measure, and for how long.
#[derive(Args)]
pub struct Bench {
    /// The components; the one built of the package in this folder when none is named
    components: Vec<PathBuf>,
    /// A case that says what is asked [default: 100 products found by two legs, for a ranking; the package's first case]
    #[arg(long, value_name = "FILE")]
    case: Option<PathBuf>,
    /// Timed calls of each component, at most
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// Seconds for each component, at most
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Print one JSON object for each component
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// How a component did. Times are in microseconds.
#[derive(Debug, Serialize)]
struct Figures {
    name: String,
    version: String,
    component_bytes: u64,
    /// From the bytes to an instance that was tried out, nothing cached.
    admission_us: u64,
    calls: usize,
    failures: usize,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    max_us: u64,
    cpu_p50_us: u64,
    instantiation_p50_us: u64,
    peak_memory_bytes: usize,
    cpu_limit_us: u64,
    memory_limit_bytes: usize,
}

impl Bench {
    /// False when a call failed.
    pub async fn run(self) -> anyhow::Result<bool> {
        let components = match self.components.is_empty() {
            true => vec![component_or_own(None)?],
            false => self.components.clone(),
        };
        let config = self.settings.read()?;
        let media = app::media(&config)?;
        let player = app::player(&config, media.clone(), None, false)?;
        let mut rows = Vec::new();
        for component in &components {
            let row = self.measure(component, &player, &media).await;
            rows.push(row.with_context(|| component.display().to_string())?);
        }
        let failures: usize = rows.iter().map(|row| row.failures).sum();
        if self.json {
            rows.iter().try_for_each(|row| write_out(&serde_json::to_string(row)?))?;
        } else {
            write_out(&table(&rows))?;
        }
        Ok(failures == 0)
    }

    async fn measure(
        &self,
        component: &Path,
        player: &Player,
        media: &Arc<Media>,
    ) -> anyhow::Result<Figures> {
        let bytes = files::read(component)?;
        let component_bytes = bytes.len() as u64;
        let began = Instant::now();
        let subject = player.load(bytes.into()).await?;
        let admission = began.elapsed();
        let prepared = self.prepared(component, subject.manifest(), media).await?;
        for _ in 0..WARM_UP {
            prepared.ask(player, &subject, media).await?.0?;
        }
        let mut calls = Calls::default();
        let until = Instant::now() + Duration::from_secs(self.seconds);
        while calls.total.len() < self.calls && Instant::now() < until {
            let (answer, stats) = prepared.ask(player, &subject, media).await?;
            calls.failures += usize::from(answer.is_err());
            let stats = stats.context("the call found no place to run in")?;
            calls.total.push(stats.total);
            calls.cpu.push(stats.cpu);
            calls.instantiation.push(stats.instantiation);
            calls.peak_memory = calls.peak_memory.max(stats.peak_memory_bytes);
        }
        Ok(calls.figures(&subject, component_bytes, admission))
    }

    /// What is asked: the case that is named, made-up candidates for a ranking, or the package's first case.
    async fn prepared(
        &self,
        component: &Path,
        manifest: &Manifest,
        media: &Arc<Media>,
    ) -> anyhow::Result<Prepared> {
        let case = match (&self.case, manifest.kind) {
            (Some(case), _) => case.clone(),
            (None, Kind::Rank) => return Ok(Prepared::of(Input::Rank(candidates(manifest)))),
            (None, _) => {
                // build/NAME.wasm of a package
                let folder =
                    component.parent().and_then(Path::parent).filter(|folder| Package::open(folder).is_ok());
                let Some(folder) = folder else {
                    bail!("name a case with --case: it says what a {} plugin is asked", manifest.kind);
                };
                cases::files(&folder.join("tests"), &[])?.swap_remove(0)
            }
        };
        let text = std::fs::read(&case).with_context(|| format!("cannot read {}", case.display()))?;
        Prepared::read(&text, &case, manifest, media).await
    }
}

#[derive(Default)]
struct Calls {
    total: Vec<Duration>,
    cpu: Vec<Duration>,
    instantiation: Vec<Duration>,
    peak_memory: usize,
    failures: usize,
}

impl Calls {
    fn figures(mut self, subject: &Subject, component_bytes: u64, admission: Duration) -> Figures {
        let manifest = subject.manifest();
        let micros = |time: Duration| time.as_micros() as u64;
        Figures {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            component_bytes,
            admission_us: micros(admission),
            calls: self.total.len(),
            failures: self.failures,
            cpu_p50_us: micros(share(&mut self.cpu, 50)),
            instantiation_p50_us: micros(share(&mut self.instantiation, 50)),
            p50_us: micros(share(&mut self.total, 50)),
            p90_us: micros(share(&mut self.total, 90)),
            p99_us: micros(share(&mut self.total, 99)),
            max_us: micros(share(&mut self.total, 100)),
            peak_memory_bytes: self.peak_memory,
            cpu_limit_us: micros(subject.limits().cpu),
            memory_limit_bytes: subject.limits().memory_bytes,
        }
    }
}

/// The time that so many percent of the calls stay within.
fn share(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// Candidates of two legs that find the same products in other orders, with every column that is asked for.
fn candidates(manifest: &Manifest) -> Candidates {
    let leg =
        |name: &str, measure| LegInfo { name: name.into(), modality: "text".into(), measure, weight: 0.5 };
    let rows = 0..2 * PRODUCTS;
    // 37 and 100 have no common factor: every product once.
    let product = |row: u32| if row < PRODUCTS { row } else { row * 37 % PRODUCTS };
    let numbers = manifest
        .columns
        .numbers
        .iter()
        .map(|name| (name.clone(), (0..PRODUCTS).map(|product| f64::from(product * 13 % 29)).collect()));
    let texts = manifest.columns.texts.iter().map(|name| {
        (name.clone(), (0..PRODUCTS).map(|product| Some(format!("{name} {}", product % 7))).collect())
    });
    Candidates {
        legs: vec![leg("text-vector", Measure::Cosine), leg("text-keyword", Measure::Relevance)],
        product_count: PRODUCTS,
        matches: Matches {
            legs: rows.clone().map(|row| row / PRODUCTS).collect(),
            products: rows.clone().map(product).collect(),
            images: rows.clone().map(|row| if row < PRODUCTS { row } else { u32::MAX }).collect(),
            scores: rows.map(|row| 1.0 - (row % PRODUCTS) as f32 / 200.0).collect(),
        },
        numbers: numbers.collect(),
        texts: texts.collect(),
        limit: taja_catalog::search::RESULT_SET,
        day: cases::DAY,
    }
}

fn table(rows: &[Figures]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header([
        "plugin",
        "component KiB",
        "admission ms",
        "calls",
        "failed",
        "p50 us",
        "p90 us",
        "p99 us",
        "max us",
        "CPU p50 us",
        "instance p50 us",
        "memory KiB",
        "of MiB",
        "CPU limit ms",
    ]);
    for row in rows {
        let numbers = [
            row.component_bytes.div_ceil(1024),
            row.admission_us / 1000,
            row.calls as u64,
            row.failures as u64,
            row.p50_us,
            row.p90_us,
            row.p99_us,
            row.max_us,
            row.cpu_p50_us,
            row.instantiation_p50_us,
            row.peak_memory_bytes.div_ceil(1024) as u64,
            (row.memory_limit_bytes >> 20) as u64,
            row.cpu_limit_us / 1000,
        ];
        let cells = numbers.map(|number| Cell::new(number).set_alignment(CellAlignment::Right));
        table.add_row([Cell::new(format!("{} {}", row.name, row.version))].into_iter().chain(cells));
    }
    table.to_string()
}
