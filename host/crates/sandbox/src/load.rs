//! From the bytes of a component to a plugin that can be called: read, compiled, linked and tried out once.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use taja_catalog::policy::PolicyFault;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use crate::{
    binary::Binary,
    bindings::{ingest::IngestPre, search::SearchPre},
    cache::Cache,
    compile::{self, Compiler},
    contract::{self, Package},
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
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) compiler: Option<Compiler>,
}

/// What a plugin gets of what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    /// These capabilities.
    pub(crate) granted: BTreeSet<Capability>,
    /// The most of every limit.
    pub(crate) maximum: Limits,
}

/// A component that was read, with what it says of itself.
pub(crate) struct Read {
    pub(crate) manifest: Manifest,
    binary: Binary,
}

/// Reads a component off the threads that serve requests, as [`read`] does.
pub(crate) async fn open(binary: Binary) -> Result<Read, Refused> {
    compile::blocking(move || Ok(read(binary))).await.map_err(Refused::at("format"))?
}

/// Reads a component as far as that takes no compiler.
pub(crate) fn read(binary: Binary) -> Result<Read, Refused> {
    let bytes = binary.bytes();
    check_component(bytes).map_err(|error| Refused::at("format")(error.to_string()))?;
    let manifest = manifest::read(bytes).map_err(|error| {
        let stage = if matches!(error, manifest::ManifestError::Binary(_)) { "format" } else { "manifest" };
        Refused::at(stage)(error.to_string())
    })?;
    Ok(Read { manifest, binary })
}

impl Loader {
    /// Compiles, links and tries out. When the capabilities that it is granted must be all that it imports, whatever is
    /// missing is named.
    pub(crate) async fn load(
        &self,
        runner: &Runner,
        read: Read,
        terms: &Terms,
        must_suffice: bool,
    ) -> Result<Loaded, Refused> {
        let began = Instant::now();
        let Read { manifest, binary } = read;
        let digest = binary.digest();
        let (component, cached) = self.compile(binary).await.map_err(Refused::at("compile"))?;
        let compiled_in = began.elapsed();
        imports::check_offered(&self.engine, &component, manifest.kind).map_err(Refused::at("imports"))?;
        let granted: BTreeSet<_> =
            manifest.capabilities.iter().filter(|asked| terms.granted.contains(asked)).copied().collect();
        if must_suffice {
            let needed = imports::needed(&self.engine, &component);
            check_granted(&manifest, &needed, &granted).map_err(Refused::at("grants"))?;
        }
        let plugin = Arc::new(Plugin {
            limits: Limits::of(manifest.kind).asked(&manifest.limits).within(&terms.maximum),
            entry: link(&self.engine, &component, manifest.kind)?,
            identity: Arc::new(Identity::new(manifest, digest, granted)),
        });
        try_out(runner, &plugin).await?;
        Ok(Loaded { plugin, compiled_in, cached })
    }

    /// Machine code from the cache, or compiled off the async threads and then kept.
    async fn compile(&self, binary: Binary) -> Result<(Component, bool), String> {
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), binary.digest().to_string());
        let compiled = compile::component(self.compiler.as_ref(), &engine, binary.bytes().clone());
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

async fn try_out(runner: &Runner, plugin: &Arc<Plugin>) -> Result<(), Refused> {
    let tried = runner.try_out(plugin).await;
    let change = match tried {
        Ok(()) => return Ok(()),
        Err(PolicyFault::Guest(mismatch)) => {
            let exports = format!("exports the world {}", plugin.kind());
            return Err(Refused::at("world")(rebuild(&exports, contract::package(plugin.kind()), &mismatch)));
        }
        Err(PolicyFault::Timeout { what, .. }) => {
            format!("do less when it starts, or ask for more with {what}_ms under [limits] of plugin.toml")
        }
        Err(PolicyFault::Host(_) | PolicyFault::Busy(_)) => "try again later, or tell the operator".into(),
        Err(_) => "let it start without a request, and within its limits".into(),
    };
    tried.map_err(|fault| Refused::at("trial")(format!("a trial instance {fault}: {change}")))
}

/// What is not as it must be, and what to do about it.
fn rebuild(what: &str, package: &Package, error: &str) -> String {
    let told = package.told();
    format!("{what} not as {told} has it: {error}: build it against the wit/ of this host, unchanged")
}

/// Links a component to the world of its kind: every import must be offered, every export be there.
fn link(engine: &Engine, component: &Component, kind: Kind) -> Result<Entry, Refused> {
    let at_world = Refused::at("world");
    let mut linker = Linker::new(engine);
    let linked = match kind {
        Kind::Rank => host::link_rank(&mut linker),
        Kind::Search | Kind::Ingest => host::link_all(&mut linker),
    };
    linked.map_err(|error| {
        at_world(format!("host interfaces cannot be linked: {error:#}: tell the operator"))
    })?;
    let pre = linker.instantiate_pre(component);
    let pre = pre.map_err(|error| {
        Refused::at("imports")(rebuild("imports something", &contract::HOST, &format!("{error:#}")))
    })?;
    contract::check_world(engine, component, kind).map_err(&at_world)?;
    let entry = match kind {
        Kind::Search => SearchPre::<GuestState>::new(pre).map(Entry::Search),
        Kind::Ingest => IngestPre::<GuestState>::new(pre).map(Entry::Ingest),
        Kind::Rank => Ranker::link(pre).map(Entry::Rank),
    };
    entry.map_err(|error| {
        at_world(rebuild(
            &format!("exports the world {kind}"),
            contract::package(kind),
            &format!("{error:#}"),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_not_read_by_the_thread_that_asks() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
        runtime.expect("a runtime is built").block_on(async {
            // Whoever reads has to wait for the only thread that may block.
            let (free, held) = std::sync::mpsc::channel::<()>();
            let holding = tokio::task::spawn_blocking(move || held.recv());
            let mut opened = std::pin::pin!(open(Binary::from(vec![0; 1 << 20])));
            assert!(futures::poll!(&mut opened).is_pending());
            drop(free);
            assert!(holding.await.is_ok_and(|ended| ended.is_err()));
            assert_eq!(opened.await.err().map(|refused| refused.stage), Some("format"));
        });
    }
}
