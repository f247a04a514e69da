//! Blocks: the length, 4 bytes; a checksum, 4 bytes (CRC-32 of the block's number, 8 bytes, and its content); the
//! content. The number lets no block pass for another one.

use std::io::{self, Read, Write};

use super::SnapshotError;

/// Writes blocks one after the other.
pub(super) struct Writer<W> {
    to: W,
    number: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, number: 0 }
    }

    pub(super) fn block(&mut self, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&checksum(self.number, content).to_le_bytes())?;
        self.number += 1;
        self.to.write_all(content)
    }

    /// Everything is handed on; what it was handed to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Reads blocks one after the other, and believes none before its checksum.
pub(super) struct Reader<R> {
    from: R,
    number: u64,
    most: usize,
}

impl<R: Read> Reader<R> {
    /// No block is longer than `most` bytes.
    pub(super) fn new(from: R, most: usize) -> Self {
        Self { from, number: 0, most }
    }

    pub(super) fn block(&mut self) -> Result<Vec<u8>, SnapshotError> {
        let mut head = [0; 8];
        self.fill(&mut head)?;
        let mut head = Fields::of(&head);
        let (length, expected) = (head.u32()? as usize, head.u32()?);
        if length > self.most {
            return Err(SnapshotError::Damaged("a block is longer than any can be"));
        }
        let mut content = vec![0; length];
        self.fill(&mut content)?;
        if checksum(self.number, &content) != expected {
            return Err(SnapshotError::Damaged("a checksum is wrong"));
        }
        self.number += 1;
        Ok(content)
    }

    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.from.read(&mut [0])? == 0)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SnapshotError::Damaged("it ends too early"),
            _ => error.into(),
        })
    }
}

fn checksum(number: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// The fields of a block, read from its start.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self(content)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(SnapshotError::Damaged("a block is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], SnapshotError> {
        let taken = self.take(N)?;
        Ok(taken.first_chunk().expect("as many were taken"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, SnapshotError> {
        Ok(u8::from_le_bytes(*self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, SnapshotError> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    /// A number from 0 to 1, as scales are.
    pub(super) fn fraction(&mut self) -> Result<f32, SnapshotError> {
        let number = f32::from_le_bytes(*self.array()?);
        // Not a number is in no range.
        if (0.0..=1.0).contains(&number) {
            Ok(number)
        } else {
            Err(SnapshotError::Damaged("a scale is impossible"))
        }
    }

    /// An identifier: its length, 1 byte, and its text.
    pub(super) fn id<T: std::str::FromStr>(&mut self) -> Result<T, SnapshotError> {
        let length = self.u8()?;
        let text = std::str::from_utf8(self.take(length.into())?).ok();
        text.and_then(|text| text.parse().ok()).ok_or(SnapshotError::Damaged("an identifier is not valid"))
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(super) fn done(self) -> Result<(), SnapshotError> {
        if self.0.is_empty() { Ok(()) } else { Err(SnapshotError::Damaged("a block is too long")) }
    }
}

/// Appends an identifier, of 64 bytes at most.
pub(super) fn push_id(block: &mut Vec<u8>, id: &str) {
    block.push(id.len() as u8);
    block.extend_from_slice(id.as_bytes());
}
