//! Searching guests: what they may look at, how much, and for whom.

use std::time::Duration;

use taja_catalog::policy::{Leg, Part, Policies as _, PolicyError, PolicyFault};

use crate::{
    fakes::{World, image, part, text, video},
    guests::{House, Opened, plugin},
};

/// Time enough for any machine.
const PATIENT: &str = "[limits]\ncpu_ms = 8000\nwall_ms = 30000";
const ALL: &str = "accepts = [\"text\", \"image\", \"video\"]\ncapabilities = [\"media\", \"embed\", \"catalogue\", \"job\"]";

fn house(lines: &str, task: &str) -> House {
    // Unless the test is about time.
    let patient = if lines.contains("[limits]") { "" } else { PATIENT };
    House::empty()
        .with("search.wasm", &plugin("search", "search", &format!("{lines}\n{patient}")))
        .told("search", task)
}

async fn all_powerful(task: &str, world: &World) -> Opened {
    house(ALL, task).ready(world).await
}

fn shop() -> World {
    World::new()
        .with("shop", "red", [255, 0, 0], 10.0)
        .with("shop", "green", [0, 255, 0], 20.0)
        .with("shop", "blue", [0, 0, 255], 30.0)
        .with("other", "secret", [255, 0, 0], 10.0)
}

fn products(leg: &Leg) -> Vec<&str> {
    leg.hits.iter().map(|hit| hit.product.as_str()).collect()
}

/// The error text of a guest that answers with one.
fn said(answer: Result<Vec<Leg>, PolicyError>) -> String {
    match answer.map_err(|error| error.fault) {
        Err(PolicyFault::Guest(text)) => text,
        other => panic!("the guest said nothing: {other:?}"),
    }
}

#[tokio::test]
async fn a_picture_finds_its_like_with_the_image_as_evidence() {
    let world = shop();
    let sandbox = all_powerful("vector", &world).await;
    let legs = sandbox.search(&world.context("shop", ""), vec![image([0, 250, 0])], 2).await.unwrap();
    assert_eq!((legs[0].name.as_str(), legs[0].modality.as_str()), ("vector", "image"));
    assert_eq!(products(&legs[0])[0], "green");
    assert!(legs[0].hits[0].image.is_some() && legs[0].hits[0].score > 0.99);
}

#[tokio::test]
async fn a_leg_answers_the_part_it_says_and_weighs_what_it_says() {
    let world = shop();
    let sandbox = all_powerful("last-part", &world).await;
    let parts = vec![text("a"), image([255, 0, 0])];
    assert!(parts.iter().all(|part| part.weight == 2.0), "a weight that would show if it were multiplied in");
    let legs = sandbox.search(&world.context("shop", ""), parts, 5).await.unwrap();
    assert_eq!((legs[0].name.as_str(), legs[0].modality.as_str(), legs[0].weight), ("last", "image", 0.5));
}

#[tokio::test]
async fn a_leg_of_a_part_to_be_unlike_counts_against_its_matches_whatever_its_policy_says() {
    let world = shop();
    let sandbox = all_powerful("last-part", &world).await;
    for (weight, weighs) in [(-1.0, -0.5_f32), (-0.0, -0.5)] {
        let parts = vec![text("a"), Part { weight, ..image([255, 0, 0]) }];
        let legs = sandbox.search(&world.context("shop", ""), parts, 5).await.unwrap();
        assert_eq!((legs[0].weight, legs[0].is_against()), (weighs, true), "{weight}");
    }
}

#[tokio::test]
async fn a_match_is_identified_by_its_stored_picture() {
    let world = shop();
    let sandbox = all_powerful("identify", &world).await;
    let text = said(sandbox.search(&world.context("shop", ""), vec![image([0, 250, 0])], 5).await);
    let green = format!("Some(\"green {}\") None Err(", taja_catalog::ImageHash::of(&[0, 255, 0]));
    assert!(text.starts_with(&green) && text.contains("Invalid") && text.contains("row 3"), "{text}");
}

#[tokio::test]
async fn a_match_of_a_video_names_the_moment_that_found_it() {
    let world = shop();
    let sandbox = all_powerful("vector", &world).await;
    let legs = sandbox.search(&world.context("shop", ""), vec![video()], 1).await.unwrap();
    let mut found: Vec<_> =
        legs[0].hits.iter().map(|hit| (hit.at_ms.unwrap(), hit.product.as_str())).collect();
    found.sort_unstable();
    assert_eq!(found, [(0, "red"), (1000, "green"), (2000, "blue")]);
}

#[tokio::test]
async fn one_shop_never_sees_another() {
    let world = shop();
    for task in ["matching", "vector"] {
        let sandbox = all_powerful(task, &world).await;
        for (tenant, own) in [("shop", 3), ("other", 1), ("nobody", 0)] {
            let legs = sandbox.search(&world.context(tenant, ""), vec![text("")], 100).await.unwrap();
            assert_eq!(legs[0].hits.len(), own, "{task} as {tenant}");
            assert_eq!(products(&legs[0]).contains(&"secret"), tenant == "other");
        }
    }
}

#[tokio::test]
async fn the_filter_of_the_request_narrows_what_the_guest_asks_for() {
    let world = shop();
    let sandbox = all_powerful("matching", &world).await;
    let context = world.context("shop", "{\"price\": {\"gte\": 20}}");
    let legs = sandbox.search(&context, vec![text("{\"price\": {\"lte\": 20}}")], 100).await.unwrap();
    assert_eq!(products(&legs[0]), ["green"]);
    let legs = sandbox.search(&context, vec![text("")], 100).await.unwrap();
    assert_eq!(products(&legs[0]), ["green", "blue"]);
}

