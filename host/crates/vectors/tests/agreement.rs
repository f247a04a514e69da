//! The index against its contract and against a list that compares everything.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, executor::block_on};
use proptest::prelude::*;
use taja_catalog::{
    Embedding, ImageHash, ProductId, TenantId,
    fakes::InMemoryIndex,
    port::{Neighbour, VectorIndex, VectorRow},
};
use taja_vectors::Index;

#[tokio::test]
async fn the_index_keeps_the_contract() {
    taja_catalog::contract::vector_index_suite(async |dimension| (Index::new(dimension), ())).await;
}

#[tokio::test]
async fn a_walked_index_keeps_the_contract() {
    taja_catalog::contract::vector_index_suite(async |dimension| (Index::walking_from(dimension, 1), ()))
        .await;
}

/// Components that fill no line of memory.
const DIMENSION: usize = 101;

#[derive(Debug, Clone)]
enum Step {
    Insert { image: u16, product: u8, seed: u32 },
    Remove { first: u8, count: u8 },
    Search { seeds: Vec<u32>, among: Option<HashSet<u8>>, k: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let insert = (0_u16..600, 0_u8..12, any::<u32>()).prop_map(|(image, product, seed)| Step::Insert {
        image,
        product,
        seed,
    });
    let remove = (0_u8..12, 1_u8..8).prop_map(|(first, count)| Step::Remove { first, count });
    let among = prop::option::of(prop::collection::hash_set(0_u8..15, 0..8));
    let search = (prop::collection::vec(any::<u32>(), 0..7), among, 0_usize..50)
        .prop_map(|(seeds, among, k)| Step::Search { seeds, among, k });
    prop::collection::vec(prop_oneof![100 => insert, 1 => remove, 4 => search], 1..1200)
}

fn vector(seed: u32) -> Embedding {
    let mut state = u64::from(seed) << 1 | 1;
    let values = (0..DIMENSION).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    Embedding::normalised(values.collect(), DIMENSION).unwrap()
}

fn product(n: u8) -> ProductId {
    format!("p{n}").parse().unwrap()
}

/// The same neighbours with the same scores, but for the order of those whose scores differ by rounding alone.
fn assert_same(found: &[Neighbour], expected: &[Neighbour], all: &[Neighbour]) {
    assert_eq!(found.len(), expected.len());
    assert_real(found, all);
    for (found, expected) in found.iter().zip(expected) {
        assert!((found.score - expected.score).abs() < 1e-5, "{found:?} is not {expected:?}");
    }
}

/// Neighbours in order, each there with that score.
fn assert_real(found: &[Neighbour], all: &[Neighbour]) {
    assert!(found.is_sorted_by(
        |one, next| one.score > next.score || one.score == next.score && one.image < next.image
    ));
    for found in found {
        let real = all.iter().find(|real| real.image == found.image).expect("what is found is there");
        assert_eq!(real.product, found.product);
        assert!((real.score - found.score).abs() < 1e-5, "{found:?} is not {real:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_index_agrees_with_a_list(steps in steps()) {
        let tenant: TenantId = "shop".parse().unwrap();
        let (fast, walked, plain) =
            (Index::new(DIMENSION), Index::walking_from(DIMENSION, 50), InMemoryIndex::new(DIMENSION));
        let (mut wanted, mut hits) = (0, 0);
        let search_all = Step::Search { seeds: vec![1, 2, 3, 4, 5], among: None, k: 600 };
        for step in steps.into_iter().chain([search_all]) {
            match step {
                Step::Insert { image, product: owner, seed } => {
                    let row = VectorRow {
                        tenant: tenant.clone(),
                        product: product(owner),
                        image: ImageHash::of(&image.to_le_bytes()),
                        embedding: vector(seed),
                    };
                    block_on(fast.insert(vec![row.clone()])).unwrap();
                    block_on(walked.insert(vec![row.clone()])).unwrap();
                    block_on(plain.insert(vec![row])).unwrap();
                }
                Step::Remove { first, count } => {
                    for owner in first..first + count {
                        block_on(fast.remove(&tenant, &product(owner))).unwrap();
                        block_on(walked.remove(&tenant, &product(owner))).unwrap();
                        block_on(plain.remove(&tenant, &product(owner))).unwrap();
                    }
                }
                Step::Search { seeds, among, k } => {
                    let queries: Vec<_> = seeds.into_iter().map(vector).collect();
                    let among = among.map(|among| Arc::new(among.into_iter().map(product).collect()));
                    let found = block_on(fast.nearest(&tenant, &queries, among.clone(), k)).unwrap();
                    let near = block_on(walked.nearest(&tenant, &queries, among.clone(), k)).unwrap();
                    let expected = block_on(plain.nearest(&tenant, &queries, among, k)).unwrap();
                    let all = block_on(plain.nearest(&tenant, &queries, None, usize::MAX)).unwrap();
                    assert_eq!(found.len(), queries.len());
                    for ((found, expected), all) in found.iter().zip(&expected).zip(&all) {
                        assert_same(found, expected, all);
                    }
                    for ((near, expected), all) in near.iter().zip(&expected).zip(&all) {
                        assert_real(near, all);
                        assert_eq!(near.len(), expected.len());
                        wanted += expected.len();
                        hits += expected.iter().filter(|one| near.iter().any(|found| found.image == one.image)).count();
                    }
                }
            }
            prop_assert_eq!(fast.len(), plain.len());
            prop_assert_eq!(walked.len(), plain.len());
        }
        // Random directions are the hardest there are for a graph.
        prop_assert!(hits * 100 >= wanted * 90, "{hits} of {wanted} were found");
    }
}

fn rows(tenant: &TenantId, count: u32) -> Vec<VectorRow> {
    let row = |n: u32| VectorRow {
        tenant: tenant.clone(),
        product: format!("p{n}").parse().unwrap(),
        image: ImageHash::of(&n.to_le_bytes()),
        embedding: vector(n),
    };
    (0..count).map(row).collect()
}

#[test]
fn a_scan_that_threads_share_agrees_with_a_list() {
    let tenant: TenantId = "shop".parse().unwrap();
    let (fast, plain) = (Index::new(DIMENSION), InMemoryIndex::new(DIMENSION));
    block_on(fast.insert(rows(&tenant, 5000))).unwrap();
    block_on(plain.insert(rows(&tenant, 5000))).unwrap();
    let queries: Vec<_> = (9000..9007).map(vector).collect();
    let found = block_on(fast.nearest(&tenant, &queries, None, 100)).unwrap();
    let all = block_on(plain.nearest(&tenant, &queries, None, usize::MAX)).unwrap();
    for (found, all) in found.iter().zip(&all) {
        assert_same(found, &all[..100], all);
    }
}

fn search_during_writes(index: &Index) {
    let tenant: TenantId = "shop".parse().unwrap();
    let all = rows(&tenant, 2000);
    let (stay, come_and_go) = all.split_at(300);
    block_on(index.insert(stay.to_vec())).unwrap();
    let gone = |round: usize| come_and_go.iter().skip(round).step_by(3);
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for round in 0..4 {
                block_on(index.insert(come_and_go.to_vec())).unwrap();
                for row in gone(round) {
                    block_on(index.remove(&tenant, &row.product)).unwrap();
                }
            }
        });
        let mut searches = 0;
        while !writer.is_finished() || searches < 20 {
            let wanted = &stay[searches % stay.len()];
            let found =
                block_on(index.nearest(&tenant, std::slice::from_ref(&wanted.embedding), None, 1)).unwrap();
            assert_eq!(found[0][0].image, wanted.image);
            assert!(found[0][0].score > 0.999_99);
            searches += 1;
        }
    });
    index.settle();
    assert_eq!(index.len(), 2000 - gone(3).count());
    let queries: Vec<_> = all.iter().map(|row| row.embedding.clone()).collect();
    let found = block_on(index.nearest(&tenant, &queries, None, 1)).unwrap();
    let removed: HashSet<_> = gone(3).map(|row| row.image).collect();
    for (row, found) in all.iter().zip(found) {
        assert_eq!(found[0].image == row.image, !removed.contains(&row.image));
        assert!(!removed.contains(&found[0].image));
    }
}

