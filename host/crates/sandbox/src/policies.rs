//! The sandbox as the rest of the host sees it: whose policies serve whom, and how they are changed.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::RwLock;
use serde::Deserialize;
use taja_catalog::{
    PortResult, TenantId,
    plugins::{Activation, Choice, Part, PluginStore, Slot, Statistic, Version},
    policy::{Chosen, Lineup, Pins, Policies},
    port::VideoDecoder,
};
use tokio::sync::watch;

use crate::{
    admission::{self, AddError, Added, Upload},
    cache::Cache,
    config::SandboxConfig,
    engine,
    folder::{self, PluginStatus},
    house::House,
    life::{Order, OrderError, Wanted},
    limits::{Allowance, Kind},
    load::{Loader, Terms},
    manifest::{Capability, Manifest},
    roster::Place,
    runner::Runner,
    state::Ports,
    team::Team,
};

/// How long a job waits for choices that this process does not know yet to be loaded.
const PATIENCE: Duration = Duration::from_secs(5);

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
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
    /// What is active cannot be read.
    #[error("plugin store")]
    Store(#[from] taja_catalog::PortError),
}

/// The policies of every shop, and the engine they run on.
pub struct Sandbox {
    house: Arc<House>,
    report: RwLock<Vec<PluginStatus>>,
}

impl Sandbox {
    /// Takes in the plugin folder and loads what is active. A file that is no good is told in the report, not an error.
    pub async fn open(
        config: SandboxConfig,
        store: Arc<dyn PluginStore>,
        video: Arc<dyn VideoDecoder>,
    ) -> Result<Self, SandboxError> {
        let (loader, runner) = machinery(&config, video)?;
        let plugins = config.plugins.clone();
        let house = Arc::new(House::new(config, loader, runner, store));
        house.refresh().await?;
        house.roster.settled(|_| true).await;
        let report = house.take_in_folder().await.map_err(unusable(&plugins))?;
        Ok(Self { house, report: RwLock::new(report) })
    }

    /// What would become of each of these files, or of each of the plugin folder when none is named. Nothing is kept and
    /// nothing serves.
    pub async fn check(
        config: SandboxConfig,
        files: Vec<PathBuf>,
        video: Arc<dyn VideoDecoder>,
    ) -> Result<Vec<PluginStatus>, SandboxError> {
        let (loader, runner) = machinery(&config, video)?;
        let files = match files.is_empty() {
            true => folder::components(&config.plugins).map_err(unusable(&config.plugins))?,
            false => files,
        };
        let terms = Terms { granted: Capability::ALL.into(), maximum: config.maximum };
        let mut report = Vec::new();
        for (mut status, file) in folder::survey(&files, &config) {
            if let Some(file) = file {
                let signed = config.trusted.verify(&file.component.digest(), file.signature.as_ref());
                let checked = match signed {
                    Ok(_) => admission::check(&loader, &runner, file.component, &terms)
                        .await
                        .map_err(|refused| refused.reason),
                    Err(reason) => Err(reason),
                };
                match checked {
                    Ok(loaded) => status.compile_ms = loaded.compiled_in.as_millis() as u64,
                    Err(reason) => status.refuse(reason),
                }
            }
            report.push(status);
        }
        Ok(report)
    }

    /// What became of each file of the plugin folder, sorted by name.
    pub fn report(&self) -> Vec<PluginStatus> {
        self.report.read().clone()
    }

    /// Takes in what the plugin folder holds by now.
    pub async fn take_in_folder(&self) -> io::Result<()> {
        let report = self.house.take_in_folder().await?;
        *self.report.write() = report;
        Ok(())
    }

    /// Begins to follow what others changed in the store, tries again what failed, and clears away what is over. What takes
    /// long to load serves when it is ready; nobody waits for it.
    pub async fn refresh(&self) -> PortResult<()> {
        self.house.refresh().await
    }

