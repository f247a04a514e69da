//! Who serves whom: the seats of every shop, as one generation that is replaced as a whole.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use taja_catalog::{
    TenantId,
    plugins::{Part, Slot},
    policy::{self, Pins, Substitute},
};

use crate::{
    plugin::Binding,
    roster::Place,
    watch::{Pace, Watch},
};

/// A slot that is filled, for one shop or for all.
pub(crate) struct Seat {
    /// The shop whose choice it is; none for everybody's.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) slot: Slot,
    pub(crate) live: Arc<Binding>,
    /// Newest first.
    pub(crate) previous: Vec<Arc<Binding>>,
    pub(crate) canary: Option<Trial>,
    pub(crate) shadow: Option<Beside>,
    /// Watches what went live not long ago.
    pub(crate) probation: Option<Probation>,
}

/// What serves a share of the sessions.
pub(crate) struct Trial {
    pub(crate) binding: Arc<Binding>,
    pub(crate) percent: u8,
    pub(crate) watch: Arc<Watch>,
}

/// What runs beside the live choice.
pub(crate) struct Beside {
    pub(crate) binding: Arc<Binding>,
    pub(crate) every: u32,
    pub(crate) calls: AtomicU64,
    pub(crate) watch: Arc<Watch>,
}

/// The watch over what is live, as long as it lasts.
#[derive(Clone)]
pub(crate) struct Probation {
    pub(crate) watch: Arc<Watch>,
    pub(crate) until: Timestamp,
}

/// What served and is kept for jobs that are pinned to it.
pub(crate) struct Retired {
    pub(crate) binding: Arc<Binding>,
    pub(crate) part: Part,
    pub(crate) until: Timestamp,
}

/// A slot with who sits there, and who sat there not long ago.
#[derive(Default)]
pub(crate) struct Chair {
    /// Of the activation that it was made from.
    pub(crate) revision: u64,
    pub(crate) seat: Option<Arc<Seat>>,
    pub(crate) retired: Vec<Arc<Retired>>,
}

/// Everybody's chairs, and those of each shop.
pub(crate) type Chairs = HashMap<Option<TenantId>, Arc<Layer>>;
/// The chairs of one owner.
pub(crate) type Layer = BTreeMap<Slot, Arc<Chair>>;

/// One choice that serves a job.
#[derive(Clone)]
pub(crate) struct Station {
    /// By which it is judged, compared and stood in for; none when its slot was emptied meanwhile.
    pub(crate) seat: Option<Arc<Seat>>,
    pub(crate) binding: Arc<Binding>,
    pub(crate) part: Part,
    /// Whether the shop chose it by itself.
    is_own: bool,
    /// What serves those who did not.
    everybodys: Option<Arc<Binding>>,
}

/// Who is asked, as what, and in whose place.
pub(crate) type Rung<'a> = (&'a Arc<Binding>, Part, Option<Substitute>);

impl Seat {
    /// Whose it is, and which.
    pub(crate) fn place(&self) -> Place {
        (self.tenant.clone(), self.slot.clone())
    }

    /// The choice for a session that begins now, for a job with these modalities.
    fn chosen(&self, tenant: &TenantId, session: &str, asked: &[&str]) -> &Arc<Binding> {
        match &self.canary {
            Some(trial)
                if !trial.watch.is_over()
                    && trial.binding.accepts_all(asked.iter().copied())
                    && trial.takes(tenant, session) =>
            {
                &trial.binding
            }
            _ => &self.live,
        }
    }

    /// The choice of this name, unless it is on a trial that is over.
    fn pinned(&self, id: &str) -> Option<(&Arc<Binding>, Part)> {
        let trial = self.canary.as_ref().filter(|trial| trial.binding.id == id);
        if let Some(trial) = trial.filter(|trial| !trial.watch.is_over()) {
            return Some((&trial.binding, Part::Canary));
        }
        let mut known = [&self.live].into_iter().chain(&self.previous);
        Some((known.find(|binding| binding.id == id)?, Part::Live))
    }

