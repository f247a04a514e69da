//! A running model.

use std::{num::NonZero, path::PathBuf, sync::Arc, thread::available_parallelism, time::Duration};

use async_trait::async_trait;
use taja_catalog::{
    Embedding, Picture, Space, TenantId,
    port::{Embedder, PortResult},
};

use crate::{
    batcher::{Batcher, Limits, Preparers, Urgency, broken},
    error::ClipError,
    image::Preprocess,
    manifest::Manifest,
    runtime,
    text::Tokenizer,
    tower::{ImageTower, Loader, TextTower},
};

/// Reading, optimising and warming up the two graphs of a large model on a slow disk.
const START_DEADLINE: Duration = Duration::from_secs(300);

/// What a model is started with.
#[derive(Debug, Clone)]
pub struct ClipConfig {
    /// The library of ONNX Runtime, version 1.24 or later. All models of a process use the first one's.
    pub library: PathBuf,
    /// The folder with the model's files.
    pub model_dir: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
    /// Threads that compute, for all models of the process together (the first one decides); 0 for one per core.
    pub threads: usize,
    /// Most items that are run together, at least 1.
    pub max_batch: usize,
    /// Longest time a busy tower waits to fill a batch. An idle one never waits.
    pub max_wait: Duration,
    /// Most items of one tower that are being prepared, queued or run for those who wait; half as many again of bulk. A
    /// prepared picture takes 12 bytes per pixel of the tower's square: 600 KB at 224.
    pub queue_capacity: usize,
}

/// What is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The model's name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What whoever starts it should be told of it, if anything.
    pub notice: Option<String>,
    /// Components of its vectors.
    pub dimension: usize,
    /// What it computes on.
    pub provider: &'static str,
    /// The space of its vectors.
    pub space: Space,
}

/// A running model: two towers, each with a thread of its own.
pub struct Clip {
    info: Info,
    preprocess: Arc<Preprocess>,
    tokenizer: Arc<Tokenizer>,
    images: Batcher<Vec<f32>>,
    texts: Batcher<Vec<u32>>,
}

/// What reading the model folder gives.
struct Loaded {
    image: ImageTower,
    text: TextTower,
    tokenizer: Tokenizer,
}

impl Clip {
    /// Verifies the files, loads the library and the towers, and runs each once. Takes seconds and blocks: call it from
    /// a thread that may. Whatever does not fit together is said here, not at the first request.
    pub fn start(config: ClipConfig) -> Result<Self, ClipError> {
        check(&config)?;
        let manifest = Arc::new(config.manifest);
        let space = manifest.verify(&config.model_dir, &mut |_, _, _| {})?.space;
        let threads = match config.threads {
            0 => available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let environment = runtime::environment(&config.library, threads)?;
        let (folder, model) = (config.model_dir, Arc::clone(&manifest));
        let loaded = runtime::watched("loading the model", START_DEADLINE, move || {
            load(&Loader { environment: &environment, folder: &folder, dimension: model.dimension }, &model)
        })??;
        let limits = |most: usize| Limits {
            max_batch: config.max_batch.min(most),
            max_wait: config.max_wait,
            capacity: config.queue_capacity,
        };
        // Half the cores prepare what the others compute; preparing is the smaller part of the work.
        let preparers = Preparers::start(threads.div_ceil(2))?;
        let (image_limits, text_limits) =
            (limits(loaded.image.batch_limit()), limits(loaded.text.batch_limit()));
        tracing::info!(model = %space.id, threads, fills_up = loaded.text.fills_up(), "model started");
        Ok(Self {
            info: Info {
                name: manifest.name.clone(),
                title: manifest.title.clone(),
                notice: manifest.notice.clone(),
                dimension: manifest.dimension,
                provider: "cpu",
                space,
            },
            preprocess: Arc::new(manifest.image.preprocess.clone()),
            tokenizer: Arc::new(loaded.tokenizer),
            images: Batcher::start("image", loaded.image, image_limits, Arc::clone(&preparers))?,
            texts: Batcher::start("text", loaded.text, text_limits, preparers)?,
        })
    }

    /// What is running.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The same model for work that nobody waits for.
    pub fn bulk(self: &Arc<Self>) -> Bulk {
        Bulk(Arc::clone(self))
    }

    async fn embed_images(&self, urgency: Urgency, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        let preprocess = Arc::clone(&self.preprocess);
        let prepare = move |picture: &Arc<Picture>| Ok(preprocess.tensor(&picture.raster));
        self.embeddings(self.images.embed(urgency, pictures.to_vec(), prepare).await?)
    }

    async fn embed_texts(&self, urgency: Urgency, texts: &[String]) -> PortResult<Vec<Embedding>> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let prepare = move |text: &String| tokenizer.encode(text);
        self.embeddings(self.texts.embed(urgency, texts.to_vec(), prepare).await?)
    }

    fn embeddings(&self, vectors: Vec<Vec<f32>>) -> PortResult<Vec<Embedding>> {
        let embedding = |vector| Embedding::normalised(vector, self.info.dimension);
        let embeddings = vectors.into_iter().map(embedding).collect::<Result<_, _>>();
        embeddings.map_err(|error| broken(format!("model {} gave no usable vector: {error}", self.info.name)))
    }
}

fn check(config: &ClipConfig) -> Result<(), ClipError> {
    let refuse = |problem: &str| Err(ClipError::Config(problem.to_owned()));
    match config {
        ClipConfig { max_batch: 0, .. } => refuse("max_batch must be at least 1"),
        ClipConfig { queue_capacity: 0, .. } => refuse("queue_capacity must be at least 1"),
        _ => Ok(()),
    }
}

fn load(loader: &Loader<'_>, manifest: &Manifest) -> Result<Loaded, ClipError> {
    let image = ImageTower::load(loader, &manifest.image)?;
    let file = &manifest.text.tokenizer.file;
    let tokenizer =
        Tokenizer::read(manifest.text.tokenizer.kind, &loader.bytes(file)?, manifest.text.context)
            .map_err(|problem| ClipError::model(&file.file, problem))?;
    let text = TextTower::load(loader, &manifest.text, &tokenizer)?;
    Ok(Loaded { image, text, tokenizer })
}

#[async_trait]
impl Embedder for Clip {
    fn space(&self) -> &Space {
        &self.info.space
    }

    async fn images(&self, _: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        self.embed_images(Urgency::Interactive, pictures).await
    }

    async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        self.embed_texts(Urgency::Interactive, texts).await
    }
}

/// A model as imports use it: the same towers, behind whoever waits for an answer. Takes the places in batches that are
/// left, and a batch in nine where none are.
pub struct Bulk(Arc<Clip>);

#[async_trait]
impl Embedder for Bulk {
    fn space(&self) -> &Space {
        self.0.space()
    }

    async fn images(&self, _: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        self.0.embed_images(Urgency::Bulk, pictures).await
    }

    async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        self.0.embed_texts(Urgency::Bulk, texts).await
    }
}
