//! The format: what is written is read again, and what was not written so is refused.

mod diffs;
mod replaying;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    embedding::Embedding,
    id::{ArgumentDigest, ImageHash, ProductId},
    picture::{Frame, FramePlan, PerceptualHash, Picture, Raster, VideoFile, VideoInfo},
    policy::{DropReason, Dropped, Hit, LegInfo, Matches, Measure, Outcome, Ranked},
    port::{KnownImage, MediaError, Neighbour, PortErrorKind},
    product::Details,
};

fn plugin(name: &str) -> PluginRef {
    PluginRef { name: name.into(), version: "0.1.0".into(), digest: "ab".repeat(32) }
}

fn picture(colour: u8) -> Picture {
    let raster = Raster::new(3, 2, (0..18).map(|n| n ^ colour).collect()).unwrap();
    Picture { hash: Some(ImageHash::of(&[colour])), perceptual: PerceptualHash::of(&raster), raster }
}

fn video(path: &str) -> Content {
    let info = VideoInfo { duration_ms: 900, width: 64, height: 48 };
    Content::Video(Arc::new(VideoFile { path: path.into(), info }))
}

fn part(modality: &str, content: Content) -> Part {
    Part { modality: modality.into(), content, weight: 0.1 }
}

fn vector() -> Embedding {
    Embedding::normalised(vec![0.1, -0.7, 0.3], 3).unwrap()
}

fn call(input: Input, host: Vec<HostCall>, answer: Answer) -> RecordedCall {
    let space = Some(Space { id: "fake@0".into(), model: "fake".into(), dimension: 3 });
    let filter = Filter::parse(&json!({"price": {"gte": 1, "lt": 4}, "color": {"ne": "red"}})).unwrap();
    let settings = json!({"k": 0.1, "big": u64::MAX});
    RecordedCall { plugin: plugin("p"), settings, filter, input, space, host, answer }
}

fn recording(calls: Vec<RecordedCall>) -> Recording {
    let recorded_at = "2026-07-01T12:00:00.000000001Z".parse().unwrap();
    Recording { format: FORMAT, recorded_at, tenant: "shop".parse().unwrap(), calls }
}

fn search() -> RecordedCall {
    let product = || "shoe".parse::<ProductId>().unwrap();
    let image = ImageHash::of(b"image");
    let known = KnownImage { product: product(), hash: image, distance: 2 };
    let neighbour = Neighbour { product: product(), image, score: -0.0 };
    let filter = Filter::everything;
    let frame = Frame { timestamp_ms: 40, picture: Picture { hash: None, ..picture(7) } };
    let refused = Refused { part: "index".into(), kind: PortErrorKind::Conflict, message: "busy".into() };
    let scenes = FramePlan::SceneChange { threshold: 0.3, max_frames: 9 };
    let look = PerceptualHash(u64::MAX);
    let host = [
        (Asked::nearest(&[vector()], &filter(), 200), Answered::Neighbours(vec![vec![neighbour], vec![]])),
        (
            Asked::Keyword { text: "ä\0\n".into(), filter: filter(), k: 1 },
            Answered::Relevant(vec![(product(), f32::INFINITY)]),
        ),
        (Asked::Matching { filter: filter(), k: 1 }, Answered::Products(vec![product()])),
        (Asked::ImageByHash { hash: image }, Answered::Image(Some(known.clone()))),
        (Asked::ImageByHash { hash: image }, Answered::Image(None)),
        (Asked::NearDuplicates { look, max_distance: 4, k: 100 }, Answered::Images(vec![known])),
        (Asked::images(&[Arc::new(picture(1))]), Answered::Vectors(vec![vector()])),
        (Asked::Texts { texts: vec!["red".into()] }, Answered::Refused(refused)),
        (Asked::Frames { video: 0, plan: FramePlan::Uniform { frames: 3 } }, Answered::Frames(vec![frame])),
        (
            Asked::Frames { video: 1, plan: scenes },
            Answered::Unreadable(MediaError::TooLarge { width: 1, height: 2, max_pixels: 3 }),
        ),
    ];
    let host = host.map(|(asked, answered)| HostCall { asked, answered });
    let parts = vec![
        part("text", Content::Text("a red shoe".into())),
        part("image", Content::Image(Arc::new(picture(1)))),
        part("video", video("/tmp/a")),
        part("video", video("/tmp/b")),
    ];
    let hit = Hit { product: product(), image: Some(image), score: 1e-42, at_ms: Some(40) };
    let bare = Hit { image: None, at_ms: None, ..hit.clone() };
    let leg = Leg {
        name: "l".into(),
        modality: "text".into(),
        measure: Measure::Cosine,
        weight: f32::NAN,
        hits: vec![hit, bare],
    };
    call(Input::Search { parts, limit: 200 }, host.into(), Answer::Legs(vec![leg]))
}

