//! The queue in Redis, over a ledger.
//!
//! The ledger has the truth: which jobs there are, and how they ended. Redis has what is under way: who waits, whose
//! turn it is, who holds which lease. Losing Redis loses no job, because everything in it can be rebuilt from the
//! ledger ([`reconcile`]), and a job that Redis hands out twice is still closed once, because the first close wins.
//!
//! # Keys
//! All begin with `taja:{name}:`, so that a cluster keeps a queue in one slot.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `job:ID` | hash | an open job, its token and where it stands |
//! | `ready:LENGTH:KIND:TENANT` | stream | jobs due, delivered or not, with one consumer group; gone when empty |
//! | `line:KIND` | sorted set | tenants with jobs due, by turn |
//! | `turn` | number | the latest turn |
//! | `delayed` | sorted set | retries, by due time |
//! | `lone:KIND` | sorted set | jobs that run by themselves, by due time |
//! | `leases` | sorted set | jobs that are held, by the end of their lease |
//! | `epoch` | flag | missing once Redis has lost its data |
//! | `reconciling`, `reconciled` | flags | a process is at it, or was a moment ago |
//! | `news` | channel | see [`news`] |
//!
//! A ready job is delivered with `XREADGROUP` and stays in its stream, pending, until it is settled with `XACK` and
//! `XDEL`, so `XPENDING` shows what is out. One consumer stands for all workers, as a job's hash names its worker;
//! a consumer per process would stay behind in every stream. Of one tenant and kind, jobs are served in the order in
//! which they became due *here*: a retry or a job given back goes to the end.
//!
//! # Order of steps
//! A push enters the job, then enqueues it. A settlement checks the token, closes the job, then removes it. Whoever
//! dies in between leaves an open job for the reconciler, or a lease that ends; a job that is started again, or that
//! was in Redis before the present connection, is looked up in the ledger before it is handed out.

mod batch;
mod claim;
mod core;
mod fault;
mod govern;
mod link;
mod live;
mod news;
mod push;
mod read;
mod reconcile;
mod scripts;
mod server;
mod settle;

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use async_trait::async_trait;
use redis::Client;
use tokio_util::task::AbortOnDropHandle;

use self::{
    batch::Batcher,
    core::{Closed, Core},
    link::Link,
    scripts::Scripts,
};
use crate::{
    Backoffs, Claim, Clock, Company, Depth, Ending, Error, JobError, JobFilter, JobId, JobRecord, JsonText,
    Ledger, NewJob, Pushed, Queue, Result, Signals, Standing, Status, SystemClock, Token, Verdict,
    clock::micros, clock::moment,
};

/// How the queue behaves.
#[derive(Clone)]
pub struct RedisOptions {
    /// The queue's name: letters, digits, `-`, `_` and `.`. Queues of different names share nothing.
    pub name: String,
    /// Tells the time. The clocks of all processes have to agree to within a fraction of a lease.
    pub clock: Arc<dyn Clock>,
    /// How long a failed job waits.
    pub backoffs: Backoffs,
    /// How often to look for open jobs that Redis does not know. After a loss of data this happens at once.
    pub reconcile_every: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            name: "jobs".to_owned(),
            clock: Arc::new(SystemClock),
            backoffs: Backoffs::default(),
            reconcile_every: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisOptions")
            .field("name", &self.name)
            .field("backoffs", &self.backoffs)
            .field("reconcile_every", &self.reconcile_every)
            .finish_non_exhaustive()
    }
}

/// A queue in Redis (6.2 or newer, or Valkey) over a ledger. It needs a tokio runtime for as long as it lives.
///
/// While Redis is away, operations are refused as [`Error::Unavailable`] within two seconds, and looking at jobs
/// answers from the ledger alone; it is found again by itself.
pub struct RedisQueue {
    core: Arc<Core>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl std::fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisQueue").field("prefix", &self.core.prefix).finish_non_exhaustive()
    }
}

