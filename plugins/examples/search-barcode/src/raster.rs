//! Brightness in rows, and what is met along a line through it.

/// Places are counted in parts of a pixel, so that a line needs no arithmetic but of whole numbers.
const PARTS: i32 = 256;

/// A picture in shades of grey, 0 to 255.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    width: usize,
    height: usize,
    /// Row by row, and a row and a pixel more, so that every pixel has neighbours to the right and below.
    shades: Vec<u8>,
}

impl Raster {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, shades: vec![0; width * (height + 1) + 1] }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Puts a tile of RGB bytes, `width` pixels wide, at a place. What reaches outside is cut off.
    pub fn put(&mut self, x: usize, y: usize, width: usize, rgb: &[u8]) {
        let fits = width.min(self.width.saturating_sub(x));
        let rows = rgb.chunks_exact(width.max(1) * 3);
        for (row, y) in rows.zip(y..self.height) {
            let start = y * self.width + x;
            let pixels = self.shades[start..start + fits].iter_mut().zip(row.chunks_exact(3));
            pixels.for_each(|(shade, pixel)| *shade = luminance([pixel[0], pixel[1], pixel[2]]));
        }
    }

    /// The shades along a line, one for each pixel of its length. `direction` is of length 1; the line runs at a
    /// distance of `offset` from the middle, and each shade is the mean of three side by side across it.
    pub fn along(&self, direction: (f32, f32), offset: f32) -> Vec<f32> {
        let (dx, dy) = direction;
        let (middle_x, middle_y) =
            (self.width as f32 / 2.0 - dy * offset, self.height as f32 / 2.0 + dx * offset);
        let (from_x, to_x) = inside(middle_x, dx, self.width);
        let (from_y, to_y) = inside(middle_y, dy, self.height);
        let (from, to) = (from_x.max(from_y), to_x.min(to_y));
        let count = (to - from).max(0.0) as usize;
        let parts = |pixels: f32| (pixels * PARTS as f32) as i32;
        let (across_x, across_y) = (parts(-dy), parts(dx));
        let shade = |at: usize| {
            let along = from + 0.5 + at as f32;
            // Pixels have their centres at halves.
            let (x, y) = (parts(middle_x + dx * along - 0.5), parts(middle_y + dy * along - 0.5));
            let sum = [-1, 0, 1].map(|side| self.at(x + side * across_x, y + side * across_y));
            sum.iter().sum::<u32>() as f32 / (3 * PARTS * PARTS) as f32
        };
        (0..count).map(shade).collect()
    }

    /// The shade at a place, mixed from the four pixels around it, times [`PARTS`] squared. Outside the picture it is
    /// that of the border.
    fn at(&self, x: i32, y: i32) -> u32 {
        let x = x.clamp(0, (self.width as i32 - 1) * PARTS) as u32;
        let y = y.clamp(0, (self.height as i32 - 1) * PARTS) as u32;
        let parts = PARTS as u32;
        let first = (y / parts) as usize * self.width + (x / parts) as usize;
        let (right, down) = (x % parts, y % parts);
        let mix = |first: usize| {
            let [a, b] = [self.shades[first], self.shades[first + 1]].map(u32::from);
            a * (parts - right) + b * right
        };
        mix(first) * (parts - down) + mix(first + self.width) * down
    }
}

/// ITU-R BT.601.
fn luminance(rgb: [u8; 3]) -> u8 {
    let [red, green, blue] = rgb.map(u32::from);
    ((red * 77 + green * 150 + blue * 29) >> 8) as u8
}

/// The stretch of a line that lies between 0 and `side`, measured along it from `middle`.
fn inside(middle: f32, step: f32, side: usize) -> (f32, f32) {
    if step == 0.0 {
        return (f32::NEG_INFINITY, f32::INFINITY);
    }
    let (a, b) = (-middle / step, (side as f32 - middle) / step);
    (a.min(b), a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Raster {
        let mut raster = Raster::new(4, 3);
        let row = [0, 80, 160, 240].map(|shade: u8| [shade; 3]).concat();
        raster.put(0, 0, 4, &[row.clone(), row.clone(), row].concat());
        raster
    }

    #[test]
    fn a_line_meets_every_pixel_once_from_either_end() {
        assert_eq!(ramp().along((1.0, 0.0), 0.0), [0.0, 80.0, 160.0, 240.0]);
        assert_eq!(ramp().along((-1.0, 0.0), 0.0), [240.0, 160.0, 80.0, 0.0]);
        assert_eq!(ramp().along((0.0, 1.0), 0.0).len(), 3);
    }

    #[test]
    fn a_slanted_line_ends_at_the_border() {
        let slanted = ramp().along((0.6, 0.8), 0.0);
        assert_eq!(slanted.len(), 3);
        assert!(slanted.is_sorted());
        assert!(ramp().along((1.0, 0.0), 99.0).len() == 4, "outside it follows the border");
        assert!(ramp().along((0.6, 0.8), 99.0).is_empty());
    }

    #[test]
    fn tiles_are_put_side_by_side_and_cut_at_the_border() {
        let mut raster = Raster::new(3, 1);
        raster.put(0, 0, 2, &[255; 12]);
        raster.put(2, 0, 2, &[100; 6]);
        assert_eq!(raster.shades[..3], [255, 255, 100]);
    }
}
