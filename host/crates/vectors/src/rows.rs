//! The rows of one shop, in segments that readers share and writers copy only while somebody reads them.

use std::sync::Arc;

use taja_catalog::{ImageHash, ProductId};

use crate::code::{Bytes, Row, Words};

/// Rows of a full segment. Copying one of 768 components that is being read takes some tens of microseconds.
pub(crate) const SEGMENT: usize = 256;
/// Segments of a full block: copying its list, and the list of blocks, takes a microsecond.
const BLOCK: usize = 64;

/// Whose a vector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// The product.
    pub(crate) product: ProductId,
    /// The image.
    pub(crate) image: ImageHash,
}

/// Some hundred rows, side by side.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    lines: usize,
    high: Vec<Bytes>,
    low: Vec<Words>,
    scales: Vec<f32>,
    rests: Vec<f32>,
    /// Whose each row is; nobody's when it was removed.
    labels: Vec<Option<Label>>,
}

impl Segment {
    /// No rows yet, of this many lines each.
    pub(crate) fn new(lines: usize) -> Self {
        let (high, low) = (Vec::new(), Vec::new());
        Self { lines, high, low, scales: Vec::new(), rests: Vec::new(), labels: Vec::new() }
    }

    /// No rows yet, with room for as many as a segment has: doubling would leave a third of it unused.
    pub(crate) fn with_room(lines: usize) -> Self {
        Self {
            lines,
            high: Vec::with_capacity(SEGMENT * lines),
            low: Vec::with_capacity(SEGMENT * lines),
            scales: Vec::with_capacity(SEGMENT),
            rests: Vec::with_capacity(SEGMENT),
            labels: Vec::with_capacity(SEGMENT),
        }
    }

    /// Number of rows, removed ones included.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The upper bytes of a row.
    pub(crate) fn high(&self, row: usize) -> &[Bytes] {
        &self.high[row * self.lines..(row + 1) * self.lines]
    }

    /// The lower words of a row.
    pub(crate) fn low(&self, row: usize) -> &[Words] {
        &self.low[row * self.lines..(row + 1) * self.lines]
    }

    /// The value of one unit of a row's upper bytes.
    pub(crate) fn scale(&self, row: usize) -> &f32 {
        &self.scales[row]
    }

    /// The length of what a row's upper bytes leave out.
    pub(crate) fn rest(&self, row: usize) -> f32 {
        self.rests[row]
    }

    /// Whose a row is.
    pub(crate) fn label(&self, row: usize) -> Option<&Label> {
        self.labels[row].as_ref()
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, label: Option<Label>, row: &Row) {
        let rows = self.len();
        // What has room has it already; a copy of a segment takes just its bytes.
        if rows * 2 >= SEGMENT {
            let left = SEGMENT - rows;
            self.high.reserve_exact(left * self.lines);
            self.low.reserve_exact(left * self.lines);
            self.scales.reserve_exact(left);
            self.rests.reserve_exact(left);
            self.labels.reserve_exact(left);
        }
        self.high.extend_from_slice(&row.high);
        self.low.extend_from_slice(&row.low);
        self.scales.push(row.scale);
        self.rests.push(row.rest);
        self.labels.push(label);
    }

    fn replace(&mut self, at: usize, label: Label, row: &Row) {
        let lines = at * self.lines..(at + 1) * self.lines;
        self.high[lines.clone()].copy_from_slice(&row.high);
        self.low[lines].copy_from_slice(&row.low);
        self.scales[at] = row.scale;
        self.rests[at] = row.rest;
        self.labels[at] = Some(label);
    }

    /// A copy of a row.
    pub(crate) fn row(&self, at: usize) -> Row {
        let (high, low) = (self.high(at).to_vec(), self.low(at).to_vec());
        Row { high, low, scale: self.scales[at], rest: self.rests[at] }
    }

    fn holds(&self, at: usize, row: &Row) -> bool {
        self.scales[at] == row.scale && self.high(at) == row.high && self.low(at) == row.low
    }

    fn bytes(&self) -> usize {
        self.high.capacity() * size_of::<Bytes>()
            + self.low.capacity() * size_of::<Words>()
            + (self.scales.capacity() + self.rests.capacity()) * size_of::<f32>()
            + self.labels.capacity() * size_of::<Option<Label>>()
    }
}

