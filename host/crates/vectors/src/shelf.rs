//! The vectors of one shop, in segments that readers share and writers copy only while somebody reads them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use taja_catalog::{Embedding, ImageHash, ProductId};

use crate::kernel::{self, Lane, Rows};

/// Size of a full segment, bytes. It fits the second-level cache beside the queries, and copying one that is being
/// read takes tens of microseconds.
const SEGMENT_BYTES: usize = 256 * 1024;
/// The owner of a row that was removed.
const NOBODY: u32 = u32::MAX;

/// Where a vector lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's place on the shelf.
    pub(crate) segment: u32,
    /// The row inside it.
    pub(crate) row: u32,
}

/// Whose a vector is.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    /// The product.
    pub(crate) product: ProductId,
    /// The image.
    pub(crate) image: ImageHash,
}

/// Some hundred rows, side by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    lanes: Vec<Lane>,
    /// By row, the number of its product.
    owners: Vec<u32>,
    labels: Vec<Label>,
}

impl Segment {
    /// The rows' numbers, as they lie in memory.
    pub(crate) fn rows(&self, stride: usize) -> Rows<'_> {
        Rows { lanes: &self.lanes, stride }
    }

    /// Whose a row is.
    pub(crate) fn label(&self, row: u32) -> &Label {
        &self.labels[row as usize]
    }

    /// The rows that are there and allowed.
    pub(crate) fn pick(&self, allowed: Option<&Allowed>, picks: &mut Vec<u32>) {
        picks.clear();
        let rows = (0..).zip(&self.owners);
        match allowed {
            None => picks.extend(rows.filter(|(_, owner)| **owner != NOBODY).map(|(row, _)| row)),
            Some(allowed) => picks.extend(rows.filter(|(_, owner)| allowed.has(**owner)).map(|(row, _)| row)),
        }
    }

    fn write(&mut self, row: u32, owner: u32, label: Label, vector: &Embedding) {
        let (row, stride) = (row as usize, kernel::lanes_of(vector.dimension()));
        if row == self.owners.len() {
            // A full segment takes just its bytes; doubling would leave a third of them unused.
            let full = rows_per_segment(stride);
            if row * 2 >= full {
                self.lanes.reserve_exact((full - row) * stride);
            }
            self.lanes.extend_from_slice(&kernel::padded(vector.as_slice()));
            self.owners.push(owner);
            self.labels.push(label);
        } else {
            kernel::fill(&mut self.lanes[row * stride..(row + 1) * stride], vector.as_slice());
            self.owners[row] = owner;
            self.labels[row] = label;
        }
    }

    fn bytes(&self) -> usize {
        self.lanes.capacity() * size_of::<Lane>()
            + self.owners.capacity() * size_of::<u32>()
            + self.labels.capacity() * size_of::<Label>()
    }
}

/// A set of product numbers.
#[derive(Debug)]
pub(crate) struct Allowed(Vec<u64>);

impl Allowed {
    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn add(&mut self, number: u32) {
        self.0[number as usize / 64] |= 1 << (number % 64);
    }

    /// Whether nothing is allowed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

/// What one search reads: it stays as it is, whatever is written meanwhile.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The segments.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The products to look at, if not all.
    pub(crate) allowed: Option<Allowed>,
}

/// The vectors of one shop.
#[derive(Debug)]
pub(crate) struct Shelf {
    stride: usize,
    /// All full but the last one.
    segments: Vec<Arc<Segment>>,
    places: HashMap<ImageHash, Place>,
    numbers: HashMap<ProductId, u32>,
    /// Numbers of removed products, to be given again.
    spare_numbers: Vec<u32>,
    /// Removed rows, to be filled again; always fewer than a segment has.
    holes: Vec<Place>,
    /// Counts the changes.
    changes: u64,
}

impl Shelf {
    /// An empty shelf for vectors with this many components.
    pub(crate) fn new(dimension: usize) -> Self {
        Self {
            stride: kernel::lanes_of(dimension),
            segments: Vec::new(),
            places: HashMap::new(),
            numbers: HashMap::new(),
            spare_numbers: Vec::new(),
            holes: Vec::new(),
            changes: 0,
        }
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// How often it was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Bytes that vectors and directories take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes()).sum::<usize>()
            + self.places.capacity() * size_of::<(ImageHash, Place)>()
            + self.numbers.capacity() * size_of::<(ProductId, u32)>()
    }

    /// What a search for these products reads.
    pub(crate) fn snapshot(&self, among: Option<&HashSet<ProductId>>) -> Snapshot {
        Snapshot { segments: self.segments.clone(), allowed: among.map(|among| self.allowed(among)) }
    }

    fn allowed(&self, among: &HashSet<ProductId>) -> Allowed {
        let count = self.numbers.len() + self.spare_numbers.len();
        let mut allowed = Allowed(vec![0; count.div_ceil(64)]);
        if among.len() < self.numbers.len() {
            among
                .iter()
                .filter_map(|product| self.numbers.get(product))
                .for_each(|number| allowed.add(*number));
        } else {
            let known = self.numbers.iter().filter(|(product, _)| among.contains(*product));
            known.for_each(|(_, number)| allowed.add(*number));
        }
        allowed
    }

