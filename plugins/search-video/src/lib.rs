//! The search policy for videos: frames are sampled and embedded, and each product is matched by its best frame.

pub mod fold;
pub mod frames;
pub mod settings;

use settings::{Plan, Settings};
use taja_plugin::{
    debug,
    host::{
        Named,
        catalogue::Hits,
        embed, job,
        media::{FramePlan, Image, ScenePlan, Video},
    },
    search::{self, Guest, Leg, Measure, Part, Query, depth},
};

/// The component.
pub struct SearchVideo;

impl Guest for SearchVideo {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let mut legs = Vec::with_capacity(query.parts.len());
        let parts = query.parts.len() as u32;
        for (at, part) in (0..).zip(&query.parts) {
            let stages = Stages { part: at, parts };
            match leg(part, query.limit, &settings, &stages)? {
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
fn leg(part: &Part, limit: u32, settings: &Settings, stages: &Stages) -> Result<Option<Leg>, String> {
    let video = part.video().ok_or("the query holds no video")?;
    if !stages.begin(0, "sampling frames") {
        return Ok(None);
    }
    let frames = sample(video, settings)?;
    if !stages.begin(40, &format!("embedding {} frames", frames.len())) {
        return Ok(None);
    }
    let vectors = embed::images(&frames.iter().collect::<Vec<_>>()).named("embed.images")?;
    if !stages.begin(80, "looking for similar products") {
        return Ok(None);
    }
    let neighbours = search::nearest(&vectors, limit).named("catalogue.nearest")?;
    let hits = folded(&neighbours, frames.len(), depth(limit), settings)?;
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
    let sampled = video.frames(plan).named("media.frames")?;
    if sampled.is_empty() {
        return Err("no frame of the video could be decoded".to_owned());
    }
    let hashes: Vec<_> = sampled.iter().map(Image::perceptual_hash).collect();
    let keep = frames::distinct(&hashes, settings.same_distance);
    debug!("{} of {} frames are distinct", keep.len(), sampled.len());
    let kept = sampled.into_iter().enumerate().filter(|(at, _)| keep.contains(at));
    Ok(kept.map(|(_, frame)| frame).collect())
}

/// One row per product. The host keeps the evidence of each row: the image, and the frame's timestamp.
fn folded(neighbours: &Hits, frames: usize, depth: u32, settings: &Settings) -> Result<Hits, String> {
    let columns = neighbours.columns().named("catalogue.columns")?;
    let columns = fold::Neighbours {
        products: &columns.products,
        scores: &columns.scores,
        frames: &columns.query_rows,
    };
    let (rows, scores): (Vec<_>, Vec<_>) = fold::fold(&columns, frames, depth, settings)?
        .into_iter()
        .map(|found| (found.row, found.score))
        .unzip();
    neighbours.select(&rows, &scores).named("catalogue.select")
}

/// The name of a leg: `video-vector` for the first part, `video-vector-2` for the second.
fn leg_name(part: u32) -> String {
    search::leg_name("video-vector", part)
}

search::export!(SearchVideo);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_of_further_parts_are_numbered() {
        assert_eq!([0, 1].map(leg_name), ["video-vector", "video-vector-2"]);
    }
}
