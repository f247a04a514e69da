//! The smallest world that plugins can look at.
#![expect(clippy::unwrap_used, reason = "a fake that cannot do its part fails the test")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use taja_catalog::{
    Details, Embedding, Filter, Frame, FramePlan, ImageHash, PerceptualHash, Picture, ProductId, Raster,
    Space, TenantId, VideoFile, VideoInfo,
    policy::{Content, JobHandle, Part, PolicyContext},
    port::{Embedder, KnownImage, MediaError, Neighbour, PortResult, VideoDecoder},
    retrieval::Catalogue,
};

pub(crate) struct World {
    pub(crate) embedder: Arc<FakeModel>,
    pub(crate) video: Arc<FakeVideo>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) job: Arc<FakeJob>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::slow(Duration::ZERO)
    }

    /// A world whose model takes its time.
    pub(crate) fn slow(delay: Duration) -> Self {
        let space = Space { id: "fake@1".into(), model: "fake".into(), dimension: 3 };
        Self {
            embedder: Arc::new(FakeModel { space, delay }),
            video: Arc::new(FakeVideo),
            shelf: Arc::default(),
            job: Arc::default(),
        }
    }

    pub(crate) fn with(self, tenant: &str, product: &str, color: [u8; 3], price: f64) -> Self {
        let details = Details { name: product.into(), price, ..Details::default() };
        let entry = Entry { tenant: id(tenant), product: id(product), picture: picture(color), details };
        self.shelf.entries.lock().unwrap().push(entry);
        self
    }

    pub(crate) fn context(&self, tenant: &str, filter: &str) -> PolicyContext {
        let filter = Filter::parse_text(filter).unwrap();
        PolicyContext::new(id(tenant), self.shelf.clone(), self.embedder.clone(), filter, self.job.clone())
    }
}

pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// 40 x 40 pixels of one colour.
pub(crate) fn picture(color: [u8; 3]) -> Picture {
    let raster = Raster::new(40, 40, color.repeat(1600)).unwrap();
    Picture { hash: Some(ImageHash::of(&color)), perceptual: PerceptualHash(0), raster }
}

pub(crate) fn part(modality: &str, content: Content) -> Part {
    Part { modality: modality.into(), content, weight: 2.0 }
}

pub(crate) fn text(text: &str) -> Part {
    part("text", Content::Text(text.into()))
}

pub(crate) fn image(color: [u8; 3]) -> Part {
    part("image", Content::Image(Arc::new(picture(color))))
}

pub(crate) fn video() -> Part {
    let info = VideoInfo { duration_ms: 3000, width: 40, height: 40 };
    part("video", Content::Video(Arc::new(VideoFile { path: "none".into(), info })))
}

/// Embeds a picture as its first pixel and a text as its first three bytes.
pub(crate) struct FakeModel {
    space: Space,
    delay: Duration,
}

fn vector(bytes: &[u8]) -> Embedding {
    let values = (0..3).map(|n| 1.0 + f32::from(bytes.get(n).copied().unwrap_or(0))).collect();
    Embedding::normalised(values, 3).unwrap()
}

#[async_trait]
impl Embedder for FakeModel {
    fn space(&self) -> &Space {
        &self.space
    }
    async fn images(&self, _: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        Ok(pictures.iter().map(|picture| vector(picture.raster.rgb())).collect())
    }
    async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        tokio::time::sleep(self.delay).await;
        Ok(texts.iter().map(|text| vector(text.as_bytes())).collect())
    }
}

/// A video of a red, a green and a blue second.
pub(crate) struct FakeVideo;

#[async_trait]
impl VideoDecoder for FakeVideo {
    async fn probe(&self, _: &std::path::Path) -> Result<VideoInfo, MediaError> {
        Err(MediaError::Empty)
    }
    async fn frames(&self, _: &VideoFile, _: FramePlan) -> Result<Vec<Frame>, MediaError> {
        let colors = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let frame = |(second, color): (u32, _)| Frame {
            timestamp_ms: second * 1000,
            picture: Picture { hash: None, ..picture(color) },
        };
        Ok((0..).zip(colors).map(frame).collect())
    }
}

#[derive(Default)]
pub(crate) struct FakeJob {
    pub(crate) heard: Mutex<Vec<(u8, String)>>,
}

impl JobHandle for FakeJob {
    fn progress(&self, percent: u8, message: &str) {
        self.heard.lock().unwrap().push((percent, message.into()));
    }
    fn cancelled(&self) -> bool {
        true
    }
}

struct Entry {
    tenant: TenantId,
    product: ProductId,
    picture: Picture,
    details: Details,
}

/// Products of all tenants; remembers the largest `k` it was asked for.
#[derive(Default)]
pub(crate) struct Shelf {
    entries: Mutex<Vec<Entry>>,
    pub(crate) largest_k: Mutex<usize>,
}

impl Shelf {
    fn passing<T>(&self, tenant: &TenantId, filter: &Filter, k: usize, of: impl Fn(&Entry) -> T) -> Vec<T> {
        let mut largest = self.largest_k.lock().unwrap();
        *largest = (*largest).max(k);
        let entries = self.entries.lock().unwrap();
        let passing =
            entries.iter().filter(|entry| entry.tenant == *tenant && filter.matches(&entry.details));
        passing.map(of).collect()
    }
}

#[async_trait]
impl Catalogue for Shelf {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        let near = |query: &Embedding| {
            let mut near = self.passing(tenant, filter, k, |entry| Neighbour {
                product: entry.product.clone(),
                image: entry.picture.hash.unwrap(),
                score: query.cosine(&vector(entry.picture.raster.rgb())),
            });
            near.sort_by(|a, b| b.score.total_cmp(&a.score));
            near.truncate(k);
            near
        };
        Ok(queries.iter().map(near).collect())
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let found =
            self.passing(tenant, filter, k, |entry| (entry.product.clone(), entry.details.name.clone()));
        Ok(found
            .into_iter()
            .filter(|(_, name)| text.contains(name))
            .map(|(product, _)| (product, 3.0))
            .take(k)
            .collect())
    }

    async fn matching(&self, tenant: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>> {
        Ok(self.passing(tenant, filter, k, |entry| entry.product.clone()).into_iter().take(k).collect())
    }

    async fn image_by_hash(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        let known = self.passing(tenant, &Filter::everything(), 1, |entry| KnownImage {
            product: entry.product.clone(),
            hash: entry.picture.hash.unwrap(),
            distance: 0,
        });
        Ok(known.into_iter().find(|known| known.hash == *hash))
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
