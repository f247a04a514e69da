//! Telling how jobs ended: this process makes deliveries of the ends it finds, whichever process they came about in.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use taja_queue::JobRecord;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::{
    callbacks::{Herald, Scribe},
    http,
};

/// How often ends are looked for that did not ring here: those of other processes, and of some that are gone.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Makes deliveries of ends, until told to stop.
pub(super) async fn tell(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let herald = Herald::new(app.queue.clone(), app.config.callback_attempts);
    let scribe = Pen(app);
    loop {
        if let Err(error) = herald.tell(&scribe).await {
            tracing::warn!(error = format!("{error:#}"), "ends of jobs were not looked for");
        }
        tokio::select! {
            () = herald.rung() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Writes jobs down as the interface shows them.
struct Pen(Arc<App>);

#[async_trait]
impl Scribe for Pen {
    async fn resource(&self, job: &JobRecord) -> Result<String> {
        http::job_text(&self.0, job).await
    }
}
