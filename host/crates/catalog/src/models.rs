//! Which model's vectors serve, and how a catalogue comes to those of another: they are made beside the old ones while those
//! serve, compared with them, and take their place in one write.

mod activate;
mod compare;
mod embed;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    activate::{Activate, Activation, Conditions, Side},
    compare::{Comparison, Found, compare},
    embed::{Embed, Embedded, Lacking},
};
use crate::{
    embedding::Space,
    id::{ProductId, TenantId},
    port::{PortResult, Position, VectorRow},
    product::StoredImage,
};

/// Which model serves, as every process reads it from the store. There is none before the first activation: until then a
/// process serves with the model it is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// Counts the changes: the first choice has 1.
    pub revision: u64,
    /// Queries and new pictures are embedded into it.
    pub active: Space,
    /// What served before; its vectors are kept.
    pub before: Option<Space>,
    /// What is being made ready to take the place of `active`.
    pub next: Option<Space>,
    /// When it last changed.
    pub changed_at: Timestamp,
}

impl ModelChoice {
    /// Whether vectors of a space are needed.
    pub fn needs(&self, space: &str) -> bool {
        self.active.id == space || self.next.as_ref().is_some_and(|next| next.id == space)
    }
}

/// What became of a change of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It is stored.
    Stored,
    /// Somebody else changed the choice first; nothing was written.
    Changed,
    /// Pictures have no vector in the space that is to serve; nothing was written.
    Incomplete,
}

/// A stored picture, as the walk through all of them meets it.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueImage {
    /// The shop.
    pub tenant: TenantId,
    /// The product it belongs to.
    pub product: ProductId,
    /// What is stored of it.
    pub image: StoredImage,
}

impl fmt::Display for CatalogueImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "picture {} of {}'s product {}", self.image.hash, self.tenant, self.product)
    }
}

/// Keeps which model serves, and the vectors of several.
#[async_trait]
pub trait ModelStore: Send + Sync {
    /// The choice, once one was made.
    async fn choice(&self) -> PortResult<Option<ModelChoice>>;
    /// Stores a choice whose revision is one above the stored one's. Where `active` becomes another space, every picture
    /// must have a vector in it, but for `lacking` that cannot be embedded. From then on `Store::commit` refuses pictures
    /// with vectors of any other space as `Unavailable`; a store of several processes may let commits by that had begun.
    async fn choose(&self, choice: &ModelChoice, lacking: u64) -> PortResult<Chosen>;
    /// Pictures that have no vector in a space, in a stable order, after the given position.
    async fn images_without(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, CatalogueImage)>>;
    /// Adds vectors to stored pictures, and counts up the catalogues of their shops. A picture that has one in this space
    /// keeps it, and one that is gone stays so.
    async fn add_vectors(&self, space: &Space, rows: Vec<VectorRow>) -> PortResult<()>;
    /// Removes some vectors of a space, `limit` at most, and tells how many. `Conflict` while the choice needs them.
    async fn forget_vectors(&self, space: &str, limit: usize) -> PortResult<u64>;
}

#[cfg(test)]
mod tests;
