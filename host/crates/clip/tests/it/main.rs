//! What the crate does as a whole, on the real ONNX Runtime.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may unwrap as tests do")]

mod backends;
mod models;
mod support;
mod vit_b_32;
