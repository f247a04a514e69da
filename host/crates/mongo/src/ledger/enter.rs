//! Entering jobs, or finding the ones that the same requests made before.

use jiff::Timestamp;
use mongodb::{
    Collection,
    bson::{Document, doc},
    error::ErrorKind,
};
use taja_queue::{Error, JobRecord, NewJob, Pushed, Result, Status};

use super::{
    error::{Refused, Restless, queue},
    json, read,
    row::{Row, records},
};
use crate::{
    call::{CallError, PATIENCE, within},
    error::DUPLICATE_KEY,
};

/// How often a job is entered whose id or key was taken, and then was not.
const ROUNDS: u32 = 3;

/// A job on its way in.
struct Entry<'a> {
    new: &'a NewJob,
    job: JobRecord,
    row: Row,
    /// Where its answer goes.
    place: usize,
}

pub(super) async fn enter(jobs: &Collection<Row>, new: &[NewJob], now: Timestamp) -> Vec<Result<Pushed>> {
    let mut answers: Vec<Option<Result<Pushed>>> = new.iter().map(|_| None).collect();
    let mut waiting = Vec::with_capacity(new.len());
    for (place, new) in new.iter().enumerate() {
        match entry(new, place, now).await {
            Ok(entry) => waiting.push(entry),
            Err(error) => answers[place] = Some(Err(error)),
        }
    }
    for _ in 0..ROUNDS {
        if waiting.is_empty() {
            break;
        }
        let taken = insert(jobs, waiting, &mut answers).await;
        waiting = find_earlier(jobs, taken, &mut answers).await;
    }
    answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(Error::unavailable(Restless)))).collect()
}

async fn entry(new: &NewJob, place: usize, now: Timestamp) -> Result<Entry<'_>> {
    // As precise as it is stored.
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let job = JobRecord {
        id: new.id,
        kind: new.kind.clone(),
        tenant: new.tenant.clone(),
        status: Status::Pending,
        attempts: 0,
        max_attempts: new.max_attempts.max(1),
        progress: -1,
        message: String::new(),
        payload: new.payload.clone(),
        result: None,
        error: None,
        cancel_asked: false,
        tell: new.tell,
        created_at: now,
        started_at: None,
        finished_at: None,
        updated_at: now,
    };
    let row = Row::entered(&job, json::stored("payload", &new.payload).await?, new.idempotency.clone());
    Ok(Entry { new, job, row, place })
}

/// Inserts them all in one round trip; answers those whose id or key is taken.
async fn insert<'a>(
    jobs: &Collection<Row>,
    entries: Vec<Entry<'a>>,
    answers: &mut [Option<Result<Pushed>>],
) -> Vec<Entry<'a>> {
    let rows = entries.iter().map(|entry| &entry.row);
    // An insert that is sent again because its reply was lost is known by the server and answered as the first time.
    let outcomes = match within(PATIENCE, jobs.insert_many(rows).ordered(false)).await {
        Ok(_) => vec![None; entries.len()],
        Err(error) => refusals(error, entries.len()),
    };
    let mut taken = Vec::new();
    for (entry, refusal) in entries.into_iter().zip(outcomes) {
        match refusal {
            None => answers[entry.place] = Some(Ok(Pushed { job: entry.job, existing: false })),
            Some(Refusal::Taken) => taken.push(entry),
            Some(Refusal::Failed(error)) => answers[entry.place] = Some(Err(error)),
        }
    }
    taken
}

/// Why a job was not inserted.
#[derive(Clone)]
enum Refusal {
    Taken,
    Failed(Error),
}

/// What went wrong with each of so many jobs; none where nothing did.
fn refusals(error: CallError, jobs: usize) -> Vec<Option<Refusal>> {
    let (refused, concern) = match &error {
        CallError::Driver(driver) => match driver.kind.as_ref() {
            ErrorKind::InsertMany(many) => (many.write_errors.clone(), many.write_concern_error.clone()),
            _ => (None, None),
        },
        CallError::Late(_) => (None, None),
    };
    let rest = match (&refused, concern) {
        (_, Some(concern)) => {
            Some(Error::unavailable(Refused { code: concern.code, message: concern.message }))
        }
        (None, None) => Some(queue(error)),
        (Some(_), None) => None,
    };
    let mut refusals = vec![rest.map(Refusal::Failed); jobs];
    for refused in refused.into_iter().flatten() {
        let refusal = if refused.code == DUPLICATE_KEY {
            Refusal::Taken
        } else {
            Refusal::Failed(Refused { code: refused.code, message: refused.message }.into())
        };
        if let Some(place) = refusals.get_mut(refused.index) {
            *place = Some(refusal);
        }
    }
    refusals
}

/// Answers those that are there with the job that is; the others it gives back.
async fn find_earlier<'a>(
    jobs: &Collection<Row>,
    taken: Vec<Entry<'a>>,
    answers: &mut [Option<Result<Pushed>>],
) -> Vec<Entry<'a>> {
    if taken.is_empty() {
        return taken;
    }
    let any: Vec<Document> = taken.iter().flat_map(|entry| sought(entry.new)).collect();
    let earlier = match read::find(jobs, doc! { "$or": any }).await {
        Ok(earlier) => earlier,
        Err(error) => {
            for entry in taken {
                answers[entry.place] = Some(Err(error.clone()));
            }
            return Vec::new();
        }
    };
    let mut gone = Vec::new();
    for entry in taken {
        let by_key = earlier.iter().find(|row| has_key(row, entry.new));
        match by_key.or_else(|| earlier.iter().find(|row| row.id == entry.row.id)) {
            Some(row) => answers[entry.place] = Some(existing(row.clone(), entry.new).await),
            None => gone.push(entry),
        }
    }
    gone
}

/// What has the job's id, and what has its key.
fn sought(job: &NewJob) -> impl Iterator<Item = Document> + use<> {
    let by_key = job
        .idempotency
        .as_ref()
        .map(|request| doc! { "tenant": &job.tenant, "idempotency.key": &request.key });
    std::iter::once(doc! { "_id": job.id.to_string() }).chain(by_key)
}

fn has_key(row: &Row, job: &NewJob) -> bool {
    let keys = (row.idempotency.as_ref(), job.idempotency.as_ref());
    matches!(keys, (Some(earlier), Some(request)) if earlier.key == request.key) && row.tenant == job.tenant
}

/// The job that the request made before, if it is the same request.
async fn existing(row: Row, job: &NewJob) -> Result<Pushed> {
    let earlier = row.idempotency.clone();
    let record = records(vec![row]).await?.pop().ok_or_else(|| Error::storage(Restless))?;
    let same_body = match (&earlier, &job.idempotency) {
        (Some(earlier), Some(request)) => earlier.body_digest == request.body_digest,
        (None, None) => record.payload == job.payload,
        _ => false,
    };
    if same_body && record.kind == job.kind && record.tenant == job.tenant {
        return Ok(Pushed { job: record, existing: true });
    }
    let key = job.idempotency.as_ref().map_or_else(|| job.id.to_string(), |request| request.key.clone());
    Err(Error::Conflict { key })
}
