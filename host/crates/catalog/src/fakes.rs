//! In-memory versions of the ports, for tests: small, deterministic, and able to fail when told to.

mod embedder;
mod images;
mod index;
mod job;
mod plugins;
mod policies;
mod store;

pub use embedder::FakeEmbedder;
pub use images::{InMemoryImageHost, PpmDecoder, plain, ppm};
pub use index::InMemoryIndex;
pub use job::RecordingJob;
pub use plugins::InMemoryPlugins;
pub use policies::ScriptedLineup;
pub use store::InMemoryStore;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::port::{PortError, PortErrorKind, PortResult};

/// A failure that waits for the next call.
#[derive(Debug, Default)]
struct Fault(Mutex<Option<PortErrorKind>>);

impl Fault {
    fn arm(&self, kind: PortErrorKind) {
        *held(&self.0) = Some(kind);
    }

    fn strike(&self, part: &'static str) -> PortResult<()> {
        held(&self.0).take().map_or(Ok(()), |kind| Err(PortError::new(part, kind, "told to fail")))
    }
}

/// A fake goes on after a test's panic: what it holds is written in one step.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
