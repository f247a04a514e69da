//! Journeys through the real program over real HTTP: one linked test binary.

mod bad_input;
mod command_line;
mod crash;
mod journey;
mod models;
mod pictures;
// mod policies;
mod support;
mod surface;
