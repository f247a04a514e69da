//! What plugins of Taja are written with in Rust.
//!
//! A plugin implements the `Guest` of its kind and exports it with one line:
//!
//! ```
//! use taja_plugin::rank::{Answer, Candidates, Guest, Ranked};
//!
//! struct ByScore;
//!
//! impl Guest for ByScore {
//!     fn rank(candidates: Candidates) -> Result<Ranked, String> {
//!         let scores = candidates.best().fused(60.0);
//!         let mut answer = Answer::to(&candidates);
//!         for (product, score) in candidates.products().zip(scores) {
//!             answer.put(product, score)?;
//!         }
//!         Ok(answer.finish())
//!     }
//! }
//!
//! taja_plugin::rank::export!(ByScore);
//! # fn main() {}
//! ```
//!
//! [`rank`], [`search`] and [`ingest`] hold the contract of each kind, [`host`] what search and ingestion plugins may
//! call, [`settings`] reads what a tenant set, [`testing`] makes candidates for `cargo test`.
//!
//! A component imports only what its code uses: what stands here beside it costs nothing.

mod bindings;
pub mod host;
pub mod ingest;
pub mod json;
pub mod log;
pub mod rank;
pub mod search;
pub mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
