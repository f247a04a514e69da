//! What a registry answers: read within bounds, checked, and shown without what a terminal would act on.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use reqwest::{
    Response, Url,
    header::{HeaderMap, LOCATION},
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{access::may_lead, reference::Digest};

/// Longest list of tags, and longest explanation of what went wrong.
pub const MAX_WORDS_BYTES: u64 = 64 << 10;
/// Longest silence in the middle of something.
const STALL: Duration = Duration::from_secs(30);
/// Longest text of a registry that is shown.
const MAX_TOLD: usize = 200;

/// Where an answer says to go on.
pub fn sent_on(from: &Url, headers: &HeaderMap) -> anyhow::Result<Url> {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let address = from.join(location.context("it sends on without saying where to")?);
    let address = address.context("it sends on to what is no address")?;
    ensure!(
        may_lead(from, &address),
        "it sends on to {}, which is not encrypted",
        told(&address.origin().ascii_serialization())
    );
    Ok(address)
}

/// Reads an answer that has to be no longer than this.
pub async fn read(answer: Response, most: u64) -> anyhow::Result<Vec<u8>> {
    let longer = || format!("is longer than {most} bytes");
    ensure!(answer.content_length().is_none_or(|length| length <= most), longer());
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(chunk) = timeout(STALL, stream.next()).await.context("breaks off")? {
        bytes.extend_from_slice(&chunk.map_err(reqwest::Error::without_url).context("breaks off")?);
        ensure!(bytes.len() as u64 <= most, longer());
    }
    Ok(bytes)
}

/// The digest of some bytes, which has to be the one that was promised.
pub fn check_digest(what: &str, bytes: &[u8], promised: Option<Digest>) -> anyhow::Result<Digest> {
    let found = Digest::of(bytes);
    match promised {
        Some(promised) if promised != found => bail!(
            "{what} is not what its digest promises: {promised} was asked for, and {found} came. Nothing was kept; \
             publish it again, and find out who changed it"
        ),
        _ => Ok(found),
    }
}

/// The digest that an answer says its bytes have.
pub fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// What a registry says of its refusal, if it does, behind a colon.
pub async fn explanation(answer: Response) -> String {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<Explained>,
    }
    #[derive(Deserialize)]
    struct Explained {
        code: String,
        #[serde(default)]
        message: String,
    }
    let bytes = read(answer, MAX_WORDS_BYTES).await.unwrap_or_default();
    let explained =
        serde_json::from_slice(&bytes).ok().and_then(|said: Envelope| said.errors.into_iter().next());
    explained
        .map(|error| format!(": {}", told(&format!("{} {}", error.code, error.message))))
        .unwrap_or_default()
}

/// A registry's words as they may be shown: some, and without what a terminal would act on.
pub fn told(words: &str) -> String {
    words.trim().chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect()
}
