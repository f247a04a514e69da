//! The processor threads of the crate: a fixed number, a bounded queue before them, and no work for callers that left.

use std::{sync::Arc, time::Duration};

use taja_catalog::port::MediaError;
use tokio::sync::{Semaphore, oneshot};

pub(crate) struct Pool {
    threads: rayon::ThreadPool,
    /// One permit for each piece of work that waits or runs.
    places: Arc<Semaphore>,
    /// One permit for each thread: work enters the threads' own queue only when one of them is free.
    free: Arc<Semaphore>,
    deadline: Duration,
}

impl Pool {
    pub(crate) fn new(threads: usize, queue: usize, deadline: Duration) -> Result<Self, MediaError> {
        let count = threads.max(1);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|number| format!("taja-media-{number}"))
            .build()
            .map_err(|error| MediaError::Failed(format!("no threads to decode with: {error}")))?;
        let places = Arc::new(Semaphore::new(count + queue));
        Ok(Self { threads, places, free: Arc::new(Semaphore::new(count)), deadline })
    }

    /// Runs work on one of the threads. It is dropped unstarted when the caller leaves or the deadline passes; once it
    /// runs it runs to its end, and keeps its thread and its place until then.
    ///
    /// # Errors
    /// `Failed` (worth a retry) when the queue is full, when the deadline passes, and when the work panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, MediaError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| MediaError::Failed("too many pictures wait to be decoded, try later".into()))?;
        let finished = async {
            let free = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
            let (done, result) = oneshot::channel();
            self.threads.spawn(move || {
                if done.is_closed() {
                    return;
                }
                // The thread must survive: a panic that leaves it would abort the process.
                let value = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // Before the answer, so that who has it finds the place free.
                drop((place, free));
                if let Ok(value) = value {
                    let _ = done.send(value);
                }
            });
            result.await.map_err(|_| MediaError::Failed("the decoding thread panicked".into()))
        };
        tokio::time::timeout(self.deadline, finished)
            .await
            .map_err(|_| MediaError::Failed(format!("no result after {} s", self.deadline.as_secs())))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Occupies one thread until the sender is dropped.
    fn hold(pool: &Arc<Pool>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), MediaError>>) {
        let (release, held) = mpsc::channel::<()>();
        let pool = Arc::clone(pool);
        let task = tokio::spawn(async move { pool.run(move || assert!(held.recv().is_err())).await });
        (release, task)
    }

    #[tokio::test]
    async fn work_beyond_the_queue_is_turned_away_at_once() {
        let pool = Arc::new(Pool::new(1, 1, LONG).unwrap());
        let (release_first, first) = hold(&pool);
        let (release_second, second) = hold(&pool);
        tokio::task::yield_now().await;
        assert!(matches!(pool.run(|| ()).await, Err(MediaError::Failed(_))));
        drop((release_first, release_second));
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn work_whose_caller_left_never_starts() {
        let pool = Arc::new(Pool::new(1, 8, LONG).unwrap());
        let (release, first) = hold(&pool);
        let (started, seen) = mpsc::channel();
        let abandoned = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(move || started.send(())).await }
        });
        tokio::task::yield_now().await;
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        drop(release);
        first.await.unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
        assert!(seen.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_lives_on() {
        let pool = Pool::new(1, 1, LONG).unwrap();
        assert!(matches!(pool.run(|| panic!("as meant")).await, Err(MediaError::Failed(_))));
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_caller_does_not_wait_past_the_deadline() {
        let pool = Arc::new(Pool::new(1, 4, Duration::from_millis(20)).unwrap());
        let (release, first) = hold(&pool);
        assert!(first.await.unwrap().unwrap_err().to_string().contains("no result after"));
        drop(release);
    }
}
