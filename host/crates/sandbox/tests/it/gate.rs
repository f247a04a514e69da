//! What a slot asks of a version before it serves, and who it does not ask.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use taja_catalog::{
    PluginDigest,
    plugins::{Action, Activation, Evidence, Gate, Lacking, Slot},
};
use taja_sandbox::{Order, OrderError, Step};

use crate::{
    fakes::{World, id},
    guests::{Opened, wanted},
    life::{actions, house, live, ranker},
};

const GATE: Step = Step::Gate(Some(Gate { max_age_seconds: 3600 }));

/// Takes a step with the ranking of a shop, or everybody's, that shows this.
async fn showing(
    sandbox: &Opened,
    tenant: Option<&str>,
    step: Step,
    evidence: &Evidence,
) -> Result<Activation, OrderError> {
    let (tenant, evidence) = (tenant.map(id), Some(evidence.clone()));
    let order = Order { tenant, slot: Slot::Rank, step, evidence, reason: String::new(), by: "test".into() };
    sandbox.order(&order).await
}

/// That this version, told this, finds no less than what is live.
async fn measured(sandbox: &Opened, digest: PluginDigest, task: &str) -> Evidence {
    // A shadow serves nobody, and is not asked.
    let row = sandbox.step(Slot::Rank, Step::StartShadow(wanted(digest, task), 1)).await.unwrap();
    sandbox.step(Slot::Rank, Step::StopShadow).await.unwrap();
    let (live, candidate) = (row.live.map(|live| live.id()), row.shadow.unwrap().choice.id());
    let judged_by = (id("shop"), "names".parse().unwrap());
    Evidence { judged_by, slot: Slot::Rank, live, candidate, is_worse: false, at: jiff::Timestamp::now() }
}

fn lacking(result: Result<Activation, OrderError>) -> Lacking {
    match result {
        Err(OrderError::Lacking(lacking)) => lacking,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_serves_that_does_not_show_that_it_finds_no_less() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    assert_eq!(sandbox.step(Slot::Rank, GATE).await.unwrap().gate, Some(Gate { max_age_seconds: 3600 }));
    let before = live(&house).await;
    let steps =
        || [Step::Activate(wanted(second, "say two")), Step::StartCanary(wanted(second, "say two"), 50)];
    for step in steps() {
        assert!(matches!(lacking(sandbox.step(Slot::Rank, step).await), Lacking::Missing(_)));
    }
    let good = measured(&sandbox, second, "say two").await;
    let worse = Evidence { is_worse: true, ..good.clone() };
    let old = Evidence { at: good.at - jiff::SignedDuration::from_hours(2), ..good.clone() };
    let other = measured(&sandbox, second, "say three").await;
    for step in steps() {
        let refused = async |shown: &Evidence| lacking(showing(&sandbox, None, step.clone(), shown).await);
        assert_eq!(refused(&worse).await, Lacking::Worse);
        assert!(matches!(refused(&old).await, Lacking::Stale(_)));
        assert!(matches!(refused(&other).await, Lacking::Missing(_)));
    }
    assert_eq!(live(&house).await.live, before.live);
    for step in steps().into_iter().rev() {
        showing(&sandbox, None, step, &good).await.unwrap();
    }
    let stale = showing(&sandbox, None, Step::Activate(wanted(second, "say three")), &other).await;
    assert!(matches!(lacking(stale), Lacking::Stale(_)), "something else serves by now");

    // The way back asks for nothing, nor does what serves already.
    sandbox.step(Slot::Rank, Step::Activate(wanted(second, "say two"))).await.unwrap();
    let back = sandbox.step(Slot::Rank, Step::Rollback(None)).await.unwrap();
    assert_eq!((back.live, back.gate), (before.live, Some(Gate { max_age_seconds: 3600 })));
    assert_eq!(sandbox.step(Slot::Rank, Step::Gate(None)).await.unwrap().gate, None);
    sandbox.step(Slot::Rank, Step::Activate(wanted(second, "say two"))).await.unwrap();
    let said = actions(&house).await;
    assert_eq!(said[..3], [Action::Activated, Action::GateLifted, Action::RolledBack]);
    assert!(said.contains(&Action::GateSet));
}

#[tokio::test]
async fn what_is_shown_is_looked_at_where_nothing_is_asked_for() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    let good = measured(&sandbox, second, "say two").await;
    let step = || Step::Activate(wanted(second, "say two"));
    let worse = Evidence { is_worse: true, ..good.clone() };
    assert_eq!(lacking(showing(&sandbox, None, step(), &worse).await), Lacking::Worse);
    let old = Evidence { at: jiff::Timestamp::UNIX_EPOCH, ..good };
    showing(&sandbox, None, step(), &old).await.unwrap();
}

#[tokio::test]
async fn a_shop_that_has_nothing_of_its_own_is_measured_beside_everybodys_choice() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&ranker("second")).await;
    let gate = Order {
        tenant: Some(id("shop")),
        slot: Slot::Rank,
        step: GATE,
        evidence: None,
        reason: String::new(),
        by: "test".into(),
    };
    sandbox.order(&gate).await.unwrap();
    let good = measured(&sandbox, second, "say two").await;
    let step = || Step::Activate(wanted(second, "say two"));
    let beside_nothing = Evidence { live: None, ..good.clone() };
    let stale = showing(&sandbox, Some("shop"), step(), &beside_nothing).await;
    assert!(matches!(lacking(stale), Lacking::Stale(_)));
    let row = showing(&sandbox, Some("shop"), step(), &good).await.unwrap();
    assert_eq!(row.live.unwrap().digest, second);
    // Nobody else is asked: the gate is the shop's own.
    sandbox.step(Slot::Rank, step()).await.unwrap();
}

#[tokio::test]
async fn who_decides_on_new_products_cannot_be_measured() {
    let (world, house) = (World::new(), house());
    let sandbox = house.ready(&world).await;
    let refused = sandbox.step(Slot::Ingest, GATE).await;
    assert!(matches!(refused, Err(OrderError::Refused(_))), "{refused:?}");
}
