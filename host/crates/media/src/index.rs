//! The list of a video's packets, as ffmpeg's `framecrc` format prints it without decoding: sizes, and when each picture
//! is shown. It is true where headers lie or are silent (a recording that was never closed has no duration).

use taja_catalog::port::MediaError;

/// When a picture is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shown {
    /// Seconds from the start of the file.
    pub(crate) at: f64,
    /// Whether decoding can begin here.
    pub(crate) key: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    /// Width in pixels; as coded, or upright when the list was made from decoded frames.
    pub(crate) width: u32,
    /// Height in pixels.
    pub(crate) height: u32,
    /// Width of a pixel divided by its height.
    pub(crate) pixel_aspect: f64,
    /// Pictures in the order they are shown, at least one.
    pub(crate) shown: Vec<Shown>,
    /// When the last picture ends, seconds.
    pub(crate) end: f64,
}

impl Index {
    /// Reads the list.
    ///
    /// # Errors
    /// `Corrupt` when it has no size or no packet.
    pub(crate) fn parse(text: &str) -> Result<Self, MediaError> {
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let pair = |text: &str, by: char| {
            let (left, right) = text.trim().split_once(by)?;
            Some((left.parse::<u32>().ok()?, right.parse::<u32>().ok()?))
        };
        let time_base = header("#tb 0: ").and_then(|value| pair(value, '/'));
        let size = header("#dimensions 0: ").and_then(|value| pair(value, 'x'));
        let (Some((number, of)), Some((width @ 1.., height @ 1..))) = (time_base, size) else {
            return Err(MediaError::Corrupt("it has no video stream with a size".into()));
        };
        let unit = f64::from(number) / f64::from(of.max(1));
        let aspect = header("#sar 0: ").and_then(|value| pair(value, '/'));
        let (shown, end) = shown(text, unit);
        if shown.is_empty() {
            return Err(MediaError::Corrupt("it has no frames".into()));
        }
        Ok(Self { width, height, pixel_aspect: believable(aspect), shown, end })
    }

    /// The size as it should be seen: pixels that are not square are made so by stretching the width.
    pub(crate) fn display_size(&self) -> (u32, u32) {
        // The factor is at most 8 and a side at most u32::MAX, so that the cast saturates at worst.
        (((f64::from(self.width) * self.pixel_aspect).round() as u32).max(1), self.height)
    }

    /// The time of the picture that begins nearest to a time: a file's own clock may tick no finer than its pictures
    /// change, and then times counted from a point between two of them are off by that much.
    pub(crate) fn nearest(&self, time: f64) -> f64 {
        let after = self.shown.partition_point(|shown| shown.at < time);
        let around = after.saturating_sub(1)..self.shown.len().min(after + 1);
        let near = self.shown[around].iter().map(|shown| shown.at);
        near.min_by(|a, b| (a - time).abs().total_cmp(&(b - time).abs())).unwrap_or(time)
    }

    /// The picture that is seen at a time: the last one that began, or the first.
    pub(crate) fn seen_at(&self, time: f64) -> usize {
        self.shown.partition_point(|shown| shown.at <= time).saturating_sub(1)
    }
}

/// Real pixels are between 8:9 and 2:1; anything wild is a mistake.
fn believable(aspect: Option<(u32, u32)>) -> f64 {
    let ratio = aspect.map_or(1.0, |(width, height)| f64::from(width) / f64::from(height));
    if (0.125..=8.0).contains(&ratio) { ratio } else { 1.0 }
}

/// Lines look like `0, dts, pts, duration, size, 0xcrc[, F=0x0]`; the flags are left out for a key frame.
fn shown(text: &str, unit: f64) -> (Vec<Shown>, f64) {
    let mut all = Vec::new();
    let mut end = 0.0_f64;
    for line in text.lines().filter(|line| line.starts_with("0,")) {
        let mut fields = line.split(',').map(str::trim).skip(1);
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (Some(dts), Some(pts), Some(duration)) = (number(), number(), number()) else { continue };
        // AVI knows no presentation times; the lowest number stands for "none".
        let start = if pts == i64::MIN { dts } else { pts };
        // Before zero lies what an edit list cuts away.
        if start >= 0 {
            all.push(Shown { at: start as f64 * unit, key: !line.contains("F=0x") });
            end = end.max(start.saturating_add(duration.max(0)) as f64 * unit);
        }
    }
    all.sort_by(|a, b| a.at.total_cmp(&b.at));
    (all, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "#software: Lavf\n#tb 0: 1/100\n#media_type 0: video\n#dimensions 0: 720x576\n#sar 0: 16/15\n\
        0,   -8,    0,   4, 8979, 0x47\n0,   -4,    8,   4, 4597, 0x4b, F=0x0\n0,    0,    4,   4, 3128, 0x29, F=0x0\n\
        0,  -99,  -90,   4, 3128, 0x29, F=0x0\n";

    #[test]
    fn pictures_are_listed_as_shown_and_not_as_stored() {
        let index = Index::parse(LIST).unwrap();
        assert_eq!(index.shown.iter().map(|s| s.at).collect::<Vec<_>>(), [0.0, 0.04, 0.08]);
        assert_eq!(index.shown.iter().map(|s| s.key).collect::<Vec<_>>(), [true, false, false]);
        assert!((index.end - 0.12).abs() < 1e-9);
        assert_eq!(index.display_size(), (768, 576));
    }

    #[test]
    fn the_picture_seen_between_two_is_the_earlier() {
        let index = Index::parse(LIST).unwrap();
        assert_eq!([-1.0, 0.0, 0.03, 0.05, 9.0].map(|time| index.seen_at(time)), [0, 0, 0, 1, 2]);
    }

    #[test]
    fn a_time_a_little_off_is_put_right() {
        let index = Index::parse(LIST).unwrap();
        assert_eq!([-1.0, 0.035, 0.041, 9.0].map(|time| index.nearest(time)), [0.0, 0.04, 0.04, 0.08]);
    }

    #[test]
    fn a_list_without_size_or_pictures_is_refused() {
        assert!(Index::parse("").is_err());
        assert!(Index::parse("#tb 0: 1/25\n#dimensions 0: 0x0\n0, 0, 0, 1, 1, 0x0\n").is_err());
        assert!(Index::parse("#tb 0: 1/25\n#dimensions 0: 4x4\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_list_breaks_it(body in "(0, *-?[0-9]{1,19}, *-?[0-9]{1,19}, *-?[0-9]{1,19}\n){0,5}", sar in "[0-9]{1,10}/[0-9]{1,10}") {
            let list = format!("#tb 0: 1/0\n#dimensions 0: 4x4\n#sar 0: {sar}\n{body}");
            if let Ok(index) = Index::parse(&list) {
                index.display_size();
                proptest::prop_assert!(index.seen_at(0.5) < index.shown.len());
            }
        }
    }
}
