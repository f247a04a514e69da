//! The embedded vector index between two starts: what took long to make, the graphs of large shops, is kept in a file.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use taja_catalog::{Space, port::Store, retrieval};
use taja_vectors::{Index, SnapshotError};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How often graphs that changed are written while the service runs, so that a crash costs no more of them than that.
const SAVE_EVERY: Duration = Duration::from_secs(900);

/// An index in memory, and its file.
#[derive(Clone)]
pub(super) struct VectorFile {
    pub(super) index: Index,
    path: Arc<Path>,
}

impl VectorFile {
    /// Takes the index of a space back from its file in `folder`, and brings it up to date with the store. A file that is of
    /// no use is as good as none.
    pub(super) async fn open(folder: PathBuf, space: &Space, store: &dyn Store) -> Result<Self> {
        tokio::fs::create_dir_all(&folder).await.context("folder of vectors")?;
        // The id of a space is a name, `@` and a digest; a name of a model is free to hold a slash.
        let path: Arc<Path> = folder.join(format!("{}.vectors", space.id.replace(['/', '\\'], "-"))).into();
        let (file, dimension) = (path.clone(), space.dimension);
        let kept =
            spawn_blocking(move || Index::reopen(&file, dimension)).await.context("reading panicked")?;
        let index = kept.unwrap_or_else(|error| {
            match error {
                SnapshotError::Io(error) if error.kind() == ErrorKind::NotFound => {}
                error => tracing::warn!(%error, path = %path.display(), "kept vectors are not used"),
            }
            Index::new(dimension)
        });
        retrieval::fill(store, &index, space).await?;
        let filled = index.clone();
        spawn_blocking(move || filled.forget_unconfirmed()).await.context("indexing panicked")?;
        Ok(Self { index, path })
    }

    /// Writes what changed now and then, until told to stop.
    pub(super) async fn keep(self, stop: CancellationToken) -> Result<()> {
        let mut kept = self.index.changes();
        while stop.run_until_cancelled(tokio::time::sleep(SAVE_EVERY)).await.is_some() {
            let changes = self.index.changes();
            if changes != kept {
                self.save().await;
                kept = changes;
            }
        }
        Ok(())
    }

    /// Writes the index, if a graph is in it: rows alone are read from the store as fast as from a file.
    pub(super) async fn save(&self) {
        if !self.index.has_graph() {
            return;
        }
        let (index, path) = (self.index.clone(), self.path.clone());
        match spawn_blocking(move || index.save(&path, b"")).await {
            Ok(Ok(())) => tracing::info!(path = %self.path.display(), "vectors are kept for the next start"),
            Ok(Err(error)) => tracing::warn!(%error, "vectors are not kept for the next start"),
            Err(error) => tracing::warn!(%error, "keeping vectors panicked"),
        }
    }
}
