//! What jobs leave behind, and how often: the marks by which a lost or doubled job is known.
//!
//! A handler notes its start, then commits its effect as the product does: a receipt under the job's id and the effect,
//! in one transaction. The effects have no unique key of their own, so a second one would show.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use mongodb::{
    Client, Collection, Database,
    bson::{Document, doc},
    error::{Error as MongoError, ErrorKind, WriteFailure},
    options::{ClientOptions, ReadConcern, WriteConcern},
};
use parking_lot::Mutex;
use taja_queue::JobId;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::report::Row;

const DUPLICATE_KEY: i32 = 11000;
/// How long the ends of jobs may take to be heard of.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// The collections of one fault.
#[derive(Debug, Clone)]
pub struct Effects {
    client: Client,
    database: Database,
}

impl Effects {
    pub async fn open(uri: &str, database: &str) -> Result<Self> {
        let mut options = ClientOptions::parse(uri).await?;
        options.write_concern = Some(WriteConcern::majority());
        options.read_concern = Some(ReadConcern::majority());
        let client = Client::with_options(options)?;
        let database = client.database(database);
        Ok(Self { client, database })
    }

    /// Makes the collections, which a transaction had better find there.
    pub async fn prepare(&self) -> Result<()> {
        for name in ["starts", "receipts", "effects"] {
            self.database.create_collection(name).await?;
        }
        self.named("effects")
            .create_index(mongodb::IndexModel::builder().keys(doc! { "job": 1 }).build())
            .await?;
        Ok(())
    }

    fn named(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Notes that a handler started, and in which process.
    pub async fn started(&self, job: JobId, by: &str) -> Result<(), MongoError> {
        let update = doc! { "$inc": { "starts": 1 }, "$push": { "by": by } };
        self.named("starts").update_one(doc! { "_id": job.to_string() }, update).upsert(true).await?;
        Ok(())
    }

    /// Commits a job's effect, unless an earlier run did.
    pub async fn take(&self, job: JobId, by: &str) -> Result<(), MongoError> {
        let (receipts, effects) = (self.named("receipts"), self.named("effects"));
        let (id, by) = (job.to_string(), by.to_owned());
        let mut session = self.client.start_session().await?;
        let committed = session.start_transaction().and_run2(async move |session| {
            receipts.insert_one(doc! { "_id": &id, "by": &by }).session(&mut *session).await?;
            effects.insert_one(doc! { "job": &id, "by": &by }).session(&mut *session).await
        });
        match committed.await {
            Err(error) if is_duplicate(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The processes that started each job.
    pub async fn starters(&self) -> Result<HashMap<String, Vec<String>>> {
        let rows: Vec<Document> = self.named("starts").find(doc! {}).await?.try_collect().await?;
        rows.into_iter()
            .map(|row| {
                let by =
                    row.get_array("by")?.iter().filter_map(|by| by.as_str().map(str::to_owned)).collect();
                Ok((row.get_str("_id")?.to_owned(), by))
            })
            .collect()
    }

    /// How many jobs have not ended.
    pub async fn open_jobs(&self) -> Result<u64> {
        Ok(self.named("jobs").count_documents(doc! { "status": "pending" }).await?)
    }

    /// The statuses of all jobs.
    pub async fn statuses(&self) -> Result<HashMap<String, String>> {
        let rows = self.named("jobs").find(doc! {}).projection(doc! { "status": 1 }).await?;
        let rows: Vec<Document> = rows.try_collect().await?;
        rows.iter()
            .map(|row| Ok((row.get_str("_id")?.to_owned(), row.get_str("status")?.to_owned())))
            .collect()
    }

    async fn effects_of_each(&self) -> Result<HashMap<String, u64>> {
        let rows: Vec<Document> = self.named("effects").find(doc! {}).await?.try_collect().await?;
        let mut counts = HashMap::new();
        for row in rows {
            *counts.entry(row.get_str("job")?.to_owned()).or_default() += 1;
        }
        Ok(counts)
    }

    /// Begins to listen to the ends of jobs.
    pub async fn endings(&self) -> Result<Endings> {
        let ended = doc! { "$match": {
            "operationType": "update",
            "updateDescription.updatedFields.status": { "$in": ["completed", "failed", "cancelled"] },
        } };
        let mut stream = self.named("jobs").watch().pipeline([ended]).await?;
        let counts: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let heard = Arc::clone(&counts);
        let listening: JoinHandle<()> = tokio::spawn(async move {
            loop {
                match stream.try_next().await {
                    Ok(Some(event)) => {
                        let id = event.document_key.as_ref().and_then(|key| key.get_str("_id").ok());
                        *heard.lock().entry(id.unwrap_or_default().to_owned()).or_default() += 1;
                    }
                    Ok(None) => return,
                    Err(error) => {
                        eprintln!("the ends of jobs are not heard any more: {error}");
                        return;
                    }
                }
            }
        });
        Ok(Endings { counts, _listening: AbortOnDropHandle::new(listening) })
    }

    /// Counts what became of these jobs. One that has no effect and did not fail is lost; so is one of `doomed` that
    /// has not failed.
    pub async fn count(&self, endings: &Endings, jobs: &[JobId], doomed: &[JobId]) -> Result<Row> {
        let (statuses, effects) = (self.statuses().await?, self.effects_of_each().await?);
        let starters = self.starters().await?;
        let mut row = Row { jobs: jobs.len() as u64, ..Row::default() };
        for job in jobs {
            let (status, id) = (statuses.get(&job.to_string()).map(String::as_str), job.to_string());
            let well = if doomed.contains(job) {
                status == Some("failed")
            } else {
                status == Some("completed") && effects.contains_key(&id)
            };
            row.lost += u64::from(!well);
            row.expect(
                well,
                format!("job {id} is {status:?} after {} starts", starters.get(&id).map_or(0, Vec::len)),
            );
        }
        // A few tell as much as all.
        row.complaints.truncate(3);
        let ended = endings.of(jobs.len()).await;
        row.doubled = effects.values().chain(ended.values()).map(|count| count - 1).sum();
        row.redelivered = starters.values().map(|by| by.len() as u64 - 1).sum();
        Ok(row)
    }
}

/// How often each job ended, by the change stream of its collection.
#[derive(Debug)]
pub struct Endings {
    counts: Arc<Mutex<HashMap<String, u64>>>,
    _listening: AbortOnDropHandle<()>,
}

impl Endings {
    /// The counts, once so many jobs were heard of or nothing more can be expected.
    async fn of(&self, jobs: usize) -> HashMap<String, u64> {
        let heard = async {
            while self.counts.lock().len() < jobs {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // Whatever is missing is counted as lost elsewhere.
        let _ = tokio::time::timeout(HEARD_WITHIN, heard).await;
        self.counts.lock().clone()
    }
}

fn is_duplicate(error: &MongoError) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.code == DUPLICATE_KEY,
        ErrorKind::Command(refused) => refused.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// The text of a field of a job's result.
pub fn result_by(job: &taja_queue::JobRecord) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct By {
        by: String,
    }
    let result = job.result.as_ref().and_then(|result| result.read::<By>().ok());
    result.map(|result| result.by).with_context(|| format!("job {} has no result", job.id))
}
