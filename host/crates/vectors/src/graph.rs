//! A graph of near rows: a search walks along its links towards the query.
//!
//! A hierarchy of navigable small worlds (Malkov and Yashunin, 2016) whose lists are pruned with a slack (`RobustPrune`
//! of Subramanya et al., DiskANN, 2019). A node is a slot, and its level follows from the slot: every slot is on level
//! 0, every 32nd on level 1, every 1024th on level 2. That takes no memory, and a slot that is filled again stays on
//! its levels. Links are atomic numbers: searches read them without a lock, and what they read of a list that is being
//! written is still a list of nodes.

mod link;
mod repair;
mod walk;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use parking_lot::{Mutex, RwLock};

pub(crate) use link::Linker;
pub(crate) use repair::Slots;
pub(crate) use walk::{Target, Walk};

/// Links of a list when it was pruned.
pub(crate) const DEGREE: usize = 32;
/// Links of a list before it is pruned again: pruning at every link would cost more than finding it.
pub(crate) const PLACES: usize = 48;
/// Levels there are at most: enough for 32 million slots with 32 of them on top.
pub(crate) const LEVELS: usize = 5;
/// One of 2^5 nodes of a level is on the level above, too.
const FAN_BITS: usize = 5;
/// Nodes that are allocated together.
const CHUNK: usize = 1024;
/// No link here, nor after it.
pub(crate) const NONE: u32 = u32::MAX;
/// Locks that the lists share while they are written.
const LOCKS: usize = 4096;
/// Nodes on the top level, where a search begins by looking at each, at most.
const TOP: usize = 64;
/// How many times as wide the wider walk is whose visits are known.
pub(crate) const FAR: usize = 8;

/// What 1 is stored as.
const STRAY_UNIT: f64 = 1024.0;
/// Filters are told apart by the share of rows that they leave: a fourth and more, a sixteenth and more, and so on.
const BANDS: usize = 8;

type Chunk = Arc<[AtomicU32]>;
type Level = Arc<Vec<Chunk>>;

/// The links of every node, and who may write them.
#[derive(Debug)]
pub(crate) struct Graph {
    levels: RwLock<Links>,
    locks: Box<[Mutex<()>]>,
    /// Nodes that a walk keeps so that it finds ten well enough; 0 until that was measured.
    width: AtomicUsize,
    width_above: AtomicUsize,
    /// Visits of a walk of that width, and of one that is [`FAR`] times as wide: running averages.
    visits: [AtomicUsize; 2],
    /// See [`Graph::stray`]; running averages, in units of [`STRAY_UNIT`].
    strays: [AtomicUsize; BANDS],
    /// Rows of the shop when that was measured; 0 before.
    tuned_at: AtomicUsize,
}

/// The links as far as they were allocated when this was taken. They change while it is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    levels: [Level; LEVELS],
}

impl Graph {
    /// No links.
    pub(crate) fn new() -> Self {
        Self {
            levels: RwLock::default(),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            width: AtomicUsize::new(0),
            width_above: AtomicUsize::new(0),
            visits: Default::default(),
            strays: std::array::from_fn(|_| AtomicUsize::new(STRAY_UNIT as usize)),
            tuned_at: AtomicUsize::new(0),
        }
    }

    /// Rows of the shop when the width was measured; 0 before.
    pub(crate) fn tuned_at(&self) -> usize {
        self.tuned_at.load(Ordering::Relaxed)
    }

    /// The width was measured with so many rows.
    pub(crate) fn set_tuned_at(&self, rows: usize) {
        self.tuned_at.store(rows, Ordering::Relaxed);
    }

    /// Nodes that a walk keeps so that it finds ten well enough; 0 until that was measured.
    pub(crate) fn width(&self) -> usize {
        self.width.load(Ordering::Relaxed)
    }

    /// Nodes that such a walk keeps on the upper levels.
    pub(crate) fn width_above(&self) -> usize {
        self.width_above.load(Ordering::Relaxed)
    }

    /// So many are enough.
    pub(crate) fn set_widths(&self, above: usize, width: usize) {
        self.width_above.store(above, Ordering::Relaxed);
        self.width.store(width, Ordering::Relaxed);
    }

    /// Visits to expect of a walk that keeps so many nodes: on a line through what was measured with the width that
    /// finds enough, and with [`FAR`] times as much.
    pub(crate) fn visits_for(&self, width: f64) -> f64 {
        let (near, far) = (self.visits[0].load(Ordering::Relaxed), self.visits[1].load(Ordering::Relaxed));
        let beyond = (width / self.width().max(1) as f64 - 1.0) / (FAR - 1) as f64;
        near as f64 + (far as f64 - near as f64).max(0.0) * beyond.max(0.0)
    }

