//! Policy calls that were recorded, to be replayed offline and byte for byte, also through another version of a plugin.
//! The same format holds the golden requests that a plugin carries inside its component.

mod check;
mod diff;
pub(crate) mod exact;
mod host;
mod noting;
pub(crate) mod packed;
mod replay;
mod table;
mod tape;

#[cfg(test)]
mod tests;

pub use self::{
    diff::{Answers, Change, Diff, OrderDiff, overlap_of_first_ten, score_distance},
    host::{Answered, Asked, HostCall, Refused},
    replay::Replay,
    tape::{CallTape, Tape},
};

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    embedding::Space,
    filter::Filter,
    id::TenantId,
    policy::{Candidates, Content, Decision, Leg, Part, PluginRef, Ranking, Submission},
};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// Longest recording, bytes of JSON.
pub const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;
/// Most pixels of all pictures of a recording together: 300 MB.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Policy calls that belong together, such as those of one search.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// [`FORMAT`].
    pub format: u32,
    /// When.
    pub recorded_at: Timestamp,
    /// The shop.
    pub tenant: TenantId,
    /// In the order in which they began.
    pub calls: Vec<RecordedCall>,
}

/// One call of one policy: all it depended on, and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// Which plugin.
    #[serde(with = "StrictPluginRef")]
    pub plugin: PluginRef,
    /// Its settings.
    pub settings: Value,
    /// The request's filter.
    pub filter: Filter,
    /// What it was given.
    pub input: Input,
    /// The space of the vectors; none when the call had no access to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// What it asked the host, in the order of the answers.
    pub host: Vec<HostCall>,
    /// What it answered.
    pub answer: Answer,
}

/// Stored receipts and results hold plugins as well; those may have fields of a newer version.
#[derive(Serialize, Deserialize)]
#[serde(remote = "PluginRef", deny_unknown_fields)]
struct StrictPluginRef {
    name: String,
    version: String,
    digest: String,
}

/// What a policy is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// A search policy.
    Search {
        /// The parts it accepts. The path of a video is not kept.
        parts: Vec<Part>,
        /// How many products a client can page through.
        limit: u32,
    },
    /// A ranking policy.
    Rank(Candidates),
    /// An ingestion policy.
    Ingest(Submission),
}

/// What a policy answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A search policy.
    Legs(Vec<Leg>),
    /// A ranking policy.
    Ranking(Ranking),
    /// An ingestion policy.
    Decision(Decision),
    /// The call failed, and how.
    Fault(String),
}

/// A recording that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Its text is too long.
    #[error("recording has {bytes} bytes, and at most {MAX_TEXT_BYTES} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The policies asked for more than is kept.
    #[error("answers of the host take more bytes than a tape keeps")]
    TapeFull,
    /// It is of another version of Taja.
    #[error(
        "recording has format {found}, and this version of taja reads format {FORMAT}: \
         record it again with this version, or replay it with the version that wrote it"
    )]
    Format {
        /// The number it has.
        found: u32,
    },
    /// It is not JSON, or not that of a recording.
    #[error("recording cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// It cannot be put into JSON: its pictures have more than [`MAX_PIXELS`] pixels.
    #[error("recording cannot be written: {0}")]
    Unwritable(serde_json::Error),
    /// A policy could never have been called so.
    #[error("call {call} of the recording cannot be: {problem}")]
    Impossible {
        /// Its place, from 0.
        call: usize,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Recording {
    /// Reads what [`Recording::to_json`] wrote, or whoever made it look so.
    pub fn from_json(json: &[u8]) -> Result<Self, RecordingError> {
        if json.len() > MAX_TEXT_BYTES {
            return Err(RecordingError::TooLong { bytes: json.len() });
        }
        // Another format may have other fields, so its number is looked at first.
        let head: Head = serde_json::from_slice(json).map_err(RecordingError::Unreadable)?;
        if head.format != FORMAT {
            return Err(RecordingError::Format { found: head.format });
        }
        let read = packed::with_room(MAX_PIXELS, || serde_json::from_slice(json));
        let mut recording: Self = read.map_err(RecordingError::Unreadable)?;
        recording.check()?;
        recording.calls.iter_mut().for_each(|call| call.input.name_videos());
        Ok(recording)
    }

    /// As JSON that can be read again. Compresses the pictures, which takes its time.
    pub fn to_json(&self) -> Result<String, RecordingError> {
        self.check()?;
        let json = packed::with_room(MAX_PIXELS, || serde_json::to_string(self));
        let json = json.map_err(RecordingError::Unwritable)?;
        if json.len() > MAX_TEXT_BYTES {
            return Err(RecordingError::TooLong { bytes: json.len() });
        }
        Ok(json)
    }

    fn check(&self) -> Result<(), RecordingError> {
        let check = |(call, it): (usize, &RecordedCall)| {
            it.check().map_err(|problem| RecordingError::Impossible { call, problem })
        };
        self.calls.iter().enumerate().try_for_each(check)
    }
}

impl Input {
    /// Paths of its videos. By their places here host calls tell them apart.
    fn videos(&self) -> Vec<PathBuf> {
        let Self::Search { parts, .. } = self else { return Vec::new() };
        let videos = parts.iter().filter_map(|part| match &part.content {
            Content::Video(file) => Some(file.path.clone()),
            _ => None,
        });
        videos.collect()
    }
}