    /// The revision of the last change that this process made, and every later one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.house.changed.subscribe()
    }

    /// Waits until what was begun in the background has ended: loading, comparing, withdrawing.
    pub async fn settled(&self) {
        self.house.tasks.settled().await;
    }

    /// Why the choices of some slots cannot be loaded here; those slots are as they were.
    pub fn troubles(&self) -> Vec<(Option<TenantId>, Slot, String)> {
        let troubles = self.house.roster.troubles().into_iter();
        troubles.map(|((tenant, slot), reason)| (tenant, slot, reason)).collect()
    }

    /// The kinds of plugin that requests of a shop need and that are not active.
    pub fn missing(&self, tenant: &TenantId) -> Vec<&'static str> {
        let generation = self.house.generation();
        let seating = generation.seating(tenant);
        let absent = [
            (seating.modalities().next().is_none(), Kind::Search),
            (seating.seat(&Slot::Ingest).is_none(), Kind::Ingest),
            (seating.seat(&Slot::Rank).is_none(), Kind::Rank),
        ];
        absent.into_iter().filter(|(absent, _)| *absent).map(|(_, kind)| kind.name()).collect()
    }

    /// Checks a component and keeps it. Nothing serves differently after that.
    pub async fn add(&self, upload: Upload) -> Result<Added, AddError> {
        self.house.add(upload).await
    }

    /// Takes one step in the life of a version. From then on new jobs here are served so; others follow.
    pub async fn order(&self, order: &Order) -> Result<Activation, OrderError> {
        self.house.order(order).await
    }

    /// Checks what one search of a shop wants to try out as if it were to serve. The choices, and the modalities that the
    /// search may then have.
    pub async fn choose(
        &self,
        tenant: &TenantId,
        wanted: &[Wanted],
    ) -> Result<(Chosen, HashSet<String>), OrderError> {
        self.house.choose(tenant, wanted).await
    }

    /// What a call of a version may use up here; none when its manifest cannot be read any more.
    pub fn allowance(&self, version: &Version) -> Option<Allowance> {
        let manifest = Manifest::deserialize(&version.manifest).ok()?;
        Some(manifest.allowance(&self.house.config.maximum_of(version.owner.as_ref())))
    }

    /// How every choice has been doing since this process started.
    pub fn statistics(&self) -> Vec<Statistic> {
        self.house.book.statistics()
    }

    /// Who serves a job of a shop that is pinned so.
    pub async fn team(&self, tenant: &TenantId, pins: &Pins) -> PortResult<Team> {
        let pinned = || self.house.generation().seating(tenant).pinned(pins, self.house.now());
        let mut shift = pinned();
        if shift.is_none() {
            // Pinned by a process that saw a change which this one has not seen yet, or long ago.
            self.house.read_store().await?;
            let ours = |(owner, _): &Place| owner.as_ref().is_none_or(|owner| owner == tenant);
            _ = tokio::time::timeout(PATIENCE, self.house.roster.settled(ours)).await;
            shift = pinned();
        }
        let shift = shift.unwrap_or_else(|| {
            tracing::info!(%tenant, "a job's choices are gone: it is served by those that are live");
            self.house.generation().seating(tenant).live()
        });
        Ok(Team::new(Arc::clone(&self.house), tenant.clone(), shift))
    }
}

/// What components are loaded with, and run on.
pub(crate) fn machinery(
    config: &SandboxConfig,
    video: Arc<dyn VideoDecoder>,
) -> Result<(Loader, Runner), SandboxError> {
    let engine = engine::build(config).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
    let cache = config.cache.as_deref().map(|path| Cache::open(path).map_err(unusable(path))).transpose()?;
    let ports = Ports { video, timeout: config.host_call_timeout };
    let runner = Runner::open(engine.clone(), config, ports).map_err(SandboxError::Thread)?;
    let (cache, compiler) = (cache.map(Arc::new), config.compiler.clone());
    Ok((Loader { engine, cache, compiler }, runner))
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> SandboxError {
    let path = path.to_owned();
    move |source| SandboxError::Folder { path: path.clone(), source }
}

#[async_trait]
impl Policies for Sandbox {
    fn modalities(&self, tenant: &TenantId) -> HashSet<String> {
        self.house.generation().seating(tenant).modalities().cloned().collect()
    }

    fn pin_search(&self, tenant: &TenantId, modalities: &[&str], session: &str) -> Pins {
        self.house.generation().seating(tenant).pins_of_search(modalities, tenant, session)
    }

    fn pin_ingest(&self, tenant: &TenantId, session: &str) -> Pins {
        self.house.generation().seating(tenant).pins_of_ingest(tenant, session)
    }

    async fn lineup(&self, tenant: &TenantId, pins: &Pins) -> PortResult<Arc<dyn Lineup>> {
        Ok(Arc::new(self.team(tenant, pins).await?))
    }

    async fn tried(&self, tenant: &TenantId, chosen: &Chosen) -> PortResult<Arc<dyn Lineup>> {
        Ok(Arc::new(self.house.tried(tenant, chosen).await?))
    }

    fn end_trial(&self, tenant: Option<&TenantId>, slot: &Slot, choice: &Choice, reason: String) {
        let place = (tenant.cloned(), slot.clone());
        self.house.withdraw(place, &choice.id(), Part::Canary, reason);
    }
}
