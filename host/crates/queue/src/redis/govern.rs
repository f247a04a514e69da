//! What an owner or an operator does with jobs: call off, redrive.

use std::{sync::Arc, time::Duration};

use super::{
    claim::new_token,
    core::Core,
    live::{Fields, Live},
    push::{Knowledge, Present},
};
use crate::{Durability, Ending, JobId, JobRecord, Result, Status, clock::micros};

/// How long a cancellation holds the job it closes; if it dies meanwhile, others take over then.
const CANCELLING: Duration = Duration::from_secs(10);

impl Core {
    pub(super) async fn cancel(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let token = new_token();
        let mut call = self.call(&self.scripts.cancel);
        let until = self.clock.now_us().saturating_add(micros(CANCELLING));
        call.arg(id.to_string()).arg(tenant).arg(token).arg(until);
        let (what, fields): (String, Fields) = self.link.script(&call).await?;
        match (what.as_str(), Live::read(&fields)?) {
            ("asked", Some(live)) => {
                self.signals.cancel_asked(id);
                Ok(Some(live.job))
            }
            ("taken", Some(live)) => {
                let cancelled = self.cancel_in_ledger(live.job.clone()).await?;
                self.forget(&live.job, token).await;
                Ok(cancelled)
            }
            _ => match self.ledger.get(tenant, id).await? {
                Some(job) if !job.status.is_terminal() => self.cancel_in_ledger(job).await,
                found => Ok(found),
            },
        }
    }

    /// Closes a job that nobody runs; answers it as it then stands.
    async fn cancel_in_ledger(&self, job: JobRecord) -> Result<Option<JobRecord>> {
        let cancelled = self.ended(JobRecord { error: None, cancel_asked: false, ..job }, Status::Cancelled);
        if self.closing.ask(Ending { job: cancelled.clone(), token: None }).await? {
            self.tell_finished(Arc::new(cancelled.clone()));
            return Ok(Some(cancelled));
        }
        self.ledger.get(&cancelled.tenant, cancelled.id).await
    }

    pub(super) async fn redrive(&self, tenant: &str, id: JobId) -> Result<Option<JobRecord>> {
        let Some(open) = self.ledger.reopen(tenant, id, self.clock.now()).await? else { return Ok(None) };
        self.enqueue(&open, Durability::Disk, Present::GivesWay, Knowledge::Open).await?;
        Ok(Some(open.job))
    }
}
