//! A host that is played from a recording: offline, and with the same answers.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{Answered, Asked, HostCall, RecordedCall, host::HostAnswer};
use crate::{
    embedding::{Embedding, Space},
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    picture::{Frame, FramePlan, PerceptualHash, Picture, VideoFile, VideoInfo},
    policy::{JobHandle, Unwatched},
    port::{Embedder, KnownImage, MediaError, Neighbour, PortError, PortErrorKind, PortResult, VideoDecoder},
    retrieval::Catalogue,
};

/// Answers what one recorded call asked. Calls are found by what is asked, whatever their order, and one that is
/// asked more often than it was recorded gets its last answer again.
#[derive(Debug)]
pub struct Replay {
    host: Vec<HostCall>,
    space: Space,
    videos: Vec<PathBuf>,
    played: Mutex<Played>,
}

#[derive(Debug)]
struct Played {
    /// Which host calls were.
    used: Vec<bool>,
    missing: Vec<String>,
}

impl Replay {
    /// The host of a recorded call.
    pub fn of(call: &RecordedCall) -> Arc<Self> {
        let unknown = || Space { id: "unrecorded".into(), model: "unrecorded".into(), dimension: 0 };
        Arc::new(Self {
            space: call.space.clone().unwrap_or_else(unknown),
            videos: call.input.videos(),
            played: Mutex::new(Played { used: vec![false; call.host.len()], missing: Vec::new() }),
            host: call.host.clone(),
        })
    }

    /// What was asked and not recorded, in words, in the order of asking.
    pub fn missing(&self) -> Vec<String> {
        self.played().missing.clone()
    }

    /// A job that nobody watches and nobody cancels.
    pub fn job(&self) -> Arc<dyn JobHandle> {
        Arc::new(Unwatched)
    }

    fn played(&self) -> MutexGuard<'_, Played> {
        self.played.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, asked: &Asked) -> Option<&Answered> {
        let mut played = self.played();
        let equal = || (0..self.host.len()).filter(|place| self.host[*place].asked == *asked);
        let place = equal().find(|place| !played.used[*place]).or_else(|| equal().last())?;
        played.used[place] = true;
        Some(&self.host[place].answered)
    }

    fn miss(&self, what: String) -> String {
        let message = format!("the recording holds no answer to this call: {what}");
        self.played().missing.push(what);
        message
    }

    fn port<T: HostAnswer>(&self, asked: &Asked) -> PortResult<T> {
        let answered = self.find(asked);
        if let Some(Answered::Refused(refused)) = answered {
            return Err(refused.into());
        }
        answered.and_then(T::unpack).ok_or_else(|| {
            PortError::new("recording", PortErrorKind::Unavailable, self.miss(asked.to_string()))
        })
    }
}

#[async_trait]
impl Catalogue for Replay {
    async fn nearest(
        &self,
        _: &TenantId,
        queries: &[Embedding],
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.port(&Asked::nearest(queries, filter, k))
    }

    async fn keyword(
        &self,
        _: &TenantId,
        text: &str,
        filter: &Filter,
        k: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        self.port(&Asked::Keyword { text: text.into(), filter: filter.clone(), k })
    }

    async fn matching(&self, _: &TenantId, filter: &Filter, k: usize) -> PortResult<Vec<ProductId>> {
        self.port(&Asked::Matching { filter: filter.clone(), k })
    }

    async fn image_by_hash(&self, _: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        self.port(&Asked::ImageByHash { hash: *hash })
    }

    async fn near_duplicates(
        &self,
        _: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        k: usize,
    ) -> PortResult<Vec<KnownImage>> {
        self.port(&Asked::NearDuplicates { look, max_distance, k })
    }
}

#[async_trait]
impl Embedder for Replay {
    fn space(&self) -> &Space {
        &self.space
    }

    async fn images(&self, _: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        self.port(&Asked::images(pictures))
    }

    async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        self.port(&Asked::Texts { texts: texts.to_vec() })
    }
}

#[async_trait]
impl VideoDecoder for Replay {
    async fn probe(&self, path: &Path) -> Result<VideoInfo, MediaError> {
        Err(MediaError::Failed(self.miss(format!("probe of {}", path.display()))))
    }

    async fn frames(&self, video: &VideoFile, plan: FramePlan) -> Result<Vec<Frame>, MediaError> {
        let asked = Asked::frames(&self.videos, video, plan);
        let answered = asked.as_ref().and_then(|asked| self.find(asked));
        if let Some(Answered::Unreadable(error)) = answered {
            return Err(error.clone());
        }
        let what = || {
            asked
                .as_ref()
                .map_or_else(|| "frames of a video that is not the input's".into(), Asked::to_string)
        };
        answered.and_then(HostAnswer::unpack).ok_or_else(|| MediaError::Failed(self.miss(what())))
    }
}
