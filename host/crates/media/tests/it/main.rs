//! Journeys of real files through [`taja_media::Media`].

#![expect(clippy::unwrap_used, reason = "all of this is tests and what makes their files")]

mod films;
mod hostile_images;
mod hostile_videos;
mod images;
mod looks;
mod tool;
mod videos;

use std::path::{Path, PathBuf};

use taja_media::{Media, MediaConfig};

fn config() -> MediaConfig {
    MediaConfig { ffmpeg: PathBuf::from("/nowhere/ffmpeg"), ..MediaConfig::default() }
}

/// Decodes images only.
fn images() -> Media {
    Media::new(config()).unwrap()
}

/// A file of the folder `tests/pillow`.
fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pillow").join(name)).unwrap()
}
