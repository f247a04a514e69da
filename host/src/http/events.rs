//! `/jobs/{id}/events`: a job's progress as Server-Sent Events, then its end.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use parking_lot::Mutex;
use serde::Serialize;
use taja_catalog::TenantId;
use taja_queue::{JobId, JobRecord, JobWatch};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    Problem, Shared,
    jobs::{self as job_views, ReadOptions},
};
use crate::access::Caller;

/// How often a stream looks by itself; the ring of another process may not be heard.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often something is sent, so that nobody in between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream lasts. Its client comes again with the last id it saw, and shows its key again.
const LONGEST: Duration = Duration::from_secs(15 * 60);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies not to gather what is sent.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Room for streams, in all and for each shop.
#[derive(Clone)]
pub struct Streams {
    most: usize,
    most_of_one: usize,
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// The place of an open stream; it is free again when this is dropped.
struct Place {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Streams {
    /// Room for so many streams, and for so many of one shop.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, open: Arc::default() }
    }

    fn enter(&self, tenant: &TenantId) -> Result<Place, Problem> {
        let mut open = self.open.lock();
        if open.get(tenant).is_some_and(|streams| *streams >= self.most_of_one) {
            let detail = format!("{} streams of this shop are open already", self.most_of_one);
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail);
            return Err(Problem { retry_after: Some(5), ..problem });
        }
        if open.values().sum::<usize>() >= self.most {
            return Err(Problem::unavailable("no more streams can be opened now"));
        }
        *open.entry(tenant.clone()).or_default() += 1;
        Ok(Place { open: self.open.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(streams) = open.get_mut(&self.tenant) {
            *streams -= 1;
            if *streams == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

/// An event of a job.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes events for the OpenAPI document")]
pub struct JobEvent {
    /// `progress` or `end`.
    event: String,
    /// The state of the job that it tells.
    id: String,
    /// JSON: how far the job is, or the job.
    data: String,
}

/// A job's progress as Server-Sent Events. `progress` events (as `/add_product/progress/{id}` tells it) come as it gets
/// further, then one `end` event with the job as `/jobs/{id}` shows it, and the stream ends. An id says which state of the
/// job an event tells: whoever comes again with it as `Last-Event-ID` is not told that state twice, and after the end is
/// answered 204, at which an `EventSource` stops.
#[utoipa::path(
    get, path = "/jobs/{id}/events", tag = "jobs",
    params(
        ("id" = String, Path, description = "The job"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = JobEvent, description = "The events"),
        (status = 204, description = "The end was seen already"),
        (status = 404, body = Problem),
        (status = 429, body = Problem, description = "Too many streams of this shop are open"),
        (status = 503, body = Problem, description = "Too many streams are open")
    )
)]
pub async fn events(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parsed: JobId = id.parse().map_err(|_| Problem::not_found("job"))?;
    // Before the first look, so that what happens between the two is seen.
    let watch = app.queue.signals().watch(parsed);
    let job = job_views::find(&app, &caller, &id, None, None).await?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    if job.status.is_terminal() && seen.as_ref() == Some(&event_id(&job)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = app.streams.enter(&caller.tenant)?;
    let until = Instant::now() + LONGEST;
    let telling = Telling { app, watch, job, seen, until, over: false, looked: true, _place: place };
    let events = Sse::new(telling.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([UNBUFFERED], events).into_response())
}

/// Names the state of a job: whatever changes it moves this on.
fn event_id(job: &JobRecord) -> String {
    job.updated_at.as_microsecond().to_string()
}

/// A stream on its way; dropping it frees all it holds.
struct Telling {
    app: Shared,
    watch: JobWatch,
    job: JobRecord,
    /// The id of what was told last.
    seen: Option<String>,
    until: Instant,
    over: bool,
    /// Whether the job is as it stands now.
    looked: bool,
    _place: Place,
}

impl Telling {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut telling| {
            let event = telling.next().await?;
            Some((Ok(event), telling))
        })
    }

    /// What is to be told next; nothing when all is told, or when it cannot go on.
    async fn next(&mut self) -> Option<Event> {
        while !self.over {
            if !self.looked {
                self.look().await?;
            }
            self.looked = false;
            if self.job.status.is_terminal() {
                self.over = true;
                let resource = job_views::resource(&self.app, &self.job, &ReadOptions::default()).await;
                return event("end", &self.job, &resource.ok()?);
            }
            let id = event_id(&self.job);
            if self.seen.as_ref() != Some(&id) {
                self.seen = Some(id);
                return event("progress", &self.job, &job_views::progress_view(&self.job));
            }
        }
        None
    }

    /// Waits until there may be something new, and reads the job.
    async fn look(&mut self) -> Option<()> {
        tokio::select! {
            () = self.watch.moved() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = tokio::time::sleep_until(self.until) => return None,
            () = self.app.stopping.cancelled() => return None,
        }
        match self.app.queue.get(&self.job.tenant, self.job.id).await {
            Ok(job) => self.job = job?,
            // Asked again with the next look.
            Err(error) => {
                tracing::debug!(job.id = %self.job.id, %error, "a job cannot be read for its stream");
            }
        }
        Some(())
    }
}

fn event(name: &str, job: &JobRecord, data: &impl Serialize) -> Option<Event> {
    let told = Event::default().event(name).id(event_id(job)).json_data(data);
    told.inspect_err(|error| tracing::error!(%error, "an event cannot be written")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_stream_is_gone() {
        let streams = Streams::new(3, 2);
        let shop = |name: &str| name.parse::<TenantId>().unwrap();
        let status = |entered: Result<Place, Problem>| entered.err().map(|problem| problem.status);
        let (first, _second) = (streams.enter(&shop("a")).unwrap(), streams.enter(&shop("a")).unwrap());
        assert_eq!(status(streams.enter(&shop("a"))), Some(429));
        let other = streams.enter(&shop("b")).unwrap();
        assert_eq!(status(streams.enter(&shop("c"))), Some(503));
        drop(first);
        assert_eq!(status(streams.enter(&shop("a"))), None);
        drop(other);
        assert_eq!(streams.open.lock().len(), 1, "a shop without streams leaves nothing behind");
    }
}
