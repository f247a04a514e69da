//! Videos of every container that is taken: sizes, durations, and frames at the right times.

use std::path::{Path, PathBuf};

use rstest::rstest;
use taja_catalog::{
    Frame, FramePlan, VideoFile,
    port::{MediaError, VideoDecoder},
};
use taja_media::{Media, MediaConfig};

use crate::{
    films::{Films, number, numbers},
    tool,
};

pub(crate) fn media() -> Media {
    Media::new(MediaConfig { ffmpeg: tool::ffmpeg(), ..MediaConfig::default() }).unwrap()
}

async fn opened(media: &Media, path: &Path) -> VideoFile {
    VideoFile { path: path.to_owned(), info: media.probe(path).await.unwrap() }
}

async fn frames(path: &Path, plan: FramePlan) -> Vec<Frame> {
    let media = media();
    media.frames(&opened(&media, path).await, plan).await.unwrap()
}

/// Each frame's number and its time in milliseconds.
fn told(frames: &[Frame]) -> Vec<(u32, u32)> {
    frames.iter().map(|frame| (number(&frame.picture.raster), frame.timestamp_ms)).collect()
}

#[rstest]
#[case("a.mp4", "-c:v libx264 -bf 2 -g 20")]
#[case("a.mov", "-c:v libx264 -bf 2 -g 20")]
#[case("a.mkv", "-c:v libx264 -bf 2 -g 20")]
#[case("a.webm", "-c:v libvpx -deadline realtime -b:v 1M")]
#[case("a.avi", "-c:v mpeg4 -q:v 2")]
#[tokio::test]
async fn every_container_gives_its_size_duration_and_evenly_spaced_frames(
    #[case] name: &str,
    #[case] options: &str,
) {
    let films = Films::new();
    let path = films.numbered(name, 40, options);
    let media = media();
    let video = opened(&media, &path).await;
    assert_eq!((video.info.width, video.info.height), (128, 64));
    assert!(video.info.duration_ms.abs_diff(4_000) <= 100, "{}", video.info.duration_ms);
    let frames = media.frames(&video, FramePlan::Uniform { frames: 4 }).await.unwrap();
    assert_eq!(told(&frames), [(5, 500), (15, 1_500), (25, 2_500), (35, 3_500)]);
    assert!(frames.iter().all(|frame| frame.picture.hash.is_none()));
}

#[rstest]
#[case("long.mp4", "-c:v libx264 -bf 2 -g 25")]
#[case("long.webm", "-c:v libvpx -deadline realtime -b:v 1M -g 25")]
#[case("long.avi", "-c:v mpeg4 -q:v 2 -g 25")]
#[tokio::test]
async fn frames_sought_in_a_long_video_are_the_right_ones(#[case] name: &str, #[case] options: &str) {
    let films = Films::new();
    let path = films.numbered(name, 1_200, options);
    let frames = frames(&path, FramePlan::Uniform { frames: 3 }).await;
    assert_eq!(told(&frames), [(200, 20_000), (600, 60_000), (1_000, 100_000)]);
}

#[tokio::test]
async fn a_video_of_uneven_frames_gives_what_is_seen_at_each_time() {
    let films = Films::new();
    // Ten frames in the first second, then ten more that stand for a second each.
    let uneven = format!("{},setpts=if(lt(N\\,10)\\,N\\,(N-9)*10)", numbers(10));
    let path = films.make("uneven.mkv", &format!("{uneven} -frames:v 20 -fps_mode passthrough -c:v libx264"));
    let frames = frames(&path, FramePlan::Uniform { frames: 300 }).await;
    let expected: Vec<(u32, u32)> =
        (0..20).map(|n| (n, if n < 10 { n * 100 } else { (n - 9) * 1_000 })).collect();
    assert_eq!(told(&frames), expected);
}

#[tokio::test]
async fn a_recording_that_was_never_closed_has_its_duration_counted() {
    let films = Films::new();
    let whole = films.numbered("whole.webm", 40, "-c:v libvpx -deadline realtime -b:v 1M");
    // Through a pipe the writer cannot go back and fill the duration in.
    let piped = std::process::Command::new(tool::ffmpeg())
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(&whole)
        .args(["-c", "copy", "-f", "webm", "pipe:1"])
        .output()
        .unwrap();
    let path = films.write("live.webm", &piped.stdout);
    let video = opened(&media(), &path).await;
    assert!(video.info.duration_ms.abs_diff(4_000) <= 100, "{}", video.info.duration_ms);
    let frames = frames(&path, FramePlan::Uniform { frames: 2 }).await;
    assert_eq!(told(&frames), [(10, 1_000), (30, 3_000)]);
}

#[tokio::test]
async fn a_scene_plan_gives_the_first_frame_and_each_cut() {
    let films = Films::new();
    let scenes = ["red", "blue", "white"]
        .map(|colour| format!("-f lavfi -i color={colour}:size=320x240:rate=10:duration=2"))
        .join(" ");
    let path = films.make("cuts.mp4", &format!("{scenes} -filter_complex concat=n=3 -c:v libx264"));
    let plan = FramePlan::SceneChange { threshold: 0.3, max_frames: 10 };
    let found = frames(&path, plan).await;
    assert_eq!(found.iter().map(|frame| frame.timestamp_ms).collect::<Vec<_>>(), [0, 2_000, 4_000]);
    let plan = FramePlan::SceneChange { threshold: 0.3, max_frames: 2 };
    assert_eq!(frames(&path, plan).await.len(), 2);
}

