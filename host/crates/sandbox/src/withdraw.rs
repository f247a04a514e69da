//! Taking a choice out of service that misbehaves: at once here, for all as soon as the store has it.

use std::sync::Arc;

use parking_lot::Mutex;
use taja_catalog::{
    PortResult,
    plugins::{Action, Activation, Choice, Event, Part},
    port::PortErrorKind,
};

use crate::{
    house::House,
    life::{ATTEMPTS, stop_trying},
    roster::Place,
};

/// Who it is that withdraws a choice that misbehaves.
const SERVICE: &str = "service";

/// What is to be withdrawn and is not yet.
#[derive(Default)]
pub(crate) struct Withdrawals(Mutex<Vec<Withdrawal>>);

#[derive(Clone, PartialEq)]
struct Withdrawal {
    place: Place,
    /// Of the choice.
    id: String,
    part: Part,
    reason: String,
}

/// What became of a withdrawal.
enum Outcome {
    Withdrawn(Choice),
    /// Somebody was faster, or the slot has changed.
    Gone,
    /// There is nothing that would serve in its place.
    Alone,
}

impl House {
    /// Takes the choice of this id out of service, wherever it stands by now. When the store cannot be asked, it is tried again whenever
    /// that is read.
    pub(crate) fn withdraw(self: &Arc<Self>, place: Place, id: &str, part: Part, reason: String) {
        let withdrawal = Withdrawal { place, id: id.to_owned(), part, reason };
        let mut waiting = self.withdrawals.0.lock();
        let same = |known: &Withdrawal| {
            (&known.place, &known.id, known.part) == (&withdrawal.place, &withdrawal.id, part)
        };
        if !waiting.iter().any(same) {
            waiting.push(withdrawal);
        }
        drop(waiting);
        self.withdraw_again();
    }

    /// Tries what is not withdrawn yet.
    pub(crate) fn withdraw_again(self: &Arc<Self>) {
        for withdrawal in self.withdrawals.0.lock().clone() {
            let house = Arc::clone(self);
            self.tasks.spawn(async move { house.try_to_withdraw(&withdrawal).await });
        }
    }

    async fn try_to_withdraw(self: &Arc<Self>, withdrawal: &Withdrawal) {
        let Withdrawal { place: (tenant, slot), id, part, reason } = withdrawal;
        for attempt in 1..=ATTEMPTS {
            match self.take_out(withdrawal).await {
                Ok(Outcome::Withdrawn(Choice { name, digest, .. })) => {
                    metrics::counter!("taja_plugin_withdrawn_total", "plugin" => name.clone(), "part" => part.as_str())
                        .increment(1);
                    tracing::error!(plugin = %name, %digest, ?tenant, %slot, reason, "a choice is withdrawn");
                    break;
                }
                Ok(Outcome::Gone) => {
                    tracing::info!(choice = id, ?tenant, %slot, "a choice that misbehaves is withdrawn already");
                    break;
                }
                Ok(Outcome::Alone) => {
                    tracing::error!(choice = id, ?tenant, %slot, reason, "a choice misbehaves, and there is no other");
                    break;
                }
                Err(error) if error.kind == PortErrorKind::Conflict && attempt < ATTEMPTS => {
                    tracing::info!(choice = id, ?tenant, %slot, attempt, "the slot of a choice that misbehaves was changed by somebody else");
                }
                Err(error) => {
                    tracing::error!(choice = id, ?tenant, %slot, %error, "a choice that misbehaves could not be withdrawn: it will be tried again");
                    return;
                }
            }
        }
        self.withdrawals.0.lock().retain(|waiting| waiting != withdrawal);
    }

    async fn take_out(self: &Arc<Self>, withdrawal: &Withdrawal) -> PortResult<Outcome> {
        let Withdrawal { place: (tenant, slot), id, part, reason } = withdrawal;
        let Some(mut row) = self.store.activation(tenant.as_ref(), slot).await? else {
            return Ok(Outcome::Gone);
        };
        let taken = match part {
            Part::Canary => {
                row.canary.take_if(|canary| canary.choice.id() == *id).map(|canary| canary.choice)
            }
            Part::Shadow => {
                row.shadow.take_if(|shadow| shadow.choice.id() == *id).map(|shadow| shadow.choice)
            }
            Part::Live => row.live.take_if(|live| live.id() == *id),
        };
        let Some(taken) = taken else {
            self.read_store().await?;
            return Ok(Outcome::Gone);
        };
        if *part == Part::Live && !self.go_back(&mut row).await? {
            return Ok(Outcome::Alone);
        }
        row.changed_at = self.now();
        row.changed_by = SERVICE.to_owned();
        let event = Event {
            tenant: tenant.clone(),
            slot: slot.clone(),
            action: Action::Withdrawn,
            choice: Some(taken.clone()),
            reason: reason.clone(),
            by: SERVICE.to_owned(),
            at: row.changed_at,
        };
        let revision = self.store.change(&row, &event).await?;
        self.follow_own(Activation { revision, ..row }).await;
        Ok(Outcome::Withdrawn(taken))
    }

    /// What was live before is live again; a shop that had nothing before has what everybody has. False when there is
    /// neither.
    async fn go_back(&self, row: &mut Activation) -> PortResult<bool> {
        if !row.previous.is_empty() {
            let before = row.previous.remove(0);
            stop_trying(row, &before);
            row.live = Some(before);
            return Ok(true);
        }
        if row.tenant.is_none() {
            return Ok(false);
        }
        (row.canary, row.shadow) = (None, None);
        let everybodys = self.store.activation(None, &row.slot).await?;
        Ok(everybodys.is_some_and(|row| row.live.is_some()))
    }
}
