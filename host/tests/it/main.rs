//! Journeys through the real program over real HTTP: one linked test binary.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod activation;
mod agreement;
mod bad_input;
mod callbacks;
mod clients;
mod cluster;
mod command_line;
#[path = "../../crates/sandbox/fixtures/component.rs"]
mod component;
mod composed;
mod crash;
mod duplicates;
mod evaluation;
mod events;
mod gate;
mod import;
mod import_command;
mod journey;
mod models;
mod pictures;
mod plugins;
mod policies;
mod products;
mod support;
mod surface;
mod tenants;
mod words;
