//! The life of a version: live, on trial, in shadow, gone back from; and what is done when it fails.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::json;
use taja_catalog::{
    PluginDigest, TenantId,
    fakes::RecordingJob,
    plugins::{Action, Activation, Event, Part, PluginStore, Slot},
    policy::{Pins, Policies, PolicyContext, Ranking, Substitute},
};
use taja_sandbox::{Order, OrderError, Step};

use crate::{
    fakes::{World, id, text},
    guests::{House, Opened, plugin, wanted},
    rank::candidates,
};

/// Time enough for any machine.
pub(crate) const PATIENT: &str = "[limits]\ncpu_ms = 8000\nwall_ms = 30000";

/// A ranker that differs from others by its title.
pub(crate) fn ranker(title: &str) -> Vec<u8> {
    plugin("rank", "rank", &format!("title = \"{title}\"\n{PATIENT}"))
}

pub(crate) fn shop() -> TenantId {
    id("shop")
}

/// A house whose live ranker says `one`.
pub(crate) fn house() -> House {
    House::empty().with("rank.wasm", &ranker("first")).told("rank", "say one")
}

pub(crate) struct Ranked {
    pub(crate) ranking: Ranking,
    pub(crate) context: PolicyContext,
}

impl Ranked {
    pub(crate) fn said(&self) -> &str {
        self.ranking.notes.first().map_or("", |note| &note.1)
    }
}

pub(crate) async fn rank(sandbox: &Opened, world: &World, pins: &Pins) -> Ranked {
    rank_for(sandbox, world, "shop", pins).await
}

pub(crate) async fn rank_for(sandbox: &Opened, world: &World, tenant: &str, pins: &Pins) -> Ranked {
    let lineup = sandbox.lineup(&id(tenant), pins).await.unwrap();
    let context = world.context(tenant, "");
    let ranking = lineup.rank(&context, candidates(10)).await.unwrap();
    Ranked { ranking, context }
}

pub(crate) async fn activate(sandbox: &Opened, digest: PluginDigest, task: &str) -> Activation {
    sandbox.step(Slot::Rank, Step::Activate(wanted(digest, task))).await.unwrap()
}

/// Takes a step with the ranker of one shop.
pub(crate) async fn step_for(sandbox: &Opened, tenant: &str, step: Step) -> Result<Activation, OrderError> {
    let (tenant, slot) = (Some(id(tenant)), Slot::Rank);
    sandbox
        .order(&Order { tenant, slot, step, evidence: None, reason: String::new(), by: "test".into() })
        .await
}

/// The latest of everybody's ranking.
pub(crate) async fn last_event(house: &House) -> Event {
    house.store.history(None, Some(&Slot::Rank), 1).await.unwrap().remove(0)
}

pub(crate) async fn actions(house: &House) -> Vec<Action> {
    let events = house.store.history(None, Some(&Slot::Rank), 100).await.unwrap();
    events.into_iter().map(|event| event.action).collect()
}

pub(crate) async fn live(house: &House) -> Activation {
    house.store.activation(None, &Slot::Rank).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_new_version_serves_new_jobs_and_those_before_stay_with_theirs() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let pins = sandbox.pin_search(&shop(), &[], "s");
    let second = sandbox.upload(&ranker("second")).await;
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    activate(&sandbox, second, "say two").await;
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "two");
    let pinned = rank(&sandbox, &world, &pins).await;
    assert_eq!(pinned.said(), "one");
    assert_ne!(pinned.context.used()[0].digest, second.to_string());
    // A process that starts anew finds the same, and honours the same pins.
    let other = house.open(&world).await;
    assert_eq!(rank(&other, &world, &Pins::default()).await.said(), "two");
    assert_eq!(rank(&other, &world, &pins).await.said(), "one");
}

#[tokio::test]
async fn the_last_three_choices_are_kept_and_any_of_them_can_be_gone_back_to() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let mut digests = Vec::new();
    for title in ["b", "c", "d"] {
        let digest = sandbox.upload(&ranker(title)).await;
        activate(&sandbox, digest, &format!("say {title}")).await;
        digests.push(digest);
    }
    let kept: Vec<_> = live(&house).await.previous.iter().map(|choice| choice.digest).collect();
    assert_eq!(kept, [digests[1], digests[0]]);
    sandbox.step(Slot::Rank, Step::Rollback(Some(digests[0]))).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "b");
    sandbox.step(Slot::Rank, Step::Rollback(None)).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "c");
    let error = sandbox.step(Slot::Rank, Step::Rollback(None)).await.unwrap_err();
    assert!(matches!(error, OrderError::NotFound(_)), "{error}");
    use Action::{Activated, RolledBack};
    assert_eq!(actions(&house).await, [RolledBack, RolledBack, Activated, Activated, Activated, Activated]);
    let event = last_event(&house).await;
    assert_eq!((event.by.as_str(), event.reason.as_str()), ("test", "a test"));
}

