//! Ending jobs, many at a time.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{Bson, Document, doc, oid::ObjectId},
};
use serde::Deserialize;
use taja_queue::{Ending, Error, Result, Status};

use super::{
    error::{Refused, queue},
    row::{self, Row},
    schema::JOBS,
};
use crate::call::{CallError, PATIENCE, within};

/// A command is one document, so it stays well below 16 MiB, bytes. One ending by itself is smaller than that.
const COMMAND_BYTES: usize = 6 * 1024 * 1024;
/// How often a command is sent whose outcome is unknown.
const SENDINGS: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// An ending on its way.
struct Closing<'a> {
    ending: &'a Ending,
    /// Its mark in the job, by which it is known again.
    mark: ObjectId,
    statement: Document,
    size_bytes: usize,
    /// Where its answer goes.
    place: usize,
}

pub(super) async fn close(
    database: &Database,
    jobs: &Collection<Row>,
    endings: &[Ending],
) -> Vec<Result<bool>> {
    let mut answers: Vec<Result<bool>> = endings.iter().map(|_| Ok(true)).collect();
    let mut closings = Vec::with_capacity(endings.len());
    for (place, ending) in endings.iter().enumerate() {
        match closing(ending, place).await {
            Ok(closing) => closings.push(closing),
            Err(error) => answers[place] = Err(error),
        }
    }
    // One command nearly always; more when results are long.
    let mut rest = closings.as_slice();
    while !rest.is_empty() {
        let (group, later) = rest.split_at(that_fit(rest));
        close_group(database, jobs, group, &mut answers).await;
        rest = later;
    }
    answers
}

async fn closing(ending: &Ending, place: usize) -> Result<Closing<'_>> {
    let mark = ObjectId::new();
    let more = [("token", ending.token.map(Into::into)), ("ending", Some(mark.into()))];
    let update = row::update(&ending.job, more).await?;
    let open = doc! { "_id": ending.job.id.to_string(), "status": Status::Pending.as_str() };
    let statement = doc! { "q": open, "u": update };
    let size_bytes = statement.to_vec().map_err(Error::storage)?.len();
    Ok(Closing { ending, mark, statement, size_bytes, place })
}

/// How many of the first fit into one command; at least one.
fn that_fit(closings: &[Closing<'_>]) -> usize {
    let mut bytes = 0;
    let fit = closings.iter().take_while(|closing| {
        bytes += closing.size_bytes;
        bytes <= COMMAND_BYTES
    });
    fit.count().max(1)
}

async fn close_group(
    database: &Database,
    jobs: &Collection<Row>,
    group: &[Closing<'_>],
    answers: &mut [Result<bool>],
) {
    let closed = match send(database, group).await {
        Ok(reply) => Ok(read_reply(&reply, group, answers)),
        Err(error) => Err(error),
    };
    let verdicts = match closed {
        Ok(closed) if closed == group.len() => return,
        // Some were closed before, or are gone: which, and by whom?
        Ok(_) => who_closed(jobs, group).await,
        Err(error) => Err(error),
    };
    for closing in group.iter() {
        let answer = &mut answers[closing.place];
        if answer.is_ok() {
            *answer = verdicts.clone().map(|ours| ours.contains(&closing.place));
        }
    }
}

/// Sends the group until an answer comes. A job that an unanswered command closed is known by its mark.
async fn send(database: &Database, group: &[Closing<'_>]) -> Result<Document> {
    let statements: Vec<&Document> = group.iter().map(|closing| &closing.statement).collect();
    let command = doc! {
        "update": JOBS,
        "updates": statements,
        "ordered": false,
        "writeConcern": { "w": "majority", "wtimeout": i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX) },
    };
    let sendings = async {
        let mut sent = 1;
        loop {
            match send_once(database, command.clone()).await {
                Err(error) if error.is_retryable() && sent < SENDINGS => sent += 1,
                answer => return Ok::<_, CallError>(answer),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    within(PATIENCE, sendings).await.map_err(queue)?
}

async fn send_once(database: &Database, command: Document) -> Result<Document> {
    let reply = database.run_command(command).await.map_err(|error| queue(error.into()))?;
    match reply.get_document("writeConcernError") {
        Ok(concern) => Err(Error::unavailable(Refused::of(concern))),
        Err(_) => Ok(reply),
    }
}

/// How many jobs the command closed; what it refused is answered.
fn read_reply(reply: &Document, group: &[Closing<'_>], answers: &mut [Result<bool>]) -> usize {
    for refused in reply.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
        let at = refused.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
        if let Some(closing) = at.and_then(|at| group.get(at)) {
            answers[closing.place] = Err(Refused::of(refused).into());
        }
    }
    reply.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or_default()
}

/// By what a job was closed.
#[derive(Deserialize)]
struct Closed {
    #[serde(rename = "_id")]
    id: String,
    ending: ObjectId,
    token: Option<i64>,
}

/// The places of those whose job is closed by this ending: by the very same, or by one with the same token.
async fn who_closed(jobs: &Collection<Row>, group: &[Closing<'_>]) -> Result<HashSet<usize>> {
    let ids = row::ids(group.iter().map(|closing| &closing.ending.job.id));
    let look = async {
        let filter = doc! { "_id": { "$in": ids }, "ending": { "$exists": true } };
        let jobs = jobs.clone_with_type::<Closed>();
        let found = jobs.find(filter).projection(doc! { "token": 1, "ending": 1 });
        found.await?.try_collect::<Vec<Closed>>().await
    };
    let closed = within(PATIENCE, look).await.map_err(queue)?;
    let closed: HashMap<&str, &Closed> = closed.iter().map(|closed| (closed.id.as_str(), closed)).collect();
    let ours = group.iter().filter(|closing| {
        let id = closing.ending.job.id.to_string();
        let token = closing.ending.token;
        closed
            .get(id.as_str())
            .is_some_and(|closed| closed.ending == closing.mark || (token.is_some() && closed.token == token))
    });
    Ok(ours.map(|closing| closing.place).collect())
}
