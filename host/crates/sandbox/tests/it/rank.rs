//! Ranking guests, good and bad.

use std::time::Duration;

use taja_catalog::policy::{Candidates, LegInfo, Matches, Measure, PolicyFault, Ranking};
use taja_sandbox::{CallStats, PagemapScan};

use crate::{
    fakes::World,
    guests::{House, plugin},
};

/// Two legs of `products` matches each.
pub(crate) fn candidates(products: u32) -> Candidates {
    let leg = |name: &str| LegInfo {
        name: name.into(),
        modality: name.into(),
        measure: Measure::Cosine,
        weight: 1.0,
    };
    let twice = |one: &dyn Fn(u32) -> u32| (0..2 * products).map(one).collect();
    Candidates {
        legs: vec![leg("image"), leg("text")],
        product_count: products,
        matches: Matches {
            legs: twice(&|row| row / products),
            products: twice(&|row| row % products),
            images: vec![u32::MAX; 2 * products as usize],
            scores: (0..2 * products).map(|row| 1.0 - row as f32 / 1e4).collect(),
        },
        limit: 20,
        ..Candidates::default()
    }
}

/// Time enough for any machine.
const PATIENT: &str = "[limits]\ncpu_ms = 8000\nwall_ms = 30000";

fn house(task: &str) -> House {
    House::empty().with("rank.wasm", &plugin("rank", "rank", PATIENT)).told("rank", task)
}

async fn run_in(house: House) -> (Result<Ranking, PolicyFault>, CallStats) {
    let world = World::new();
    let sandbox = house.ready(&world).await;
    let (answer, stats) = sandbox.rank_measured(&world.context("shop", ""), candidates(10)).await;
    (answer.map_err(|error| error.fault), stats.expect("there was a free place"))
}

async fn run(task: &str) -> Result<Ranking, PolicyFault> {
    let (answer, stats) = run_in(house(task)).await;
    let outcome = answer.as_ref().map_or_else(PolicyFault::outcome, |_| "ok");
    assert_eq!(stats.outcome, outcome);
    answer
}

fn trap(answer: Result<Ranking, PolicyFault>) -> String {
    match answer {
        Err(PolicyFault::Trap(text)) => text,
        other => panic!("no trap: {other:?}"),
    }
}

#[tokio::test]
async fn a_ranking_keeps_order_scores_and_evidence() {
    let world = World::new();
    let sandbox = house("order").ready(&world).await;
    let context = world.context("shop", "");
    let ranking = sandbox.rank(&context, candidates(10)).await.unwrap();
    assert_eq!(ranking.products.len(), 10);
    assert_eq!(ranking.products[3].evidence, [3]);
    assert_eq!(context.used()[0].name, "rank");
    assert_eq!(context.used()[0].version, "1.2.3");
}

#[tokio::test]
async fn an_error_of_the_guest_is_its_answer() {
    assert_eq!(run("error").await, Err(PolicyFault::Guest("no thanks".into())));
}

#[tokio::test]
async fn a_panic_is_a_trap_that_repeats_the_guests_last_words() {
    let text = trap(run("panic").await);
    assert!(text.contains("unreachable") && text.contains("out of cheese"), "{text}");
}

#[tokio::test]
async fn a_memory_bomb_ends_at_the_limit() {
    let (answer, stats) = run_in(house("bomb")).await;
    let text = trap(answer);
    assert!(text.contains("memory limit of 16777216 bytes"), "{text}");
    assert!(stats.peak_memory_bytes <= 16 << 20);
}

#[tokio::test]
async fn a_guest_that_prints_is_capped_like_its_log() {
    let (answer, stats) = run_in(house("print")).await;
    assert!(answer.is_ok() && stats.log_lines_dropped > 5_000, "{stats:?}");
}

#[rstest::rstest]
#[case("nan")]
#[case("twice")]
#[case("foreign")]
#[tokio::test]
async fn rank_cannot_invent_repeat_or_spoil(#[case] task: &str) {
    assert!(matches!(run(task).await, Err(PolicyFault::InvalidAnswer(_))));
}

#[tokio::test]
async fn the_same_candidates_are_ranked_byte_for_byte_the_same() {
    let world = World::new();
    let sandbox = house("dice").ready(&world).await;
    let again = house("dice").ready(&world).await;
    let context = world.context("shop", "");
    let first = sandbox.rank(&context, candidates(10)).await.unwrap();
    assert!(first.notes[0].1.contains("SystemTime"), "{:?}", first.notes);
    for sandbox in [&sandbox, &again] {
        assert_eq!(sandbox.rank(&context, candidates(10)).await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_guest_sees_no_file_no_environment_and_no_input() {
    assert_eq!(run("outside").await.unwrap().notes[0].1, "false false 0 0");
}

#[tokio::test]
async fn nothing_of_one_call_is_left_for_the_next() {
    for pagemap_scan in [PagemapScan::WhereSafe, PagemapScan::Off] {
        let mut house = house("count");
        house.config.pagemap_scan = pagemap_scan;
        let world = World::new();
        let sandbox = house.ready(&world).await;
        // More calls than places, so that memory is used again.
        for _ in 0..10 {
            let answer = sandbox.rank(&world.context("shop", ""), candidates(1)).await;
            assert_eq!(answer.unwrap_err().fault, PolicyFault::Guest("1 1".into()));
        }
    }
}

#[tokio::test]
async fn a_call_that_finds_no_free_place_is_told_so_and_a_dropped_call_frees_its_place() {
    let mut house = house("sleep");
    house.config.concurrency = 1;
    house.config.queue_wait = Duration::from_millis(20);
    let world = World::new();
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    let mut first = Box::pin(sandbox.rank(&context, candidates(10)));
    assert!(futures::poll!(&mut first).is_pending());
    for _ in 0..2 {
        let second = sandbox.rank(&context, candidates(10)).await.unwrap_err();
        assert_eq!(second.fault, PolicyFault::Busy(Duration::from_millis(20)));
    }
    drop(first);
    let mut third = Box::pin(sandbox.rank(&context, candidates(10)));
    tokio::select! {
        answer = &mut third => panic!("{answer:?}"),
        () = tokio::time::sleep(Duration::from_millis(100)) => {} // longer than the wait for a place
    }
}

#[tokio::test]
async fn good_calls_go_on_beside_guests_that_spin() {
    let bad = plugin("search", "spinner", "accepts = [\"text\"]\n[limits]\nwall_ms = 30000");
    let house = house("order").with("bad.wasm", &bad).told("spinner", "spin");
    let world = World::new();
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    let spin = async {
        for _ in 0..5 {
            let fault = sandbox.search(&context, vec![crate::fakes::text("a")], 1).await.unwrap_err().fault;
            assert!(matches!(fault, PolicyFault::Timeout { what: "cpu", .. }), "{fault}");
        }
    };
    let good = async {
        for _ in 0..20 {
            sandbox.rank(&context, candidates(100)).await.unwrap();
        }
    };
    tokio::join!(spin, good);
}
