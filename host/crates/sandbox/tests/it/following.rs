//! How a process follows its store when that is slow, fails, or holds what cannot be followed.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::sync::{Arc, atomic::Ordering::SeqCst};

use taja_catalog::{
    PluginDigest,
    plugins::Slot,
    policy::{Pins, Policies},
    recording::{Answer, Tape},
};
use taja_sandbox::{OrderError, Step, manifest};

use crate::{
    fakes::{World, id},
    guests::{House, manifest_text, plugin, wanted},
    life::{actions, activate, house, live, rank, rank_for, ranker, shop, step_for},
    rank::candidates,
    store::{Hand, Moody},
};

/// A component that says it ranks, and does not.
fn not_a_ranker() -> Vec<u8> {
    manifest::embed(&wat::parse_str("(component)").unwrap(), &manifest_text("rank", "rank", "")).unwrap()
}

#[tokio::test]
async fn a_job_that_goes_away_while_a_change_is_followed_leaves_nothing_half_done() {
    let (world, house) = (World::new(), house());
    let (here, store) = (house.ready(&world).await, Moody::over(&house.store));
    let there = house.open_over(&store, &world).await;
    let second = here.upload(&ranker("second")).await;
    activate(&here, second, "say two").await;
    store.held.send_replace(vec![second]);
    let (tenant, pins) = (shop(), here.pin_search(&shop(), &[], "s"));
    let mut job = Box::pin(there.lineup(&tenant, &pins));
    tokio::select! {
        _ = &mut job => panic!("what it is pinned to is not there yet"),
        () = store.is_asked_for(second) => {}
    }
    drop(job);
    store.held.send_replace(Vec::new());
    there.settled().await;
    assert_eq!(rank(&there, &world, &Pins::default()).await.said(), "two");
}

#[tokio::test]
async fn a_trouble_stands_while_it_is_tried_again_whoever_goes_away_meanwhile() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let store = Moody::over(&house.store);
    let sandbox = house.open_over(&store, &world).await;
    let bad = not_a_ranker();
    house.keep_active_over(&bad, &[], "", live(&house).await.revision).await;
    sandbox.refresh().await.unwrap();
    sandbox.settled().await;
    let troubles = sandbox.troubles();
    assert!(troubles[0].2.contains("world rank"), "{troubles:?}");
    store.held.send_replace(vec![PluginDigest::of(&bad)]);
    clock.advance(5);
    let (tenant, unknown) = (shop(), Pins([(Slot::Rank, "unknown".to_owned())].into()));
    sandbox.refresh().await.unwrap();
    let mut job = Box::pin(sandbox.lineup(&tenant, &unknown));
    assert!(futures::poll!(&mut job).is_pending(), "it waits for what may be its choice");
    drop(job);
    assert_eq!(sandbox.troubles(), troubles);
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    store.held.send_replace(Vec::new());
    sandbox.settled().await;
    assert_eq!(sandbox.troubles(), troubles);
}

#[tokio::test]
async fn while_one_shops_component_is_slow_everybody_else_is_followed() {
    let (world, house) = (World::new(), house());
    let (here, store) = (house.ready(&world).await, Moody::over(&house.store));
    let there = house.open_over(&store, &world).await;
    let (slow, quick) = (here.upload(&ranker("slow")).await, here.upload(&ranker("quick")).await);
    store.held.send_replace(vec![slow]);
    step_for(&here, "slow", Step::Activate(wanted(slow, "say slow"))).await.unwrap();
    step_for(&here, "other", Step::Activate(wanted(quick, "say quick"))).await.unwrap();
    // One read of the store sees both.
    let pins = here.pin_search(&id("other"), &[], "s");
    assert_eq!(rank_for(&there, &world, "other", &pins).await.said(), "quick");
    assert_eq!(there.troubles(), []);
    assert_eq!(rank_for(&there, &world, "slow", &Pins::default()).await.said(), "one");
    step_for(&there, "other", Step::Activate(wanted(quick, "say again"))).await.unwrap();
    assert_eq!(rank_for(&there, &world, "other", &Pins::default()).await.said(), "again");
    store.held.send_replace(Vec::new());
    there.settled().await;
    assert_eq!(rank_for(&there, &world, "slow", &Pins::default()).await.said(), "slow");
}

