//! What exact and graph searches cost, and what they find. `cargo bench -p taja-vectors --bench index -- [ROWS]..
//! [apart] [write=FOLDER]`: 10,000 and 100,000 rows unless others are named. `write` leaves the same vectors for
//! `bench/vectors/peers.py`, and the index for the next run.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

mod data;

use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use data::{DIMENSION, Data, Shape, product};
use futures::executor::block_on;
use taja_catalog::{
    Embedding, ProductId, TenantId,
    port::{Neighbour, VectorIndex},
};
use taja_vectors::Index;

/// Queries that recall is measured with.
const QUERIES: usize = 1000;
/// What a kept index is of.
const KEPT: &[u8] = b"bench";
/// Time given to each figure, after one run to warm up.
const BUDGET: Duration = Duration::from_millis(500);
/// The share of the ten nearest that others are measured at, and the widths that are tried for it.
const GOAL: f64 = 0.99;
const WIDTHS: [usize; 14] = [10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
/// One product of so many is asked for.
const FILTERS: [usize; 4] = [1000, 100, 10, 2];

type Among = Option<Arc<HashSet<ProductId>>>;

struct Shop {
    tenant: TenantId,
    index: Index,
    rows: usize,
}

fn main() {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let shape = if arguments.iter().any(|word| word == "apart") { Shape::Apart } else { Shape::Latent };
    let folder = arguments.iter().find_map(|word| word.strip_prefix("write="));
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000];
    }
    println!("{} threads, clusters {shape:?}", rayon::current_num_threads());
    for rows in sizes {
        let data = Data::new(shape, rows);
        let kept = folder.map(|folder| Path::new(folder).join("taja.vectors"));
        let shop = kept
            .as_deref()
            .filter(|kept| kept.exists())
            .map_or_else(|| filled(&data, rows), |kept| taken_back(kept, rows));
        let queries = data.queries(QUERIES);
        let truth = found(|| block_on(shop.index.nearest_exactly(&shop.tenant, &queries, None, 10)));
        if let Some(folder) = folder {
            data.write(folder.as_ref(), &queries, &truth).expect("the folder can be written");
        }
        if let Some(kept) = kept.filter(|kept| !kept.exists()) {
            shop.index.save(&kept, KEPT).expect("the index can be kept");
        }
        shop.searches(&queries, &truth);
        shop.as_others_are_measured(&queries, &truth);
        shop.strangers(&Data::strangers(200));
        shop.filters(&queries[..20]);
        shop.snapshot();
    }
}

/// An index that an earlier run kept.
fn taken_back(kept: &Path, rows: usize) -> Shop {
    let index = Index::open(kept, DIMENSION, KEPT).expect("an index of these vectors");
    assert_eq!(index.len(), rows, "the folder is of another size");
    index.settle();
    println!("\n{rows} vectors of {DIMENSION}, kept from an earlier run");
    Shop { tenant: "shop".parse().expect("a valid identifier"), index, rows }
}

fn filled(data: &Data, rows: usize) -> Shop {
    let (index, tenant) = (Index::new(DIMENSION), "shop".parse().expect("a valid identifier"));
    let (began, computed, mut making) = (Instant::now(), cpu_seconds(), Duration::ZERO);
    for first in (0..rows).step_by(1000) {
        let making_began = Instant::now();
        let batch = data.rows(&tenant, first, 1000);
        making += making_began.elapsed();
        block_on(index.insert(batch)).expect("the rows fit");
    }
    let inserted = began.elapsed();
    index.settle();
    let (ready, computed) = (began.elapsed(), cpu_seconds() - computed);
    println!(
        "\n{rows} vectors of {DIMENSION}: inserted in {:.1} s, graph ready after {:.1} s and {computed:.1} s of \
         computing (making the vectors took {:.1} s of that), {:.0} bytes per vector; the process \
         has {:.0} MB",
        (inserted - making).as_secs_f64(),
        ready.as_secs_f64(),
        making.as_secs_f64(),
        index.memory_bytes() as f64 / rows as f64,
        resident_bytes() / 1e6,
    );
    Shop { tenant, index, rows }
}

impl Shop {
    fn searches(&self, queries: &[Embedding], truth: &[Vec<Neighbour>]) {
        for k in [10, 100] {
            let exactly =
                |queries| found(|| block_on(self.index.nearest_exactly(&self.tenant, queries, None, k)));
            let chosen = |queries| found(|| block_on(self.index.nearest(&self.tenant, queries, None, k)));
            let exact = time(|at| drop(exactly(&queries[at % 100..][..1])));
            let one = time(|at| drop(chosen(&queries[at % 900..][..1])));
            let (batch, computed) = (Instant::now(), cpu_seconds());
            let mut searches = 0;
            while batch.elapsed() < BUDGET * 4 {
                drop(chosen(queries));
                searches += queries.len();
            }
            let batch = searches as f64 / batch.elapsed().as_secs_f64();
            let computed = searches as f64 / (cpu_seconds() - computed).max(0.01);
            let recall = match k {
                10 => recall(truth, &chosen(queries)),
                _ => recall(&exactly(&queries[..200]), &chosen(&queries[..200])),
            };
            println!(
                "k {k:>3}: exact {:.3} ms; {} {:.3} ms, {batch:.0} a second in batches, {computed:.0} a second of \
                 computing, recall {recall:.4}",
                exact * 1e3,
                self.index.method(),
                one * 1e3,
            );
        }
    }

