//! Taja's host: HTTP, jobs, models, storage and the sandbox, wired together.
//!
//! `main.rs` is the program; this library is what it is made of, so that tests can start the very same thing.

pub mod app;
pub mod cli;
pub mod config;
mod embedding_cache;
pub mod http;
mod image_folder;
mod jobs;
mod staging;
pub mod telemetry;
