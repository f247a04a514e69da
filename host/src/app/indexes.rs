//! The vector indexes of this process: of the model that serves, of one that is about to, and of one whose last jobs go on.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use taja_catalog::{ImageHash, PortResult, TenantId, edit::Indexes, port::VectorIndex};

/// Pictures of a shop.
type Pictures = (TenantId, Vec<ImageHash>);

/// All indexes that somebody holds.
#[derive(Default)]
pub(super) struct LiveIndexes {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    indexes: Vec<Weak<dyn VectorIndex>>,
    /// How many are being filled.
    filling: usize,
    /// Pictures that went meanwhile: one that is being filled may have read them before.
    gone: Vec<Pictures>,
}

/// An index that is being filled.
pub(super) struct Filling<'a>(&'a LiveIndexes);

impl LiveIndexes {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it is noted which pictures go.
    pub(super) fn fill(&self) -> Filling<'_> {
        self.with(|inner| inner.filling += 1);
        Filling(self)
    }
}

impl Filling<'_> {
    /// The index is filled: it forgets what went meanwhile, and is told of whatever goes later.
    pub(super) async fn done(self, index: &Arc<dyn VectorIndex>) -> PortResult<()> {
        let gone = self.0.with(|inner| {
            inner.indexes.push(Arc::downgrade(index));
            inner.gone.clone()
        });
        for (tenant, images) in gone {
            index.remove_images(&tenant, &images).await?;
        }
        Ok(())
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.0.with(|inner| {
            inner.filling -= 1;
            if inner.filling == 0 {
                inner.gone.clear();
            }
        });
    }
}

#[async_trait]
impl Indexes for LiveIndexes {
    async fn forget(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()> {
        let indexes = self.with(|inner| {
            if inner.filling > 0 {
                inner.gone.push((tenant.clone(), images.to_vec()));
            }
            inner.indexes.retain(|index| index.strong_count() > 0);
            inner.indexes.iter().filter_map(Weak::upgrade).collect::<Vec<_>>()
        });
        for index in indexes {
            index.remove_images(tenant, images).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use taja_catalog::{Embedding, fakes::InMemoryIndex, port::VectorRow};

    use super::*;

    fn index() -> Arc<dyn VectorIndex> {
        Arc::new(InMemoryIndex::new(2))
    }

    fn shop() -> TenantId {
        "shop".parse().unwrap()
    }

    async fn insert(index: &Arc<dyn VectorIndex>, names: &[&str]) {
        let row = |name: &&str| VectorRow {
            tenant: shop(),
            product: "p".parse().unwrap(),
            image: ImageHash::of(name.as_bytes()),
            embedding: Embedding::normalised(vec![1.0, 0.0], 2).unwrap(),
        };
        index.insert(names.iter().map(row).collect()).await.unwrap();
    }

    #[tokio::test]
    async fn what_goes_while_an_index_is_filled_is_not_in_it() {
        let indexes = LiveIndexes::default();
        let (serving, next) = (index(), index());
        indexes.fill().done(&serving).await.unwrap();
        insert(&serving, &["a", "b"]).await;
        let filling = indexes.fill();
        indexes.forget(&shop(), &[ImageHash::of(b"a")]).await.unwrap();
        assert_eq!(serving.len(), 1);
        // It was read before it went.
        insert(&next, &["a", "b", "c"]).await;
        filling.done(&next).await.unwrap();
        assert_eq!(next.len(), 2);
        indexes.forget(&shop(), &[ImageHash::of(b"b")]).await.unwrap();
        assert_eq!((serving.len(), next.len()), (0, 1));
        assert!(indexes.with(|inner| inner.gone.is_empty()), "nobody asks for them any more");
    }

    #[tokio::test]
    async fn an_index_that_nobody_holds_is_forgotten() {
        let indexes = LiveIndexes::default();
        let serving = index();
        indexes.fill().done(&serving).await.unwrap();
        drop(serving);
        indexes.forget(&shop(), &[]).await.unwrap();
        assert!(indexes.with(|inner| inner.indexes.is_empty()));
    }
}
