//! What a shop has: its rows, where each image and product lies, and what its graph does not know yet.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use taja_catalog::{ImageHash, ProductId};

use crate::{
    code::Row,
    graph::Graph,
    rows::{Label, Rows, SEGMENT},
};

/// What one search reads: it stays as it is, whatever is written meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The rows.
    pub(crate) rows: Rows,
    /// Number of vectors.
    pub(crate) len: usize,
    /// Number of products.
    pub(crate) products: usize,
    /// The graph, if the shop is large enough to have one.
    pub(crate) graph: Option<Arc<Graph>>,
    /// Slots that the graph does not know yet.
    pub(crate) pending: Arc<Vec<u32>>,
}

/// The vectors of one shop.
#[derive(Debug)]
pub(crate) struct Shelf {
    rows: Rows,
    places: HashMap<ImageHash, u32>,
    products: HashMap<ProductId, Vec<u32>>,
    /// Bytes of the products' identifiers.
    names: usize,
    /// Slots to be filled again.
    holes: Vec<u32>,
    graph: Option<Arc<Graph>>,
    /// Slots that the graph does not know yet. It is taken from the end.
    pending: Arc<Vec<u32>>,
    /// Removed slots that the graph may still lead over.
    dead: Vec<u32>,
    /// Counts the changes.
    changes: u64,
    /// Images that were in a file and were not put since.
    unconfirmed: HashSet<ImageHash>,
}

impl Shelf {
    /// An empty shelf for rows of this many lines.
    pub(crate) fn new(lines: usize) -> Self {
        Self {
            rows: Rows::new(lines),
            places: HashMap::new(),
            products: HashMap::new(),
            names: 0,
            holes: Vec::new(),
            graph: None,
            pending: Arc::default(),
            dead: Vec::new(),
            changes: 0,
            unconfirmed: HashSet::new(),
        }
    }

