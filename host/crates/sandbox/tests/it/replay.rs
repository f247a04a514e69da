//! Recorded calls, played again; and golden requests, which are such recordings inside a component.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use taja_catalog::{
    policy::{Pins, Policies},
    recording::{Answer, RecordedCall, Recording, Tape},
};
use taja_sandbox::{AddError, Capability, Player, PluginState, Replayed, Upload, manifest};

use crate::{
    fakes::{World, id, image, text, video},
    guests::{House, Opened, plugin},
    rank::candidates,
};

/// Time enough for any machine.
const PATIENT: &str = "[limits]\ncpu_ms = 8000\nwall_ms = 30000";
const ALL: &str = "accepts = [\"text\", \"image\", \"video\"]";

fn ranker(title: &str) -> Vec<u8> {
    plugin("rank", "rank", &format!("title = \"{title}\"\n{PATIENT}"))
}

fn searcher() -> Vec<u8> {
    plugin("search", "search", &format!("{ALL}\n{PATIENT}"))
}

fn house(task: &str) -> House {
    House::empty()
        .with("rank.wasm", &ranker("first"))
        .with("search.wasm", &searcher())
        .told("rank", task)
        .told("search", "vector")
}

fn world() -> World {
    World::new().with("shop", "red", [255, 0, 0], 1.0).with("shop", "blue", [0, 0, 255], 2.0)
}

/// A search by every kind of part, as it is written down.
async fn recorded(sandbox: &Opened, world: &World) -> Recording {
    let tape = Arc::new(Tape::default());
    let context = world.context("shop", "{\"price\": {\"lte\": 9}}").with_tape(tape.clone());
    let lineup = sandbox.lineup(&id("shop"), &Pins::default()).await.unwrap();
    for part in [text("red"), image([250, 0, 0]), video()] {
        lineup.search(&context, vec![part], 5).await.unwrap();
    }
    lineup.rank(&context, candidates(10)).await.unwrap();
    let recording = tape.recording(id("shop"), Timestamp::now()).unwrap();
    Recording::from_json(recording.to_json().unwrap().as_bytes()).unwrap()
}

/// Plays a call in a sandbox of the house's, in a world where nothing is to be found.
async fn play(house: &House, component: Vec<u8>, call: &RecordedCall, settings: Option<Value>) -> Replayed {
    let empty = World::new();
    let player = Player::open(&house.config, empty.video.clone()).unwrap();
    let subject = player.load(component.into()).await.unwrap();
    player.play(&subject, call, settings.as_ref()).await.unwrap()
}

#[tokio::test]
async fn a_recorded_search_replays_byte_for_byte_far_from_its_shop() {
    let house = house("dice");
    let recording = recorded(&house.ready(&world()).await, &world()).await;
    assert_eq!(recording.calls.len(), 4);
    for call in &recording.calls {
        let component = if call.plugin.name == "rank" { ranker("first") } else { searcher() };
        let played = play(&house, component, call, None).await;
        assert!(played.diff.identical, "{}", played.diff);
        assert_eq!((played.missing, played.recorded == played.played), (Vec::new(), true));
    }
}

/// What is left of the clock is what the component asks for, on a slow machine and where the operator grants less.
#[tokio::test]
async fn a_guest_that_goes_by_what_is_left_of_its_time_replays_too() {
    let house = house("").told("search", "remaining");
    let sandbox = house.ready(&world()).await;
    let tape = Arc::new(Tape::default());
    let context = world().context("shop", "").with_tape(tape.clone());
    let lineup = sandbox.lineup(&id("shop"), &Pins::default()).await.unwrap();
    let error = lineup.search(&context, vec![text("red")], 5).await.unwrap_err().to_string();
    assert!(error.ends_with("64 30000 30000"), "{error}");
    let recording = tape.recording(id("shop"), Timestamp::now()).unwrap();
    let mut strict = House::empty();
    strict.config.maximum.wall = std::time::Duration::from_secs(20);
    let played = play(&strict, searcher(), &recording.calls[0], None).await;
    assert!(played.diff.identical, "{}", played.diff);
}

#[tokio::test]
async fn another_version_is_played_and_the_orders_are_compared() {
    let house = house("");
    let recording = recorded(&house.ready(&world()).await, &world()).await;
    let call = recording.calls.last().unwrap();
    let reverse = Some(json!({ "do": "reverse" }));
    let played = play(&house, ranker("second"), call, reverse).await;
    assert!(!played.diff.identical && played.recorded != played.played);
    assert!(played.diff.to_string().contains("10"), "{}", played.diff);
    let failing = Some(json!({ "do": "panic" }));
    let played = play(&house, ranker("second"), call, failing).await;
    assert!(played.diff.to_string().contains("out of cheese"), "{}", played.diff);
}

#[tokio::test]
async fn what_another_version_asks_that_was_not_recorded_is_named() {
    let house = house("");
    let recording = recorded(&house.ready(&world()).await, &world()).await;
    let keyword = Some(json!({ "do": "keyword" }));
    let played = play(&house, searcher(), &recording.calls[0], keyword).await;
    assert!(played.missing[0].contains("keyword"), "{:?}", played.missing);
    let greedy = plugin("rank", "rank", "[columns]\nnumbers = [\"price\"]");
    let played = play(&house, greedy, recording.calls.last().unwrap(), None).await;
    assert_eq!(played.missing, ["the column price"]);
}

#[tokio::test]
async fn a_component_is_admitted_when_its_golden_requests_are_answered_as_recorded() {
    let house = house("say hello");
    let sandbox = house.ready(&world()).await;
    let mut recording = recorded(&sandbox, &world()).await;
    recording.calls.retain(|call| call.plugin.name == "rank");
    let with = |recording: &Recording| {
        manifest::embed_goldens(&ranker("second"), recording.to_json().unwrap().as_bytes()).unwrap()
    };
    sandbox.upload(&with(&recording)).await;
    let Answer::Ranking(ranking) = &mut recording.calls[0].answer else { panic!("not a ranking") };
    ranking.products.swap(0, 9);
    let upload = |component: Vec<u8>| Upload {
        owner: None,
        by: "test".into(),
        component: component.into(),
        signature: None,
        granted: Capability::ALL.into(),
    };
    let AddError::Refused(refused) = sandbox.add(upload(with(&recording))).await.unwrap_err() else {
        panic!("the store failed")
    };
    assert_eq!(refused.stage, "goldens");
    assert!(refused.reason.contains("golden request 1 is answered otherwise"), "{refused}");
    for (section, says) in [(&b"{}"[..], "cannot be read"), (b"\xff", "cannot be read")] {
        let component = manifest::embed_goldens(&ranker("second"), section).unwrap();
        let refused = sandbox.add(upload(component)).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[tokio::test]
async fn golden_requests_of_a_file_in_the_folder_are_looked_at_too() {
    let first = house("say hello");
    let mut recording = recorded(&first.ready(&world()).await, &world()).await;
    recording.calls.retain(|call| call.plugin.name == "rank");
    recording.calls[0].settings = json!({ "do": "reverse" });
    let bad = manifest::embed_goldens(&ranker("first"), recording.to_json().unwrap().as_bytes()).unwrap();
    let sandbox = House::empty().with("rank.wasm", &bad).open(&world()).await;
    assert!(
        matches!(&sandbox.report()[0].state, PluginState::Refused(reason) if reason.contains("golden request 1"))
    );
}
