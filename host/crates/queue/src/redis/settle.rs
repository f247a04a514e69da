//! What the holder of a token may do with its job.

use std::{sync::Arc, time::Duration};

use super::{
    core::{Core, Held},
    live::Live,
};
use crate::{
    Ending, Error, JobError, JobRecord, JsonText, OpenJob, Result, Standing, Status, Token, Verdict,
    clock::{micros, moment},
    telemetry,
};

/// How a job comes back to those that wait.
pub(super) struct SendBack {
    due_at: i64,
    lone: bool,
    /// The attempts that count against it.
    attempts: u32,
    /// The failure that sent it back, as JSON.
    failure: Option<String>,
}

impl SendBack {
    /// As if it had not been claimed.
    pub(super) fn uncounted(live: &Live) -> Self {
        let attempts = live.job.attempts.saturating_sub(1);
        Self { due_at: live.due_at, lone: live.lone, attempts, failure: None }
    }
}

/// Whether a job was sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentBack {
    Waits,
    /// It was called off meanwhile, and has to end instead.
    CancelAsked,
}

impl Core {
    pub(super) async fn renew(&self, token: &Token, lease: Duration) -> Result<Standing> {
        let mut call = self.call(&self.scripts.renew);
        let until = self.clock.now_us().saturating_add(micros(lease));
        call.arg(token.job().to_string()).arg(token.number).arg(until);
        match self.link.script::<i32>(&call).await? {
            -1 => Err(Error::LeaseLost(token.job())),
            asked => Ok(Standing { cancel_asked: asked == 1 }),
        }
    }

    pub(super) async fn progress(&self, token: &Token, percent: i8, message: &str) -> Result<()> {
        let mut call = self.call(&self.scripts.progress);
        call.arg(token.job().to_string()).arg(token.number).arg(percent.clamp(-1, 100)).arg(message);
        let noted: bool = self.link.script(&call).await?;
        if !noted {
            return Err(Error::LeaseLost(token.job()));
        }
        self.signals.moved(token.job());
        Ok(())
    }

    pub(super) async fn got_on(&self, token: &Token) -> Result<()> {
        let mut call = self.call(&self.scripts.got_on);
        call.arg(token.job().to_string()).arg(token.number);
        let noted: bool = self.link.script(&call).await?;
        if noted { Ok(()) } else { Err(Error::LeaseLost(token.job())) }
    }

    pub(super) async fn cancelled(&self, token: &Token) -> Result<bool> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.job_key(token.job())).arg("token").arg("cancel_asked");
        let (number, asked): (Option<i64>, Option<u8>) = self.link.command(&command).await?;
        if number == Some(token.number) { Ok(asked == Some(1)) } else { Err(Error::LeaseLost(token.job())) }
    }

    pub(super) async fn complete(&self, token: &Token, result: JsonText) -> Result<()> {
        let held = self.holding.ask(token.job()).await?.filter(|held| held.token == token.number);
        let Some(Held { attempts, message, cancel_asked, .. }) = held else {
            return self.completed_before(token).await;
        };
        let job = JobRecord::clone(&token.claimed);
        let result = Some(result);
        let done = JobRecord { progress: 100, attempts, message, cancel_asked, result, error: None, ..job };
        self.finish(self.ended(done, Status::Completed), token).await
    }

    pub(super) async fn fail(&self, token: &Token, error: JobError) -> Result<Verdict> {
        let live = self.held(token).await?;
        if live.job.cancel_asked {
            return self.finish_cancelled(live.job, token).await.map(|()| Verdict::Cancelled);
        }
        if !error.retryable || live.job.attempts >= live.job.max_attempts {
            let dead = JobRecord { error: Some(error), ..live.job };
            return self.finish(self.ended(dead, Status::Failed), token).await.map(|()| Verdict::Buried);
        }
        let delay = self.backoffs.of(&live.job.kind).delay(token.job(), live.job.attempts);
        let due_at = self.clock.now_us().saturating_add(micros(delay));
        let failure = serde_json::to_string(&error)?;
        let job = JobRecord {
            status: Status::Pending,
            progress: -1,
            message: String::new(),
            error: Some(error),
            updated_at: self.clock.now(),
            ..live.job
        };
        let attempts = job.attempts;
        // It came to an end of its own, so it is no danger to others (any more).
        let open = OpenJob { job, due_at: moment(due_at), lone: false };
        self.ledger.note(&open).await?;
        let back = SendBack { due_at, lone: false, attempts, failure: Some(failure) };
        if self.send_back(token, &back).await? == SentBack::CancelAsked {
            return self.finish_cancelled(open.job, token).await.map(|()| Verdict::Cancelled);
        }
        telemetry::retried(&open.job);
        self.signals.moved(open.job.id);
        if due_at <= self.clock.now_us() {
            self.signals.arrived(&open.job.kind);
        }
        Ok(Verdict::Retry(open.due_at))
    }

    pub(super) async fn release(&self, token: &Token) -> Result<()> {
        let live = self.held(token).await?;
        match self.send_back(token, &SendBack::uncounted(&live)).await? {
            SentBack::Waits => self.signals.arrived(&live.job.kind),
            SentBack::CancelAsked => self.finish_cancelled(live.job, token).await?,
        }
        Ok(())
    }

    pub(super) async fn send_back(&self, token: &Token, back: &SendBack) -> Result<SentBack> {
        let mut call = self.call(&self.scripts.send_back);
        call.arg(token.job().to_string()).arg(token.number).arg(back.due_at).arg(u8::from(back.lone));
        call.arg(back.attempts).arg(back.failure.as_deref().unwrap_or_default());
        match self.link.script::<i32>(&call).await? {
            1 => Ok(SentBack::Waits),
            2 => Ok(SentBack::CancelAsked),
            _ => Err(Error::LeaseLost(token.job())),
        }
    }

    /// The job, if the token holds it.
    async fn held(&self, token: &Token) -> Result<Live> {
        let live = self.live(token.job()).await?.filter(|live| live.token == Some(token.number));
        live.ok_or(Error::LeaseLost(token.job()))
    }

    async fn finish_cancelled(&self, job: JobRecord, token: &Token) -> Result<()> {
        let cancelled = self.ended(JobRecord { error: None, cancel_asked: true, ..job }, Status::Cancelled);
        self.finish(cancelled, token).await
    }

    /// Closes a job in the ledger, then removes it from Redis. Between the two its lease still stands.
    async fn finish(&self, job: JobRecord, token: &Token) -> Result<()> {
        let closed = self.closing.ask(Ending { job: job.clone(), token: Some(token.number) }).await?;
        self.forget(&job, token.number).await;
        if !closed {
            return Err(Error::LeaseLost(token.job()));
        }
        self.tell_finished(Arc::new(job));
        Ok(())
    }

    /// A worker whose answer got lost asks again: its own earlier completion stands.
    async fn completed_before(&self, token: &Token) -> Result<()> {
        let lost = || Error::LeaseLost(token.job());
        let job = self.ledger.get(&token.claimed.tenant, token.job()).await?.ok_or_else(lost)?;
        if job.status != Status::Completed {
            return Err(lost());
        }
        let ours = self.closing.ask(Ending { job, token: Some(token.number) }).await?;
        if ours { Ok(()) } else { Err(lost()) }
    }
}
