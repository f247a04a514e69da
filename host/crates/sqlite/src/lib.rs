//! The embedded store: one SQLite file with products, pictures, vectors, keyword index and receipts.
//!
//! Decisions:
//! - WAL, and `synchronous=FULL` for the writer: what was acknowledged survives a power cut.
//! - One writer thread, some reader threads, each with a connection of its own. Writes begin with
//!   `BEGIN IMMEDIATE`, so that waiting for another connection to the same file happens before anything was read.
//! - No integrity check when opening: WAL recovery needs none after a crash, and a check reads the whole file
//!   (seconds per gigabyte). [`SqliteStore::check`] does it when somebody asks.
//! - Fields that filters can name are rows of a table of their own, not JSON: numbers stay the very `f64` they
//!   were, a list is several rows, and a selective filter is an index look-up.
//! - Words are looked up in FTS5 and ranked here: which rows have a word is kept in memory, because FTS5 goes through all
//!   of them, and counts them once more, at each search for it. Of 100,000 products a search took 19 ms of a core there,
//!   and takes 0.8 ms here, with the same order. Rejected: an index of our own in tables, which every commit would pay for.
//! - Times are kept in microseconds.

mod access;
mod edit;
mod error;
mod filter;
mod intents;
mod judgements;
mod keyword;
mod lookup;
mod models;
mod plugins;
mod records;
mod rows;
mod schema;
mod sorted;
mod store;
mod texts;
mod threads;
mod write;

pub use error::OpenError;
pub use store::SqliteStore;