fn candidates() -> Candidates {
    let leg = LegInfo { name: "l".into(), modality: "text".into(), measure: Measure::Relevance, weight: 1.0 };
    Candidates {
        legs: vec![leg],
        product_count: 2,
        matches: Matches {
            legs: vec![0; 3],
            products: vec![0, 1, 0],
            images: vec![0, 1, u32::MAX],
            scores: vec![0.5, f32::NEG_INFINITY, f32::NAN],
        },
        numbers: vec![
            ("price".into(), vec![f64::NAN, -0.0]),
            ("odd".into(), vec![f64::from_bits(0x7ff8_0000_0000_0001), f64::INFINITY]),
        ],
        texts: vec![("color".into(), vec![None, Some("red".into())])],
        limit: 200,
        day: 20_454,
    }
}

fn rank(candidates: Candidates) -> RecordedCall {
    let ranked = |product, score| Ranked { product, score, evidence: vec![product] };
    let ranking =
        Ranking { products: vec![ranked(1, 0.3), ranked(0, 0.1)], notes: vec![(0, "cheap".into())] };
    call(Input::Rank(candidates), Vec::new(), Answer::Ranking(ranking))
}

fn ingest() -> RecordedCall {
    let mut details = Details { name: "shoe".into(), price: 0.1 + 0.2, ..Details::default() };
    details.attributes.insert("n".into(), json!(-0.0));
    let submission = Submission { details: details.clone(), uploads: vec![(2, Arc::new(picture(3)))] };
    let dropped = Dropped {
        index: 2,
        reason: DropReason::NearDuplicate,
        product: None,
        image: Some(ImageHash::of(b"")),
    };
    let outcome = Outcome::Create { details: Box::new(details), keep: vec![], index_text: "shoe".into() };
    call(
        Input::Ingest(submission),
        Vec::new(),
        Answer::Decision(Decision { outcome, dropped: vec![dropped] }),
    )
}

fn there_and_back(recording: &Recording) -> Recording {
    Recording::from_json(recording.to_json().unwrap().as_bytes()).unwrap()
}

#[test]
fn a_recording_survives_its_text() {
    let written = recording(vec![
        search(),
        rank(candidates()),
        ingest(),
        RecordedCall { answer: Answer::Fault("trapped".into()), space: None, ..rank(candidates()) },
    ]);
    let read = there_and_back(&written);
    // Debug shows all but pixels, which tests of pictures compare; only paths of videos are others.
    let shown = |recording: &Recording| format!("{recording:#?}");
    let named = shown(&written).replace("/tmp/a", "recorded-video-0").replace("/tmp/b", "recorded-video-1");
    assert_eq!(shown(&read), named);
    assert_eq!(read.to_json().unwrap(), written.to_json().unwrap());
    let Input::Search { parts, .. } = &read.calls[0].input else { panic!() };
    let Content::Image(image) = &parts[1].content else { panic!() };
    assert_eq!(**image, picture(1));
    assert!(!written.to_json().unwrap().contains("/tmp"), "paths of the host are nobody's business");
}

