//! A job: its id, what it is pushed as, and what is known of it later.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{JobError, JsonText};

/// Names a job; ids sort by the time they were made (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A fresh id.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "every id is different, so there is no default one")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of a job that stands for something else and is pushed again until it is known to be there: the same moment
    /// and seed make the same id. It sorts among those made at that moment.
    #[must_use]
    pub fn derived(moment: Timestamp, seed: [u8; 10]) -> Self {
        let milliseconds = u64::try_from(moment.as_millisecond()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &seed).into_uuid())
    }

    /// The low half of the id, 62 bits of which are random.
    pub(crate) fn random_bits(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Ties a job to a client's request, so that a repeated request finds the first one's job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The client's key; it holds within one tenant, for as long as the job is kept.
    pub key: String,
    /// A digest of the request's body: the same key with another digest is a conflict.
    pub body_digest: String,
}

/// What an acknowledged push or settlement survives.
///
/// Both survive the death of the process at any moment. The difference is a wait for the disk, which costs from a
/// fraction of a millisecond to several, twice per job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut as well: the answer waits until the disk has it.
    #[default]
    Disk,
    /// The end of the process, but not always of the machine: for work whose client is waiting and would ask again.
    Process,
}

/// A job to push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its id. Pushing one id twice is pushing it once.
    pub id: JobId,
    /// Which handler it is for.
    pub kind: String,
    /// Whom it belongs to.
    pub tenant: String,
    /// What the handler gets.
    pub payload: Value,
    /// How often it may start before it is buried; at least once.
    pub max_attempts: u32,
    /// The request it stands for, if a repeated request must find it again.
    pub idempotency: Option<Idempotency>,
    /// What its acknowledgements survive.
    pub durability: Durability,
    /// Whether somebody has to be told how it ended, see [`crate::Queue::untold`].
    pub tell: bool,
}

impl NewJob {
    /// A job with a fresh id and three attempts.
    pub fn new(kind: impl Into<String>, tenant: impl Into<String>, payload: Value) -> Self {
        Self {
            id: JobId::new(),
            kind: kind.into(),
            tenant: tenant.into(),
            payload,
            max_attempts: 3,
            idempotency: None,
            durability: Durability::Disk,
            tell: false,
        }
    }

    /// Sets how often it may start.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets what its acknowledgements survive.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Asks for its end to be told.
    #[must_use]
    pub fn tell(mut self) -> Self {
        self.tell = true;
        self
    }

    /// Ties it to a request.
    #[must_use]
    pub fn idempotent(mut self, key: impl Into<String>, body_digest: impl Into<String>) -> Self {
        self.idempotency = Some(Idempotency { key: key.into(), body_digest: body_digest.into() });
        self
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting for a worker, or for its next attempt.
    Pending,
    /// Leased to a worker.
    Processing,
    /// Done, with a result.
    Completed,
    /// In the grave: its attempts are used up or its failure is final.
    Failed,
    /// Called off.
    Cancelled,
}

impl Status {
    /// Every status, in the order a job can pass through them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Processing, Self::Completed, Self::Failed, Self::Cancelled];

    /// Whether a job stays so, short of a redrive.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The word used in JSON, in the store, in metrics and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a job status")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == word);
        known.ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Which handler it is for.
    pub kind: String,
    /// Whom it belongs to.
    pub tenant: String,
    /// Where it stands.
    pub status: Status,
    /// How often it was started since it last got on ([`crate::Queue::got_on`]).
    pub attempts: u32,
    /// How often it may be started.
    pub max_attempts: u32,
    /// Percent done, 0 to 100, or -1 while nothing is known.
    pub progress: i8,
    /// What it is doing, in the handler's words.
    pub message: String,
    /// What the handler gets.
    pub payload: Value,
    /// What a completed job produced.
    pub result: Option<JsonText>,
    /// The latest failure: final for a failed job, of an earlier attempt otherwise.
    pub error: Option<JobError>,
    /// Whether its cancellation was asked for while it ran.
    pub cancel_asked: bool,
    /// Whether somebody has to be told how it ended.
    #[serde(default)]
    pub tell: bool,
    /// When it was pushed.
    pub created_at: Timestamp,
    /// When its latest attempt started.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub finished_at: Option<Timestamp>,
    /// When anything above last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_sort_by_age() {
        let (older, newer) = (JobId::new(), JobId::new());
        assert!(older < newer && older.to_string() < newer.to_string());
        assert_eq!(older.to_string().parse::<JobId>().unwrap(), older);
        assert!("not-an-id".parse::<JobId>().is_err());
    }

    #[test]
    fn a_derived_id_is_the_same_each_time_and_sorts_by_its_moment() {
        let now = Timestamp::now();
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(JobId::derived(now, [7; 10]), JobId::derived(now, [7; 10]));
        assert_ne!(JobId::derived(now, [7; 10]), JobId::derived(now, [8; 10]));
        assert!(JobId::derived(now, [9; 10]) < JobId::derived(later, [1; 10]));
    }

    #[test]
    fn a_status_has_one_word_everywhere() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), Value::from(status.as_str()));
        }
        assert_eq!("done".parse::<Status>(), Err(UnknownStatus("done".into())));
    }
}
