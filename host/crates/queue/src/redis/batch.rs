//! One round trip for all that ask at the same time.

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::{Error, Result};

/// How many may wait; the next caller waits for a place.
const WAITING: usize = 1024;

/// How many share a round trip at most.
const BATCH: usize = 256;

type Asked<Q, A> = (Q, oneshot::Sender<Result<A>>);

/// Answers what has gathered while the batch before was under way, in one call.
#[derive(Debug)]
pub(super) struct Batcher<Q, A> {
    inbox: mpsc::Sender<Asked<Q, A>>,
    _clerk: AbortOnDropHandle<()>,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// `answer` gives one answer for each question, in order.
    pub(super) fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(Vec<Q>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<Result<A>>> + Send,
    {
        let (inbox, mut questions) = mpsc::channel::<Asked<Q, A>>(WAITING);
        let serve = async move {
            let mut batch = Vec::with_capacity(BATCH);
            while questions.recv_many(&mut batch, BATCH).await > 0 {
                let (asked, replies): (Vec<Q>, Vec<_>) = batch.drain(..).unzip();
                for (answer, reply) in answer(asked).await.into_iter().zip(replies) {
                    // A caller that left does not need the answer.
                    let _ = reply.send(answer);
                }
            }
        };
        Self { inbox, _clerk: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    pub(super) async fn ask(&self, question: Q) -> Result<A> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send((question, reply)).await.map_err(|_| Error::closed())?;
        answer.await.unwrap_or_else(|_| Err(Error::closed()))
    }
}
