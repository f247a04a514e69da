//! `taja plugin dev`: a package at work while it is written. What changes is built, brought to the service the way
//! every version goes, and its effect on a search is shown; at the end the service is as it was.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use comfy_table::{Cell, CellAlignment, Table, presets::NOTHING};
use notify::{RecursiveMode, Watcher};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{
    build::{Built, Types, build, check_types},
    package::{Language, Package},
};
use crate::cli::{
    client::{At, Client},
    plugin::{files, life},
    search::{QueryArgs, found},
    write_out,
};

/// Folders of a package that hold nothing of its author's.
const MADE: [&str; 6] = ["build", "target", "node_modules", ".taja", ".git", "__pycache__"];
/// How long nothing may change before a build begins: editors write in several steps.
const STILL: Duration = Duration::from_millis(60);
/// What history says of versions that were activated here.
const REASON: &str = "taja plugin dev";

/// What to watch, and what to show.
#[derive(Args)]
pub struct Dev {
    /// The package
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    query: QueryArgs,
    /// Settings of the plugin, or @ and a file that holds them [default: those that it has in its slot]
    #[arg(long = "settings", value_name = "JSON", value_parser = life::settings)]
    plugin_settings: Option<Value>,
    /// Cargo's profile, for a package in Rust
    #[arg(long, default_value = "release")]
    profile: String,
    /// Leave the last version serving at the end
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    at: At,
}

/// One stretch of work on a package.
struct Work<'a> {
    client: &'a Client,
    package: Package,
    query: QueryArgs,
    settings: Option<Value>,
    profile: String,
    tenant: Option<String>,
    /// What filled the slot before; none until the first version was brought.
    before: Option<Value>,
    /// Every digest that was brought.
    brought: Vec<String>,
    /// The products of the last search, best first.
    order: Vec<String>,
}

impl Dev {
    pub async fn run(mut self) -> anyhow::Result<()> {
        let package = Package::open(&self.folder)?;
        let tenant = self.at.take_tenant();
        // Heard from the beginning, also while something is built: the end must find the service as it was.
        let mut end = signal(SignalKind::interrupt())?;
        let (changed, mut changes) = mpsc::unbounded_channel();
        let _watcher = watch(&package.folder, changed)?;
        self.at
            .with(async |client| {
                let mut work = Work {
                    client: &client.acting_for(tenant.clone()),
                    package,
                    query: self.query,
                    settings: self.plugin_settings,
                    profile: self.profile,
                    tenant,
                    before: None,
                    brought: Vec::new(),
                    order: Vec::new(),
                };
                work.begin().await?;
                work.swap(Instant::now()).await;
                while let Some(at) = next_change(&mut changes, &mut end).await {
                    work.swap(at).await;
                }
                if self.keep { Ok(()) } else { work.restore().await }
            })
            .await
    }
}

/// When the author changed something; none when they ended it.
async fn next_change(changes: &mut mpsc::UnboundedReceiver<Instant>, end: &mut Signal) -> Option<Instant> {
    let first = tokio::select! {
        change = changes.recv() => change?,
        _ = end.recv() => return None,
    };
    while let Ok(Some(_)) = tokio::time::timeout(STILL, changes.recv()).await {}
    Some(first)
}

fn watch(folder: &Path, changed: mpsc::UnboundedSender<Instant>) -> anyhow::Result<impl Watcher + use<>> {
    let root = folder.to_owned();
    let own = move |path: &Path| {
        let inside = path.strip_prefix(&root).unwrap_or(path);
        !inside.components().any(|part| MADE.iter().any(|made| part.as_os_str() == *made))
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if !event.kind.is_access() && event.paths.iter().any(|path| own(path)) {
            // Nobody listens any more when it is over.
            let _ = changed.send(Instant::now());
        }
    })?;
    watcher
        .watch(folder, RecursiveMode::Recursive)
        .with_context(|| format!("cannot watch {}", folder.display()))?;
    Ok(watcher)
}

