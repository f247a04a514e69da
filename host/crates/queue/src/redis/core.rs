//! What every operation and every background task shares.

use std::sync::{Arc, atomic::AtomicBool};

use redis::{Script, ScriptInvocation};

use super::{
    batch::Batcher,
    fault::Fault,
    link::Link,
    live::{Fields, Live},
    scripts::Scripts,
};
use crate::{Backoffs, Clock, Ending, JobId, JobRecord, Ledger, NewJob, Pushed, Result, Signals};

pub(super) struct Core {
    pub(super) link: Link,
    pub(super) scripts: Scripts,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) entering: Batcher<NewJob, Pushed>,
    pub(super) closing: Batcher<Ending, bool>,
    pub(super) holding: Batcher<JobId, Option<Held>>,
    pub(super) forgetting: Batcher<Closed, ()>,
    pub(super) signals: Signals,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backoffs: Backoffs,
    /// Whether a job was entered that may not be in Redis.
    pub(super) stranded: AtomicBool,
    /// What all keys begin with.
    pub(super) prefix: String,
    /// Names this queue among those that hear the news.
    pub(super) origin: String,
}

/// A job that the ledger has closed, and the number of the token that held it.
pub(super) struct Closed {
    pub(super) job: JobId,
    pub(super) token: i64,
    pub(super) tenant: String,
}

/// What became of a job since it was leased.
pub(super) struct Held {
    /// The number of the token that holds it now.
    pub(super) token: i64,
    pub(super) attempts: u32,
    pub(super) message: String,
    pub(super) cancel_asked: bool,
}

impl Core {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn job_key(&self, id: JobId) -> String {
        format!("{}job:{id}", self.prefix)
    }

    /// A call of a script whose news this process need not hear from Redis.
    pub(super) fn call<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        self.call_as(script, &self.origin)
    }

    /// A call of a script whose news every process hears, this one too.
    pub(super) fn call_aloud<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        self.call_as(script, "")
    }

    fn call_as<'a>(&self, script: &'a Script, origin: &str) -> ScriptInvocation<'a> {
        let mut call = script.key(&self.prefix);
        call.arg(self.clock.now_us()).arg(origin);
        call
    }

    /// The job as Redis has it.
    pub(super) async fn live(&self, id: JobId) -> Result<Option<Live>> {
        let fields: Fields = self.link.command(redis::cmd("HGETALL").arg(self.job_key(id))).await?;
        Live::read(&fields)
    }

    /// The jobs of these ids that Redis has.
    pub(super) async fn lives(&self, ids: &[JobId]) -> Result<Vec<Live>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for &id in ids {
            pipeline.cmd("HGETALL").arg(self.job_key(id));
        }
        let found: Vec<Fields> = self.link.pipeline(&pipeline).await?;
        found.iter().filter_map(|fields| Live::read(fields).transpose()).collect()
    }

    /// Who holds these jobs; none of one that nobody holds.
    pub(super) async fn holders(&self, ids: &[JobId]) -> Result<Vec<Option<Held>>> {
        let mut pipeline = redis::pipe();
        for &id in ids {
            pipeline.cmd("HMGET").arg(self.job_key(id)).arg(&[
                "token",
                "attempts",
                "message",
                "cancel_asked",
            ]);
        }
        type Fields = (Option<i64>, Option<u32>, Option<String>, Option<u8>);
        let found: Vec<Fields> = self.link.pipeline(&pipeline).await?;
        let held = |(token, attempts, message, asked): Fields| {
            let (message, cancel_asked) = (message.unwrap_or_default(), asked == Some(1));
            Some(Held { token: token?, attempts: attempts?, message, cancel_asked })
        };
        Ok(found.into_iter().map(held).collect())
    }

    /// Whether Redis may have this job from before it lost something: what was put there before the present
    /// connection began may have been settled since, and only the ledger remembers.
    pub(super) fn is_old(&self, live: &Live) -> bool {
        self.link.since().is_ok_and(|since| live.put_at < since)
    }

    /// Removes a job that the ledger has closed. If that fails its lease ends, and it is found to be closed then.
    pub(super) async fn forget(&self, job: &JobRecord, token: i64) {
        let closed = Closed { job: job.id, token, tenant: job.tenant.clone() };
        if let Err(error) = self.forgetting.ask(closed).await {
            tracing::debug!(job.id = %job.id, %error, "a settled job stays in redis until its lease ends");
        }
    }

    /// Removes jobs that the ledger has closed, in one round trip.
    pub(super) async fn forget_all(&self, closed: &[Closed]) {
        let mut call = self.call(&self.scripts.forget);
        for Closed { job, token, tenant } in closed {
            call.arg(job.to_string()).arg(*token).arg(tenant);
        }
        let gone: Result<(), Fault> = self.link.script(&call).await;
        if let Err(Fault { error, .. }) = gone {
            tracing::debug!(jobs = closed.len(), %error, "settled jobs stay in redis until their leases end");
        }
    }
}
