//! Brings Redis up to the ledger: every open job has to be in Redis, where somebody looks for it.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::{
    core::Core,
    push::{Knowledge, Present},
};
use crate::{Durability, OpenJob, Result, clock::micros};

/// How many jobs are looked at in one round trip.
const PAGE: u32 = 200;

/// How many of them are put into Redis at the same time.
const TOGETHER: usize = 32;

/// A younger job's push may be on its way.
const YOUNG: Duration = Duration::from_secs(5);

/// How often to look whether Redis has lost its data.
const LOOK: Duration = Duration::from_secs(1);

/// No process reconciles for longer without another one being let in, as it may have died. Two do no harm.
const TURN: Duration = Duration::from_secs(10);

/// Which jobs to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All of them: Redis has lost data, or may have.
    All,
    /// Those whose push cannot be under way any more.
    Settled,
}

/// Reconciles as long as it is polled: at once when data was lost, or may have been lost with the connection or with an
/// unanswered push, and every now and then in any case.
pub(super) async fn keep(core: Arc<Core>, every: Duration) {
    let mut caretaker = Caretaker { core, every, trusted: None, last: Instant::now() };
    loop {
        // While Redis is away there is nothing to look at.
        if let Ok(connected) = caretaker.core.link.since()
            && let Err(error) = caretaker.look(connected).await
        {
            tracing::warn!(%error, "cannot reconcile redis with the ledger");
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Caretaker {
    core: Arc<Core>,
    every: Duration,
    /// The connection, by its beginning, since which nothing can have been lost.
    trusted: Option<i64>,
    /// When it last reconciled.
    last: Instant,
}

impl Caretaker {
    async fn look(&mut self, connected: i64) -> Result<()> {
        if self.core.stranded.swap(false, Ordering::AcqRel) || self.core.has_lost_data().await? {
            self.trusted = None;
        }
        if self.trusted != Some(connected) {
            if self.core.reconcile_alone().await? {
                (self.trusted, self.last) = (Some(connected), Instant::now());
            }
        } else if self.last.elapsed() >= self.every {
            self.last = Instant::now();
            if self.core.take("reconciled", self.every).await? {
                self.core.reconcile_extent(Extent::Settled).await?;
            }
        }
        Ok(())
    }
}

impl Core {
    /// Puts every open job that Redis does not know into it; answers how many it were.
    pub(super) async fn reconcile(&self) -> Result<u64> {
        let extent = if self.has_lost_data().await? { Extent::All } else { Extent::Settled };
        self.reconcile_extent(extent).await
    }

    /// The epoch goes with the data.
    async fn has_lost_data(&self) -> Result<bool> {
        let there: bool = self.link.command(redis::cmd("EXISTS").arg(self.key("epoch"))).await?;
        Ok(!there)
    }

    /// Reconciles everything, unless another process is at it; answers whether it did.
    async fn reconcile_alone(&self) -> Result<bool> {
        let taken = self.take("reconciling", TURN).await?;
        if taken {
            let reconciled = self.reconcile_extent(Extent::All).await;
            self.link.command::<()>(redis::cmd("DEL").arg(self.key("reconciling"))).await?;
            reconciled?;
        }
        Ok(taken)
    }

    /// Plants a flag that goes by itself after a while; answers whether it is ours. One that an earlier failure left
    /// standing is ours, too.
    async fn take(&self, flag: &str, time: Duration) -> Result<bool> {
        let mut plant = redis::cmd("SET");
        plant.arg(self.key(flag)).arg(&self.origin).arg("NX").arg("PX").arg((micros(time) / 1000).max(1));
        if self.link.command(&plant).await? {
            return Ok(true);
        }
        let owner: Option<String> = self.link.command(redis::cmd("GET").arg(self.key(flag))).await?;
        Ok(owner.as_ref() == Some(&self.origin))
    }

    async fn reconcile_extent(&self, extent: Extent) -> Result<u64> {
        let newest = self.clock.now_us().saturating_sub(micros(YOUNG));
        let (mut added, mut after) = (0, None);
        loop {
            let mut jobs = self.ledger.open_jobs(after, PAGE).await?;
            let Some(last) = jobs.last() else { break };
            after = Some(last.job.id);
            jobs.retain(|open| extent == Extent::All || open.job.created_at.as_microsecond() < newest);
            added += self.add_missing(jobs).await?;
        }
        self.link.command::<()>(redis::cmd("SET").arg(self.key("epoch")).arg(1)).await?;
        if added > 0 {
            tracing::warn!(jobs = added, "redis did not know these open jobs; they are back");
        }
        Ok(added)
    }

    async fn add_missing(&self, jobs: Vec<OpenJob>) -> Result<u64> {
        let mut call = self.call(&self.scripts.missing);
        for open in &jobs {
            call.arg(open.job.id.to_string());
        }
        let missing: HashSet<String> = self.link.script(&call).await?;
        let added = jobs.into_iter().filter(|open| missing.contains(&open.job.id.to_string()));
        let added = stream::iter(added.map(|open| self.add(open)).collect::<Vec<_>>());
        added.buffer_unordered(TOGETHER).try_fold(0, async |sum, added| Ok(sum + added)).await
    }

    async fn add(&self, open: OpenJob) -> Result<u64> {
        // How durable its settlement was to be is not in the ledger: the safer one.
        let added = self.enqueue(&open, Durability::Disk, Present::Stays, Knowledge::WasOpen).await?;
        Ok(u64::from(added))
    }
}
