//! Who stands in when a policy fails, and what becomes of one that goes on failing.

use taja_catalog::{
    plugins::{Action, Part, PluginStore, Slot, Tally},
    policy::{Pins, Policies, Substitute},
};
use taja_sandbox::Step;

use crate::{
    fakes::World,
    guests::{House, Opened, plugin, wanted},
    life::{PATIENT, actions, activate, house, last_event, live, rank, rank_for, ranker, shop, step_for},
    store::Hand,
};

fn tally(sandbox: &Opened, digest: taja_catalog::PluginDigest, part: Part) -> Tally {
    let mut rows = sandbox.statistics().into_iter();
    rows.find(|row| row.digest == digest && row.part == part).map(|row| row.tally).unwrap_or_default()
}

/// Ranks until something is done about it.
async fn rank_until(house: &House, sandbox: &Opened, world: &World, action: Action) {
    for _ in 0..400 {
        rank(sandbox, world, &Pins::default()).await;
        if actions(house).await[0] == action {
            sandbox.settled().await;
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nothing was done: {:?}", actions(house).await);
}

#[tokio::test]
async fn what_fails_is_asked_once_more_and_then_the_one_before_answers() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let first = live(&house).await.live.unwrap().digest;
    let second = sandbox.upload(&ranker("second")).await;
    activate(&sandbox, second, "panic").await;
    let ranked = rank(&sandbox, &world, &Pins::default()).await;
    assert_eq!(ranked.said(), "one");
    let degraded = ranked.context.degraded();
    assert_eq!((degraded.len(), degraded[0].substitute), (1, Substitute::Previous));
    assert_eq!(degraded[0].plugin.digest, second.to_string());
    assert_eq!(tally(&sandbox, second, Part::Live).outcomes, [("trap".to_owned(), 2)].into());
    assert_eq!(tally(&sandbox, first, Part::Live).outcomes, [("ok".to_owned(), 1)].into());
}

#[tokio::test]
async fn what_answers_with_an_error_is_not_asked_again() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    activate(&sandbox, second, "error").await;
    let ranked = rank(&sandbox, &world, &Pins::default()).await;
    assert_eq!(ranked.context.degraded()[0].substitute, Substitute::Previous);
    assert_eq!(tally(&sandbox, second, Part::Live).outcomes, [("guest_error".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_ranker_that_only_answers_with_errors_is_withdrawn() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    activate(&sandbox, second, "error").await;
    rank_until(&house, &sandbox, &world, Action::Withdrawn).await;
    assert_ne!(live(&house).await.live.unwrap().digest, second);
    let reason = last_event(&house).await.reason;
    assert!(reason.contains("answered with an error"), "{reason}");
}

#[tokio::test]
async fn what_went_live_and_runs_out_of_time_is_withdrawn() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&plugin("rank", "rank", "[limits]\ncpu_ms = 5\nwall_ms = 30000")).await;
    activate(&sandbox, second, "spin").await;
    let ranked = rank(&sandbox, &world, &Pins::default()).await;
    assert_eq!((ranked.said(), ranked.context.degraded()[0].substitute), ("one", Substitute::Previous));
    rank_until(&house, &sandbox, &world, Action::Withdrawn).await;
    assert_ne!(live(&house).await.live.unwrap().digest, second);
    let reason = last_event(&house).await.reason;
    assert!(reason.contains("ran longer than its"), "{reason}");
}

/// By its own calls since it is watched: neither is it compared with itself, for being the same version, nor does it carry
/// on what it was withdrawn for.
#[tokio::test]
async fn settings_that_make_what_is_live_slow_are_withdrawn_and_others_of_the_same_version_stay() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let first = live(&house).await.live.unwrap().digest;
    for _ in 0..60 {
        rank(&sandbox, &world, &Pins::default()).await;
    }
    activate(&sandbox, first, "slow").await;
    rank_until(&house, &sandbox, &world, Action::Withdrawn).await;
    let reason = last_event(&house).await.reason;
    assert!(reason.contains("nine calls of ten"), "{reason}");
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    sandbox.step(Slot::Rank, Step::StartCanary(wanted(first, "say quick"), 100)).await.unwrap();
    for session in 0..60 {
        let pins = sandbox.pin_search(&shop(), &[], &session.to_string());
        assert_eq!(rank(&sandbox, &world, &pins).await.said(), "quick");
    }
    sandbox.settled().await;
    assert!(live(&house).await.canary.is_some());
}

#[tokio::test]
async fn a_shops_first_own_ranker_is_stood_in_for_by_everybodys_and_withdrawn_when_it_goes_on_failing() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let own = sandbox.upload(&ranker("own")).await;
    step_for(&sandbox, "shop", Step::Activate(wanted(own, "panic"))).await.unwrap();
    let ranked = rank(&sandbox, &world, &Pins::default()).await;
    assert_eq!((ranked.said(), ranked.context.degraded()[0].substitute), ("one", Substitute::Everybody));
    assert_eq!(tally(&sandbox, own, Part::Live).outcomes["trap"], 2);
    rank(&sandbox, &world, &Pins::default()).await;
    sandbox.settled().await;
    let row = house.store.activation(Some(&shop()), &Slot::Rank).await.unwrap().unwrap();
    assert_eq!((row.live, row.changed_by.as_str()), (None, "service"));
    let ranked = rank(&sandbox, &world, &Pins::default()).await;
    assert_eq!((ranked.said(), ranked.context.degraded()), ("one", Vec::new()));
    assert_eq!(rank_for(&sandbox, &world, "other", &Pins::default()).await.context.degraded(), []);
}

