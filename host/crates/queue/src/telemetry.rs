//! What the queue tells the metrics recorder.

use std::{collections::HashMap, time::Duration};

use crate::{JobRecord, Queue, Result, Status};

/// A job was claimed after waiting so long since it was due.
pub(crate) fn claimed(job: &JobRecord, waited: Duration) {
    lasted(job, "wait", waited);
}

/// A job will be tried again.
pub(crate) fn retried(job: &JobRecord) {
    count(job, "retried");
}

/// A job's worker was lost.
pub(crate) fn worker_lost(job: &JobRecord) {
    count(job, "worker_lost");
}

/// A job became terminal.
pub(crate) fn finished(job: &JobRecord) {
    count(job, if job.status == Status::Failed { "buried" } else { job.status.as_str() });
    if let (Some(start), Some(end)) = (job.started_at, job.finished_at) {
        lasted(job, "run", Duration::try_from(end.duration_since(start)).unwrap_or_default());
    }
}

fn lasted(job: &JobRecord, stage: &'static str, time: Duration) {
    let (kind, tenant) = (job.kind.clone(), job.tenant.clone());
    metrics::histogram!("taja_job_duration_seconds", "kind" => kind, "stage" => stage, "tenant" => tenant)
        .record(time);
}

fn count(job: &JobRecord, outcome: &'static str) {
    let (kind, tenant) = (job.kind.clone(), job.tenant.clone());
    metrics::counter!("taja_jobs_total", "kind" => kind, "outcome" => outcome, "tenant" => tenant)
        .increment(1);
}

/// Sets the gauge `taja_queue_depth`, the length of the whole line whoever stands in it, for these kinds and every status, zeros included; to be called on each scrape.
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
