//! What all calls share, and how the seats follow the store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    plugins::{Activation, Choice, PluginStore, Slot, Version},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    binary::Binary,
    book::Book,
    config::SandboxConfig,
    limits::Limits,
    load::{self, Loaded, Loader, Terms},
    plugin::{Binding, Plugin},
    runner::Runner,
    seats::{Beside, Generation, Seat, Trial},
    ticker::Ticker,
    watch::Watch,
};

/// Versions that are loaded at one time when many changed.
const LOADING: usize = 4;
/// How long a version that was just admitted waits, loaded, to be activated.
const WARM: Duration = Duration::from_secs(600);
/// How many of those.
const WARM_VERSIONS: u64 = 32;

/// Whose seat, and which.
pub(crate) type Place = (Option<TenantId>, Slot);

/// What all calls share.
pub(crate) struct House {
    pub(crate) config: SandboxConfig,
    pub(crate) loader: Loader,
    pub(crate) runner: Runner,
    pub(crate) book: Book,
    pub(crate) store: Arc<dyn PluginStore>,
    pub(crate) generation: ArcSwap<Generation>,
    /// Room for what runs beside.
    pub(crate) beside: Arc<Semaphore>,
    /// The revision of the last change that this process made.
    pub(crate) changed: watch::Sender<u64>,
    roster: tokio::sync::Mutex<Roster>,
    loaded: Mutex<HashMap<Loading, Weak<Plugin>>>,
    warm: moka::sync::Cache<Loading, Arc<Plugin>>,
    /// Joined when the house is dropped.
    _ticker: Ticker,
}

/// The seats as they were last read from the store.
#[derive(Default)]
struct Roster {
    revision: u64,
    seats: BTreeMap<Place, Arc<Seat>>,
    /// Activations that could not be followed, and why. They are tried again whenever the store is read.
    troubled: BTreeMap<Place, (Activation, String)>,
}

/// A version is loaded once for everyone who gets the same of what it asks for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Loading {
    digest: PluginDigest,
    terms: Terms,
}

impl House {
    pub(crate) fn new(
        config: SandboxConfig,
        loader: Loader,
        runner: Runner,
        store: Arc<dyn PluginStore>,
        ticker: Ticker,
    ) -> Self {
        Self {
            beside: Arc::new(Semaphore::new((config.concurrency as usize / 4).max(1))),
            config,
            loader,
            runner,
            book: Book::default(),
            store,
            generation: ArcSwap::default(),
            changed: watch::Sender::default(),
            roster: tokio::sync::Mutex::default(),
            loaded: Mutex::default(),
            warm: moka::sync::Cache::builder().max_capacity(WARM_VERSIONS).time_to_live(WARM).build(),
            _ticker: ticker,
        }
    }