    /// Every choice that it holds.
    fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        let canary = self.canary.as_ref().map(|trial| &trial.binding);
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.binding);
        [&self.live].into_iter().chain(&self.previous).chain(canary).chain(shadow)
    }

    /// The modality that another plugin cannot have, for what is live or on trial here answers it.
    pub(crate) fn taken<'a>(&self, accepts: &'a [String]) -> Option<(&'a String, &str)> {
        let canary = self.canary.as_ref().map(|trial| &trial.binding);
        let mut bindings = [&self.live].into_iter().chain(canary);
        bindings.find_map(|binding| {
            let modality = accepts.iter().find(|modality| binding.accepts().contains(modality))?;
            Some((modality, binding.plugin.name()))
        })
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
        !self.watch.is_over() && self.calls.fetch_add(1, Relaxed).is_multiple_of(u64::from(self.every.max(1)))
    }
}

impl Chair {
    /// A choice of this name that it holds in any part, to be held in another one.
    pub(crate) fn binding(&self, id: &str) -> Option<Arc<Binding>> {
        let seat = self.seat.iter().flat_map(|seat| seat.bindings());
        let mut known = seat.chain(self.retired.iter().map(|retired| &retired.binding));
        known.find(|binding| binding.id == id).cloned()
    }

    fn pinned(&self, id: &str, now: Timestamp) -> Option<(&Arc<Binding>, Part)> {
        let seated = self.seat.as_ref().and_then(|seat| seat.pinned(id));
        seated.or_else(|| {
            let mut waiting = self.retired.iter().filter(|retired| retired.until > now);
            waiting.find(|retired| retired.binding.id == id).map(|retired| (&retired.binding, retired.part))
        })
    }

    /// The same without what need not be kept any more; none when there is nothing of that.
    pub(crate) fn cleared(&self, now: Timestamp) -> Option<Self> {
        let is_kept = |retired: &&Arc<Retired>| retired.until > now;
        if self.retired.iter().all(|retired| is_kept(&retired)) {
            return None;
        }
        let retired = self.retired.iter().filter(is_kept).cloned().collect();
        Some(Self { revision: self.revision, seat: self.seat.clone(), retired })
    }
}

impl Station {
    /// What to try for a job with these parts, one after the other: the choice, once more, then what may stand in for it.
    pub(crate) fn rungs(&self, parts: &[policy::Part]) -> Vec<Rung<'_>> {
        let mut rungs: Vec<Rung<'_>> = vec![(&self.binding, self.part, None); 2];
        if let Some(seat) = &self.seat {
            if self.part == Part::Canary {
                rungs.push((&seat.live, Part::Live, Some(Substitute::Live)));
            }
            let mut previous = seat.previous.iter().filter(|earlier| earlier.id != self.binding.id);
            rungs.extend(previous.next().map(|earlier| (earlier, Part::Live, Some(Substitute::Previous))));
        }
        let everybodys = self.everybodys.iter();
        rungs.extend(everybodys.map(|binding| (binding, Part::Live, Some(Substitute::Everybody))));
        let modalities = || parts.iter().map(|part| part.modality.as_str());
        rungs.retain(|(binding, _, substitute)| substitute.is_none() || binding.accepts_all(modalities()));
        rungs
    }

    /// The choices that may be called in this job: what serves, and what may have to stand in or runs beside.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        let seat = self.seat.as_ref();
        let shadow = seat.and_then(|seat| seat.shadow.as_ref()).map(|shadow| &shadow.binding);
        self.rungs(&[]).into_iter().map(|(binding, ..)| binding).chain(shadow)
    }

    /// The watch over what serves, if there is one now, and the pace of what it is to replace.
    pub(crate) fn watch(&self, now: Timestamp) -> Option<(&Arc<Seat>, &Arc<Watch>, Option<&Pace>)> {
        let seat = self.seat.as_ref()?;
        if self.part == Part::Canary {
            let trial = seat.canary.as_ref().filter(|trial| trial.binding.id == self.binding.id)?;
            return Some((seat, &trial.watch, Some(&seat.live.pace)));
        }
        let probation = seat.probation.as_ref().filter(|probation| now < probation.until)?;
        let before = seat.previous.first().map(|before| &before.pace);
        (self.binding.id == seat.live.id).then_some((seat, &probation.watch, before))
    }

    /// What an answer of what is live is to be compared with. Nothing is compared with the answer of another one.
    pub(crate) fn shadow(&self) -> Option<(&Arc<Seat>, &Beside)> {
        let seat = self.seat.as_ref().filter(|seat| seat.live.id == self.binding.id)?;
        Some((seat, seat.shadow.as_ref()?))
    }
}