/// The rows of a shop by number, their *slot*. A clone costs nothing, and stays as it is whatever is written meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    lines: usize,
    blocks: Arc<Vec<Arc<Vec<Arc<Segment>>>>>,
    slots: usize,
}

impl Rows {
    /// No rows yet, of this many lines each.
    pub(crate) fn new(lines: usize) -> Self {
        Self { lines, blocks: Arc::default(), slots: 0 }
    }

    /// Number of slots, removed ones included.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// Number of segments.
    pub(crate) fn segments(&self) -> usize {
        self.slots.div_ceil(SEGMENT)
    }

    /// A segment; slot `n` is its row `n % SEGMENT` if `at` is `n / SEGMENT`.
    #[inline]
    pub(crate) fn segment(&self, at: usize) -> &Segment {
        &self.blocks[at / BLOCK][at % BLOCK]
    }

    /// Where a slot lies.
    #[inline]
    pub(crate) fn at(&self, slot: u32) -> (&Segment, usize) {
        (self.segment(slot as usize / SEGMENT), slot as usize % SEGMENT)
    }

    /// Whose a slot is.
    pub(crate) fn label(&self, slot: u32) -> Option<&Label> {
        let (segment, row) = self.at(slot);
        segment.label(row)
    }

    /// Whether a slot has just this vector.
    pub(crate) fn holds(&self, slot: u32, row: &Row) -> bool {
        let (segment, at) = self.at(slot);
        segment.holds(at, row)
    }

    /// A slot's components, those that fill up its last line included.
    pub(crate) fn decoded(&self, slot: u32) -> Vec<f32> {
        let (segment, row) = self.at(slot);
        let lines = segment.high(row).iter().zip(segment.low(row));
        let numbers = lines.flat_map(|(high, low)| high.0.iter().zip(&low.0));
        let scale = segment.scale(row) / 65536.0;
        numbers.map(|(high, low)| ((i32::from(*high) << 16) + i32::from(*low)) as f32 * scale).collect()
    }

    /// Adds a row at the end.
    pub(crate) fn push(&mut self, label: Label, row: &Row) -> u32 {
        if self.slots.is_multiple_of(SEGMENT) {
            // The first one grows: a shop may stay small.
            let first = self.slots == 0;
            self.push_segment(if first { Segment::new(self.lines) } else { Segment::with_room(self.lines) });
        }
        let slot = self.slots;
        self.segment_mut(slot / SEGMENT).push(Some(label), row);
        self.slots += 1;
        slot as u32
    }

    /// Adds a segment at the end, where no other has begun.
    pub(crate) fn push_segment(&mut self, segment: Segment) {
        debug_assert!(self.slots.is_multiple_of(SEGMENT), "the last segment is full");
        self.slots += segment.len();
        let blocks = Arc::make_mut(&mut self.blocks);
        match blocks.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => Arc::make_mut(block).push(Arc::new(segment)),
            None => blocks.push(Arc::new(vec![Arc::new(segment)])),
        }
    }

    /// Writes over a slot.
    pub(crate) fn replace(&mut self, slot: u32, label: Label, row: &Row) {
        self.segment_mut(slot as usize / SEGMENT).replace(slot as usize % SEGMENT, label, row);
    }

    /// Changes whose a slot is.
    pub(crate) fn relabel(&mut self, slot: u32, label: Option<Label>) {
        self.segment_mut(slot as usize / SEGMENT).labels[slot as usize % SEGMENT] = label;
    }

    /// Takes the last segment off: what was in it, by slot.
    pub(crate) fn pop_segment(&mut self) -> Vec<(Label, Row)> {
        let blocks = Arc::make_mut(&mut self.blocks);
        let Some(block) = blocks.last_mut() else { return Vec::new() };
        let last = Arc::make_mut(block).pop();
        if block.is_empty() {
            blocks.pop();
        }
        let Some(last) = last else { return Vec::new() };
        self.slots -= last.len();
        (0..last.len()).filter_map(|at| Some((last.label(at)?.clone(), last.row(at)))).collect()
    }

    /// Bytes that the rows take.
    pub(crate) fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().flat_map(|block| block.iter());
        blocks.map(|segment| segment.bytes() + size_of::<Segment>()).sum()
    }

    fn segment_mut(&mut self, at: usize) -> &mut Segment {
        let block = Arc::make_mut(&mut Arc::make_mut(&mut self.blocks)[at / BLOCK]);
        Arc::make_mut(&mut block[at % BLOCK])
    }
}
