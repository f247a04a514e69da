//! A file on its way to the disk: under a name of its own until it is whole, gone when it does not get there.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use mongodb::bson::oid::ObjectId;
use sha2::{Digest, Sha256};
use taja_catalog::ImageHash;

/// Takes bytes and counts and hashes them. Every call blocks.
pub(super) struct Sink {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    length: i64,
    renamed: bool,
}

impl Sink {
    /// An empty file beside `to`.
    pub(super) fn beside(to: &Path) -> io::Result<Self> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", ObjectId::new()));
        let path = to.with_file_name(name);
        let file = File::create_new(&path)?;
        Ok(Self { file, path, hasher: Sha256::new(), length: 0, renamed: false })
    }

    /// Adds bytes.
    pub(super) fn write(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as i64;
        Ok(self)
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> i64 {
        self.length
    }

    /// The hash of the bytes so far.
    pub(super) fn content(&self) -> ImageHash {
        ImageHash::from_digest(self.hasher.clone().finalize().into())
    }

    /// Gives it its name.
    pub(super) fn finish(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.renamed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "a broken download cannot be removed");
        }
    }
}
