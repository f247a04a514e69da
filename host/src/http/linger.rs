//! Lets a client whose upload is refused half-way read why: what it is still sending is read and thrown away for a while.
//!
//! A server that answers and closes while the client writes resets the connection, and the answer is lost with it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::Request,
};
use futures::{Stream, StreamExt};

/// Most bytes that are thrown away for one request.
const MAX_BYTES: usize = 16 << 20;
/// Longest time that is spent on it.
const MAX_TIME: Duration = Duration::from_secs(5);

/// A request body whose unread rest is read, within bounds, when a handler lets go of it.
struct Lingering(Option<BodyDataStream>);

/// Middleware: gives the request such a body.
pub async fn read_on(request: Request) -> Request {
    request.map(|body| Body::from_stream(Lingering(Some(body.into_data_stream()))))
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let next = body.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let (Some(body), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(MAX_TIME, discard(body)));
        }
    }
}

async fn discard(mut body: BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len();
        if bytes > MAX_BYTES {
            return;
        }
    }
}
