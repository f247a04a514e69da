//! The perceptual hash on pictures with the statistics of photographs.

use bytes::Bytes;
use image::{RgbImage, imageops::FilterType};
use taja_catalog::{PerceptualHash, Raster, port::ImageDecoder};
use taja_media::{encode_jpeg, pixels};

use crate::images;

/// A cloudy picture: noise of four sizes, the coarse the stronger, as in photographs. Each seed gives another.
fn photograph(seed: u64) -> Raster {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    let (width, height) = (400, 300);
    let mut sum = vec![0.0_f32; width * height * 3];
    for (cells, weight) in [(4, 0.5), (9, 0.3), (40, 0.15), (200, 0.05)] {
        let noise = RgbImage::from_fn(cells, cells, |_, _| image::Rgb([random(), random(), random()]));
        let layer = image::imageops::resize(&noise, width as u32, height as u32, FilterType::CatmullRom);
        sum.iter_mut().zip(layer.as_raw()).for_each(|(sum, value)| *sum += weight * f32::from(*value));
    }
    Raster::new(width as u32, height as u32, sum.iter().map(|value| *value as u8).collect()).unwrap()
}

async fn after_shrinking_and_encoding(raster: &Raster) -> PerceptualHash {
    let half = pixels(raster, raster.width() / 2, raster.height() / 2);
    let file = encode_jpeg(&half, 60).unwrap();
    images().decode(Bytes::from(file)).await.unwrap().perceptual
}

#[tokio::test]
async fn half_the_size_at_quality_60_still_looks_alike() {
    for seed in 1..20 {
        let original = photograph(seed);
        let distance = PerceptualHash::of(&original).distance(after_shrinking_and_encoding(&original).await);
        assert!(distance <= 4, "seed {seed}: {distance}");
    }
}

#[test]
fn different_photographs_look_different() {
    let hashes: Vec<PerceptualHash> = (1..20).map(|seed| PerceptualHash::of(&photograph(seed))).collect();
    for (number, hash) in hashes.iter().enumerate() {
        for other in &hashes[..number] {
            assert!(hash.distance(*other) >= 12, "{hash} {other}");
        }
    }
}

/// On the photographs that set-up takes from a package.
#[tokio::test]
async fn real_photographs_still_look_alike_after_shrinking_and_encoding() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../.tools/photographs");
    let files = std::fs::read_dir(folder).expect("run `./just setup photographs` first");
    for file in files {
        let path = file.unwrap().path();
        let picture = images().decode(std::fs::read(&path).unwrap().into()).await.unwrap();
        let distance = picture.perceptual.distance(after_shrinking_and_encoding(&picture.raster).await);
        assert!(distance <= 4, "{}: {distance}", path.display());
    }
}