    /// A walk without a filter kept so many nodes and visited so many.
    pub(crate) fn note_visits(&self, width: usize, visits: usize) {
        let average = match width / self.width().max(1) {
            _ if width == self.width() => &self.visits[0],
            FAR => &self.visits[1],
            _ => return,
        };
        let old = average.load(Ordering::Relaxed);
        average.store(if old == 0 { visits } else { (old * 7 + visits).div_ceil(8) }, Ordering::Relaxed);
    }

    /// How many times as many visits as this share of rows asked for makes expect a walk with a filter takes.
    pub(crate) fn stray(&self, share: f64) -> f64 {
        self.strays[band_of(share)].load(Ordering::Relaxed) as f64 / STRAY_UNIT
    }

    /// A walk with a filter that leaves this share took so many visits, `expected` with what was known. One that gave up
    /// would have taken more.
    pub(crate) fn note_stray(&self, share: f64, visits: usize, expected: f64, done: bool) {
        let seen = visits as f64 / expected.max(1.0) * if done { 1.0 } else { 4.0 };
        let stray = self.stray(share) * (1.0 + (seen.clamp(0.25, 16.0) - 1.0) / 8.0);
        self.strays[band_of(share)]
            .store((stray.clamp(0.25, 1000.0) * STRAY_UNIT) as usize, Ordering::Relaxed);
    }

    /// The links, for reading.
    pub(crate) fn links(&self) -> Links {
        self.levels.read_recursive().clone()
    }

    /// The links, with room for this many slots.
    pub(crate) fn links_for(&self, slots: usize) -> Links {
        let mut links = self.levels.write();
        for (at, level) in links.levels.iter_mut().enumerate() {
            let chunks = nodes_on(at, slots).div_ceil(CHUNK);
            if level.len() < chunks {
                let empty = || (0..CHUNK * PLACES).map(|_| AtomicU32::new(NONE)).collect();
                let level = Arc::make_mut(level);
                level.resize_with(chunks, empty);
            }
        }
        links.clone()
    }

    /// Bytes that the links take.
    pub(crate) fn bytes(&self) -> usize {
        let chunks: usize = self.levels.read().levels.iter().map(|level| level.len()).sum();
        LOCKS + chunks * CHUNK * PLACES * size_of::<u32>()
    }

    fn lock(&self, slot: u32) -> &Mutex<()> {
        &self.locks[slot as usize % LOCKS]
    }
}

impl Links {
    /// The links of a node on a level: none when they were not allocated yet.
    pub(crate) fn of(&self, level: usize, slot: u32) -> impl Iterator<Item = u32> {
        self.places(level, slot)
            .iter()
            .map(|place| place.load(Ordering::Relaxed))
            .take_while(|link| *link != NONE)
    }

    /// Writes a list; what does not fit is left out.
    pub(crate) fn write(&self, level: usize, slot: u32, list: &[u32]) {
        let list = list.iter().copied().chain(std::iter::repeat(NONE));
        for (place, link) in self.places(level, slot).iter().zip(list) {
            place.store(link, Ordering::Relaxed);
        }
    }

    fn places(&self, level: usize, slot: u32) -> &[AtomicU32] {
        let node = slot as usize >> (level * FAN_BITS);
        let first = node % CHUNK * PLACES;
        self.levels[level].get(node / CHUNK).map_or(&[], |chunk| &chunk[first..first + PLACES])
    }
}

/// Which filters one with this share is like.
fn band_of(share: f64) -> usize {
    ((-share.log2() / 2.0).max(0.0) as usize).min(BANDS - 1)
}

/// The highest level that a slot is on.
pub(crate) fn level_of(slot: u32) -> usize {
    (slot.trailing_zeros() as usize / FAN_BITS).min(LEVELS - 1)
}

/// How many of so many slots are on a level.
pub(crate) fn nodes_on(level: usize, slots: usize) -> usize {
    slots.div_ceil(1 << (level * FAN_BITS))
}

/// The slots on a level.
pub(crate) fn slots_on(level: usize, slots: usize) -> impl Iterator<Item = u32> {
    (0..slots as u32).step_by(1 << (level * FAN_BITS))
}

/// The level where a search among so many slots begins.
fn top_of(slots: usize) -> usize {
    (0..LEVELS - 1).find(|level| nodes_on(*level, slots) <= TOP).unwrap_or(LEVELS - 1)
}

#[cfg(test)]
mod tests;
