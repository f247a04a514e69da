//! Videos made to break a decoder, or to make it read what is not theirs.

use proptest::prelude::*;
use rstest::rstest;
use taja_catalog::{
    FramePlan, VideoFile,
    port::{MediaError, VideoDecoder},
};

use crate::{films::Films, videos::media};

#[rstest]
#[case("empty.mp4", b"", "media_empty")]
#[case("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "media_type_unsupported")]
#[case("list.mkv", b"ffconcat version 1.0\nfile /etc/passwd\n", "media_type_unsupported")]
#[case("list.mov", b"file '/etc/passwd'\n", "media_type_unsupported")]
#[case("list.avi", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 1 RTP/AVP 96\r\n", "media_type_unsupported")]
#[case("list.webm", b"<?xml version='1.0'?><MPD/>", "media_type_unsupported")]
#[case("sound.mp4", b"\0\0\0\x10ftypM4A \0\0\0\0", "media_type_unsupported")]
#[case("picture.mp4", b"GIF89a\x01\0\x01\0", "media_type_unsupported")]
#[case("stub.mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isommp42", "media_undecodable")]
#[case("stub.mkv", b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska", "media_undecodable")]
#[case("stub.avi", b"RIFF\x10\0\0\0AVI LIST\0\0\0\0", "media_undecodable")]
#[case(
    "list-inside.mp4",
    b"\0\0\0\x18ftypisom\0\0\x02\0isommp42#EXTM3U\nfile:///etc/passwd",
    "media_undecodable"
)]
#[tokio::test]
async fn what_is_no_video_is_refused_with_its_reason(
    #[case] name: &str,
    #[case] bytes: &[u8],
    #[case] code: &str,
) {
    let films = Films::new();
    let error = media().probe(&films.write(name, bytes)).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
}

#[tokio::test]
async fn sound_without_pictures_is_corrupt_and_a_cover_is_no_video() {
    let films = Films::new();
    let sound = films.make("sound.mp4", "-f lavfi -i sine=duration=1");
    let error = media().probe(&sound).await.unwrap_err();
    assert!(matches!(error, MediaError::Corrupt(_)), "{error}");
    films.write("cover.bmp", &crate::tool::bitmap());
    let covered = films.make(
        "covered.mp4",
        "-i sound.mp4 -i cover.bmp -map 0 -map 1 -c:a copy -c:v png -disposition:v attached_pic",
    );
    let error = media().probe(&covered).await.unwrap_err();
    assert!(matches!(error, MediaError::Corrupt(_)), "{error}");
}

#[tokio::test]
async fn a_video_without_its_end_is_corrupt() {
    let films = Films::new();
    let whole = std::fs::read(films.numbered("a.mp4", 40, "-c:v libx264")).unwrap();
    let cut = films.write("cut.mp4", &whole[..whole.len() / 2]);
    let error = media().probe(&cut).await.unwrap_err();
    assert!(matches!(&error, MediaError::Corrupt(text) if text.contains("moov")), "{error}");
}

/// Makes a QuickTime file take its pictures from another file: the data reference in `dref` becomes an alias.
fn referring(mov: &[u8], target: &str) -> Vec<u8> {
    let alias = alias(target);
    let mut file = mov.to_vec();
    let at = find(&file, b"dref");
    let entry = at + 12;
    let old = u32::from_be_bytes(file[entry..entry + 4].try_into().unwrap()) as usize;
    file.splice(entry..entry + old, alias.iter().copied());
    let grown = u32::try_from(alias.len() - old).unwrap();
    for name in [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"] {
        // The handler boxes that precede these names hold other words.
        let at = find(&file, name) - 4;
        let size = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) + grown;
        file[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    file
}

/// An `alis` entry as ffmpeg reads it: volume and file name (none), levels, then tagged text; tag 2 is a whole path.
fn alias(target: &str) -> Vec<u8> {
    let path = format!("{target}{}", if target.len().is_multiple_of(2) { "" } else { "\0" });
    let mut body = vec![0; 4 + 10 + (1 + 27) + 12 + (1 + 63) + 16 + (2 + 2) + 16];
    body.extend(2_u16.to_be_bytes());
    body.extend(u16::try_from(path.len()).unwrap().to_be_bytes());
    body.extend(path.as_bytes());
    body.extend([0xff, 0xff, 0, 0]);
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&size[..], b"alis", &body[..]].concat()
}

fn find(file: &[u8], name: &[u8]) -> usize {
    file.windows(name.len()).position(|window| window == name).unwrap()
}

#[tokio::test]
async fn a_video_that_refers_to_another_file_does_not_get_its_pictures() {
    let films = Films::new();
    let secret = films.numbered("secret.mov", 10, "-c:v libx264");
    let mut mov = std::fs::read(&secret).unwrap();
    // The samples are taken away, so that pictures could come from the other file only.
    let (start, end) = (find(&mov, b"mdat") + 4, find(&mov, b"moov") - 4);
    mov[start..end].fill(0);
    let thief = films.write("thief.mov", &referring(&mov, secret.to_str().unwrap()));
    // The theft works where ffmpeg is told to follow references: the file is what it is meant to be.
    films.make("stolen.mkv", "-enable_drefs 1 -use_absolute_path 1 -i thief.mov -frames:v 1");
    let result = media().probe(&thief).await;
    assert!(matches!(result, Err(MediaError::Corrupt(_))), "{result:?}");
}

#[test]
fn a_damaged_video_gives_frames_or_an_error() {
    let films = Films::new();
    let seeds = [
        films.numbered("a.mp4", 10, "-c:v libx264"),
        films.numbered("a.webm", 10, "-c:v libvpx -deadline realtime"),
        films.numbered("a.avi", 10, "-c:v mpeg4"),
    ]
    .map(|path| std::fs::read(path).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let media = media();
    let damage =
        (0..seeds.len(), proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20));
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&damage, |(seed, changes)| {
        let mut bytes = seeds[seed].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let path = films.write("damaged", &bytes);
        let result = runtime.block_on(async {
            let video = VideoFile { info: media.probe(&path).await?, path };
            media.frames(&video, FramePlan::Uniform { frames: 2 }).await
        });
        prop_assert!(!matches!(result, Err(MediaError::Failed(_))), "{result:?}");
        Ok(())
    });
    outcome.unwrap();
}