#[tokio::test]
async fn scenes_of_a_long_video_are_found_at_their_first_key_frame() {
    let films = Films::new();
    let scenes = ["red", "blue", "white"]
        .map(|colour| format!("-f lavfi -i color={colour}:size=64x64:rate=10:duration=110"))
        .join(" ");
    let path =
        films.make("cuts.mp4", &format!("{scenes} -filter_complex concat=n=3 -c:v libx264 -g 30 -bf 2"));
    let found = frames(&path, FramePlan::SceneChange { threshold: 0.3, max_frames: 10 }).await;
    let times: Vec<u32> = found.iter().map(|frame| frame.timestamp_ms).collect();
    assert_eq!(times.len(), 3, "{times:?}");
    assert!(times[1].abs_diff(110_000) <= 3_000 && times[2].abs_diff(220_000) <= 3_000, "{times:?}");
}

/// Writes "turn by 90 degrees" into the track header, as a phone that is held upright does.
fn turned(mut mp4: Vec<u8>) -> Vec<u8> {
    let header = mp4.windows(4).position(|name| name == b"tkhd").unwrap();
    let matrix: [u32; 9] = [0, 0x1_0000, 0, 0xffff_0000, 0, 0, 0, 0, 0x4000_0000];
    let bytes: Vec<u8> = matrix.iter().flat_map(|value| value.to_be_bytes()).collect();
    mp4[header + 44..header + 80].copy_from_slice(&bytes);
    mp4
}

#[tokio::test]
async fn a_phone_held_upright_gives_upright_frames() {
    let films = Films::new();
    let flat = films.make(
        "flat.mp4",
        "-f lavfi -i color=red:size=160x80:rate=10:duration=1 -c:v libx264 \
        -vf drawbox=x=0:y=0:w=80:h=80:color=blue:t=fill",
    );
    let path = films.write("upright.mp4", &turned(std::fs::read(flat).unwrap()));
    let media = media();
    let video = opened(&media, &path).await;
    assert_eq!((video.info.width, video.info.height), (80, 160));
    let frames = media.frames(&video, FramePlan::Uniform { frames: 1 }).await.unwrap();
    let raster = &frames[0].picture.raster;
    assert_eq!((raster.width(), raster.height()), (80, 160));
    // Turned clockwise, the left half becomes the upper one.
    let top = &raster.rgb()[20 * 80 * 3..][..3];
    assert!(top[2] > 200 && top[0] < 60, "{top:?}");
}

#[tokio::test]
async fn pixels_that_are_not_square_are_made_so() {
    let films = Films::new();
    let path = films
        .make("pal.mp4", "-f lavfi -i color=red:size=180x144:rate=10:duration=1,setsar=16/15 -c:v libx264");
    let info = media().probe(&path).await.unwrap();
    assert_eq!((info.width, info.height), (192, 144));
}

#[tokio::test]
async fn frames_are_no_larger_than_asked() {
    let films = Films::new();
    let path = films.make("large.mp4", "-f lavfi -i testsrc2=size=1280x720:rate=10:duration=1 -c:v libx264");
    let frames = frames(&path, FramePlan::Uniform { frames: 1 }).await;
    assert_eq!((frames[0].picture.raster.width(), frames[0].picture.raster.height()), (640, 360));
}

#[tokio::test]
async fn limits_of_size_and_duration_are_kept_before_decoding() {
    let films = Films::new();
    let path = films.numbered("a.mp4", 40, "-c:v libx264");
    let with = |change: fn(&mut MediaConfig)| {
        let mut config = MediaConfig { ffmpeg: tool::ffmpeg(), ..MediaConfig::default() };
        change(&mut config);
        Media::new(config).unwrap()
    };
    let small = with(|config| config.max_pixels = 128 * 64 - 1);
    let refused = small.probe(&path).await.unwrap_err();
    assert!(matches!(refused, MediaError::TooLarge { .. } | MediaError::Corrupt(_)), "{refused}");
    let short = with(|config| config.max_duration = std::time::Duration::from_secs(3));
    assert!(matches!(short.probe(&path).await, Err(MediaError::Unsupported(_))));
}

#[tokio::test]
async fn a_missing_ffmpeg_says_what_to_do() {
    let films = Films::new();
    let path = films.numbered("a.mp4", 2, "-c:v libx264");
    let ffmpeg = PathBuf::from("/nowhere/ffmpeg");
    let media = Media::new(MediaConfig { ffmpeg, ..MediaConfig::default() }).unwrap();
    let error = media.probe(&path).await.unwrap_err();
    assert!(matches!(&error, MediaError::Failed(text) if text.contains("TAJA_FFMPEG")), "{error}");
}
