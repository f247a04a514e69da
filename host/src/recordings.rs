//! Recorded searches, until they are fetched: among the uploads that no job is known for, which are kept for a day.

use std::{convert::Infallible, future::ready, pin::pin, str::FromStr};

use bytes::Bytes;
use futures::stream;
use jiff::Timestamp;
use serde::Deserialize;
use taja_catalog::{Failure, ImageHash, PortResult, TenantId, recording::Tape};
use taja_queue::JobId;

use crate::staging::Staging;

/// Where a recording lies, and what it must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingId {
    place: JobId,
    hash: ImageHash,
}

impl FromStr for RecordingId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (place, hash) = text.split_once('.').ok_or(())?;
        Ok(Self { place: place.parse().map_err(drop)?, hash: hash.parse().map_err(drop)? })
    }
}

/// Keeps what is on a tape. The name it can be fetched by.
pub async fn keep(staging: &Staging, tape: &Tape, tenant: TenantId) -> Result<String, Failure> {
    let failed = |why: String| Failure { retryable: false, ..Failure::host("recording_failed", why) };
    let recording = tape.recording(tenant, Timestamp::now()).map_err(|error| failed(error.to_string()))?;
    let json = tokio::task::spawn_blocking(move || recording.to_json()).await;
    let json = json.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    let mut batch = staging.batch(JobId::new());
    let bytes = pin!(stream::once(ready(Ok::<_, Infallible>(Bytes::from(json)))));
    let staged = batch.receive(bytes, |_| Ok::<_, Infallible>(u64::MAX)).await;
    let staged = staged.map_err(|error| failed(format!("it cannot be kept: {error:?}")))?;
    let id = format!("{}.{}", batch.job(), staged.hash);
    batch.keep();
    Ok(id)
}

/// A shop's recording, as JSON; none when there is none of that name, or it is another shop's.
pub async fn fetch(staging: &Staging, tenant: &TenantId, id: RecordingId) -> PortResult<Option<Bytes>> {
    #[derive(Deserialize)]
    struct Whose {
        tenant: TenantId,
    }
    let Some(json) = staging.find(id.place, &id.hash).await? else { return Ok(None) };
    let whose = serde_json::from_slice::<Whose>(&json).ok();
    Ok(whose.is_some_and(|whose| whose.tenant == *tenant).then_some(json))
}
