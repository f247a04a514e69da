//! A verified model folder, whose towers can be opened on any backend.

use std::{num::NonZero, path::PathBuf, thread::available_parallelism};

use ort::environment::Environment;
use serde::{Deserialize, Serialize};
use taja_catalog::Space;

use crate::{
    clip::ClipConfig,
    compute::Backend,
    error::ClipError,
    manifest::Manifest,
    runtime,
    text::Tokenizer,
    tower::{ImageTower, Loader, TextTower},
};

pub(crate) struct Model {
    pub(crate) manifest: Manifest,
    pub(crate) space: Space,
    pub(crate) tokenizer: Tokenizer,
    /// Threads that compute: as configured, or one per core that this process may use.
    pub(crate) threads: usize,
    environment: Environment,
    folder: PathBuf,
}

/// What warming the towers up has shown before, which takes many runs to find out.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// How many pictures may be run at once.
    pub(crate) pictures: Option<usize>,
    /// How many texts may be run at once, and whether they have to be filled up to the context.
    pub(crate) texts: Option<(usize, bool)>,
}

impl Model {
    /// Checks every file, those that have not changed by what is remembered of them, and loads ONNX Runtime; no graph is
    /// opened yet.
    pub(crate) fn open(config: &ClipConfig) -> Result<Self, ClipError> {
        let manifest = config.manifest.clone();
        let memory = config.compute.memory.as_deref();
        let space = manifest.verify_changed(&config.model_dir, memory)?.space;
        let threads = match config.threads {
            0 => available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let environment = runtime::environment(&config.library, threads)?;
        let file = &manifest.text.tokenizer.file;
        let problem = |problem: String| ClipError::model(&file.file, problem);
        let bytes =
            std::fs::read(config.model_dir.join(&file.file)).map_err(|error| problem(error.to_string()))?;
        let tokenizer = Tokenizer::read(manifest.text.tokenizer.kind, &bytes, manifest.text.context);
        let tokenizer = tokenizer.map_err(problem)?;
        Ok(Self { space, tokenizer, threads, environment, folder: config.model_dir.clone(), manifest })
    }

    /// Both towers, opened side by side.
    pub(crate) fn towers(
        &self,
        images: Backend,
        texts: Backend,
        found: Found,
    ) -> Result<(ImageTower, TextTower), ClipError> {
        let (image, text) =
            rayon::join(|| self.image(images, found.pictures), || self.text(texts, found.texts));
        Ok((image?, text?))
    }

    /// The image tower, warmed up. `known_batch` is how many pictures may be run at once, where that is known.
    pub(crate) fn image(
        &self,
        backend: Backend,
        known_batch: Option<usize>,
    ) -> Result<ImageTower, ClipError> {
        ImageTower::load(&self.loader(backend), &self.manifest.image, known_batch)
    }

    /// The text tower, warmed up. `known` is how many texts may be run at once and whether they have to be filled up,
    /// where that is known.
    pub(crate) fn text(
        &self,
        backend: Backend,
        known: Option<(usize, bool)>,
    ) -> Result<TextTower, ClipError> {
        TextTower::load(&self.loader(backend), &self.manifest.text, &self.tokenizer, known)
    }

    fn loader(&self, backend: Backend) -> Loader<'_> {
        Loader {
            environment: &self.environment,
            folder: &self.folder,
            dimension: self.manifest.dimension,
            backend,
            threads: self.threads,
        }
    }
}
