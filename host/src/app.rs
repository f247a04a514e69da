//! The wiring: from a configuration to everything that runs. Open this one file to see every capability and its backend.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusHandle;
use taja_catalog::{
    Embedding, Picture, PortError, PortResult, Space,
    add_product::AddProduct,
    policy::Policies,
    port::{Embedder, ImageHost, PortErrorKind, Store, VectorIndex, VideoDecoder},
    retrieval::{Catalogue, Retrieval},
    search::Search,
};
use taja_clip::{Clip, ClipConfig, Manifest};
use taja_media::{Media, MediaConfig};
use taja_queue::{Lane, Queue, SqliteQueue, Status, Worker, WorkerConfig};
use taja_sandbox::{PluginStatus, Sandbox, SandboxConfig};
use taja_sqlite::SqliteStore;
use taja_vectors::ExactIndex;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    embedding_cache::EmbeddingCache,
    http,
    image_folder::ImageFolder,
    jobs::{self, UseCases},
    staging::Staging,
    telemetry,
};

/// The manifest's name inside a model folder.
pub const MANIFEST: &str = "model.toml";
/// Pictures that one job decodes or encodes at once, at most.
const PICTURES_PER_JOB: usize = 8;
/// Texts or pictures that may wait for the model; a picture takes 600 KB there.
const MODEL_QUEUE: usize = 128;
/// Rows read from the store at a time while the index is built.
const INDEX_PAGE: usize = 4096;
/// How long uploads without a job of this tenant are kept.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// How often finished jobs that nobody can read any more are forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(600);

/// Everything that HTTP handlers act through.
pub struct App {
    /// How it is set up.
    pub config: Config,
    /// What hosted images' addresses begin with.
    pub image_base: String,
    /// Jobs.
    pub queue: Arc<dyn Queue>,
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Derived from it.
    pub index: Arc<dyn VectorIndex>,
    /// The model, with its memory.
    pub embedder: Arc<dyn Embedder>,
    /// The policies.
    pub policies: Arc<dyn Policies>,
    /// What runs them, for its report.
    pub(crate) sandbox: Arc<Sandbox>,
    /// The model, for its name.
    pub(crate) clip: Arc<Clip>,
    /// Hosted pictures.
    pub(crate) images: Arc<ImageFolder>,
    /// Uploads.
    pub(crate) staging: Staging,
    /// The metrics to show.
    pub metrics: PrometheusHandle,
}

/// A service that runs until it is told to stop.
pub struct Running {
    /// Where it serves.
    pub address: SocketAddr,
    /// What it is made of.
    pub app: Arc<App>,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<()>>,
    /// Held until everything ended: nobody else may open the folder while something still writes.
    _lock: std::fs::File,
}

