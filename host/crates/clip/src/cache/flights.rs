//! What is being computed right now, so that it is computed once.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use taja_catalog::Embedding;
use tokio::sync::watch;

use super::Key;

type InFlight = Arc<Mutex<HashMap<Key, watch::Receiver<Option<Embedding>>>>>;

#[derive(Default)]
pub(super) struct Flights(InFlight);

/// Who computes something.
pub(super) enum Place {
    /// It is known already.
    Known(Embedding),
    /// Whoever asked. Others wait where there is a flight.
    Mine(Option<Flight>),
    /// Somebody else.
    Another(Waiting),
}

/// A computation that others may wait for; dropped without landing, it frees them to compute for themselves.
pub(super) struct Flight {
    key: Key,
    tell: watch::Sender<Option<Embedding>>,
    flights: InFlight,
}

pub(super) struct Waiting(watch::Receiver<Option<Embedding>>);

impl Flights {
    /// `known` is asked under the lock: what lands is known before its flight ends, so nothing falls between the two.
    pub(super) fn join(&self, key: Key, known: impl FnOnce() -> Option<Embedding>) -> Place {
        match locked(&self.0).entry(key) {
            Entry::Occupied(flight) => Place::Another(Waiting(flight.get().clone())),
            Entry::Vacant(vacant) => match known() {
                Some(embedding) => Place::Known(embedding),
                None => {
                    let (tell, hear) = watch::channel(None);
                    vacant.insert(hear);
                    Place::Mine(Some(Flight { key, tell, flights: Arc::clone(&self.0) }))
                }
            },
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        locked(&self.0).len()
    }
}

impl Flight {
    /// The result, which is remembered already.
    pub(super) fn land(self, embedding: &Embedding) {
        self.tell.send_replace(Some(embedding.clone()));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        locked(&self.flights).remove(&self.key);
    }
}

impl Waiting {
    /// None when the flight did not land: it failed, or whoever it was for left.
    pub(super) async fn landed(mut self) -> Option<Embedding> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone())
    }
}

fn locked<T>(flights: &Mutex<T>) -> MutexGuard<'_, T> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}
