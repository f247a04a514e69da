//! What computes: chosen, refused and remembered on the real ONNX Runtime, whatever providers it was built with.

use std::path::{Path, PathBuf};

use taja_catalog::port::Embedder;
use taja_clip::{Backend, Choice, Clip, ClipConfig, Compute, Part, Row, Tuning};

use crate::support::{shop, tiny};

/// A tiny model that is to be tuned, with a memory.
fn tuned(choice: &str) -> (tempfile::TempDir, ClipConfig) {
    let (folder, mut config) = tiny("clip", |text| text);
    let memory = Some(folder.path().join("memory"));
    config.compute = Compute { choice: choice.parse().unwrap(), memory };
    (folder, config)
}

fn remembered(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("memory")) else { return Vec::new() };
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("tuning-")).collect()
}

fn has(tuning: &Tuning, provider: &str) -> bool {
    let ran = |row: &Row| row.backend.provider().name() == provider && row.ms_per_item.is_some();
    tuning.rows.iter().any(ran)
}

#[test]
fn everything_is_measured_and_the_chosen_one_serves_its_space() {
    let (_folder, config) = tuned("auto");
    let tuning = Clip::measure(config.clone()).unwrap();
    assert!(has(&tuning, "cpu"));
    for part in [Part::Image, Part::Text] {
        let rows: Vec<_> = tuning.rows.iter().filter(|row| row.part == part).collect();
        assert_eq!(rows.iter().filter(|row| row.chosen).count(), 1, "{rows:?}");
        for row in rows {
            assert!(row.refused.is_some() || row.cosine.unwrap() >= 0.999, "{row:?}");
            assert!(!row.chosen || row.refused.is_none(), "{row:?}");
        }
    }
    let exact = Clip::start(ClipConfig { compute: Compute::default(), ..config.clone() }).unwrap();
    let clip = Clip::start(config).unwrap();
    assert_eq!((clip.info().images, clip.info().texts), (tuning.image.backend, tuning.text.backend));
    assert_eq!(clip.space(), exact.space());
}