#[tokio::test]
async fn a_step_that_cannot_be_taken_leaves_everything_as_it_was() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let picky = "[settings]\ntype = \"object\"\n[settings.properties.k]\ntype = \"integer\"\nmaximum = 9";
    let picky = sandbox.upload(&plugin("rank", "rank", picky)).await;
    let search = sandbox.upload(&plugin("search", "words", "accepts = [\"text\"]")).await;
    let before = live(&house).await;
    let settings = |k: u32| taja_sandbox::Wanted { digest: picky, settings: Some(json!({ "k": k })) };
    for (step, says) in [
        (Step::Activate(wanted(PluginDigest::of(b"none"), "")), "no version with the digest"),
        (Step::Activate(settings(10)), "/k"),
        (Step::Activate(wanted(search, "")), "takes the slot search/words"),
        (Step::StartCanary(settings(1), 0), "not from 1 to 100"),
        (Step::StartShadow(settings(1), 0), "one request in 0"),
        (Step::StopCanary, "no trial runs"),
        (Step::StopShadow, "nothing runs in shadow"),
        (Step::Rollback(None), "no such earlier choice"),
    ] {
        let error = sandbox.step(Slot::Rank, step).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(live(&house).await, before);
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
}

#[tokio::test]
async fn a_shop_brings_its_own_ranker_and_no_other_shop_notices() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let own = sandbox.upload(&ranker("own")).await;
    step_for(&sandbox, "shop", Step::Activate(wanted(own, "say ours"))).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "ours");
    assert_eq!(rank_for(&sandbox, &world, "other", &Pins::default()).await.said(), "one");
    step_for(&sandbox, "shop", Step::Deactivate).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
}

#[tokio::test]
async fn a_trial_serves_its_share_of_the_sessions_and_each_of_them_always() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let live = sandbox.pin_search(&shop(), &[], "").0;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartCanary(wanted(second, "say trial"), 30)).await.unwrap();
    let other = house.open(&world).await;
    let session = |n: u32| format!("session {n}");
    let tried = |n: &u32| sandbox.pin_search(&shop(), &[], &session(*n)).0 != live;
    let on_trial: Vec<u32> = (0..1000).filter(tried).collect();
    assert!((220..380).contains(&on_trial.len()), "{}", on_trial.len());
    for n in 0..50 {
        let pins = sandbox.pin_search(&shop(), &[], &session(n));
        assert_eq!(pins, other.pin_search(&shop(), &[], &session(n)));
        let expected = if on_trial.contains(&n) { "trial" } else { "one" };
        assert_eq!(rank(&sandbox, &world, &pins).await.said(), expected);
    }
}

#[tokio::test]
async fn a_trial_that_traps_is_over_within_twenty_of_its_requests_and_none_of_them_fails() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartCanary(wanted(second, "panic"), 100)).await.unwrap();
    let mut own = 0;
    for session in 0..200 {
        let pins = sandbox.pin_search(&shop(), &[], &session.to_string());
        let ranked = rank(&sandbox, &world, &pins).await;
        assert_eq!(ranked.said(), "one");
        if let [degraded] = &ranked.context.degraded()[..] {
            own += 1;
            assert_eq!(degraded.substitute, Substitute::Live);
            assert!(degraded.reason.contains("out of cheese"), "{}", degraded.reason);
        }
        tokio::task::yield_now().await;
    }
    assert!((1..=20).contains(&own), "{own}");
    assert_eq!(live(&house).await.canary, None);
    let last = last_event(&house).await;
    assert_eq!((last.action, last.by.as_str()), (Action::Withdrawn, "service"));
    assert!(last.reason.contains("calls failed"), "{}", last.reason);
}

#[tokio::test]
async fn a_trial_that_is_much_slower_is_over_once_that_is_clear() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartCanary(wanted(second, "slow"), 50)).await.unwrap();
    for session in 0..400 {
        let pins = sandbox.pin_search(&shop(), &[], &session.to_string());
        rank(&sandbox, &world, &pins).await;
        if live(&house).await.canary.is_none() {
            break;
        }
    }
    let last = last_event(&house).await;
    assert_eq!(last.action, Action::Withdrawn);
    assert!(last.reason.contains("nine calls of ten"), "{}", last.reason);
}

