//! What the people of a shop judged, as the service keeps it: sets of queries with the products that answer them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::JudgementSetId;

/// A set of judgements, without its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgementSet {
    /// Its name in its shop.
    pub id: JudgementSetId,
    /// SHA-256 of its lines, lower-case hex: which ones something was measured by.
    pub digest: String,
    /// Queries that judge something relevant.
    pub queries: u32,
    /// Since when its lines are these.
    pub changed_at: Timestamp,
}

impl JudgementSet {
    /// The set of these lines, one JSON object in each, which somebody checked.
    pub fn of(id: JudgementSetId, lines: &str, queries: u32, changed_at: Timestamp) -> Self {
        let digest = Sha256::digest(lines).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, digest, queries, changed_at }
    }
}