    /// Follows what changed in the store since it was last read. New jobs are served by the new seats from the moment
    /// they are all made; whatever cannot be made stays as it was.
    pub(crate) async fn refresh(&self) -> PortResult<()> {
        let mut roster = self.roster.lock().await;
        let changed = self.store.activations(roster.revision).await?;
        let mut rows: BTreeMap<Place, Activation> =
            std::mem::take(&mut roster.troubled).into_iter().map(|(place, (row, _))| (place, row)).collect();
        for row in changed {
            roster.revision = roster.revision.max(row.revision);
            rows.insert((row.tenant.clone(), row.slot.clone()), row);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let made = stream::iter(rows).map(|(place, row)| {
            let before = roster.seats.get(&place).cloned();
            async move { (place, self.seat(&row, before.as_deref()).await, row) }
        });
        for (place, seat, row) in made.buffered(LOADING).collect::<Vec<_>>().await {
            let (tenant, slot) = (row.tenant.as_ref().map(TenantId::as_str), place.1.to_string());
            match seat {
                Ok(Some(seat)) => {
                    tracing::info!(tenant, slot, revision = row.revision, plugin = %seat.live.choice.name,
                        digest = %seat.live.choice.digest, "a slot is filled anew");
                    roster.seats.insert(place, Arc::new(seat));
                }
                Ok(None) => {
                    tracing::info!(tenant, slot, revision = row.revision, "a slot is empty now");
                    roster.seats.remove(&place);
                }
                Err(reason) => {
                    metrics::counter!("taja_plugin_refresh_failures_total").increment(1);
                    tracing::error!(
                        tenant,
                        slot,
                        reason,
                        "a slot stays as it was: the new choice cannot be loaded"
                    );
                    roster.troubled.insert(place, (row, reason));
                }
            }
        }
        self.generation.store(Arc::new(Generation::of(&roster.seats)));
        self.loaded.lock().retain(|_, plugin| plugin.strong_count() > 0);
        Ok(())
    }

    /// Why the choices of some slots cannot be loaded here.
    pub(crate) async fn troubles(&self) -> Vec<(Place, String)> {
        let roster = self.roster.lock().await;
        roster.troubled.iter().map(|(place, (_, reason))| (place.clone(), reason.clone())).collect()
    }

    async fn seat(&self, row: &Activation, before: Option<&Seat>) -> Result<Option<Seat>, String> {
        let Some(live) = &row.live else { return Ok(None) };
        let tenant = row.tenant.as_ref();
        let live = self.binding(tenant, live).await?;
        let mut previous = Vec::new();
        for choice in &row.previous {
            // What cannot be loaded any more cannot stand in either.
            match self.binding(tenant, choice).await {
                Ok(binding) => previous.push(binding),
                Err(reason) => {
                    tracing::warn!(plugin = %choice.name, reason, "an earlier choice cannot be loaded");
                }
            }
        }
        let canary = match &row.canary {
            Some(canary) => {
                let binding = self.binding(tenant, &canary.choice).await?;
                Some(Trial { binding, percent: canary.percent, watch: Watch::default() })
            }
            None => None,
        };
        let shadow = match &row.shadow {
            Some(shadow) => {
                let binding = self.binding(tenant, &shadow.choice).await?;
                Some(Beside { binding, every: shadow.every, calls: Default::default() })
            }
            None => None,
        };
        let probation = SignedDuration::try_from(self.config.probation).unwrap_or(SignedDuration::MAX);
        let is_new = !previous.is_empty() && Timestamp::now().duration_since(row.changed_at) < probation;
        // What was live is kept for the jobs that are pinned to it, unless it was gone back from.
        let retired = before.filter(|before| row.previous.iter().any(|choice| choice.id() == before.live.id));
        let retired = retired.map(|before| before.retired_since(Instant::now(), self.config.drain));
        Ok(Some(Seat {
            tenant: row.tenant.clone(),
            slot: row.slot.clone(),
            live,
            previous,
            retired: retired.unwrap_or_default(),
            canary,
            shadow,
            probation: is_new.then(Watch::default),
        }))
    }

    /// A choice that can be called.
    pub(crate) async fn binding(
        &self,
        tenant: Option<&TenantId>,
        choice: &Choice,
    ) -> Result<Arc<Binding>, String> {
        let version = self.version(tenant, &choice.digest).await.map_err(|error| error.to_string())?;
        let version = version.ok_or_else(|| format!("version {} is not kept any more", choice.digest))?;
        let plugin = self.plugin(&version).await?;
        Ok(Arc::new(Binding::new(plugin, choice.clone())))
    }

    /// A version that a shop may use: its own, or one that belongs to nobody.
    pub(crate) async fn version(
        &self,
        tenant: Option<&TenantId>,
        digest: &PluginDigest,
    ) -> PortResult<Option<Version>> {
        if tenant.is_some()
            && let Some(own) = self.store.version(tenant, digest).await?
        {
            return Ok(Some(own));
        }
        self.store.version(None, digest).await
    }

    /// The plugin of a version, loaded unless it is.
    pub(crate) async fn plugin(&self, version: &Version) -> Result<Arc<Plugin>, String> {
        let granted = version.granted.iter().filter_map(|word| word.parse().ok()).collect();
        let terms = Terms { granted, maximum: self.config.maximum_of(version.owner.as_ref()) };
        let loading = Loading { digest: version.digest, terms };
        if let Some(plugin) = self.loaded.lock().get(&loading).and_then(Weak::upgrade) {
            return Ok(plugin);
        }
        let component = self.store.component(&version.digest).await.map_err(|error| error.to_string())?;
        let component =
            component.ok_or_else(|| format!("component {} is not kept any more", version.digest))?;
        let component = Binary::taken(component).await;
        if component.digest() != version.digest {
            return Err(format!("the component kept as {} is {}", version.digest, component.digest()));
        }
        // Whoever can write to the store cannot sign.
        let signature = version.signature.as_ref().map(|text| text.parse()).transpose()?;
        self.config.trusted.verify(&version.digest, signature.as_ref())?;
        let read = load::open(component).await.map_err(|refused| refused.to_string())?;
        let loaded = self.loader.load(&self.runner, read, &loading.terms, false).await;
        let loaded = loaded.map_err(|refused| refused.to_string())?;
        Ok(self.keep(loaded, loading.terms.maximum).0)
    }

    /// Keeps a plugin for a while that nobody calls yet.
    pub(crate) fn keep_warm(&self, loaded: Loaded, maximum: Limits) -> Arc<Plugin> {
        let (plugin, loading) = self.keep(loaded, maximum);
        self.warm.insert(loading, Arc::clone(&plugin));
        plugin
    }

    fn keep(&self, loaded: Loaded, maximum: Limits) -> (Arc<Plugin>, Loading) {
        let plugin = loaded.plugin;
        let terms = Terms { granted: plugin.identity.granted.clone(), maximum };
        let loading = Loading { digest: plugin.identity.digest, terms };
        let mut known = self.loaded.lock();
        // Somebody else may have loaded it meanwhile: one is enough.
        let plugin = known.get(&loading).and_then(Weak::upgrade).unwrap_or(plugin);
        known.insert(loading.clone(), Arc::downgrade(&plugin));
        (plugin, loading)
    }
}
