//! What a failure of Redis means: whether another try can help, and whether the command may have been carried out.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::Error;

/// A command that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    /// Whether it certainly changed nothing. After a lost answer nobody can tell.
    pub(super) refused: bool,
}

impl Fault {
    pub(super) fn refused(error: Error) -> Self {
        Self { error, refused: true }
    }

    pub(super) fn unanswered(error: Error) -> Self {
        Self { error, refused: false }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        // An answer of the server: our scripts are refused at their first write or not at all.
        let refused = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
        Self { error: error.into(), refused }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        if may_pass(&error) { Self::unavailable(error) } else { Self::storage(error) }
    }
}

fn may_pass(error: &RedisError) -> bool {
    use ServerErrorKind as Server;
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(
            Server::BusyLoading
            | Server::ReadOnly
            | Server::MasterDown
            | Server::ClusterDown
            | Server::TryAgain
            | Server::Moved
            | Server::Ask,
        ) => true,
        // Older servers wrap what stopped a script into a general error; its own code stands in the text.
        ErrorKind::Server(Server::ResponseError) | ErrorKind::Extension => {
            let text = error.to_string();
            ["OOM", "READONLY", "LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY"]
                .iter()
                .any(|code| text.contains(&format!("-{code} ")) || error.code() == Some(code))
        }
        _ => false,
    }
}
