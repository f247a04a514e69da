//! Giving every picture of every shop a vector of another model.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{CatalogueImage, ModelStore};
use crate::{
    failure::Failure,
    id::{ImageHash, TenantId},
    policy::JobHandle,
    port::{Embedder, ImageDecoder, ImageHost, Store, VectorIndex, VectorRow},
    retrieval,
};

/// Pictures whose vectors are written together. What an interruption costs.
const PAGE: usize = 64;
/// Pictures that are fetched, decoded and embedded at once: enough for the model to fill its batches.
const AT_ONCE: usize = 8;

/// A picture that cannot be embedded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Whose and which.
    pub picture: String,
    /// Why.
    pub reason: String,
}

/// What a walk did.
#[derive(Debug, Default)]
pub struct Embedded {
    /// Vectors that were added.
    pub added: u64,
    /// Pictures that stay without one.
    pub lacking: Vec<Lacking>,
}

/// What walks through all pictures that have no vector of a model, and gives them one: each is fetched from where shoppers
/// see it, since nothing of an upload is kept but that. Interrupted, it goes on where it was, because what has a vector is
/// not met again.
pub struct Embed {
    /// What has vectors and what has not.
    pub store: Arc<dyn ModelStore>,
    /// What is still there.
    pub catalogue: Arc<dyn Store>,
    /// Where the pictures are.
    pub images: Arc<dyn ImageHost>,
    /// What decodes them.
    pub decoder: Arc<dyn ImageDecoder>,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The index of its vectors.
    pub index: Arc<dyn VectorIndex>,
}

/// How far a walk is.
struct Pace<'a> {
    images: u64,
    percent: (u8, u8),
    done: AtomicU64,
    job: &'a dyn JobHandle,
}

impl Pace<'_> {
    fn step(&self) -> Result<(), Failure> {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let (from, to) = self.percent;
        let share = done.min(self.images) * u64::from(to - from) / self.images.max(1);
        self.job.progress(
            from + share as u8,
            &format!("embedding pictures: {done} of {}", self.images.max(done)),
        );
        if self.job.cancelled() { Err(Failure::cancelled()) } else { Ok(()) }
    }
}

impl Embed {
    /// Walks until nothing is found that could be embedded. `images` is how many pictures there are to embed, for the
    /// progress, which goes from one of the percentages to the other.
    pub async fn run(
        &self,
        images: u64,
        percent: (u8, u8),
        job: &dyn JobHandle,
    ) -> Result<Embedded, Failure> {
        let pace = Pace { images, percent, done: AtomicU64::new(0), job };
        let (mut embedded, mut passed) = (Embedded::default(), HashSet::new());
        loop {
            let (before, mut after) = (embedded.added, None);
            loop {
                let page = self.store.images_without(self.embedder.space(), after.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let mut page: Vec<_> = page.into_iter().map(|(_, image)| image).collect();
                page.retain(|image| !passed.contains(&key(image)));
                self.embed_page(page, &pace, &mut passed, &mut embedded).await?;
            }
            // What was added while it walked may lie behind it.
            if embedded.added == before {
                return Ok(embedded);
            }
        }
    }

    async fn embed_page(
        &self,
        page: Vec<CatalogueImage>,
        pace: &Pace<'_>,
        passed: &mut HashSet<(TenantId, ImageHash)>,
        embedded: &mut Embedded,
    ) -> Result<(), Failure> {
        let vectors = stream::iter(page).map(async |image| {
            let vector = self.embed(&image).await?;
            pace.step()?;
            Ok::<_, Failure>((image, vector))
        });
        let vectors: Vec<_> = vectors.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut rows = Vec::with_capacity(vectors.len());
        for (image, vector) in vectors {
            match vector {
                Ok(row) => rows.push(row),
                Err(reason) => {
                    tracing::warn!(%image, reason, "a picture cannot be embedded");
                    passed.insert(key(&image));
                    embedded.lacking.push(Lacking { picture: image.to_string(), reason });
                }
            }
        }
        embedded.added += rows.len() as u64;
        self.store.add_vectors(self.embedder.space(), rows.clone()).await?;
        retrieval::add(self.catalogue.as_ref(), self.index.as_ref(), rows).await?;
        // What was under way when a worker was lost are the first that have no vector.
        if embedded.added > PAGE as u64 {
            pace.job.got_on();
        }
        Ok(())
    }

    /// The vector of a picture, or why it can have none. What may work later fails the walk.
    async fn embed(&self, of: &CatalogueImage) -> Result<Result<VectorRow, String>, Failure> {
        let CatalogueImage { tenant, product, image } = of;
        let Some(bytes) = self.images.fetch(tenant, image).await? else {
            return Ok(Err("it is not where it was hosted".into()));
        };
        let mut picture = match self.decoder.decode(bytes).await {
            Ok(picture) => picture,
            Err(error) => {
                let reason = error.to_string();
                let failure = Failure::from(error);
                return if failure.retryable { Err(failure) } else { Ok(Err(reason)) };
            }
        };
        // It is of other bytes than the upload, which nobody will ask for.
        picture.hash = None;
        let vectors = self.embedder.images(tenant, &[Arc::new(picture)]).await?;
        let Some(embedding) = vectors.into_iter().next() else {
            return Err(Failure::host("model_broken", "the model gave no vector for a picture"));
        };
        let (tenant, product) = (tenant.clone(), product.clone());
        Ok(Ok(VectorRow { tenant, product, image: image.hash, embedding }))
    }
}

fn key(image: &CatalogueImage) -> (TenantId, ImageHash) {
    (image.tenant.clone(), image.image.hash)
}