    /// Queries that are like no row.
    fn strangers(&self, queries: &[Embedding]) {
        let exactly = found(|| block_on(self.index.nearest_exactly(&self.tenant, queries, None, 10)));
        let chosen = |queries| found(|| block_on(self.index.nearest(&self.tenant, queries, None, 10)));
        let one = time(|at| drop(chosen(&queries[at % queries.len()..][..1])));
        println!(
            "k  10, queries like no row: {} {:.3} ms, recall {:.4}",
            self.index.method(),
            one * 1e3,
            recall(&exactly, &chosen(queries))
        );
    }

    /// The narrowest walk that finds 99 % of the ten nearest, as `bench/vectors/peers.py` measures other indexes.
    fn as_others_are_measured(&self, queries: &[Embedding], truth: &[Vec<Neighbour>]) {
        for width in WIDTHS {
            let walked = || found(|| block_on(self.index.nearest_walking(&self.tenant, queries, 10, width)));
            let recall = recall(truth, &walked());
            if recall < GOAL {
                continue;
            }
            let (batch, computed, mut searches) = (Instant::now(), cpu_seconds(), 0);
            while batch.elapsed() < BUDGET * 4 {
                drop(walked());
                searches += queries.len();
            }
            println!(
                "k  10: width {width}, recall {recall:.4}, {:.0} a second, {:.0} a second of computing",
                searches as f64 / batch.elapsed().as_secs_f64(),
                searches as f64 / (cpu_seconds() - computed).max(0.01)
            );
            return;
        }
    }

    fn filters(&self, queries: &[Embedding]) {
        for one_of in FILTERS {
            let among: Among = Some(Arc::new((0..self.rows).step_by(one_of).map(product).collect()));
            let exactly = |queries| {
                found(|| block_on(self.index.nearest_exactly(&self.tenant, queries, among.clone(), 10)))
            };
            let chosen =
                |queries| found(|| block_on(self.index.nearest(&self.tenant, queries, among.clone(), 10)));
            let (exact, one) = time_in_turn(
                |at| drop(exactly(&queries[at % queries.len()..][..1])),
                |at| drop(chosen(&queries[at % queries.len()..][..1])),
            );
            println!(
                "{:>5} % of the products, k 10: exact {:.3} ms; {} {:.3} ms, recall {:.4}",
                100.0 / one_of as f64,
                exact * 1e3,
                self.index.method(),
                one * 1e3,
                recall(&exactly(queries), &chosen(queries)),
            );
        }
    }

    fn snapshot(&self) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("vectors.snapshot");
        let began = Instant::now();
        self.index.save(&path, KEPT).expect("the snapshot can be written");
        let (saved, began) = (began.elapsed(), Instant::now());
        let opened = Index::open(&path, DIMENSION, KEPT).expect("the snapshot can be read");
        assert_eq!(opened.len(), self.rows);
        let bytes = path.metadata().map_or(0, |file| file.len());
        println!(
            "snapshot of {:.0} MB: saved in {:.2} s, opened in {:.2} s",
            bytes as f64 / 1e6,
            saved.as_secs_f64(),
            began.elapsed().as_secs_f64(),
        );
    }
}

fn found(search: impl Fn() -> taja_catalog::PortResult<Vec<Vec<Neighbour>>>) -> Vec<Vec<Neighbour>> {
    search().expect("the index answers")
}

/// The share of the true neighbours that were found.
fn recall(truth: &[Vec<Neighbour>], found: &[Vec<Neighbour>]) -> f64 {
    let hits = truth.iter().zip(found).map(|(truth, found)| {
        let images: HashSet<_> = found.iter().map(|neighbour| neighbour.image).collect();
        truth.iter().filter(|neighbour| images.contains(&neighbour.image)).count()
    });
    hits.sum::<usize>() as f64 / truth.iter().map(Vec::len).sum::<usize>().max(1) as f64
}

/// Seconds that all threads computed so far; on a machine that others use, this says more than the clock.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    // Fields 14 and 15 of proc(5), in hundredths of a second; the first two are cut off with the name.
    (ticks(11) + ticks(12)) / 100.0
}

/// Bytes of memory that the process has.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split_whitespace().nth(1).and_then(|field| field.parse::<f64>().ok());
    resident.unwrap_or_default() * 4096.0
}

/// Seconds of the median run.
fn time(run: impl Fn(usize)) -> f64 {
    time_in_turn(run, |_| ()).0
}

/// Seconds of the median runs of two that are compared: in turn, so that whatever else the machine does falls on both.
fn time_in_turn(one: impl Fn(usize), other: impl Fn(usize)) -> (f64, f64) {
    let timed = |run: &dyn Fn(usize), at| {
        let began = Instant::now();
        run(at);
        began.elapsed().as_secs_f64()
    };
    one(0);
    other(0);
    let (began, mut ones, mut others) = (Instant::now(), Vec::new(), Vec::new());
    while began.elapsed() < BUDGET || ones.len() < 3 {
        let at = ones.len() + 1;
        ones.push(timed(&one, at));
        others.push(timed(&other, at));
    }
    (median(ones), median(others))
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
