//! News between processes: what arrived, what got further, what finished, what was called off.
//!
//! Each message is a list of words: who needs not hear it, what happened, and to what. News save waiting and nothing
//! else: whoever waits looks by itself now and then, so a lost message or a lost connection costs no more than that.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use redis::{Client, Msg, RedisError, aio::PubSub};
use tokio::task::JoinSet;

use super::core::Core;
use crate::{Error, JobId, Result};

/// How long to wait for a connection or for a sign of life.
const ANSWER: Duration = Duration::from_secs(2);

/// How often to ask a quiet connection for a sign of life.
const LOOK: Duration = Duration::from_secs(2);

/// How long to wait before another try.
const RETRY: Duration = Duration::from_millis(500);

/// Hears the news as long as it is polled.
pub(super) async fn hear(core: Arc<Core>, client: Client) {
    loop {
        match subscribe(&client, &core.key("news")).await {
            Ok(subscription) => listen(&core, subscription).await,
            Err(error) => tracing::debug!(%error, "cannot subscribe to the news"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn subscribe(client: &Client, channel: &str) -> Result<PubSub> {
    let subscribe = async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(channel).await?;
        Ok::<_, RedisError>(subscription)
    };
    Ok(tokio::time::timeout(ANSWER, subscribe).await.map_err(Error::unavailable)??)
}

/// Returns when the connection is lost.
async fn listen(core: &Arc<Core>, subscription: PubSub) {
    let (mut sink, mut messages) = subscription.split();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => spread(core, &message, &mut tasks),
                None => return,
            },
            Some(_) = tasks.join_next() => {}
            () = tokio::time::sleep(LOOK) => {
                if !matches!(tokio::time::timeout(ANSWER, sink.ping::<()>()).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}

fn spread(core: &Arc<Core>, message: &Msg, tasks: &mut JoinSet<()>) {
    let words: Vec<String> = serde_json::from_slice(message.get_payload_bytes()).unwrap_or_default();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [origin, ..] if origin == core.origin => {}
        [_, "arrived", kind] => core.signals.arrived(kind),
        [_, "moved", id] => {
            if let Ok(id) = id.parse() {
                core.signals.moved(id);
            }
        }
        [_, "cancel_asked", id] => {
            if let Ok(id) = id.parse() {
                core.signals.cancel_asked(id);
            }
        }
        [_, "finished", ref jobs @ ..] => {
            for job in jobs.chunks_exact(2) {
                if let Ok(id) = job[0].parse()
                    && core.signals.is_watched(id)
                {
                    tasks.spawn(tell_waiters(Arc::clone(core), id, job[1].to_owned()));
                }
            }
        }
        _ => tracing::debug!("a message on the news channel is not ours"),
    }
}

/// Fetches a finished job for those who wait for it here.
async fn tell_waiters(core: Arc<Core>, id: JobId, tenant: String) {
    match core.ledger.get(&tenant, id).await {
        Ok(Some(job)) if job.status.is_terminal() => core.signals.finished(Arc::new(job)),
        Ok(_) => {}
        Err(error) => tracing::debug!(job.id = %id, %error, "a finished job cannot be read yet"),
    }
}
