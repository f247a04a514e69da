//! Where things are, and how what a model says is compared with what the reference said.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use image::{DynamicImage, ImageDecoder, ImageReader};
use serde::Deserialize;
use taja_catalog::{Embedding, PerceptualHash, Picture, Raster, TenantId, port::Embedder};
use taja_clip::{Clip, ClipConfig, Compute, Manifest};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}

/// Whoever asks: a model says the same to everybody.
pub fn shop() -> TenantId {
    "shop".parse().unwrap()
}

/// Where set-up put something, unless the environment names another place.
pub fn installed(variable: &str, place: &str, item: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| repository().join(place), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `./just setup {item}`, or point {variable} at it",
        path.display()
    );
    path
}

pub fn library() -> PathBuf {
    installed("TAJA_ONNXRUNTIME", ".tools/onnxruntime/lib/libonnxruntime.so", "onnxruntime")
}

/// A copy of a tiny model's folder with the vocabulary in it, whose manifest may be edited.
pub fn tiny(name: &str, edit: impl Fn(String) -> String) -> (tempfile::TempDir, ClipConfig) {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny").join(name);
    for entry in std::fs::read_dir(&source).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let merges = repository().join("models/tokenizer/merges.txt");
    std::fs::copy(merges, folder.path().join("merges.txt")).unwrap();
    let text = edit(std::fs::read_to_string(source.join("model.toml")).unwrap());
    let manifest = Manifest::parse(&text, "model.toml").unwrap();
    let config = config(folder.path(), manifest);
    (folder, config)
}

/// For a model folder as it is.
pub fn config_of(folder: &Path) -> ClipConfig {
    config(folder, Manifest::load(&folder.join("model.toml")).unwrap())
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
        compute: Compute::default(),
    }
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

/// What the reference made of golden pictures and of texts, each alone.
#[derive(Deserialize)]
pub struct Expected {
    pub pictures: HashMap<String, Vec<f32>>,
    pub texts: Vec<(String, Vec<f32>)>,
}

impl Expected {
    /// The model says the same of the pictures, and of the texts together and alone.
    pub async fn is_what(&self, clip: &Clip) {
        let pictures = lowest_picture_cosine(clip, &self.pictures).await;
        assert!(pictures >= 0.999, "a picture's cosine is {pictures}");
        let (texts, vectors): (Vec<String>, Vec<_>) = self.texts.iter().cloned().unzip();
        let together = lowest(&clip.texts(&shop(), &texts).await.unwrap(), vectors.iter());
        assert!(together >= 0.9999, "a text's cosine is {together}");
        for (text, vector) in &self.texts {
            let alone = clip.texts(&shop(), std::slice::from_ref(text)).await.unwrap();
            assert!(lowest(&alone, [vector].into_iter()) >= 0.9999, "{text:?} alone");
        }
    }

    /// The highest cosine between what was expected of two different inputs: above it, agreement says something.
    pub fn closest(&self) -> f32 {
        let pictures: Vec<_> = self.pictures.values().collect();
        let texts: Vec<_> = self.texts.iter().map(|(_, vector)| vector).collect();
        let closest = |vectors: Vec<&Vec<f32>>| {
            let unit = |vector: &&Vec<f32>| Embedding::normalised(vector.to_vec(), vector.len()).unwrap();
            let unit: Vec<Embedding> = vectors.iter().map(unit).collect();
            let pairs = (1..unit.len()).flat_map(|end| (0..end).map(move |start| (start, end)));
            pairs.map(|(a, b)| unit[a].cosine(&unit[b])).fold(-1.0, f32::max)
        };
        closest(pictures).max(closest(texts))
    }
}

/// A file of `models/goldens` that holds for one space.
#[derive(Deserialize)]
pub struct Golden {
    space: String,
    #[serde(flatten)]
    pub expected: Expected,
}

impl Golden {
    pub fn of(clip: &Clip, file: &str) -> Self {
        let golden = std::fs::read(repository().join("models/goldens").join(file)).unwrap();
        let golden: Self = serde_json::from_slice(&golden).unwrap();
        let other =
            "run set-up again, or where the model was meant to change models/goldens/make_goldens.py --model";
        assert_eq!(clip.space().id, golden.space, "the model is another than the one of {file}: {other}");
        golden
    }
}

/// The lowest cosine between what a model says of the golden pictures and what the reference said.
pub async fn lowest_picture_cosine(clip: &Clip, expected: &HashMap<String, Vec<f32>>) -> f32 {
    let (names, vectors): (Vec<_>, Vec<_>) = expected.iter().unzip();
    let folder = repository().join("models/goldens/pictures");
    let pictures: Vec<_> = names.iter().map(|name| picture(&folder.join(name))).collect();
    let found = clip.images(&shop(), &pictures).await.unwrap();
    lowest(&found, vectors.into_iter())
}

pub fn lowest<'a>(found: &[Embedding], expected: impl Iterator<Item = &'a Vec<f32>>) -> f32 {
    let expected: Vec<_> = expected.collect();
    assert_eq!(found.len(), expected.len());
    let cosine = |(found, expected): (&Embedding, &Vec<f32>)| {
        found.cosine(&Embedding::normalised(expected.clone(), found.dimension()).unwrap())
    };
    found.iter().zip(expected).map(cosine).fold(1.0, f32::min)
}
