//! The life of a version: activated, tried, run in shadow, gone back from. Each step is one change in the store, made
//! from the state that was read, and followed at once.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use taja_catalog::{
    PluginDigest, PortError, TenantId,
    plugins::{Action, Activation, Canary, Choice, Event, PREVIOUS, Part, Shadow, Slot, Version},
    port::PortErrorKind,
};

use crate::{house::House, plugin::Binding, seats::Seat, settings};

/// How often a change is tried when others change the same slot.
const ATTEMPTS: u32 = 5;
/// Who it is that withdraws a choice that misbehaves.
const SERVICE: &str = "service";

/// What is to happen to a slot.
#[derive(Debug, Clone)]
pub struct Order {
    /// The shop; none for all shops that have nothing of their own there.
    pub tenant: Option<TenantId>,
    /// The slot.
    pub slot: Slot,
    /// What.
    pub step: Step,
    /// Why, for people; may be empty.
    pub reason: String,
    /// Who wants it.
    pub by: String,
}

/// A version and, unless it is to have those of the plugin that stands in the slot, its settings.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The version.
    pub digest: PluginDigest,
    /// The settings.
    pub settings: Option<Value>,
}

/// One step in the life of a version.
#[derive(Debug, Clone)]
pub enum Step {
    /// It serves.
    Activate(Wanted),
    /// Nothing of the shop's own serves.
    Deactivate,
    /// It serves this percentage of the sessions, 1 to 100.
    StartCanary(Wanted, u8),
    /// It does no longer.
    StopCanary,
    /// It runs beside the live one at one request in so many.
    StartShadow(Wanted, u32),
    /// It does no longer.
    StopShadow,
    /// What served before serves again: the last one, or this version.
    Rollback(Option<PluginDigest>),
}

/// Why a step was not taken. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such version for this shop, or nothing in the slot that the step could be taken with.
    #[error("{0}")]
    NotFound(String),
    /// The step makes no sense, and why.
    #[error("{0}")]
    Refused(String),
    /// The store failed, or others kept changing the slot.
    #[error(transparent)]
    Store(#[from] PortError),
}

