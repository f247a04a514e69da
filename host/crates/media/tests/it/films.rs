//! Makes the videos of the tests, whose frames show their own number.

use std::{path::PathBuf, process::Command};

use taja_catalog::Raster;
use tempfile::TempDir;

use crate::tool;

/// A folder for one test's videos.
pub(crate) struct Films {
    folder: TempDir,
}

impl Films {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Runs ffmpeg with words, then the file to write.
    pub(crate) fn make(&self, name: &str, words: &str) -> PathBuf {
        let file = self.path(name);
        let output = Command::new(tool::ffmpeg())
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
            .args(words.split_whitespace())
            .arg(&file)
            .current_dir(self.folder.path())
            .output()
            .expect("ffmpeg runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    }

    /// A video of 128 x 64 at 10 frames a second, whose frames show their number (see [`number`]).
    pub(crate) fn numbered(&self, name: &str, frames: u32, options: &str) -> PathBuf {
        self.make(name, &format!("{} -frames:v {frames} {options}", numbers(10)))
    }
}

/// Words for a source of numbered frames.
pub(crate) fn numbers(rate: u32) -> String {
    // The left half counts forties, the right half ones, five levels of grey to the unit.
    let level = "if(lt(X,W/2),16+5*floor(N/40),16+5*mod(N,40))";
    format!("-f lavfi -i nullsrc=size=128x64:rate={rate},geq=lum='{level}':cb=128:cr=128,format=yuv420p")
}

/// The number a frame shows.
pub(crate) fn number(raster: &Raster) -> u32 {
    let middle = raster.height() / 2;
    let unit = |x: u32| {
        let at = (middle * raster.width() + x) as usize * 3;
        let luma = f32::from(raster.rgb()[at + 1]) * 219.0 / 255.0;
        (luma / 5.0).round() as u32
    };
    unit(raster.width() / 4) * 40 + unit(raster.width() * 3 / 4)
}
