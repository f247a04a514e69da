//! The ledger of jobs: one document per job in the collection `jobs`.
//!
//! Payloads and results are kept as JSON text, so that every number and every name comes back as it went in; long ones
//! are compressed. Every acknowledged write is on a majority of the replica set.

mod close;
mod enter;
mod error;
mod govern;
mod json;
mod read;
mod row;
mod schema;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::Collection;
use taja_queue::{
    Depth, Ending, JobFilter, JobId, JobRecord, Ledger, NewJob, OpenJob, Pushed, Result, Status,
};

use self::row::Row;
use crate::Mongo;

/// The records of jobs in MongoDB.
#[derive(Debug, Clone)]
pub struct MongoLedger {
    mongo: Mongo,
    jobs: Collection<Row>,
}

impl MongoLedger {
    /// Opens the collection, and makes it, its rules and its indexes where they are missing. Several processes may do
    /// so at once.
    ///
    /// # Errors
    /// [`taja_queue::Error::Unavailable`] when the server cannot be reached, [`taja_queue::Error::Storage`] when it
    /// refuses.
    pub async fn open(mongo: &Mongo) -> Result<Self> {
        schema::prepare(mongo.database()).await?;
        Ok(Self { mongo: mongo.clone(), jobs: mongo.database().collection(schema::JOBS) })
    }
}

#[async_trait]
impl Ledger for MongoLedger {
    async fn enter(&self, jobs: &[NewJob], now: Timestamp) -> Vec<Result<Pushed>> {
        enter::enter(&self.jobs, jobs, now).await
    }

    async fn withdraw(&self, jobs: &[JobId]) -> Result<()> {
        govern::withdraw(&self.jobs, jobs).await
    }

    async fn close(&self, endings: &[Ending]) -> Vec<Result<bool>> {
        close::close(self.mongo.database(), &self.jobs, endings).await
    }

    async fn note(&self, job: &OpenJob) -> Result<()> {
        govern::note(&self.jobs, job).await
    }

    async fn reopen(&self, tenant: &str, id: JobId, now: Timestamp) -> Result<Option<OpenJob>> {
        govern::reopen(&self.jobs, tenant, id, now).await
    }

    async fn get(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        read::get(&self.jobs, tenant, id).await
    }

    async fn status_of(&self, id: JobId) -> Result<Option<Status>> {
        read::status_of(&self.jobs, id).await
    }

    async fn list(&self, tenant: &str, filter: &JobFilter) -> Result<Vec<JobRecord>> {
        read::list(&self.jobs, tenant, filter).await
    }

    async fn dead(&self, tenant: Option<&str>, limit: u32) -> Result<Vec<JobRecord>> {
        read::dead(&self.jobs, tenant, limit).await
    }

    async fn depth(&self) -> Result<Vec<Depth>> {
        read::depth(&self.jobs).await
    }

    async fn untold(&self, limit: u32) -> Result<Vec<JobRecord>> {
        read::untold(&self.jobs, limit).await
    }

    async fn told(&self, job: &JobRecord) -> Result<()> {
        govern::told(&self.jobs, job).await
    }

    async fn purge(&self, statuses: &[Status], finished_before: Timestamp) -> Result<u64> {
        govern::purge(&self.jobs, statuses, finished_before).await
    }

    async fn open_jobs(&self, after: Option<JobId>, limit: u32) -> Result<Vec<OpenJob>> {
        read::open_jobs(&self.jobs, after, limit).await
    }
}