/// The seats that serve one shop: its own, and everybody's where it has none.
pub(crate) struct Seating {
    layers: Vec<Arc<Layer>>,
    modalities: HashMap<String, Slot>,
}

/// Who serves one job.
pub(crate) struct Shift {
    pub(crate) stations: BTreeMap<Slot, Station>,
    /// Who takes which modality.
    pub(crate) modalities: BTreeMap<String, Slot>,
}

impl Shift {
    /// Puts a choice before what sits in its slot, and before whoever else answers its modalities.
    pub(crate) fn put(&mut self, slot: &Slot, binding: Arc<Binding>) {
        self.modalities.retain(|_, taken_by| taken_by != slot);
        let accepts = binding.accepts().iter().map(|modality| (modality.clone(), slot.clone()));
        self.modalities.extend(accepts);
        let station = Station { seat: None, binding, part: Part::Live, is_own: true, everybodys: None };
        self.stations.insert(slot.clone(), station);
    }
}

impl Seating {
    /// An earlier layer goes before a later one, in its slots and for their modalities.
    fn of(layers: Vec<Arc<Layer>>) -> Self {
        let mut seating = Self { layers, modalities: HashMap::new() };
        let modalities = seating.live().modalities;
        seating.modalities = modalities.into_iter().collect();
        seating
    }

    pub(crate) fn seat(&self, slot: &Slot) -> Option<&Arc<Seat>> {
        self.layers.iter().find_map(|layer| layer.get(slot)?.seat.as_ref())
    }

    /// The seats of one owner.
    pub(crate) fn seats_of(&self, tenant: Option<&TenantId>) -> impl Iterator<Item = &Arc<Seat>> {
        let seats =
            self.layers.iter().flat_map(|layer| layer.values().filter_map(|chair| chair.seat.as_ref()));
        seats.filter(move |seat| seat.tenant.as_ref() == tenant)
    }

    pub(crate) fn modalities(&self) -> impl Iterator<Item = &String> {
        self.modalities.keys()
    }

    /// The choices for a search of these modalities that begins now.
    pub(crate) fn pins_of_search(&self, modalities: &[&str], tenant: &TenantId, session: &str) -> Pins {
        let mut asked: BTreeMap<&Slot, Vec<&str>> = BTreeMap::from([(&Slot::Rank, Vec::new())]);
        for modality in modalities {
            if let Some(slot) = self.modalities.get(*modality) {
                asked.entry(slot).or_default().push(modality);
            }
        }
        self.pins(asked, tenant, session)
    }

    pub(crate) fn pins_of_ingest(&self, tenant: &TenantId, session: &str) -> Pins {
        self.pins(BTreeMap::from([(&Slot::Ingest, Vec::new())]), tenant, session)
    }

    fn pins(&self, asked: BTreeMap<&Slot, Vec<&str>>, tenant: &TenantId, session: &str) -> Pins {
        let pin = |(slot, asked): (&Slot, Vec<&str>)| {
            Some((slot.clone(), self.seat(slot)?.chosen(tenant, session, &asked).id.clone()))
        };
        Pins(asked.into_iter().filter_map(pin).collect())
    }

