//! What became of each row, in the order of the file: in blocks among the uploads that no job is known for, which are kept
//! for a day. A block that is there is done, so that it is also where a broken-off import goes on.
//!
//! Where blocks end follows from the rows alone: two attempts that run side by side for a moment, because the first was taken
//! for dead, write the same ones.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taja_catalog::{Failure, ImageHash, PortResult, add_product::Receipt};
use taja_queue::{JobId, JobRecord};

use crate::staging::{ORPHANS_KEPT, Staging};

/// Rows of a block, but for the first.
pub const BLOCK_ROWS: u64 = 64;
/// Failures that the job itself tells.
const FAILURES_TOLD: usize = 20;

/// A block of results as text, one JSON object per line; none when there is none yet.
pub async fn block(staging: &Staging, import: JobId, number: u64) -> PortResult<Option<Bytes>> {
    staging.noted(place(import), &name(number)).await
}

/// Whether there were results of an import that has ended, of which there are none now.
pub fn is_gone(import: &JobRecord) -> bool {
    #[derive(Deserialize)]
    struct Done {
        rows: u64,
    }
    match (&import.result, import.finished_at) {
        (Some(report), Some(_)) => report.read::<Done>().is_ok_and(|done| done.rows > 0),
        // How many rows it came to do is not told.
        (None, Some(ended)) => SignedDuration::try_from(ORPHANS_KEPT)
            .is_ok_and(|kept| ended.duration_until(Timestamp::now()) > kept),
        (_, None) => false,
    }
}

/// Whether a block ends with this row. The first are short, so that a short import is told of before it ends.
fn ends_block(row: u64) -> bool {
    row.is_multiple_of(BLOCK_ROWS) || (row < BLOCK_ROWS && row.is_power_of_two())
}

/// Apart from the uploads of the job, which go when it ends.
fn place(import: JobId) -> JobId {
    let hash = ImageHash::of(format!("results of {import}").as_bytes());
    let mut seed = [0; 10];
    seed.copy_from_slice(&hash.as_bytes()[..10]);
    JobId::derived(Timestamp::UNIX_EPOCH, seed)
}

fn name(number: u64) -> ImageHash {
    ImageHash::of(format!("block {number}").as_bytes())
}

/// What became of a row.
pub fn outcome(line: u64, done: &Result<Receipt, Failure>) -> Value {
    let mut outcome = match done {
        Ok(receipt) => json!(receipt),
        Err(failure) => json!({ "status": "failed", "error": failure }),
    };
    outcome["line"] = line.into();
    outcome
}

/// What became of all rows so far.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Rows that are done.
    pub rows: u64,
    /// How many of them ended so.
    outcomes: BTreeMap<String, u64>,
    /// The first that failed.
    failures: Vec<Value>,
}

impl Report {
    fn count(&mut self, outcome: Value) {
        #[derive(Deserialize)]
        struct Word {
            status: String,
        }
        let word = Word::deserialize(&outcome).map_or_else(|_| "failed".to_owned(), |word| word.status);
        if word == "failed" && self.failures.len() < FAILURES_TOLD {
            self.failures.push(outcome);
        }
        self.rows += 1;
        *self.outcomes.entry(word).or_default() += 1;
    }
}

/// Writes results down.
pub struct Ledger {
    staging: Staging,
    import: JobId,
    blocks: u64,
    open: Vec<Value>,
    /// What is written down, and what is about to be.
    pub report: Report,
}

impl Ledger {
    /// Goes on where an earlier attempt stopped.
    pub async fn open(staging: Staging, import: JobId) -> Result<Self, Failure> {
        let mut ledger = Self { staging, import, blocks: 0, open: Vec::new(), report: Report::default() };
        while let Some(text) = block(&ledger.staging, import, ledger.blocks).await? {
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let outcome = serde_json::from_slice(line);
                let unreadable =
                    |error: serde_json::Error| Failure::host("results_unreadable", error.to_string());
                ledger.report.count(outcome.map_err(unreadable)?);
            }
            ledger.blocks += 1;
        }
        Ok(ledger)
    }

    /// Adds what became of the next row.
    pub async fn add(&mut self, outcome: Value) -> Result<(), Failure> {
        self.report.count(outcome.clone());
        self.open.push(outcome);
        if ends_block(self.report.rows) { self.flush().await } else { Ok(()) }
    }

    /// Writes down what is left; nothing may be added after a block that is not full.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if self.open.is_empty() {
            return Ok(());
        }
        let text: String = self.open.drain(..).map(|outcome| format!("{outcome}\n")).collect();
        self.staging.note(place(self.import), &name(self.blocks), text.as_bytes()).await?;
        self.blocks += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_rows_are_told_before_there_are_many() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().to_owned(), None).await.unwrap();
        let import = JobId::new();
        let mut ledger = Ledger::open(staging.clone(), import).await.unwrap();
        let mut told = Vec::new();
        for line in 1..=200 {
            ledger.add(json!({ "line": line, "status": "success" })).await.unwrap();
            if block(&staging, import, told.len() as u64).await.unwrap().is_some() {
                told.push(line);
            }
        }
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 128, 192]);
    }

    #[tokio::test]
    async fn results_go_on_after_the_last_whole_block() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().to_owned(), None).await.unwrap();
        let import = JobId::new();
        let mut ledger = Ledger::open(staging.clone(), import).await.unwrap();
        for line in 1..=BLOCK_ROWS + 3 {
            let failed = Err(Failure::client("field_invalid", "no"));
            ledger.add(outcome(line, &failed)).await.unwrap();
        }
        assert_eq!(ledger.report.rows, BLOCK_ROWS + 3);
        drop(ledger);
        let mut ledger = Ledger::open(staging.clone(), import).await.unwrap();
        assert_eq!((ledger.report.rows, ledger.report.failures.len()), (BLOCK_ROWS, FAILURES_TOLD));
        ledger.add(json!({ "line": 65, "status": "success" })).await.unwrap();
        ledger.flush().await.unwrap();
        assert_eq!(ledger.report.outcomes, BTreeMap::from([("failed".into(), 64), ("success".into(), 1)]));
        let last = block(&staging, import, 7).await.unwrap().unwrap();
        assert_eq!(last, "{\"line\":65,\"status\":\"success\"}\n");
        assert!(block(&staging, import, 8).await.unwrap().is_none());
        assert!(block(&staging, JobId::new(), 0).await.unwrap().is_none());
    }
}
