//! The port's face: shops, locks and the pool.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use futures::channel::oneshot;
use parking_lot::RwLock;
use taja_catalog::{
    Embedding, ImageHash, PortError, PortResult, ProductId, TenantId,
    port::{Neighbour, PortErrorKind, VectorIndex, VectorRow},
};

use crate::{
    beds::{Background, Owner},
    choice::{Chooser, Method, Request, Way},
    code::{Query, Row, lines_of},
    kernel::Kernel,
    rates::Rates,
    rows::{Label, Segment},
    shelf::Shelf,
};

/// Rows that are written under one lock: a search waits for less than a millisecond.
const ROWS_PER_LOCK: usize = 256;

/// The vectors of one space.
///
/// Searches read a view of a shop's rows and never wait for each other; a write holds its shop's lock for less than a
/// millisecond. A shop is scanned, exactly, until walking a graph of its rows would be several times faster on this
/// machine; then a graph is grown in the background, which searches that it makes faster use as soon as it is known to
/// find what they look for. All computation of searches happens on rayon's global pool, of one thread per core; a
/// search whose caller left is dropped on the way.
#[derive(Debug, Clone)]
pub struct Index {
    pub(crate) inner: Arc<Inner>,
    /// Ends the background work with the last clone.
    _owner: Arc<Owner>,
}

pub(crate) type Shelves = HashMap<TenantId, Arc<RwLock<Shelf>>>;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) dimension: usize,
    kernel: Kernel,
    rates: Rates,
    /// Shops of this size are walked, whatever it costs.
    walk_from: Option<usize>,
    shelves: RwLock<Shelves>,
    vectors: AtomicUsize,
    /// Whether the last search walked a graph.
    walked: AtomicBool,
    pub(crate) background: Background,
}

impl Index {
    /// An empty index of vectors with this many components.
    pub fn new(dimension: usize) -> Self {
        Self::made(dimension, Shelves::new(), None)
    }

    /// As [`Index::new`], but whatever it costs, shops of this many rows and more are walked. For tests, whose shops
    /// are small.
    pub fn walking_from(dimension: usize, rows: usize) -> Self {
        Self::made(dimension, Shelves::new(), Some(rows))
    }

    pub(crate) fn restored(dimension: usize, shelves: Shelves) -> Self {
        Self::made(dimension, shelves, None)
    }

    fn made(dimension: usize, shelves: Shelves, walk_from: Option<usize>) -> Self {
        let kernel = Kernel::best();
        tracing::debug!(dimension, ?kernel, "vector index made");
        let vectors = shelves.values().map(|shelf| shelf.read_recursive().len()).sum();
        let inner = Arc::new(Inner {
            dimension,
            kernel,
            rates: Rates::guess(lines_of(dimension)),
            walk_from,
            shelves: RwLock::new(shelves),
            vectors: AtomicUsize::new(vectors),
            walked: AtomicBool::new(false),
            background: Background::default(),
        });
        Self { _owner: Arc::new(Owner(Arc::clone(&inner))), inner }
    }

    /// Waits, on this thread, until every graph that is worth it was grown and knows all rows.
    pub fn settle(&self) {
        self.tend_all();
        self.inner.background.settle();
    }

    /// A number that is another one whenever any vector is.
    pub fn changes(&self) -> u64 {
        self.inner.shops().iter().map(|(_, shelf)| shelf.read_recursive().changes()).sum()
    }

    /// Whether any shop has a graph: rows alone are not worth a file.
    pub fn has_graph(&self) -> bool {
        self.inner.shops().iter().any(|(_, shelf)| shelf.read_recursive().graph().is_some())
    }

    /// Removes every vector that came from a file and was not inserted since: see [`Index::reopen`].
    pub fn forget_unconfirmed(&self) {
        for (_, shelf) in self.inner.shops() {
            self.inner.write(&shelf, Shelf::forget_unconfirmed);
        }
        self.tend_all();
    }

    pub(crate) fn tend_all(&self) {
        self.inner.shops().iter().for_each(|(_, shelf)| self.inner.tend(shelf));
    }

    /// As [`VectorIndex::nearest`], but every row that is asked for is looked at, whatever that costs.
    pub async fn nearest_exactly(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.search(tenant, queries, among, k, Way::Exact).await
    }

    /// As [`VectorIndex::nearest`], but where there is a graph it is walked, keeping `width` nodes (as others call it,
    /// `ef`), whatever that finds. For comparisons with other indexes at equal recall.
    pub async fn nearest_walking(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        k: usize,
        width: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.search(tenant, queries, None, k, Way::Walk(width.max(k))).await
    }