#[test]
fn the_next_start_reads_what_the_first_one_measured() {
    let (folder, config) = tuned("auto");
    drop(Clip::start(config.clone()).unwrap());
    let [file] = &remembered(folder.path())[..] else { panic!("one file is kept") };
    let written = std::fs::metadata(file).unwrap().modified().unwrap();
    drop(Clip::start(config).unwrap());
    assert_eq!(std::fs::metadata(file).unwrap().modified().unwrap(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_by_what_is_remembered_gives_the_same_vectors() {
    let words: Vec<String> =
        ["red shoe", "a wooden table", "word ".repeat(200).as_str()].map(str::to_owned).to_vec();
    let (folder, config) = tuned("auto");
    let first = Clip::start(config.clone()).unwrap().texts(&shop(), &words).await.unwrap();
    let [file] = &remembered(folder.path())[..] else { panic!("one file is kept") };
    let known = std::fs::read_to_string(file).unwrap();
    let note = "\"fills_up\": false";
    assert!(known.contains(note), "what the text tower needs is not remembered");
    let again = Clip::start(config.clone()).unwrap().texts(&shop(), &words).await.unwrap();
    assert_eq!(again, first);
    // Whoever measured without starting leaves this for the first start to find out.
    std::fs::write(file, known.replace(note, "\"fills_up\": null")).unwrap();
    drop(Clip::start(config).unwrap());
    assert_eq!(std::fs::read_to_string(file).unwrap(), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_warming_the_reference_up_has_shown_is_not_found_out_again() {
    let words: Vec<String> = ["red shoe", "a wooden table"].map(str::to_owned).to_vec();
    let (folder, config) = tuned("cpu");
    let first = Clip::start(config.clone()).unwrap().texts(&shop(), &words).await.unwrap();
    let files = std::fs::read_dir(folder.path().join("memory")).unwrap().map(|entry| entry.unwrap().path());
    let mut notes = files.filter(|file| file.to_str().unwrap().contains("warm-up-"));
    let file = notes.next().unwrap();
    let known = std::fs::read_to_string(&file).unwrap();
    let again = Clip::start(config.clone()).unwrap().texts(&shop(), &words).await.unwrap();
    assert_eq!(again, first);
    for bad in ["{".to_owned(), known.replace("\"processor\": \"", "\"processor\": \"other ")] {
        std::fs::write(&file, &bad).unwrap();
        drop(Clip::start(config.clone()).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), known, "{bad} was believed");
    }
}

#[test]
fn a_memory_that_lies_is_measured_over() {
    let (folder, config) = tuned("auto");
    drop(Clip::start(config.clone()).unwrap());
    let [file] = &remembered(folder.path())[..] else { panic!("one file is kept") };
    let good = std::fs::read_to_string(file).unwrap();
    let lies = [
        String::new(),
        "{".to_owned(),
        "[".repeat(100_000),
        " ".repeat(2 << 20),
        good.replace("\"format\": 1", "\"format\": 2"),
        good.replace("\"processor\": \"", "\"processor\": \"other "),
        good.replace("\"threads\"", "\"thread\""),
        good.replace("\"chosen\": true", "\"chosen\": false"),
        good.replace("\"same_space\": true", "\"same_space\": false"),
        [1, 2, 4, 8]
            .iter()
            .fold(good.clone(), |text, batch| text.replace(&format!("\"batch\": {batch},"), "\"batch\": 0,")),
        good.replace("cpu/f32", "cuda/f32").replace("openvino/", "cpu/"),
        good.replace("\"text\"", "\"image\""),
    ];
    for (number, bad) in lies.into_iter().enumerate() {
        assert!(bad != good, "lie {number} is none");
        std::fs::write(file, &bad).unwrap();
        let clip = Clip::start(config.clone()).unwrap();
        let again = std::fs::read_to_string(file).unwrap();
        assert!(again != bad, "lie {number} was believed");
        assert!(again.contains("\"format\": 1"));
        assert!(["cpu", "openvino"].contains(&clip.info().images.provider().name()));
    }
}

#[test]
fn a_memory_that_cannot_be_written_stops_nobody() {
    let (folder, mut config) = tuned("auto");
    let file = folder.path().join("a file");
    std::fs::write(&file, "in the way").unwrap();
    config.compute.memory = Some(file);
    assert!(Clip::start(config).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_by_name_serves_or_says_what_is_missing() {
    let words: Vec<String> = ["red shoe", "a wooden table"].map(str::to_owned).to_vec();
    let (_folder, config) = tuned("cpu");
    let expected = Clip::start(config).unwrap().texts(&shop(), &words).await.unwrap();
    for backend in Backend::all() {
        let (_folder, config) = tuned(&backend.to_string());
        let available = has(&Clip::measure(auto(&config)).unwrap(), backend.provider().name());
        match Clip::start(config) {
            Ok(clip) => {
                assert_eq!((clip.info().images, clip.info().texts), (backend, backend));
                let found = clip.texts(&shop(), &words).await.unwrap();
                let same = clip.space().id.ends_with(&backend.to_string().replace('/', "-"));
                let cosine = found[0].cosine(&expected[0]);
                assert!(same || cosine >= 0.999, "{backend}: {cosine}");
            }
            Err(error) => {
                let error = error.to_string();
                // Products of a tiny model are not worth quantising.
                let is_tiny = backend.precision().name().starts_with("int8")
                    && error.contains("no product with a large");
                assert!(!available || is_tiny || backend.precision().name() == "f16", "{backend}: {error}");
                let names = error.contains(backend.provider().name());
                assert!(names && error.contains("here by"), "{backend}: {error}");
            }
        }
    }
}

fn auto(config: &ClipConfig) -> ClipConfig {
    ClipConfig { compute: Compute { choice: Choice::Auto, memory: None }, ..config.clone() }
}
