//! The hostile set: every harm that a component can do, with its fixture, how it must end and by when; and ten thousand
//! hostile calls, which leave nothing behind.

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use taja_catalog::{
    PluginDigest,
    plugins::Slot,
    policy::{Candidates, PolicyFault},
};
use taja_sandbox::{CallStats, Limits, Step};

use crate::{
    fakes::{World, image, text},
    guests::{House, Opened, in_text, plugin, refused, wanted},
    ingest::submission,
    rank::candidates,
};

/// Bounds hold on a machine where every core is wanted by ten others: a clock that stops a guest after 20 ms is not to
/// blame for that, one that does not stop it is found out all the same.
const SOON: Duration = Duration::from_secs(5);
/// For floods, which take their time where nothing stops them.
const IN_A_WHILE: Duration = Duration::from_secs(30);

/// Time enough for a flood.
const PATIENT: &str = "cpu_ms = 25000\nwall_ms = 60000";

/// The slot of a fixture, which is called as its kind.
fn slot(kind: &str) -> Slot {
    match kind {
        "rank" => Slot::Rank,
        "ingest" => Slot::Ingest,
        name => Slot::Search(name.into()),
    }
}

fn built(kind: &str, lines: &str) -> Vec<u8> {
    let accepts = if kind == "search" { "accepts = [\"text\", \"image\"]\n" } else { "" };
    plugin(kind, kind, &format!("{accepts}{lines}"))
}

/// Calls the one plugin of a kind that there is; with the fault, if it is one, what the call used.
async fn call(sandbox: &Opened, world: &World, kind: &str) -> (Option<PolicyFault>, Option<CallStats>) {
    let context = world.context("shop", "");
    let team = sandbox.team(&context.tenant).await;
    let (error, stats) = match kind {
        "rank" => {
            let (answer, stats) = team.rank_measured(&context, candidates(10)).await;
            (answer.err(), stats)
        }
        "ingest" => {
            let (answer, stats) = team.ingest_measured(&context, submission()).await;
            (answer.err(), stats)
        }
        _ => (team.search_measured(&context, vec![image([1, 2, 3]), text("a")], 5).await.err(), None),
    };
    (error.map(|error| error.fault), stats)
}

/// A house whose operator grants more than any flood wants.
fn generous() -> House {
    let mut house = House::empty();
    house.config.maximum = Limits {
        cpu: Duration::from_secs(60),
        host_calls: 1_000_000,
        memory_bytes: 256 << 20,
        ..Limits::OPERATORS
    };
    house
}

#[rstest::rstest]
#[case::spin_for_ever("rank", "", "spin", "longer than its 20ms of cpu time", SOON)]
#[case::spin_in_an_ingestion(
    "ingest",
    "[limits]\ncpu_ms = 50",
    "spin",
    "longer than its 50ms of cpu time",
    SOON
)]
#[case::sleep_for_ever("rank", "", "sleep", "longer than its 250ms of wall time", SOON)]
#[case::memory_bomb("rank", "[limits]\ncpu_ms = 5000", "bomb", "memory limit of 16777216 bytes", SOON)]
#[case::panic("rank", "", "panic", "out of cheese", SOON)]
#[case::panic_in_a_search("search", "", "panic", "out of cheese", SOON)]
#[case::panic_in_an_ingestion("ingest", "", "panic", "out of cheese", SOON)]
#[case::deep_recursion("rank", "[limits]\ncpu_ms = 5000", "recurse", "stack", SOON)]
#[case::exit("rank", "", "exit", "exited", SOON)]
#[case::return_of_48_mib(
    "rank",
    "[limits]\ncpu_ms = 25000\nwall_ms = 60000\nmemory_mib = 128",
    "huge",
    "too much data",
    SOON
)]
#[case::hundred_thousand_handles(
    "search",
    "[limits]\ncpu_ms = 25000\nwall_ms = 60000\nhost_calls = 200000",
    "flood-handles",
    "255 fine 99745 refused {\"Error::Quota(\\\"all 256 handles of this call are held (limits.handles)\\\")\"} held 255",
    IN_A_WHILE
)]
#[case::hundred_thousand_large_handles(
    "search",
    "[limits]\ncpu_ms = 25000\nwall_ms = 60000\nhost_calls = 200000\nhandles = 1000\nmemory_mib = 2",
    "flood-bytes",
    "436 fine 99564 refused",
    IN_A_WHILE
)]
#[case::host_call_flood(
    "search",
    "[limits]\ncpu_ms = 25000\nwall_ms = 60000",
    "flood-calls",
    "64 fine 99936 refused {\"Error::Quota(\\\"all 64 host calls of this call are used (limits.host_calls)\\\")\"} left 0",
    IN_A_WHILE
)]
#[case::host_call_flood_in_an_ingestion("ingest", "", "flood-calls", "8978 refused", IN_A_WHILE)]
#[case::nan_scores("rank", "", "nan", "answer that cannot be: the score NaN", SOON)]
#[case::nan_weights("search", "", "nan-weight", "answer that cannot be: the weight", SOON)]
#[case::duplicate_ids("rank", "", "twice", "answer that cannot be: product 0 is ranked twice", SOON)]
#[case::foreign_ids("rank", "", "foreign", "answer that cannot be: product 10 at place 0", SOON)]
#[case::foreign_pictures("ingest", "", "invent-picture", "answer that cannot be: picture 99", SOON)]
#[case::foreign_parts("search", "", "no-part", "answer that cannot be: leg a answers part 2 of 2", SOON)]
#[tokio::test]
async fn a_harm_ends_as_it_must_and_in_time_and_the_next_call_is_served(
    #[case] kind: &str,
    #[case] lines: &str,
    #[case] task: &str,
    #[case] says: &str,
    #[case] within: Duration,
) {
    let world = World::new();
    let house = generous().with("p.wasm", &built(kind, lines)).told(kind, task);
    let sandbox = house.ready(&world).await;
    let next = sandbox.upload(&built(kind, "title = \"next\"")).await;
    let began = Instant::now();
    let (fault, _) = call(&sandbox, &world, kind).await;
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    let fault = fault.expect("a harm is no answer").to_string();
    assert!(fault.contains(says), "{fault}");
    sandbox.step(slot(kind), Step::Activate(wanted(next, ""))).await.expect("the step is taken");
    assert_eq!(call(&sandbox, &world, kind).await.0, None);
}

