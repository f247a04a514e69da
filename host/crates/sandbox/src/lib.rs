//! Runs policies as WebAssembly components: each call on a fresh instance, within limits, and with nothing of its
//! answer believed. Implements the port [`taja_catalog::policy::Policies`]; generated types never leave this crate.

mod admission;
mod answer;
mod beside;
mod bindings;
mod book;
mod cache;
mod config;
mod engine;
mod folder;
mod hits;
mod host;
mod house;
mod imports;
mod life;
mod limits;
mod load;
pub mod manifest;
mod memory;
mod meter;
mod metrics;
mod outcome;
mod plain;
mod plugin;
mod policies;
mod refusal;
mod runner;
mod sampling;
mod seats;
mod section;
mod settings;
mod state;
mod team;
mod ticker;
mod watch;

pub use admission::{AddError, Added, Upload};
pub use config::{PagemapScan, SandboxConfig};
pub use folder::{PluginState, PluginStatus};
pub use life::{Order, OrderError, Step, Wanted};
pub use limits::{Kind, LimitRequest, Limits};
pub use load::Refused;
pub use manifest::{Capability, Manifest, ManifestError};
pub use metrics::CallStats;
pub use policies::{Sandbox, SandboxError};
pub use section::InvalidBinary;
pub use team::{Called, Team};
