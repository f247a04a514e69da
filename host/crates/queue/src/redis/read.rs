//! Looking at jobs: the ledger's records, and over the open ones what Redis knows of them.

use std::collections::HashMap;

use super::{core::Core, fault::Fault, live::Live};
use crate::{Depth, Error, JobFilter, JobId, JobRecord, Result, Status};

impl Core {
    pub(super) async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let live = self.live(id).await.inspect_err(|error| self.without_redis(error));
        match live {
            Ok(Some(live)) if live.job.tenant != tenant => Ok(None),
            Ok(Some(live)) if !self.is_old(&live) => Ok(Some(live.job)),
            Ok(Some(live)) => {
                let record = self.ledger.get(tenant, id).await?;
                Ok(record.map(|job| if job.status.is_terminal() { job } else { live.job }))
            }
            Ok(None) | Err(Error::Unavailable(_)) => self.ledger.get(tenant, id).await,
            Err(error) => Err(error),
        }
    }

    pub(super) async fn list(&self, tenant: &str, filter: JobFilter) -> Result<Vec<JobRecord>> {
        match filter.status {
            Some(Status::Processing) => self.list_running(tenant, &filter).await,
            Some(Status::Pending) => self.list_waiting(tenant, filter).await,
            _ => self.overlaid(self.ledger.list(tenant, &filter).await?).await,
        }
    }

    pub(super) async fn depth(&self) -> Result<Vec<Depth>> {
        let mut depths = self.ledger.depth().await?;
        let running = match self.running_kinds().await {
            Err(error @ Error::Unavailable(_)) => {
                self.without_redis(&error);
                HashMap::new()
            }
            counted => counted?,
        };
        for depth in depths.iter_mut().filter(|depth| depth.status == Status::Pending) {
            depth.jobs = depth.jobs.saturating_sub(running.get(&depth.kind).copied().unwrap_or(0));
        }
        depths.retain(|depth| depth.jobs > 0);
        let processing =
            running.into_iter().map(|(kind, jobs)| Depth { kind, status: Status::Processing, jobs });
        depths.extend(processing);
        Ok(depths)
    }

    pub(super) async fn lone_job_due(&self, kinds: &[&str]) -> Result<bool> {
        if kinds.is_empty() {
            return Ok(false);
        }
        let now = self.clock.now_us();
        let mut pipeline = redis::pipe();
        for kind in kinds {
            pipeline.cmd("ZCOUNT").arg(self.key(&format!("lone:{kind}"))).arg("-inf").arg(now);
        }
        let due: Vec<u64> = self.link.pipeline(&pipeline).await?;
        Ok(due.iter().any(|&jobs| jobs > 0))
    }

    async fn leased(&self) -> Result<Vec<JobId>, Fault> {
        let leases = self.key("leases");
        let ids: Vec<String> = self.link.command(redis::cmd("ZRANGE").arg(leases).arg(0).arg(-1)).await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// How many jobs of each kind are running.
    async fn running_kinds(&self) -> Result<HashMap<String, u64>> {
        let leased = self.leased().await?;
        let mut running = HashMap::new();
        if leased.is_empty() {
            return Ok(running);
        }
        let mut pipeline = redis::pipe();
        for id in leased {
            pipeline.cmd("HMGET").arg(self.job_key(id)).arg("kind").arg("status");
        }
        let jobs: Vec<(Option<String>, Option<String>)> = self.link.pipeline(&pipeline).await?;
        for (kind, status) in jobs {
            if let Some(kind) = kind
                && status.as_deref() == Some(Status::Processing.as_str())
            {
                *running.entry(kind).or_default() += 1;
            }
        }
        Ok(running)
    }

    async fn list_running(&self, tenant: &str, filter: &JobFilter) -> Result<Vec<JobRecord>> {
        let lives = self.lives(&self.leased().await?).await?;
        let wanted = |job: &JobRecord| {
            job.tenant == tenant
                && job.status == Status::Processing
                && filter.kind.as_ref().is_none_or(|kind| *kind == job.kind)
                && filter.before.is_none_or(|before| job.id < before)
        };
        let mut jobs: Vec<JobRecord> = lives.into_iter().map(|live| live.job).filter(wanted).collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
        jobs.truncate(filter.limit as usize);
        Ok(jobs)
    }

    /// Reads on until the page is full, since the ledger takes running jobs for waiting ones.
    async fn list_waiting(&self, tenant: &str, mut filter: JobFilter) -> Result<Vec<JobRecord>> {
        let limit = filter.limit as usize;
        let mut waiting = Vec::new();
        while waiting.len() < limit {
            let page = self.ledger.list(tenant, &filter).await?;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.id);
            let jobs = self.overlaid(page).await?;
            waiting.extend(jobs.into_iter().filter(|job| job.status == Status::Pending));
        }
        waiting.truncate(limit);
        Ok(waiting)
    }

    /// Lays what Redis knows over the records of open jobs.
    async fn overlaid(&self, mut records: Vec<JobRecord>) -> Result<Vec<JobRecord>> {
        let open: Vec<JobId> =
            records.iter().filter(|job| !job.status.is_terminal()).map(|job| job.id).collect();
        let lives: Vec<Live> = match self.lives(&open).await {
            Err(error @ Error::Unavailable(_)) => {
                self.without_redis(&error);
                return Ok(records);
            }
            found => found?,
        };
        let mut lives: HashMap<JobId, JobRecord> =
            lives.into_iter().map(|live| (live.job.id, live.job)).collect();
        for record in &mut records {
            if let Some(live) = lives.remove(&record.id) {
                *record = live;
            }
        }
        Ok(records)
    }

    fn without_redis(&self, error: &Error) {
        tracing::debug!(queue = self.prefix, %error, "answering from the ledger alone");
    }
}
