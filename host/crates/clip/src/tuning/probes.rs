//! What is run to compare backends: pictures and texts that have little in common, the same everywhere.

use taja_catalog::Raster;

use crate::{error::ClipError, image::Preprocess, text::Tokenizer};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 256;

/// Red, green and blue of the pixel at a place.
type Painter = fn(u32, u32) -> [u8; 3];

/// Flat, smooth, sharp and noisy ones, dark and light ones.
const PAINTERS: [Painter; 8] = [
    |_, _| [200, 120, 40],
    |x, y| [(x * 255 / WIDTH) as u8, (y * 255 / HEIGHT) as u8, 90],
    |x, y| if (x / 16 + y / 16) % 2 == 0 { [250, 250, 250] } else { [10, 10, 10] },
    |x, y| [noise(x, y, 1), noise(x, y, 2), noise(x, y, 3)],
    |x, y| if distance(x, y) < 8_000 { [220, 20, 30] } else { [245, 240, 230] },
    |x, y| if (x + y) % 24 < 8 { [20, 60, 160] } else { [180, 200, 220] },
    |x, y| [noise(x / 8, y / 8, 4) / 4, noise(x / 8, y / 8, 5) / 4, noise(x / 8, y / 8, 6) / 4],
    |x, y| [128 + noise(x / 20, 0, 7) / 4, 128, 128 + noise(0, y / 20, 8) / 4],
];

fn noise(x: u32, y: u32, seed: u32) -> u8 {
    let mixed = (x ^ y.rotate_left(11) ^ seed.rotate_left(22)).wrapping_mul(2_654_435_761);
    ((mixed ^ mixed >> 15).wrapping_mul(2_246_822_519) >> 24) as u8
}

fn distance(x: u32, y: u32) -> u32 {
    x.abs_diff(WIDTH / 2).pow(2) + y.abs_diff(HEIGHT / 2).pow(2)
}

/// Tensors of the probe pictures.
pub(super) fn pictures(preprocess: &Preprocess) -> Vec<Vec<f32>> {
    let paint = |painter: &Painter| {
        let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
        let rgb = places.flat_map(|(x, y)| painter(x, y)).collect();
        let raster = Raster::new(WIDTH, HEIGHT, rgb).expect("as many bytes as pixels");
        preprocess.tensor(&raster)
    };
    PAINTERS.iter().map(paint).collect()
}

/// As many probe texts, from the first, are as long as what shoppers write; batches are timed with these, because the
/// others would be filled up to the length of the longest.
pub(super) const USUAL_TEXTS: usize = 4;

/// Token ids of the probe texts: searches, titles, other scripts, one that is cut at the context.
pub(super) fn texts(tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>, ClipError> {
    let long = "a very long description of a product that goes on ".repeat(20);
    let texts = [
        "red running shoes for men, size 43",
        "a wooden dining table with four chairs",
        "USB-C cable 2 m, 100 W",
        "black leather office chair with wheels",
        "зимняя куртка с капюшоном",
        "防水 登山 背包",
        "!",
        &long,
    ];
    let encode = |text| tokenizer.encode(text).map_err(ClipError::Config);
    texts.into_iter().map(encode).collect()
}