    async fn search(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
        way: Way,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.check(queries.iter())?;
        let nothing = vec![Vec::new(); queries.len()];
        let asked_nothing =
            k == 0 || queries.is_empty() || among.as_ref().is_some_and(|among| among.is_empty());
        let Some(shelf) = self.inner.shelf(tenant).filter(|_| !asked_nothing) else { return Ok(nothing) };
        let queries: Vec<_> = queries.iter().map(|query| Query::of(query.as_slice())).collect();
        let inner = Arc::clone(&self.inner);
        on_pool(move |unwanted| {
            if unwanted() {
                return nothing;
            }
            let began = Instant::now();
            let asked = Request { queries: &queries, among: among.as_deref(), k, unwanted, way };
            let (found, method) = inner.chooser().search(&shelf, &asked);
            inner.walked.store(method == Method::Graph, Ordering::Relaxed);
            metrics::histogram!("taja_index_scan_seconds", "method" => method.name()).record(began.elapsed());
            found
        })
        .await
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
    pub(crate) fn chooser(&self) -> Chooser<'_> {
        Chooser { kernel: self.kernel, rates: &self.rates, walk_from: self.walk_from }
    }

    fn shelf(&self, tenant: &TenantId) -> Option<Arc<RwLock<Shelf>>> {
        self.shelves.read_recursive().get(tenant).cloned()
    }

    fn shelf_or_new(&self, tenant: &TenantId) -> Arc<RwLock<Shelf>> {
        let fresh = || Arc::new(RwLock::new(Shelf::new(lines_of(self.dimension))));
        self.shelf(tenant)
            .unwrap_or_else(|| self.shelves.write().entry(tenant.clone()).or_insert_with(fresh).clone())
    }

    /// The shops, by name.
    pub(crate) fn shops(&self) -> Vec<(TenantId, Arc<RwLock<Shelf>>)> {
        let mut shops: Vec<_> = self
            .shelves
            .read_recursive()
            .iter()
            .map(|(tenant, shelf)| (tenant.clone(), Arc::clone(shelf)))
            .collect();
        shops.sort_by(|one, other| one.0.cmp(&other.0));
        shops
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

    fn insert(self: &Arc<Self>, rows: Vec<VectorRow>) {
        let mut by_tenant: HashMap<TenantId, Vec<VectorRow>> = HashMap::new();
        for row in rows {
            by_tenant.entry(row.tenant.clone()).or_default().push(row);
        }
        for (tenant, rows) in by_tenant {
            let shelf = self.shelf_or_new(&tenant);
            for rows in rows.chunks(ROWS_PER_LOCK) {
                // Side by side, not one by one: many small aligned pieces leave the heap with holes that nothing fits.
                let mut encoded = Segment::new(lines_of(self.dimension));
                rows.iter().for_each(|row| encoded.push(None, &Row::of(row.embedding.as_slice())));
                self.write(&shelf, |shelf| {
                    for (at, row) in rows.iter().enumerate() {
                        shelf.put(Label { product: row.product.clone(), image: row.image }, &encoded.row(at));
                    }
                });
            }
            self.tend(&shelf);
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
impl VectorIndex for Index {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.search(tenant, queries, among, k, Way::Cheapest).await
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
        on_pool(move |_| {
            inner.write(&shelf, |shelf| shelf.remove(&product));
            inner.tend(&shelf);
        })
        .await
    }

    async fn remove_images(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()> {
        let Some(shelf) = self.inner.shelf(tenant) else { return Ok(()) };
        let (inner, images) = (Arc::clone(&self.inner), images.to_vec());
        on_pool(move |_| {
            inner.write(&shelf, |shelf| shelf.remove_images(&images));
            inner.tend(&shelf);
        })
        .await
    }

    fn revision(&self, tenant: &TenantId) -> u64 {
        self.inner.shelf(tenant).map_or(0, |shelf| shelf.read_recursive().changes())
    }

    fn method(&self) -> &'static str {
        let walked = self.inner.walked.load(Ordering::Relaxed);
        if walked { Method::Graph.name() } else { Method::Exact.name() }
    }

    fn len(&self) -> usize {
        self.inner.vectors.load(Ordering::Relaxed)
    }

    fn memory_bytes(&self) -> usize {
        self.inner.shops().iter().map(|(_, shelf)| shelf.read_recursive().bytes()).sum()
    }
}
