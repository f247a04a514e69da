//! ONNX Runtime in this process: one library, one environment, one pool of threads that all sessions share.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

use ort::environment::{Environment, GlobalThreadPoolOptions};

use crate::error::ClipError;

/// Loading the library takes milliseconds; release candidates of the binding have been seen to wait for ever.
const LOAD_DEADLINE: Duration = Duration::from_secs(15);

/// ONNX Runtime allows one environment per process, so the first caller's library and threads are everyone's.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The environment of this process, made on the first call. `threads` compute, shared by all sessions, and do not spin
/// while they wait: the cores are wanted elsewhere.
pub(crate) fn environment(library: &Path, threads: usize) -> Result<Environment, ClipError> {
    let path = library.to_path_buf();
    let failed = |problem: String| ClipError::Library { path: library.to_path_buf(), problem };
    if !library.is_file() {
        return Err(failed("no such file".to_owned()));
    }
    watched("loading ONNX Runtime", LOAD_DEADLINE, move || {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some((other, environment)) if *other == path => return Ok(environment.clone()),
            Some((other, _)) => return Err(format!("this process already uses {}", other.display())),
            None => {}
        }
        let environment = load(&path, threads)?;
        *loaded = Some((path, environment.clone()));
        Ok(environment)
    })?
    .map_err(failed)
}

fn load(library: &Path, threads: usize) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    let pool = GlobalThreadPoolOptions::default();
    let pool = pool.with_intra_threads(threads).and_then(|pool| pool.with_inter_threads(1));
    let pool = pool.and_then(|pool| pool.with_spin_control(false)).map_err(|error| error.to_string())?;
    let builder = builder.with_name("taja").with_telemetry(false).with_global_thread_pool(pool);
    builder.build().map_err(|error| error.to_string())
}

/// Runs `work` on a thread of its own and gives up on it after `deadline`; a thread that hangs is left behind.
pub(crate) fn watched<T: Send + 'static>(
    what: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ClipError> {
    let (done, result) = mpsc::sync_channel(1);
    let work = move || {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
        // Nobody listens any more when the deadline has passed.
        let _ = done.send(outcome);
    };
    let thread = std::thread::Builder::new().name("clip-load".to_owned());
    thread.spawn(work).map_err(|error| ClipError::Config(format!("no thread for {what}: {error}")))?;
    match result.recv_timeout(deadline) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(ClipError::Config(format!("{what} panicked: {}", panic_message(&*panic)))),
        Err(_) => Err(ClipError::TimedOut { what, after: deadline }),
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_given_up() {
        let (hold, held) = mpsc::channel::<()>();
        let outcome = watched("waiting", Duration::from_millis(20), move || held.recv());
        assert!(matches!(outcome, Err(ClipError::TimedOut { what: "waiting", .. })));
        drop(hold);
    }

    #[test]
    fn work_that_panics_says_so() {
        let outcome = watched("breaking", Duration::from_secs(5), || panic!("as asked"));
        assert!(matches!(outcome, Err(ClipError::Config(text)) if text.contains("as asked")));
    }
}
