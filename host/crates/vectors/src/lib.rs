//! The vector index in memory: an exact scan while that is fast, a graph where it is not.
//!
//! Rows are numbers of 24 bits. A search reads their upper bytes, and the rest of the few rows that decide. Shops whose
//! rows are scanned in little more time than a graph takes are never walked: the scan's answers are exact, and it
//! costs nothing to keep. What is cheaper is measured, on the machine it runs on.

mod beds;
mod choice;
mod code;
mod gardener;
mod graph;
mod index;
mod kernel;
mod rates;
mod rows;
mod scan;
mod shelf;
mod shortlist;
mod snapshot;
mod tune;

pub use index::Index;
pub use snapshot::SnapshotError;
