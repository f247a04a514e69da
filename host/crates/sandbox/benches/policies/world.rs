//! A world that a ranking never looks at.

use std::sync::Arc;

use async_trait::async_trait;
use taja_catalog::{
    Embedding, Filter, Frame, FramePlan, ImageHash, PerceptualHash, Picture, ProductId, Space, TenantId,
    VideoFile, VideoInfo,
    policy::{JobHandle, PolicyContext},
    port::{Embedder, KnownImage, MediaError, Neighbour, PortResult, VideoDecoder},
    retrieval::Catalogue,
};

/// It holds nothing and answers nothing.
pub struct Nothing(Space);

impl Default for Nothing {
    fn default() -> Self {
        Self(Space { id: "none".into(), model: "none".into(), dimension: 1 })
    }
}

impl Nothing {
    /// A shop in it.
    pub fn context(nothing: &Arc<Self>, tenant: &TenantId) -> PolicyContext {
        PolicyContext::new(
            tenant.clone(),
            nothing.clone(),
            nothing.clone(),
            Filter::everything(),
            nothing.clone(),
        )
    }
}

#[async_trait]
impl Embedder for Nothing {
    fn space(&self) -> &Space {
        &self.0
    }
    async fn images(&self, _: &TenantId, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        Ok(Vec::new())
    }
    async fn texts(&self, _: &TenantId, _: &[String]) -> PortResult<Vec<Embedding>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl VideoDecoder for Nothing {
    async fn probe(&self, _: &std::path::Path) -> Result<VideoInfo, MediaError> {
        Err(MediaError::Empty)
    }
    async fn frames(&self, _: &VideoFile, _: FramePlan) -> Result<Vec<Frame>, MediaError> {
        Err(MediaError::Empty)
    }
}

impl JobHandle for Nothing {
    fn progress(&self, _: u8, _: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}

#[async_trait]
impl Catalogue for Nothing {
    async fn nearest(
        &self,
        _: &TenantId,
        _: &[Embedding],
        _: &Filter,
        _: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        Ok(Vec::new())
    }
    async fn keyword(
        &self,
        _: &TenantId,
        _: &str,
        _: &Filter,
        _: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        Ok(Vec::new())
    }
    async fn matching(&self, _: &TenantId, _: &Filter, _: usize) -> PortResult<Vec<ProductId>> {
        Ok(Vec::new())
    }
    async fn image_by_hash(&self, _: &TenantId, _: &ImageHash) -> PortResult<Option<KnownImage>> {
        Ok(None)
    }
    async fn near_duplicates(
        &self,
        _: &TenantId,
        _: PerceptualHash,
        _: u32,
        _: usize,
    ) -> PortResult<Vec<KnownImage>> {
        Ok(Vec::new())
    }
}
