//! What a shop has: its rows, where each image and product lies, and what its graph does not know yet.

use std::{collections::HashMap, sync::Arc};

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
    /// Slots to be filled again.
    holes: Vec<u32>,
    graph: Option<Arc<Graph>>,
    /// Slots that the graph does not know yet. It is taken from the end.
    pending: Arc<Vec<u32>>,
    /// Removed slots that the graph may still lead over.
    dead: Vec<u32>,
    /// Counts the changes.
    changes: u64,
}

impl Shelf {
    /// An empty shelf for rows of this many lines.
    pub(crate) fn new(lines: usize) -> Self {
        Self {
            rows: Rows::new(lines),
            places: HashMap::new(),
            products: HashMap::new(),
            holes: Vec::new(),
            graph: None,
            pending: Arc::default(),
            dead: Vec::new(),
            changes: 0,
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
                    shelf.products.entry(label.product.clone()).or_default().push(slot);
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
        // The counters and the text of an identifier, and the list of its slots.
        let listed = |(product, slots): (&ProductId, &Vec<u32>)| {
            2 * size_of::<usize>() + product.as_str().len() + slots.capacity() * size_of::<u32>()
        };
        let slots = self.holes.capacity() + self.dead.capacity() + self.pending.capacity();
        self.rows.bytes()
            + places
            + products
            + self.products.iter().map(listed).sum::<usize>()
            + slots * size_of::<u32>()
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
        self.products.entry(product).or_default().push(slot);
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

    /// Begins an empty graph: all rows are pending, in this order from the end.
    pub(crate) fn begin_graph(&mut self, order: Vec<u32>) -> Arc<Graph> {
        let graph = Arc::new(Graph::new());
        self.pending = Arc::new(order);
        self.graph = Some(Arc::clone(&graph));
        graph
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

    /// The graph leads over the first `count` dead slots no more: they can be filled again.
    pub(crate) fn buried(&mut self, count: usize) {
        let mut gone: Vec<u32> = self.dead.drain(..count).collect();
        gone.sort_unstable();
        Arc::make_mut(&mut self.pending).retain(|slot| gone.binary_search(slot).is_err());
        self.holes.append(&mut gone);
    }

    /// A slot's product has it no more.
    fn disown(&mut self, slot: u32) {
        let Some(label) = self.rows.label(slot) else { return };
        if let Some(slots) = self.products.get_mut(&label.product) {
            slots.retain(|listed| *listed != slot);
            if slots.is_empty() {
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

#[cfg(test)]
mod tests;
