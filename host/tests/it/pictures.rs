//! Real photographs, other pictures of the same things, and videos that show them.

use std::{io::Cursor, path::Path, process::Command};

use image::{DynamicImage, ImageFormat, imageops::FilterType};

use crate::support;

/// A photograph that set-up took from a package: astronaut, chelsea (a cat), coffee, rocket, motorcycle_left, ...
pub fn photograph(name: &str) -> Vec<u8> {
    let folder = support::photographs();
    let path = ["png", "jpg"].map(|extension| folder.join(format!("{name}.{extension}")));
    let path = path.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no photograph {name}"));
    std::fs::read(path).unwrap()
}

fn decoded(name: &str) -> DynamicImage {
    image::load_from_memory(&photograph(name)).unwrap()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.to_rgb8().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The same thing seen differently: closer, brighter, smaller, in another format.
pub fn another_view(name: &str) -> Vec<u8> {
    let picture = decoded(name);
    let (width, height) = (picture.width(), picture.height());
    let closer = picture.crop_imm(width / 10, height / 12, width * 8 / 10, height * 8 / 10);
    let smaller = closer.resize(360, 360, FilterType::Triangle).brighten(18);
    encoded(&smaller, ImageFormat::Jpeg)
}

/// The same picture in other bytes: re-encoded, a little smaller.
pub fn re_encoded(name: &str) -> Vec<u8> {
    let picture = decoded(name);
    let smaller = picture.resize(picture.width() * 9 / 10, picture.height() * 9 / 10, FilterType::Lanczos3);
    encoded(&smaller, ImageFormat::Jpeg)
}

/// A video that shows each photograph for so many seconds, one after the other.
pub fn video(names: &[&str], seconds_each: u32, extension: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (place, name) in names.iter().enumerate() {
        let still = decoded(name).resize_to_fill(320, 240, FilterType::Triangle);
        std::fs::write(folder.path().join(format!("{place}.png")), encoded(&still, ImageFormat::Png))
            .unwrap();
    }
    let out = folder.path().join(format!("video.{extension}"));
    run_ffmpeg(
        folder.path(),
        &["-framerate", &format!("1/{seconds_each}"), "-i", "%d.png", "-r", "10", "-pix_fmt", "yuv420p"],
        &out,
    );
    std::fs::read(out).unwrap()
}

fn run_ffmpeg(folder: &Path, arguments: &[&str], out: &Path) {
    let ffmpeg = support::provisioned("TAJA_FFMPEG", ".tools/bin/ffmpeg");
    let mut command = Command::new(ffmpeg);
    command.current_dir(folder).args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg(out);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Two photographs in one picture, one at the left and one at the right.
pub fn beside(left: &str, right: &str) -> Vec<u8> {
    let mut both = DynamicImage::new_rgb8(640, 320);
    for (at, name) in [(0, left), (320, right)] {
        let half = decoded(name).resize_to_fill(320, 320, FilterType::Triangle);
        image::imageops::overlay(&mut both, &half, at, 0);
    }
    encoded(&both, ImageFormat::Jpeg)
}
