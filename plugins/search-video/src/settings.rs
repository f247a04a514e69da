//! What a tenant may set.

use taja_plugin::settings::{InvalidSetting, Settings as Given};

/// The settings, with the defaults of `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How frames are chosen.
    pub plan: Plan,
    /// Frames per second of the uniform plan.
    pub frames_per_second: f64,
    /// At least this many frames of the uniform plan.
    pub min_frames: u32,
    /// At most this many frames.
    pub max_frames: u32,
    /// How much a frame must differ in the scene-change plan.
    pub scene_threshold: f32,
    /// Frames no further apart than this are the same.
    pub same_distance: u32,
    /// Share of the mean of the best frames in a product's score.
    pub agreement: f32,
    /// Number of frames in that mean.
    pub agreement_frames: usize,
    /// How much the leg counts.
    pub vector_weight: f32,
}

/// How frames are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// At equal distances.
    Uniform,
    /// Where the scene changes.
    SceneChange,
}

impl Settings {
    /// Reads the tenant's JSON.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let plans = [("uniform", Plan::Uniform), ("scene-change", Plan::SceneChange)];
        let settings = Self {
            plan: given.choice("plan", &plans)?,
            frames_per_second: given.number("frames_per_second", 1.0, 0.05..=10.0)?,
            min_frames: given.whole("min_frames", 4, 1..=64)?,
            max_frames: given.whole("max_frames", 16, 1..=64)?,
            scene_threshold: given.number("scene_threshold", 0.3, 0.0..=1.0)? as f32,
            same_distance: given.whole("same_distance", 3, 0..=64)?,
            agreement: given.number("agreement", 0.0, 0.0..=1.0)? as f32,
            agreement_frames: given.whole("agreement_frames", 3, 2..=64)? as usize,
            vector_weight: given.number("vector_weight", 1.0, 0.01..=10.0)? as f32,
        };
        given.finish()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_and_the_code_agree() {
        taja_plugin::settings::manifest::assert_agrees(
            include_str!("../plugin.toml"),
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            |text| Settings::parse(text).map_err(|error| error.to_string()),
        );
    }
}
