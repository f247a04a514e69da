//! How the host refuses a call of a guest: as an answer, never as the end of its run.

use std::fmt::Display;

use taja_catalog::port::{MediaError, PortError, PortErrorKind};
use wasmtime::component::ResourceTableError;

use crate::{bindings::host::types::Error, manifest::Capability};

/// The outcome of a host call that did not succeed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The guest is told and goes on.
    Answer(Error),
    /// The host itself is broken; the call ends and the host is to blame.
    Broken(HostBroken),
}

/// A fault of the host inside a host call.
#[derive(Debug, thiserror::Error)]
#[error("host call failed: {0}")]
pub(crate) struct HostBroken(pub(crate) String);

/// What a host function gives.
pub(crate) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    /// An argument makes no sense.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Answer(Error::Invalid(text.into()))
    }

    /// An argument or an answer is too large.
    pub(crate) fn too_large(text: impl Into<String>) -> Self {
        Self::Answer(Error::TooLarge(text.into()))
    }

    /// A limit of the call is used up.
    pub(crate) fn quota(text: impl Into<String>) -> Self {
        Self::Answer(Error::Quota(text.into()))
    }

    /// A part of the host cannot serve right now.
    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::Answer(Error::Unavailable(text.into()))
    }

    /// The plugin does not hold this; says who has to change what.
    pub(crate) fn denied(capability: Capability, asked: bool) -> Self {
        let what = if asked {
            format!("the operator does not grant \"{capability}\" to this plugin")
        } else {
            format!("add \"{capability}\" to the line `capabilities = [..]` of plugin.toml")
        };
        Self::Answer(Error::Denied(format!("not granted: {what}")))
    }

    /// As the end of the run, for functions that have no way to refuse.
    pub(crate) fn into_error(self) -> wasmtime::Error {
        match self {
            Self::Answer(error) => HostBroken(format!("{error:?}")).into(),
            Self::Broken(broken) => broken.into(),
        }
    }

    /// The host itself went wrong.
    pub(crate) fn broken(text: impl Display) -> Self {
        Self::Broken(HostBroken(text.to_string()))
    }
}

/// A handle that is not in the table: wasmtime checks handles before a host function sees them, so this is ours.
impl From<ResourceTableError> for Refusal {
    fn from(error: ResourceTableError) -> Self {
        Self::broken(error)
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        match error.kind {
            PortErrorKind::Invalid => Self::invalid(error.to_string()),
            PortErrorKind::Unavailable | PortErrorKind::Conflict => Self::unavailable(error.to_string()),
            PortErrorKind::Broken => {
                // The message may name files and addresses of the host, which are not the guest's business.
                tracing::error!(part = error.part, %error, "a part of the host broke inside a host call");
                Self::unavailable(format!("{} is broken", error.part))
            }
        }
    }
}

impl From<MediaError> for Refusal {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Failed(_) => {
                tracing::error!(%error, "the media decoder failed inside a host call");
                Self::unavailable("the media decoder failed")
            }
            MediaError::TooLarge { .. } => Self::too_large(error.to_string()),
            _ => Self::invalid(error.to_string()),
        }
    }
}

impl crate::bindings::host::types::Host for crate::state::GuestState {
    fn convert_error(&mut self, refusal: Refusal) -> wasmtime::Result<Error> {
        match refusal {
            Refusal::Answer(error) => Ok(error),
            Refusal::Broken(broken) => Err(broken.into()),
        }
    }
}