#[tokio::test]
async fn what_cannot_be_followed_is_tried_again_at_growing_distances_and_at_once_when_it_changes() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let store = Moody::over(&house.store);
    let sandbox = house.open_over(&store, &world).await;
    let bad = not_a_ranker();
    let digest = PluginDigest::of(&bad);
    house.keep_active_over(&bad, &[], "", live(&house).await.revision).await;
    let tries_after = async |seconds: u64| {
        clock.advance(seconds);
        sandbox.refresh().await.unwrap();
        sandbox.settled().await;
        store.times(digest)
    };
    assert_eq!(tries_after(0).await, 1);
    assert!(sandbox.troubles()[0].2.contains("world rank"), "{:?}", sandbox.troubles());
    let early = [(4, 1), (1, 2), (9, 2), (1, 3), (19, 3), (1, 4), (40, 5), (80, 6), (160, 7), (320, 8)];
    let at_last = [(599, 8), (1, 9), (599, 9), (1, 10)];
    for (seconds, tries) in early.into_iter().chain(at_last) {
        assert_eq!(tries_after(seconds).await, tries, "{seconds}");
    }
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    house.keep_active_over(&bad, &[], "other settings", live(&house).await.revision).await;
    assert_eq!(tries_after(0).await, 11);
    let good = sandbox.upload(&ranker("good")).await;
    activate(&sandbox, good, "say good").await;
    assert_eq!(sandbox.troubles(), []);
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "good");
}

#[tokio::test]
async fn a_step_that_the_store_has_is_taken_and_announced_whatever_fails_then() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let store = Moody::over(&house.store);
    let sandbox = house.open_over(&store, &world).await;
    let second = sandbox.upload(&ranker("second")).await;
    let mut changes = sandbox.changes();
    changes.mark_unchanged();
    store.goes_blind.store(true, SeqCst);
    let stored = activate(&sandbox, second, "say two").await;
    assert_eq!(stored, live(&house).await);
    assert_eq!(*changes.borrow_and_update(), stored.revision);
    assert!(sandbox.troubles()[0].2.contains("is away"), "{:?}", sandbox.troubles());
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    store.goes_blind.store(false, SeqCst);
    store.is_blind.store(false, SeqCst);
    clock.advance(5);
    sandbox.refresh().await.unwrap();
    sandbox.settled().await;
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "two");
    // What the store did not take was not taken.
    store.is_stiff.store(true, SeqCst);
    let error = sandbox.step(Slot::Rank, Step::Rollback(None)).await.unwrap_err();
    assert!(matches!(error, OrderError::Store(_)), "{error}");
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_withdrawal_that_the_store_did_not_take_is_tried_again() {
    let (world, house) = (World::new(), house());
    let store = Moody::over(&house.store);
    let sandbox = house.open_over(&store, &world).await;
    let second = sandbox.upload(&ranker("second")).await;
    activate(&sandbox, second, "nan").await;
    store.is_stiff.store(true, SeqCst);
    for _ in 0..5 {
        assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    }
    sandbox.settled().await;
    assert_eq!(live(&house).await.live.unwrap().digest, second);
    store.is_stiff.store(false, SeqCst);
    sandbox.refresh().await.unwrap();
    sandbox.settled().await;
    assert_ne!(live(&house).await.live.unwrap().digest, second);
    // Once is enough.
    let told = actions(&house).await;
    sandbox.refresh().await.unwrap();
    sandbox.settled().await;
    assert_eq!(actions(&house).await, told);
}

#[tokio::test]
async fn another_process_plays_the_golden_requests_before_a_version_serves_there() {
    let (world, house) = (World::new(), house());
    let here = house.ready(&world).await;
    let tape = Arc::new(Tape::default());
    let context = world.context("shop", "").with_tape(tape.clone());
    here.lineup(&shop(), &Pins::default()).await.unwrap().rank(&context, candidates(10)).await.unwrap();
    let mut recording = tape.recording(shop(), jiff::Timestamp::now()).unwrap();
    let good = recording.to_json().unwrap();
    let Answer::Ranking(ranking) = &mut recording.calls[0].answer else { panic!("not a ranking") };
    ranking.products.swap(0, 9);
    let bad = recording.to_json().unwrap();
    let with = |golden: &str| manifest::embed_goldens(&ranker("second"), golden.as_bytes()).unwrap();
    // As if these had been answered so where the version was admitted.
    house.keep_active_over(&with(&bad), &[], "say two", live(&house).await.revision).await;
    here.refresh().await.unwrap();
    here.settled().await;
    let reason = here.troubles().remove(0).2;
    assert!(reason.contains("golden request 1 is answered otherwise"), "{reason}");
    assert_eq!(rank(&here, &world, &Pins::default()).await.said(), "one");
    house.keep_active_over(&with(&good), &[], "say two", live(&house).await.revision).await;
    here.refresh().await.unwrap();
    here.settled().await;
    assert_eq!(rank(&here, &world, &Pins::default()).await.said(), "two");
}

