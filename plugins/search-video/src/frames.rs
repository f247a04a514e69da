//! Which frames of a video are embedded.

use crate::settings::Settings;

/// Number of frames of a uniform plan: about `frames_per_second`, between `min_frames` and `max_frames`.
pub fn uniform_count(duration_ms: u32, settings: &Settings) -> u32 {
    let wanted = (f64::from(duration_ms) / 1000.0 * settings.frames_per_second).round() as u32;
    wanted.max(settings.min_frames).min(settings.max_frames)
}

/// The frames that differ from every one kept before them, as places in `hashes`. A hash that cannot be read
/// equals no other.
pub fn distinct(hashes: &[String], same_distance: u32) -> Vec<usize> {
    let mut kept: Vec<(usize, Option<u64>)> = Vec::new();
    for (at, hash) in hashes.iter().enumerate() {
        let hash = u64::from_str_radix(hash, 16).ok();
        let same =
            |known: &Option<u64>| known.zip(hash).is_some_and(|(a, b)| (a ^ b).count_ones() <= same_distance);
        if !kept.iter().any(|(_, known)| same(known)) {
            kept.push((at, hash));
        }
    }
    kept.into_iter().map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Settings {
        Settings::parse(json).unwrap()
    }

    #[test]
    fn about_a_frame_a_second_between_four_and_sixteen() {
        let count = |ms| uniform_count(ms, &settings("{}"));
        assert_eq!([0, 900, 4_000, 9_600, 16_000, 600_000, u32::MAX].map(count), [4, 4, 4, 10, 16, 16, 16]);
    }

    #[test]
    fn the_upper_bound_wins_over_the_lower() {
        assert_eq!(uniform_count(1_000, &settings(r#"{"min_frames": 10, "max_frames": 2}"#)), 2);
        assert_eq!(uniform_count(4_000, &settings(r#"{"frames_per_second": 2}"#)), 8);
    }

    #[test]
    fn frames_that_look_like_an_earlier_one_are_dropped() {
        let hashes = ["0000000000000000", "0000000000000007", "00000000000000ff", "0000000000000003"];
        let hashes = hashes.map(str::to_owned);
        assert_eq!(distinct(&hashes, 3), [0, 2]);
        assert_eq!(distinct(&hashes, 0), [0, 1, 2, 3]);
        assert_eq!(distinct(&hashes, 64), [0]);
    }

    #[test]
    fn a_hash_that_cannot_be_read_equals_no_other() {
        assert_eq!(distinct(&["".to_owned(), "".to_owned(), "zz".to_owned()], 64), [0, 1, 2]);
    }
}
