//! What a service does by itself now and then: forgets, clears up.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use jiff::Timestamp;
use taja_catalog::{EffectKey, PortError, PortResult, TenantId, port::PortErrorKind, sweep::Sweep};
use taja_queue::{Queue, Status};
use tokio_util::sync::CancellationToken;

use super::{App, plugins::RENEW_EVERY};
use crate::{
    import,
    staging::{ORPHANS_KEPT, Staging},
};

/// How often finished jobs that nobody can read any more are forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// The longest pause between two looks for left-overs.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A process that did not say for so long how policies have been doing is gone: it missed saying so many times.
const GONE_AFTER: Duration = RENEW_EVERY.saturating_mul(24);

/// Forgets old jobs, and puts together what processes counted that are gone, until told to stop.
pub(super) async fn purge(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(PURGE_EVERY)).await.is_some() {
        let ended =
            app.queue.purge(&[Status::Completed, Status::Cancelled], app.config.result_lifetime).await;
        let failed = app.queue.purge(&[Status::Failed], app.config.failed_lifetime).await;
        if let Err(error) = ended.and(failed) {
            tracing::warn!(%error, "old jobs were not forgotten");
        }
        if let Err(error) = app.plugins.condense(ago(GONE_AFTER)).await {
            tracing::warn!(%error, "statistics of policies were not condensed");
        }
    }
    Ok(())
}

/// Removes what broken-off jobs left on the image host and in staging, until told to stop.
pub(super) async fn sweep(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let age = app.config.sweep_age;
    let sweep = Sweep { store: app.store.clone(), images: app.images.clone() };
    while stop.run_until_cancelled(tokio::time::sleep(age.min(SWEEP_EVERY))).await.is_some() {
        match sweep.run(ago(age), |tenant, effect| is_over(app.queue.clone(), tenant, effect)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "hosted pictures of broken-off jobs are removed"),
            Err(error) => tracing::warn!(%error, "left-over pictures were not swept"),
        }
        if let Err(error) = sweep_staging(&app.staging, app.queue.as_ref(), age).await {
            tracing::warn!(error = format!("{error:#}"), "left-over uploads were not swept");
        }
    }
    Ok(())
}

/// The moment that so much time has passed since.
fn ago(age: Duration) -> Timestamp {
    Timestamp::now() - jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX)
}

/// Whether a job will never run again, short of a redrive.
async fn is_over(queue: Arc<dyn Queue>, tenant: TenantId, effect: EffectKey) -> PortResult<bool> {
    let Some(id) = import::job_of(&effect) else { return Ok(true) };
    let job = queue.get(tenant.as_str(), id).await;
    let job = job.map_err(|error| PortError::from_source("queue", PortErrorKind::Unavailable, error))?;
    Ok(job.is_none_or(|job| job.status.is_terminal()))
}

/// Removes uploads that no job will ask for: of requests that broke off, and of jobs that ended. A failed job keeps its
/// uploads as long as it may be started again.
pub(super) async fn sweep_staging(staging: &Staging, queue: &dyn Queue, age: Duration) -> Result<()> {
    let orphans = staging.older_than(age.max(ORPHANS_KEPT)).await.context("staging")?;
    for job in staging.older_than(age).await.context("staging")? {
        let done = match queue.status_of(job).await? {
            Some(status) => matches!(status, Status::Completed | Status::Cancelled),
            None => orphans.contains(&job),
        };
        if done {
            staging.clear(job).await.context("staging")?;
        }
    }
    Ok(())
}
