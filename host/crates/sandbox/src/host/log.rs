//! `taja:host/log`, and whatever a guest writes to its standard streams: capped, tagged lines for the operator.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    bindings::host::log::{Host, Level},
    plugin::Identity,
    state::GuestState,
};

/// Bytes of standard error that are kept to explain a trap: a panic's message stands there.
const LAST_WORDS_BYTES: usize = 1024;
/// What every line costs beside its message: about what is written around it, of which the digest is half.
const LINE_BYTES: usize = 128;

/// The log lines of one call.
#[derive(Debug, Clone)]
pub(crate) struct LogBook(Arc<Book>);

#[derive(Debug)]
struct Book {
    identity: Arc<Identity>,
    state: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    bytes: usize,
    dropped: u64,
    last_words: Vec<u8>,
}

impl LogBook {
    pub(crate) fn new(identity: Arc<Identity>, bytes: usize) -> Self {
        let state = Mutex::new(Left { bytes, dropped: 0, last_words: Vec::new() });
        Self(Arc::new(Book { identity, state }))
    }

    /// Writes one line, or counts it as dropped when there is no room left.
    pub(crate) fn write(&self, level: Level, message: &str) {
        {
            let mut left = self.0.state.lock();
            match left.bytes.checked_sub(message.len().saturating_add(LINE_BYTES)) {
                Some(bytes) => left.bytes = bytes,
                None => {
                    left.dropped += 1;
                    return;
                }
            }
        }
        let (name, digest) = (&self.0.identity.manifest.name, &self.0.identity.digest);
        let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match level {
            Level::Debug => tracing::debug!(plugin.name = %name, plugin.digest = %digest, "{message}"),
            Level::Info => tracing::info!(plugin.name = %name, plugin.digest = %digest, "{message}"),
            Level::Warn => tracing::warn!(plugin.name = %name, plugin.digest = %digest, "{message}"),
            Level::Error => tracing::error!(plugin.name = %name, plugin.digest = %digest, "{message}"),
        }
    }

    /// Takes what a guest wrote to a standard stream: a line of the log, and remembered in case it traps.
    pub(crate) fn stream(&self, bytes: &[u8]) {
        {
            let mut left = self.0.state.lock();
            let room = LAST_WORDS_BYTES.saturating_sub(left.last_words.len());
            left.last_words.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if !text.is_empty() {
            self.write(Level::Info, text);
        }
    }

    /// What the guest wrote to its standard streams, cut short.
    pub(crate) fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.0.state.lock().last_words).trim().to_owned()
    }

    /// Lines that found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.state.lock().dropped
    }
}

impl Host for GuestState {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.meter.carry(message.len());
        self.log.write(level, &message);
        Ok(())
    }
}
