//! Threads that own a connection each and run what they are handed, one thing after the other.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rusqlite::Connection;
use taja_catalog::{PortResult, port::PortErrorKind};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::error::{OpenError, failed};

/// Calls that may wait in line.
const LINE: usize = 256;
/// Longest wait for a place in the line.
const LINE_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for an answer: well beyond any query's duration.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Some threads that take from one line.
#[derive(Debug)]
pub(crate) struct Threads {
    line: Mutex<Option<mpsc::Sender<Work>>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts a thread for each connection.
    pub(crate) fn start(name: &str, connections: Vec<Connection>) -> Result<Self, OpenError> {
        let (line, waiting) = mpsc::channel::<Work>(LINE);
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |mut connection: Connection| {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                // Whoever holds the lock waits for work; the others wait for the lock.
                while let Some(work) = { waiting.lock().blocking_recv() } {
                    // The work's own answer tells of a panic; a transaction it left open is rolled back as it drops.
                    let _ = catch_unwind(AssertUnwindSafe(|| work(&mut connection)));
                }
            })
        };
        let handles = connections.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { line: Mutex::new(Some(line)), handles: Mutex::new(handles) })
    }

    /// Runs `work` on the next free connection. It is dropped unstarted when the caller leaves.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let unavailable = |message: &str| failed(PortErrorKind::Unavailable, message);
        let line = self.line.lock().clone().ok_or_else(|| unavailable("is closed"))?;
        let (answer, waiting) = oneshot::channel();
        let work = move |connection: &mut Connection| {
            if !answer.is_closed() {
                let began = Instant::now();
                let result = work(connection);
                metrics::histogram!("taja_store_seconds", "operation" => operation).record(began.elapsed());
                // The caller may have left meanwhile: there is nobody to tell.
                let _ = answer.send(result);
            }
        };
        let place = timeout(LINE_DEADLINE, line.reserve_owned()).await;
        place
            .map_err(|_| unavailable("had no free place in line before the deadline"))?
            .map_err(|_| unavailable("is closed"))?
            .send(Box::new(work));
        let answer = timeout(ANSWER_DEADLINE, waiting).await;
        answer
            .map_err(|_| unavailable("did not answer before the deadline"))?
            .unwrap_or_else(|_| Err(failed(PortErrorKind::Broken, format!("{operation} panicked"))))
    }

    /// Takes no more calls; the threads to join, which end when the line is empty.
    pub(crate) fn stop(&self) -> Vec<JoinHandle<()>> {
        self.line.lock().take();
        std::mem::take(&mut self.handles.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Threads {
        Threads::start("test", vec![Connection::open_in_memory().unwrap()]).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let threads = one();
        let broken = threads.call::<()>("boom", |_| panic!("on purpose")).await;
        assert_eq!(broken.unwrap_err().kind, PortErrorKind::Broken);
        assert_eq!(threads.call("sum", |_| Ok(1 + 1)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn work_whose_caller_left_is_not_started() {
        let threads = one();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (started, left) = (Arc::new(Mutex::new(false)), ());
        let flag = Arc::clone(&started);
        let blocker = threads.call("wait", move |_| {
            wait.recv().expect("the test sends");
            Ok(left)
        });
        let abandoned = threads.call("abandoned", move |_| {
            *flag.lock() = true;
            Ok(())
        });
        tokio::pin!(blocker);
        // Both are in line after one poll; then the second one's caller leaves.
        assert!(timeout(Duration::ZERO, &mut blocker).await.is_err());
        assert!(timeout(Duration::ZERO, abandoned).await.is_err());
        go.send(()).unwrap();
        blocker.await.unwrap();
        threads.call("after", |_| Ok(())).await.unwrap();
        assert!(!*started.lock());
    }

    #[tokio::test]
    async fn a_closed_store_is_unavailable() {
        let threads = one();
        for handle in threads.stop() {
            handle.join().unwrap();
        }
        let refused = threads.call("late", |_| Ok(())).await;
        assert_eq!(refused.unwrap_err().kind, PortErrorKind::Unavailable);
    }
}
