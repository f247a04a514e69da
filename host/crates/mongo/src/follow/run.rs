//! Following: batch by batch, over broken connections, and anew when there is no other way.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mongodb::bson::Document;

use super::{
    FollowState, Shared,
    event::Event,
    fill::fill,
    place::{Known, Place, Step},
    stream::{Batch, Begin, Ended, Stream},
};

/// The first wait before another try; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Long enough for the server to say that there is nothing.
const NO_WAIT: Duration = Duration::from_millis(1);

/// Follows until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, from: Begin) {
    let mut place = Place::new(from);
    let mut wait = FIRST_WAIT;
    loop {
        let broken = follow(&shared, &mut place, &mut wait).await;
        match broken {
            Break::Disconnected(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the vector index hears no news");
                disconnected(&shared);
                pause(&mut wait).await;
            }
            Break::Gap(reason) => {
                tracing::warn!(reason, "the vector index is built anew");
                pause(&mut wait).await;
                place = rebuild(&shared).await;
            }
        }
    }
}

/// Why following came to an end.
enum Break {
    /// It can go on where it stands.
    Disconnected(Ended),
    /// Something was missed, or cannot be followed.
    Gap(String),
}

impl From<Ended> for Break {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Broken(_) => Self::Disconnected(ended),
            Ended::Lost(_) | Ended::Closed | Ended::Strange => Self::Gap(ended.to_string()),
        }
    }
}

async fn follow(shared: &Shared, place: &mut Place, wait: &mut Duration) -> Break {
    let (mut stream, mut batch) = match Stream::open(&shared.database, &shared.space, &place.from).await {
        Ok(opened) => opened,
        Err(ended) => return ended.into(),
    };
    loop {
        if let Err(gap) = apply(shared, place, batch).await {
            return gap;
        }
        shared.set_state(FollowState::Following);
        *wait = FIRST_WAIT;
        // The rest of a transaction is there already, if there is one.
        let idle = if place.is_settled() { shared.options.idle } else { NO_WAIT };
        batch = match stream.more(idle).await {
            Ok(batch) => batch,
            Err(ended) => return ended.into(),
        };
    }
}

/// Brings what came into the index, and only then says so.
async fn apply(shared: &Shared, place: &mut Place, batch: Batch) -> Result<(), Break> {
    let events: Vec<Event> = batch.events.iter().filter_map(|event| read(shared, event)).collect();
    shared.set_lag(events.iter().rev().find_map(Event::age).unwrap_or_default());
    let known = if batch.events.is_empty() { Ok(place.rest()) } else { place.learn(events) };
    let Known { steps, versions } = known.map_err(|reason| Break::Gap(reason.to_owned()))?;
    for step in steps {
        let index = shared.index();
        let done = match step {
            Step::Insert(rows) => index.insert(rows).await,
            Step::Remove(tenant, images) => index.remove_images(&tenant, &images).await,
        };
        done.map_err(|error| Break::Gap(format!("the index refused a change: {error}")))?;
    }
    shared.applied.publish(versions);
    if let Some(end) = batch.end {
        place.from = end;
    }
    Ok(())
}

/// One that cannot be read is passed over: reading it again would not help.
fn read(shared: &Shared, event: &Document) -> Option<Event> {
    match Event::read(event, &shared.space) {
        Ok(event) => Some(event),
        Err(error) => {
            metrics::counter!("taja_index_unreadable_total").increment(1);
            tracing::error!(%error, "a stored vector cannot be read and cannot be found");
            None
        }
    }
}

/// Fills a fresh index, however often it takes, and puts it in the old one's place.
async fn rebuild(shared: &Shared) -> Place {
    shared.set_state(FollowState::Rebuilding);
    metrics::counter!("taja_index_rebuilds_total").increment(1);
    let mut wait = FIRST_WAIT;
    loop {
        match fill(&shared.database, &shared.space, shared.source.as_ref(), &shared.make).await {
            Ok(filled) => {
                *shared.index.write() = filled.index;
                shared.standing.write().rebuilds += 1;
                shared.applied.publish(filled.versions);
                tracing::info!(vectors = shared.index().len(), "the vector index is built anew");
                return Place::new(filled.from);
            }
            Err(error) => tracing::warn!(%error, "the vector index cannot be filled"),
        }
        pause(&mut wait).await;
    }
}

/// Remembers since when.
fn disconnected(shared: &Shared) {
    let state = shared.standing.read().state;
    if !matches!(state, FollowState::Disconnected { .. }) {
        shared.set_state(FollowState::Disconnected { since: Timestamp::now() });
    }
}

async fn pause(wait: &mut Duration) {
    tokio::time::sleep(*wait).await;
    *wait = wait.saturating_mul(2).min(LONGEST_WAIT);
}
