//! What the queue tells the metrics recorder.

use std::{collections::HashMap, time::Duration};

use crate::{JobRecord, Queue, Result, Status};

/// A job was claimed after waiting so long since it was due.
pub(crate) fn claimed(kind: &str, waited: Duration) {
    metrics::histogram!("taja_job_duration_seconds", "kind" => kind.to_owned(), "stage" => "wait")
        .record(waited);
}

/// A job will be tried again.
pub(crate) fn retried(kind: &str) {
    count(kind, "retried");
}

/// A job's worker was lost.
pub(crate) fn worker_lost(kind: &str) {
    count(kind, "worker_lost");
}

/// A job became terminal.
pub(crate) fn finished(job: &JobRecord) {
    let outcome = if job.status == Status::Failed { "buried" } else { job.status.as_str() };
    count(&job.kind, outcome);
    if let (Some(start), Some(end)) = (job.started_at, job.finished_at) {
        let ran = Duration::try_from(end.duration_since(start)).unwrap_or_default();
        metrics::histogram!("taja_job_duration_seconds", "kind" => job.kind.clone(), "stage" => "run")
            .record(ran);
    }
}

fn count(kind: &str, outcome: &'static str) {
    metrics::counter!("taja_jobs_total", "kind" => kind.to_owned(), "outcome" => outcome).increment(1);
}

/// Sets the gauge `taja_queue_depth` for these kinds and every status, zeros included; to be called on each scrape.
///
/// # Errors
/// When the queue cannot be read.
pub async fn publish_depth(queue: &dyn Queue, kinds: &[&str]) -> Result<()> {
    let depths = queue.depth().await?;
    let counts: HashMap<_, _> = depths.iter().map(|d| ((d.kind.as_str(), d.status), d.jobs)).collect();
    for &kind in kinds {
        for status in Status::ALL {
            let jobs = counts.get(&(kind, status)).copied().unwrap_or(0);
            metrics::gauge!("taja_queue_depth", "kind" => kind.to_owned(), "status" => status.as_str())
                .set(jobs as f64);
        }
    }
    Ok(())
}
