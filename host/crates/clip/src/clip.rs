//! A running model.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use taja_catalog::{
    Embedding, Picture, Space, TenantId,
    port::{Embedder, PortResult},
};

use crate::{
    batcher::{Batcher, Limits, Preparers, Urgency, broken},
    compute::{Backend, Compute},
    error::ClipError,
    image::Preprocess,
    manifest::Manifest,
    model::Model,
    runtime,
    tower::Tower,
    tuning::{self, Seat, Tuning},
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
    /// Most items that are run together, at least 1; fewer where the measured times say that more do not pay.
    pub max_batch: usize,
    /// Longest time a busy tower waits to fill a batch. An idle one never waits.
    pub max_wait: Duration,
    /// Most items of one tower that are being prepared, queued or run for those who wait; half as many again of bulk. A
    /// prepared picture takes 12 bytes per pixel of the tower's square: 600 KB at 224.
    pub queue_capacity: usize,
    /// What computes, by default the processor in the model's own precision.
    pub compute: Compute,
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
    /// What computes pictures, and how exactly.
    pub images: Backend,
    /// What computes texts, and how exactly.
    pub texts: Backend,
    /// The space of its vectors.
    pub space: Space,
}

/// A running model: two towers, each with a thread of its own.
pub struct Clip {
    info: Info,
    preprocess: Arc<Preprocess>,
    model: Arc<Model>,
    images: Batcher<Vec<f32>>,
    texts: Batcher<Vec<u32>>,
}

impl Clip {
    /// Verifies the files, loads the library and the towers, and runs each once. Takes seconds and blocks: call it from
    /// a thread that may. Whatever does not fit together is said here, not at the first request.
    pub fn start(config: ClipConfig) -> Result<Self, ClipError> {
        check(&config)?;
        let (compute, max_batch, max_wait) = (config.compute.clone(), config.max_batch, config.max_wait);
        let capacity = config.queue_capacity;
        let open = move || Model::open(&config).map(Arc::new);
        let model = runtime::watched("reading the model", START_DEADLINE, open)??;
        let (tuning, image, text) = runtime::watched("loading the model", tuning::DEADLINE, {
            let model = Arc::clone(&model);
            move || tuning::towers(&model, &compute, max_batch)
        })??;
        let (of_images, of_texts) = (tuning.image.backend, tuning.text.backend);
        let limits = |most: usize, seat: Seat| Limits {
            max_batch: max_batch.min(most).min(seat.batch).max(1),
            max_wait,
            capacity,
        };
        // Half the cores prepare what the others compute; preparing is the smaller part of the work.
        let preparers = Preparers::start(model.threads.div_ceil(2))?;
        let (image_limits, text_limits) =
            (limits(image.batch_limit(), tuning.image), limits(text.batch_limit(), tuning.text));
        let mut space = model.space.clone();
        space.id.extend(tuning.space_suffix());
        tracing::info!(
            model = %space.id, threads = model.threads, fills_up = text.fills_up(),
            images = %of_images, image_batch = image_limits.max_batch,
            texts = %of_texts, text_batch = text_limits.max_batch,
            "model started"
        );
        let manifest = &model.manifest;
        Ok(Self {
            info: Info {
                name: manifest.name.clone(),
                title: manifest.title.clone(),
                notice: manifest.notice.clone(),
                dimension: manifest.dimension,
                images: of_images,
                texts: of_texts,
                space,
            },
            preprocess: Arc::new(manifest.image.preprocess.clone()),
            images: Batcher::start("image", image, image_limits, Arc::clone(&preparers))?,
            texts: Batcher::start("text", text, text_limits, preparers)?,
            model,
        })
    }

    /// Measures what may compute this model here and what it gives, whatever was measured before, and remembers it. Takes
    /// from seconds to minutes; starts nothing that stays.
    pub fn measure(config: ClipConfig) -> Result<Tuning, ClipError> {
        check(&config)?;
        runtime::watched("measuring the model", tuning::DEADLINE, move || {
            tuning::measure(&Model::open(&config)?, &config.compute, config.max_batch)
        })?
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
        let model = Arc::clone(&self.model);
        let prepare = move |text: &String| model.tokenizer.encode(text);
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
