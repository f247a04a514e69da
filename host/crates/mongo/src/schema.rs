//! Collections with their rules and indexes, made at opening.
//!
//! Everything here can run again and at several places at once. The rules are `moderate`: a document that was there
//! before and breaks them can still be read and changed.

mod indexes;
mod rules;

use std::{collections::HashMap, time::Duration};

use futures::TryStreamExt;
use mongodb::{
    Database,
    bson::{Document, doc},
    error::Error,
};
use taja_catalog::PortResult;

use crate::{
    collections::Collections,
    error::{code_of, mongo},
};

/// The server's number for a collection that is there.
const NAMESPACE_EXISTS: i32 = 48;
/// The server's numbers for a change that met another process's: lock timeout, lock busy, write conflict, conflicting
/// operation, index build aborted.
const MET: [i32; 5] = [24, 46, 112, 117, 276];
/// Times a change that met another is tried.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes what is missing and brings rules up to date.
pub(crate) async fn prepare(collections: &Collections) -> PortResult<()> {
    let database = &collections.database;
    let specifications = database.list_collections().await.map_err(mongo)?;
    let specifications: Vec<_> = specifications.try_collect().await.map_err(mongo)?;
    let rules_of = specifications.into_iter().map(|found| (found.name, found.options.validator));
    let stored: HashMap<_, _> = rules_of.collect();
    let products = collections.products.name();
    for (name, rule) in rules::all(products) {
        match stored.get(name) {
            Some(Some(stored)) if *stored == rule => {}
            Some(_) => change_rule(database, name, &rule).await?,
            None => create(database, name, &rule).await?,
        }
    }
    for (name, indexes) in indexes::all(products) {
        patiently(database, doc! { "createIndexes": name, "indexes": indexes }).await.map_err(mongo)?;
    }
    note_changes(collections).await
}

/// Notes when products last changed where filters look for it, of those that were stored before that was noted there.
async fn note_changes(collections: &Collections) -> PortResult<()> {
    let shops = collections.search.distinct("tenant", doc! {}).await.map_err(mongo)?;
    for shop in shops {
        let stored = doc! {
            "from": collections.products.name(),
            "let": { "product": "$product" },
            "pipeline": [
                { "$match": { "tenant": &shop, "$expr": { "$eq": ["$id", "$$product"] } } },
                { "$project": { "_id": 0, "updated_at": 1 } },
            ],
            "as": "stored",
        };
        let changed = doc! { "$ifNull": [{ "$first": "$stored.updated_at" }, "$created_at"] };
        // Whoever changes one meanwhile knows better.
        let later = doc! { "updated_at": { "$ifNull": ["$updated_at", "$$new.updated_at"] } };
        let note = [
            doc! { "$match": { "tenant": &shop, "updated_at": null } },
            doc! { "$lookup": stored },
            doc! { "$project": { "updated_at": changed } },
            doc! { "$merge": {
                "into": collections.search.name(), "whenMatched": [{ "$set": later }], "whenNotMatched": "discard",
            } },
        ];
        let noted = collections.search.aggregate(note).await.map_err(mongo)?;
        noted.try_collect::<Vec<_>>().await.map_err(mongo)?;
    }
    Ok(())
}

async fn create(database: &Database, name: &str, rule: &Document) -> PortResult<()> {
    let command = doc! { "create": name, "validator": rule, "validationLevel": "moderate" };
    match patiently(database, command).await {
        Err(error) if code_of(&error) == Some(NAMESPACE_EXISTS) => change_rule(database, name, rule).await,
        made => made.map_err(mongo),
    }
}

async fn change_rule(database: &Database, name: &str, rule: &Document) -> PortResult<()> {
    let command = doc! { "collMod": name, "validator": rule, "validationLevel": "moderate" };
    patiently(database, command).await.map_err(mongo)
}

/// Runs a command again while it meets another process's.
async fn patiently(database: &Database, command: Document) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        match database.run_command(command.clone()).await {
            Err(error) if attempt < ATTEMPTS && code_of(&error).is_some_and(|code| MET.contains(&code)) => {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            result => return result.map(drop),
        }
    }
}
