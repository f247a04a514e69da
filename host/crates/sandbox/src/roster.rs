//! The activations as they were last read from the store, and the seats that were made of them: what is followed, what is
//! about to be, and what cannot be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use taja_catalog::{
    TenantId,
    plugins::{Activation, Slot},
};
use tokio::sync::watch;

use crate::{
    clock::after,
    seats::{Chair, Chairs, Generation},
};

/// How long an activation that could not be followed is left alone; twice as long each further time.
const RETRY: Duration = Duration::from_secs(5);
/// The longest that it is.
const RETRY_AT_LAST: Duration = Duration::from_secs(600);

/// Whose seat, and which.
pub(crate) type Place = (Option<TenantId>, Slot);

/// Which activations are followed, and how far.
#[derive(Default)]
pub(crate) struct Roster {
    state: Mutex<State>,
    generation: ArcSwap<Generation>,
    /// Told whenever an activation was followed, or given up for now.
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// Every change up to this revision is known here.
    read: u64,
    chairs: Chairs,
    /// What is not followed yet.
    pending: BTreeMap<Place, Pending>,
    /// Where somebody is at it.
    in_hand: BTreeSet<Place>,
}

struct Pending {
    row: Activation,
    trouble: Option<Trouble>,
}

/// Somebody is at a place: nobody else is until they find nothing more to follow there, or are gone.
pub(crate) struct InHand<'a> {
    roster: &'a Roster,
    place: &'a Place,
    is_over: bool,
}

/// Why an activation could not be followed.
struct Trouble {
    reason: String,
    tries: u32,
    again_at: Timestamp,
}

impl Pending {
    fn is_due(&self, now: Timestamp) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| trouble.again_at <= now)
    }
}

impl State {
    fn chair(&self, (tenant, slot): &Place) -> Option<&Arc<Chair>> {
        self.chairs.get(tenant)?.get(slot)
    }

    /// A row that says something new takes the place of an older one, and of whatever was wrong with that.
    fn note(&mut self, row: Activation) {
        let place = (row.tenant.clone(), row.slot.clone());
        let followed = self.chair(&place).map_or(0, |chair| chair.revision);
        let known = self.pending.get(&place).map_or(followed, |pending| pending.row.revision);
        if row.revision > known {
            self.pending.insert(place, Pending { row, trouble: None });
        }
    }
}

impl InHand<'_> {
    /// What is to be followed, and what is there now. After none, somebody else may be at it.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<(Activation, Option<Arc<Chair>>)> {
        let mut state = self.roster.state.lock();
        let row = state.pending.get(self.place).filter(|pending| pending.is_due(now));
        if let Some(pending) = row {
            return Some((pending.row.clone(), state.chair(self.place).cloned()));
        }
        self.let_go(&mut state);
        None
    }

    fn let_go(&mut self, state: &mut State) {
        state.in_hand.remove(self.place);
        self.is_over = true;
        self.roster.moved.send_replace(());
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let roster = self.roster;
            self.let_go(&mut roster.state.lock());
        }
    }
}

impl Roster {
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// The revision up to which every change is known.
    pub(crate) fn read(&self) -> u64 {
        self.state.lock().read
    }

    /// Takes over all that changed since a revision.
    pub(crate) fn heard(&self, rows: Vec<Activation>) {
        let mut state = self.state.lock();
        for row in rows {
            state.read = state.read.max(row.revision);
            state.note(row);
        }
    }

    /// Takes over one change, whether or not those before it are known.
    pub(crate) fn note(&self, row: Activation) {
        self.state.lock().note(row);
    }

    /// What is to be followed now and nobody is at. Whoever takes this is at it, and takes it [in hand](InHand).
    pub(crate) fn take_due(&self, now: Timestamp) -> Vec<Place> {
        let mut state = self.state.lock();
        let due = state.pending.iter().filter(|(_, pending)| pending.is_due(now)).map(|(place, _)| place);
        let free: Vec<_> = due.filter(|place| !state.in_hand.contains(place)).cloned().collect();
        state.in_hand.extend(free.iter().cloned());
        free
    }

    pub(crate) fn in_hand<'a>(&'a self, place: &'a Place) -> InHand<'a> {
        InHand { roster: self, place, is_over: false }
    }

    /// New jobs are served by this from now on.
    pub(crate) fn followed(&self, place: &Place, chair: Chair) {
        let mut state = self.state.lock();
        if state.pending.get(place).is_some_and(|pending| pending.row.revision == chair.revision) {
            state.pending.remove(place);
        }
        self.publish(&mut state, place, chair);
    }

    /// An activation could not be followed: everything stays as it was, and it is tried again later.
    pub(crate) fn failed(&self, place: &Place, row: &Activation, reason: String, now: Timestamp) {
        let mut state = self.state.lock();
        let pending = state.pending.get_mut(place).filter(|pending| pending.row.revision == row.revision);
        if let Some(pending) = pending {
            let tries = pending.trouble.as_ref().map_or(0, |trouble| trouble.tries);
            let distance = RETRY.saturating_mul(2_u32.saturating_pow(tries)).min(RETRY_AT_LAST);
            pending.trouble = Some(Trouble { reason, tries: tries + 1, again_at: after(now, distance) });
        }
    }

    /// What could not be followed is due again: something is otherwise that may have been why.
    pub(crate) fn hurry(&self, now: Timestamp) {
        let mut state = self.state.lock();
        let troubles = state.pending.values_mut().filter_map(|pending| pending.trouble.as_mut());
        troubles.for_each(|trouble| trouble.again_at = now);
    }

    /// Under the lock, so that of two changes at once none is lost.
    fn publish(&self, state: &mut State, (tenant, slot): &Place, chair: Chair) {
        let layer = state.chairs.entry(tenant.clone()).or_default();
        Arc::make_mut(layer).insert(slot.clone(), Arc::new(chair));
        self.generation.store(Arc::new(self.generation.load().after(&state.chairs, tenant.as_ref())));
    }

    /// Lets go of what was kept for jobs, and no longer is.
    pub(crate) fn clear(&self, now: Timestamp) {
        let mut state = self.state.lock();
        let chairs = state.chairs.iter().flat_map(|(tenant, layer)| {
            layer.iter().map(move |(slot, chair)| ((tenant.clone(), slot.clone()), chair.cleared(now)))
        });
        let cleared: Vec<_> = chairs.filter_map(|(place, chair)| Some((place, chair?))).collect();
        for (place, chair) in cleared {
            self.publish(&mut state, &place, chair);
        }
    }

    /// Waits until nobody is at any of these places.
    pub(crate) async fn settled(&self, of: impl Fn(&Place) -> bool) {
        let mut moved = self.moved.subscribe();
        while self.state.lock().in_hand.iter().any(&of) {
            // The sender lives as long as this.
            _ = moved.changed().await;
        }
    }

    /// Why the choices of some places cannot be loaded here.
    pub(crate) fn troubles(&self) -> Vec<(Place, String)> {
        let state = self.state.lock();
        let trouble = |(place, pending): (&Place, &Pending)| {
            Some((place.clone(), pending.trouble.as_ref()?.reason.clone()))
        };
        state.pending.iter().filter_map(trouble).collect()
    }
}
