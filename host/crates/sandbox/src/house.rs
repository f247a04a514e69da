//! What all calls share, and how the seats follow the store.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use parking_lot::Mutex;
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    plugins::{Activation, Choice, PluginStore, Version},
};
use tokio::sync::{Semaphore, watch};
use tracing::Instrument;

use crate::{
    binary::Binary,
    book::Book,
    clock::after,
    config::SandboxConfig,
    drain,
    folder::Inbox,
    limits::Limits,
    load::{self, Loaded, Loader, Terms},
    plugin::{Binding, Plugin},
    replay::check_goldens,
    roster::{Place, Roster},
    runner::Runner,
    seats::{Beside, Chair, Generation, Probation, Retired, Seat, Trial},
    tasks::Tasks,
    withdraw::Withdrawals,
};

/// Places that are followed at one time when many changed: they ask the store, which has others to serve.
const FOLLOWING: usize = 64;
/// Versions that are loaded at one time.
const LOADING: usize = 8;
/// How long a version that was just admitted waits, loaded, to be activated.
const WARM: Duration = Duration::from_secs(600);
/// How many of those.
const WARM_VERSIONS: u64 = 32;

/// What all calls share.
pub(crate) struct House {
    pub(crate) config: SandboxConfig,
    pub(crate) loader: Loader,
    pub(crate) runner: Runner,
    pub(crate) book: Book,
    pub(crate) store: Arc<dyn PluginStore>,
    pub(crate) roster: Roster,
    pub(crate) withdrawals: Withdrawals,
    pub(crate) inbox: Inbox,
    /// What runs in the background: places being followed, shadows, withdrawals.
    pub(crate) tasks: Tasks,
    /// Room for what runs beside.
    pub(crate) beside: Arc<Semaphore>,
    /// The revision of the last change that this process made.
    pub(crate) changed: watch::Sender<u64>,
    following: Semaphore,
    loading: Semaphore,
    loaded: Mutex<HashMap<Loading, Weak<Plugin>>>,
    warm: moka::sync::Cache<Loading, Arc<Plugin>>,
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
    ) -> Self {
        let warm = moka::sync::Cache::builder().max_capacity(WARM_VERSIONS).time_to_live(WARM);
        Self {
            beside: Arc::new(Semaphore::new((config.concurrency as usize / 4).max(1))),
            config,
            loader,
            runner,
            book: Book::default(),
            store,
            roster: Roster::default(),
            withdrawals: Withdrawals::default(),
            inbox: Inbox::default(),
            tasks: Tasks::default(),
            changed: watch::Sender::default(),
            following: Semaphore::new(FOLLOWING),
            loading: Semaphore::new(LOADING),
            loaded: Mutex::default(),
            // The latest are kept, whatever was asked for often before.
            warm: warm.eviction_policy(EvictionPolicy::lru()).build(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.roster.generation()
    }

    /// Clears away what is over, tries again what failed, and reads the store.
    pub(crate) async fn refresh(self: &Arc<Self>) -> PortResult<()> {
        let now = self.now();
        self.roster.clear(now);
        self.book.clear(now);
        self.loaded.lock().retain(|_, plugin| plugin.strong_count() > 0);
        self.withdraw_again();
        self.read_store().await
    }

    /// Reads what changed in the store since it was last read, and begins to follow it. New jobs are served by a new seat
    /// from the moment it is made; where none can be made, everything stays as it was.
    pub(crate) async fn read_store(self: &Arc<Self>) -> PortResult<()> {
        self.roster.heard(self.store.activations(self.roster.read()).await?);
        self.follow_what_is_due();
        Ok(())
    }

    /// Follows a change that this process made itself, and tells others of it. Waits for the seat, which is made of what
    /// was loaded before the change; that it could not be made is a trouble of this process, not of the change.
    pub(crate) async fn follow_own(self: &Arc<Self>, row: Activation) {
        self.changed.send_modify(|revision| *revision = row.revision.max(*revision));
        let place = (row.tenant.clone(), row.slot.clone());
        self.roster.note(row);
        self.follow_what_is_due();
        self.roster.settled(|other| *other == place).await;
    }

    /// In the background, so that nobody who asked and went away, or asks for something else, leaves it half done or
    /// waits for it.
    fn follow_what_is_due(self: &Arc<Self>) {
        for place in self.roster.take_due(self.now()) {
            let house = Arc::clone(self);
            let span = tracing::debug_span!("follow", tenant = place.0.as_ref().map(TenantId::as_str), slot = %place.1);
            self.tasks.spawn(async move { house.follow(&place).await }.instrument(span));
        }
    }

    async fn follow(&self, place: &Place) {
        let mut in_hand = self.roster.in_hand(place);
        let Ok(_room) = self.following.acquire().await else { return };
        while let Some((row, before)) = in_hand.next(self.now()) {
            let (tenant, slot) = (place.0.as_ref().map(TenantId::as_str), place.1.to_string());
            match self.chair(&row, before.as_deref()).await {
                Ok(chair) => {
                    let live = chair.seat.as_ref().map(|seat| &seat.live.choice);
                    tracing::info!(
                        tenant,
                        slot,
                        revision = row.revision,
                        plugin = live.map(|live| live.name.as_str()),
                        digest = live.map(|live| live.digest.to_string()),
                        "a slot is filled anew, or empty now"
                    );
                    self.roster.followed(place, chair);
                }
                Err(reason) => {
                    metrics::counter!("taja_plugin_refresh_failures_total").increment(1);
                    tracing::error!(
                        tenant,
                        slot,
                        reason,
                        "a slot stays as it was: the new choice cannot be loaded"
                    );
                    self.roster.failed(place, &row, reason, self.now());
                }
            }
        }
    }

    async fn chair(&self, row: &Activation, before: Option<&Chair>) -> Result<Chair, String> {
        let seat = match &row.live {
            Some(live) => Some(Arc::new(self.seat(row, live, before).await?)),
            None => None,
        };
        Ok(Chair { revision: row.revision, seat, retired: self.retired(row, before).await? })
    }

    async fn seat(&self, row: &Activation, live: &Choice, before: Option<&Chair>) -> Result<Seat, String> {
        let binding = async |choice: &Choice| self.binding(row, choice, before).await;
        let live = binding(live).await?;
        let mut previous = Vec::new();
        for choice in &row.previous {
            // What cannot be loaded any more cannot stand in either.
            match binding(choice).await {
                Ok(binding) => previous.push(binding),
                Err(reason) => {
                    tracing::warn!(plugin = %choice.name, reason, "an earlier choice cannot be loaded");
                }
            }
        }
        let sat = before.and_then(|before| before.seat.as_deref());
        // A choice that stays where it is stays watched as it is.
        let canary = match &row.canary {
            Some(canary) => {
                let binding = binding(&canary.choice).await?;
                let known = sat.and_then(|seat| seat.canary.as_ref());
                let known = known.filter(|trial| trial.binding.id == binding.id);
                let watch = known.map(|trial| Arc::clone(&trial.watch)).unwrap_or_default();
                Some(Trial { binding, percent: canary.percent, watch })
            }
            None => None,
        };
        let shadow = match &row.shadow {
            Some(shadow) => {
                let binding = binding(&shadow.choice).await?;
                let known = sat.and_then(|seat| seat.shadow.as_ref());
                let known = known.filter(|beside| beside.binding.id == binding.id);
                let watch = known.map(|beside| Arc::clone(&beside.watch)).unwrap_or_default();
                Some(Beside { binding, every: shadow.every, calls: Default::default(), watch })
            }
            None => None,
        };
        let known = sat.filter(|seat| seat.live.id == live.id);
        let probation = known.map_or_else(|| self.probation(row), |seat| seat.probation.clone());
        let (tenant, slot) = (row.tenant.clone(), row.slot.clone());
        Ok(Seat { tenant, slot, live, previous, canary, shadow, probation })
    }

    /// What went live is watched as long as there is something to go back to. When it did is not known to a process that
    /// starts anew, but not later than the row was changed.
    fn probation(&self, row: &Activation) -> Option<Probation> {
        let until = after(row.changed_at, self.config.probation);
        let has_before = !row.previous.is_empty() || row.tenant.is_some();
        (has_before && until > self.now()).then(|| Probation { watch: Arc::default(), until })
    }

    /// What served and is kept for jobs that are pinned to it.
    async fn retired(&self, row: &Activation, before: Option<&Chair>) -> Result<Vec<Arc<Retired>>, String> {
        let history = self.store.history(row.tenant.as_ref(), Some(&row.slot), drain::LINES).await;
        let history = history.map_err(|error| error.to_string())?;
        let mut retired = Vec::new();
        for former in drain::former(row, &history, self.now(), self.config.drain) {
            match self.binding(row, &former.choice, before).await {
                Ok(binding) => {
                    retired.push(Arc::new(Retired { binding, part: former.part, until: former.until }));
                }
                Err(reason) => {
                    tracing::warn!(plugin = %former.choice.name, reason, "a former choice cannot be loaded");
                }
            }
        }
        Ok(retired)
    }

    /// A choice that can be called: the one that is known at its place, so that its pace is, or a new one.
    async fn binding(
        &self,
        row: &Activation,
        choice: &Choice,
        before: Option<&Chair>,
    ) -> Result<Arc<Binding>, String> {
        if let Some(known) = before.and_then(|before| before.binding(&choice.id())) {
            return Ok(known);
        }
        let version = self.version(row.tenant.as_ref(), &choice.digest).await;
        let version = version.map_err(|error| error.to_string())?;
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

    /// The plugin of a version, loaded unless it is. Loading is admission once more, by this process: who can write to the
    /// store cannot sign, and what the author's requests were answered on another machine they must be answered on this.
    pub(crate) async fn plugin(&self, version: &Version) -> Result<Arc<Plugin>, String> {
        let loading = self.loading(version);
        let known = || self.loaded.lock().get(&loading).and_then(Weak::upgrade);
        if let Some(plugin) = known() {
            return Ok(plugin);
        }
        let _room = self.loading.acquire().await.map_err(|error| error.to_string())?;
        // Somebody else may have loaded it meanwhile.
        if let Some(plugin) = known() {
            return Ok(plugin);
        }
        let component = self.store.component(&version.digest).await.map_err(|error| error.to_string())?;
        let component =
            component.ok_or_else(|| format!("component {} is not kept any more", version.digest))?;
        let component = Binary::taken(component).await;
        if component.digest() != version.digest {
            return Err(format!("the component kept as {} is {}", version.digest, component.digest()));
        }
        let signature = version.signature.as_ref().map(|text| text.parse()).transpose()?;
        self.config.trusted.verify(&version.digest, signature.as_ref())?;
        let read = load::open(component.clone()).await.map_err(|refused| refused.to_string())?;
        let loaded = self.loader.load(&self.runner, read, &loading.terms, false).await;
        let loaded = loaded.map_err(|refused| refused.to_string())?;
        check_goldens(&self.runner, &loaded.plugin, component.bytes().clone()).await?;
        Ok(self.keep(loaded, loading.terms.maximum).0)
    }

    /// The same, kept for a while although no seat holds it.
    pub(crate) async fn plugin_for_a_while(&self, version: &Version) -> Result<Arc<Plugin>, String> {
        let plugin = self.plugin(version).await?;
        self.warm.insert(self.loading(version), Arc::clone(&plugin));
        Ok(plugin)
    }

    fn loading(&self, version: &Version) -> Loading {
        let granted = version.granted.iter().filter_map(|word| word.parse().ok()).collect();
        let terms = Terms { granted, maximum: self.config.maximum_of(version.owner.as_ref()) };
        Loading { digest: version.digest, terms }
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
        // Two may have loaded it at once: one is enough.
        let plugin = known.get(&loading).and_then(Weak::upgrade).unwrap_or(plugin);
        known.insert(loading.clone(), Arc::downgrade(&plugin));
        (plugin, loading)
    }
}
