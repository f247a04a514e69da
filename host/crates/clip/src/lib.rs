//! Turns pictures and words into vectors of one space, with CLIP-like models on ONNX Runtime.
//!
//! A model is a folder with a manifest: two towers (ONNX), a tokenizer, and optionally a small head behind a tower.
//! Preprocessing and tokenizing are those of the reference implementations to the bit; concurrent calls are fused into
//! batches. [`Clip`] is the `Embedder` port of the catalogue.

mod batcher;
mod cache;
mod clip;
mod clock;
mod compute;
mod error;
mod head;
mod image;
mod manifest;
mod model;
mod notes;
mod onnx;
mod product;
mod protobuf;
mod provider;
mod runtime;
mod text;
mod tower;
mod tuning;

#[cfg(test)]
mod goldens;

pub use cache::EmbeddingCache;
pub use clip::{Bulk, Clip, ClipConfig, Info};
pub use compute::{Backend, Choice, Compute, Precision, Provider};
pub use error::ClipError;
pub use image::{Interpolation, Preprocess, Resize};
pub use manifest::{
    ImageTower, Manifest, ManifestError, ModelFile, Pooling, Progress, TextTower, TokenizerFile,
    TokenizerKind, Verified, VerifyError,
};
pub use product::product_rate;
pub use tuning::{Part, Row, Seat, Tuning};
