//! The domain of Taja: products, pictures, queries, the ports to the outside world and the two use cases.
//!
//! This is the crate that everyone may know and that knows nobody: no I/O, no wasm, no database, no HTTP.

pub mod access;
pub mod add_product;
pub mod callback;
pub mod date;
pub mod edit;
pub mod embedding;
pub mod failure;
pub mod filter;
pub mod id;
pub mod judgements;
pub mod models;
pub mod numbered;
pub mod order;
pub mod picture;
pub mod plugins;
pub mod policy;
pub mod port;
pub mod product;
pub mod recording;
pub mod retrieval;
pub mod search;
pub mod similar;
pub mod sweep;
mod watched;
pub mod words;

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;

pub use embedding::{Embedding, Space};
pub use failure::{Blame, Failure};
pub use filter::Filter;
pub use id::{EffectKey, ImageHash, JudgementSetId, PluginDigest, ProductId, TenantId};
pub use numbered::Numbered;
pub use picture::{Chroma, Frame, FramePlan, PerceptualHash, Picture, Raster, Region, VideoFile, VideoInfo};
pub use port::{PortError, PortResult};
pub use product::{Details, Filterable, Moment, Offer, Product, StoredImage};
