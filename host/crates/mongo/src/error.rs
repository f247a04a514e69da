//! What goes wrong with a server, in the words of the ports.

use mongodb::error::{Error, ErrorKind, WriteFailure};
use taja_catalog::{
    PortResult,
    port::{PortError, PortErrorKind},
};

/// Why a server cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address, or what it asks for, makes no sense.
    #[error("MongoDB address: {0}")]
    Address(#[source] Error),
    /// It cannot be reached, or refuses.
    #[error("MongoDB: {0}")]
    Server(#[source] Error),
    /// It takes a connection and answers nothing.
    #[error("MongoDB does not answer")]
    Silent,
    /// It is no replica set, so it has neither transactions nor change streams.
    #[error("MongoDB is a stand-alone server: transactions need a replica set (one node is enough)")]
    StandAlone,
}

/// The number of the server's error "duplicate key".
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// The server's numbers for a document that breaks a collection's rules, and for one that is too large.
const INVALID: [i32; 3] = [121, 10334, 17419];

/// The server's numbers for what passes: no primary, a failover, a shutdown, a network between servers, a time limit,
/// a lock or a snapshot that was not to be had, a full disk, a cursor that ended with its server.
pub(crate) const PASSING: [i32; 27] = [
    6, 7, 24, 43, 46, 50, 64, 89, 91, 100, 112, 133, 134, 189, 202, 246, 251, 262, 9001, 10107, 11600, 11601,
    11602, 13388, 13435, 13436, 14031,
];

/// A driver's error as the port's.
pub(crate) fn mongo(error: Error) -> PortError {
    let kind = kind_of(&error);
    PortError::from_source("store", kind, error)
}

/// An error of the store.
pub(crate) fn failed(kind: PortErrorKind, message: impl Into<String>) -> PortError {
    PortError::new("store", kind, message)
}

/// What a caller may do about a driver's error.
pub(crate) fn kind_of(error: &Error) -> PortErrorKind {
    if is_duplicate(error) {
        return PortErrorKind::Conflict;
    }
    match code_of(error) {
        Some(code) if INVALID.contains(&code) => return PortErrorKind::Invalid,
        _ => {}
    }
    let passes = ["RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult"];
    if passes.iter().any(|label| error.contains_label(label)) {
        return PortErrorKind::Unavailable;
    }
    match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. } => PortErrorKind::Unavailable,
        ErrorKind::InvalidArgument { .. } => PortErrorKind::Invalid,
        _ if code_of(error).is_some_and(|code| PASSING.contains(&code)) => PortErrorKind::Unavailable,
        _ => PortErrorKind::Broken,
    }
}

/// Names what is taken, when that is what went wrong.
pub(crate) fn unless_taken<T>(result: Result<T, Error>, what: impl FnOnce() -> String) -> PortResult<T> {
    result.map_err(|error| {
        if is_duplicate(&error) {
            let message = format!("{} is there already", what());
            PortError { message, ..mongo(error) }
        } else {
            mongo(error)
        }
    })
}

/// A stored value that cannot be what it should be: something else changed it.
pub(crate) fn damaged(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    let error = PortError::from_source("store", PortErrorKind::Broken, source);
    PortError { message: format!("stored {what} is damaged: {}", error.message), ..error }
}

/// Whether a driver's error behind a port's carries this label.
pub(crate) fn has_label(error: &PortError, label: &str) -> bool {
    let source = error.source.as_ref().and_then(|source| source.downcast_ref::<Error>());
    source.is_some_and(|error| error.contains_label(label))
}

/// Whether a unique key was taken.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    code_of(error) == Some(DUPLICATE_KEY)
}

/// The server's number for what went wrong.
pub(crate) fn code_of(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        ErrorKind::InsertMany(many) => many.write_errors.as_ref()?.first().map(|error| error.code),
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
