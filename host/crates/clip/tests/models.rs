//! Whole models on the real ONNX Runtime: two tiny ones made for this, and the default model where set-up put it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may unwrap as tests do")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use image::{DynamicImage, ImageDecoder, ImageReader};
use serde::Deserialize;
use taja_catalog::{Embedding, PerceptualHash, Picture, Raster, port::Embedder};
use taja_clip::{Clip, ClipConfig, ClipError, Manifest};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}

/// Where set-up put something, unless the environment names another place.
fn installed(variable: &str, place: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| repository().join(place), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run the project's set-up, or point {variable} at it",
        path.display()
    );
    path
}

fn library() -> PathBuf {
    installed("TAJA_ONNXRUNTIME", ".tools/onnxruntime/lib/libonnxruntime.so")
}

/// A copy of a tiny model's folder with the vocabulary in it, whose manifest may be edited.
fn tiny(name: &str, edit: impl Fn(String) -> String) -> (tempfile::TempDir, ClipConfig) {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny").join(name);
    for entry in std::fs::read_dir(&source).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let vocabulary = "bpe_simple_vocab_16e6.txt.gz";
    std::fs::copy(repository().join("models/tokenizer").join(vocabulary), folder.path().join(vocabulary))
        .unwrap();
    let text = edit(std::fs::read_to_string(source.join("model.toml")).unwrap());
    let manifest = Manifest::parse(&text, "model.toml").unwrap();
    let config = config(folder.path(), manifest);
    (folder, config)
}

fn config(model_dir: &Path, manifest: Manifest) -> ClipConfig {
    ClipConfig {
        library: library(),
        model_dir: model_dir.to_path_buf(),
        manifest,
        threads: 2,
        max_batch: 8,
        max_wait: Duration::from_millis(5),
        queue_capacity: 64,
    }
}

/// JPEG decoders differ by a level here and there. A tower that quantises its activations to 8 bits turns that, as it
/// turns any change of one level in one value out of fifty, into a cosine of 0.975 to 0.99.
const DECODED: f32 = 0.95;

/// The default model, where set-up put it.
fn default_model() -> ClipConfig {
    let folder = installed("TAJA_MODEL", ".tools/models/default");
    let manifest = Manifest::load(&folder.join("model.toml")).unwrap();
    config(&folder, manifest)
}

fn picture(path: &Path) -> Arc<Picture> {
    let mut decoder = ImageReader::open(path).unwrap().into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap();
    let mut image = DynamicImage::from_decoder(decoder).unwrap();
    image.apply_orientation(orientation);
    let rgb = image.to_rgb8();
    let raster = Raster::new(rgb.width(), rgb.height(), rgb.into_raw()).unwrap();
    Arc::new(Picture { hash: None, perceptual: PerceptualHash(0), raster })
}

#[derive(Deserialize)]
struct Expected {
    pictures: HashMap<String, Vec<f32>>,
    texts: Vec<(String, Vec<f32>)>,
}

/// The lowest cosine between what a model says of the golden pictures and what the reference said.
async fn lowest_picture_cosine(clip: &Clip, expected: &HashMap<String, Vec<f32>>) -> f32 {
    let (names, vectors): (Vec<_>, Vec<_>) = expected.iter().unzip();
    let folder = repository().join("models/goldens/pictures");
    let pictures: Vec<_> = names.iter().map(|name| picture(&folder.join(name))).collect();
    let found = clip.images(&pictures).await.unwrap();
    lowest(&found, vectors.into_iter())
}

fn lowest<'a>(found: &[Embedding], expected: impl Iterator<Item = &'a Vec<f32>>) -> f32 {
    let cosine = |(found, expected): (&Embedding, &Vec<f32>)| {
        found.cosine(&Embedding::normalised(expected.clone(), found.dimension()).unwrap())
    };
    found.iter().zip(expected).map(cosine).fold(1.0, f32::min)
}

async fn agrees_with_the_reference(name: &str) {
    let (_folder, config) = tiny(name, |text| text);
    let clip = Clip::start(config).unwrap();
    let all: HashMap<String, Expected> = serde_json::from_str(include_str!("tiny/expected.json")).unwrap();
    let expected = &all[name];
    assert!(expected.pictures.len() >= 20, "only {} pictures", expected.pictures.len());
    let pictures = lowest_picture_cosine(&clip, &expected.pictures).await;
    assert!(pictures >= 0.999, "a picture's cosine is {pictures}");
    let (texts, vectors): (Vec<String>, Vec<_>) = expected.texts.iter().cloned().unzip();
    let together = clip.texts(&texts).await.unwrap();
    assert!(lowest(&together, vectors.iter()) >= 0.9999, "{}", lowest(&together, vectors.iter()));
    for (text, vector) in texts.iter().zip(&vectors) {
        let alone = clip.texts(std::slice::from_ref(text)).await.unwrap();
        assert!(lowest(&alone, [vector].into_iter()) >= 0.9999, "{text:?} alone");
    }
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
    #[derive(Deserialize)]
    struct Golden {
        space: String,
        pictures: HashMap<String, Vec<f32>>,
        texts: Vec<(String, Vec<f32>)>,
    }
    let clip = Clip::start(default_model()).unwrap();
    let path = repository().join("models/goldens/default-model.json");
    let golden: Golden = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let other = "is another model than the one in default-model.json: run make_goldens.py --model";
    assert_eq!(clip.space().id, golden.space, "the installed model {other}");
    let exact = |name: &String| name.ends_with(".png");
    let (same, similar) = golden.pictures.into_iter().partition(|(name, _)| exact(name));
    let pictures = lowest_picture_cosine(&clip, &same).await;
    assert!(
        same.len() >= 20 && pictures >= 0.999,
        "of {} pictures one has the cosine {pictures}",
        same.len()
    );
    let photographs = lowest_picture_cosine(&clip, &similar).await;
    assert!(photographs >= DECODED, "a photograph's cosine is {photographs}");
    let (texts, vectors): (Vec<String>, Vec<_>) = golden.texts.into_iter().unzip();
    let texts = lowest(&clip.texts(&texts).await.unwrap(), vectors.iter());
    assert!(texts >= 0.999, "a text's cosine is {texts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_many_jobs_get_their_own_answers() {
    let (_folder, config) = tiny("clip", |text| text);
    let clip = Arc::new(Clip::start(config).unwrap());
    let words: Vec<String> = (0..40).map(|number| format!("product number {number}")).collect();
    let one_by_one = clip.texts(&words).await.unwrap();
    let calls = words.iter().cloned().map(|word| {
        let clip = Arc::clone(&clip);
        tokio::spawn(async move { clip.texts(&[word]).await.unwrap().remove(0) })
    });
    let calls: Vec<_> = calls.collect();
    for (call, expected) in calls.into_iter().zip(&one_by_one) {
        assert!(call.await.unwrap().cosine(expected) > 0.9999);
    }
}

#[test]
fn the_running_model_tells_what_it_is() {
    let (_folder, config) = tiny("sentence", |text| text);
    let clip = Clip::start(config).unwrap();
    let info = clip.info();
    assert_eq!((info.name.as_str(), info.dimension, info.provider), ("tiny-sentence", 12, "cpu"));
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
