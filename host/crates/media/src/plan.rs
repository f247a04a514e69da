//! Which frames a plan means, and the cheapest way through the file to get them.

use taja_catalog::FramePlan;

use crate::index::{Index, Shown};

/// What starting ffmpeg and opening the file costs, in decoded frames (measured: 40 ms, at some 700 frames a second).
const START_COST: usize = 30;

/// Frames among which scenes are looked for one by one. Of a longer video only the key frames are decoded, provided there
/// is one in every [`KEY_SECONDS`] on average: encoders set one at a cut, or else often enough.
const MAX_SCANNED: usize = 3_000;
const KEY_SECONDS: f64 = 10.0;

/// One run of ffmpeg through a part of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pass {
    /// Where to begin, seconds; 0 for the start.
    pub(crate) from: f64,
    /// Most frames that come out.
    pub(crate) frames: u32,
    /// ffmpeg's `select` expression; none for every frame.
    pub(crate) select: Option<String>,
    /// Whether frames are scaled before they are selected.
    pub(crate) scale_first: bool,
    /// Whether frames that are no key frames are passed over undecoded.
    pub(crate) keys_only: bool,
}

/// The runs that give a plan's frames, in the order of time. At most `max_frames` frames come out of them.
pub(crate) fn passes(plan: FramePlan, packets: &Index, max_frames: u32) -> Vec<Pass> {
    match plan {
        FramePlan::Uniform { frames } => uniform(packets, frames.clamp(1, max_frames.max(1))),
        FramePlan::SceneChange { threshold, max_frames: wanted } => {
            // `clamp` lets NaN through, and the expression must hold a number.
            let threshold = if threshold.is_nan() { 1.0 } else { threshold.clamp(0.0, 1.0) };
            vec![Pass {
                from: 0.0,
                frames: wanted.clamp(1, max_frames.max(1)),
                select: Some(format!("eq(n,0)+gt(scene,{threshold:.4})")),
                scale_first: true,
                keys_only: keys_suffice(packets),
            }]
        }
    }
}

fn keys_suffice(packets: &Index) -> bool {
    let keys = packets.shown.iter().filter(|shown| shown.key).count();
    packets.shown.len() > MAX_SCANNED && keys as f64 * KEY_SECONDS >= packets.end
}

/// The frames seen in the middle of `count` equal parts of the duration; a frame seen twice is taken once.
fn uniform(packets: &Index, count: u32) -> Vec<Pass> {
    let part = packets.end / f64::from(count);
    let mut wanted: Vec<usize> =
        (0..count).map(|number| packets.seen_at((f64::from(number) + 0.5) * part)).collect();
    wanted.dedup();
    let (one, many) = (one_pass(&packets.shown, &wanted), seeks(&packets.shown, &wanted));
    let through = wanted.last().map_or(0, |last| last + 1);
    if seek_cost(&packets.shown, &wanted) < through { many } else { one }
}

fn seek_cost(shown: &[Shown], wanted: &[usize]) -> usize {
    let since_key = |at: usize| shown[..=at].iter().rev().position(|shown| shown.key).unwrap_or(at);
    wanted.iter().map(|at| since_key(*at) + START_COST).sum()
}

fn seeks(shown: &[Shown], wanted: &[usize]) -> Vec<Pass> {
    wanted
        .iter()
        .map(|at| Pass {
            from: just_before(shown, *at),
            frames: 1,
            select: None,
            scale_first: false,
            keys_only: false,
        })
        .collect()
}

/// Counts the times passed so far, and takes a frame whenever that number has grown.
fn one_pass(shown: &[Shown], wanted: &[usize]) -> Vec<Pass> {
    let passed: Vec<String> =
        wanted.iter().map(|at| format!("gte(t,{:.6})", just_before(shown, *at))).collect();
    let select = format!("st(1,{});gt(ld(1),ld(0))*st(0,ld(1))", passed.join("+"));
    let frames = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    vec![Pass { from: 0.0, frames, select: Some(select), scale_first: false, keys_only: false }]
}

/// A time between a picture and the one before it, so that no rounding picks the wrong one.
fn just_before(shown: &[Shown], at: usize) -> f64 {
    let before = at.checked_sub(1).map_or(0.0, |before| shown[before].at);
    ((shown[at].at + before) / 2.0).max(shown[at].at - 0.005).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 25 frames a second, one in `group` a key frame.
    fn packets(count: u32, group: u32) -> Index {
        let shown = (0..count).map(|n| Shown { at: f64::from(n) / 25.0, key: n % group == 0 }).collect();
        Index { width: 4, height: 4, pixel_aspect: 1.0, shown, end: f64::from(count) / 25.0 }
    }

    #[test]
    fn a_short_video_is_read_once() {
        let passes = passes(FramePlan::Uniform { frames: 4 }, &packets(100, 25), 300);
        assert_eq!(passes.len(), 1);
        assert_eq!(passes[0].frames, 4);
    }

    #[test]
    fn few_frames_of_a_long_video_are_sought_one_by_one() {
        let passes = passes(FramePlan::Uniform { frames: 4 }, &packets(15_000, 250), 300);
        let from: Vec<f64> = passes.iter().map(|pass| pass.from.round()).collect();
        assert_eq!(from, [75.0, 225.0, 375.0, 525.0]);
    }

    #[test]
    fn more_frames_than_there_are_give_each_once() {
        let passes = passes(FramePlan::Uniform { frames: 50 }, &packets(3, 1), 300);
        assert_eq!(passes.iter().map(|pass| pass.frames).sum::<u32>(), 3);
    }

    #[test]
    fn scenes_of_a_long_video_are_looked_for_among_its_key_frames_if_there_are_enough() {
        let plan = FramePlan::SceneChange { threshold: 0.3, max_frames: 9 };
        assert!(!passes(plan, &packets(3_000, 25), 300)[0].keys_only);
        assert!(passes(plan, &packets(3_001, 250), 300)[0].keys_only);
        assert!(!passes(plan, &packets(3_001, 300), 300)[0].keys_only);
    }

    #[test]
    fn no_plan_gets_more_than_the_limit() {
        for plan in [
            FramePlan::Uniform { frames: u32::MAX },
            FramePlan::SceneChange { threshold: f32::NAN, max_frames: u32::MAX },
        ] {
            let total: u32 = passes(plan, &packets(5_000, 250), 300).iter().map(|pass| pass.frames).sum();
            assert!(total <= 300, "{total}");
        }
    }
}