#[tokio::test]
async fn what_went_live_and_misbehaves_goes_back_by_itself() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    activate(&sandbox, second, "nan").await;
    for _ in 0..50 {
        assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
        tokio::task::yield_now().await;
    }
    let now = live(&house).await;
    assert_ne!(now.live.unwrap().digest, second);
    assert!(now.previous.is_empty());
    assert_eq!(actions(&house).await[0], Action::Withdrawn);
}

#[tokio::test]
async fn without_anybody_to_stand_in_the_host_ranks_by_itself_and_says_so() {
    let world = World::new();
    for task in ["panic", "twice", "error"] {
        let house = House::empty().with("rank.wasm", &ranker("first")).told("rank", task);
        let ranked = rank(&house.ready(&world).await, &world, &Pins::default()).await;
        assert_eq!(ranked.ranking.products.len(), 10);
        // Both legs agree on the order, so fusion does too.
        assert_eq!(ranked.ranking.products[0].product, 0);
        assert_eq!(ranked.ranking.products[3].evidence, [3, 13]);
        assert_eq!(ranked.context.degraded()[0].substitute, Substitute::Host);
    }
}

#[tokio::test]
async fn a_search_policy_that_fails_is_stood_in_for_by_the_plainest_search() {
    let world = World::new().with("shop", "red", [255, 0, 0], 1.0).with("other", "theirs", [255, 0, 0], 1.0);
    let lines = format!("accepts = [\"text\", \"image\", \"sound\"]\n{PATIENT}");
    let house = House::empty().with("s.wasm", &plugin("search", "search", &lines)).told("search", "panic");
    let sandbox = house.ready(&world).await;
    let lineup = sandbox.lineup(&shop(), &Pins::default()).await.unwrap();
    let context = world.context("shop", "");
    let parts = vec![text("red"), crate::fakes::image([255, 0, 0])];
    let legs = lineup.search(&context, parts, 5).await.unwrap();
    let names: Vec<_> = legs.iter().map(|leg| leg.name.as_str()).collect();
    assert_eq!(names, ["plain-vector-0", "plain-keyword-0", "plain-vector-1"]);
    assert!(legs.iter().all(|leg| leg.hits.len() == 1 && leg.hits[0].product == id("red")), "{legs:?}");
    assert_eq!(context.degraded()[0].substitute, Substitute::Host);
    // What only the policy knows to read cannot be searched without it.
    let sound = crate::fakes::part("sound", taja_catalog::policy::Content::Text("la".into()));
    let error = lineup.search(&world.context("shop", ""), vec![sound], 5).await.unwrap_err();
    assert!(error.to_string().contains("out of cheese"), "{error}");
}

#[tokio::test]
async fn a_shadow_is_compared_and_serves_nobody() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartShadow(wanted(second, "reverse"), 4)).await.unwrap();
    for _ in 0..40 {
        let ranked = rank(&sandbox, &world, &Pins::default()).await;
        assert_eq!((ranked.said(), ranked.context.used().len()), ("one", 1));
        sandbox.settled().await;
    }
    let mut rows = sandbox.statistics().into_iter();
    let tally = rows.find(|row| row.part == Part::Shadow).unwrap().tally;
    assert_eq!((tally.calls(), tally.outcomes["ok"], tally.compared, tally.scored), (10, 10, 10, 10));
    // The same ten products backwards, with other scores.
    assert!((tally.overlap / 10.0 - 0.354).abs() < 1e-3, "{}", tally.overlap);
    assert!(tally.score_distance > 0.0);
}

#[tokio::test]
async fn what_one_process_changes_others_follow() {
    let (world, house) = (World::new(), house());
    let (here, there) = (house.ready(&world).await, house.ready(&world).await);
    let mut changes = here.changes();
    let second = here.upload(&ranker("second")).await;
    activate(&here, second, "say two").await;
    assert!(changes.has_changed().unwrap());
    assert!(*changes.borrow_and_update() > 0);
    assert_eq!(rank(&there, &world, &Pins::default()).await.said(), "one");
    // A job that was pinned over there, to something not seen here yet.
    let pins = here.pin_search(&shop(), &[], "s");
    assert_eq!(rank(&there, &world, &pins).await.said(), "two");
    assert_eq!(rank(&there, &world, &Pins::default()).await.said(), "two");
}

