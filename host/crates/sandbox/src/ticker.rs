//! The thread whose ticks interrupt guests that compute.

use std::{sync::mpsc, thread::JoinHandle, time::Duration};

use wasmtime::Engine;

/// Owns the thread; dropping it ends and joins the thread.
pub(crate) struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts to tick for an engine.
    pub(crate) fn start(engine: &Engine, every: Duration) -> std::io::Result<Self> {
        let engine = engine.clone();
        let (stop, stopped) = mpsc::channel();
        let tick = move || {
            while stopped.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("taja-ticker".into()).spawn(tick)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It only ticks; it has nothing to panic about, and nothing could be done here if it did.
            let _ = thread.join();
        }
    }
}
