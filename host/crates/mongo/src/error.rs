//! What goes wrong with a server, in the words of the ports.

use mongodb::error::{Error, ErrorKind, WriteFailure};
use taja_catalog::port::{PortError, PortErrorKind};

/// Why a server cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address, or what it asks for, makes no sense.
    #[error("MongoDB address: {0}")]
    Address(#[source] Error),
    /// It cannot be reached, or refuses.
    #[error("MongoDB: {0}")]
    Server(#[source] Error),
    /// It is no replica set, so it has neither transactions nor change streams.
    #[error("MongoDB is a stand-alone server: transactions need a replica set (one node is enough)")]
    StandAlone,
}

/// The number of the server's error "duplicate key".
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// The server's numbers for a document that breaks a collection's rules, and for one that is too large.
const INVALID: [i32; 3] = [121, 10334, 17419];
/// The server's numbers for a failover, an unreachable member, a shutdown and a time limit that ran out.
pub(crate) const PASSING: [i32; 16] =
    [6, 7, 50, 64, 89, 91, 100, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436];

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
        ErrorKind::Command(command) if PASSING.contains(&command.code) => PortErrorKind::Unavailable,
        _ => PortErrorKind::Broken,
    }
}

/// Whether a unique key was taken.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    code_of(error) == Some(DUPLICATE_KEY)
}

fn code_of(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(many) => many.write_errors.as_ref()?.first().map(|error| error.code),
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
