//! Jobs that were accepted before a change: they stay with their choices, for their time.

use taja_catalog::{
    plugins::Slot,
    policy::{Content, Pins, Policies},
};
use taja_sandbox::Step;

use crate::{
    fakes::{World, part, text},
    guests::{House, plugin, wanted},
    life::{PATIENT, activate, house, rank, ranker, shop, step_for},
    store::{Hand, Moody},
};

#[tokio::test]
async fn a_shop_that_gets_or_gives_up_a_ranker_of_its_own_finishes_jobs_with_what_they_began_with() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let sandbox = house.ready(&world).await;
    let everybodys = sandbox.pin_search(&shop(), &[], "s");
    let own = sandbox.upload(&ranker("own")).await;
    step_for(&sandbox, "shop", Step::Activate(wanted(own, "say ours"))).await.unwrap();
    let ours = sandbox.pin_search(&shop(), &[], "s");
    assert_eq!(rank(&sandbox, &world, &everybodys).await.said(), "one");
    assert_eq!(rank(&sandbox, &world, &ours).await.said(), "ours");
    step_for(&sandbox, "shop", Step::Deactivate).await.unwrap();
    for process in [&sandbox, &house.open(&world).await] {
        assert_eq!(rank(process, &world, &ours).await.said(), "ours");
        assert_eq!(rank(process, &world, &Pins::default()).await.said(), "one");
    }
    clock.advance(119);
    assert_eq!(rank(&sandbox, &world, &ours).await.said(), "ours");
    // Nobody needs to change anything for the time to be over.
    clock.advance(1);
    assert_eq!(rank(&sandbox, &world, &ours).await.said(), "one");
}

#[tokio::test]
async fn what_is_drained_is_let_go_without_any_further_change() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let (here, store) = (house.ready(&world).await, Moody::over(&house.store));
    let there = house.open_over(&store, &world).await;
    let own = here.upload(&ranker("own")).await;
    let follow = async |step: Step, seconds: u64| {
        step_for(&here, "shop", step).await.unwrap();
        there.refresh().await.unwrap();
        there.settled().await;
        clock.advance(seconds);
        there.refresh().await.unwrap();
        store.times(own)
    };
    let activate = || Step::Activate(wanted(own, "say ours"));
    assert_eq!(follow(activate(), 0).await, 1);
    assert_eq!(follow(Step::Deactivate, 119).await, 1);
    assert_eq!(follow(activate(), 0).await, 1, "it was kept");
    assert_eq!(follow(Step::Deactivate, 120).await, 1);
    assert_eq!(follow(activate(), 0).await, 2, "it was let go and had to be loaded anew");
}

#[tokio::test]
async fn a_trial_that_was_stopped_finishes_its_jobs() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartCanary(wanted(second, "say trial"), 100)).await.unwrap();
    let pins = sandbox.pin_search(&shop(), &[], "s");
    sandbox.step(Slot::Rank, Step::StopCanary).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    assert_eq!(rank(&sandbox, &world, &pins).await.said(), "trial");
}

#[tokio::test]
async fn a_process_that_slept_through_many_changes_honours_what_others_accepted_meanwhile() {
    let (world, house) = (World::new(), house());
    let (here, there) = (house.ready(&world).await, house.ready(&world).await);
    let first = there.pin_search(&shop(), &[], "s");
    let mut pins = Vec::new();
    for name in ["b", "c", "d", "e", "f"] {
        let digest = here.upload(&ranker(name)).await;
        activate(&here, digest, &format!("say {name}")).await;
        pins.push((name, here.pin_search(&shop(), &[], "s")));
    }
    for process in [&there, &here, &house.open(&world).await] {
        for (name, pins) in &pins {
            assert_eq!(rank(process, &world, pins).await.said(), *name);
        }
        assert_eq!(rank(process, &world, &first).await.said(), "one");
    }
    // What is gone back from is not honoured; all else is.
    here.step(Slot::Rank, Step::Rollback(None)).await.unwrap();
    for process in [&here, &house.open(&world).await] {
        assert_eq!(rank(process, &world, &first).await.said(), "one");
        assert_eq!(rank(process, &world, &pins[0].1).await.said(), "b");
        assert_eq!(rank(process, &world, &pins[4].1).await.said(), "e", "f was gone back from");
    }
}

#[tokio::test]
async fn a_job_is_searched_by_what_accepted_its_modality_when_it_came_in() {
    let world = World::new().with("shop", "red", [255, 0, 0], 1.0);
    let searcher = |accepts: &str| plugin("search", "search", &format!("accepts = [{accepts}]\n{PATIENT}"));
    let house = House::empty().with("s.wasm", &searcher("\"text\", \"sound\"")).told("search", "say both");
    let sandbox = house.ready(&world).await;
    let slot = Slot::Search("search".into());
    let search = async |pins: &Pins, part| {
        let lineup = sandbox.lineup(&shop(), pins).await.unwrap();
        lineup.search(&world.context("shop", ""), vec![part], 5).await.map(|mut legs| legs.remove(0).name)
    };
    let sound = || part("sound", Content::Text("la".into()));
    let accepted = sandbox.pin_search(&shop(), &["sound"], "s");
    let text_only = sandbox.upload(&searcher("\"text\"")).await;
    // A trial that cannot answer a job does not get it.
    sandbox.step(slot.clone(), Step::StartCanary(wanted(text_only, "say text"), 100)).await.unwrap();
    let on_trial = sandbox.pin_search(&shop(), &["text"], "s");
    assert_eq!(search(&on_trial, text("a")).await.unwrap(), "text");
    assert_eq!(sandbox.pin_search(&shop(), &["sound"], "s"), accepted);
    assert_eq!(sandbox.pin_search(&shop(), &["sound", "text"], "s"), accepted);
    sandbox.step(slot, Step::Activate(wanted(text_only, "say text"))).await.unwrap();
    assert_eq!(search(&accepted, sound()).await.unwrap(), "both");
    assert_eq!(search(&Pins::default(), text("a")).await.unwrap(), "text");
    let error = search(&Pins::default(), sound()).await.unwrap_err();
    assert!(error.to_string().contains("accepts \"sound\""), "{error}");
}
