//! The vector index in memory: an exact scan over every vector of a shop.
//!
//! Exact, because a catalogue that fits one machine is scanned in milliseconds, and because a graph index loses most
//! of its speed, and some of its answers, under the selective filters that shops use.

mod index;
mod kernel;
mod scan;
mod shelf;

pub use index::ExactIndex;