#[test]
fn a_search_during_writes_finds_what_was_there_before_them() {
    search_during_writes(&Index::new(DIMENSION));
}

#[test]
fn a_walk_during_writes_finds_what_was_there_before_them() {
    let index = Index::walking_from(DIMENSION, 200);
    search_during_writes(&index);
    assert_eq!(index.method(), "graph");
}

#[test]
fn a_graph_goes_when_most_rows_are_gone_and_comes_back() {
    let tenant: TenantId = "shop".parse().unwrap();
    let index = Index::walking_from(DIMENSION, 1000);
    let all = rows(&tenant, 3000);
    let ask = |row: &VectorRow| {
        let found = block_on(index.nearest(&tenant, std::slice::from_ref(&row.embedding), None, 3)).unwrap();
        (found[0][0].image, index.method())
    };
    block_on(index.insert(all.clone())).unwrap();
    index.settle();
    assert_eq!(ask(&all[2900]), (all[2900].image, "graph"));
    let full = index.memory_bytes();
    all[..2500].iter().for_each(|row| block_on(index.remove(&tenant, &row.product)).unwrap());
    index.settle();
    assert_eq!(ask(&all[2900]), (all[2900].image, "exact"));
    assert!(index.memory_bytes() < full / 2, "{} of {full} bytes are left", index.memory_bytes());
    block_on(index.insert(all.clone())).unwrap();
    index.settle();
    assert_eq!(ask(&all[2]), (all[2].image, "graph"));
}

#[test]
fn a_write_whose_caller_left_still_happens() {
    let tenant: TenantId = "shop".parse().unwrap();
    let index = Index::new(DIMENSION);
    // Polled once, so that it is under way, and then dropped.
    let _ = index.insert(rows(&tenant, 500)).now_or_never();
    let deadline = Instant::now() + Duration::from_secs(30);
    while index.len() < 500 {
        assert!(Instant::now() < deadline, "{} of 500 vectors came", index.len());
        std::thread::yield_now();
    }
    let found = block_on(index.nearest(&tenant, &[vector(499)], None, 1)).unwrap();
    assert_eq!(found[0][0].product.as_str(), "p499");
}
