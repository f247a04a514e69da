//! Holds preprocessing and tokenizer against what the reference said (`models/goldens`).

use std::{io::Read, path::PathBuf};

use image::{DynamicImage, ImageDecoder, ImageReader};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use taja_catalog::Raster;

use crate::{
    image::{Interpolation, Preprocess, Resize},
    text::ClipBpe,
};

#[derive(Deserialize)]
struct Golden {
    file: String,
    width: u32,
    height: u32,
    pixels_sha256: Option<String>,
    crop_sha256: Option<String>,
    bilinear_sha256: Option<String>,
    squashed_sha256: Option<String>,
    strip: Option<usize>,
}

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../models/goldens")
}

fn pictures() -> Vec<(Golden, Raster)> {
    let list: Vec<Golden> =
        serde_json::from_slice(&std::fs::read(goldens().join("pictures.json")).unwrap()).unwrap();
    let raster = |golden: Golden| {
        let raster = upright(&golden.file);
        assert_eq!((raster.width(), raster.height()), (golden.width, golden.height), "{}", golden.file);
        (golden, raster)
    };
    list.into_iter().map(raster).collect()
}

/// Orientation applied, alpha dropped.
fn upright(file: &str) -> Raster {
    let mut decoder =
        ImageReader::open(goldens().join("pictures").join(file)).unwrap().into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap();
    let mut picture = DynamicImage::from_decoder(decoder).unwrap();
    picture.apply_orientation(orientation);
    let rgb = picture.to_rgb8();
    Raster::new(rgb.width(), rgb.height(), rgb.into_raw()).unwrap()
}

fn openai(size: usize) -> Preprocess {
    Preprocess {
        size,
        resize: Resize::Shortest,
        interpolation: Interpolation::Bicubic,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_72],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn preprocessed_pixels_are_those_of_pillow_to_the_bit() {
    let mut compared = 0;
    for (golden, raster) in pictures() {
        let Some(pixels) = golden.pixels_sha256 else { continue };
        assert_eq!(sha256(raster.rgb()), pixels, "{} is decoded differently", golden.file);
        let variants = [
            (openai(224), golden.crop_sha256),
            (Preprocess { interpolation: Interpolation::Bilinear, ..openai(224) }, golden.bilinear_sha256),
            (Preprocess { resize: Resize::Squash, ..openai(224) }, golden.squashed_sha256),
        ];
        for (preprocess, expected) in variants {
            let found = sha256(&preprocess.pixels(&raster));
            assert_eq!(Some(found), expected, "{} with {preprocess:?}", golden.file);
        }
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} pictures were compared");
}

/// Another JPEG decoder may be a level or two off, so these are compared as tensors.
#[test]
fn preprocessed_photographs_are_those_of_pillow_but_for_the_decoder() {
    let strip = image::open(goldens().join("strip.png")).unwrap().to_rgb8();
    let side = strip.width() as usize;
    let preprocess = openai(side);
    let mut compared = 0;
    for (golden, raster) in pictures() {
        let Some(place) = golden.strip else { continue };
        let bytes = side * side * 3;
        let expected = strip.as_raw()[place * bytes..(place + 1) * bytes].to_vec();
        // At its own size a picture is only scaled and normalised.
        let expected = preprocess.tensor(&Raster::new(side as u32, side as u32, expected).unwrap());
        let found = preprocess.tensor(&raster);
        let difference = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference <= 0.09, "{}: a value differs by {difference}", golden.file);
        assert!(cosine(&found, &expected) > 0.9999, "{}: cosine {}", golden.file, cosine(&found, &expected));
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} photographs were compared");
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn token_ids_are_those_of_openai_on_every_text() {
    let mut json = Vec::new();
    let file = std::fs::File::open(goldens().join("tokens.json.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut json).unwrap();
    let rows: Vec<(String, Vec<u32>)> = serde_json::from_slice(&json).unwrap();
    assert!(rows.len() >= 2000, "only {} texts", rows.len());
    let tokenizer =
        ClipBpe::read(&std::fs::read(goldens().join("../tokenizer/merges.txt")).unwrap()).unwrap();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(text, expected)| {
            let found = tokenizer.encode(text, 77);
            (found != *expected).then(|| format!("{text:?}\n  found    {found:?}\n  expected {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} texts differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
