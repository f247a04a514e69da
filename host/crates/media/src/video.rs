//! Video files -> what their container says, and frames by plan.

use std::{ffi::OsString, path::Path, path::PathBuf};

use taja_catalog::{FramePlan, Raster, VideoInfo, port::MediaError};
use tokio::{io::AsyncReadExt, process::ChildStdout, time::Instant};

use crate::{
    MediaConfig, SNIFF_BYTES, VideoType,
    decode::check_pixels,
    ffmpeg::{Call, Ffmpeg},
    index::Index,
    plan::{self, Pass},
    scale::fitted,
    sniff,
};

/// Longest list of packets that is read: 10 minutes at 240 frames a second are a third of it.
const MAX_LIST_BYTES: u64 = 32 << 20;

/// A video that lies in a file and was recognised.
pub(crate) struct Video<'a> {
    ffmpeg: &'a Ffmpeg,
    config: &'a MediaConfig,
    path: PathBuf,
    kind: VideoType,
    deadline: Instant,
}

impl<'a> Video<'a> {
    /// Recognises a file by its content.
    pub(crate) async fn open(
        ffmpeg: &'a Ffmpeg,
        config: &'a MediaConfig,
        path: &Path,
    ) -> Result<Self, MediaError> {
        let unreadable = |error| MediaError::Failed(format!("the staged video cannot be read: {error}"));
        let path = tokio::fs::canonicalize(path).await.map_err(unreadable)?;
        let mut head = Vec::new();
        let file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
        file.take(SNIFF_BYTES as u64).read_to_end(&mut head).await.map_err(unreadable)?;
        let kind = sniff(&head).video()?;
        Ok(Self { ffmpeg, config, path, kind, deadline: Instant::now() + config.video_timeout })
    }

    /// Size (upright, square pixels) and duration. The first frame is decoded: a video that cannot be is refused here.
    pub(crate) async fn info(&self) -> Result<VideoInfo, MediaError> {
        let packets = self.packets().await?;
        let first = self.list(&["-frames:v", "1", "-c:v", "rawvideo"]).await?;
        let (width, height) = first.display_size();
        Ok(VideoInfo { duration_ms: milliseconds(packets.end).max(1), width, height })
    }

    /// Frames by plan with the times they are shown at, in milliseconds.
    pub(crate) async fn frames(
        &self,
        info: VideoInfo,
        plan: FramePlan,
    ) -> Result<Vec<(u32, Raster)>, MediaError> {
        let packets = self.packets().await?;
        let size = fitted(info.width, info.height, self.config.max_frame_side);
        let mut frames = Vec::new();
        for pass in plan::passes(plan, &packets, self.config.max_frames) {
            let found = self.pass(&pass, size).await?;
            frames.extend(found.into_iter().map(|(at, raster)| (milliseconds(packets.nearest(at)), raster)));
        }
        if frames.is_empty() {
            return Err(MediaError::Corrupt("no frame of it can be decoded".into()));
        }
        Ok(frames)
    }

    /// The list of packets, within the limits of size and duration.
    async fn packets(&self) -> Result<Index, MediaError> {
        let limit = self.config.max_duration;
        let cut = format!("{}", limit.as_secs_f64() + 1.0);
        let packets = self.list(&["-c:v", "copy", "-t", &cut]).await?;
        check_pixels(packets.width, packets.height, self.config.max_pixels)?;
        if packets.end > limit.as_secs_f64() {
            return Err(MediaError::Unsupported(format!("a video of more than {} s", limit.as_secs())));
        }
        Ok(packets)
    }

    async fn list(&self, what: &[&str]) -> Result<Index, MediaError> {
        let arguments = self.arguments("level+error", &[], what, "framecrc");
        let call = Call { input: &self.path, arguments };
        let (text, _) = self.ffmpeg.run(call, self.deadline, list_text).await?;
        Index::parse(&text)
    }

    async fn pass(&self, pass: &Pass, (width, height): (u32, u32)) -> Result<Vec<(f64, Raster)>, MediaError> {
        let scale = format!("scale={width}:{height}:flags=bicubic,format=rgb24");
        let filters = match &pass.select {
            // Scenes are compared after scaling: every frame is looked at, and a small one is looked at faster.
            Some(select) if pass.scale_first => format!("{scale},select='{select}',showinfo=checksum=0"),
            Some(select) => format!("select='{select}',{scale},showinfo=checksum=0"),
            None => format!("{scale},showinfo=checksum=0"),
        };
        let from = format!("{:.6}", pass.from);
        let mut before = vec![];
        if pass.from > 0.0 {
            before.extend(["-ss", from.as_str()]);
        }
        if pass.keys_only {
            before.extend(["-skip_frame", "nokey"]);
        }
        let count = pass.frames.to_string();
        let what = ["-vf", &filters, "-fps_mode", "passthrough", "-frames:v", &count, "-c:v", "rawvideo"];
        let arguments = self.arguments("level+info", &before, &what, "rawvideo");
        let call = Call { input: &self.path, arguments };
        let read = |stdout| rasters(stdout, width, height, pass.frames);
        let (rasters, log) = self.ffmpeg.run(call, self.deadline, read).await?;
        if log.times.len() < rasters.len() {
            let (frames, times) = (rasters.len(), log.times.len());
            return Err(MediaError::Failed(format!("ffmpeg gave {frames} frames but {times} times")));
        }
        Ok(log.times.iter().map(|time| pass.from + time).zip(rasters).collect())
    }

    /// Flags before the input confine the demuxer and the decoder, those after it say what is wanted.
    fn arguments(&self, level: &str, before: &[&str], what: &[&str], format: &str) -> Vec<OsString> {
        let max_pixels = self.config.max_pixels.to_string();
        let threads = self.config.video_threads.max(1).to_string();
        let mut all: Vec<OsString> = ["-loglevel", level, "-threads", &threads, "-max_pixels", &max_pixels]
            .iter()
            .chain(&["-f", self.kind.demuxer()])
            .chain(before)
            .map(OsString::from)
            .collect();
        let mut input = OsString::from("file:");
        input.push(&self.path);
        all.extend(["-i".into(), input]);
        // A capital V leaves out cover pictures, which are video streams to ffmpeg.
        let output = ["-map", "0:V:0", "-filter_threads", "1", "-threads", "1"];
        all.extend(output.iter().chain(what).chain(&["-f", format, "pipe:1"]).map(OsString::from));
        all
    }
}

async fn list_text(stdout: ChildStdout) -> Result<String, MediaError> {
    let mut text = String::new();
    let failed = |error| MediaError::Failed(format!("reading from ffmpeg: {error}"));
    stdout.take(MAX_LIST_BYTES).read_to_string(&mut text).await.map_err(failed)?;
    if text.len() as u64 == MAX_LIST_BYTES {
        return Err(MediaError::Unsupported("a video of so many packets".into()));
    }
    Ok(text)
}

/// Reads whole frames until the output ends or there are enough.
async fn rasters(
    mut stdout: ChildStdout,
    width: u32,
    height: u32,
    enough: u32,
) -> Result<Vec<Raster>, MediaError> {
    let mut all = Vec::new();
    for _ in 0..enough {
        let mut rgb = vec![0; width as usize * height as usize * 3];
        if stdout.read_exact(&mut rgb).await.is_err() {
            break;
        }
        all.extend(Raster::new(width, height, rgb));
    }
    Ok(all)
}

/// Saturates: the cast of a float does.
fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1000.0).round() as u32
}