    /// Adds a vector, or replaces the one of the same image.
    pub(crate) fn put(&mut self, label: Label, vector: &Embedding) {
        self.changes += 1;
        let owner = self.number_of(&label.product);
        let place = self.places.get(&label.image).copied().unwrap_or_else(|| self.free_place());
        self.places.insert(label.image, place);
        self.segment_mut(place).write(place.row, owner, label, vector);
    }

    /// Removes every vector of a product.
    pub(crate) fn remove(&mut self, product: &ProductId) {
        let Some(number) = self.numbers.remove(product) else { return };
        self.changes += 1;
        self.spare_numbers.push(number);
        for (at, segment) in (0..).zip(&mut self.segments) {
            if !segment.owners.contains(&number) {
                continue;
            }
            let segment = Arc::make_mut(segment);
            let rows = (0..).zip(&mut segment.owners).zip(&segment.labels);
            for ((row, owner), label) in rows.filter(|((_, owner), _)| **owner == number) {
                *owner = NOBODY;
                self.places.remove(&label.image);
                self.holes.push(Place { segment: at, row });
            }
        }
        self.close_holes();
    }

    /// Moves the last segment's rows into holes while there are enough to take them all.
    fn close_holes(&mut self) {
        while self.holes.len() >= rows_per_segment(self.stride) {
            let Some(last) = self.segments.pop() else { return };
            let gone = self.segments.len() as u32;
            self.holes.retain(|hole| hole.segment != gone);
            let rows = last.lanes.chunks(self.stride).zip(&last.owners).zip(&last.labels);
            for ((lanes, owner), label) in rows.filter(|((_, owner), _)| **owner != NOBODY) {
                let place =
                    self.holes.pop().expect("a segment's rows fit as many holes as a segment has rows");
                let (row, stride) = (place.row as usize, self.stride);
                let segment = self.segment_mut(place);
                segment.lanes[row * stride..(row + 1) * stride].copy_from_slice(lanes);
                segment.owners[row] = *owner;
                segment.labels[row] = label.clone();
                self.places.insert(label.image, place);
            }
        }
    }

    fn number_of(&mut self, product: &ProductId) -> u32 {
        if let Some(number) = self.numbers.get(product) {
            return *number;
        }
        let number = self.spare_numbers.pop().unwrap_or(self.numbers.len() as u32);
        self.numbers.insert(product.clone(), number);
        number
    }

    fn free_place(&mut self) -> Place {
        if let Some(hole) = self.holes.pop() {
            return hole;
        }
        let full = rows_per_segment(self.stride);
        if self.segments.last().is_none_or(|last| last.owners.len() == full) {
            self.segments.push(Arc::default());
        }
        let segment = self.segments.len() - 1;
        Place { segment: segment as u32, row: self.segments[segment].owners.len() as u32 }
    }

    fn segment_mut(&mut self, place: Place) -> &mut Segment {
        Arc::make_mut(&mut self.segments[place.segment as usize])
    }
}

fn rows_per_segment(stride: usize) -> usize {
    (SEGMENT_BYTES / (stride * size_of::<Lane>()).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4,096 rows per segment would make a slow test; this many components make 64.
    const DIMENSION: usize = 1024;

    fn put(shelf: &mut Shelf, product: usize) {
        let image = ImageHash::of(&product.to_le_bytes());
        let mut values = vec![0.0; DIMENSION];
        values[product % DIMENSION] = 1.0;
        let vector = Embedding::normalised(values, DIMENSION).unwrap();
        shelf.put(Label { product: format!("p{product}").parse().unwrap(), image }, &vector);
    }

    #[test]
    fn removed_rows_give_their_memory_back_and_the_others_are_found_where_they_went() {
        let mut shelf = Shelf::new(DIMENSION);
        (0..640).for_each(|product| put(&mut shelf, product));
        assert_eq!(shelf.segments.len(), 10);
        for product in (0..640).filter(|product| product % 5 != 0) {
            shelf.remove(&format!("p{product}").parse().unwrap());
            assert!(shelf.holes.len() < 64);
        }
        assert_eq!(shelf.len(), 128);
        for (image, place) in &shelf.places {
            let segment = &shelf.segments[place.segment as usize];
            let label = segment.label(place.row);
            assert_eq!(label.image, *image);
            assert_eq!(segment.owners[place.row as usize], shelf.numbers[&label.product]);
        }
        assert!(shelf.segments.len() <= 3, "{} segments for 128 rows", shelf.segments.len());
    }

    #[test]
    fn a_snapshot_does_not_see_later_writes() {
        let mut shelf = Shelf::new(DIMENSION);
        put(&mut shelf, 1);
        let before = shelf.snapshot(None);
        put(&mut shelf, 2);
        shelf.remove(&"p1".parse().unwrap());
        let mut picks = Vec::new();
        before.segments[0].pick(None, &mut picks);
        assert_eq!(picks, [0]);
        assert_eq!(before.segments[0].label(0).product.as_str(), "p1");
    }

    #[test]
    fn a_number_that_is_given_again_does_not_let_the_old_product_in() {
        let mut shelf = Shelf::new(DIMENSION);
        put(&mut shelf, 1);
        shelf.remove(&"p1".parse().unwrap());
        put(&mut shelf, 2);
        let among = |id: &str| HashSet::from([id.parse().unwrap()]);
        assert!(shelf.snapshot(Some(&among("p1"))).allowed.unwrap().is_empty());
        assert!(!shelf.snapshot(Some(&among("p2"))).allowed.unwrap().is_empty());
    }
}
