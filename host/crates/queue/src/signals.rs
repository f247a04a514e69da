//! What rings inside one process: new work, a job that moved on or finished, a cancellation.
//!
//! A ring saves waiting; it is never the only way to learn something. Whoever listens also looks by itself now and
//! then, because another process's rings may not be heard: Redis passes them on as long as it is there, SQLite does not.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{JobId, JobRecord};

/// The news of a job since somebody began to watch it.
#[derive(Debug, Clone, Default)]
pub struct JobNews {
    /// Its cancellation was asked for while it runs.
    pub cancel_asked: bool,
    /// It became terminal.
    pub finished: Option<Arc<JobRecord>>,
}

type Watched = Arc<Mutex<HashMap<JobId, watch::Sender<JobNews>>>>;

/// The rings of one process. A backend owns one and rings it after its commits.
#[derive(Debug, Default)]
pub struct Signals {
    /// How many times work of each kind arrived.
    arrivals: watch::Sender<HashMap<String, u64>>,
    watched: Watched,
    /// Kept for whoever comes to wait for it.
    untold: Notify,
}

impl Signals {
    /// Rings for a job of this kind that is due now.
    pub fn arrived(&self, kind: &str) {
        self.arrivals.send_modify(|counts| match counts.get_mut(kind) {
            Some(count) => *count += 1,
            None => {
                counts.insert(kind.to_owned(), 1);
            }
        });
    }

    /// Rings for a job that started, got further, or went back to those that wait.
    pub fn moved(&self, id: JobId) {
        if let Some(sender) = self.watched.lock().get(&id) {
            sender.send_modify(|_| {});
        }
    }

    /// Rings for a running job whose cancellation was asked for.
    pub fn cancel_asked(&self, id: JobId) {
        if let Some(sender) = self.watched.lock().get(&id) {
            sender.send_modify(|news| news.cancel_asked = true);
        }
    }

    /// Rings for a job that became terminal, and closes its channel: whoever watches a redriven job starts afresh.
    pub fn finished(&self, job: Arc<JobRecord>) {
        if job.tell {
            self.untold.notify_one();
        }
        if let Some(sender) = self.watched.lock().remove(&job.id) {
            sender.send_modify(|news| news.finished = Some(job));
        }
    }

    /// Waits for an end that has to be told (see [`crate::Queue::untold`]). There is one listener.
    pub async fn untold(&self) {
        self.untold.notified().await;
    }

    /// Watches one job from now on.
    #[must_use]
    pub fn watch(&self, id: JobId) -> JobWatch {
        let news = self.watched.lock().entry(id).or_default().subscribe();
        JobWatch { id, news, watched: Arc::clone(&self.watched) }
    }

    /// Whether anyone here watches this job.
    pub(crate) fn is_watched(&self, id: JobId) -> bool {
        self.watched.lock().contains_key(&id)
    }

    /// Listens for work of these kinds from now on.
    pub(crate) fn arrivals(&self, kinds: &[String]) -> Arrivals {
        let counts = self.arrivals.subscribe();
        let mut arrivals = Arrivals { kinds: kinds.to_vec(), counts, seen: 0 };
        arrivals.mark_seen();
        arrivals
    }
}

/// A watch over one job; it ends when dropped.
#[derive(Debug)]
pub struct JobWatch {
    id: JobId,
    news: watch::Receiver<JobNews>,
    watched: Watched,
}

impl JobWatch {
    /// Waits until the job is terminal.
    pub async fn finished(&mut self) -> Arc<JobRecord> {
        match self.until(|news| news.finished.is_some()).await.finished {
            Some(job) => job,
            None => std::future::pending().await,
        }
    }

    /// Waits until anything happens to the job that was not waited for before: a ring while nobody waits is not lost.
    pub async fn moved(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the job's cancellation is asked for.
    pub async fn cancel_asked(&mut self) {
        self.until(|news| news.cancel_asked).await;
    }

    async fn until(&mut self, wanted: impl Fn(&JobNews) -> bool) -> JobNews {
        let heard = self.news.wait_for(|news| wanted(news)).await.map(|news| news.clone());
        match heard {
            Ok(news) => news,
            // Nobody can ring any more; the listener's own deadline ends the wait.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for JobWatch {
    fn drop(&mut self) {
        let mut watched = self.watched.lock();
        let last_of_its_channel = |sender: &watch::Sender<JobNews>| {
            sender.receiver_count() <= 1 && sender.subscribe().same_channel(&self.news)
        };
        if watched.get(&self.id).is_some_and(last_of_its_channel) {
            watched.remove(&self.id);
        }
    }
}

/// Listens for work of some kinds.
#[derive(Debug)]
pub(crate) struct Arrivals {
    kinds: Vec<String>,
    counts: watch::Receiver<HashMap<String, u64>>,
    seen: u64,
}

impl Arrivals {
    /// Forgets what arrived so far. Called before looking for work, so that what arrives during the look still rings.
    pub(crate) fn mark_seen(&mut self) {
        self.seen = total(&self.kinds, &self.counts.borrow_and_update());
    }

    /// Waits until something arrives that was not seen.
    pub(crate) async fn next(&mut self) {
        let Self { kinds, counts, seen } = self;
        let closed = counts.wait_for(|counts| total(kinds, counts) != *seen).await.is_err();
        if closed {
            std::future::pending::<()>().await;
        }
    }
}

fn total(kinds: &[String], counts: &HashMap<String, u64>) -> u64 {
    kinds.iter().filter_map(|kind| counts.get(kind)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_leaves_nothing_behind() {
        let signals = Signals::default();
        let id = JobId::new();
        let (first, second) = (signals.watch(id), signals.watch(id));
        drop(first);
        assert_eq!(signals.watched.lock().len(), 1);
        drop(second);
        assert!(signals.watched.lock().is_empty());
    }

    #[tokio::test]
    async fn a_move_between_the_watch_and_the_wait_is_not_missed() {
        let signals = Signals::default();
        let id = JobId::new();
        let mut watch = signals.watch(id);
        signals.moved(id);
        watch.moved().await;
        signals.cancel_asked(id);
        signals.moved(id);
        watch.cancel_asked().await;
    }

    #[tokio::test]
    async fn an_arrival_during_the_look_is_not_missed() {
        let signals = Signals::default();
        let mut arrivals = signals.arrivals(&["a".to_owned()]);
        arrivals.mark_seen();
        signals.arrived("a");
        arrivals.next().await;
    }

    #[tokio::test(start_paused = true)]
    async fn another_kind_does_not_wake_the_listener() {
        let signals = Signals::default();
        let mut arrivals = signals.arrivals(&["a".to_owned()]);
        signals.arrived("b");
        let woken = tokio::time::timeout(std::time::Duration::from_secs(60), arrivals.next()).await;
        assert!(woken.is_err());
    }
}