#[tokio::test]
async fn a_file_dropped_into_the_folder_goes_live_and_a_bad_one_changes_nothing() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let file = house.folder.path().join("rank.wasm");
    std::fs::write(&file, b"half a file").unwrap();
    sandbox.take_in_folder().await.unwrap();
    assert!(matches!(sandbox.report()[0].state, taja_sandbox::PluginState::Refused(_)));
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    let second = ranker("second");
    std::fs::write(&file, &second).unwrap();
    sandbox.take_in_folder().await.unwrap();
    let ranked = rank(&sandbox, &world, &Pins::default()).await;
    assert_eq!(ranked.context.used()[0].digest, PluginDigest::of(&second).to_string());
    // What an operator chose stays when the service starts anew.
    sandbox.step(Slot::Rank, Step::Rollback(None)).await.unwrap();
    let again = house.ready(&world).await;
    let ranked = rank(&again, &world, &Pins::default()).await;
    assert_ne!(ranked.context.used()[0].digest, PluginDigest::of(&second).to_string());
}

/// Both policies of a generation say its number. Whatever happens meanwhile, a job hears one number only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_swaps_under_load_fail_nobody_and_mix_nothing() {
    let lines = format!("accepts = [\"text\"]\n{PATIENT}");
    let house = house().with("search.wasm", &plugin("search", "search", &lines)).told("search", "say 0");
    let house = house.told("rank", "say 0");
    let world = Arc::new(World::new().with("shop", "red", [255, 0, 0], 1.0));
    let sandbox = Arc::new(house.ready(&world).await);
    let digest = |slot: Slot| {
        let store = house.store.clone();
        async move { store.activation(None, &slot).await.unwrap().unwrap().live.unwrap().digest }
    };
    let slot = Slot::Search("search".into());
    // Every swap is one of components, not of settings alone.
    let other = plugin("search", "search", &format!("title = \"other\"\n{lines}"));
    let rankers = [digest(Slot::Rank).await, sandbox.upload(&ranker("other")).await];
    let searchers = [digest(slot.clone()).await, sandbox.upload(&other).await];
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = (0..4).map(|client| {
        let (sandbox, world, over) = (sandbox.clone(), world.clone(), over.clone());
        tokio::spawn(async move {
            let mut heard = HashSet::new();
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let pins = sandbox.pin_search(&shop(), &["text"], &client.to_string());
                // As long as it may take to be claimed.
                tokio::time::sleep(Duration::from_millis(client)).await;
                let lineup = sandbox.lineup(&shop(), &pins).await.unwrap();
                let context = PolicyContext::new(
                    shop(),
                    world.shelf.clone(),
                    world.embedder.clone(),
                    taja_catalog::Filter::everything(),
                    Arc::new(RecordingJob::default()),
                );
                let legs = lineup.search(&context, vec![text("a")], 5).await.unwrap();
                let ranking = lineup.rank(&context, candidates(1)).await.unwrap();
                assert!(context.degraded().is_empty(), "{:?}", context.degraded());
                let digests = context.used().into_iter().map(|plugin| plugin.digest).collect::<Vec<_>>();
                heard.insert((legs[0].name.clone(), ranking.notes[0].1.clone(), digests));
            }
            heard
        })
    });
    let load: Vec<_> = load.collect();
    for swap in 1..=100_usize {
        let task = format!("say {swap}");
        sandbox.step(slot.clone(), Step::Activate(wanted(searchers[swap % 2], &task))).await.unwrap();
        activate(&sandbox, rankers[swap % 2], &task).await;
        tokio::task::yield_now().await;
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let events = house.store.history(None, None, usize::MAX).await.unwrap();
    let withdrawn: Vec<_> = events.iter().filter(|event| event.action == Action::Withdrawn).collect();
    assert!(withdrawn.is_empty(), "{withdrawn:?}");
    let mut generations = HashSet::new();
    for client in load {
        for (search, rank, digests) in client.await.unwrap() {
            // Two slots are two swaps: between them the ranker is one behind, and never anything else.
            let (search, rank) = (search.parse::<usize>().unwrap(), rank.parse::<usize>().unwrap());
            assert_eq!(digests, [searchers[search % 2].to_string(), rankers[rank % 2].to_string()]);
            assert!(search - rank == 0 || search - rank == 1, "search {search}, rank {rank}");
            generations.insert(rank);
        }
    }
    assert!(generations.len() > 10, "{generations:?}");
}
