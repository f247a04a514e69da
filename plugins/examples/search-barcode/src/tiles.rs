//! How a picture of any size is read in tiles of at most 64 x 64 pixels.

/// Longest side of a tile, as the host gives them.
const SIDE: u32 = 64;
/// Most tiles of one reading: two host calls each. A picture of 1,600 x 1,200 pixels is read as it is.
const MOST: u32 = 480;

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Area {
    /// The middle half of both sides.
    pub fn middle(self) -> Self {
        Self {
            x: self.x + self.width / 4,
            y: self.y + self.height / 4,
            width: self.width.div_ceil(2),
            height: self.height.div_ceil(2),
        }
    }
}

/// A tile: where it lies in the picture, and where and how large in what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// What of the picture it shows.
    pub source: Area,
    /// Where it belongs, in pixels of the reading.
    pub target: Area,
}

/// Pixels of the picture for one of the reading, on each side: as few as the number of tiles allows. Whole, so that
/// tiles meet without a seam.
pub fn scale(area: Area) -> u32 {
    let tiles = |scale: u32| {
        let side = |length: u32| u64::from((length / scale).div_ceil(SIDE));
        side(area.width) * side(area.height)
    };
    (1..).find(|scale| tiles(*scale) <= u64::from(MOST)).unwrap_or(u32::MAX)
}

/// The tiles of an area at a scale; what is narrower than one pixel of the reading is left out at the far borders.
pub fn tiles(area: Area, scale: u32) -> impl Iterator<Item = Tile> {
    let (columns, rows) = (stretches(area.width / scale), stretches(area.height / scale));
    rows.flat_map(move |(y, height)| {
        columns.clone().map(move |(x, width)| Tile {
            source: Area {
                x: area.x + x * scale,
                y: area.y + y * scale,
                width: width * scale,
                height: height * scale,
            },
            target: Area { x, y, width, height },
        })
    })
}

/// Where the tiles of one side begin, and how long they are.
fn stretches(length: u32) -> impl Iterator<Item = (u32, u32)> + Clone {
    (0..length).step_by(SIDE as usize).map(move |start| (start, SIDE.min(length - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(width: u32, height: u32) -> Area {
        Area { x: 0, y: 0, width, height }
    }

    #[test]
    fn tiles_cover_the_reading_without_gaps_and_lie_inside_the_picture() {
        for (width, height) in [(1, 1), (64, 64), (65, 130), (1600, 1200), (4000, 3000), (12000, 100)] {
            let area = whole(width, height);
            let scale = scale(area);
            let tiles: Vec<_> = tiles(area, scale).collect();
            assert!(tiles.len() <= MOST as usize, "{width} x {height}");
            let covered: u64 =
                tiles.iter().map(|tile| u64::from(tile.target.width) * u64::from(tile.target.height)).sum();
            assert_eq!(covered, u64::from(width / scale) * u64::from(height / scale));
            for Tile { source, target } in tiles {
                assert!(source.x + source.width <= width && source.y + source.height <= height);
                assert!((1..=SIDE).contains(&target.width) && (1..=SIDE).contains(&target.height));
                assert_eq!(source.width, target.width * scale);
            }
        }
    }

    #[test]
    fn a_picture_is_read_as_it_is_where_that_is_possible() {
        assert_eq!(scale(whole(1600, 1200)), 1);
        assert_eq!(scale(whole(4000, 3000)), 3);
        assert_eq!(scale(whole(4000, 3000).middle()), 2);
        assert_eq!(whole(4000, 3000).middle(), Area { x: 1000, y: 750, width: 2000, height: 1500 });
        assert_eq!(whole(1, 1).middle(), whole(1, 1));
        assert!(scale(whole(u32::MAX, u32::MAX)) > 1000);
    }
}
