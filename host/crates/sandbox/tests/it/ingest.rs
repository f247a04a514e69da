//! Ingesting guests.

use std::{sync::Arc, time::Duration};

use taja_catalog::{
    Details,
    policy::{DropReason, Outcome, PolicyFault, Submission},
};

use crate::{
    fakes::{World, id, picture},
    guests::{House, plugin},
};

pub(crate) fn submission() -> Submission {
    let details =
        Details { name: " red shoe ".into(), price: 9.5, sku: Some("a-1".into()), ..Details::default() };
    let uploads = vec![(0, Arc::new(picture([255, 0, 0]))), (3, Arc::new(picture([0, 255, 0])))];
    Submission { details, uploads }
}

async fn decide(task: &str, world: &World) -> Result<taja_catalog::policy::Decision, PolicyFault> {
    let component = plugin("ingest", "ingest", "");
    let sandbox = House::empty().with("ingest.wasm", &component).told("ingest", task).ready(world).await;
    sandbox.ingest(&world.context("shop", ""), submission()).await.map_err(|error| error.fault)
}

#[tokio::test]
async fn a_picture_the_shop_has_already_is_dropped_with_its_evidence() {
    let world = World::new().with("shop", "old", [0, 255, 0], 1.0).with("other", "theirs", [255, 0, 0], 1.0);
    let decision = decide("", &world).await.unwrap();
    let Outcome::Create { details, keep, index_text } = decision.outcome else { panic!("not created") };
    assert_eq!((details.name.as_str(), details.sku.as_deref()), ("red shoe", Some("a-1")));
    assert_eq!((keep, index_text.as_str()), (vec![0], "red shoe"));
    let dropped = &decision.dropped[0];
    assert_eq!(
        (dropped.index, dropped.reason, &dropped.product),
        (3, DropReason::ExactDuplicate, &Some(id("old")))
    );
}

#[rstest::rstest]
#[case("invent-picture", "picture 99")]
#[case("spoil-price", "price")]
#[tokio::test]
async fn a_decision_that_cannot_be_is_refused(#[case] task: &str, #[case] says: &str) {
    match decide(task, &World::new()).await {
        Err(PolicyFault::InvalidAnswer(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("accepted: {other:?}"),
    }
}

#[tokio::test]
async fn an_ingestion_waits_for_its_place_for_as_long_as_it_takes() {
    let slow = plugin("ingest", "ingest", "[limits]\ncpu_ms = 100\nwall_ms = 30000");
    let mut house = House::empty().with("ingest.wasm", &slow).told("ingest", "spin");
    house.config.concurrency = 1;
    house.config.queue_wait = Duration::from_millis(1);
    let world = World::new();
    let sandbox = house.ready(&world).await;
    let contexts = [(); 4].map(|()| world.context("shop", ""));
    let calls = contexts.iter().map(|context| sandbox.ingest(context, submission()));
    for answer in futures::future::join_all(calls).await {
        let fault = answer.unwrap_err().fault;
        assert!(matches!(fault, PolicyFault::Timeout { what: "cpu", .. }), "{fault}");
    }
}