#[tokio::test]
async fn a_version_that_is_activated_where_it_was_not_loaded_is_loaded_once() {
    let (world, house) = (World::new(), house());
    let (here, store) = (house.ready(&world).await, Moody::over(&house.store));
    let there = house.open_over(&store, &world).await;
    let second = here.upload(&ranker("second")).await;
    activate(&there, second, "say two").await;
    assert_eq!(rank(&there, &world, &Pins::default()).await.said(), "two");
    assert_eq!(store.times(second), 1);
}

#[tokio::test]
async fn a_folder_of_older_files_does_not_take_over_when_its_process_starts_again() {
    let version = |version: &str| {
        let text = manifest_text("rank", "rank", crate::life::PATIENT);
        let text = text.replace("1.2.3", version);
        manifest::embed(&crate::component::fixture("rank"), &text).unwrap()
    };
    let world = World::new();
    let old = House::empty().with("rank.wasm", &version("1.0.0"));
    let mut new = House::empty().with("rank.wasm", &version("1.1.0"));
    new.store = old.store.clone();
    let serving = async |house: &House| live(house).await.live.unwrap().version;
    old.ready(&world).await;
    let upgraded = new.ready(&world).await;
    assert_eq!(serving(&old).await, "1.1.0");
    old.ready(&world).await;
    assert_eq!(serving(&old).await, "1.1.0", "an old process starts again");
    // Somebody who puts the old file where a process looks means it.
    std::fs::write(new.folder.path().join("rank.wasm"), version("1.0.0")).unwrap();
    upgraded.take_in_folder().await.unwrap();
    assert_eq!(serving(&old).await, "1.0.0");
    // A new process brings a higher version that is known already.
    let mut new = House::empty().with("rank.wasm", &version("1.1.0"));
    new.store = old.store.clone();
    new.ready(&world).await;
    assert_eq!(serving(&old).await, "1.1.0");
}

#[tokio::test]
async fn what_nobody_called_for_a_day_is_not_counted_any_more() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let sandbox = house.ready(&world).await;
    rank_for(&sandbox, &world, "early", &Pins::default()).await;
    clock.advance(24 * 3600 - 1);
    rank_for(&sandbox, &world, "late", &Pins::default()).await;
    let counted = async || {
        sandbox.refresh().await.unwrap();
        sandbox.statistics().into_iter().map(|row| row.tenant).collect::<Vec<_>>()
    };
    assert_eq!(counted().await.len(), 2);
    clock.advance(1);
    assert_eq!(counted().await, [id("late")]);
}

#[tokio::test]
async fn a_search_plugin_cannot_take_what_another_one_answers_or_is_tried_with() {
    let (world, house) = (World::new(), House::empty());
    let sandbox = house.open(&world).await;
    let searcher = async |name: &str, accepts: &str| {
        sandbox.upload(&plugin("search", name, &format!("accepts = [{accepts}]"))).await
    };
    let slot = |name: &str| Slot::Search(name.into());
    let words = searcher("words", "\"text\"").await;
    let more_words = searcher("words", "\"text\", \"sound\"").await;
    let (sound, smell) = (searcher("ears", "\"sound\"").await, searcher("ears", "\"smell\"").await);
    sandbox.step(slot("words"), Step::Activate(wanted(words, ""))).await.unwrap();
    sandbox.step(slot("words"), Step::StartCanary(wanted(more_words, ""), 1)).await.unwrap();
    let refused = async |step| sandbox.step(slot("ears"), step).await.unwrap_err().to_string();
    let reason = refused(Step::Activate(wanted(sound, ""))).await;
    assert!(reason.contains("\"sound\" is taken by the plugin \"words\""), "{reason}");
    sandbox.step(slot("words"), Step::StopCanary).await.unwrap();
    sandbox.step(slot("ears"), Step::Activate(wanted(sound, ""))).await.unwrap();
    let error = sandbox.step(slot("words"), Step::StartCanary(wanted(more_words, ""), 1)).await.unwrap_err();
    assert!(error.to_string().contains("\"sound\" is taken by the plugin \"ears\""), "{error}");
    // Nor by going back to what answered it.
    sandbox.step(slot("ears"), Step::Activate(wanted(smell, ""))).await.unwrap();
    sandbox.step(slot("words"), Step::Activate(wanted(more_words, ""))).await.unwrap();
    let reason = refused(Step::Rollback(None)).await;
    assert!(reason.contains("\"sound\" is taken by the plugin \"words\""), "{reason}");
}
