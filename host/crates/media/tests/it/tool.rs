//! Where the tests find ffmpeg, shared with the unit tests of the crate.

use std::path::{Path, PathBuf};

/// `TAJA_FFMPEG`, else what the set-up put under `.tools`, else the one on `PATH`.
pub(crate) fn ffmpeg() -> PathBuf {
    let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.tools/bin/ffmpeg");
    let on_path = || {
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders).map(|folder| folder.join("ffmpeg")).find(|file| file.is_file())
    };
    std::env::var_os("TAJA_FFMPEG")
        .map(PathBuf::from)
        .or_else(|| set_up.is_file().then_some(set_up))
        .or_else(on_path)
        .expect(
            "this test needs ffmpeg: run the project's set-up, install it, or set TAJA_FFMPEG to its path",
        )
}

/// A bitmap of one red pixel.
pub(crate) fn bitmap() -> Vec<u8> {
    let mut file = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    file.resize(54, 0);
    file.extend([0, 0, 255, 0]);
    file
}
