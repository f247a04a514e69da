//! Transactions: all of it or nothing, tried again while the server asks for that.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use mongodb::{
    Client, ClientSession,
    error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT},
    options::{ReadConcern, WriteConcern},
};
use taja_catalog::PortResult;

use crate::error::{has_label, mongo};

/// How long a transaction is begun again. A process that is killed leaves its transaction open, and whoever writes the
/// same documents meets it until the server gives it up: after 60 s, unless `transactionLifetimeLimitSeconds` says less.
const PATIENCE: Duration = Duration::from_secs(80);
/// Times a commit whose outcome is unknown is sent again; the server answers an old one as it answered the first.
const COMMITS: u32 = 6;
/// The first wait before another attempt, on average twice this.
const FIRST_WAIT: Duration = Duration::from_millis(4);
/// The longest wait before another attempt.
const LONGEST_WAIT: Duration = Duration::from_millis(150);

/// What a transaction does. It may run several times; only the last one counts.
#[async_trait]
pub(crate) trait Transaction: Sync {
    /// What it answers.
    type Answer: Send;

    /// Reads and writes inside the session's transaction. An error undoes all of it.
    async fn run(&self, session: &mut ClientSession) -> PortResult<Self::Answer>;
}

/// Runs a transaction and waits until a majority has it.
///
/// # Errors
/// What the transaction answers. `Unavailable` may also mean that the outcome is unknown: it may have been written.
pub(crate) async fn transact<T: Transaction>(client: &Client, work: &T) -> PortResult<T::Answer> {
    let mut session = client.start_session().await.map_err(mongo)?;
    let began = Instant::now();
    let mut attempt = 1;
    loop {
        match try_once(&mut session, work).await {
            Err(error) if began.elapsed() < PATIENCE && has_label(&error, TRANSIENT_TRANSACTION_ERROR) => {
                metrics::counter!("taja_store_transaction_retries_total").increment(1);
                pause(attempt).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

async fn try_once<T: Transaction>(session: &mut ClientSession, work: &T) -> PortResult<T::Answer> {
    let begin = session.start_transaction();
    let begin = begin.read_concern(ReadConcern::snapshot()).write_concern(WriteConcern::majority());
    begin.await.map_err(mongo)?;
    match work.run(session).await {
        Ok(answer) => commit(session).await.map(|()| answer),
        Err(error) => {
            // The server ends it by itself when this does not arrive.
            if let Err(error) = session.abort_transaction().await {
                tracing::debug!(%error, "transaction could not be aborted");
            }
            Err(error)
        }
    }
}

async fn commit(session: &mut ClientSession) -> PortResult<()> {
    let mut attempt = 1;
    loop {
        match session.commit_transaction().await {
            Err(error) if attempt < COMMITS && error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {
                pause(attempt).await;
                attempt += 1;
            }
            result => return result.map_err(mongo),
        }
    }
}

/// A wait of random length that grows with each attempt, so that writers who met do not meet again.
async fn pause(attempt: u32) {
    let longest = FIRST_WAIT.saturating_mul(attempt.saturating_mul(2)).min(LONGEST_WAIT);
    // A hasher's random keys are the standard library's only source of randomness.
    let random = RandomState::new().hash_one(attempt) >> 32;
    tokio::time::sleep(longest.mul_f64(random as f64 / f64::from(u32::MAX))).await;
}