    /// Who serves a job that is pinned so; none when a pinned choice is gone. Slots that are not pinned are served by what
    /// is live.
    pub(crate) fn pinned(&self, pins: &Pins, now: Timestamp) -> Option<Shift> {
        let pinned = |(slot, id): (&Slot, &String)| {
            let (depth, chair, (binding, part)) =
                self.layers.iter().enumerate().find_map(|(depth, layer)| {
                    let chair = layer.get(slot)?;
                    Some((depth, chair, chair.pinned(id, now)?))
                })?;
            Some((slot.clone(), self.station(depth, slot, chair.seat.as_ref(), binding, part)))
        };
        let pinned: Option<BTreeMap<_, _>> = pins.0.iter().map(pinned).collect();
        Some(self.shift(pinned?))
    }

    /// Who serves a job that is not pinned.
    pub(crate) fn live(&self) -> Shift {
        self.shift(BTreeMap::new())
    }

    /// What is pinned goes before what is not: it took its modalities when the job was accepted.
    fn shift(&self, pinned: BTreeMap<Slot, Station>) -> Shift {
        let slots: BTreeSet<_> = self.layers.iter().flat_map(|layer| layer.keys()).collect();
        let free = slots.into_iter().filter(|slot| !pinned.contains_key(slot));
        let free: Vec<_> =
            free.filter_map(|slot| Some((slot.clone(), self.station_of_live(slot)?))).collect();
        let mut order: Vec<_> = pinned.iter().map(|station| (true, station)).collect();
        order.extend(free.iter().map(|(slot, station)| (false, (slot, station))));
        // The last one wins. Both sorts are by slot where all else is equal.
        order.sort_by_key(|(is_pinned, (slot, station))| (*is_pinned, station.is_own, *slot));
        let modalities = order.into_iter().flat_map(|(_, (slot, station))| {
            station.binding.accepts().iter().map(move |modality| (modality.clone(), slot.clone()))
        });
        let modalities = modalities.collect();
        Shift { stations: pinned.into_iter().chain(free).collect(), modalities }
    }

    fn station_of_live(&self, slot: &Slot) -> Option<Station> {
        let filled = |(depth, layer): (usize, &Arc<Layer>)| Some((depth, layer.get(slot)?.seat.clone()?));
        let (depth, seat) = self.layers.iter().enumerate().find_map(filled)?;
        Some(self.station(depth, slot, Some(&seat), &seat.live, Part::Live))
    }

    fn station(
        &self,
        depth: usize,
        slot: &Slot,
        seat: Option<&Arc<Seat>>,
        binding: &Arc<Binding>,
        part: Part,
    ) -> Station {
        let beneath = self.layers[depth + 1..].iter().find_map(|layer| layer.get(slot)?.seat.as_ref());
        let everybodys = beneath.map(|seat| &seat.live).filter(|live| live.id != binding.id);
        Station {
            seat: seat.cloned(),
            binding: Arc::clone(binding),
            part,
            is_own: depth + 1 < self.layers.len(),
            everybodys: everybodys.cloned(),
        }
    }
}

/// Everybody's seats at one moment.
pub(crate) struct Generation {
    everyone: Arc<Seating>,
    shops: HashMap<TenantId, Arc<Seating>>,
}

impl Default for Generation {
    fn default() -> Self {
        Self { everyone: Arc::new(Seating::of(vec![Arc::default()])), shops: HashMap::new() }
    }
}

impl Generation {
    /// The next one, after the chairs of one owner changed. A shop has everybody's chairs beneath its own.
    pub(crate) fn after(&self, chairs: &Chairs, changed: Option<&TenantId>) -> Self {
        let everyone = chairs.get(&None).cloned().unwrap_or_default();
        let of_shop = |own: &Arc<Layer>| Arc::new(Seating::of(vec![Arc::clone(own), Arc::clone(&everyone)]));
        let Some(tenant) = changed else {
            let shops = chairs.iter().filter_map(|(tenant, own)| Some((tenant.clone()?, of_shop(own))));
            return Self { shops: shops.collect(), everyone: Arc::new(Seating::of(vec![everyone])) };
        };
        let mut shops = self.shops.clone();
        if let Some(own) = chairs.get(&Some(tenant.clone())) {
            shops.insert(tenant.clone(), of_shop(own));
        }
        Self { shops, everyone: Arc::clone(&self.everyone) }
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
