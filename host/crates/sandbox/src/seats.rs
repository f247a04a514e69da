//! Who serves whom: the seats of every shop, as one generation that is replaced as a whole.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use taja_catalog::{
    TenantId,
    plugins::{Part, Slot},
    policy::{Pins, Substitute},
};

use crate::{plugin::Binding, watch::Watch};

/// A slot that is filled, for one shop or for all.
pub(crate) struct Seat {
    /// The shop whose choice it is; none for everybody's.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) slot: Slot,
    pub(crate) live: Arc<Binding>,
    /// Newest first.
    pub(crate) previous: Vec<Arc<Binding>>,
    /// What was live before those, for jobs that are pinned to it and not done yet.
    pub(crate) retired: Vec<(Instant, Arc<Binding>)>,
    pub(crate) canary: Option<Trial>,
    pub(crate) shadow: Option<Beside>,
    /// Watches what went live not long ago.
    pub(crate) probation: Option<Watch>,
}

/// What serves a share of the sessions.
pub(crate) struct Trial {
    pub(crate) binding: Arc<Binding>,
    pub(crate) percent: u8,
    pub(crate) watch: Watch,
}

/// What runs beside the live choice.
pub(crate) struct Beside {
    pub(crate) binding: Arc<Binding>,
    pub(crate) every: u32,
    pub(crate) calls: AtomicU64,
}

/// One seat and the choice that serves a job there.
#[derive(Clone)]
pub(crate) struct Station {
    pub(crate) seat: Arc<Seat>,
    pub(crate) binding: Arc<Binding>,
    pub(crate) part: Part,
}

impl Seat {
    /// The choice for a session that begins now.
    fn chosen(&self, tenant: &TenantId, session: &str) -> &Arc<Binding> {
        match &self.canary {
            Some(trial) if !trial.watch.is_over() && trial.takes(tenant, session) => &trial.binding,
            _ => &self.live,
        }
    }

    /// The station of whoever is pinned to a choice; none when that is gone.
    fn pinned(self: &Arc<Self>, id: &str) -> Option<Station> {
        let trial = self.canary.as_ref().filter(|trial| !trial.watch.is_over() && trial.binding.id == id);
        let (binding, part) = match trial {
            Some(trial) => (&trial.binding, Part::Canary),
            None => {
                let retired = self.retired.iter().map(|(_, binding)| binding);
                let mut known = [&self.live].into_iter().chain(&self.previous).chain(retired);
                (known.find(|binding| binding.id == id)?, Part::Live)
            }
        };
        Some(Station { seat: Arc::clone(self), binding: Arc::clone(binding), part })
    }

    fn live(self: &Arc<Self>) -> Station {
        Station { seat: Arc::clone(self), binding: Arc::clone(&self.live), part: Part::Live }
    }

    /// What was retired and may still be asked for when this seat is followed by another.
    pub(crate) fn retired_since(&self, now: Instant, drain: Duration) -> Vec<(Instant, Arc<Binding>)> {
        let fresh = self.retired.iter().filter(|(since, _)| now.duration_since(*since) < drain);
        fresh.cloned().chain(self.previous.iter().map(|binding| (now, Arc::clone(binding)))).collect()
    }
}

impl Trial {
    /// Whether a session is among those that the trial serves: always the same ones, at every process.
    fn takes(&self, tenant: &TenantId, session: &str) -> bool {
        let mut hash = Sha256::new();
        for text in [tenant.as_str(), session, &self.binding.id] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        let digest = hash.finalize();
        let place = u64::from_le_bytes(std::array::from_fn(|n| digest[n]));
        place % 100 < u64::from(self.percent)
    }
}

impl Beside {
    /// Whether this request is one to compare.
    pub(crate) fn is_due(&self) -> bool {
        self.calls.fetch_add(1, Relaxed).is_multiple_of(u64::from(self.every.max(1)))
    }
}

impl Station {
    /// What to try, one after the other: the choice, once more, then what may stand in for it.
    pub(crate) fn rungs(&self) -> impl Iterator<Item = (&Arc<Binding>, Part, Option<Substitute>)> {
        let own = [(&self.binding, self.part, None); 2];
        let live =
            (self.part == Part::Canary).then_some((&self.seat.live, Part::Live, Some(Substitute::Live)));
        let previous =
            self.seat.previous.iter().map(|binding| (binding, Part::Live, Some(Substitute::Previous)));
        let others = previous.filter(|(binding, ..)| binding.id != self.binding.id).take(1);
        own.into_iter().chain(live).chain(others)
    }

