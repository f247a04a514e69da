//! Whole models on the real ONNX Runtime: two tiny ones made for this, and the default model where set-up put it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use taja_catalog::port::Embedder;
use taja_clip::{Clip, ClipError};

use crate::support::{
    Expected, Golden, config_of, installed, library, lowest, lowest_picture_cosine, shop, tiny,
};

/// JPEG decoders differ by a level here and there. A tower that quantises its activations to 8 bits turns that, as it
/// turns any change of one level in one value out of fifty, into a cosine of 0.975 to 0.99.
const DECODED: f32 = 0.95;

/// The cosine that int8 towers reach with the reference's vectors, which were computed on a processor with VNNI. One
/// without it rounds the sums between the integer products in another order.
fn quantised() -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni") {
        return 0.999;
    }
    DECODED
}

async fn agrees_with_the_reference(name: &str) {
    let (_folder, config) = tiny(name, |text| text);
    let clip = Clip::start(config).unwrap();
    let mut all: HashMap<String, Expected> =
        serde_json::from_str(include_str!("../tiny/expected.json")).unwrap();
    let expected = all.remove(name).unwrap();
    assert!(expected.pictures.len() >= 20, "only {} pictures", expected.pictures.len());
    expected.is_what(&clip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_gives_the_vectors_of_the_reference() {
    agrees_with_the_reference("clip").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentence_model_with_heads_gives_the_vectors_of_the_reference() {
    agrees_with_the_reference("sentence").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_model_sees_what_the_reference_sees() {
    let clip = Clip::start(config_of(&installed("TAJA_MODEL", ".tools/models/default", "model"))).unwrap();
    let golden = Golden::of(&clip, "default-model.json");
    let exact = |name: &String| name.ends_with(".png");
    let (same, similar) = golden.expected.pictures.into_iter().partition(|(name, _)| exact(name));
    let pictures = lowest_picture_cosine(&clip, &same).await;
    assert!(
        same.len() >= 20 && pictures >= quantised(),
        "of {} pictures one has the cosine {pictures}",
        same.len()
    );
    let photographs = lowest_picture_cosine(&clip, &similar).await;
    assert!(photographs >= DECODED, "a photograph's cosine is {photographs}");
    let (texts, vectors): (Vec<String>, Vec<_>) = golden.expected.texts.into_iter().unzip();
    let texts = lowest(&clip.texts(&shop(), &texts).await.unwrap(), vectors.iter());
    assert!(texts >= quantised(), "a text's cosine is {texts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_many_jobs_get_their_own_answers() {
    let (_folder, config) = tiny("clip", |text| text);
    let clip = Arc::new(Clip::start(config).unwrap());
    let words: Vec<String> = (0..40).map(|number| format!("product number {number}")).collect();
    let one_by_one = clip.texts(&shop(), &words).await.unwrap();
    let calls = words.iter().cloned().map(|word| {
        let clip = Arc::clone(&clip);
        tokio::spawn(async move { clip.texts(&shop(), &[word]).await.unwrap().remove(0) })
    });
    let calls: Vec<_> = calls.collect();
    for (call, expected) in calls.into_iter().zip(&one_by_one) {
        assert!(call.await.unwrap().cosine(expected) > 0.9999);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_searches_get_the_same_vectors_at_the_same_time() {
    let (_folder, config) = tiny("clip", |text| text);
    let clip = Arc::new(Clip::start(config).unwrap());
    let bulk = clip.bulk();
    assert_eq!(bulk.space(), clip.space());
    let words: Vec<String> = (0..40).map(|number| format!("product number {number}")).collect();
    let shop = shop();
    let (import, search) = tokio::join!(bulk.texts(&shop, &words), clip.texts(&shop, &words[..1]));
    let (import, search) = (import.unwrap(), search.unwrap());
    assert_eq!(import.len(), words.len());
    assert!(import[0].cosine(&search[0]) > 0.9999);
}

#[test]
fn the_running_model_tells_what_it_is() {
    let (_folder, config) = tiny("sentence", |text| text);
    let clip = Clip::start(config).unwrap();
    let info = clip.info();
    let provider = info.images.provider().name();
    assert_eq!((info.name.as_str(), info.dimension, provider), ("tiny-sentence", 12, "cpu"));
    assert_eq!(&info.space, clip.space());
}

#[test]
fn a_missing_or_wrong_library_is_told_within_seconds() {
    let (folder, mut config) = tiny("clip", |text| text);
    let garbage = folder.path().join("garbage.so");
    std::fs::write(&garbage, b"this is no library").unwrap();
    for path in [folder.path().join("nowhere.so"), garbage, folder.path().to_path_buf()] {
        config.library = path.clone();
        let start = Instant::now();
        let Err(error) = Clip::start(config.clone()) else { panic!("{} was loaded", path.display()) };
        assert!(matches!(error, ClipError::Library { .. }), "{error:?}");
        assert!(error.to_string().contains("run set-up"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    // And after all that, the right one still loads.
    config.library = library();
    assert!(Clip::start(config).is_ok());
}

#[test]
fn a_manifest_that_does_not_fit_its_files_is_told_at_start() {
    let said = |name: &str, edit: &dyn Fn(String) -> String| {
        let (_folder, config) = tiny(name, |text| edit(text).replace("sha256 =", "sha256 = \"\" #"));
        let Err(error) = Clip::start(config) else { panic!("it started") };
        error.to_string()
    };
    for (name, from, to, words) in [
        ("clip", "dimension = 12", "dimension = 13", "gives vectors of 12 components, the manifest says 13"),
        ("clip", "\"pixel_values\"", "\"pixels\"", "has no input pixels; it has pixel_values"),
        ("clip", "\"image_embeds\"", "\"embeds\"", "has no output embeds; it has image_embeds"),
        ("clip", "\"text_embeds\"", "\"embeds\"", "has no output embeds; it has text_embeds"),
        ("clip", "size = 32", "size = 64", "the manifest makes [_, 3, 64, 64]"),
        ("clip", "\"image.onnx\"", "\"model.toml\"", "is no ONNX model that runs here"),
        ("clip", "\"text.onnx\"", "\"image.onnx\"", "image.onnx: has no output text_embeds"),
        ("sentence", "\"mean\"", "\"none\"", "which pooling None does not take"),
        ("sentence", "\"wordpiece\"", "\"clip-bpe\"", "tokenizer.json: line 1 is not a pair"),
        ("sentence", "\"text-head.safetensors\"", "\"image-head.safetensors\"", "and its head takes 12"),
        ("sentence", "\"image-head.safetensors\"", "\"image.onnx\"", "is not safetensors"),
    ] {
        let error = said(name, &|text| text.replacen(from, to, 1));
        assert!(error.contains(words), "{from} -> {to}: {error}");
    }
}
