//! What goes wrong, in the port's words.

use rusqlite::{Error, ErrorCode, ffi};
use taja_catalog::{PortError, PortResult, port::PortErrorKind};

/// Why a file cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer Taja wrote it.
    #[error("the store has schema version {found}, this program knows up to {known}: use a newer one")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// It is no database, is damaged, or cannot be reached.
    #[error("the store cannot be opened: {0}")]
    Sqlite(#[from] Error),
    /// The threads that serve it cannot be started.
    #[error("the store's threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// An error of the store.
pub(crate) fn failed(kind: PortErrorKind, message: impl Into<String>) -> PortError {
    PortError::new("store", kind, message)
}

/// Makes a port error of what SQLite says.
pub(crate) fn sqlite(error: Error) -> PortError {
    PortError::from_source("store", kind_of(&error), error)
}

fn kind_of(error: &Error) -> PortErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) if is_taken(error) => PortErrorKind::Conflict,
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted,
        ) => PortErrorKind::Unavailable,
        Some(ErrorCode::TooBig) => PortErrorKind::Invalid,
        _ => PortErrorKind::Broken,
    }
}

fn is_taken(error: &Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}

/// Names what is taken, when that is what went wrong.
pub(crate) fn unless_taken<T>(result: Result<T, Error>, what: impl FnOnce() -> String) -> PortResult<T> {
    result.map_err(|error| match kind_of(&error) {
        PortErrorKind::Conflict => {
            let message = format!("{} is there already", what());
            PortError { message, ..sqlite(error) }
        }
        _ => sqlite(error),
    })
}

/// A stored value that cannot be what it should be: the file was changed by something else.
pub(crate) fn damaged(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    let error = PortError::from_source("store", PortErrorKind::Broken, source);
    PortError { message: format!("stored {what} is damaged: {}", error.message), ..error }
}