/// Starts everything; what it answers with is ready to serve.
pub async fn start(config: Config) -> Result<Running> {
    let metrics = telemetry::metrics()?;
    tokio::fs::create_dir_all(&config.data)
        .await
        .with_context(|| format!("data folder {}", config.data.display()))?;
    let lock = lock_data(&config.data)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;

    let database = config.data.join("taja.db");
    let store = Arc::new(SqliteStore::open(&database).context("product store")?);
    let queue: Arc<dyn Queue> =
        Arc::new(SqliteQueue::open(&database, taja_queue::SqliteOptions::default()).context("job queue")?);
    let media = Arc::new(Media::new(media_config(&config)).context("media")?);
    let clip = Arc::new(start_clip(&config).await?);
    let embedder: Arc<dyn Embedder> =
        Arc::new(EmbeddingCache::new(clip.clone(), config.embedding_cache_bytes));
    let index: Arc<dyn VectorIndex> = Arc::new(ExactIndex::new(embedder.space().dimension));
    let (sandbox, filled) = tokio::join!(
        load_plugins(&config, embedder.clone(), media.clone()),
        fill_index(store.as_ref(), index.as_ref(), embedder.as_ref())
    );
    let sandbox = Arc::new(sandbox?);
    filled.context("vector index")?;
    let images =
        Arc::new(ImageFolder::open(config.data.join("images"), media.clone()).await.context("image folder")?);
    let staging = Staging::open(config.data.join("staging")).await.context("staging folder")?;
    sweep_staging(&staging, queue.as_ref(), &config).await?;

    let policies: Arc<dyn Policies> = sandbox.clone();
    let catalogue: Arc<dyn Catalogue> = Arc::new(Retrieval::new(store.clone(), index.clone()));
    let cases = UseCases {
        add_product: AddProduct {
            decoder: media.clone(),
            embedder: embedder.clone(),
            store: store.clone(),
            index: index.clone(),
            images: images.clone() as Arc<dyn ImageHost>,
            policies: policies.clone(),
            catalogue: catalogue.clone(),
        },
        search: Search {
            decoder: media.clone(),
            video: media.clone() as Arc<dyn VideoDecoder>,
            store: store.clone(),
            policies: policies.clone(),
            catalogue,
        },
        staging: staging.clone(),
        queue: queue.clone(),
    };
    let worker =
        Worker::new(queue.clone(), jobs::handlers(&cases), worker_config(&config)).context("worker")?;
    let image_base = config.image_base(address);
    let app = Arc::new(App {
        config,
        image_base,
        queue,
        store,
        index,
        embedder,
        policies,
        sandbox,
        clip,
        images,
        staging,
        metrics,
    });
    Ok(Running::spawn(app, listener, address, worker, lock))
}

impl Running {
    fn spawn(
        app: Arc<App>,
        listener: TcpListener,
        address: SocketAddr,
        worker: Worker,
        lock: std::fs::File,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        let router = http::router(app.clone());
        let drain = app.config.drain;
        tasks.spawn(async move {
            let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
            let patience = async {
                stop.cancelled().await;
                tokio::time::sleep(drain).await;
            };
            tokio::select! {
                served = server => served.context("HTTP server"),
                // A client that never finishes its request does not keep the service up.
                () = patience => Ok(()),
            }
        });
        let stop = shutdown.clone();
        tasks.spawn(async move {
            worker.run(stop).await;
            Ok(())
        });
        tasks.spawn(purge(app.clone(), shutdown.clone()));
        Self { address, app, shutdown, tasks, _lock: lock }
    }

    /// What ends it: cancel, then [`Running::stopped`].
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Waits until it was told to stop and everything came to its end, or until a part broke.
    pub async fn stopped(mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.context("a part of the service panicked").and_then(|ended| ended);
            if outcome.is_ok() {
                outcome = ended;
            }
            // One part gone is all parts gone.
            self.shutdown.cancel();
        }
        outcome
    }
}

impl App {
    /// An address that a shopper's phone can open, from what the image host gave.
    pub fn absolute_url(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.image_base) } else { url.to_owned() }
    }

    /// What its maker wants everyone to know of the model.
    pub fn notice(&self) -> Option<&str> {
        self.clip.info().notice.as_deref()
    }
}

/// One process at a time: a second one's index would not see the first one's products.
fn lock_data(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join("lock");
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path)?;
    file.try_lock().map_err(|_| DataInUse(folder.to_owned()))?;
    Ok(file)
}

/// Another process serves this data folder.
#[derive(Debug, thiserror::Error)]
#[error("data folder {} is in use by another taja process", .0.display())]
pub struct DataInUse(pub std::path::PathBuf);

fn media_config(config: &Config) -> MediaConfig {
    MediaConfig {
        ffmpeg: config.ffmpeg.clone(),
        max_pixels: config.limits.pixels,
        threads: config.threads,
        // Every job that may run at once can wait here with all it may ask for, so that none is turned away.
        queue: (config.search_jobs + config.ingest_jobs) * PICTURES_PER_JOB,
        ..MediaConfig::default()
    }
}

