//! Leads links around nodes that were removed.

use super::{Linker, level_of};

/// A set of slots.
#[derive(Debug)]
pub(crate) struct Slots(Vec<u64>);

impl Slots {
    /// These.
    pub(crate) fn of(slots: &[u32]) -> Self {
        let greatest = slots.iter().max().map_or(0, |slot| *slot as usize + 1);
        let mut words = vec![0; greatest.div_ceil(64)];
        slots.iter().for_each(|slot| words[*slot as usize / 64] |= 1 << (slot % 64));
        Self(words)
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

impl Linker<'_> {
    /// Links a slot with what its gone neighbours were linked with, in their place. True when that is nothing, on one of
    /// its levels: it must be linked anew. Nobody else may write meanwhile.
    pub(crate) fn mend(&mut self, slot: u32, gone: &Slots) -> bool {
        let mut alone = false;
        if gone.has(slot) {
            return false;
        }
        for level in 0..=level_of(slot) {
            let links: Vec<u32> = self.links.of(level, slot).collect();
            if !links.iter().any(|link| gone.has(*link)) {
                continue;
            }
            let (lost, mut list): (Vec<u32>, Vec<u32>) = links.iter().partition(|link| gone.has(**link));
            for lost in lost {
                list.extend(self.links.of(level, lost).filter(|link| !gone.has(*link) && *link != slot));
            }
            list.retain(|link| (*link as usize) < self.rows.slots());
            list.sort_unstable();
            list.dedup();
            let near = self.by_nearness(slot, &list);
            let list = self.pruned(&near);
            alone |= list.is_empty();
            self.links.write(level, slot, &list);
        }
        alone
    }

    /// Takes a gone slot's links away, when nothing leads to it any more.
    pub(crate) fn bury(&self, slot: u32) {
        (0..=level_of(slot)).for_each(|level| self.links.write(level, slot, &[]));
    }
}
