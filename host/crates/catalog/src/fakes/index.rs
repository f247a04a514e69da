//! The vector index as a list: what every faster one must agree with.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::{Fault, held};
use crate::{
    embedding::Embedding,
    id::{ImageHash, ProductId, TenantId},
    port::{Neighbour, PortError, PortErrorKind, PortResult, VectorIndex, VectorRow},
};

/// Compares every vector with every query.
#[derive(Debug)]
pub struct InMemoryIndex {
    dimension: usize,
    rows: Mutex<BTreeMap<(TenantId, ImageHash), (ProductId, Embedding)>>,
    changes: AtomicU64,
    fault: Fault,
}

impl InMemoryIndex {
    /// An empty index of vectors with this many components.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, rows: Mutex::default(), changes: AtomicU64::new(0), fault: Fault::default() }
    }

    /// The next call fails so.
    pub fn fail_next(&self, kind: PortErrorKind) {
        self.fault.arm(kind);
    }

    fn check<'a>(&self, mut vectors: impl Iterator<Item = &'a Embedding>) -> PortResult<()> {
        match vectors.find(|vector| vector.dimension() != self.dimension) {
            Some(_) => Err(PortError::new("index", PortErrorKind::Invalid, "vector of another dimension")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl VectorIndex for InMemoryIndex {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.fault.strike("index")?;
        self.check(queries.iter())?;
        let rows = held(&self.rows);
        let of_query = |query: &Embedding| {
            let mut found: Vec<_> = rows
                .iter()
                .filter(|((owner, _), _)| owner == tenant)
                .filter(|(_, (product, _))| among.as_ref().is_none_or(|among| among.contains(product)))
                .map(|((_, image), (product, vector))| Neighbour {
                    product: product.clone(),
                    image: *image,
                    score: query.cosine(vector),
                })
                .collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.image.cmp(&b.image)));
            found.truncate(k);
            found
        };
        Ok(queries.iter().map(of_query).collect())
    }

    async fn insert(&self, new: Vec<VectorRow>) -> PortResult<()> {
        self.fault.strike("index")?;
        self.check(new.iter().map(|row| &row.embedding))?;
        let mut rows = held(&self.rows);
        for row in new {
            rows.insert((row.tenant, row.image), (row.product, row.embedding));
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn remove(&self, tenant: &TenantId, product: &ProductId) -> PortResult<()> {
        self.fault.strike("index")?;
        held(&self.rows).retain(|(owner, _), (id, _)| owner != tenant || id != product);
        self.changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn remove_images(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()> {
        self.fault.strike("index")?;
        held(&self.rows).retain(|(owner, image), _| owner != tenant || !images.contains(image));
        self.changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn revision(&self, _tenant: &TenantId) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn method(&self) -> &'static str {
        "exact"
    }

    fn len(&self) -> usize {
        held(&self.rows).len()
    }

    fn memory_bytes(&self) -> usize {
        self.len() * self.dimension * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_list_keeps_the_contract() {
        crate::contract::vector_index_suite(async |dimension| (InMemoryIndex::new(dimension), ())).await;
    }
}
