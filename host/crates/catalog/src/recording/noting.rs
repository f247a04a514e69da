//! Ports that take notes for a tape.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

use super::{Answered, Asked, host::HostAnswer, tape::Notes};
use crate::{
    embedding::{Embedding, Space},
    filter::Filter,
    id::{ArgumentDigest, ImageHash, ProductId, TenantId},
    picture::{Frame, FramePlan, PerceptualHash, Picture, VideoFile, VideoInfo},
    port::{Embedder, KnownImage, MediaError, Neighbour, PortResult, VideoDecoder},
    retrieval::Catalogue,
};

/// Asks the real one and takes a note.
pub(super) struct Noting<T: ?Sized> {
    pub(super) notes: Arc<Notes>,
    pub(super) real: Arc<T>,
}

#[async_trait]
impl Catalogue for Noting<dyn Catalogue> {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        let answer = self.real.nearest(tenant, queries, filter, k).await;
        self.notes.port(Asked::nearest(queries, filter, k), answer)
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let answer = self.real.keyword(tenant, text, filter, k).await;
        self.notes.port(Asked::Keyword { text: text.into(), filter: filter.clone(), k }, answer)
    }

    async fn matching(&self, tenant: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>> {
        let answer = self.real.matching(tenant, filter, k).await;
        self.notes.port(Asked::Matching { filter: filter.clone(), k }, answer)
    }

    async fn image_by_hash(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        let answer = self.real.image_by_hash(tenant, hash).await;
        self.notes.port(Asked::ImageByHash { hash: *hash }, answer)
    }

    async fn near_duplicates(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        k: usize,
    ) -> PortResult<Vec<KnownImage>> {
        let answer = self.real.near_duplicates(tenant, look, max_distance, k).await;
        self.notes.port(Asked::NearDuplicates { look, max_distance, k }, answer)
    }
}

#[async_trait]
impl Embedder for Noting<dyn Embedder> {
    fn space(&self) -> &Space {
        self.real.space()
    }

    async fn images(&self, tenant: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        let answer = self.real.images(tenant, pictures).await;
        self.notes.port(Asked::images(pictures), answer)
    }

    async fn texts(&self, tenant: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        let answer = self.real.texts(tenant, texts).await;
        self.notes.port(Asked::Texts { texts: texts.to_vec() }, answer)
    }
}

#[async_trait]
impl VideoDecoder for Noting<dyn VideoDecoder> {
    /// Not noted: a policy is given videos that were probed before.
    async fn probe(&self, path: &Path) -> Result<VideoInfo, MediaError> {
        self.real.probe(path).await
    }

    async fn frames(&self, video: &VideoFile, plan: FramePlan) -> Result<Vec<Frame>, MediaError> {
        let answer = self.real.frames(video, plan).await;
        if let Some(asked) = Asked::frames(&self.notes.videos, video, plan) {
            let failed = |error: &MediaError| Answered::Unreadable(error.clone());
            self.notes.note(asked, answer.as_ref().map_or_else(failed, HostAnswer::pack));
        }
        answer
    }
}

impl Asked {
    pub(super) fn nearest(queries: &[Embedding], filter: &Filter, k: usize) -> Self {
        let queries = queries.iter().map(ArgumentDigest::of_vector).collect();
        Self::Nearest { queries, filter: filter.clone(), k }
    }

    pub(super) fn images(pictures: &[Arc<Picture>]) -> Self {
        let digest = |picture: &Arc<Picture>| ArgumentDigest::of_picture(&picture.raster);
        Self::Images { pictures: pictures.iter().map(digest).collect() }
    }

    /// None when the video is not one of the input's.
    pub(super) fn frames(videos: &[PathBuf], video: &VideoFile, plan: FramePlan) -> Option<Self> {
        let place = videos.iter().position(|path| *path == video.path)?;
        Some(Self::Frames { video: place, plan })
    }
}
