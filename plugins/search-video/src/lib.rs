//! The search policy for videos: frames are sampled and embedded, and each product is matched by its best frame.

pub mod fold;
pub mod frames;
pub mod settings;

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "taja:plugin/search", generate_all });
}

use bindings::{
    exports::taja::plugin::searching::{Content, Guest, Leg, Measure, Part, Query},
    taja::host::{
        catalogue::{self, Hits},
        embed, job,
        log::{self, Level},
        media::{FramePlan, Image, ScenePlan, Video},
        types::Error,
    },
};
use settings::{Plan, Settings};

/// The component.
pub struct SearchVideo;

impl Guest for SearchVideo {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let mut legs = Vec::with_capacity(query.parts.len());
        let parts = query.parts.len() as u32;
        for (at, part) in (0..).zip(&query.parts) {
            let stages = Stages { part: at, parts };
            match leg(part, depth(query.limit), &settings, &stages)? {
                Some(leg) => legs.push(leg),
                // Nobody waits for the rest.
                None => break,
            }
        }
        Ok(legs)
    }
}

/// Where in the whole work a stage of one part lies.
struct Stages {
    part: u32,
    parts: u32,
}

impl Stages {
    /// Reports a stage; false when the job was cancelled.
    fn begin(&self, percent: u32, message: &str) -> bool {
        job::progress((self.part * 100 + percent) / self.parts, message);
        !job::cancelled()
    }
}

/// The leg of one video; none when the job was cancelled.
fn leg(part: &Part, depth: u32, settings: &Settings, stages: &Stages) -> Result<Option<Leg>, String> {
    let Content::Video(video) = &part.content else {
        return Err("the query holds no video".to_owned());
    };
    if !stages.begin(0, "sampling frames") {
        return Ok(None);
    }
    let frames = sample(video, settings)?;
    if !stages.begin(40, &format!("embedding {} frames", frames.len())) {
        return Ok(None);
    }
    let vectors =
        embed::images(&frames.iter().collect::<Vec<_>>()).map_err(|error| refused("embed.images", &error))?;
    if !stages.begin(80, "looking for similar products") {
        return Ok(None);
    }
    let neighbours =
        catalogue::nearest(&vectors, "", depth).map_err(|error| refused("catalogue.nearest", &error))?;
    let hits = folded(&neighbours, frames.len(), depth, settings)?;
    let name = leg_name(stages.part);
    let weight = settings.vector_weight * part.weight;
    Ok(Some(Leg { name, part: stages.part, measure: Measure::Cosine, weight, hits }))
}

/// The frames to embed: as planned, without those that look like an earlier one.
fn sample(video: &Video, settings: &Settings) -> Result<Vec<Image>, String> {
    let plan = match settings.plan {
        Plan::Uniform => FramePlan::Uniform(frames::uniform_count(video.duration_ms(), settings)),
        Plan::SceneChange => FramePlan::SceneChange(ScenePlan {
            threshold: settings.scene_threshold,
            max_frames: settings.max_frames,
        }),
    };
    let sampled = video.frames(plan).map_err(|error| refused("media.frames", &error))?;
    if sampled.is_empty() {
        return Err("no frame of the video could be decoded".to_owned());
    }
    let hashes: Vec<_> = sampled.iter().map(Image::perceptual_hash).collect();
    let keep = frames::distinct(&hashes, settings.same_distance);
    log::write(Level::Debug, &format!("{} of {} frames are distinct", keep.len(), sampled.len()));
    let kept = sampled.into_iter().enumerate().filter(|(at, _)| keep.contains(at));
    Ok(kept.map(|(_, frame)| frame).collect())
}

/// One row per product. The host keeps the evidence of each row: the image, and the frame's timestamp.
fn folded(neighbours: &Hits, frames: usize, depth: u32, settings: &Settings) -> Result<Hits, String> {
    let columns = neighbours.columns().map_err(|error| refused("catalogue.columns", &error))?;
    let columns = fold::Neighbours {
        products: &columns.products,
        scores: &columns.scores,
        frames: &columns.query_rows,
    };
    let (rows, scores): (Vec<_>, Vec<_>) = fold::fold(&columns, frames, depth, settings)?
        .into_iter()
        .map(|found| (found.row, found.score))
        .unzip();
    neighbours.select(&rows, &scores).map_err(|error| refused("catalogue.select", &error))
}

/// Neighbours per frame, and products in the leg. More than the client pages through, because products fall out in
/// the ranking; never more than 1,000, which is what ranking is measured with.
fn depth(limit: u32) -> u32 {
    limit.saturating_mul(2).clamp(100, 1000)
}

/// The name of a leg: `video-vector` for the first part, `video-vector-2` for the second.
fn leg_name(part: u32) -> String {
    if part == 0 { "video-vector".to_owned() } else { format!("video-vector-{}", part + 1) }
}

/// What the host refused, and why.
fn refused(call: &str, error: &Error) -> String {
    let (kind, text) = match error {
        Error::Denied(text) => ("denied", text),
        Error::Quota(text) => ("out of quota", text),
        Error::TooLarge(text) => ("too large", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Invalid(text) => ("invalid", text),
    };
    format!("{call} was refused ({kind}): {text}")
}

#[cfg(target_arch = "wasm32")]
bindings::export!(SearchVideo with_types_in bindings);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_offers_twice_the_limit_between_100_and_1000() {
        assert_eq!([0, 50, 200, u32::MAX].map(depth), [100, 100, 400, 1000]);
    }

    #[test]
    fn legs_of_further_parts_are_numbered() {
        assert_eq!([0, 1].map(leg_name), ["video-vector", "video-vector-2"]);
    }
}