/// The cap counts each line as what is written around it, too: otherwise nothing would be free, and a million of it.
#[rstest::rstest]
#[case::of_a_hundred_bytes("log", 8192 / (100 + 128))]
#[case::of_nothing("log-nothing", 8192 / 128)]
#[tokio::test]
async fn of_a_million_log_lines_those_that_find_no_room_are_dropped(#[case] task: &str, #[case] kept: u64) {
    let world = World::new();
    let component = built("rank", &format!("[limits]\n{PATIENT}"));
    let sandbox = generous().with("p.wasm", &component).told("rank", task).ready(&world).await;
    let began = Instant::now();
    let (fault, stats) = call(&sandbox, &world, "rank").await;
    assert!(began.elapsed() < IN_A_WHILE, "{:?}", began.elapsed());
    assert_eq!((fault, stats.unwrap().log_lines_dropped), (None, 1_000_000 - kept));
}

#[tokio::test]
async fn a_ranking_that_writes_a_million_log_lines_is_stopped_by_its_clock() {
    let world = World::new();
    let sandbox = House::empty().with("p.wasm", &built("rank", "")).told("rank", "log").ready(&world).await;
    let began = Instant::now();
    let (fault, _) = call(&sandbox, &world, "rank").await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(matches!(fault, Some(PolicyFault::Timeout { what: "cpu", .. })), "{fault:?}");
}

#[tokio::test]
async fn a_guest_that_grows_two_memories_in_turn_ends_at_the_limit_over_both() {
    let world = World::new();
    let component = in_text(include_str!("../../fixtures/two_memories.wat"), "[limits]\ncpu_ms = 5000");
    let sandbox = House::empty().with("p.wasm", &component).ready(&world).await;
    let next = sandbox.upload(&built("rank", "")).await;
    let began = Instant::now();
    let (fault, stats) = call(&sandbox, &world, "rank").await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let Some(PolicyFault::Trap(text)) = fault else { panic!("no trap: {fault:?}") };
    assert!(text.contains("memory limit of 16777216 bytes"), "{text}");
    // It was at work until the very end: one step more would have been too much.
    let peak = stats.unwrap().peak_memory_bytes;
    assert!((16 << 20) - (4 << 16) < peak && peak <= 16 << 20, "{peak}");
    sandbox.step(Slot::Rank, Step::Activate(wanted(next, ""))).await.expect("the step is taken");
    assert_eq!(call(&sandbox, &world, "rank").await.0, None);
}

/// What is hostile before it is ever called does not come in.
#[rstest::rstest]
#[case::spin_in_start(|| in_text(include_str!("../../fixtures/spin_in_start.wat"), ""), "trial", "20ms of cpu time")]
#[case::two_large_memories(
    || in_text(include_str!("../../fixtures/two_large_memories.wat"), ""),
    "trial",
    "memory limit of 16777216 bytes"
)]
#[case::wrong_version(
    || in_text("(component (instance $r) (export \"taja:plugin/ranking@0.9.0\" (instance $r)))", ""),
    "world",
    "exports taja:plugin/ranking@0.9.0, and this host runs taja:plugin@0.1"
)]
#[case::truncated_file(
    || { let whole = built("rank", ""); whole[..whole.len() / 2].to_vec() },
    "format",
    "cut short"
)]
#[case::millions_of_sections(|| [b"\0asm\x0d\0\x01\0".to_vec(), vec![0; 4 << 20]].concat(), "manifest", "no section")]
#[tokio::test]
async fn what_is_hostile_before_it_is_called_is_refused_in_time(
    #[case] component: fn() -> Vec<u8>,
    #[case] stage: &str,
    #[case] says: &str,
) {
    let component = component();
    let sandbox = House::empty().open(&World::new()).await;
    let began = Instant::now();
    let refused = refused(&sandbox, &component).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(refused.stage, stage, "{refused}");
    assert!(refused.reason.contains(says), "{refused}");
}

