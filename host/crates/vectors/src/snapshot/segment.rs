//! A segment of rows as a block: the number of rows, 4 bytes; for every row its upper bytes, its lower words, its scale
//! and its rest, 4 bytes each, and whose it is: 0 for nobody, or 1, the product and 32 bytes of the image's hash.

use taja_catalog::ImageHash;

use super::{
    SnapshotError,
    blocks::{Fields, push_id},
};
use crate::{
    code::{Bytes, Row, WIDTH, Words},
    graph::PLACES,
    rows::{Label, SEGMENT, Segment},
};

/// Bytes of a label, at most.
const LABEL: usize = 1 + 1 + 64 + 32;
/// Nodes whose links are one block.
pub(super) const NODES: usize = 1024;

/// Bytes of a block, at most: of a segment, or of links.
pub(super) fn most_bytes(lines: usize) -> usize {
    let row = lines * WIDTH * 3 + 8 + LABEL;
    (4 + SEGMENT * row).max(NODES * (1 + PLACES * 4)).max(4096)
}

/// Writes a segment.
pub(super) fn encode(segment: &Segment) -> Vec<u8> {
    let mut block = Vec::new();
    block.extend_from_slice(&(segment.len() as u32).to_le_bytes());
    for row in 0..segment.len() {
        segment.high(row).iter().for_each(|line| block.extend_from_slice(&line.0.map(|byte| byte as u8)));
        segment.low(row).iter().for_each(|line| block.extend_from_slice(&to_bytes(line)));
        block.extend_from_slice(&segment.scale(row).to_le_bytes());
        block.extend_from_slice(&segment.rest(row).to_le_bytes());
        match segment.label(row) {
            None => block.push(0),
            Some(label) => {
                block.push(1);
                push_id(&mut block, label.product.as_str());
                block.extend_from_slice(label.image.as_bytes());
            }
        }
    }
    block
}

/// Reads a segment of `expected` rows of so many lines.
pub(super) fn decode(block: &[u8], lines: usize, expected: usize) -> Result<Segment, SnapshotError> {
    let mut fields = Fields::of(block);
    if fields.u32()? as usize != expected {
        return Err(SnapshotError::Damaged("a segment has another number of rows"));
    }
    let mut segment = if expected == SEGMENT { Segment::with_room(lines) } else { Segment::new(lines) };
    let mut row = Row {
        high: vec![Bytes([0; WIDTH]); lines],
        low: vec![Words([0; WIDTH]); lines],
        scale: 0.0,
        rest: 0.0,
    };
    for _ in 0..expected {
        for line in &mut row.high {
            line.0 = fields.array::<WIDTH>()?.map(|byte| byte as i8);
        }
        for line in &mut row.low {
            *line = from_bytes(fields.array()?);
        }
        row.scale = fields.fraction()?;
        row.rest = fields.fraction()?;
        let label = match fields.u8()? {
            0 => None,
            1 => Some(Label { product: fields.id()?, image: ImageHash::from_digest(*fields.array()?) }),
            _ => return Err(SnapshotError::Damaged("a label is of no known kind")),
        };
        segment.push(label, &row);
    }
    fields.done()?;
    Ok(segment)
}

fn to_bytes(line: &Words) -> [u8; WIDTH * 2] {
    let mut bytes = [0; WIDTH * 2];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(&line.0) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

fn from_bytes(bytes: &[u8; WIDTH * 2]) -> Words {
    let mut line = Words([0; WIDTH]);
    for (word, bytes) in line.0.iter_mut().zip(bytes.as_chunks().0) {
        *word = i16::from_le_bytes(*bytes);
    }
    line
}
