//! Why Cloudinary did not do what it was asked.

use std::error::Error;

use jiff::Timestamp;

/// A call that failed, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum CloudinaryError {
    /// It cannot be reached, does not answer in time, is in trouble, or limits our rate: later it may work.
    #[error("cloudinary is unavailable: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// The moment from which it takes requests again, where it named one.
        retry_at: Option<Timestamp>,
        /// The failure below, if there was one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// It does not accept who we are, or what we may do.
    #[error("cloudinary refuses our credentials ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It does not accept this picture or this public id.
    #[error("cloudinary does not accept the request ({status}): {message}")]
    Invalid {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Its answer cannot be read.
    #[error("cloudinary's answer is broken: {reason}")]
    Broken {
        /// What is wrong with it.
        reason: String,
        /// The failure below, if there was one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl CloudinaryError {
    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self::Broken { reason: reason.into(), source: None }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_at: None, source: None }
    }
}

/// A request that brought no whole answer.
impl From<reqwest::Error> for CloudinaryError {
    fn from(error: reqwest::Error) -> Self {
        let reason = match &error {
            error if error.is_connect() => "no connection",
            error if error.is_timeout() => "no answer in time",
            _ => "the connection was lost",
        };
        Self::Unavailable { reason: reason.into(), retry_at: None, source: Some(Box::new(error)) }
    }
}
