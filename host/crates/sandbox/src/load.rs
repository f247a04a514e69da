//! From a file to a plugin that can be called: what it is, what it asks for, compiled, linked and tried out once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use crate::{
    bindings::{ingest::IngestPre, rank::RankPre, search::SearchPre},
    cache::Cache,
    compile,
    config::SandboxConfig,
    host,
    limits::{Kind, Limits},
    manifest::{self, Manifest},
    plugin::{Entry, Identity, Plugin},
    runner::Runner,
    section::check_component,
    state::GuestState,
};

/// Why there is no sandbox at all.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine cannot be built; the text says which of its settings is at fault.
    #[error("wasm engine cannot be built: {0}")]
    Engine(String),
    /// A folder cannot be used.
    #[error("{path} cannot be used")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread that interrupts guests cannot be started.
    #[error("ticker thread cannot be started")]
    Ticker(#[source] io::Error),
}

/// Whether a plugin can be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum PluginState {
    /// It can.
    Ready,
    /// It cannot, and why.
    Refused(String),
}

/// What became of one file of the plugin folder.
#[derive(Debug, Clone, Serialize)]
pub struct PluginStatus {
    /// Its name inside the folder.
    pub file: String,
    /// What it says of itself, if that could be read.
    pub manifest: Option<Manifest>,
    /// SHA-256 of the file, lower-case hex, if it could be read.
    pub digest: Option<String>,
    /// Whether it can be called.
    #[serde(flatten)]
    pub state: PluginState,
    /// Milliseconds from its bytes to machine code.
    pub compile_ms: u64,
    /// Whether the machine code came from the cache.
    pub cached: bool,
}

/// Loads files one by one.
pub(crate) struct Loader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) config: &'a SandboxConfig,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) runner: &'a Runner,
}

/// The plugin files of a folder, sorted by name.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Loader<'_> {
    /// Loads one file. A file that is no good is reported, not an error.
    pub(crate) async fn load(&self, path: &Path) -> (PluginStatus, Option<Plugin>) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let state = PluginState::Ready;
        let mut status =
            PluginStatus { file, manifest: None, digest: None, state, compile_ms: 0, cached: false };
        match self.plugin(path, &mut status).await {
            Ok(plugin) => (status, Some(plugin)),
            Err(reason) => {
                status.state = PluginState::Refused(reason);
                (status, None)
            }
        }
    }

    async fn plugin(&self, path: &Path, status: &mut PluginStatus) -> Result<Plugin, String> {
        let bytes = read(path, self.config.max_component_bytes)?;
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        status.digest = Some(digest.clone());
        check_component(&bytes).map_err(|error| error.to_string())?;
        let manifest = manifest::read(&bytes).map_err(|error| error.to_string())?;
        status.manifest = Some(manifest.clone());
        let began = Instant::now();
        let (component, cached) = self.compile(bytes, &digest).await?;
        status.compile_ms = began.elapsed().as_millis() as u64;
        status.cached = cached;
        let plugin = Plugin {
            limits: Limits::of(manifest.kind).granted(&manifest.limits, &self.config.maximum),
            settings: self
                .config
                .settings
                .get(&manifest.name)
                .map_or_else(|| "{}".into(), ToString::to_string),
            entry: link(self.engine, &component, manifest.kind)?,
            identity: Arc::new(Identity { manifest, digest }),
            metrics: OnceLock::new(),
        };
        self.try_out(&plugin).await?;
        Ok(plugin)
    }

    /// Machine code from the cache, or compiled off the async threads and then kept.
    async fn compile(&self, bytes: Vec<u8>, digest: &str) -> Result<(Component, bool), String> {
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), digest.to_owned());
        let Some(cache) = cache else {
            let compiled = compile::component(self.config.compiler.as_ref(), &engine, bytes).await?;
            return Ok((compiled, false));
        };
        let kept = {
            let (engine, cache, digest) = (engine.clone(), cache.clone(), digest.clone());
            compile::blocking(move || Ok(cache.load(&engine, &digest))).await?
        };
        if let Some(component) = kept {
            return Ok((component, true));
        }
        let component = compile::component(self.config.compiler.as_ref(), &engine, bytes).await?;
        let keep = move || {
            if let Err(error) = cache.store(&engine, &digest, &component) {
                tracing::warn!(plugin.digest = %digest, %error, "a compiled plugin cannot be kept in the cache");
            }
            Ok((component, false))
        };
        compile::blocking(keep).await
    }

    async fn try_out(&self, plugin: &Plugin) -> Result<(), String> {
        let mut visit = self.runner.enter(plugin, None).await.map_err(|fault| fault.to_string())?;
        let tried = visit.try_out(&plugin.entry).await;
        visit.dismiss();
        tried.map_err(|fault| format!("trial instance {fault}"))
    }
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > max_bytes {
        return Err(format!("is {size} bytes; the limit is {max_bytes}"));
    }
    fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// Links a component to the world of its kind: every import must be offered, every export be there.
fn link(engine: &Engine, component: &Component, kind: Kind) -> Result<Entry, String> {
    check_imports(engine, component, kind)?;
    let mut linker = Linker::new(engine);
    let linked = match kind {
        Kind::Rank => host::link_rank(&mut linker),
        Kind::Search | Kind::Ingest => host::link_all(&mut linker),
    };
    linked.map_err(|error| format!("host interfaces cannot be linked: {error:#}"))?;
    let pre = linker.instantiate_pre(component).map_err(|error| format!("imports do not fit: {error:#}"))?;
    let entry = match kind {
        Kind::Search => SearchPre::<GuestState>::new(pre).map(Entry::Search),
        Kind::Ingest => IngestPre::<GuestState>::new(pre).map(Entry::Ingest),
        Kind::Rank => RankPre::<GuestState>::new(pre).map(Entry::Rank),
    };
    entry.map_err(|error| format!("exports do not fit the world {kind} of taja:plugin@0.1: {error:#}"))
}

/// Says by name what a component imports that its kind does not get.
fn check_imports(engine: &Engine, component: &Component, kind: Kind) -> Result<(), String> {
    const WASI: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];
    let offered = |name: &str| match kind {
        _ if name.starts_with("taja:host/log@") => true,
        Kind::Search | Kind::Ingest if name.starts_with("taja:host/") => true,
        _ => WASI.iter().any(|allowed| name.starts_with(allowed)),
    };
    let ty = component.component_type();
    let foreign: Vec<_> = ty.imports(engine).map(|(name, _)| name).filter(|name| !offered(name)).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(format!("imports {}, which a {kind} plugin does not get", foreign.join(", ")))
}
