//! A vector index that follows the store's change stream, so that it holds what any process commits.
//!
//! It is filled from the store, and then told of every commit by the server. When the stream breaks it goes on where it
//! stood; when it cannot, a fresh index is filled and takes the old one's place.

mod applied;
mod event;
mod fill;
mod place;
mod run;
mod stream;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::Database;
use parking_lot::RwLock;
use taja_catalog::{
    Embedding, ImageHash, PortResult, ProductId, Space, TenantId,
    port::{Neighbour, Store, VectorIndex, VectorRow},
};
use tokio_util::task::AbortOnDropHandle;

use self::applied::Applied;
use crate::Mongo;

/// The collection of vectors.
const VECTORS: &str = "vectors";
/// The collection of the versions of catalogues.
const VERSIONS: &str = "versions";

/// How an index follows.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// How long [`VectorIndex::reach`] waits at most.
    pub reach: Duration,
    /// How long the server holds back an answer while nothing happens.
    pub idle: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self { reach: Duration::from_secs(1), idle: Duration::from_secs(1) }
    }
}

/// Where a follower stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowState {
    /// It hears of every commit.
    Following,
    /// A fresh index is being filled; the old one answers meanwhile.
    Rebuilding,
    /// It hears nothing since then, and tries to.
    Disconnected {
        /// When the connection was lost.
        since: Timestamp,
    },
}

/// A [`VectorIndex`] that is kept up to date by the server. It stops following when it is dropped.
pub struct Follower {
    shared: Arc<Shared>,
    _run: AbortOnDropHandle<()>,
}

/// What the follower and its task share.
struct Shared {
    database: Database,
    space: Space,
    source: Arc<dyn Store>,
    make: Box<dyn Fn() -> Arc<dyn VectorIndex> + Send + Sync>,
    options: FollowOptions,
    index: RwLock<Arc<dyn VectorIndex>>,
    applied: Applied,
    standing: RwLock<Standing>,
}

/// What people who look after it want to know.
#[derive(Debug, Clone, Copy)]
struct Standing {
    state: FollowState,
    lag: Duration,
    rebuilds: u64,
}

impl Follower {
    /// Fills an index that `make` made with the vectors of a space, and follows from there. `make` is called again
    /// whenever the index has to be built anew.
    ///
    /// # Errors
    /// When the store or the server cannot be read.
    pub async fn start(
        mongo: &Mongo,
        space: Space,
        make: impl Fn() -> Arc<dyn VectorIndex> + Send + Sync + 'static,
        source: Arc<dyn Store>,
        options: FollowOptions,
    ) -> PortResult<Self> {
        let filled = fill::fill(mongo.database(), &space, source.as_ref(), &make).await?;
        let standing = Standing { state: FollowState::Following, lag: Duration::ZERO, rebuilds: 0 };
        let shared = Arc::new(Shared {
            database: mongo.database().clone(),
            space,
            source,
            make: Box::new(make),
            options,
            index: RwLock::new(filled.index),
            applied: Applied::default(),
            standing: RwLock::new(standing),
        });
        shared.applied.publish(filled.versions);
        let run = tokio::spawn(run::run(Arc::clone(&shared), filled.from));
        Ok(Self { shared, _run: AbortOnDropHandle::new(run) })
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> FollowState {
        self.shared.standing.read().state
    }

    /// How old the latest news was when it came; nothing when there was none to come.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.shared.standing.read().lag
    }

    /// How often the index was built anew since the start.
    #[must_use]
    pub fn rebuilds(&self) -> u64 {
        self.shared.standing.read().rebuilds
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let standing = *self.shared.standing.read();
        f.debug_struct("Follower").field("space", &self.shared.space.id).field("standing", &standing).finish()
    }
}

impl Shared {
    fn index(&self) -> Arc<dyn VectorIndex> {
        Arc::clone(&self.index.read())
    }

    fn set_state(&self, state: FollowState) {
        self.standing.write().state = state;
        let following = f64::from(u8::from(state == FollowState::Following));
        metrics::gauge!("taja_index_following").set(following);
    }

    fn set_lag(&self, lag: Duration) {
        self.standing.write().lag = lag;
        metrics::gauge!("taja_index_lag_seconds").set(lag.as_secs_f64());
    }
}

#[async_trait]
impl VectorIndex for Follower {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.shared.index().nearest(tenant, queries, among, k).await
    }

    /// Does nothing: the stream brings what was committed.
    async fn insert(&self, _rows: Vec<VectorRow>) -> PortResult<()> {
        Ok(())
    }

    /// Does nothing: the stream brings what was committed.
    async fn remove(&self, _tenant: &TenantId, _product: &ProductId) -> PortResult<()> {
        Ok(())
    }

    /// Does nothing: the stream brings what was committed.
    async fn remove_images(&self, _tenant: &TenantId, _images: &[ImageHash]) -> PortResult<()> {
        Ok(())
    }

    async fn reach(&self, tenant: &TenantId, version: u64) {
        if !self.shared.applied.reach(tenant, version, self.shared.options.reach).await {
            tracing::debug!(%tenant, version, "the index does not hold this version yet");
        }
    }

    fn revision(&self, tenant: &TenantId) -> u64 {
        self.shared.applied.version(tenant)
    }

    fn state(&self) -> String {
        match self.shared.standing.read().state {
            FollowState::Following => "following".into(),
            FollowState::Rebuilding => "rebuilding".into(),
            FollowState::Disconnected { since } => format!("disconnected since {since}"),
        }
    }

    fn method(&self) -> &'static str {
        self.shared.index().method()
    }

    fn len(&self) -> usize {
        self.shared.index().len()
    }

    fn memory_bytes(&self) -> usize {
        self.shared.index().memory_bytes()
    }
}
