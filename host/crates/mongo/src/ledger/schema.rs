//! The collection of jobs, its rules and its indexes.

use futures::TryStreamExt;
use mongodb::{
    Database, IndexModel,
    bson::{Document, doc},
    error::{Error as MongoError, ErrorKind},
    options::IndexOptions,
};
use taja_queue::Result;

use super::error::queue;
use crate::call::{PATIENCE, within};

/// The collection.
pub(super) const JOBS: &str = "jobs";

/// The server's number for a collection that is there already.
const EXISTS: i32 = 48;

/// Makes what is missing.
pub(super) async fn prepare(database: &Database) -> Result<()> {
    let made = within(PATIENCE, database.create_collection(JOBS).validator(rules())).await;
    match made {
        Ok(()) => {}
        Err(crate::call::CallError::Driver(error)) if is_there(&error) => keep_rules(database).await?,
        Err(error) => return Err(queue(error)),
    }
    // Indexes that are there already cost a look; new ones over many jobs take their time.
    database
        .collection::<Document>(JOBS)
        .create_indexes(indexes())
        .await
        .map_err(|error| queue(error.into()))?;
    Ok(())
}

fn is_there(error: &MongoError) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == EXISTS)
}

/// Brings the rules of a collection that was made by another version up to date.
async fn keep_rules(database: &Database) -> Result<()> {
    let look = async {
        let found = database.list_collections().filter(doc! { "name": JOBS }).await?;
        found.try_collect::<Vec<_>>().await
    };
    let found = within(PATIENCE, look).await.map_err(queue)?;
    if found.iter().any(|jobs| jobs.options.validator.as_ref() == Some(&rules())) {
        return Ok(());
    }
    let change = doc! { "collMod": JOBS, "validator": rules() };
    within(PATIENCE, database.run_command(change)).await.map_err(queue)?;
    Ok(())
}

fn rules() -> Document {
    let time = doc! { "bsonType": "long" };
    let json = doc! { "bsonType": ["string", "binData"] };
    doc! { "$jsonSchema": {
        "bsonType": "object",
        "required": [
            "_id", "tenant", "kind", "status", "attempts", "max_attempts", "progress", "message", "payload",
            "cancel_asked", "created_at", "updated_at", "due_at", "lone",
        ],
        "properties": {
            "_id": { "bsonType": "string" },
            "tenant": { "bsonType": "string" },
            "kind": { "bsonType": "string" },
            "status": { "enum": ["pending", "completed", "failed", "cancelled"] },
            "attempts": { "bsonType": "long", "minimum": 0 },
            "max_attempts": { "bsonType": "long", "minimum": 1 },
            "progress": { "bsonType": "int", "minimum": -1, "maximum": 100 },
            "message": { "bsonType": "string" },
            "payload": json.clone(),
            "result": json,
            "error": { "bsonType": "object", "required": ["blame", "retryable", "code", "message"] },
            "cancel_asked": { "bsonType": "bool" },
            "created_at": time.clone(),
            "started_at": time.clone(),
            "finished_at": time.clone(),
            "updated_at": time.clone(),
            "due_at": time,
            "lone": { "bsonType": "bool" },
            "telling": { "enum": ["untold", "told"] },
            "idempotency": {
                "bsonType": "object",
                "required": ["key", "body_digest"],
                "properties": { "key": { "bsonType": "string" }, "body_digest": { "bsonType": "string" } },
            },
            "token": { "bsonType": "long" },
            "ending": { "bsonType": "objectId" },
        },
    } }
}

/// The index that [`super::read::depth`] counts in. Purging looks there, too.
pub(super) fn counted() -> Document {
    doc! { "status": 1, "kind": 1, "finished_at": -1 }
}

/// As few as will do: each one is written when a job is entered, and the ones that know its end once more when it is
/// closed.
fn indexes() -> Vec<IndexModel> {
    let index = |keys| IndexModel::builder().keys(keys).build();
    let only = |keys, filter| {
        let options = IndexOptions::builder().partial_filter_expression(filter).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let once = IndexOptions::builder()
        .unique(true)
        .partial_filter_expression(doc! { "idempotency.key": { "$exists": true } })
        .build();
    vec![
        IndexModel::builder().keys(doc! { "tenant": 1, "idempotency.key": 1 }).options(once).build(),
        // Lists, newest first. A kind or a status is looked for among a tenant's jobs.
        index(doc! { "tenant": 1, "_id": -1 }),
        // The grave, of one tenant or of all.
        only(doc! { "tenant": 1, "finished_at": -1, "_id": -1 }, doc! { "status": "failed" }),
        only(doc! { "finished_at": -1, "_id": -1 }, doc! { "status": "failed" }),
        // Open jobs by id.
        only(doc! { "status": 1, "_id": 1 }, doc! { "status": "pending" }),
        // Ends that have to be told.
        only(doc! { "telling": 1, "status": 1 }, doc! { "telling": "untold" }),
        index(counted()),
    ]
}
