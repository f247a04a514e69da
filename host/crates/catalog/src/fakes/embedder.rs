//! A model without weights: pictures become colours and layout, words become themselves, and the two meet at the
//! names of colours.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::Fault;
use crate::{
    embedding::{Embedding, Space},
    id::TenantId,
    picture::{Picture, Raster},
    port::{Embedder, PortError, PortErrorKind, PortResult},
};

/// Components of a fake vector.
const DIMENSION: usize = 64;
/// Cells per side of the brightness grid.
const GRID: usize = 4;
/// Where the grid begins: after the colours.
const LAYOUT: usize = COLOURS.len();
/// Where hashed words begin: after the grid.
const WORDS: usize = LAYOUT + GRID * GRID;

/// The first components: one for each colour, in pictures by nearest colour and in texts by name.
const COLOURS: [(&str, [u8; 3]); 12] = [
    ("red", [220, 20, 20]),
    ("green", [20, 160, 40]),
    ("blue", [20, 40, 220]),
    ("yellow", [240, 220, 20]),
    ("orange", [255, 140, 0]),
    ("purple", [128, 0, 160]),
    ("pink", [255, 150, 200]),
    ("brown", [120, 70, 20]),
    ("cyan", [0, 200, 220]),
    ("black", [0, 0, 0]),
    ("grey", [128, 128, 128]),
    ("white", [255, 255, 255]),
];

/// Deterministic stand-in for a model. Pictures of like colours are near, texts that share words are near, and
/// `"a red shoe"` is nearer to a red picture than to a blue one.
#[derive(Debug)]
pub struct FakeEmbedder {
    space: Space,
    fault: Fault,
    vectors: AtomicUsize,
}

impl Default for FakeEmbedder {
    fn default() -> Self {
        Self::named("fake")
    }
}

impl FakeEmbedder {
    /// One of another name has a space of its own.
    pub fn named(name: &str) -> Self {
        let space =
            Space { id: format!("{name}@0000000000000000"), model: name.into(), dimension: DIMENSION };
        Self { space, fault: Fault::default(), vectors: AtomicUsize::new(0) }
    }

    /// The next call fails so.
    pub fn fail_next(&self, kind: PortErrorKind) {
        self.fault.arm(kind);
    }

    /// How many vectors were computed so far.
    pub fn vectors_computed(&self) -> usize {
        self.vectors.load(Ordering::Relaxed)
    }

    fn embed<T>(&self, things: &[T], features: impl Fn(&T) -> Vec<f32>) -> PortResult<Vec<Embedding>> {
        self.fault.strike("model")?;
        self.vectors.fetch_add(things.len(), Ordering::Relaxed);
        let one = |thing| {
            Embedding::normalised(features(thing), DIMENSION)
                .map_err(|error| PortError::from_source("model", PortErrorKind::Broken, error))
        };
        things.iter().map(one).collect()
    }
}

#[async_trait]
impl Embedder for FakeEmbedder {
    fn space(&self) -> &Space {
        &self.space
    }

    async fn images(&self, _: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        self.embed(pictures, |picture| of_raster(&picture.raster))
    }

    async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        self.embed(texts, |text| of_text(text))
    }
}

/// Every vector has a little of the last component, so that none is without direction.
fn blank() -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    vector[DIMENSION - 1] = 0.05;
    vector
}

fn of_text(text: &str) -> Vec<f32> {
    let mut vector = blank();
    let lower = text.to_lowercase();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match COLOURS.iter().position(|(name, _)| *name == word) {
            Some(colour) => vector[colour] += 1.0,
            None => vector[WORDS + usize::from(Sha256::digest(word)[0]) % (DIMENSION - 1 - WORDS)] += 0.5,
        }
    }
    vector
}

fn of_raster(raster: &Raster) -> Vec<f32> {
    let mut vector = blank();
    let pixels = raster.rgb().as_chunks::<3>().0;
    let share = 1.0 / pixels.len() as f32;
    let mean = pixels.iter().map(brightness).sum::<f32>() * share;
    for (place, pixel) in pixels.iter().enumerate() {
        let (x, y) = (place % raster.width() as usize, place / raster.width() as usize);
        let cell = y * GRID / raster.height() as usize * GRID + x * GRID / raster.width() as usize;
        vector[nearest_colour(*pixel)] += share;
        vector[LAYOUT + cell] += (brightness(pixel) - mean) * share;
    }
    vector
}

/// 0 for black to 1 for white.
fn brightness(pixel: &[u8; 3]) -> f32 {
    pixel.iter().map(|byte| f32::from(*byte)).sum::<f32>() / 765.0
}

fn nearest_colour(pixel: [u8; 3]) -> usize {
    let distance = |colour: &[u8; 3]| -> u32 {
        pixel.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
    };
    let nearest = COLOURS.iter().enumerate().min_by_key(|(_, (_, colour))| distance(colour));
    nearest.map_or(0, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fakes::{PpmDecoder, plain},
        port::ImageDecoder,
    };

    fn shop() -> TenantId {
        "shop".parse().unwrap()
    }

    #[tokio::test]
    async fn a_red_shoe_is_nearer_to_a_red_picture_than_to_a_blue_one() {
        let model = FakeEmbedder::default();
        let red = Arc::new(PpmDecoder.decode(plain([210, 30, 30], 0)).await.unwrap());
        let blue = Arc::new(PpmDecoder.decode(plain([30, 30, 210], 0)).await.unwrap());
        let pictures = model.images(&shop(), &[red, blue]).await.unwrap();
        let text = &model.texts(&shop(), &["a red shoe".into()]).await.unwrap()[0];
        assert!(text.cosine(&pictures[0]) > text.cosine(&pictures[1]) + 0.3);
    }

    #[tokio::test]
    async fn texts_that_share_words_are_nearer_and_the_empty_text_has_a_vector() {
        let model = FakeEmbedder::default();
        let texts = ["running shoe", "Shoe", "teapot", ""].map(String::from);
        let vectors = model.texts(&shop(), &texts).await.unwrap();
        assert!(vectors[0].cosine(&vectors[1]) > vectors[0].cosine(&vectors[2]) + 0.3);
        assert_eq!(model.vectors_computed(), 4);
    }

    #[tokio::test]
    async fn a_model_told_to_fail_fails_once() {
        let model = FakeEmbedder::default();
        model.fail_next(PortErrorKind::Unavailable);
        assert!(model.texts(&shop(), &["x".into()]).await.is_err());
        assert!(model.texts(&shop(), &["x".into()]).await.is_ok());
    }
}
