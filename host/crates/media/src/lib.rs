//! Untrusted bytes -> pixels.
//!
//! Images are decoded in the process, behind limits that are checked first and on threads of their own. Videos never
//! are: an ffmpeg process does that, confined to one file, a deadline and a share of the machine. What bytes are is told
//! by [`sniff`], from content alone. Linux only, for the sake of that confinement.

mod config;
mod confine;
mod decode;
mod ffmpeg;
#[cfg(test)]
mod fuzz;
mod index;
mod jpeg;
mod log;
mod media;
mod plan;
mod pool;
mod rgb;
mod scale;
mod sniff;
mod text;
#[cfg(test)]
#[path = "../tests/it/tool.rs"]
mod tool;
mod video;
mod webp;

pub use config::MediaConfig;
pub use decode::{Dimensions, probe};
pub use media::Media;
pub use scale::{encode_jpeg, pixels, thumbnail};
pub use sniff::{ImageType, SNIFF_BYTES, Sniffed, VideoType, sniff};
