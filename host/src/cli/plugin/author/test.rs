//! `taja plugin test`: the cases of a package, in the sandbox that serves.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use serde_json::json;
use taja_media::Media;
use taja_sandbox::{CallStats, Player, Subject};

use super::{
    build::{Types, build},
    cases::{self, Verdict},
    package::Package,
};
use crate::{
    app,
    cli::{plugin::files, settings::Settings, write_out},
    config::Config,
};

/// What to test, and how to tell it.
#[derive(clap::Args)]
pub struct Test {
    /// The package
    #[arg(default_value = ".")]
    folder: std::path::PathBuf,
    /// Only cases whose file name holds this; may be given again
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Take what was built before
    #[arg(long)]
    no_build: bool,
    /// Cargo's profile, for a package in Rust
    #[arg(long, default_value = "release")]
    profile: String,
    /// Print one JSON object for each case
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Test {
    /// False when a case failed.
    pub async fn run(self) -> anyhow::Result<bool> {
        let package = Package::open(&self.folder)?;
        if !self.no_build {
            build(&package, &self.profile, Types::Checked).await?;
        }
        let config = self.settings.read()?;
        let bench = Workbench::open(&config, &package, true)?;
        let subject = bench.load(&package.component()).await?;
        if !self.json {
            write_out(&headline(&subject, &package.component())?)?;
        }
        let (mut passed, mut failed) = (0, 0);
        for file in cases::files(&package.cases(), &self.only)? {
            let ran = cases::run(&file, &bench.player, &subject, &bench.media).await;
            let verdict = ran.unwrap_or_else(|error| Verdict {
                about: String::new(),
                wrong: vec![format!("the case cannot be run: {error:#}")],
                shown: Vec::new(),
                stats: None,
            });
            if verdict.wrong.is_empty() {
                passed += 1;
            } else {
                failed += 1;
            }
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            write_out(&if self.json { as_json(&name, &verdict).to_string() } else { told(&name, &verdict) })?;
        }
        if !self.json {
            write_out(&format!("{passed} passed, {failed} failed"))?;
        }
        Ok(failed == 0)
    }
}

/// What components are tried with: the sandbox, and a decoder of pictures and videos.
pub struct Workbench {
    pub player: Player,
    pub media: Arc<Media>,
}

impl Workbench {
    /// Counts instructions when told to, which makes calls slower.
    pub fn open(config: &Config, package: &Package, count_fuel: bool) -> anyhow::Result<Self> {
        let media = app::media(config)?;
        let player = app::player(config, media.clone(), Some(package.compiled()), count_fuel)?;
        Ok(Self { player, media })
    }

    pub async fn load(&self, component: &Path) -> anyhow::Result<Subject> {
        let loaded = self.player.load(files::read(component)?.into()).await;
        loaded.map_err(|refused| anyhow::anyhow!("refused at the check `{}`: {refused}", refused.stage))
    }
}

fn headline(subject: &Subject, component: &Path) -> anyhow::Result<String> {
    let manifest = subject.manifest();
    let bytes = component.metadata().context("the component is gone")?.len();
    let limits = subject.limits();
    Ok(format!(
        "{} {} ({}, {} KiB, compiled in {} ms{}); may use {} ms of CPU time and {} MiB",
        manifest.name,
        manifest.version,
        manifest.kind,
        bytes.div_ceil(1024),
        subject.compiled_in.as_millis(),
        if subject.cached { ", from the cache" } else { "" },
        limits.cpu.as_millis(),
        limits.memory_bytes >> 20,
    ))
}

fn told(name: &str, verdict: &Verdict) -> String {
    let state = if verdict.wrong.is_empty() { "ok    " } else { "FAILED" };
    let mut lines = vec![format!("{state} {name}  {}", verdict.about).trim_end().to_owned()];
    lines.extend(verdict.stats.as_ref().map(used));
    lines.extend(verdict.shown.iter().cloned());
    lines.extend(verdict.wrong.iter().map(|wrong| format!("  wrong: {wrong}")));
    lines.join("\n")
}

/// What a call used, in a line.
fn used(stats: &CallStats) -> String {
    let fuel = stats.fuel.map_or_else(String::new, |fuel| format!("fuel {fuel}, "));
    format!(
        "     {fuel}CPU {:.2} ms, memory {} KiB, {} host calls",
        stats.cpu.as_secs_f64() * 1e3,
        stats.peak_memory_bytes.div_ceil(1024),
        stats.host_calls
    )
}

fn as_json(name: &str, verdict: &Verdict) -> serde_json::Value {
    let stats = verdict.stats.as_ref().map(|stats| {
        json!({
            "fuel": stats.fuel,
            "cpu_us": stats.cpu.as_micros() as u64,
            "peak_memory_bytes": stats.peak_memory_bytes,
            "host_calls": stats.host_calls,
        })
    });
    json!({
        "case": name,
        "about": verdict.about,
        "passed": verdict.wrong.is_empty(),
        "wrong": verdict.wrong,
        "shown": verdict.shown,
        "used": stats,
    })
}