async fn start_clip(config: &Config) -> Result<Clip> {
    let manifest = Manifest::load(&config.model.join(MANIFEST)).context("model")?;
    let clip = ClipConfig {
        library: config.onnxruntime.clone(),
        model_dir: config.model.clone(),
        manifest,
        threads: config.threads,
        max_batch: config.max_batch,
        max_wait: config.batch_wait,
        queue_capacity: MODEL_QUEUE,
    };
    let clip = tokio::task::spawn_blocking(move || Clip::start(clip)).await?.context("model")?;
    let info = clip.info();
    tracing::info!(model.name = %info.name, model.dimension = info.dimension, "{}", info.title);
    Ok(clip)
}

async fn load_plugins(config: &Config, embedder: Arc<dyn Embedder>, media: Arc<Media>) -> Result<Sandbox> {
    Sandbox::load(sandbox_config(config), embedder, media).await.context("plugins")
}

fn sandbox_config(config: &Config) -> SandboxConfig {
    SandboxConfig {
        cache: Some(config.data.join("plugin-cache")),
        rank: config.rank_plugin.clone(),
        ingest: config.ingest_plugin.clone(),
        settings: config.plugin_settings.clone(),
        ..SandboxConfig::new(&config.plugins)
    }
}

/// What the plugin folder holds, found out without a model: loading asks for nothing of it.
pub async fn plugin_report(config: &Config) -> Result<Vec<PluginStatus>> {
    let sandbox = SandboxConfig { cache: None, ..sandbox_config(config) };
    let media = Arc::new(Media::new(media_config(config))?);
    let sandbox = Sandbox::load(sandbox, Arc::new(NoModel::default()), media).await?;
    Ok(sandbox.report().to_vec())
}

/// Stands where no model is needed, and says so if it is.
struct NoModel(Space);

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

    async fn images(&self, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        Err(PortError::new("model", PortErrorKind::Unavailable, "no model is loaded"))
    }

    async fn texts(&self, _: &[String]) -> PortResult<Vec<Embedding>> {
        Err(PortError::new("model", PortErrorKind::Unavailable, "no model is loaded"))
    }
}

/// Reads every stored vector of the model's space into the index.
async fn fill_index(store: &SqliteStore, index: &dyn VectorIndex, embedder: &dyn Embedder) -> Result<()> {
    let space = embedder.space();
    let mut after = 0;
    loop {
        let page = store.vectors(space, after, INDEX_PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        index.insert(page.into_iter().map(|(_, row)| row).collect()).await?;
    }
    let others: Vec<_> = store.spaces().await?.into_iter().filter(|id| *id != space.id).collect();
    if !others.is_empty() {
        tracing::warn!(model.space = %space.id, others = ?others,
            "products were embedded with another model: they are found by words, not by pictures, until they are added again");
    }
    tracing::info!(vectors = index.len(), "index is built");
    Ok(())
}

/// Removes uploads that no job will ask for: of requests that broke off, and of jobs that ended.
async fn sweep_staging(staging: &Staging, queue: &dyn Queue, config: &Config) -> Result<()> {
    for job in staging.jobs().await.context("staging folder")? {
        let record = queue.get(config.tenant.as_str(), job).await?;
        // A folder without a job is a request that broke off, or one of another tenant's: it may stay a while.
        let done = match record {
            Some(record) => record.status.is_terminal(),
            None => staging.age(job).await.context("staging folder")? > ORPHAN_AGE,
        };
        if done {
            staging.clear(job).await.context("staging folder")?;
        }
    }
    Ok(())
}

fn worker_config(config: &Config) -> WorkerConfig {
    let lanes = vec![
        Lane::new("search", [jobs::SEARCH], config.search_jobs),
        Lane::new("ingest", [jobs::ADD_PRODUCT], config.ingest_jobs),
    ];
    WorkerConfig { lease: config.lease, drain: config.drain, ..WorkerConfig::new(lanes) }
}

async fn purge(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let ended = [Status::Completed, Status::Cancelled];
    while stop.run_until_cancelled(tokio::time::sleep(PURGE_EVERY)).await.is_some() {
        if let Err(error) = app.queue.purge(&ended, app.config.result_lifetime).await {
            tracing::warn!(%error, "old jobs were not forgotten");
        }
    }
    Ok(())
}