    /// Takes over rows, and the graph that leads over all of them but `pending`. False when an image is there twice.
    pub(crate) fn restored(rows: Rows, graph: Option<Arc<Graph>>, pending: Vec<u32>) -> Option<Self> {
        let mut shelf = Self { pending: Arc::new(pending), ..Self::new(0) };
        shelf.places.reserve(rows.slots());
        shelf.products.reserve(rows.slots() / 2);
        for slot in 0..rows.slots() as u32 {
            match rows.label(slot) {
                Some(label) => {
                    if shelf.places.insert(label.image, slot).is_some() {
                        return None;
                    }
                    shelf.own(label.product.clone(), slot);
                }
                None if graph.is_some() => shelf.dead.push(slot),
                None => shelf.holes.push(slot),
            }
        }
        shelf.changes = u64::from(rows.slots() > 0);
        Some(Self { rows, graph, ..shelf })
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// How often it was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Bytes that vectors, directories and the graph take.
    pub(crate) fn bytes(&self) -> usize {
        // One control byte per place of a hash table.
        let places = self.places.capacity() * (size_of::<(ImageHash, u32)>() + 1);
        let products = self.products.capacity() * (size_of::<(ProductId, Vec<u32>)>() + 1);
        // Lists have four places at first.
        let listed = self.len().max(self.products.len() * 4) * size_of::<u32>();
        let slots = self.holes.capacity() + self.dead.capacity() + self.pending.capacity();
        self.rows.bytes()
            + places
            + products
            + self.names
            + listed
            + slots * size_of::<u32>()
            + self.unconfirmed.capacity() * (size_of::<ImageHash>() + 1)
            + self.graph.as_ref().map_or(0, |graph| graph.bytes())
    }

    /// What a search reads.
    pub(crate) fn view(&self) -> View {
        View {
            rows: self.rows.clone(),
            len: self.len(),
            products: self.products.len(),
            graph: self.graph.clone(),
            pending: Arc::clone(&self.pending),
        }
    }

    /// Number of slots, removed ones included.
    pub(crate) fn slots(&self) -> usize {
        self.rows.slots()
    }

    /// The graph, if there is one.
    pub(crate) fn graph(&self) -> Option<&Arc<Graph>> {
        self.graph.as_ref()
    }

    /// Number of slots that the graph does not know yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The slots of a product's images.
    pub(crate) fn slots_of(&self, product: &ProductId) -> &[u32] {
        self.products.get(product).map_or(&[], Vec::as_slice)
    }

    /// Adds a vector, or replaces the one of the same image.
    pub(crate) fn put(&mut self, label: Label, row: &Row) {
        self.changes += 1;
        self.unconfirmed.remove(&label.image);
        let product = label.product.clone();
        let known = self.places.get(&label.image).copied();
        let slot = match known {
            Some(slot) if self.graph.is_none() || self.rows.holds(slot, row) => {
                self.disown(slot);
                if self.rows.holds(slot, row) {
                    self.rows.relabel(slot, Some(label));
                } else {
                    self.rows.replace(slot, label, row);
                }
                slot
            }
            known => {
                if let Some(slot) = known {
                    self.retire(slot);
                }
                let image = label.image;
                let slot = self.fill(label, row);
                self.places.insert(image, slot);
                slot
            }
        };
        self.own(product, slot);
    }

    /// From now on, what is not put again is unconfirmed.
    pub(crate) fn doubt(&mut self) {
        self.unconfirmed = self.places.keys().copied().collect();
    }

    /// Removes what is unconfirmed.
    pub(crate) fn forget_unconfirmed(&mut self) {
        for image in std::mem::take(&mut self.unconfirmed) {
            if let Some(slot) = self.places.remove(&image) {
                self.changes += 1;
                self.retire(slot);
            }
        }
        while self.close_holes() {}
    }

    /// Removes every vector of a product.
    pub(crate) fn remove(&mut self, product: &ProductId) {
        let Some(slots) = self.products.get(product).cloned() else { return };
        self.changes += 1;
        for slot in slots {
            if let Some(label) = self.rows.label(slot) {
                self.places.remove(&label.image);
            }
            self.retire(slot);
        }
        // A second segment at most: the others go with what is removed next.
        let _ = self.close_holes() && self.close_holes();
    }

    /// Removes the vectors of pictures.
    pub(crate) fn remove_images(&mut self, images: &[ImageHash]) {
        let before = self.len();
        for image in images {
            if let Some(slot) = self.places.remove(image) {
                self.retire(slot);
            }
        }
        self.changes += u64::from(self.len() != before);
        let _ = self.close_holes() && self.close_holes();
    }

    /// Moves the last segment's rows into holes if there are enough to take them all. A graph's rows stay.
    pub(crate) fn close_holes(&mut self) -> bool {
        if self.graph.is_some() || self.holes.len() < SEGMENT {
            return false;
        }
        let moved = self.rows.pop_segment();
        let slots = self.rows.slots() as u32;
        self.holes.retain(|hole| *hole < slots);
        for (label, row) in moved {
            let slot = self.holes.pop().expect("a segment's rows fit as many holes as a segment has rows");
            let slots = self.products.get_mut(&label.product).expect("whoever has a row is listed");
            let of_image = self.places.insert(label.image, slot).expect("whatever has a row is listed");
            slots.iter_mut().filter(|listed| **listed == of_image).for_each(|listed| *listed = slot);
            self.rows.replace(slot, label, &row);
        }
        true
    }

    /// Begins an empty graph: all rows are pending, in this order from the end; what it leaves out comes first.
    pub(crate) fn begin_graph(&mut self, mut order: Vec<u32>) {
        let slots = self.slots() as u32;
        order.extend(order.len() as u32..slots);
        self.holes.sort_unstable();
        order.retain(|slot| *slot < slots && self.holes.binary_search(slot).is_err());
        self.pending = Arc::new(order);
        self.graph = Some(Arc::new(Graph::new()));
    }

    /// Forgets the graph; what was removed can be filled again.
    pub(crate) fn drop_graph(&mut self) {
        self.graph = None;
        self.pending = Arc::default();
        self.holes.append(&mut self.dead);
    }

    /// The graph now knows `count` pending slots, which were the last ones when there were `of` of them.
    pub(crate) fn linked(&mut self, of: usize, count: usize) {
        Arc::make_mut(&mut self.pending).drain(of - count..of);
    }

    /// Removed slots that the graph may still lead over.
    pub(crate) fn dead(&self) -> &[u32] {
        &self.dead
    }

    /// The graph leads over the first `count` dead slots no more: they can be filled again. It does not know `alone` any
    /// more either.
    pub(crate) fn buried(&mut self, count: usize, alone: &[u32]) {
        let mut gone: Vec<u32> = self.dead.drain(..count).collect();
        gone.sort_unstable();
        let pending = Arc::make_mut(&mut self.pending);
        pending.retain(|slot| gone.binary_search(slot).is_err());
        let alone: Vec<u32> = alone.iter().copied().filter(|slot| !pending.contains(slot)).collect();
        pending.extend(alone);
        self.holes.append(&mut gone);
    }

    fn own(&mut self, product: ProductId, slot: u32) {
        let bytes = bytes_of(&product);
        let slots = self.products.entry(product).or_default();
        self.names += if slots.is_empty() { bytes } else { 0 };
        slots.push(slot);
    }

    /// A slot's product has it no more.
    fn disown(&mut self, slot: u32) {
        let Some(label) = self.rows.label(slot) else { return };
        if let Some(slots) = self.products.get_mut(&label.product) {
            slots.retain(|listed| *listed != slot);
            if slots.is_empty() {
                self.names -= bytes_of(&label.product);
                self.products.remove(&label.product);
            }
        }
    }

    fn retire(&mut self, slot: u32) {
        self.disown(slot);
        self.rows.relabel(slot, None);
        if self.graph.is_some() { self.dead.push(slot) } else { self.holes.push(slot) }
    }

    fn fill(&mut self, label: Label, row: &Row) -> u32 {
        let slot = match self.holes.pop() {
            Some(slot) => {
                self.rows.replace(slot, label, row);
                slot
            }
            None => self.rows.push(label, row),
        };
        if self.graph.is_some() {
            Arc::make_mut(&mut self.pending).push(slot);
        }
        slot
    }
}

/// The counters and the text of an identifier.
fn bytes_of(product: &ProductId) -> usize {
    2 * size_of::<usize>() + product.as_str().len()
}

#[cfg(test)]
mod tests;
