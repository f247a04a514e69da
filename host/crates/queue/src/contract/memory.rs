//! A ledger in memory: the plainest one that keeps the promises, for tests of what stands on a ledger.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{
    Depth, Ending, Error, Idempotency, JobError, JobFilter, JobId, JobRecord, Ledger, NewJob, OpenJob,
    Pushed, Result, Status,
};

/// A [`Ledger`] that forgets everything with its process.
#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<BTreeMap<JobId, Entry>>);

#[derive(Debug, Clone)]
struct Entry {
    job: JobRecord,
    request: Option<Idempotency>,
    due_at: Timestamp,
    lone: bool,
    /// What it was closed with.
    token: Option<i64>,
    /// Whether its end was told.
    told: bool,
}

impl Entry {
    fn new(job: &NewJob, now: Timestamp) -> Self {
        let record = JobRecord {
            id: job.id,
            kind: job.kind.clone(),
            tenant: job.tenant.clone(),
            status: Status::Pending,
            attempts: 0,
            max_attempts: job.max_attempts.max(1),
            progress: -1,
            message: String::new(),
            payload: job.payload.clone(),
            result: None,
            error: None,
            cancel_asked: false,
            tell: job.tell,
            created_at: now,
            started_at: None,
            finished_at: None,
            updated_at: now,
        };
        Self {
            job: record,
            request: job.idempotency.clone(),
            due_at: now,
            lone: false,
            token: None,
            told: false,
        }
    }

    fn is_open(&self) -> bool {
        !self.job.status.is_terminal()
    }

    fn is_same_request(&self, job: &NewJob) -> bool {
        let same_body = match (&self.request, &job.idempotency) {
            (Some(earlier), Some(request)) => earlier.body_digest == request.body_digest,
            (None, None) => self.job.payload == job.payload,
            _ => false,
        };
        same_body && self.job.kind == job.kind && self.job.tenant == job.tenant
    }

    fn has_key(&self, job: &NewJob) -> bool {
        let keys = (self.request.as_ref(), job.idempotency.as_ref());
        matches!(keys, (Some(earlier), Some(request)) if earlier.key == request.key)
            && self.job.tenant == job.tenant
    }

    fn open_job(&self) -> OpenJob {
        OpenJob { job: self.job.clone(), due_at: self.due_at, lone: self.lone }
    }
}

fn enter(entries: &mut BTreeMap<JobId, Entry>, job: &NewJob, now: Timestamp) -> Result<Pushed> {
    let by_key = job.idempotency.as_ref().and_then(|_| entries.values().find(|entry| entry.has_key(job)));
    let earlier = by_key.or_else(|| entries.get(&job.id));
    let Some(earlier) = earlier else {
        let entry = Entry::new(job, now);
        let record = entry.job.clone();
        entries.insert(job.id, entry);
        return Ok(Pushed { job: record, existing: false });
    };
    let conflict = || {
        let key = job.idempotency.as_ref().map_or_else(|| job.id.to_string(), |request| request.key.clone());
        Error::Conflict { key }
    };
    earlier
        .is_same_request(job)
        .then(|| Pushed { job: earlier.job.clone(), existing: true })
        .ok_or_else(conflict)
}

