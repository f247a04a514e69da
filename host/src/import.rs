//! Products by the thousand: a job that walks a file row by row, with several rows under way, and takes each in as a form
//! would be. A row's effect is named after the job and its line, so that a job that runs again does nothing twice.

mod hosted;
pub mod offers;
mod pictures;
mod results;
pub mod rows;
mod turns;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, future::ready, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taja_catalog::{
    Blame, EffectKey, Failure, ImageHash, TenantId,
    add_product::{NewProduct, Receipt},
    policy::{Pins, Unwatched},
};
use taja_queue::{JobContext, JobId, JsonText};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    hosted::Hosted,
    pictures::Pictures,
    results::{block, is_gone},
    rows::Format,
};
use self::{
    results::Ledger,
    rows::Row,
    turns::{Turn, Turns},
};
use crate::{
    http::details,
    jobs::{UseCases, payload, tenant, unreadable, written},
};

/// Rows under way at once: enough to keep the model's batches full.
pub const ROWS_AT_ONCE: usize = 32;
/// How much of a file may be under way at once, KiB: with pictures in it, rows are long.
const KIB_AT_ONCE: usize = 64 << 10;
/// What a row takes of that at least, KiB, so that there are never more than [`ROWS_AT_ONCE`].
const ROW_KIB: usize = KIB_AT_ONCE / ROWS_AT_ONCE;
/// Rows that are read ahead.
const READ_AHEAD: usize = 2;
/// Rows that may be under way beyond those that are written down: read, readied, taken in, and done but in no full block.
const UNDER_WAY: u64 = results::BLOCK_ROWS + (2 * ROWS_AT_ONCE + READ_AHEAD) as u64;

/// What an import carries; the file lies in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportJob {
    /// The file.
    pub file: ImageHash,
    /// How it is written.
    pub format: Format,
    /// How many rows it has; nothing in jobs that are older than that they are counted beforehand.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Where its end is posted to, as [`crate::outbound::Guard::read`] took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// The policies it is served by.
    #[serde(default)]
    pub pins: Pins,
}

/// The job that an effect belongs to: its own, or that of one row of it.
pub fn job_of(effect: &EffectKey) -> Option<JobId> {
    effect.as_str().split('_').next()?.parse().ok()
}

fn effect_of(import: JobId, line: u64) -> Result<EffectKey, Failure> {
    format!("{import}_{line}").parse().map_err(|_| unreadable("job id is no effect key"))
}

/// Runs an import to its end, or from where it broke off.
pub async fn run(cases: Arc<UseCases>, job: &JobContext) -> Result<JsonText, Failure> {
    let ImportJob { file, format, rows, callback_url: _, pins } = payload(job)?;
    let path = cases.staging.path(job.id(), &file).await?;
    let all = match rows {
        Some(rows) => rows,
        None => count(path.clone(), format).await?,
    };
    let mut ledger = Ledger::open(cases.staging.clone(), job.id()).await?;
    let doubtful = ledger.report.rows + UNDER_WAY;
    let import = Arc::new(Import { tenant: tenant(job)?, job: job.clone(), cases, pins });
    let calling = job.clone();
    let rows = open(path, format, ledger.report.rows).take_while(move |_| ready(!calling.cancelled()));
    let mut outcomes = import.outcomes(rows).boxed();
    while let Some(outcome) = outcomes.next().await {
        ledger.add(outcome?).await?;
        let done = ledger.report.rows;
        if done > doubtful {
            job.got_on();
        }
        job.progress((done * 100 / all.max(1)).min(100) as i8, format!("{done} of {all} rows"));
    }
    // Of what ended because it was called off, the rest is nobody's to go on with.
    ledger.flush().await?;
    if job.cancelled() && ledger.report.rows < all {
        return Err(Failure::cancelled());
    }
    written(&ledger.report)
}

/// What every row needs.
struct Import {
    cases: Arc<UseCases>,
    job: JobContext,
    tenant: TenantId,
    pins: Pins,
}

/// A row that can be taken in.
enum Readied {
    /// An earlier attempt did.
    Done(Receipt),
    /// Its pictures are here; what their bytes hash to.
    New(Box<NewProduct>, Vec<ImageHash>),
}

impl Readied {
    fn pictures(&self) -> &[ImageHash] {
        match self {
            Self::Done(_) => &[],
            Self::New(_, pictures) => pictures,
        }
    }
}

