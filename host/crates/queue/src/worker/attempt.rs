//! One attempt at one job: the handler in a task of its own, and beside it what keeps the lease.

use std::{any::Any, convert::Infallible, time::Duration};

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{Shop, context::JobContext};
use crate::{Blame, Claim, Error, JobError, JsonText, Token, Verdict};

/// How soon a queue that did not answer is asked again: at first, and at most.
const ASK_AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// When a job is asked about a cancellation that came before anybody listened. Most are over by then.
const ASK_CANCELLED: Duration = Duration::from_millis(50);

/// How an attempt came to its end.
#[derive(Clone)]
enum Ending {
    Done(JsonText),
    Failed(JobError),
    /// The lease went to somebody else, who will settle the job.
    Lost,
    /// The worker closes.
    Closed,
}

/// Runs a claimed job to its end and settles it.
///
/// What it holds in `place` is given up as soon as the handler has ended: settling is waiting, not work. What it holds in
/// `pass` is given up when it is settled, or got on.
pub(super) async fn run<P, G>(shop: Shop, claim: Claim, context: JobContext, place: P, pass: G) {
    let job = &claim.job;
    let span = tracing::info_span!(
        "job", tenant = %job.tenant, job.id = %job.id, job.kind = %job.kind, job.attempt = job.attempts
    );
    async {
        let mut pass = Some(pass);
        let ending = attempt(&shop, &claim, &context, &mut pass).await;
        drop(place);
        settle(&shop, &claim.token, &context, ending).await;
    }
    .instrument(span)
    .await;
}

async fn attempt<G>(shop: &Shop, claim: &Claim, context: &JobContext, pass: &mut Option<G>) -> Ending {
    let Some(handler) = shop.handlers.get(&claim.job.kind) else {
        let message = format!("no handler for jobs of kind `{}`", claim.job.kind);
        return Ending::Failed(JobError::permanent(Blame::Host, "no_handler", message));
    };
    let handler = std::sync::Arc::clone(handler);
    let given = context.clone();
    // A task of its own: it may block or panic, and the lease is kept all the same. It is aborted when dropped.
    let work = async move { handler(given).await };
    let work = AbortOnDropHandle::new(tokio::spawn(work.instrument(tracing::Span::current())));
    tokio::select! {
        ended = work => ending(ended),
        Error::LeaseLost(_) = keep_lease(shop, &claim.token, context) => Ending::Lost,
        never = keep_notes(shop, &claim.token, context) => match never {},
        never = hear_cancellation(shop, &claim.token, context) => match never {},
        never = let_others_in(shop, &claim.token, context, pass) => match never {},
        () = shop.closed.cancelled() => Ending::Closed,
    }
}

