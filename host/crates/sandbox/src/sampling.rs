//! Small views of large pictures: bounded work whatever the picture's size.

use taja_catalog::Raster;

/// Most samples per side of one output pixel: with 64 x 64 outputs at most 262,144 reads in all.
const SAMPLES: u32 = 8;

/// The picture at `width` x `height` as RGB: each pixel the mean of up to 8 x 8 samples of the area it covers.
pub(crate) fn shrink(raster: &Raster, width: u32, height: u32) -> Vec<u8> {
    let columns: Vec<_> = (0..width).map(|x| places(x, width, raster.width())).collect();
    let mut out = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        let lines = places(y, height, raster.height());
        for column in &columns {
            out.extend(mean(raster, column, &lines));
        }
    }
    out
}

/// Up to eight evenly spread source places that output place `at` of `out` covers.
fn places(at: u32, out: u32, source: u32) -> Vec<u32> {
    let edge = |place: u32| u64::from(place) * u64::from(source) / u64::from(out);
    let (from, to) = (edge(at), edge(at + 1).max(edge(at) + 1));
    let count = (to - from).min(SAMPLES.into());
    (0..count).map(|n| (from + (2 * n + 1) * (to - from) / (2 * count)) as u32).collect()
}

fn mean(raster: &Raster, columns: &[u32], lines: &[u32]) -> [u8; 3] {
    let mut sum = [0_u32; 3];
    for line in lines {
        let start = *line as usize * raster.width() as usize;
        for column in columns {
            let pixel = (start + *column as usize) * 3;
            sum.iter_mut()
                .zip(&raster.rgb()[pixel..pixel + 3])
                .for_each(|(sum, value)| *sum += u32::from(*value));
        }
    }
    let count = (columns.len() * lines.len()) as u32;
    sum.map(|sum| ((sum + count / 2) / count) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: u32, height: u32) -> Raster {
        let value = |x: u32| (x * 255 / width) as u8;
        let line = || (0..width).flat_map(|x| [value(x); 3]);
        Raster::new(width, height, (0..height).flat_map(|_| line()).collect()).unwrap()
    }

    #[test]
    fn a_shrunken_picture_keeps_its_gradient_and_a_tiny_one_can_grow() {
        let small = shrink(&ramp(640, 480), 4, 1);
        assert!(small.chunks(3).is_sorted() && small.len() == 12);
        assert_eq!(shrink(&ramp(1, 1), 64, 64), vec![0; 64 * 64 * 3]);
    }
}
