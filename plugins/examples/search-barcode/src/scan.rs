//! Looks for a code in a picture: along many lines, in eight directions, from both ends.

use crate::{bars::bars, gtin::Gtin, raster::Raster, symbol::codes};

/// Directions in the order of how likely a code lies so: level, upright, then aslant. A code is read along a line that
/// runs through all its bars, which are nearly as high as the code is wide, so these leave no tilt out.
const DIRECTIONS: [(f32, f32); 8] = [
    (1.0, 0.0),
    (0.0, 1.0),
    (FAR, NEAR),
    (FAR, -NEAR),
    (NEAR, FAR),
    (NEAR, -FAR),
    (HALF, HALF),
    (HALF, -HALF),
];
/// Cosine and sine of 22.5 degrees, and of 45.
const FAR: f32 = 0.923_879_5;
const NEAR: f32 = 0.382_683_43;
const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// Lines in one direction, side by side: most where most codes lie.
const LINES: [usize; 8] = [96, 96, 48, 48, 48, 48, 48, 48];
/// How far thresholds look around them, in blocks: near for uneven light and small codes, far for large ones.
const REACHES: [usize; 2] = [2, 10];
/// Lines that must read the same before it is believed: of misread digits one in ten has the right check digit.
const AGREEING: usize = 2;

/// The code in a picture that most lines read.
pub fn find(raster: &Raster) -> Option<Gtin> {
    if raster.width() == 0 || raster.height() == 0 {
        return None;
    }
    DIRECTIONS.iter().zip(LINES).find_map(|(direction, lines)| agreed(&read(raster, *direction, lines)))
}

/// What the lines of one direction read.
fn read(raster: &Raster, direction: (f32, f32), lines: usize) -> Vec<Gtin> {
    let (dx, dy) = direction;
    let across = dy.abs() * raster.width() as f32 + dx.abs() * raster.height() as f32;
    let offset = |line: usize| ((line as f32 + 0.5) / lines as f32 - 0.5) * across;
    (0..lines).flat_map(|line| along(&raster.along(direction, offset(line)))).collect()
}

/// The codes of one line, each once.
fn along(shades: &[f32]) -> Vec<Gtin> {
    let mut found: Vec<Gtin> = Vec::new();
    for reach in REACHES {
        let Some(bars) = bars(shades, reach) else { break };
        for code in codes(&bars).into_iter().chain(codes(&bars.reversed())) {
            if !found.contains(&code) {
                found.push(code);
            }
        }
    }
    found
}

/// What most lines read, if enough of them did.
fn agreed(readings: &[Gtin]) -> Option<Gtin> {
    let count = |code: &Gtin| readings.iter().filter(|reading| *reading == code).count();
    let best = readings.iter().reduce(|best, other| if count(other) > count(best) { other } else { best })?;
    (count(best) >= AGREEING).then(|| best.clone())
}

#[cfg(test)]
mod tests;
