//! A tape: records what policies are given, ask and answer while they run for real.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Answer, Answered, Asked, FORMAT, HostCall, Input, RecordedCall, Recording, RecordingError,
    host::HostAnswer, noting::Noting,
};
use crate::{
    embedding::Space,
    filter::Filter,
    id::TenantId,
    policy::PluginRef,
    port::{Embedder, PortResult, VideoDecoder},
    retrieval::Catalogue,
};

/// Bytes of host answers that one tape keeps: a policy decides how much it asks for.
const ROOM: usize = 256 * 1024 * 1024;

/// Collects the calls of one request.
#[derive(Debug)]
pub struct Tape(Mutex<Collected>);

#[derive(Debug)]
struct Collected {
    /// With the order in which they began.
    calls: Vec<(usize, RecordedCall)>,
    begun: usize,
    room: usize,
    full: bool,
}

impl Default for Tape {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl Tape {
    /// An empty tape that keeps so many bytes of host answers.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self(Mutex::new(Collected { calls: Vec::new(), begun: 0, room: bytes, full: false }))
    }

    /// Begins to record a call. It is on the tape once it is finished; one that is dropped before never was.
    pub fn for_call(
        self: &Arc<Self>,
        plugin: PluginRef,
        settings: Value,
        filter: Filter,
        input: Input,
    ) -> CallTape {
        let place = {
            let mut collected = held(&self.0);
            collected.begun += 1;
            collected.begun
        };
        let notes = Notes { tape: Arc::clone(self), videos: input.videos(), taken: Mutex::default() };
        let notes = Arc::new(notes);
        CallTape { place, plugin, settings, filter, input, notes }
    }

    /// The finished calls. The tape is empty then.
    pub fn recording(&self, tenant: TenantId, recorded_at: Timestamp) -> Result<Recording, RecordingError> {
        let mut collected = held(&self.0);
        if collected.full {
            return Err(RecordingError::TapeFull);
        }
        let mut calls = std::mem::take(&mut collected.calls);
        calls.sort_by_key(|(place, _)| *place);
        let calls = calls.into_iter().map(|(_, call)| call).collect();
        Ok(Recording { format: FORMAT, recorded_at, tenant, calls })
    }

    fn take_room(&self, bytes: usize) -> bool {
        let mut collected = held(&self.0);
        match collected.room.checked_sub(bytes) {
            Some(room) => collected.room = room,
            None => collected.full = true,
        }
        !collected.full
    }
}

/// The recording of one call that runs. What the policy asks must go through what this gives.
#[derive(Debug)]
pub struct CallTape {
    place: usize,
    plugin: PluginRef,
    settings: Value,
    filter: Filter,
    input: Input,
    notes: Arc<Notes>,
}

impl CallTape {
    /// The catalogue, with notes taken.
    pub fn catalogue(&self, real: Arc<dyn Catalogue>) -> Arc<dyn Catalogue> {
        Arc::new(Noting { real, notes: Arc::clone(&self.notes) })
    }

    /// The model, with notes taken.
    pub fn embedder(&self, real: Arc<dyn Embedder>) -> Arc<dyn Embedder> {
        held(&self.notes.taken).1 = Some(real.space().clone());
        Arc::new(Noting { real, notes: Arc::clone(&self.notes) })
    }

    /// The reader of videos, with notes taken.
    pub fn video(&self, real: Arc<dyn VideoDecoder>) -> Arc<dyn VideoDecoder> {
        Arc::new(Noting { real, notes: Arc::clone(&self.notes) })
    }

    /// Puts the call on the tape.
    pub fn finish(self, answer: Answer) {
        let (host, space) = std::mem::take(&mut *held(&self.notes.taken));
        let Self { place, plugin, settings, filter, input, notes } = self;
        let call = RecordedCall { plugin, settings, filter, input, space, host, answer };
        held(&notes.tape.0).calls.push((place, call));
    }
}

/// What one call asked so far.
#[derive(Debug)]
pub(super) struct Notes {
    tape: Arc<Tape>,
    pub(super) videos: Vec<PathBuf>,
    taken: Mutex<(Vec<HostCall>, Option<Space>)>,
}

impl Notes {
    pub(super) fn note(&self, asked: Asked, answered: Answered) {
        let call = HostCall { asked, answered };
        if self.tape.take_room(call.bytes()) {
            held(&self.taken).0.push(call);
        }
    }

    pub(super) fn port<T: HostAnswer>(&self, asked: Asked, answer: PortResult<T>) -> PortResult<T> {
        let answered = answer.as_ref().map_or_else(|error| Answered::Refused(error.into()), T::pack);
        self.note(asked, answered);
        answer
    }
}

/// Every change is made in one step, so a panic elsewhere leaves nothing half done.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
