//! What runs in the background: owned, and waited for.

use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

/// The tasks of a house. They end with it at the latest.
#[derive(Default)]
pub(crate) struct Tasks {
    set: Mutex<JoinSet<()>>,
    running: watch::Sender<usize>,
}

/// Counts a task for as long as there is one.
struct Running(watch::Sender<usize>);

impl Running {
    fn one_more(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let running = Running::one_more(&self.running);
        let mut set = self.set.lock();
        while let Some(ended) = set.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a task in the background broke off");
            }
        }
        set.spawn(async move {
            task.await;
            drop(running);
        });
    }

    /// Waits until none runs.
    pub(crate) async fn settled(&self) {
        // The sender lives as long as this.
        _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn they_are_waited_for_also_when_one_breaks_off() {
        let tasks = Arc::new(Tasks::default());
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn(async move { gone.await.unwrap() });
        tasks.spawn(async { panic!("broke off") });
        let mut settled = Box::pin(tasks.settled());
        assert!(futures::poll!(&mut settled).is_pending());
        go.send(()).unwrap();
        settled.await;
    }
}
