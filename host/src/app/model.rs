//! The models on this machine: finding them, measuring and loading them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use taja_catalog::Space;
use taja_clip::{Backend, Clip, ClipConfig, Compute, Manifest, Tuning};

use crate::config::Config;

/// The manifest's name inside a model folder.
pub const MANIFEST: &str = "model.toml";
/// The folder of what was measured of models, in the data folder.
const MEASURED: &str = "measured";
/// Texts or pictures that may wait for the model; a picture takes 600 KB there.
const MODEL_QUEUE: usize = 128;

/// What is known of the model.
#[derive(Debug, Clone)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Components of its vectors.
    pub dimension: usize,
    /// What its maker wants everyone to know.
    pub notice: Option<String>,
    /// What computes pictures and what computes texts; nothing where it does not run.
    pub backends: Option<[Backend; 2]>,
    /// The space of its vectors, where it runs.
    pub space: Option<Space>,
}

/// A model on this machine: its folder and its manifest.
pub type Installed = (PathBuf, Manifest);

/// The models in the configured folder, which comes first, and in those beside it. What has no manifest, or one that cannot be
/// read, is no model.
pub fn installed(config: &Config) -> Vec<Installed> {
    let entries = std::fs::read_dir(shelf(&config.model)).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders.insert(0, config.model.clone());
    let mut seen = BTreeSet::new();
    let new = folders
        .into_iter()
        .filter_map(|folder| folder.canonicalize().ok())
        .filter(|folder| seen.insert(folder.clone()));
    new.filter_map(|folder| Manifest::load(&folder.join(MANIFEST)).ok().map(|manifest| (folder, manifest)))
        .collect()
}

/// The folder that the configured model's folder lies in.
pub fn shelf(model: &Path) -> PathBuf {
    model.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The model that is meant by a name: one that has it to the letter goes before others, and the configured one before those
/// beside it.
pub fn named(config: &Config, name: &str) -> Result<Installed> {
    let models = installed(config);
    let exactly = models.iter().find(|(_, manifest)| manifest.name == name);
    let found = exactly.or_else(|| models.iter().find(|(_, manifest)| is_called(&manifest.name, name)));
    found.cloned().with_context(|| format!("no model in {} is called {name}", shelf(&config.model).display()))
}

/// Finds the model that is configured.
pub(super) fn configured(config: &Config) -> Result<Installed> {
    let (folder, manifest) = match &config.model_name {
        Some(name) => named(config, name).with_context(|| format!("CLIP_MODEL_NAME asks for {name}"))?,
        None => (config.model.clone(), Manifest::load(&config.model.join(MANIFEST))?),
    };
    if let Some(dimension) = config.dimension {
        ensure!(
            manifest.dimension == dimension,
            "{} has {} dimensions, and EMBEDDING_DIMENSION asks for {dimension}",
            manifest.name,
            manifest.dimension
        );
    }
    Ok((folder, manifest))
}

/// Where a service remembers what it measured of models.
pub(super) fn memory(config: &Config) -> PathBuf {
    config.data.join(MEASURED)
}

/// The space of a model in its own number format. Reads its files, where there is a `memory` those that changed since they
/// were last read, and loads nothing.
pub(super) async fn space((folder, manifest): Installed, memory: Option<PathBuf>) -> Result<Space> {
    let verify = move || manifest.verify_changed(&folder, memory.as_deref());
    Ok(tokio::task::spawn_blocking(verify).await.context("reading panicked")??.space)
}

fn clip_config(config: &Config, folder: PathBuf, manifest: Manifest) -> ClipConfig {
    ClipConfig {
        library: config.onnxruntime.clone(),
        model_dir: folder,
        manifest,
        threads: config.threads,
        max_batch: config.max_batch,
        max_wait: config.batch_wait,
        queue_capacity: MODEL_QUEUE,
        compute: Compute { choice: config.compute, memory: Some(memory(config)) },
    }
}

/// Measures what may compute the model that is asked for; the next start of the service goes by it. Takes from seconds to
/// minutes.
pub async fn measure(config: &Config) -> Result<(Manifest, Tuning)> {
    let (folder, manifest) = configured(config)?;
    let clip = clip_config(config, folder, manifest.clone());
    let measured = tokio::task::spawn_blocking(move || Clip::measure(clip));
    Ok((manifest, measured.await.context("measuring panicked")??))
}

/// Loads a model. Takes from a second to minutes.
pub(super) async fn load(config: &Config, (folder, manifest): Installed) -> Result<Clip> {
    let clip = clip_config(config, folder, manifest);
    let clip = tokio::task::spawn_blocking(move || Clip::start(clip)).await.context("loading panicked")??;
    let info = clip.info();
    tracing::info!(model.name = %info.name, model.dimension = info.dimension, "{}", info.title);
    Ok(clip)
}

impl From<&Clip> for ModelReport {
    fn from(clip: &Clip) -> Self {
        let info = clip.info();
        Self {
            name: info.name.clone(),
            title: info.title.clone(),
            dimension: info.dimension,
            notice: info.notice.clone(),
            backends: Some([info.images, info.texts]),
            space: Some(info.space.clone()),
        }
    }
}

impl From<Manifest> for ModelReport {
    fn from(manifest: Manifest) -> Self {
        Self {
            name: manifest.name,
            title: manifest.title,
            dimension: manifest.dimension,
            notice: manifest.notice,
            backends: None,
            space: None,
        }
    }
}

/// Whether a manifest's name (`openai-clip-vit-l-14`) is meant by what people write (`ViT-L/14`).
fn is_called(manifest: &str, name: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let (manifest, name) = (plain(manifest), plain(name));
    manifest == name || manifest.ends_with(&format!("-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("openai-clip-vit-l-14", "ViT-L/14", true)]
    #[case("openai-clip-vit-l-14", "openai/clip-vit-l-14", true)]
    #[case("openai-clip-vit-l-14-336", "ViT-L/14", false)]
    #[case("openai-clip-vit-l-14-336", "ViT-L/14@336", true)]
    #[case("openai-clip-vit-b-32", "ViT-L/14", false)]
    fn a_model_is_known_by_the_name_people_write(
        #[case] manifest: &str,
        #[case] name: &str,
        #[case] same: bool,
    ) {
        assert_eq!(is_called(manifest, name), same);
    }
}