impl House {
    /// Takes one step, and follows it here. The slot as it is afterwards.
    pub(crate) async fn order(&self, order: &Order) -> Result<Activation, OrderError> {
        let mut attempt = 1;
        let stored = loop {
            let before = self.store.activation(order.tenant.as_ref(), &order.slot).await?;
            let before = before.unwrap_or_else(|| blank(order));
            let Some((mut after, action, choice)) = self.step(order, &before).await? else {
                return Ok(before);
            };
            after.changed_at = Timestamp::now();
            after.changed_by = order.by.clone();
            let event = Event {
                tenant: order.tenant.clone(),
                slot: order.slot.clone(),
                action,
                choice,
                reason: order.reason.clone(),
                by: order.by.clone(),
                at: after.changed_at,
            };
            match self.store.change(&after, &event).await {
                Ok(revision) => break Activation { revision, ..after },
                Err(error) if error.kind == PortErrorKind::Conflict && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        };
        self.refresh().await?;
        self.changed.send_replace(stored.revision);
        Ok(stored)
    }

    /// The slot after a step, and what the history says of it; none when the step changes nothing.
    async fn step(
        &self,
        order: &Order,
        before: &Activation,
    ) -> Result<Option<(Activation, Action, Option<Choice>)>, OrderError> {
        let mut after = before.clone();
        let (action, choice) = match &order.step {
            Step::Activate(wanted) => {
                let choice = self.choice(order, wanted, before).await?;
                if before.live.as_ref().is_some_and(|live| live.id() == choice.id()) {
                    return Ok(None);
                }
                after.previous.splice(..0, after.live.replace(choice.clone()));
                after.previous.retain(|earlier| earlier.id() != choice.id());
                after.previous.truncate(PREVIOUS);
                after.canary.take_if(|canary| canary.choice.id() == choice.id());
                after.shadow.take_if(|shadow| shadow.choice.id() == choice.id());
                (Action::Activated, Some(choice))
            }
            Step::Deactivate => {
                let Some(live) = after.live.take() else { return Ok(None) };
                after.previous.insert(0, live.clone());
                after.previous.truncate(PREVIOUS);
                (after.canary, after.shadow) = (None, None);
                (Action::Deactivated, Some(live))
            }
            Step::StartCanary(wanted, percent) => {
                if !(1..=100).contains(percent) {
                    return Err(OrderError::Refused(format!(
                        "a share of {percent} percent is not from 1 to 100"
                    )));
                }
                let choice = self.beside_live(order, wanted, before).await?;
                let canary = Canary { choice: choice.clone(), percent: *percent };
                if before.canary.as_ref() == Some(&canary) {
                    return Ok(None);
                }
                after.canary = Some(canary);
                (Action::CanaryStarted, Some(choice))
            }
            Step::StopCanary => {
                let canary = after.canary.take().ok_or_else(|| nothing("no trial runs", order))?;
                (Action::CanaryStopped, Some(canary.choice))
            }
            Step::StartShadow(wanted, every) => {
                if *every == 0 {
                    return Err(OrderError::Refused("one request in 0 is none: say 1 or more".into()));
                }
                let choice = self.beside_live(order, wanted, before).await?;
                let shadow = Shadow { choice: choice.clone(), every: *every };
                if before.shadow.as_ref() == Some(&shadow) {
                    return Ok(None);
                }
                after.shadow = Some(shadow);
                (Action::ShadowStarted, Some(choice))
            }
            Step::StopShadow => {
                let shadow = after.shadow.take().ok_or_else(|| nothing("nothing runs in shadow", order))?;
                (Action::ShadowStopped, Some(shadow.choice))
            }
            Step::Rollback(to) => {
                let place = match to {
                    None => Some(0),
                    Some(digest) => after.previous.iter().position(|earlier| earlier.digest == *digest),
                };
                let place = place.filter(|place| *place < after.previous.len());
                let place =
                    place.ok_or_else(|| nothing("there is no such earlier choice to go back to", order))?;
                let choice = after.previous.remove(place);
                after.live = Some(choice.clone());
                (Action::RolledBack, Some(choice))
            }
        };
        Ok(Some((after, action, choice)))
    }

    /// A choice that is to run beside what is live.
    async fn beside_live(
        &self,
        order: &Order,
        wanted: &Wanted,
        before: &Activation,
    ) -> Result<Choice, OrderError> {
        let live = before.live.as_ref().ok_or_else(|| {
            nothing("nothing of its own is live that it could run beside: activate a version first", order)
        })?;
        let choice = self.choice(order, wanted, before).await?;
        if live.id() == choice.id() {
            return Err(OrderError::Refused(format!(
                "{} {} is live with these very settings",
                choice.name, choice.version
            )));
        }
        Ok(choice)
    }

    /// The choice that is wanted, checked: it is there, fits the slot, can be loaded, and its settings fit its schema.
    async fn choice(
        &self,
        order: &Order,
        wanted: &Wanted,
        before: &Activation,
    ) -> Result<Choice, OrderError> {
        let version = self.version(order.tenant.as_ref(), &wanted.digest).await?;
        let version: Version = version.ok_or_else(|| {
            OrderError::NotFound(format!("there is no version with the digest {}", wanted.digest))
        })?;
        if version.slot != order.slot {
            let (name, slot, wrong) = (&version.name, &version.slot, &order.slot);
            return Err(OrderError::Refused(format!("{name} takes the slot {slot}, not {wrong}")));
        }
        let plugin = self.plugin(&version).await.map_err(|reason| {
            OrderError::Refused(format!("{} {} cannot be loaded: {reason}", version.name, version.version))
        })?;
        self.check_modalities(order, &plugin.identity.manifest.accepts)?;
        let standing = before.live.iter().chain(before.canary.iter().map(|canary| &canary.choice));
        let inherited =
            standing.filter(|choice| choice.name == version.name).map(|choice| &choice.settings).next();
        let settings = settings::checked(&plugin.identity.manifest, wanted.settings.as_ref().or(inherited))
            .map_err(|reason| {
            OrderError::Refused(format!("the settings of {}: {reason}", version.name))
        })?;
        let Version { name, version, .. } = version;
        Ok(Choice { digest: wanted.digest, name, version, settings })
    }

    /// Two search plugins of one shop cannot both answer a modality. A shop's own goes before everybody's.
    fn check_modalities(&self, order: &Order, accepts: &[String]) -> Result<(), OrderError> {
        let generation = self.generation.load();
        let seating = generation.seating_of(order.tenant.as_ref());
        let taken = accepts.iter().find_map(|modality| {
            let slot = seating.slot_of(modality).filter(|slot| **slot != order.slot)?;
            let seat = seating.seat(slot).filter(|seat| seat.tenant == order.tenant)?;
            Some((modality, seat.live.plugin.name()))
        });
        match taken {
            Some((modality, name)) => {
                Err(OrderError::Refused(format!("the modality {modality:?} is taken by the plugin {name:?}")))
            }
            None => Ok(()),
        }
    }

    /// Takes a choice that misbehaves out of service, wherever it stands by now.
    pub(crate) async fn withdraw(&self, seat: &Seat, binding: &Arc<Binding>, part: Part, reason: String) {
        let (name, digest) = (&binding.choice.name, binding.choice.digest);
        tracing::error!(plugin = %name, %digest, slot = %seat.slot, reason, "a choice is withdrawn");
        metrics::counter!("taja_plugin_withdrawn_total", "plugin" => name.clone(), "part" => part.as_str())
            .increment(1);
        for _ in 0..ATTEMPTS {
            match self.try_withdraw(seat, &binding.id, part, &reason).await {
                Ok(()) => return,
                Err(error) if error.kind == PortErrorKind::Conflict => {}
                Err(error) => {
                    tracing::error!(plugin = %name, %error, "a choice that misbehaves could not be withdrawn");
                    return;
                }
            }
        }
    }

    async fn try_withdraw(&self, seat: &Seat, id: &str, part: Part, reason: &str) -> Result<(), PortError> {
        let stored = self.store.activation(seat.tenant.as_ref(), &seat.slot).await?;
        let Some(mut row) = stored else { return Ok(()) };
        let taken = match part {
            Part::Canary => row.canary.take_if(|canary| canary.choice.id() == id).map(|canary| canary.choice),
            Part::Shadow => row.shadow.take_if(|shadow| shadow.choice.id() == id).map(|shadow| shadow.choice),
            Part::Live if row.previous.is_empty() => None,
            Part::Live => {
                let taken = row.live.take_if(|live| live.id() == id);
                if taken.is_some() {
                    row.live = Some(row.previous.remove(0));
                }
                taken
            }
        };
        // Somebody was faster.
        let Some(taken) = taken else { return self.refresh().await };
        row.changed_at = Timestamp::now();
        row.changed_by = SERVICE.to_owned();
        let event = Event {
            tenant: row.tenant.clone(),
            slot: row.slot.clone(),
            action: Action::Withdrawn,
            choice: Some(taken),
            reason: reason.to_owned(),
            by: SERVICE.to_owned(),
            at: row.changed_at,
        };
        let revision = self.store.change(&row, &event).await?;
        self.refresh().await?;
        self.changed.send_replace(revision);
        Ok(())
    }
}

fn blank(order: &Order) -> Activation {
    Activation {
        tenant: order.tenant.clone(),
        slot: order.slot.clone(),
        live: None,
        previous: Vec::new(),
        canary: None,
        shadow: None,
        changed_at: Timestamp::UNIX_EPOCH,
        changed_by: String::new(),
        revision: 0,
    }
}

fn nothing(what: &str, order: &Order) -> OrderError {
    let whose =
        order.tenant.as_ref().map_or_else(|| "every shop".to_owned(), |tenant| format!("shop {tenant}"));
    OrderError::NotFound(format!("in the slot {} of {whose} {what}", order.slot))
}
