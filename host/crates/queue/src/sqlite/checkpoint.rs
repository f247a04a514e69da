//! Moves the log's pages into the database file, on a thread and a connection of their own.
//!
//! SQLite would do it inside whichever commit makes the log long, which then waits for the disk twice: with a few
//! commits per job that hit one job in thirty. A passive checkpoint holds up neither readers nor the writer.

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::{Error, Result};

/// After how many operations the log is tidied; about four megabytes of it.
pub(super) const EVERY: usize = 256;

/// The log's length, in pages of 4 KiB, at which the clerk tidies it after all: under a load that never lets the
/// tidier finish, disk space matters more than one slow commit.
const LONGEST_LOG: u32 = 16_384;

pub(super) struct Tidier {
    pub(super) connection: Connection,
    pub(super) wanted: mpsc::Receiver<()>,
}

/// Leaves tidying to the tidier.
pub(super) fn hand_over(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", LONGEST_LOG).map_err(Error::from)
}

impl Tidier {
    pub(super) fn serve(mut self) {
        while self.wanted.blocking_recv().is_some() {
            let tidied = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            if let Err(error) = tidied {
                tracing::warn!(%error, "cannot tidy the log of the job queue");
            }
        }
    }
}