#[test]
fn missing_numbers_are_null_and_other_nans_keep_their_bits() {
    let Input::Rank(read) = there_and_back(&recording(vec![rank(candidates())])).calls.remove(0).input else {
        panic!()
    };
    let bits = |candidates: &Candidates| -> (Vec<u64>, Vec<u32>) {
        let numbers = candidates.numbers.iter().flat_map(|(_, values)| values.iter().map(|n| n.to_bits()));
        (numbers.collect(), candidates.matches.scores.iter().map(|score| score.to_bits()).collect())
    };
    assert_eq!(bits(&read), bits(&candidates()));
    assert!(recording(vec![rank(candidates())]).to_json().unwrap().contains(r#"["price",[null,-0.0]]"#));
}

proptest! {
    #[test]
    fn candidates_survive_whatever_their_bits(scores in prop::collection::vec(any::<u32>(), 1..20), number in any::<u64>()) {
        let rows = scores.len();
        let matches = Matches { legs: vec![0; rows], products: vec![0; rows], images: vec![u32::MAX; rows], scores: scores.iter().copied().map(f32::from_bits).collect() };
        let numbers = vec![("n".to_owned(), vec![f64::from_bits(number)])];
        let given = Candidates { product_count: 1, matches, numbers, texts: Vec::new(), ..candidates() };
        let Input::Rank(read) = there_and_back(&recording(vec![rank(given)])).calls.remove(0).input else { panic!() };
        let read_scores: Vec<_> = read.matches.scores.iter().map(|score| score.to_bits()).collect();
        prop_assert_eq!(read_scores, scores);
        prop_assert_eq!(read.numbers[0].1[0].to_bits(), number);
    }
}

fn refusal(json: impl AsRef<[u8]>) -> String {
    Recording::from_json(json.as_ref()).unwrap_err().to_string()
}

#[rstest::rstest]
#[case::format("", json!(2), "record it again with this version")]
#[case::no_format("", json!("one"), "invalid type")]
#[case::unknown_field("/wings", json!(2), "unknown field `wings`")]
#[case::tenant("/tenant", json!("../etc"), "tenant")]
#[case::unknown_in_call("/calls/0/wings", json!(2), "unknown field `wings`")]
#[case::unknown_in_plugin("/calls/0/plugin/wings", json!(2), "unknown field `wings`")]
#[case::unknown_in_space("/calls/0/space/wings", json!(2), "unknown field `wings`")]
#[case::unknown_in_part("/calls/0/input/search/parts/0/wings", json!(2), "unknown field `wings`")]
#[case::path("/calls/0/input/search/parts/2/content/video/path", json!("/etc/passwd"), "unknown field `path`")]
#[case::unknown_question("/calls/0/host/0/asked", json!({"delete": {}}), "unknown variant `delete`")]
#[case::unknown_in_question("/calls/0/host/1/asked/keyword/wings", json!(2), "unknown field `wings`")]
#[case::filter("/calls/0/filter", json!({"price": {"like": 3}}), "/price/like: is no operator")]
#[case::picture("/calls/0/input/search/parts/1/content/image/height", json!(9), "are not 3 x 9 pixels")]
#[case::many_pixels("/calls/0/host/8/answered/frames/0/picture/width", json!(90_000_000), "no room")]
#[case::dimension("/calls/0/space/dimension", json!(4), "call 0 of the recording cannot be: a vector has 3")]
#[case::many_products("/calls/1/input/rank/product_count", json!(u32::MAX), "call 1 of the recording cannot be")]
#[case::uneven("/calls/1/input/rank/matches/images", json!([0]), "differ in length")]
#[case::no_leg("/calls/1/input/rank/legs", json!([]), "a leg that there is not")]
#[case::attribute("/calls/1/input/rank/texts/0/1", json!([]), "one value for each product")]
#[case::score("/calls/1/input/rank/matches/scores/0", json!(1e300), "a number of 32 bits")]
#[case::fault("/calls/1/answer", json!({"fault": 3}), "invalid type")]
fn a_recording_that_was_tampered_with_is_refused(#[case] at: &str, #[case] value: Value, #[case] says: &str) {
    let mut json: Value =
        serde_json::from_str(&recording(vec![search(), rank(candidates())]).to_json().unwrap()).unwrap();
    let (parent, field) = at.rsplit_once('/').unwrap_or(("", "format"));
    match json.pointer_mut(parent).unwrap() {
        Value::Array(entries) => entries[field.parse::<usize>().unwrap()] = value,
        object => object[field] = value,
    }
    let error = refusal(json.to_string());
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_text_that_is_cut_or_too_long_is_refused() {
    let json = recording(vec![search()]).to_json().unwrap();
    assert!(refusal(&json[..json.len() / 2]).contains("EOF"));
    assert!(refusal("{}").contains("missing field `format`"));
    assert!(refusal([b"\xff", json.as_bytes()].concat()).contains("cannot be read"));
    assert!(refusal(vec![b' '; MAX_TEXT_BYTES + 1]).contains("at most"));
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let many = Candidates { product_count: 9, ..candidates() };
    assert!(matches!(recording(vec![rank(many)]).to_json(), Err(RecordingError::Impossible { call: 0, .. })));
    let large = Raster::new(10_000, 5_001, vec![0; 10_000 * 5_001 * 3]).unwrap();
    let large = Arc::new(Picture { hash: None, perceptual: PerceptualHash(0), raster: large });
    let uploads = vec![(0, Arc::clone(&large)), (1, large)];
    let input = Input::Ingest(Submission { details: Details::default(), uploads });
    let unwritable = recording(vec![RecordedCall { input, ..ingest() }]).to_json();
    assert!(matches!(unwritable, Err(RecordingError::Unwritable(_))));
}