/// What a guest holds when its caller goes away is let go of.
#[tokio::test]
async fn calls_dropped_half_way_give_their_places_back() {
    let world = World::slow(Duration::from_secs(3600));
    let lines = format!("accepts = [\"text\", \"image\"]\n[limits]\n{PATIENT}");
    let house = House::empty().with("s.wasm", &plugin("search", "search", &lines)).told("search", "vector");
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    let began = Instant::now();
    for _ in 0..50 {
        let call = sandbox.search(&context, vec![text("a")], 5);
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    }
    // Pictures need no slow model.
    let legs = sandbox.search(&context, vec![image([1, 2, 3])], 5).await.expect("there are free places");
    assert_eq!(legs.len(), 1);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// A swap in the middle of harm: the old version spins, the new one serves.
#[tokio::test]
async fn a_swap_goes_through_while_the_old_version_spins() {
    let world = World::new();
    let house = House::empty().with("rank.wasm", &plugin("rank", "rank", "")).told("rank", "spin");
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&plugin("rank", "rank", "title = \"second\"")).await;
    let context = world.context("shop", "");
    let began = Instant::now();
    let spinning = async {
        for _ in 0..10 {
            let _ = sandbox.rank(&context, Candidates::default()).await;
        }
    };
    let swap = async {
        sandbox.step(Slot::Rank, Step::Activate(wanted(second, ""))).await.expect("the step is taken");
        sandbox.rank(&context, candidates(10)).await.expect("the new version serves")
    };
    let ((), ranking) = tokio::join!(spinning, swap);
    assert_eq!(ranking.products.len(), 10);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// Kind, task, and how many calls; those that end by a clock, or take much memory, are fewer.
const HARMS: [(&str, &str, usize); 18] = [
    ("rank", "panic", 1000),
    ("rank", "nan", 1000),
    ("rank", "twice", 1000),
    ("rank", "foreign", 1000),
    ("rank", "exit", 1000),
    ("rank", "recurse", 1000),
    ("search", "panic", 600),
    ("search", "nan-weight", 600),
    ("search", "same-names", 600),
    ("search", "no-part", 600),
    ("ingest", "panic", 600),
    ("ingest", "invent-picture", 600),
    ("ingest", "spoil-price", 600),
    ("rank", "bomb", 100),
    ("rank", "spin", 20),
    ("rank", "sleep", 20),
    ("rank", "log", 20),
    ("search", "flood-bytes", 10),
];

/// Bytes of memory that this process holds, as the kernel counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel tells");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
    kib * 1024
}

/// Calls with a guest that is told to do harm, and then with one that is not.
async fn suffer(sandbox: &Opened, world: &World, digest: PluginDigest, harm: (&str, &str), calls: usize) {
    let (kind, task) = harm;
    let told = |task| Step::Activate(wanted(digest, task));
    sandbox.step(slot(kind), told(task)).await.expect("the step is taken");
    for _ in 0..calls {
        let (fault, _) = call(sandbox, world, kind).await;
        assert!(fault.is_some(), "{kind} {task} does no harm");
    }
    sandbox.step(slot(kind), told("")).await.expect("the step is taken");
    assert_eq!(call(sandbox, world, kind).await.0, None, "after {kind} {task}");
}

#[tokio::test]
async fn ten_thousand_hostile_calls_of_every_kind_harm_nobody_and_leave_no_memory_behind() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Relaxed);
        usual(panic);
    }));
    assert!(HARMS.iter().map(|(_, _, calls)| calls).sum::<usize>() >= 10_000);
    let world = World::new();
    let mut house = House::empty();
    let mut digests = Vec::new();
    for kind in ["rank", "search", "ingest"] {
        let component = built(kind, "");
        digests.push((kind, PluginDigest::of(&component)));
        house = house.with(&format!("{kind}.wasm"), &component);
    }
    let sandbox = house.ready(&world).await;
    let digest = |kind: &str| digests.iter().find(|(known, _)| *known == kind).expect("it is known").1;
    for (kind, task, _) in HARMS {
        suffer(&sandbox, &world, digest(kind), (kind, task), 3).await;
    }
    let (before, began) = (resident(), Instant::now());
    for (kind, task, calls) in HARMS {
        suffer(&sandbox, &world, digest(kind), (kind, task), calls).await;
    }
    let after = resident();
    // The allocator keeps some of what it was given back; 10,000 leaks of a page each would be 40 MiB.
    assert!(after < before + (24 << 20), "{before} bytes before, {after} after");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert_eq!(PANICS.load(Relaxed), 0);
}