impl Import {
    /// What becomes of rows, in their order: several are readied at once and then taken in at once, but for those that bring
    /// the same picture.
    fn outcomes(
        self: Arc<Self>,
        rows: impl Stream<Item = Result<Row, Failure>> + Send + 'static,
    ) -> impl Stream<Item = Result<Value, Failure>> + Send + 'static {
        let budget = Arc::new(Semaphore::new(KIB_AT_ONCE));
        let (import, mut turns) = (self.clone(), Turns::default());
        rows.then(move |row| {
            let budget = budget.clone();
            async move {
                let kib = row.as_ref().map_or(0, |row| row.bytes >> 10).clamp(ROW_KIB, KIB_AT_ONCE);
                (row, budget.acquire_many_owned(kib as u32).await)
            }
        })
        .map(move |(row, room)| {
            let import = import.clone();
            apart(async move {
                let row = row?;
                Ok((row.line, import.ready(row).await, room))
            })
        })
        .buffered(ROWS_AT_ONCE)
        .map(move |readied| {
            let import = self.clone();
            // Not in what runs side by side: they stand in line as they stand in the file.
            let readied = readied.map(|(line, row, room)| {
                let turn = turns.next(row.as_ref().map_or(&[][..], Readied::pictures));
                (line, row, room, turn)
            });
            apart(async move {
                let (line, row, room, turn) = readied?;
                let outcome = import.take_in(line, row, &turn).await;
                drop((room, turn));
                outcome
            })
        })
        .buffered(ROWS_AT_ONCE)
    }

    /// Readies a row, unless it was taken in before.
    async fn ready(&self, row: Row) -> Result<Readied, Failure> {
        let effect = effect_of(self.job.id(), row.line)?;
        let mut fields = row.fields.map_err(|problem| Failure::client("row_malformed", problem))?;
        if let Some(receipt) = self.cases.add_product.receipt(&self.tenant, &effect).await? {
            return Ok(Readied::Done(receipt));
        }
        let (named, offers) = (fields.remove("images"), fields.remove("offers"));
        let details = details(texts(fields))
            .map_err(|problem| Failure::client("field_invalid", problem.detail.into_string()))?;
        let offers = offers::read(offers, &effect)?;
        let images = self.cases.pictures.all(named).await?;
        let pictures = hashes(&images).await?;
        let new = NewProduct { effect, tenant: self.tenant.clone(), details, images, offers };
        Ok(Readied::New(Box::new(new), pictures))
    }

    /// Takes a row in when its turn has come. It fails alone, unless what failed is not the row: then the import is tried
    /// again, and on its last attempt goes on without.
    async fn take_in(&self, line: u64, row: Result<Readied, Failure>, turn: &Turn) -> Result<Value, Failure> {
        let done = match row {
            Ok(Readied::Done(receipt)) => Ok(receipt),
            Ok(Readied::New(new, _)) => {
                turn.come().await;
                self.add(*new).await
            }
            Err(failure) => Err(failure),
        };
        match done {
            Err(failure)
                if failure.retryable
                    && matches!(failure.blame, Blame::Host | Blame::Dependency)
                    && !self.job.is_last_attempt() =>
            {
                Err(failure)
            }
            done => Ok(results::outcome(line, &done)),
        }
    }

    async fn add(&self, new: NewProduct) -> Result<Receipt, Failure> {
        let lineup = self.cases.policies.lineup(&self.tenant, &self.pins).await?;
        self.cases.add_product.run(new, lineup.as_ref(), Arc::new(Unwatched)).await
    }
}

/// Runs in a task of its own for as long as somebody waits for it. What is only looked at when the next row is asked for would
/// meanwhile keep its connection to a database, and whoever asks for the next row may need one before.
fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> impl Future<Output = Result<T, Failure>> {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    async move { task.await.map_err(|error| Failure::host("import_broken", error.to_string()))? }
}

/// What pictures hash to, computed beside the runtime.
async fn hashes(images: &[Bytes]) -> Result<Vec<ImageHash>, Failure> {
    let images = images.to_vec();
    let hashing =
        tokio::task::spawn_blocking(move || images.iter().map(|bytes| ImageHash::of(bytes)).collect());
    hashing.await.map_err(|error| Failure::host("import_broken", error.to_string()))
}

/// The fields of a row as a form would send them.
pub fn texts(fields: Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        value => Some(value.to_string()),
    };
    fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

fn opened(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::host("upload_unreadable", error.to_string()))
}

fn file_unreadable(error: &rows::Unreadable) -> Failure {
    Failure::client("import_unreadable", format!("the file cannot be read: {error}"))
}

/// How many rows a received file has; an error when not all of them can be read.
pub async fn count(path: PathBuf, format: Format) -> Result<u64, Failure> {
    let counting = tokio::task::spawn_blocking(move || {
        rows::count(format, opened(&path)?).map_err(|error| file_unreadable(&error))
    });
    counting.await.map_err(|error| Failure::host("import_broken", error.to_string()))?
}

/// The rows of a file after the first few, read beside the runtime.
fn open(
    path: PathBuf,
    format: Format,
    done: u64,
) -> impl Stream<Item = Result<Row, Failure>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        let rows =
            opened(&path).and_then(|file| rows::read(format, file).map_err(|error| file_unreadable(&error)));
        let rows = match rows {
            Ok(rows) => rows,
            Err(failure) => return drop(sender.blocking_send(Err(failure))),
        };
        for row in rows.skip(usize::try_from(done).unwrap_or(usize::MAX)) {
            // Nobody listens any more.
            if sender.blocking_send(row.map_err(|error| file_unreadable(&error))).is_err() {
                return;
            }
        }
    });
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effect_of_a_row_belongs_to_its_job() {
        let job = JobId::new();
        assert_eq!(job_of(&effect_of(job, u64::MAX).unwrap()), Some(job));
        assert_eq!(job_of(&job.to_string().parse().unwrap()), Some(job));
        assert_eq!(job_of(&"other".parse().unwrap()), None);
    }
}