fn ending(ended: Result<Result<JsonText, JobError>, JoinError>) -> Ending {
    match ended {
        Ok(Ok(result)) => Ending::Done(result),
        Ok(Err(error)) => Ending::Failed(error),
        Err(lost) if lost.is_panic() => {
            let message = panic_message(&*lost.into_panic());
            Ending::Failed(JobError::transient(Blame::Host, JobError::PANIC, message))
        }
        // The runtime is going down.
        Err(_) => Ending::Closed,
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the handler panicked").to_owned()
}

/// Renews the lease until it is lost. A store that does not answer is asked again soon: the lease may well outlast it.
async fn keep_lease(shop: &Shop, token: &Token, context: &JobContext) -> Error {
    let every = shop.config.lease / 3;
    let mut pause = every;
    loop {
        tokio::time::sleep(pause).await;
        pause = every;
        match shop.queue.renew(token, shop.config.lease).await {
            Ok(standing) if standing.cancel_asked => context.cancellation().cancel(),
            Ok(_) => {}
            Err(lost @ Error::LeaseLost(_)) => return lost,
            Err(error) => {
                tracing::warn!(%error, "cannot renew the lease");
                pause = every.min(ASK_AGAIN[1]);
            }
        }
    }
}

/// Writes progress notes down, the latest first and the overtaken never.
async fn keep_notes(shop: &Shop, token: &Token, context: &JobContext) -> Infallible {
    let mut notes = context.notes();
    while notes.changed().await.is_ok() {
        let note = notes.borrow_and_update().clone();
        if let Some(note) = note
            && let Err(error) = shop.queue.progress(token, note.percent, &note.message).await
        {
            tracing::debug!(%error, "a progress note was not kept");
        }
        tokio::time::sleep(shop.config.progress_every).await;
    }
    std::future::pending().await
}

/// Gives the pass up once the job got on, and notes that.
async fn let_others_in<G>(
    shop: &Shop,
    token: &Token,
    context: &JobContext,
    pass: &mut Option<G>,
) -> Infallible {
    context.getting_on().await;
    *pass = None;
    while let Err(error) = shop.queue.got_on(token).await {
        tracing::debug!(%error, "that the job got on is not noted yet");
        tokio::time::sleep(ASK_AGAIN[1]).await;
    }
    std::future::pending().await
}

/// Passes a cancellation on as soon as it rings; one that does not ring comes with the next renewal.
async fn hear_cancellation(shop: &Shop, token: &Token, context: &JobContext) -> Infallible {
    let mut watch = shop.queue.signals().watch(token.job());
    // It may have been asked for between the claim and the watch.
    let heard = tokio::time::timeout(ASK_CANCELLED, watch.cancel_asked()).await.is_ok();
    if heard || shop.queue.cancelled(token).await.unwrap_or(false) {
        context.cancellation().cancel();
    }
    watch.cancel_asked().await;
    context.cancellation().cancel();
    std::future::pending().await
}

/// Settles the job. What it did is done, so a queue that does not answer is asked until it says something, with the lease
/// renewed meanwhile; it ends when the lease goes to somebody else, or with the worker's last deadline.
async fn settle(shop: &Shop, token: &Token, context: &JobContext, ending: Ending) {
    let settled = tokio::select! {
        settled = settle_at_last(shop, token, context, &ending) => settled,
        lost = keep_lease(shop, token, context) => Err(lost),
    };
    match settled {
        Ok(()) => {}
        Err(Error::LeaseLost(_)) => tracing::warn!("the lease was lost, nothing is committed"),
        Err(error) => tracing::error!(%error, "the job is not settled and will start again after its lease"),
    }
}

async fn settle_at_last(
    shop: &Shop,
    token: &Token,
    context: &JobContext,
    ending: &Ending,
) -> Result<(), Error> {
    let mut pause = ASK_AGAIN[0];
    loop {
        let error = match settle_once(shop, token, context, ending.clone()).await {
            Err(error) if error.is_retryable() => error,
            settled => return settled,
        };
        tracing::warn!(%error, "cannot settle the job yet");
        if shop.closed.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Err(error);
        }
        pause = (pause * 2).min(ASK_AGAIN[1]);
    }
}

async fn settle_once(shop: &Shop, token: &Token, context: &JobContext, ending: Ending) -> Result<(), Error> {
    if matches!(ending, Ending::Failed(_) | Ending::Closed) && context.has_got_on() {
        // It may not have been noted yet.
        shop.queue.got_on(token).await?;
    }
    match ending {
        Ending::Done(result) => shop.queue.complete(token, result).await,
        Ending::Failed(error) => bury_or_retry(shop, token, error).await,
        Ending::Closed => shop.queue.release(token).await,
        Ending::Lost => Err(Error::LeaseLost(token.job())),
    }
}

async fn bury_or_retry(shop: &Shop, token: &Token, error: JobError) -> Result<(), Error> {
    let (blame, reason) = (error.blame.as_str(), error.to_string());
    match shop.queue.fail(token, error).await? {
        Verdict::Retry(at) => tracing::info!(blame, reason, %at, "the job failed and will be tried again"),
        Verdict::Buried => tracing::warn!(blame, reason, "the job failed for good"),
        Verdict::Cancelled => tracing::info!("the job was cancelled"),
    }
    Ok(())
}
