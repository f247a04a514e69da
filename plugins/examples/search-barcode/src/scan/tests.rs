//! Codes drawn as photographs have them: small, large, blurred, noisy, in the shade, tilted, upside down.

use super::*;
use crate::symbol::draw;

const EAN_13: &str = "4006381333931";
const EAN_8: &str = "96385074";

/// A picture with one code in it.
#[derive(Clone)]
struct Photo {
    digits: &'static str,
    width: usize,
    height: usize,
    /// Pixels per module.
    module: f32,
    /// Height of the bars, pixels.
    bars: f32,
    /// Degrees.
    tilt: f32,
    /// Side of the box that pixels are averaged over.
    blur: f32,
    /// Standard deviation of the noise, levels.
    noise: f32,
    dark: f32,
    light: f32,
    /// Share of the light that is left at the right border.
    shade: f32,
    /// Level of the surroundings of the label.
    around: f32,
}

impl Default for Photo {
    fn default() -> Self {
        Self {
            digits: EAN_13,
            width: 400,
            height: 240,
            module: 2.5,
            bars: 120.0,
            tilt: 0.0,
            blur: 1.0,
            noise: 0.0,
            dark: 20.0,
            light: 235.0,
            shade: 1.0,
            around: 150.0,
        }
    }
}

impl Photo {
    fn take(&self) -> Raster {
        let modules = draw::modules(self.digits);
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let mut chance = Chance(7);
        let mut raster = Raster::new(self.width, self.height);
        for y in 0..self.height {
            for x in 0..self.width {
                let level = self.mean(&modules, (sin, cos), x as f32, y as f32);
                let light = 1.0 - (1.0 - self.shade) * x as f32 / self.width as f32;
                let level = (level * light + self.noise * chance.normal()).clamp(0.0, 255.0) as u8;
                raster.put(x, y, 1, &[level; 3]);
            }
        }
        raster
    }

    /// The mean over what a pixel sees: three by three points.
    fn mean(&self, modules: &[bool], turn: (f32, f32), x: f32, y: f32) -> f32 {
        let places = [-1.0, 0.0, 1.0].map(|place| 0.5 + place * self.blur / 3.0);
        let points = places.iter().flat_map(|dx| places.map(|dy| (x + dx, y + dy)));
        points.map(|(x, y)| self.level(modules, turn, x, y)).sum::<f32>() / 9.0
    }

    fn level(&self, modules: &[bool], (sin, cos): (f32, f32), x: f32, y: f32) -> f32 {
        let (x, y) = (x - self.width as f32 / 2.0 - 0.31, y - self.height as f32 / 2.0);
        let (along, up) = (x * cos + y * sin, y * cos - x * sin);
        let module = along / self.module + modules.len() as f32 / 2.0;
        if up.abs() > self.bars / 2.0 + 10.0 || !(-7.0..modules.len() as f32 + 7.0).contains(&module) {
            return self.around;
        }
        let dark = up.abs() < self.bars / 2.0 && module >= 0.0 && modules.get(module as usize) == Some(&true);
        if dark { self.dark } else { self.light }
    }

    fn is_read(&self) -> bool {
        let found = find(&self.take());
        let right = Gtin::parse(self.digits).unwrap();
        assert!(found.is_none() || found.as_ref() == Some(&right), "misread as {found:?}");
        found.is_some()
    }
}

/// Xorshift: the same noise in every run.
struct Chance(u64);

impl Chance {
    /// About normal: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f32 {
        let uniform = |_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 40) as f32 / (1_u64 << 24) as f32
        };
        (0..12).map(uniform).sum::<f32>() - 6.0
    }
}

#[test]
fn codes_are_read_at_every_size_from_one_and_a_half_pixels_a_module() {
    for digits in [EAN_13, EAN_8, "0036000291452"] {
        for module in [1.5, 1.73, 2.0, 2.6, 3.4, 5.0, 8.0] {
            let width = (115.0 * module) as usize;
            let photo = Photo { digits, module, width, height: 80, bars: 60.0, ..Photo::default() };
            assert!(photo.is_read(), "{digits} at {module}");
        }
    }
}

#[test]
fn codes_are_read_at_every_tilt() {
    let photo = Photo { width: 240, height: 240, module: 1.9, bars: 110.0, ..Photo::default() };
    for tilt in (0..360).step_by(15).map(|tilt| tilt as f32) {
        assert!(Photo { tilt, ..photo.clone() }.is_read(), "at {tilt} degrees");
    }
    for tilt in [20.0, 70.0, 185.0] {
        assert!(Photo { tilt, digits: EAN_8, ..photo.clone() }.is_read(), "EAN-8 at {tilt} degrees");
    }
}

#[test]
fn noise_blur_shadow_and_weak_print_are_borne() {
    let photo = Photo::default();
    assert!(Photo { noise: 25.0, ..photo.clone() }.is_read(), "noise");
    assert!(Photo { blur: 3.0, ..photo.clone() }.is_read(), "blur");
    assert!(Photo { shade: 0.25, ..photo.clone() }.is_read(), "shadow");
    assert!(Photo { dark: 100.0, light: 160.0, around: 90.0, ..photo.clone() }.is_read(), "weak print");
    let all = Photo { noise: 10.0, blur: 2.0, shade: 0.5, tilt: 12.0, module: 3.0, width: 440, ..photo };
    assert!(all.is_read(), "everything at once");
}

#[test]
fn a_large_code_has_bars_wider_than_the_threshold_looks() {
    let photo = Photo { module: 14.0, width: 1600, height: 300, noise: 8.0, ..Photo::default() };
    assert!(photo.is_read());
}

#[test]
fn what_cannot_be_told_is_not_guessed() {
    let photo = Photo::default();
    assert!(!Photo { blur: 9.0, ..photo.clone() }.is_read(), "blur");
    assert!(!Photo { noise: 150.0, ..photo.clone() }.is_read(), "noise");
    assert!(!Photo { module: 0.6, ..photo.clone() }.is_read(), "too small");
    assert!(!Photo { dark: 200.0, light: 206.0, around: 203.0, ..photo }.is_read(), "no contrast");
}

#[test]
fn pictures_without_a_code_have_none() {
    let mut chance = Chance(3);
    let mut noise = Raster::new(300, 200);
    let mut stripes = Raster::new(300, 200);
    for (x, y) in (0..200).flat_map(|y| (0..300).map(move |x| (x, y))) {
        noise.put(x, y, 1, &[(128.0 + 60.0 * chance.normal()).clamp(0.0, 255.0) as u8; 3]);
        stripes.put(x, y, 1, &[if x / 3 % 2 == 0 { 0 } else { 255 }; 3]);
    }
    for raster in [noise, stripes, Raster::new(50, 50), Raster::new(1, 1), Raster::new(0, 7)] {
        assert_eq!(find(&raster), None);
    }
}
