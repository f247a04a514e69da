//! From the bytes of a component to a plugin that can be called: read, compiled, linked and tried out once.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Serialize;
use taja_catalog::PluginDigest;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use crate::{
    bindings::{ingest::IngestPre, search::SearchPre},
    cache::Cache,
    compile::{self, Compiler},
    host, imports,
    limits::{Kind, Limits},
    manifest::{self, Capability, Manifest},
    plugin::{Entry, Identity, Plugin},
    ranker::Ranker,
    runner::Runner,
    section::check_component,
    state::GuestState,
};

/// Why a component is not taken: what is wrong, and where that was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// The check that failed: `size`, `format`, `manifest`, `signature`, `compile`, `imports`, `grants`, `world`, `trial`
    /// or `goldens`.
    pub stage: &'static str,
    /// What is wrong, and what to change.
    pub reason: String,
}

impl Refused {
    /// Gives what went wrong the name of the check.
    pub(crate) fn at(stage: &'static str) -> impl Fn(String) -> Self {
        move |reason| Self { stage, reason }
    }
}

/// A plugin, and what it took to get it.
pub(crate) struct Loaded {
    pub(crate) plugin: Arc<Plugin>,
    /// From its bytes to machine code.
    pub(crate) compiled_in: Duration,
    /// Whether the machine code came from the cache.
    pub(crate) cached: bool,
}

/// Turns components into plugins.
pub(crate) struct Loader {
    pub(crate) engine: Engine,
    pub(crate) maximum: Limits,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) compiler: Option<Compiler>,
}

/// A component that was read, with what it says of itself.
pub(crate) struct Read {
    pub(crate) digest: PluginDigest,
    pub(crate) manifest: Manifest,
    bytes: Bytes,
}

/// Reads a component as far as that takes no compiler.
pub(crate) fn read(bytes: Bytes) -> Result<Read, Refused> {
    check_component(&bytes).map_err(|error| Refused::at("format")(error.to_string()))?;
    let manifest = manifest::read(&bytes).map_err(|error| {
        let stage = if matches!(error, manifest::ManifestError::Binary(_)) { "format" } else { "manifest" };
        Refused::at(stage)(error.to_string())
    })?;
    Ok(Read { digest: PluginDigest::of(&bytes), manifest, bytes })
}

impl Loader {
    /// Compiles, links and tries out. Of what the manifest asks for, the plugin gets what is in `granted`; when that must
    /// be all that it imports, whatever is missing is named.
    pub(crate) async fn load(
        &self,
        runner: &Runner,
        read: Read,
        granted: &BTreeSet<Capability>,
        must_suffice: bool,
    ) -> Result<Loaded, Refused> {
        let began = Instant::now();
        let Read { digest, manifest, bytes } = read;
        let (component, cached) = self.compile(bytes, digest).await.map_err(Refused::at("compile"))?;
        let compiled_in = began.elapsed();
        imports::check_offered(&self.engine, &component, manifest.kind).map_err(Refused::at("imports"))?;
        let granted: BTreeSet<_> =
            manifest.capabilities.iter().filter(|asked| granted.contains(asked)).copied().collect();
        if must_suffice {
            let needed = imports::needed(&self.engine, &component);
            check_granted(&manifest, &needed, &granted).map_err(Refused::at("grants"))?;
        }
        let plugin = Plugin {
            limits: Limits::of(manifest.kind).granted(&manifest.limits, &self.maximum),
            entry: link(&self.engine, &component, manifest.kind).map_err(Refused::at("world"))?,
            identity: Arc::new(Identity { manifest, digest, granted }),
        };
        try_out(runner, &plugin).await.map_err(Refused::at("trial"))?;
        Ok(Loaded { plugin: Arc::new(plugin), compiled_in, cached })
    }

    /// Machine code from the cache, or compiled off the async threads and then kept.
    async fn compile(&self, bytes: Bytes, digest: PluginDigest) -> Result<(Component, bool), String> {
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), digest.to_string());
        let compiled = compile::component(self.compiler.as_ref(), &engine, bytes);
        let Some(cache) = cache else { return Ok((compiled.await?, false)) };
        let kept = {
            let (engine, cache, digest) = (engine.clone(), cache.clone(), digest.clone());
            compile::blocking(move || Ok(cache.load(&engine, &digest))).await?
        };
        if let Some(component) = kept {
            return Ok((component, true));
        }
        let component = compiled.await?;
        let keep = move || {
            if let Err(error) = cache.store(&engine, &digest, &component) {
                tracing::warn!(plugin.digest = %digest, %error, "a compiled plugin cannot be kept in the cache");
            }
            Ok((component, false))
        };
        compile::blocking(keep).await
    }
}

/// Says for every capability that is missing who has to change what.
fn check_granted(
    manifest: &Manifest,
    needed: &BTreeSet<Capability>,
    granted: &BTreeSet<Capability>,
) -> Result<(), String> {
    let missing = |capability: &Capability| {
        if manifest.capabilities.contains(capability) {
            format!(
                "the operator does not grant \"{capability}\" to plugins of this shop: ask them to upload it, or use nothing of taja:host/{capability}"
            )
        } else {
            format!(
                "imports functions of taja:host/{capability}: add \"{capability}\" to the line `capabilities = [..]` of plugin.toml"
            )
        }
    };
    let missing: Vec<_> = needed.difference(granted).map(missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) }
}

async fn try_out(runner: &Runner, plugin: &Plugin) -> Result<(), String> {
    let mut visit = runner.enter(plugin, None, None, None).await.map_err(|fault| fault.to_string())?;
    visit.try_out(&plugin.entry).await.map_err(|fault| format!("trial instance {fault}"))
}

/// Links a component to the world of its kind: every import must be offered, every export be there.
fn link(engine: &Engine, component: &Component, kind: Kind) -> Result<Entry, String> {
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
        Kind::Rank => Ranker::link(pre).map(Entry::Rank),
    };
    entry.map_err(|error| format!("exports do not fit the world {kind} of taja:plugin@0.1: {error:#}"))
}
