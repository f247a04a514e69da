//! The model: loaded where jobs run, known by its manifest where they do not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use taja_catalog::{
    Embedding, Picture, PortError, PortResult, Space, TenantId,
    port::{Embedder, PortErrorKind},
};
use taja_clip::{Backend, Clip, ClipConfig, Compute, Manifest, Tuning};

use crate::config::Config;

/// The manifest's name inside a model folder.
pub const MANIFEST: &str = "model.toml";
/// The folder of what was measured of models, in the data folder.
const MEASURED: &str = "measured";
/// Texts or pictures that may wait for the model; a picture takes 600 KB there.
const MODEL_QUEUE: usize = 128;

/// The model of a process.
pub(super) enum Model {
    /// It runs here.
    Here(Arc<Clip>),
    /// Workers run it.
    Elsewhere(Box<Manifest>),
}

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

/// Finds the model that is asked for: its folder and its manifest.
fn find(config: &Config) -> Result<(PathBuf, Manifest)> {
    let folder = folder(config);
    let manifest = Manifest::load(&folder.join(MANIFEST))?;
    if let Some(name) = &config.model_name {
        ensure!(
            is_called(&manifest.name, name),
            "{} holds {}, and CLIP_MODEL_NAME asks for {name}",
            folder.display(),
            manifest.name
        );
    }
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

/// The space of the model that is asked for. Reads its files whole, and loads nothing.
pub(super) async fn space(config: &Config) -> Result<Space> {
    let (folder, manifest) = find(config)?;
    let verify = move || manifest.verify(&folder, &mut |_, _, _| {});
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
        compute: Compute { choice: config.compute, memory: Some(config.data.join(MEASURED)) },
    }
}

/// Measures what may compute the model that is asked for; the next start of the service goes by it. Takes from seconds to
/// minutes.
pub async fn measure(config: &Config) -> Result<(Manifest, Tuning)> {
    let (folder, manifest) = find(config)?;
    let clip = clip_config(config, folder, manifest.clone());
    let measured = tokio::task::spawn_blocking(move || Clip::measure(clip));
    Ok((manifest, measured.await.context("measuring panicked")??))
}

impl Model {
    /// Finds the model that is asked for, and loads it where jobs run.
    pub(super) async fn open(config: &Config) -> Result<Self> {
        let (folder, manifest) = find(config)?;
        if !config.role.works() {
            return Ok(Self::Elsewhere(Box::new(manifest)));
        }
        let clip = clip_config(config, folder, manifest);
        let clip =
            tokio::task::spawn_blocking(move || Clip::start(clip)).await.context("loading panicked")??;
        let info = clip.info();
        tracing::info!(model.name = %info.name, model.dimension = info.dimension, "{}", info.title);
        Ok(Self::Here(Arc::new(clip)))
    }

    /// The space of its vectors, where it runs.
    pub(super) fn space(&self) -> Option<&Space> {
        match self {
            Self::Here(clip) => Some(&clip.info().space),
            Self::Elsewhere(_) => None,
        }
    }

    pub(super) fn report(&self) -> ModelReport {
        match self {
            Self::Here(clip) => {
                let info = clip.info();
                ModelReport {
                    name: info.name.clone(),
                    title: info.title.clone(),
                    dimension: info.dimension,
                    notice: info.notice.clone(),
                    backends: Some([info.images, info.texts]),
                    space: Some(info.space.clone()),
                }
            }
            Self::Elsewhere(manifest) => ModelReport {
                name: manifest.name.clone(),
                title: manifest.title.clone(),
                dimension: manifest.dimension,
                notice: manifest.notice.clone(),
                backends: None,
                space: None,
            },
        }
    }
}

/// The configured folder, or the one beside it that holds the model that is named.
fn folder(config: &Config) -> PathBuf {
    let named = config.model_name.as_deref().and_then(|name| beside(&config.model, name));
    named.unwrap_or_else(|| config.model.clone())
}

fn beside(folder: &Path, name: &str) -> Option<PathBuf> {
    let holds = |folder: &Path| {
        Manifest::load(&folder.join(MANIFEST)).is_ok_and(|manifest| is_called(&manifest.name, name))
    };
    if holds(folder) {
        return Some(folder.to_owned());
    }
    let mut others: Vec<_> = folder.parent()?.read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    others.sort();
    others.into_iter().find(|folder| holds(folder))
}

/// Whether a manifest's name (`openai-clip-vit-l-14`) is meant by what people write (`ViT-L/14`).
fn is_called(manifest: &str, name: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let (manifest, name) = (plain(manifest), plain(name));
    manifest == name || manifest.ends_with(&format!("-{name}"))
}

/// Stands where no model is needed, and says so if it is.
pub(super) struct NoModel(Space);

impl Default for NoModel {
    fn default() -> Self {
        Self(Space { id: "none".into(), model: "none".into(), dimension: 0 })
    }
}

#[async_trait]
impl Embedder for NoModel {
    fn space(&self) -> &Space {
        &self.0
    }

    async fn images(&self, _: &TenantId, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        Err(PortError::new("model", PortErrorKind::Unavailable, "no model is loaded"))
    }

    async fn texts(&self, _: &TenantId, _: &[String]) -> PortResult<Vec<Embedding>> {
        Err(PortError::new("model", PortErrorKind::Unavailable, "no model is loaded"))
    }
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
