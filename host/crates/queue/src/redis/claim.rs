//! Choosing the next job, and ending what lost its last worker.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;

use super::{
    core::Core,
    live::{Fields, Live},
    settle::SendBack,
};
use crate::{
    Claim, Company, Ending, JobError, JobId, JobRecord, OpenJob, Result, Status, Token,
    clock::{micros, moment},
    telemetry,
};

/// A token's number. It is drawn, not counted: a count would begin again when Redis loses it, and old tokens would be
/// good again.
pub(super) fn new_token() -> i64 {
    (JobId::new().random_bits() & i64::MAX.unsigned_abs()).cast_signed()
}

/// What came with a claim; one that cannot be read must not keep the others from being served.
fn readable(fields: &Fields) -> Option<Live> {
    Live::read(fields).unwrap_or_else(|error| {
        tracing::error!(job.id = fields.get("id"), %error, "a job in redis is damaged");
        None
    })
}

impl Core {
    /// Leases up to so many jobs under one token number: a token is that of a job, so they are told apart.
    pub(super) async fn claim(
        &self,
        worker: &str,
        kinds: &[&str],
        company: Company,
        lease: Duration,
        most: usize,
        passed_over: &[String],
    ) -> Result<Vec<Claim>> {
        loop {
            let now = self.clock.now_us();
            let number = new_token();
            let mut call = self.call_aloud(&self.scripts.claim);
            call.arg(worker).arg(now.saturating_add(micros(lease))).arg(number);
            call.arg(u8::from(company == Company::Alone)).arg(most);
            call.arg(kinds.len()).arg(kinds).arg(passed_over);
            let (lost, over, claimed): (Vec<Fields>, Vec<Fields>, Vec<Fields>) =
                self.link.script(&call).await?;
            join_all(lost.iter().filter_map(readable).map(|live| self.note_lost(live))).await;
            join_all(over.iter().filter_map(readable).map(|live| self.end_abandoned(live))).await;
            let claims = claimed.iter().filter_map(readable).map(|live| self.checked(live, number, now));
            let (checked, refused): (Vec<_>, Vec<_>) =
                join_all(claims).await.into_iter().partition(Result::is_ok);
            let claims: Vec<Claim> = checked.into_iter().flatten().flatten().collect();
            // The jobs that are leased have to be run, whatever became of the others.
            if !claims.is_empty() {
                return Ok(claims);
            }
            if let Some(Err(error)) = refused.into_iter().next() {
                return Err(error);
            }
            // All of them may have ended without Redis knowing.
            if claimed.is_empty() {
                return Ok(claims);
            }
        }
    }

    /// A job that was leased, unless it turns out to have ended.
    async fn checked(&self, live: Live, number: i64, now: i64) -> Result<Option<Claim>> {
        let Live { job, durability, .. } = &live;
        let token = Token { claimed: Arc::new(job.clone()), number, durability: *durability };
        if !self.is_open_still(&live, &token).await? {
            return Ok(None);
        }
        let waited = Duration::from_micros(u64::try_from(now - live.due_at).unwrap_or(0));
        telemetry::claimed(&live.job, waited);
        self.signals.moved(live.job.id);
        Ok(Some(Claim { job: Arc::clone(&token.claimed), token }))
    }

    /// Asks the ledger about a job that may have ended without Redis knowing; one that has is removed.
    async fn is_open_still(&self, live: &Live, token: &Token) -> Result<bool> {
        if live.job.attempts <= 1 && !live.lone && !self.is_old(live) {
            return Ok(true);
        }
        match self.ledger.get(&live.job.tenant, live.job.id).await {
            Ok(Some(job)) if !job.status.is_terminal() => Ok(true),
            Ok(_) => {
                self.forget(&live.job, token.number).await;
                Ok(false)
            }
            Err(error) => {
                // It has not started.
                self.send_back(token, &SendBack::uncounted(live)).await?;
                Err(error)
            }
        }
    }

    /// Writes down that a job lost a worker, so that it stays lone whatever happens to Redis.
    async fn note_lost(&self, live: Live) {
        telemetry::worker_lost(&live.job);
        let open = OpenJob { due_at: moment(live.due_at), lone: true, job: live.job };
        if let Err(error) = self.ledger.note(&open).await {
            tracing::warn!(job.id = %open.job.id, %error, "the loss of a worker is not noted");
        }
    }

    /// Ends a job that has no start left, or was called off. If the ledger does not take it, the next claim finds it
    /// again.
    async fn end_abandoned(&self, live: Live) {
        let token = live.token.unwrap_or_default();
        let (status, error) = if live.job.cancel_asked {
            (Status::Cancelled, None)
        } else {
            (Status::Failed, Some(JobError::worker_lost(live.job.attempts)))
        };
        let job = self.ended(JobRecord { error, ..live.job }, status);
        match self.closing.ask(Ending { job: job.clone(), token: None }).await {
            Ok(closed) => {
                self.forget(&job, token).await;
                if closed {
                    telemetry::worker_lost(&job);
                    self.tell_finished(Arc::new(job));
                }
            }
            Err(error) => tracing::warn!(job.id = %job.id, %error, "an abandoned job is not ended yet"),
        }
    }

    /// The job at its end.
    pub(super) fn ended(&self, job: JobRecord, status: Status) -> JobRecord {
        let now = self.clock.now();
        JobRecord { status, finished_at: Some(now), updated_at: now, ..job }
    }

    pub(super) fn tell_finished(&self, job: Arc<JobRecord>) {
        telemetry::finished(&job);
        self.signals.finished(job);
    }
}
