//! The threads behind every change: the clerk, who commits, and the flusher, who makes sure of the disk.
//!
//! The clerk takes whatever operations wait and runs them in one transaction, each in its own savepoint, so that one
//! that fails takes no other with it. The log (WAL) is not flushed at the commit. Operations that only have to survive
//! the process are answered at once; the others go to the flusher, which flushes the log once for all that have come
//! meanwhile and then answers. Flushing after the commit is what `synchronous=FULL` does too; here the clerk need
//! not stand still for it, so a search does not wait for the disk behind an import.

use std::{fs::File, path::Path, sync::Arc, thread::JoinHandle};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    SqliteOptions, checkpoint,
    checkpoint::Tidier,
    connect,
    desk::{Desk, News},
};
use crate::{Durability, Error, Result, Signals};

/// How many operations may wait for a thread; the next caller waits for a place.
const WAITING: usize = 1024;

/// How many operations share a transaction at most, so that the first of them is not kept for long.
const BATCH: usize = 256;

type Ops = Vec<Box<dyn Op>>;

/// The way to the clerk.
pub(super) struct Writer {
    inbox: Option<mpsc::Sender<Box<dyn Op>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        signals: Arc<Signals>,
        options: SqliteOptions,
    ) -> Result<Self> {
        let log = open_log(path)?;
        checkpoint::hand_over(&connection)?;
        let (tidy, wanted) = mpsc::channel(1);
        let tidier = Tidier { connection: connect(path, options.busy_timeout)?, wanted };
        let (inbox, operations) = mpsc::channel(WAITING);
        let (flush, committed) = mpsc::channel(WAITING);
        let flusher = Flusher { log, committed, signals: Arc::clone(&signals) };
        let clerk = Clerk { connection, operations, flush, tidy, untidy: 0, signals, options };
        let threads = vec![
            spawn("queue-clerk", move || clerk.serve())?,
            spawn("queue-flusher", move || flusher.serve())?,
            spawn("queue-tidier", move || tidier.serve())?,
        ];
        Ok(Self { inbox: Some(inbox), threads })
    }

    pub(super) async fn run<T, F>(&self, durability: Durability, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call { durability, work: Some(work), outcome: None, news: Vec::new(), reply };
        let inbox = self.inbox.as_ref().ok_or_else(Error::closed)?;
        inbox.send(Box::new(call)).await.map_err(|_| Error::closed())?;
        answer.await.unwrap_or_else(|_| Err(Error::closed()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without an inbox the clerk ends after what waits in it, and then so do the others.
        self.inbox = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the job queue panicked");
            }
        }
    }
}

/// Opens the log of a database that this process keeps open, so that the file stays the same one.
fn open_log(database: &Path) -> Result<File> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    File::options().read(true).write(true).open(log).map_err(Error::unavailable)
}

fn spawn(name: &str, serve: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(serve).map_err(Error::unavailable)
}

/// An operation on its way: run inside a transaction, then told whether that was kept.
trait Op: Send {
    fn durability(&self) -> Durability;
    /// Does the work; false if it failed, and its changes are to be undone.
    fn run(&mut self, connection: &Connection, options: &SqliteOptions) -> bool;
    /// Tells the caller, and everyone the news concerns.
    fn answer(self: Box<Self>, kept: &Result<()>, signals: &Signals);
}

struct Call<T, F> {
    durability: Durability,
    work: Option<F>,
    outcome: Option<Result<T>>,
    news: Vec<News>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Op for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Desk<'_>) -> Result<T> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, connection: &Connection, options: &SqliteOptions) -> bool {
        let now = options.clock.now_us();
        let mut desk = Desk { connection, now, options, news: &mut self.news };
        self.outcome = self.work.take().map(|work| work(&mut desk));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, kept: &Result<()>, signals: &Signals) {
        let outcome = match kept {
            Ok(()) => self.outcome.unwrap_or_else(|| Err(Error::closed())),
            Err(error) => Err(error.clone()),
        };
        if outcome.is_ok() {
            self.news.into_iter().for_each(|news| news.publish(signals));
        }
        // A caller that left does not need the answer.
        let _ = self.reply.send(outcome);
    }
}

struct Clerk {
    connection: Connection,
    operations: mpsc::Receiver<Box<dyn Op>>,
    flush: mpsc::Sender<Ops>,
    tidy: mpsc::Sender<()>,
    /// Operations since the log was last tidied.
    untidy: usize,
    signals: Arc<Signals>,
    options: SqliteOptions,
}

impl Clerk {
    fn serve(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.operations.blocking_recv_many(&mut batch, BATCH) > 0 {
            let kept = commit(&mut self.connection, &mut batch, &self.options);
            self.untidy += batch.len();
            let (flushed, quick): (Ops, Ops) = batch
                .drain(..)
                .partition(|operation| kept.is_ok() && operation.durability() == Durability::Disk);
            answer(quick, &kept, &self.signals);
            if !flushed.is_empty()
                && let Err(mpsc::error::SendError(stranded)) = self.flush.blocking_send(flushed)
            {
                answer(stranded, &Err(Error::closed()), &self.signals);
            }
            // A tidier that is at it already will be asked again after the next commit.
            if self.untidy >= checkpoint::EVERY && self.tidy.try_send(()).is_ok() {
                self.untidy = 0;
            }
        }
    }
}

fn commit(connection: &mut Connection, batch: &mut Ops, options: &SqliteOptions) -> Result<()> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for operation in batch {
        let savepoint = transaction.savepoint()?;
        if operation.run(&savepoint, options) {
            savepoint.commit()?;
        } else {
            savepoint.finish()?;
        }
        // A full disk makes SQLite undo everything at once; what follows must not run outside a transaction.
        if transaction.is_autocommit() {
            return Err(Error::unavailable(std::io::Error::other("the transaction was undone")));
        }
    }
    Ok(transaction.commit()?)
}

struct Flusher {
    log: File,
    committed: mpsc::Receiver<Ops>,
    signals: Arc<Signals>,
}

impl Flusher {
    fn serve(mut self) {
        let mut batches = Vec::new();
        while self.committed.blocking_recv_many(&mut batches, WAITING) > 0 {
            let kept = self.log.sync_data().map_err(Error::unavailable);
            answer(batches.drain(..).flatten(), &kept, &self.signals);
        }
    }
}

fn answer(operations: impl IntoIterator<Item = Box<dyn Op>>, kept: &Result<()>, signals: &Signals) {
    for operation in operations {
        operation.answer(kept, signals);
    }
}