#[tokio::test]
async fn what_nobody_could_replace_stays_however_it_fails() {
    let world = World::new();
    let house = House::empty().with("rank.wasm", &ranker("first")).told("rank", "panic");
    let sandbox = house.ready(&world).await;
    let own = sandbox.upload(&plugin("search", "ears", &format!("accepts = [\"sound\"]\n{PATIENT}"))).await;
    let order = taja_sandbox::Order {
        evidence: None,
        tenant: Some(shop()),
        slot: Slot::Search("ears".into()),
        step: Step::Activate(wanted(own, "panic")),
        reason: String::new(),
        by: "test".into(),
    };
    sandbox.order(&order).await.unwrap();
    for _ in 0..5 {
        let ranked = rank(&sandbox, &world, &Pins::default()).await;
        assert_eq!(ranked.context.degraded()[0].substitute, Substitute::Host);
        let lineup = sandbox.lineup(&shop(), &Pins::default()).await.unwrap();
        let sound = crate::fakes::part("sound", taja_catalog::policy::Content::Text("la".into()));
        let error = lineup.search(&world.context("shop", ""), vec![sound], 5).await.unwrap_err();
        assert!(error.to_string().contains("out of cheese"), "{error}");
    }
    sandbox.settled().await;
    assert_eq!(actions(&house).await, [Action::Activated]);
    let row = house.store.activation(Some(&shop()), &order.slot).await.unwrap().unwrap();
    assert!(row.live.is_some());
}

#[tokio::test]
async fn what_went_live_is_watched_for_ten_minutes_and_no_longer() {
    let (world, mut house, clock) = (World::new(), house(), Hand::now());
    house.config.clock = clock.clone();
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    let fails = async |process: &Opened| {
        for _ in 0..3 {
            assert_eq!(rank(process, &world, &Pins::default()).await.said(), "one");
        }
        process.settled().await;
        actions(&house).await[0] == Action::Withdrawn
    };
    activate(&sandbox, second, "nan").await;
    clock.advance(599);
    assert!(fails(&house.open(&world).await).await, "also by a process that starts anew");
    sandbox.refresh().await.unwrap();
    activate(&sandbox, second, "nan").await;
    clock.advance(590);
    // Another change of the slot does not begin it again.
    let third = sandbox.upload(&ranker("third")).await;
    sandbox.step(Slot::Rank, Step::StartShadow(wanted(third, "say shadow"), 1000)).await.unwrap();
    clock.advance(10);
    assert!(!fails(&sandbox).await);
    clock.advance(600);
    assert!(!fails(&house.open(&world).await).await);
    assert_eq!(live(&house).await.live.unwrap().digest, second);
}

#[tokio::test]
async fn a_shadow_that_goes_on_failing_is_counted_and_withdrawn() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartShadow(wanted(second, "panic"), 1)).await.unwrap();
    for calls in 1..=3 {
        assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
        sandbox.settled().await;
        assert_eq!(tally(&sandbox, second, Part::Shadow).outcomes["trap"], calls);
    }
    assert_eq!(live(&house).await.shadow, None);
    let last = last_event(&house).await;
    assert_eq!((last.action, last.choice.unwrap().digest), (Action::Withdrawn, second));
    rank(&sandbox, &world, &Pins::default()).await;
    sandbox.settled().await;
    let tally = tally(&sandbox, second, Part::Shadow);
    assert_eq!((tally.calls(), tally.compared), (3, 0));
}

#[tokio::test]
async fn a_shadow_that_is_slow_is_measured_and_waited_for_by_nobody() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    sandbox.step(Slot::Rank, Step::StartShadow(wanted(second, "slow"), 1)).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    assert_eq!(tally(&sandbox, second, Part::Shadow).calls(), 0, "it is still at it");
    sandbox.settled().await;
    let tally = tally(&sandbox, second, Part::Shadow);
    assert_eq!((tally.outcomes["ok"], tally.compared, tally.scored), (1, 1, 1));
    assert!(tally.quantile_micros(0.5).unwrap() > 128_000, "{tally:?}");
    assert!(live(&house).await.shadow.is_some());
}

#[tokio::test]
async fn a_shadow_is_compared_with_what_is_live_and_never_with_who_stands_in() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let first = sandbox.pin_search(&shop(), &[], "s");
    let (second, third) = (sandbox.upload(&ranker("second")).await, sandbox.upload(&ranker("third")).await);
    activate(&sandbox, second, "error").await;
    sandbox.step(Slot::Rank, Step::StartShadow(wanted(third, "say shadow"), 1)).await.unwrap();
    assert_eq!(rank(&sandbox, &world, &Pins::default()).await.said(), "one");
    // Nor with what was live when the job was accepted.
    assert_eq!(rank(&sandbox, &world, &first).await.said(), "one");
    sandbox.settled().await;
    assert_eq!(tally(&sandbox, third, Part::Shadow).calls(), 0);
    activate(&sandbox, second, "say two").await;
    rank(&sandbox, &world, &Pins::default()).await;
    sandbox.settled().await;
    assert_eq!(tally(&sandbox, third, Part::Shadow).compared, 1);
}
