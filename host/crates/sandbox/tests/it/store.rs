//! A store of plugins that is slow or fails when told to, and time that passes when told to.
#![expect(clippy::unwrap_used, reason = "a fake that cannot do its part fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use taja_catalog::{
    PluginDigest, PortError, PortResult, TenantId,
    fakes::InMemoryPlugins,
    plugins::{Activation, Event, PluginStore, Removal, Slot, Statistic, Version},
    port::PortErrorKind,
};
use taja_sandbox::Clock;
use tokio::sync::watch;

/// Shows the time that it was set to.
#[derive(Debug)]
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn now() -> Arc<Self> {
        Arc::new(Self(Timestamp::now().as_microsecond().into()))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(Duration::from_secs(seconds).as_micros() as i64, SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(SeqCst)).unwrap()
    }
}

/// What one process sees of a store.
#[derive(Default)]
pub(crate) struct Moody {
    store: Arc<InMemoryPlugins>,
    /// Components that do not come.
    pub(crate) held: watch::Sender<Vec<PluginDigest>>,
    /// Those that were asked for.
    pub(crate) asked: watch::Sender<Vec<PluginDigest>>,
    /// Nothing can be read.
    pub(crate) is_blind: AtomicBool,
    /// Nothing can be changed.
    pub(crate) is_stiff: AtomicBool,
    /// The next change makes it blind.
    pub(crate) goes_blind: AtomicBool,
}

impl Moody {
    pub(crate) fn over(store: &Arc<InMemoryPlugins>) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), ..Self::default() })
    }

    /// Waits until a component was asked for.
    pub(crate) async fn is_asked_for(&self, digest: PluginDigest) {
        self.asked.subscribe().wait_for(|asked| asked.contains(&digest)).await.unwrap();
    }

    /// How often a component was asked for.
    pub(crate) fn times(&self, digest: PluginDigest) -> usize {
        self.asked.borrow().iter().filter(|asked| **asked == digest).count()
    }

    fn seen(&self) -> PortResult<&InMemoryPlugins> {
        if self.is_blind.load(SeqCst) { Err(away()) } else { Ok(&self.store) }
    }
}

fn away() -> PortError {
    PortError::new("store", PortErrorKind::Unavailable, "is away")
}

#[async_trait]
impl PluginStore for Moody {
    async fn add_version(&self, version: &Version, component: Bytes) -> PortResult<bool> {
        self.seen()?.add_version(version, component).await
    }
    async fn version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Option<Version>> {
        self.seen()?.version(owner, digest).await
    }
    async fn versions(&self, owner: Option<&TenantId>) -> PortResult<Vec<Version>> {
        self.seen()?.versions(owner).await
    }
    async fn component(&self, digest: &PluginDigest) -> PortResult<Option<Bytes>> {
        self.asked.send_modify(|asked| asked.push(*digest));
        self.held.subscribe().wait_for(|held| !held.contains(digest)).await.unwrap();
        self.seen()?.component(digest).await
    }
    async fn sign_version(
        &self,
        owner: Option<&TenantId>,
        digest: &PluginDigest,
        signature: &str,
        signer: Option<&str>,
    ) -> PortResult<bool> {
        self.seen()?.sign_version(owner, digest, signature, signer).await
    }
    async fn remove_version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Removal> {
        self.seen()?.remove_version(owner, digest).await
    }
    async fn activations(&self, after: u64) -> PortResult<Vec<Activation>> {
        self.seen()?.activations(after).await
    }
    async fn activation(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Option<Activation>> {
        self.seen()?.activation(tenant, slot).await
    }
    async fn change(&self, activation: &Activation, event: &Event) -> PortResult<u64> {
        if self.is_stiff.load(SeqCst) {
            return Err(away());
        }
        let changed = self.seen()?.change(activation, event).await;
        self.is_blind.store(self.goes_blind.load(SeqCst), SeqCst);
        changed
    }
    async fn history(
        &self,
        tenant: Option<&TenantId>,
        slot: Option<&Slot>,
        limit: usize,
    ) -> PortResult<Vec<Event>> {
        self.seen()?.history(tenant, slot, limit).await
    }
    async fn report(&self, process: &str, at: Timestamp, statistics: &[Statistic]) -> PortResult<()> {
        self.seen()?.report(process, at, statistics).await
    }
    async fn condense(&self, before: Timestamp) -> PortResult<()> {
        self.seen()?.condense(before).await
    }
    async fn statistics(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>> {
        self.seen()?.statistics(tenant, slot).await
    }
}
