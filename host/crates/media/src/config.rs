//! The limits and means of the crate.

use std::{path::PathBuf, time::Duration};

/// How much one file may take, and of what. The defaults are for a small server.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// The ffmpeg program (5.1 or newer). A bare name is looked for on `PATH` when [`Media`](crate::Media) is made.
    pub ffmpeg: PathBuf,
    /// Most pixels of an image or of a video frame, checked before anything is decoded. A decode needs up to 11 bytes of
    /// memory for each, on every thread.
    pub max_pixels: u64,
    /// Processor threads that decode and scale images.
    pub threads: usize,
    /// Images that may wait for a thread; more are turned away.
    pub queue: usize,
    /// Longest wait for a decoded image, the queue included.
    pub image_timeout: Duration,
    /// Longest time for one call with a video, the wait for a process included.
    pub video_timeout: Duration,
    /// Longest video.
    pub max_duration: Duration,
    /// Most frames one call gives.
    pub max_frames: u32,
    /// Longer side of the frames given, pixels. CLIP models look at 224 to 336; three frames of 640 take 2.5 MiB.
    pub max_frame_side: u32,
    /// ffmpeg processes at a time.
    pub video_processes: usize,
    /// Decoding threads of one ffmpeg process.
    pub video_threads: usize,
    /// Address space of one ffmpeg process, bytes.
    pub video_memory_bytes: u64,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            ffmpeg: PathBuf::from("ffmpeg"),
            max_pixels: 50_000_000,
            threads: 2,
            queue: 64,
            image_timeout: Duration::from_secs(30),
            video_timeout: Duration::from_secs(60),
            max_duration: Duration::from_secs(600),
            max_frames: 300,
            max_frame_side: 640,
            video_processes: 2,
            video_threads: 2,
            video_memory_bytes: 4 << 30,
        }
    }
}
