//! Following a job to its end: by its stream of events, and by asking where that breaks off.

use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    client::{Client, has_ended},
    patience::patiently,
};

/// Longest silence of a stream, which says something every 15 seconds.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How long to wait for the end in one request when there is no stream, seconds.
const WAIT_SECONDS: u32 = 5;

/// Follows a job to its end, and tells how far it is, in percent; the job as `/jobs/{id}` shows it.
pub async fn follow(client: &Client, job: &str, mut told: impl FnMut(u64)) -> anyhow::Result<Value> {
    let route = format!("/jobs/{job}?wait={WAIT_SECONDS}");
    loop {
        if let Err(error) = listen(client, job, &mut told).await {
            tracing::debug!(error = format!("{error:#}"), "the stream of a job broke off");
        }
        // However the stream ended, the job itself tells how it stands.
        let standing = patiently(|| client.get(&route)).await?;
        if has_ended(&standing) {
            return Ok(standing);
        }
    }
}

/// Follows a job to its end with a bar; the job as `/jobs/{id}` shows it.
pub async fn shown(client: &Client, job: &str) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(100);
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  ({elapsed})")?);
    loop {
        let standing = client.get(&format!("/jobs/{job}?wait=1")).await?;
        bar.set_position(standing["progress"].as_u64().unwrap_or(0));
        bar.set_message(standing["stage"].as_str().unwrap_or_default().to_owned());
        if has_ended(&standing) {
            bar.finish_and_clear();
            return Ok(standing);
        }
    }
}

async fn listen(client: &Client, job: &str, told: &mut impl FnMut(u64)) -> anyhow::Result<()> {
    let mut answer = client.stream(&format!("/jobs/{job}/events"), &[]).await?;
    let mut text = Vec::new();
    while let Some(chunk) = timeout(LONGEST_SILENCE, answer.chunk()).await.context("it says nothing")?? {
        text.extend_from_slice(&chunk);
        while let Some(end) = text.windows(2).position(|bytes| bytes == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            percent(&event).into_iter().for_each(&mut *told);
        }
    }
    Ok(())
}

/// How far a job is, of an event that tells it.
fn percent(event: &[u8]) -> Option<u64> {
    let event = str::from_utf8(event).ok()?;
    let data = event.lines().find_map(|line| line.strip_prefix("data:"))?;
    serde_json::from_str::<Value>(data).ok()?["progress"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_how_far_the_job_is_or_nothing() {
        assert_eq!(
            percent(b"event: progress\nid: 1\ndata: {\"progress\":40,\"message\":\"4 of 10 rows\"}\n\n"),
            Some(40)
        );
        for event in [
            &b": keep alive\n\n"[..],
            b"data: {\"progress\":-1}\n\n",
            b"data: \xff\n\n",
            b"data: {\n\n",
            b"\n\n",
        ] {
            assert_eq!(percent(event), None);
        }
    }
}