impl Work<'_> {
    /// The search as it is without this package.
    async fn begin(&mut self) -> anyhow::Result<()> {
        if self.query.is_empty() {
            eprintln!("give --text, --image or --part to see what changes do to a search");
        } else {
            self.show().await?;
        }
        Ok(())
    }

    /// Builds, lets it serve and shows the effect; what goes wrong is told, and what served before goes on serving.
    async fn swap(&mut self, changed_at: Instant) {
        if let Err(error) = self.try_swap(changed_at).await {
            eprintln!("{error:#}");
        }
    }

    async fn try_swap(&mut self, changed_at: Instant) -> anyhow::Result<()> {
        // The manifest may have changed.
        self.package = Package::open(&self.package.folder)?;
        let built = build(&self.package, &self.profile, Types::Left).await?;
        let brought = Instant::now();
        let digest = self.bring(&built).await?;
        write_out(&format!(
            "live after {:.2} s (build {:.2} s, admission and swap {:.2} s): {} {}",
            changed_at.elapsed().as_secs_f64(),
            built.took.as_secs_f64(),
            brought.elapsed().as_secs_f64(),
            self.package.manifest.name,
            digest.get(..12).unwrap_or(&digest),
        ))?;
        if !self.query.is_empty() {
            self.show().await?;
        }
        if self.package.language == Language::TypeScript {
            check_types(&self.package).await?;
        }
        Ok(())
    }

    /// Uploads and activates; the digest.
    async fn bring(&mut self, built: &Built) -> anyhow::Result<String> {
        let component = files::read(&built.component)?;
        let query = [("tenant", self.tenant.clone())];
        let version = self.client.upload("/plugins", &query, component, None).await?;
        let digest = version["digest"].as_str().context("the service named no digest")?.to_owned();
        let route = format!("/plugins/{}", self.package.manifest.name);
        if self.before.is_none() {
            let plugin = self.client.call(Method::GET, &route, &query, None).await?;
            self.before = Some(plugin["activation"].clone());
        }
        let body =
            json!({ "digest": digest, "tenant": self.tenant, "settings": self.settings, "reason": REASON });
        self.client.call(Method::POST, &format!("{route}/activate"), &[], Some(&body)).await?;
        if !self.brought.contains(&digest) {
            self.brought.push(digest.clone());
        }
        Ok(digest)
    }

    /// Searches, and tells where each product stood before.
    async fn show(&mut self) -> anyhow::Result<()> {
        let form = self.query.form().await?.text("explain", "true");
        let result = found(self.client, form).await?;
        let matches = result["matches"].as_array().map(Vec::as_slice).unwrap_or_default();
        let before: HashMap<String, usize> =
            (1..).zip(std::mem::take(&mut self.order)).map(|(place, id)| (id, place)).collect();
        let id = |found: &Value| found["product_id"].as_str().unwrap_or_default().to_owned();
        self.order = matches.iter().map(id).collect();
        write_out(&table(matches, &before))?;
        for degraded in result["degraded"].as_array().into_iter().flatten() {
            write_out(&format!("degraded: {degraded}"))?;
        }
        Ok(())
    }

    /// Puts back what filled the slot before, and takes away the versions that were brought.
    async fn restore(&self) -> anyhow::Result<()> {
        let Some(before) = &self.before else { return Ok(()) };
        let name = &self.package.manifest.name;
        let live = &before["live"];
        let own = !live.is_null() && before["inherited"] != true;
        let (route, mut body) = match (own, live["name"].as_str()) {
            (true, Some(earlier)) => (
                format!("/plugins/{earlier}/activate"),
                json!({ "digest": live["digest"], "settings": live["settings"] }),
            ),
            _ => (format!("/plugins/{name}/deactivate"), json!({})),
        };
        body["tenant"] = self.tenant.clone().into();
        body["reason"] = REASON.into();
        self.client.call(Method::POST, &route, &[], Some(&body)).await?;
        eprintln!("the service is as it was before");
        let query = [("tenant", self.tenant.clone())];
        for digest in self.brought.iter().filter(|digest| live["digest"] != **digest) {
            // The last few stay, to be gone back to.
            let route = format!("/plugins/{name}/versions/{digest}");
            let _ = self.client.call(Method::DELETE, &route, &query, None).await;
        }
        Ok(())
    }
}

fn table(matches: &[Value], before: &HashMap<String, usize>) -> String {
    if matches.is_empty() {
        return "nothing found".into();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["#", "was", "name", "price", "score", "notes"]);
    for (place, found) in (1..).zip(matches) {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        let was = match (before.get(text("product_id")), before.is_empty()) {
            (Some(was), _) if *was == place => "=".to_owned(),
            (Some(was), _) => was.to_string(),
            (None, true) => String::new(),
            (None, false) => "new".to_owned(),
        };
        let notes = found["explain"]["notes"].as_array().into_iter().flatten();
        let notes: Vec<_> = notes.filter_map(Value::as_str).collect();
        table.add_row([
            right(place.to_string()),
            right(was),
            Cell::new(text("name")),
            right(found["price"].to_string()),
            right(format!("{:.5}", found["score"].as_f64().unwrap_or_default())),
            Cell::new(notes.join("; ")),
        ]);
    }
    table.to_string()
}
