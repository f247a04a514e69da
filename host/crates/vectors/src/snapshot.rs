//! The index as a file: written whole or not at all, and taken back only if every byte of it is right.
//!
//! The file is derived, as the index is: when it is refused, the index is filled from the store. It begins with
//! [`MAGIC`] and is made of blocks (see [`blocks`]): a header, then for every shop its name, its segments of rows and
//! its lists of links, then an end that says so. All numbers are little-endian.

mod blocks;
mod segment;
mod shop;

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use blocks::{Fields, Reader, Writer};
use parking_lot::RwLock;

use crate::{
    code::lines_of,
    index::{Index, Shelves},
};

/// What every file begins with; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"TAJAVEC\x01";
/// Bytes that are read and written at once.
const BUFFER: usize = 1 << 20;
/// Bytes of a fingerprint, at most.
const FINGERPRINT: usize = 1024;
/// The last block, so that a file that was cut between two blocks is not taken for a whole one.
const END: &[u8] = b"end";

/// Why a snapshot was not written, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read or written; when it is not there, of kind `NotFound`.
    #[error("vector snapshot cannot be read or written")]
    Io(#[from] io::Error),
    /// Something else, or written by a version whose format is another one.
    #[error("not a vector snapshot of this version")]
    Foreign,
    /// Of vectors of another size.
    #[error("vector snapshot has {found} components, the index has {expected}")]
    Dimension {
        /// What the index has.
        expected: usize,
        /// What the file has.
        found: usize,
    },
    /// Made from another state of the store.
    #[error("vector snapshot is of another state of the store")]
    Stale,
    /// A fingerprint that is too long to be kept.
    #[error("fingerprint is longer than {FINGERPRINT} bytes")]
    Fingerprint,
    /// Not what was written.
    #[error("vector snapshot is damaged: {0}")]
    Damaged(&'static str),
}

impl Index {
    /// Writes all vectors and graphs to `path`, with a fingerprint of the store that they were derived from, 1 KiB at
    /// most. It blocks the thread for some seconds per million vectors; searches and writes go on meanwhile, and
    /// whether what is written meanwhile is in the file is not said: take the fingerprint before, and write nothing.
    ///
    /// The file appears whole or not at all, even if the machine stops: a temporary file beside it is written, synced
    /// and renamed.
    pub fn save(&self, path: &Path, fingerprint: &[u8]) -> Result<(), SnapshotError> {
        if fingerprint.len() > FINGERPRINT {
            return Err(SnapshotError::Fingerprint);
        }
        let temporary = temporary(path);
        let written = self.write(&temporary, fingerprint).and_then(|()| replace(&temporary, path));
        if written.is_err() {
            // Best effort: what is left is overwritten by nobody, and read by nobody.
            let _ = fs::remove_file(&temporary);
        }
        Ok(written?)
    }

    /// Reads what [`Index::save`] wrote for vectors of this dimension and with this fingerprint. It blocks the thread
    /// for some seconds per million vectors. Every error but `Io` says that the file is of no use here; after every
    /// error, fill a new index from the store.
    pub fn open(path: &Path, dimension: usize, fingerprint: &[u8]) -> Result<Self, SnapshotError> {
        let shelves = read(path, dimension, Some(fingerprint))?;
        let index = Self::restored(dimension, shelves);
        index.tend_all();
        Ok(index)
    }

    /// As [`Index::open`], but of whatever state of the store. Fill it from the store and then call
    /// [`Index::forget_unconfirmed`]: what has not changed keeps its place in the graph.
    pub fn reopen(path: &Path, dimension: usize) -> Result<Self, SnapshotError> {
        let shelves = read(path, dimension, None)?;
        shelves.values().for_each(|shelf| shelf.write().doubt());
        Ok(Self::restored(dimension, shelves))
    }

    fn write(&self, path: &Path, fingerprint: &[u8]) -> io::Result<()> {
        let shops = self.inner.shops();
        let mut file = BufWriter::with_capacity(BUFFER, File::create_new(path)?);
        file.write_all(&MAGIC)?;
        let mut writer = Writer::new(file);
        let numbers = [self.inner.dimension as u32, shops.len() as u32];
        let mut header: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        header.extend_from_slice(fingerprint);
        writer.block(&header)?;
        for (tenant, shelf) in shops {
            let view = shelf.read_recursive().view();
            shop::write(&mut writer, &tenant, &view)?;
        }
        writer.block(END)?;
        writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

fn read(path: &Path, dimension: usize, fingerprint: Option<&[u8]>) -> Result<Shelves, SnapshotError> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let mut magic = [0; MAGIC.len()];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == MAGIC => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
        _ => return Err(SnapshotError::Foreign),
    }
    let mut reader = Reader::new(file, segment::most_bytes(lines_of(dimension)));
    let header = reader.block()?;
    let mut header = Fields::of(&header);
    let found = header.u32()? as usize;
    if found != dimension {
        return Err(SnapshotError::Dimension { expected: dimension, found });
    }
    let shops = header.u32()?;
    if fingerprint.is_some_and(|fingerprint| header.rest() != fingerprint) {
        return Err(SnapshotError::Stale);
    }
    let mut shelves = Shelves::new();
    for _ in 0..shops {
        let (tenant, shelf) = shop::read(&mut reader, dimension)?;
        if shelves.insert(tenant, Arc::new(RwLock::new(shelf))).is_some() {
            return Err(SnapshotError::Damaged("a shop is there twice"));
        }
    }
    if reader.block()? != END || !reader.is_at_end()? {
        return Err(SnapshotError::Damaged("its end is missing"));
    }
    Ok(shelves)
}

/// A name beside `path` that no other writer takes.
fn temporary(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{}.part", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    name.into()
}

fn replace(temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The new name is safe when its folder is; there are systems that cannot open one, where it is safe by itself.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
