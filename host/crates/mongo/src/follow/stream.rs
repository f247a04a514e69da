//! A change stream, batch by batch.
//!
//! The driver's own hides where a batch ends. But an empty batch is what says that a transaction's last event has come.

use std::time::Duration;

use mongodb::{
    ClientSession, Database,
    bson::{Document, Timestamp, doc},
    error::ErrorKind,
};
use taja_catalog::{Space, port::PortErrorKind};

use super::{VECTORS, VERSIONS};
use crate::call::{CallError, PATIENCE, within};

/// The server's numbers for a cursor that is forgotten or was killed: a new one can go on where it stood.
const CURSOR_GONE: [i32; 2] = [43, 237];

/// Where a stream begins.
#[derive(Debug, Clone)]
pub(super) enum Begin {
    /// With what happened at this moment or later.
    Moment(Timestamp),
    /// After what this resume token stands for.
    Token(Document),
}

/// Why a stream came to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// It can go on where it stood.
    #[error("the change stream broke off: {0}")]
    Broken(#[source] CallError),
    /// It cannot: what happened meanwhile is unknown.
    #[error("the change stream cannot go on: {0}")]
    Lost(#[source] CallError),
    /// The server closed it, because what it is about is gone.
    #[error("the server closed the change stream")]
    Closed,
    /// An answer that is none.
    #[error("the server's answer is no batch")]
    Strange,
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        let gone = match &error {
            CallError::Driver(driver) => {
                matches!(driver.kind.as_ref(), ErrorKind::Command(command) if CURSOR_GONE.contains(&command.code))
            }
            CallError::Late(_) => false,
        };
        if gone || error.kind() == PortErrorKind::Unavailable {
            Self::Broken(error)
        } else {
            Self::Lost(error)
        }
    }
}

/// An open stream. The server forgets one that is left alone for ten minutes.
pub(super) struct Stream {
    database: Database,
    /// A cursor belongs to the session that opened it.
    session: ClientSession,
    cursor: i64,
}

/// What came, and where it ends.
pub(super) struct Batch {
    pub(super) events: Vec<Document>,
    pub(super) end: Option<Begin>,
}

impl Stream {
    /// Opens a stream of vectors of one space and of versions; with it comes its first batch.
    pub(super) async fn open(
        database: &Database,
        space: &Space,
        from: &Begin,
    ) -> Result<(Self, Batch), Ended> {
        let session = within(PATIENCE, database.client().start_session()).await?;
        let mut stream = Self { database: database.clone(), session, cursor: 0 };
        let begin = match from {
            Begin::Moment(time) => doc! { "startAtOperationTime": time },
            Begin::Token(token) => doc! { "resumeAfter": token },
        };
        let command = doc! {
            "aggregate": 1,
            "pipeline": [{ "$changeStream": begin }, { "$match": wanted(space) }],
            "cursor": {},
            "readConcern": { "level": "majority" },
        };
        let batch = stream.ask(command, "firstBatch", PATIENCE).await?;
        Ok((stream, batch))
    }

    /// What came since; nothing when nothing did for so long.
    pub(super) async fn more(&mut self, wait: Duration) -> Result<Batch, Ended> {
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1);
        let command = doc! { "getMore": self.cursor, "collection": "$cmd.aggregate", "maxTimeMS": wait_ms };
        self.ask(command, "nextBatch", wait + PATIENCE).await
    }

    async fn ask(&mut self, command: Document, batch: &str, limit: Duration) -> Result<Batch, Ended> {
        let call = self.database.run_command(command).session(&mut self.session);
        let mut reply = within(limit, call).await?;
        let Ok(cursor) = reply.get_document_mut("cursor") else { return Err(Ended::Strange) };
        self.cursor = cursor.get_i64("id").map_err(|_| Ended::Strange)?;
        let events = std::mem::take(cursor.get_array_mut(batch).map_err(|_| Ended::Strange)?);
        let events: Vec<Document> = events
            .into_iter()
            .map(|event| event.as_document().cloned())
            .collect::<Option<_>>()
            .ok_or(Ended::Strange)?;
        if self.cursor == 0 && events.is_empty() {
            return Err(Ended::Closed);
        }
        let end = cursor.get_document("postBatchResumeToken").ok().cloned().map(Begin::Token);
        Ok(Batch { events, end })
    }
}

/// The events that matter. Those that take something away name no space.
fn wanted(space: &Space) -> Document {
    doc! { "$or": [
        { "ns.coll": VECTORS, "fullDocument.space": { "$in": [&space.id, null] } },
        { "ns.coll": VERSIONS },
        { "operationType": { "$in": ["dropDatabase", "invalidate"] } },
    ] }
}