#[tokio::test]
async fn keywords_find_products_without_images() {
    let world = shop();
    let sandbox = all_powerful("keyword", &world).await;
    let legs = sandbox.search(&world.context("shop", ""), vec![text("a blue one")], 5).await.unwrap();
    assert_eq!((products(&legs[0]), legs[0].hits[0].image), (vec!["blue"], None));
}

/// Grants are looked at with every call too: they may be fewer than when the component was taken in.
#[rstest::rstest]
#[case("", [false, false, false, false])]
#[case("media", [true, false, false, false])]
#[case("embed", [false, true, false, false])]
#[case("catalogue", [false, false, true, false])]
#[case("job", [false, false, false, true])]
#[tokio::test]
async fn what_is_not_granted_is_denied_and_what_to_change_is_named(
    #[case] granted: &str,
    #[case] works: [bool; 4],
    #[values(true, false)] asked: bool,
) {
    let world = shop();
    let named = if granted.is_empty() { String::new() } else { format!("\"{granted}\"") };
    let all = "\"media\", \"embed\", \"catalogue\", \"job\"";
    let asks = if asked { all } else { &named };
    let lines = format!("accepts = [\"image\"]\ncapabilities = [{asks}]\n{PATIENT}");
    let house = House::empty();
    let granted = [granted].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
    house.keep_active(&plugin("search", "search", &lines), &granted, "every-call").await;
    let sandbox = house.ready(&world).await;
    let text = said(sandbox.search(&world.context("shop", ""), vec![image([1, 2, 3])], 5).await);
    let went: Vec<_> = text.split('|').collect();
    for (place, capability) in ["media", "embed", "catalogue"].into_iter().enumerate() {
        if works[place] {
            assert_eq!(went[place], "fine", "{capability}");
        } else {
            assert!(went[place].contains("denied") || went[place].contains("Denied"), "{}", went[place]);
            let change = if asked { "the operator does not grant" } else { "add" };
            let change = format!("{change} \\\"{capability}\\\"");
            assert!(went[place].contains(&change), "{}", went[place]);
        }
    }
    assert_eq!(went[3], if works[3] { "heard" } else { "deaf" });
    let heard = world.job.heard.lock().unwrap().clone();
    assert_eq!(heard, if works[3] { vec![(50, "half way".to_owned())] } else { vec![] });
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused_and_the_guest_goes_on() {
    let world = shop();
    let sandbox = all_powerful("spoil-rows", &world).await;
    let text = said(sandbox.search(&world.context("shop", ""), vec![text("")], 5).await);
    assert_eq!(text, "true [1] [9.0]");
}

#[tokio::test]
async fn a_guest_cannot_ask_for_more_rows_than_the_host_gives() {
    let world = shop();
    let sandbox = all_powerful("matching", &world).await;
    sandbox.search(&world.context("shop", ""), vec![text("")], u32::MAX).await.unwrap();
    assert_eq!(*world.shelf.largest_k.lock().unwrap(), 1000);
}

#[rstest::rstest]
#[case("nan-weight")]
#[case("same-names")]
#[case("no-part")]
#[tokio::test]
async fn legs_that_cannot_be_are_refused(#[case] task: &str) {
    let world = shop();
    let sandbox = all_powerful(task, &world).await;
    let error = sandbox.search(&world.context("shop", ""), vec![text("")], 5).await.unwrap_err();
    assert!(matches!(error.fault, PolicyFault::InvalidAnswer(_)), "{error}");
}

#[tokio::test]
async fn a_slow_host_is_not_held_against_the_guest() {
    let world = World::slow(Duration::from_millis(600));
    let lines = format!("{ALL}\n[limits]\nwall_ms = 200\ncpu_ms = 8000");
    let sandbox = house(&lines, "vector").ready(&world).await;
    sandbox.search(&world.context("shop", ""), vec![text("a")], 5).await.unwrap();
}

#[tokio::test]
async fn a_host_call_that_hangs_is_given_up_and_the_guest_is_told() {
    let world = World::slow(Duration::from_secs(3600));
    let mut house = house(ALL, "vector");
    house.config.host_call_timeout = Duration::from_millis(30);
    let sandbox = house.ready(&world).await;
    let text = said(sandbox.search(&world.context("shop", ""), vec![text("a")], 5).await);
    assert!(text.contains("Unavailable") && text.contains("30ms"), "{text}");
}

#[tokio::test]
async fn each_plugin_gets_its_parts_and_clashing_legs_are_told_apart() {
    let world = shop();
    let some = |accepts: &str| format!("accepts = [{accepts}]");
    let house = House::empty()
        .with("a.wasm", &plugin("search", "words", &some("\"text\"")))
        .with("b.wasm", &plugin("search", "pictures", &some("\"image\"")));
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    let legs = sandbox.search(&context, vec![image([255, 0, 0]), text("a")], 5).await.unwrap();
    let names: Vec<_> = legs.iter().map(|leg| (leg.name.as_str(), leg.modality.as_str())).collect();
    assert_eq!(names, [("pictures/vector", "image"), ("words/vector", "text")]);
    assert_eq!(context.used().len(), 2);
}

#[tokio::test]
async fn a_modality_that_nobody_accepts_is_named() {
    let world = shop();
    let sandbox = all_powerful("vector", &world).await;
    let audio = part("audio", taja_catalog::policy::Content::Text("la".into()));
    let error = sandbox.search(&world.context("shop", ""), vec![audio], 5).await.unwrap_err();
    assert!(error.to_string().contains("accepts \"audio\""), "{error}");
    assert_eq!(sandbox.modalities(&crate::fakes::id("shop")).len(), 3);
}