    /// The choices that may be called in this job: what serves, and what may have to stand in or runs beside.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.rungs()
            .map(|(binding, ..)| binding)
            .chain(self.seat.shadow.as_ref().map(|shadow| &shadow.binding))
    }

    /// The watch over what serves, if there is one, and the choice it is measured by.
    pub(crate) fn watch(&self) -> Option<(&Watch, &Arc<Binding>)> {
        match self.part {
            Part::Canary => self.seat.canary.as_ref().map(|trial| (&trial.watch, &self.seat.live)),
            _ if self.binding.id == self.seat.live.id => {
                self.seat.probation.as_ref().zip(self.seat.previous.first())
            }
            _ => None,
        }
    }
}

/// The seats that serve one shop.
#[derive(Default)]
pub(crate) struct Seating {
    seats: BTreeMap<Slot, Arc<Seat>>,
    modalities: HashMap<String, Slot>,
}

impl Seating {
    /// Of these seats; a later one takes the place of an earlier one in the same slot, and its modalities.
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = &'a Arc<Seat>>) -> Self {
        let mut seating = Self::default();
        for seat in all {
            seating.modalities.retain(|_, slot| *slot != seat.slot);
            for modality in &seat.live.plugin.identity.manifest.accepts {
                seating.modalities.insert(modality.clone(), seat.slot.clone());
            }
            seating.seats.insert(seat.slot.clone(), Arc::clone(seat));
        }
        seating
    }

    pub(crate) fn seat(&self, slot: &Slot) -> Option<&Arc<Seat>> {
        self.seats.get(slot)
    }

    pub(crate) fn modalities(&self) -> impl Iterator<Item = &String> {
        self.modalities.keys()
    }

    /// The slot of the search plugin that accepts a modality.
    pub(crate) fn slot_of(&self, modality: &str) -> Option<&Slot> {
        self.modalities.get(modality)
    }

    pub(crate) fn pins<'a>(
        &self,
        slots: impl IntoIterator<Item = &'a Slot>,
        tenant: &TenantId,
        session: &str,
    ) -> Pins {
        let seats = slots.into_iter().filter_map(|slot| self.seats.get(slot));
        Pins(seats.map(|seat| (seat.slot.clone(), seat.chosen(tenant, session).id.clone())).collect())
    }

    /// The stations of a job that is pinned so; none when a pinned choice is gone. Slots that are not pinned are served by
    /// what is live.
    pub(crate) fn pinned(&self, pins: &Pins) -> Option<BTreeMap<Slot, Station>> {
        if pins.0.keys().any(|slot| !self.seats.contains_key(slot)) {
            return None;
        }
        let station = |(slot, seat): (&Slot, &Arc<Seat>)| {
            let station = match pins.0.get(slot) {
                Some(id) => seat.pinned(id)?,
                None => seat.live(),
            };
            Some((slot.clone(), station))
        };
        self.seats.iter().map(station).collect()
    }

    pub(crate) fn live(&self) -> BTreeMap<Slot, Station> {
        self.seats.iter().map(|(slot, seat)| (slot.clone(), seat.live())).collect()
    }
}

/// Everybody's seats at one moment.
#[derive(Default)]
pub(crate) struct Generation {
    everyone: Arc<Seating>,
    shops: HashMap<TenantId, Arc<Seating>>,
}

impl Generation {
    /// Of all seats: a shop has everybody's, with its own in their place.
    pub(crate) fn of(seats: &BTreeMap<(Option<TenantId>, Slot), Arc<Seat>>) -> Self {
        let everyone: Vec<_> =
            seats.iter().filter(|((tenant, _), _)| tenant.is_none()).map(|(_, seat)| seat).collect();
        let mut shops: HashMap<TenantId, Vec<&Arc<Seat>>> = HashMap::new();
        for ((tenant, _), seat) in seats {
            if let Some(tenant) = tenant {
                shops.entry(tenant.clone()).or_insert_with(|| everyone.clone()).push(seat);
            }
        }
        let shops = shops.into_iter().map(|(tenant, seats)| (tenant, Arc::new(Seating::of(seats)))).collect();
        Self { everyone: Arc::new(Seating::of(everyone)), shops }
    }

    /// The seats of a shop.
    pub(crate) fn seating(&self, tenant: &TenantId) -> &Arc<Seating> {
        self.shops.get(tenant).unwrap_or(&self.everyone)
    }

    /// The seats of a shop, or of whoever has none of their own.
    pub(crate) fn seating_of(&self, tenant: Option<&TenantId>) -> &Arc<Seating> {
        tenant.map_or(&self.everyone, |tenant| self.seating(tenant))
    }
}
