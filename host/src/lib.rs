//! Taja's host: HTTP, jobs, models, storage and the sandbox, wired together.
//!
//! `main.rs` is the program; this library is what it is made of, so that tests can start the very same thing.

pub mod access;
pub mod app;
mod callbacks;
pub mod cli;
mod cloudinary_host;
pub mod config;
mod evaluation;
pub mod http;
mod image_folder;
mod import;
mod jobs;
mod outbound;
mod query_log;
mod recordings;
mod result_cache;
mod staging;
pub mod telemetry;
mod word_rules;
