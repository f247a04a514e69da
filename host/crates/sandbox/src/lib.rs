//! Runs policies as WebAssembly components: each call on a fresh instance, within limits, and with nothing of its
//! answer believed. Implements the port [`taja_catalog::policy::Policies`]; generated types never leave this crate.

mod answer;
mod bindings;
mod cache;
pub mod compile;
mod config;
mod engine;
mod hits;
mod host;
mod limits;
mod load;
pub mod manifest;
mod memory;
mod meter;
mod metrics;
mod outcome;
mod plugin;
mod policies;
mod refusal;
mod runner;
mod sampling;
mod section;
#[allow(dead_code, reason = "admission and activation are about to call it")]
mod settings;
pub mod signature;
mod state;
mod ticker;

pub use config::{PagemapScan, SandboxConfig};
pub use limits::{Kind, LimitRequest, Limits};
pub use load::{PluginState, PluginStatus, SandboxError};
pub use manifest::{Capability, Manifest, ManifestError};
pub use metrics::CallStats;
pub use policies::{Called, Sandbox};
pub use section::InvalidBinary;
