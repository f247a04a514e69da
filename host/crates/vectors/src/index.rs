//! The port's face: shops, locks and the pool.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use futures::channel::oneshot;
use parking_lot::RwLock;
use taja_catalog::{
    Embedding, PortError, PortResult, ProductId, TenantId,
    port::{Neighbour, PortErrorKind, VectorIndex, VectorRow},
};

use crate::{
    kernel::{self, Kernel},
    scan::Scan,
    shelf::{Allowed, Label, Shelf},
};

/// Rows that are written under one lock: a search waits for less than a millisecond.
const ROWS_PER_LOCK: usize = 256;

/// The vectors of one space, compared one by one.
///
/// Searches read a snapshot and never wait for each other; a write holds its shop's lock for less than a
/// millisecond. All computation happens on rayon's global pool, of one thread per core; a search whose caller left
/// is dropped between two segments.
#[derive(Debug, Clone)]
pub struct ExactIndex {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dimension: usize,
    kernel: Kernel,
    shelves: RwLock<HashMap<TenantId, Arc<RwLock<Shelf>>>>,
    vectors: AtomicUsize,
}

impl ExactIndex {
    /// An empty index of vectors with this many components.
    pub fn new(dimension: usize) -> Self {
        let kernel = Kernel::available().pop().unwrap_or(Kernel::Plain);
        tracing::debug!(dimension, ?kernel, "vector index made");
        let inner = Inner { dimension, kernel, shelves: RwLock::default(), vectors: AtomicUsize::new(0) };
        Self { inner: Arc::new(inner) }
    }

    fn check<'a>(&self, vectors: impl Iterator<Item = &'a Embedding>) -> PortResult<()> {
        let expected = self.inner.dimension;
        match vectors.map(Embedding::dimension).find(|found| *found != expected) {
            None => Ok(()),
            Some(found) => {
                let message = format!("vector has {found} components, the index has {expected}");
                Err(PortError::new("index", PortErrorKind::Invalid, message))
            }
        }
    }
}

impl Inner {
    fn shelf(&self, tenant: &TenantId) -> Option<Arc<RwLock<Shelf>>> {
        self.shelves.read().get(tenant).cloned()
    }

    fn shelf_or_new(&self, tenant: &TenantId) -> Arc<RwLock<Shelf>> {
        let fresh = || Arc::new(RwLock::new(Shelf::new(self.dimension)));
        self.shelf(tenant)
            .unwrap_or_else(|| self.shelves.write().entry(tenant.clone()).or_insert_with(fresh).clone())
    }

    /// Changes a shop's shelf and keeps the count right.
    fn write(&self, shelf: &RwLock<Shelf>, change: impl FnOnce(&mut Shelf)) {
        let mut shelf = shelf.write();
        let before = shelf.len();
        change(&mut shelf);
        let change = shelf.len().wrapping_sub(before);
        let total = self.vectors.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        metrics::gauge!("taja_index_vectors").set(total as f64);
    }

    fn insert(&self, rows: Vec<VectorRow>) {
        let mut by_tenant: HashMap<TenantId, Vec<VectorRow>> = HashMap::new();
        for row in rows {
            by_tenant.entry(row.tenant.clone()).or_default().push(row);
        }
        for (tenant, rows) in by_tenant {
            let shelf = self.shelf_or_new(&tenant);
            for rows in rows.chunks(ROWS_PER_LOCK) {
                self.write(&shelf, |shelf| {
                    for row in rows {
                        shelf.put(Label { product: row.product.clone(), image: row.image }, &row.embedding);
                    }
                });
            }
        }
    }
}

/// Runs `work` on the pool. It is told whether anybody still waits for its answer.
async fn on_pool<T: Send + 'static>(
    work: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> T + Send + 'static,
) -> PortResult<T> {
    let (answer, waiting) = oneshot::channel();
    rayon::spawn(move || {
        // A panic that leaves a job of the pool ends the process.
        let done = catch_unwind(AssertUnwindSafe(|| work(&|| answer.is_canceled())));
        if let Ok(done) = done {
            // Nobody waits any more: there is nobody to tell.
            let _ = answer.send(done);
        }
    });
    waiting.await.map_err(|_| PortError::new("index", PortErrorKind::Broken, "computation panicked"))
}

#[async_trait]
impl VectorIndex for ExactIndex {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.check(queries.iter())?;
        let nothing = vec![Vec::new(); queries.len()];
        let Some(shelf) = self.inner.shelf(tenant).filter(|_| k > 0 && !queries.is_empty()) else {
            return Ok(nothing);
        };
        let padded: Vec<_> = queries.iter().map(|query| kernel::padded(query.as_slice())).collect();
        let (kernel, stride) = (self.inner.kernel, kernel::lanes_of(self.inner.dimension));
        on_pool(move |unwanted| {
            if unwanted() {
                return nothing;
            }
            let began = Instant::now();
            let snapshot = shelf.read().snapshot(among.as_deref());
            if snapshot.allowed.as_ref().is_some_and(Allowed::is_empty) {
                return nothing;
            }
            let found = Scan { kernel, snapshot: &snapshot, queries: &padded, k }.run(stride, unwanted);
            metrics::histogram!("taja_index_scan_seconds").record(began.elapsed());
            found
        })
        .await
    }

    async fn insert(&self, rows: Vec<VectorRow>) -> PortResult<()> {
        self.check(rows.iter().map(|row| &row.embedding))?;
        let inner = Arc::clone(&self.inner);
        // Finished even when the caller leaves: the index must follow the store.
        on_pool(move |_| inner.insert(rows)).await
    }

    async fn remove(&self, tenant: &TenantId, product: &ProductId) -> PortResult<()> {
        let Some(shelf) = self.inner.shelf(tenant) else { return Ok(()) };
        let (inner, product) = (Arc::clone(&self.inner), product.clone());
        on_pool(move |_| inner.write(&shelf, |shelf| shelf.remove(&product))).await
    }

    fn revision(&self, tenant: &TenantId) -> u64 {
        self.inner.shelf(tenant).map_or(0, |shelf| shelf.read().changes())
    }

    fn method(&self) -> &'static str {
        "exact"
    }

    fn len(&self) -> usize {
        self.inner.vectors.load(Ordering::Relaxed)
    }

    fn memory_bytes(&self) -> usize {
        let shelves: Vec<_> = self.inner.shelves.read().values().cloned().collect();
        shelves.iter().map(|shelf| shelf.read().bytes()).sum()
    }
}
