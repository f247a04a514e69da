//! Products in the order in which they are answered.

use std::cmp::Reverse;

use jiff::Timestamp;
use taja_catalog::ProductId;

/// A product and what its place depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// Relevance.
    pub(crate) score: f64,
    /// When it was added.
    pub(crate) created_at: Timestamp,
    /// The product.
    pub(crate) product: ProductId,
}

/// The best of several lists: by relevance, then newest first, then by falling identifier.
pub(crate) fn best(lists: impl IntoIterator<Item = Vec<Placed>>, limit: usize) -> Vec<Placed> {
    let mut all: Vec<_> = lists.into_iter().flatten().collect();
    all.sort_by(|one, other| {
        let age = |placed: &Placed| Reverse((placed.created_at, placed.product.clone()));
        other.score.total_cmp(&one.score).then_with(|| age(one).cmp(&age(other)))
    });
    all.truncate(limit);
    all
}
