//! The embedded vector index between two starts: what took long to make, the graphs of large shops, is kept in a file.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use taja_catalog::{Space, port::Store, retrieval};
use taja_vectors::{Index, SnapshotError};
use tokio::task::spawn_blocking;

/// An index in memory, and its file.
#[derive(Clone)]
pub(super) struct VectorFile {
    pub(super) index: Index,
    path: Arc<Path>,
    /// The changes that the file has.
    kept: Arc<AtomicU64>,
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
        let kept = Arc::new(AtomicU64::new(index.changes()));
        Ok(Self { index, path, kept })
    }

    /// Writes the index if it changed since this was last asked for.
    pub(super) async fn save_changes(&self) {
        let changes = self.index.changes();
        if self.kept.swap(changes, Ordering::Relaxed) != changes {
            self.save().await;
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use taja_catalog::{
        Embedding, ImageHash, PerceptualHash, Product, StoredImage, TenantId,
        fakes::InMemoryStore,
        port::{Change, NewImage, VectorIndex, VectorRow},
    };

    use super::*;

    fn space() -> Space {
        Space { id: "maker/model@0".into(), model: "model".into(), dimension: 2 }
    }

    fn shop() -> TenantId {
        "shop".parse().unwrap()
    }

    fn vector(number: u8) -> Embedding {
        Embedding::normalised(vec![1.0, f32::from(number)], 2).unwrap()
    }

    async fn store(products: u8) -> InMemoryStore {
        let store = InMemoryStore::default();
        for number in 0..products {
            let image = StoredImage {
                hash: ImageHash::of(&[number]),
                perceptual: PerceptualHash(0),
                url: String::new(),
                width: 1,
                height: 1,
            };
            let now = jiff::Timestamp::now();
            let product = Product {
                tenant: shop(),
                id: format!("p{number}").parse().unwrap(),
                details: serde_json::from_value(json!({ "name": "p" })).unwrap(),
                images: vec![image.clone()],
                created_at: now,
                updated_at: now,
                offers: Vec::new(),
                revision: 1,
            };
            let images = vec![NewImage { image, embedding: vector(number) }];
            let change = Change::Create { product: Box::new(product), images, index_text: String::new() };
            let effect = format!("job-{number}").parse().unwrap();
            store.commit(&shop(), &effect, &space(), change, &Value::Null).await.unwrap();
        }
        store
    }

    async fn names(file: &VectorFile) -> Vec<String> {
        let found = file.index.nearest(&shop(), &[vector(0)], None, 99).await.unwrap().remove(0);
        found.into_iter().map(|near| near.product.to_string()).collect()
    }

    #[tokio::test]
    async fn a_kept_graph_is_taken_back_and_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let file = VectorFile::open(folder.path().into(), &space(), &store(0).await).await.unwrap();
        file.save().await;
        assert!(!file.path.exists(), "no shop has a graph");

        let old = Index::walking_from(2, 1);
        let row = |number: u8| {
            let (product, image) = (format!("p{number}").parse().unwrap(), ImageHash::of(&[number]));
            VectorRow { tenant: shop(), product, image, embedding: vector(number) }
        };
        // 7 is in no store any more.
        old.insert([1, 2, 7].map(row).into()).await.unwrap();
        let grown = old.clone();
        spawn_blocking(move || grown.settle()).await.unwrap();
        VectorFile { index: old, ..file.clone() }.save().await;
        assert!(file.path.exists());

        let again = VectorFile::open(folder.path().into(), &space(), &store(4).await).await.unwrap();
        assert_eq!(names(&again).await, ["p0", "p1", "p2", "p3"]);
    }

    #[tokio::test]
    async fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = VectorFile::open(folder.path().into(), &space(), &store(0).await).await.unwrap();
        std::fs::write(&file.path, b"TAJAVEC\x01 and nothing more").unwrap();
        let again = VectorFile::open(folder.path().into(), &space(), &store(2).await).await.unwrap();
        assert_eq!(names(&again).await, ["p0", "p1"]);
    }
}