impl RedisQueue {
    /// Opens a queue: `redis://` or `rediss://` (TLS), with a user, a password and a database number if need be.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if Redis does not answer; [`Error::Storage`] if the address or the name makes no sense, or
    /// the server is too old.
    pub async fn open(url: &str, ledger: Arc<dyn Ledger>, options: RedisOptions) -> Result<Self> {
        let RedisOptions { name, clock, backoffs, reconcile_every } = options;
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
            return Err(Error::storage(std::io::Error::other(format!("`{name}` cannot name a queue"))));
        }
        let client = Client::open(url).map_err(Error::storage)?;
        let link = Link::open(client.clone(), Arc::clone(&clock)).await?;
        server::inspect(&link).await?;
        let (entered, closed, time) = (Arc::clone(&ledger), Arc::clone(&ledger), Arc::clone(&clock));
        let core = Arc::new_cyclic(|core: &Weak<Core>| Core {
            link,
            scripts: Scripts::new(),
            entering: Batcher::start(move |jobs: Vec<NewJob>| {
                let (ledger, now) = (Arc::clone(&entered), time.now());
                async move { ledger.enter(&jobs, now).await }
            }),
            closing: Batcher::start(move |endings: Vec<Ending>| {
                let ledger = Arc::clone(&closed);
                async move { ledger.close(&endings).await }
            }),
            holding: Batcher::start({
                let core = Weak::clone(core);
                move |jobs: Vec<JobId>| {
                    let core = Weak::clone(&core);
                    async move {
                        let core = core.upgrade().ok_or_else(Error::closed);
                        match async { core?.holders(&jobs).await }.await {
                            Ok(holders) => holders.into_iter().map(Ok).collect(),
                            Err(error) => jobs.iter().map(|_| Err(error.clone())).collect(),
                        }
                    }
                }
            }),
            forgetting: Batcher::start({
                let core = Weak::clone(core);
                move |closed: Vec<Closed>| {
                    let core = Weak::clone(&core);
                    async move {
                        if let Some(core) = core.upgrade() {
                            core.forget_all(&closed).await;
                        }
                        closed.iter().map(|_| Ok(())).collect()
                    }
                }
            }),
            ledger,
            signals: Signals::default(),
            clock,
            backoffs,
            stranded: AtomicBool::new(false),
            prefix: format!("taja:{{{name}}}:"),
            origin: JobId::new().to_string(),
        });
        let tasks = [
            tokio::spawn(news::hear(Arc::clone(&core), client)),
            tokio::spawn(reconcile::keep(Arc::clone(&core), reconcile_every)),
        ];
        Ok(Self { core, _tasks: tasks.map(AbortOnDropHandle::new) })
    }

    /// Puts every open job of the ledger that Redis does not know into Redis; answers how many it were. This happens by
    /// itself, too.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if Redis or the ledger does not answer.
    pub async fn reconcile(&self) -> Result<u64> {
        self.core.reconcile().await
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, job: NewJob) -> Result<Pushed> {
        self.core.push(job).await
    }

    async fn claim_several(
        &self,
        worker: &str,
        kinds: &[&str],
        company: Company,
        lease: Duration,
        most: usize,
        passed_over: &[String],
    ) -> Result<Vec<Claim>> {
        self.core.claim(worker, kinds, company, lease, most, passed_over).await
    }

    async fn lone_job_due(&self, kinds: &[&str]) -> Result<bool> {
        self.core.lone_job_due(kinds).await
    }

    async fn renew(&self, token: &Token, lease: Duration) -> Result<Standing> {
        self.core.renew(token, lease).await
    }

    async fn progress(&self, token: &Token, percent: i8, message: &str) -> Result<()> {
        self.core.progress(token, percent, message).await
    }

    async fn got_on(&self, token: &Token) -> Result<()> {
        self.core.got_on(token).await
    }

    async fn complete(&self, token: &Token, result: JsonText) -> Result<()> {
        self.core.complete(token, result).await
    }

    async fn fail(&self, token: &Token, error: JobError) -> Result<Verdict> {
        self.core.fail(token, error).await
    }

    async fn release(&self, token: &Token) -> Result<()> {
        self.core.release(token).await
    }

    async fn cancelled(&self, token: &Token) -> Result<bool> {
        self.core.cancelled(token).await
    }

    async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        self.core.get(tenant, id).await
    }

    async fn status_of(&self, id: JobId) -> Result<Option<Status>> {
        self.core.ledger.status_of(id).await
    }

    async fn list(&self, tenant: &str, filter: JobFilter) -> Result<Vec<JobRecord>> {
        self.core.list(tenant, filter).await
    }

    async fn cancel(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        self.core.cancel(tenant, id).await
    }

    async fn dead(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>> {
        self.core.ledger.dead(tenant, limit).await
    }

    async fn redrive(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        self.core.redrive(tenant, id).await
    }

    async fn untold(&self, limit: u32) -> Result<Vec<JobRecord>> {
        self.core.ledger.untold(limit).await
    }

    async fn told(&self, job: &JobRecord) -> Result<()> {
        self.core.ledger.told(job).await
    }

    async fn depth(&self) -> Result<Vec<Depth>> {
        self.core.depth().await
    }

    async fn about(&self) -> Result<String> {
        Ok(server::version(&self.core.link).await?.to_string())
    }

    async fn purge(&self, statuses: &[Status], older_than: Duration) -> Result<u64> {
        let finished_before = moment(self.core.clock.now_us().saturating_sub(micros(older_than)));
        self.core.ledger.purge(statuses, finished_before).await
    }

    fn signals(&self) -> &Signals {
        &self.core.signals
    }
}

#[cfg(test)]
mod tests;