fn close(entries: &mut BTreeMap<JobId, Entry>, ending: &Ending) -> bool {
    let Some(entry) = entries.get_mut(&ending.job.id) else { return false };
    if !entry.is_open() {
        return ending.token.is_some() && entry.token == ending.token;
    }
    entry.job = ending.job.clone();
    entry.token = ending.token;
    true
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn enter(&self, jobs: &[NewJob], now: Timestamp) -> Vec<Result<Pushed>> {
        let mut entries = self.0.lock();
        jobs.iter().map(|job| enter(&mut entries, job, now)).collect()
    }

    async fn withdraw(&self, jobs: &[JobId]) -> Result<()> {
        self.0.lock().retain(|id, entry| !(entry.is_open() && jobs.contains(id)));
        Ok(())
    }

    async fn close(&self, endings: &[Ending]) -> Vec<Result<bool>> {
        let mut entries = self.0.lock();
        endings.iter().map(|ending| Ok(close(&mut entries, ending))).collect()
    }

    async fn note(&self, open: &OpenJob) -> Result<()> {
        if let Some(entry) = self.0.lock().get_mut(&open.job.id).filter(|entry| entry.is_open()) {
            entry.job = open.job.clone();
            entry.due_at = open.due_at;
            entry.lone = open.lone;
        }
        Ok(())
    }

    async fn reopen(&self, tenant: &str, id: JobId, now: Timestamp) -> Result<Option<OpenJob>> {
        let mut entries = self.0.lock();
        let Some(entry) = entries.get_mut(&id).filter(|entry| entry.job.tenant == tenant) else {
            return Ok(None);
        };
        if entry.job.status != Status::Failed {
            return Err(Error::NotDead { id, status: entry.job.status });
        }
        // What cost its workers their lives is not let near others again.
        entry.lone = entry.job.error.as_ref().is_some_and(|error| error.code == JobError::WORKER_LOST);
        entry.due_at = now;
        entry.token = None;
        entry.told = false;
        let job = &mut entry.job;
        (job.status, job.attempts, job.progress) = (Status::Pending, 0, -1);
        (job.finished_at, job.updated_at, job.cancel_asked) = (None, now, false);
        job.message.clear();
        Ok(Some(entry.open_job()))
    }

    async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let found = self.0.lock().get(&id).map(|entry| entry.job.clone());
        Ok(found.filter(|job| job.tenant == tenant))
    }

    async fn status_of(&self, id: JobId) -> Result<Option<Status>> {
        Ok(self.0.lock().get(&id).map(|entry| entry.job.status))
    }

    async fn list(&self, tenant: &str, filter: &JobFilter) -> Result<Vec<JobRecord>> {
        let wanted = |job: &JobRecord| {
            let open = !job.status.is_terminal();
            job.tenant == tenant
                && filter.kind.as_ref().is_none_or(|kind| *kind == job.kind)
                && filter.before.is_none_or(|before| job.id < before)
                && filter.status.is_none_or(|status| job.status == status || (open && !status.is_terminal()))
        };
        let entries = self.0.lock();
        let newest_first = entries.values().rev().map(|entry| &entry.job);
        Ok(newest_first.filter(|job| wanted(job)).take(filter.limit as usize).cloned().collect())
    }

    async fn dead(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>> {
        let buried = |job: &JobRecord| {
            job.status == Status::Failed && tenant.is_none_or(|tenant| tenant == job.tenant)
        };
        let entries = self.0.lock();
        let mut dead: Vec<JobRecord> =
            entries.values().map(|entry| &entry.job).filter(|job| buried(job)).cloned().collect();
        dead.sort_by_key(|job| std::cmp::Reverse((job.finished_at, job.id)));
        dead.truncate(limit as usize);
        Ok(dead)
    }

    async fn depth(&self) -> Result<Vec<Depth>> {
        let mut counts = BTreeMap::new();
        for entry in self.0.lock().values() {
            *counts.entry((entry.job.kind.clone(), entry.job.status)).or_default() += 1;
        }
        Ok(counts.into_iter().map(|((kind, status), jobs)| Depth { kind, status, jobs }).collect())
    }

    async fn untold(&self, limit: u32) -> Result<Vec<JobRecord>> {
        let entries = self.0.lock();
        let untold = entries.values().filter(|entry| entry.job.tell && !entry.told && !entry.is_open());
        Ok(untold.map(|entry| entry.job.clone()).take(limit as usize).collect())
    }

    async fn told(&self, job: &JobRecord) -> Result<()> {
        if let Some(entry) = self.0.lock().get_mut(&job.id)
            && entry.job.finished_at == job.finished_at
            && !entry.is_open()
        {
            entry.told = true;
        }
        Ok(())
    }

    async fn purge(&self, statuses: &[Status], finished_before: Timestamp) -> Result<u64> {
        let old = |entry: &Entry| {
            let job = &entry.job;
            (entry.told || !entry.job.tell)
                && job.status.is_terminal()
                && statuses.contains(&job.status)
                && job.finished_at.is_some_and(|finished| finished < finished_before)
        };
        let mut entries = self.0.lock();
        let before = entries.len();
        entries.retain(|_, entry| !old(entry));
        Ok((before - entries.len()) as u64)
    }

    async fn open_jobs(&self, after: Option<JobId>, limit: u32) -> Result<Vec<OpenJob>> {
        let entries = self.0.lock();
        let open =
            entries.values().filter(|entry| entry.is_open() && after.is_none_or(|id| entry.job.id > id));
        Ok(open.take(limit as usize).map(Entry::open_job).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn the_ledger_in_memory_keeps_the_contract() {
        crate::contract::ledger_suite(|| async { Arc::new(MemoryLedger::default()) as Arc<dyn Ledger> })
            .await;
    }
}
