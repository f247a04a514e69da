//! Adding a job: into the ledger first, then into Redis.

use std::sync::atomic::Ordering;

use super::{core::Core, fault::Fault, live};
use crate::{Durability, NewJob, OpenJob, Pushed, Result};

/// What to do about a job of that id which is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Present {
    /// Leave it alone.
    Stays,
    /// It is a remnant of its former life.
    GivesWay,
}

/// What is known of the job that is put into Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It is open: nobody else can have it.
    Open,
    /// It was open a moment ago; whoever claims it asks the ledger.
    WasOpen,
}

impl Core {
    pub(super) async fn push(&self, job: NewJob) -> Result<Pushed> {
        // What could not be delivered is not even entered.
        self.link.since()?;
        let durability = job.durability;
        let mut pushed = self.entering.ask(job).await?;
        let due_at = self.clock.now();
        if !pushed.existing {
            let open = OpenJob { job: pushed.job, due_at, lone: false };
            self.deliver(&open, durability).await?;
            return Ok(Pushed { job: open.job, existing: false });
        }
        if !pushed.job.status.is_terminal() {
            match self.live(pushed.job.id).await? {
                Some(live) => pushed.job = live.job,
                None => {
                    let open = OpenJob { job: pushed.job.clone(), due_at, lone: false };
                    self.enqueue(&open, durability, Present::Stays, Knowledge::WasOpen).await?;
                }
            }
        }
        Ok(pushed)
    }

    /// Puts a job that was just entered into Redis. If Redis refuses it, it was never pushed. If Redis does not answer
    /// it may be there, so its record stays, and if it is not there the reconciler puts it there: a job that may run
    /// must have its record.
    async fn deliver(&self, open: &OpenJob, durability: Durability) -> Result<()> {
        let Err(fault) = self.enqueue(open, durability, Present::Stays, Knowledge::Open).await else {
            return Ok(());
        };
        if !fault.refused {
            self.stranded.store(true, Ordering::Release);
        } else if let Err(error) = self.ledger.withdraw(&[open.job.id]).await {
            tracing::warn!(job.id = %open.job.id, %error, "a refused job stays in the ledger and will run");
        }
        Err(fault.error)
    }

    /// Puts an open job into Redis; answers whether it was not there.
    pub(super) async fn enqueue(
        &self,
        open: &OpenJob,
        durability: Durability,
        present: Present,
        knowledge: Knowledge,
    ) -> Result<bool, Fault> {
        let (job, due_at) = (&open.job, open.due_at.as_microsecond());
        let put_at = if knowledge == Knowledge::Open { self.clock.now_us() } else { 0 };
        let mut call = self.call(&self.scripts.enqueue);
        call.arg(job.id.to_string()).arg(&job.kind).arg(&job.tenant).arg(due_at).arg(u8::from(open.lone));
        call.arg(u8::from(present == Present::GivesWay));
        live::write(&mut call, job, durability, put_at).map_err(Fault::refused)?;
        let added: bool = self.link.script(&call).await?;
        if added && due_at <= self.clock.now_us() {
            self.signals.arrived(&job.kind);
        }
        Ok(added)
    }
}
