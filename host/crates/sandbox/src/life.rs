//! The life of a version: activated, tried, run in shadow, gone back from. Each step is one change in the store, made
//! from the state that was read, and followed at once.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use taja_catalog::{
    PluginDigest, PortError, TenantId,
    plugins::{
        Action, Activation, Canary, Choice, Event, Evidence, Gate, Lacking, PREVIOUS, Shadow, Slot, Version,
    },
    port::PortErrorKind,
};

use crate::{house::House, plugin::Plugin, settings};

/// How often a change is tried when others change the same slot.
pub(crate) const ATTEMPTS: u32 = 5;

/// What is to happen to a slot.
#[derive(Debug, Clone)]
pub struct Order {
    /// The shop; none for all shops that have nothing of their own there.
    pub tenant: Option<TenantId>,
    /// The slot.
    pub slot: Slot,
    /// What.
    pub step: Step,
    /// What an evaluation says of the version, where one is shown.
    pub evidence: Option<Evidence>,
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
    /// What serves from now on, or a share of it, has to show an evaluation first; nothing when there is none.
    Gate(Option<Gate>),
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
    /// The slot asks for an evaluation that is not shown, or what is shown speaks against the step.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// The store failed, or others kept changing the slot.
    #[error(transparent)]
    Store(#[from] PortError),
}

/// A slot after a step, and what the history says of it.
struct Taken {
    after: Activation,
    action: Action,
    /// The choice that it is about, if it is about one.
    choice: Option<Choice>,
    /// Loaded to be looked at, and to be had when the step is followed.
    _plugin: Option<Arc<Plugin>>,
}

impl House {
    /// Takes one step, and follows it here. The slot as it is afterwards: once the store has it, it is taken, and others
    /// are told, whatever fails here.
    pub(crate) async fn order(self: &Arc<Self>, order: &Order) -> Result<Activation, OrderError> {
        let mut attempt = 1;
        loop {
            let before = self.store.activation(order.tenant.as_ref(), &order.slot).await?;
            let before = before.unwrap_or_else(|| blank(order.tenant.as_ref(), &order.slot));
            let Some(Taken { mut after, action, choice, _plugin }) = self.step(order, &before).await? else {
                return Ok(before);
            };
            after.changed_at = self.now();
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
                Ok(revision) => {
                    let stored = Activation { revision, ..after };
                    self.follow_own(stored.clone()).await;
                    return Ok(stored);
                }
                Err(error) if error.kind == PortErrorKind::Conflict && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// None when the step changes nothing.
    async fn step(&self, order: &Order, before: &Activation) -> Result<Option<Taken>, OrderError> {
        let mut plugin = None;
        let mut after = before.clone();
        let (action, choice) = match &order.step {
            Step::Activate(wanted) => {
                let (choice, loaded) = self.choice(order, wanted, before).await?;
                plugin = Some(loaded);
                if before.live.as_ref().is_some_and(|live| live.id() == choice.id()) {
                    return Ok(None);
                }
                self.check_evidence(order, before, &choice).await?;
                after.previous.splice(..0, after.live.replace(choice.clone()));
                after.previous.retain(|earlier| earlier.id() != choice.id());
                after.previous.truncate(PREVIOUS);
                stop_trying(&mut after, &choice);
                (Action::Activated, choice)
            }
            Step::Deactivate => {
                let Some(live) = after.live.take() else { return Ok(None) };
                after.previous.insert(0, live.clone());
                after.previous.truncate(PREVIOUS);
                (after.canary, after.shadow) = (None, None);
                (Action::Deactivated, live)
            }
            Step::StartCanary(wanted, percent) => {
                if !(1..=100).contains(percent) {
                    return Err(OrderError::Refused(format!(
                        "a share of {percent} percent is not from 1 to 100"
                    )));
                }
                let (choice, loaded) = self.beside_live(order, wanted, before).await?;
                plugin = Some(loaded);
                let judged_by = order.evidence.as_ref().map(|shown| shown.judged_by.clone());
                let canary = Canary { choice: choice.clone(), percent: *percent, judged_by };
                if before.canary.as_ref() == Some(&canary) {
                    return Ok(None);
                }
                self.check_evidence(order, before, &choice).await?;
                after.canary = Some(canary);
                (Action::CanaryStarted, choice)
            }
            Step::StopCanary => {
                let canary = after.canary.take().ok_or_else(|| nothing("no trial runs", order))?;
                (Action::CanaryStopped, canary.choice)
            }
            Step::StartShadow(wanted, every) => {
                if *every == 0 {
                    return Err(OrderError::Refused("one request in 0 is none: say 1 or more".into()));
                }
                let (choice, loaded) = self.beside_live(order, wanted, before).await?;
                plugin = Some(loaded);
                let shadow = Shadow { choice: choice.clone(), every: *every };
                if before.shadow.as_ref() == Some(&shadow) {
                    return Ok(None);
                }
                after.shadow = Some(shadow);
                (Action::ShadowStarted, choice)
            }
            Step::StopShadow => {
                let shadow = after.shadow.take().ok_or_else(|| nothing("nothing runs in shadow", order))?;
                (Action::ShadowStopped, shadow.choice)
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
                plugin = Some(self.loaded(order, &choice.digest).await?.1);
                after.live = Some(choice.clone());
                stop_trying(&mut after, &choice);
                (Action::RolledBack, choice)
            }
            Step::Gate(gate) => {
                if order.slot == Slot::Ingest && gate.is_some() {
                    return Err(OrderError::Refused("no search asks who decides on new products".into()));
                }
                if before.gate == *gate {
                    return Ok(None);
                }
                after.gate = *gate;
                let action = if gate.is_some() { Action::GateSet } else { Action::GateLifted };
                return Ok(Some(Taken { after, action, choice: None, _plugin: None }));
            }
        };
        Ok(Some(Taken { after, action, choice: Some(choice), _plugin: plugin }))
    }

    /// Looks at what a choice shows that is to serve, or a share of it. A shop that has nothing of its own is served by
    /// everybody's choice.
    async fn check_evidence(
        &self,
        order: &Order,
        before: &Activation,
        choice: &Choice,
    ) -> Result<(), OrderError> {
        let everybodys = match (&before.live, &order.evidence, &order.tenant) {
            (None, Some(_), Some(_)) => self.store.activation(None, &order.slot).await?,
            _ => None,
        };
        let live = before.live.as_ref().or(everybodys.as_ref().and_then(|row| row.live.as_ref()));
        Gate::check(before.gate, order.evidence.as_ref(), &order.slot, live, choice, self.now())?;
        Ok(())
    }

    /// A choice that is to run beside what is live.
    async fn beside_live(
        &self,
        order: &Order,
        wanted: &Wanted,
        before: &Activation,
    ) -> Result<(Choice, Arc<Plugin>), OrderError> {
        let live = before.live.as_ref().ok_or_else(|| {
            nothing("nothing of its own is live that it could run beside: activate a version first", order)
        })?;
        let (choice, plugin) = self.choice(order, wanted, before).await?;
        if live.id() == choice.id() {
            return Err(OrderError::Refused(format!(
                "{} {} is live with these very settings",
                choice.name, choice.version
            )));
        }
        Ok((choice, plugin))
    }

    /// The choice that is wanted, checked: it is there, fits the slot, can be loaded, and its settings fit its schema.
    async fn choice(
        &self,
        order: &Order,
        wanted: &Wanted,
        before: &Activation,
    ) -> Result<(Choice, Arc<Plugin>), OrderError> {
        let (Version { name, version, digest, .. }, plugin) = self.loaded(order, &wanted.digest).await?;
        let standing = before.live.iter().chain(before.canary.iter().map(|canary| &canary.choice));
        let inherited = standing.filter(|choice| choice.name == name).map(|choice| &choice.settings).next();
        let settings = settings::checked(&plugin.identity.manifest, wanted.settings.as_ref().or(inherited))
            .map_err(|reason| OrderError::Refused(format!("the settings of {name}: {reason}")))?;
        Ok((Choice { digest, name, version, settings }, plugin))
    }

    /// A version that fits the slot and what stands beside it, loaded.
    async fn loaded(
        &self,
        order: &Order,
        digest: &PluginDigest,
    ) -> Result<(Version, Arc<Plugin>), OrderError> {
        let version = self.version(order.tenant.as_ref(), digest).await?;
        let version = version
            .ok_or_else(|| OrderError::NotFound(format!("there is no version with the digest {digest}")))?;
        if version.slot != order.slot {
            let (name, slot, wrong) = (&version.name, &version.slot, &order.slot);
            return Err(OrderError::Refused(format!("{name} takes the slot {slot}, not {wrong}")));
        }
        let plugin = self.plugin(&version).await.map_err(|reason| {
            OrderError::Refused(format!("{} {} cannot be loaded: {reason}", version.name, version.version))
        })?;
        self.check_modalities(order, &plugin.identity.manifest.accepts)?;
        Ok((version, plugin))
    }

    /// Two search plugins of one shop, live or on trial, cannot both answer a modality. A shop's own goes before everybody's.
    fn check_modalities(&self, order: &Order, accepts: &[String]) -> Result<(), OrderError> {
        let generation = self.generation();
        let seating = generation.seating_of(order.tenant.as_ref());
        let mut others = seating.seats_of(order.tenant.as_ref()).filter(|seat| seat.slot != order.slot);
        match others.find_map(|seat| seat.taken(accepts)) {
            Some((modality, name)) => {
                Err(OrderError::Refused(format!("the modality {modality:?} is taken by the plugin {name:?}")))
            }
            None => Ok(()),
        }
    }
}

/// What is live is not on trial or compared any more.
pub(crate) fn stop_trying(row: &mut Activation, live: &Choice) {
    row.canary.take_if(|canary| canary.choice.id() == live.id());
    row.shadow.take_if(|shadow| shadow.choice.id() == live.id());
}

/// A slot that nobody filled yet.
pub(crate) fn blank(tenant: Option<&TenantId>, slot: &Slot) -> Activation {
    Activation {
        tenant: tenant.cloned(),
        slot: slot.clone(),
        live: None,
        previous: Vec::new(),
        canary: None,
        shadow: None,
        gate: None,
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
