//! Milliseconds per query and gigabytes per second of an exact scan. Run with `cargo bench -p taja-vectors`.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use taja_catalog::{
    Embedding, ImageHash, ProductId, TenantId,
    port::{VectorIndex, VectorRow},
};
use taja_vectors::ExactIndex;

const DIMENSION: usize = 768;
/// Time given to each figure, after one run to warm up.
const BUDGET: Duration = Duration::from_secs(1);

/// Pseudo-random numbers (xorshift64*), the same at every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn vector(&mut self) -> Embedding {
        let values = (0..DIMENSION).map(|_| self.next()).collect();
        Embedding::normalised(values, DIMENSION).expect("random vectors have a direction")
    }
}

fn product(n: usize) -> ProductId {
    format!("p{n}").parse().expect("a valid identifier")
}

fn filled(tenant: &TenantId, rows: usize, numbers: &mut Numbers) -> ExactIndex {
    let index = ExactIndex::new(DIMENSION);
    let mut inserting = Duration::ZERO;
    for batch in 0..rows / 1000 {
        let row = |n: usize| VectorRow {
            tenant: tenant.clone(),
            product: product(n),
            image: ImageHash::of(&n.to_le_bytes()),
            embedding: numbers.vector(),
        };
        let batch: Vec<_> = (batch * 1000..(batch + 1) * 1000).map(row).collect();
        let began = Instant::now();
        block_on(index.insert(batch)).expect("the rows fit");
        inserting += began.elapsed();
    }
    println!(
        "{rows} vectors of {DIMENSION}: inserted in {:.0} ms, {:.1} MB of memory",
        inserting.as_secs_f64() * 1e3,
        index.memory_bytes() as f64 / 1e6
    );
    index
}

fn main() {
    let tenant: TenantId = "shop".parse().expect("a valid identifier");
    let mut numbers = Numbers(42);
    println!("{} threads", rayon::current_num_threads());
    for rows in [10_000, 100_000] {
        let index = filled(&tenant, rows, &mut numbers);
        let one_percent: Arc<HashSet<_>> = Arc::new((0..rows).step_by(100).map(product).collect());
        println!(
            "{:>8} {:>4} {:>7} {:>6} {:>12} {:>7}",
            "rows", "k", "queries", "filter", "ms per query", "GB/s"
        );
        for count in [1, 8] {
            let queries: Vec<_> = (0..count).map(|_| numbers.vector()).collect();
            for (k, filter) in [(10, None), (10, Some(&one_percent)), (100, None), (100, Some(&one_percent))]
            {
                let seconds = time(|| {
                    let found = block_on(index.nearest(&tenant, &queries, filter.cloned(), k));
                    assert_eq!(found.expect("the index answers")[0].len(), k);
                });
                let read = rows / filter.map_or(1, |_| 100) * DIMENSION * size_of::<f32>();
                println!(
                    "{rows:>8} {k:>4} {count:>7} {:>6} {:>12.3} {:>7.1}",
                    filter.map_or("none", |_| "1 %"),
                    seconds * 1e3 / count as f64,
                    read as f64 / seconds / 1e9,
                );
            }
        }
    }
}

/// Seconds of the fastest run: whatever else the machine does only adds to it.
fn time(run: impl Fn()) -> f64 {
    run();
    let began = Instant::now();
    let mut fastest = f64::INFINITY;
    while began.elapsed() < BUDGET {
        let run_began = Instant::now();
        run();
        fastest = fastest.min(run_began.elapsed().as_secs_f64());
    }
    fastest
}
