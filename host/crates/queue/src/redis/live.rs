//! A job as Redis holds it: the fields of a hash.

use std::{collections::HashMap, str::FromStr};

use redis::ScriptInvocation;

use crate::{Durability, Error, JobRecord, Result, clock::moment};

/// The fields of a job's hash; none if there is no such job.
pub(super) type Fields = HashMap<String, String>;

/// A job in Redis.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) job: JobRecord,
    pub(super) durability: Durability,
    pub(super) due_at: i64,
    pub(super) lone: bool,
    /// The token it is leased with.
    pub(super) token: Option<i64>,
    /// When it was put where it waits or waited, and was known to be open; 0 if it was not known.
    pub(super) put_at: i64,
}

impl Live {
    pub(super) fn read(fields: &Fields) -> Result<Option<Self>> {
        if fields.is_empty() {
            return Ok(None);
        }
        let text = |name: &str| fields.get(name).ok_or_else(|| unreadable(name));
        let time = |name: &str| optional::<i64>(fields, name).map(|us| us.map(moment));
        let json = |name: &str| fields.get(name).map(|text| serde_json::from_str(text)).transpose();
        let job = JobRecord {
            id: required(fields, "id")?,
            kind: text("kind")?.clone(),
            tenant: text("tenant")?.clone(),
            status: required(fields, "status")?,
            attempts: required(fields, "attempts")?,
            max_attempts: required(fields, "max_attempts")?,
            progress: required(fields, "progress")?,
            message: text("message")?.clone(),
            payload: serde_json::from_str(text("payload")?)?,
            result: None,
            error: json("error")?.map(serde_json::from_value).transpose()?,
            cancel_asked: text("cancel_asked")? == "1",
            // What an earlier version put there does not say.
            tell: fields.get("tell").is_some_and(|tell| tell == "1"),
            created_at: moment(required(fields, "created_at")?),
            started_at: time("started_at")?,
            finished_at: None,
            updated_at: moment(required(fields, "updated_at")?),
        };
        Ok(Some(Self {
            job,
            durability: if text("to_disk")? == "1" { Durability::Disk } else { Durability::Process },
            due_at: required(fields, "due_at")?,
            lone: text("lone")? == "1",
            token: optional(fields, "token")?,
            put_at: required(fields, "put_at")?,
        }))
    }
}

/// Adds the fields that a job is put into Redis with, other than those that the script itself sets.
pub(super) fn write(
    call: &mut ScriptInvocation<'_>,
    job: &JobRecord,
    durability: Durability,
    put_at: i64,
) -> Result<()> {
    call.arg("put_at").arg(put_at);
    call.arg("id").arg(job.id.to_string());
    call.arg("kind").arg(&job.kind);
    call.arg("tenant").arg(&job.tenant);
    call.arg("attempts").arg(job.attempts);
    call.arg("max_attempts").arg(job.max_attempts);
    call.arg("progress").arg(-1).arg("message").arg("");
    call.arg("payload").arg(job.payload.to_string());
    call.arg("cancel_asked").arg(0);
    call.arg("tell").arg(u8::from(job.tell));
    call.arg("created_at").arg(job.created_at.as_microsecond());
    call.arg("updated_at").arg(job.updated_at.as_microsecond());
    call.arg("to_disk").arg(u8::from(durability == Durability::Disk));
    if let Some(error) = &job.error {
        call.arg("error").arg(serde_json::to_string(error)?);
    }
    if let Some(started_at) = job.started_at {
        call.arg("started_at").arg(started_at.as_microsecond());
    }
    Ok(())
}

fn required<T: FromStr>(fields: &Fields, name: &str) -> Result<T> {
    optional(fields, name)?.ok_or_else(|| unreadable(name))
}

fn optional<T: FromStr>(fields: &Fields, name: &str) -> Result<Option<T>> {
    fields.get(name).map(|text| text.parse().map_err(|_| unreadable(name))).transpose()
}

fn unreadable(name: &str) -> Error {
    let text = format!("a job in redis has no readable `{name}`");
    Error::storage(std::io::Error::new(std::io::ErrorKind::InvalidData, text))
}
