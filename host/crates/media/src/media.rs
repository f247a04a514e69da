//! [`Media`], which is both decoders of the catalogue.

use std::{path::Path, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use taja_catalog::{
    Frame, FramePlan, PerceptualHash, Picture, Raster, Region, VideoFile, VideoInfo,
    port::{ImageDecoder, MediaError, VideoDecoder},
};

use crate::{MediaConfig, confine::Allowance, decode, ffmpeg::Ffmpeg, pool::Pool, video::Video};

/// Decodes images and videos within the limits of a [`MediaConfig`].
pub struct Media {
    config: MediaConfig,
    pool: Pool,
    ffmpeg: Ffmpeg,
}

impl Media {
    /// Starts the threads. Whether there is an ffmpeg shows only when a video comes: images do without.
    ///
    /// # Errors
    /// `Failed` when threads cannot be started.
    pub fn new(config: MediaConfig) -> Result<Self, MediaError> {
        let pool = Pool::new(config.threads, config.queue, config.image_timeout)?;
        let allowance = Allowance {
            cpu: config.video_timeout * u32::try_from(config.video_threads.max(1)).unwrap_or(u32::MAX),
            memory_bytes: config.video_memory_bytes,
        };
        let ffmpeg = Ffmpeg::new(&config.ffmpeg, config.video_processes, allowance);
        Ok(Self { config, pool, ffmpeg })
    }

    /// Runs work on pixels (scaling, encoding) on the threads that decode images.
    ///
    /// # Errors
    /// `Failed` when the queue is full or the deadline of images passes.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, MediaError> {
        self.pool.run(work).await
    }

    async fn decode_frames(&self, video: &VideoFile, plan: FramePlan) -> Result<Vec<Frame>, MediaError> {
        let opened = Video::open(&self.ffmpeg, &self.config, &video.path).await?;
        let frames = opened.frames(video.info, plan).await?;
        self.pool.run(move || frames.into_iter().map(frame).collect()).await
    }
}

fn frame((timestamp_ms, raster): (u32, Raster)) -> Frame {
    Frame { timestamp_ms, picture: Picture { hash: None, perceptual: PerceptualHash::of(&raster), raster } }
}

#[async_trait]
impl ImageDecoder for Media {
    async fn decode(&self, bytes: Bytes) -> Result<Picture, MediaError> {
        let max_pixels = self.config.max_pixels;
        let work = async { self.pool.run(move || decode::picture(&bytes, max_pixels)).await? };
        measured("image", work).await
    }

    async fn cut(&self, picture: Picture, region: Region) -> Result<Picture, MediaError> {
        self.pool.run(move || picture.cut(&region)).await
    }
}

#[async_trait]
impl VideoDecoder for Media {
    async fn probe(&self, path: &Path) -> Result<VideoInfo, MediaError> {
        measured("video_probe", async { Video::open(&self.ffmpeg, &self.config, path).await?.info().await })
            .await
    }

    async fn frames(&self, video: &VideoFile, plan: FramePlan) -> Result<Vec<Frame>, MediaError> {
        measured("video_frames", self.decode_frames(video, plan)).await
    }
}

async fn measured<T>(
    kind: &'static str,
    work: impl Future<Output = Result<T, MediaError>>,
) -> Result<T, MediaError> {
    let start = Instant::now();
    let result = work.await;
    metrics::histogram!("taja_media_decode_seconds", "kind" => kind).record(start.elapsed());
    if let Err(error) = &result {
        metrics::counter!("taja_media_failures_total", "kind" => kind, "code" => error.code()).increment(1);
    }
    result
}
