//! The wiring: from a configuration to everything that runs. Open this one file to see every capability, and
//! `app/backends.rs` for what stands behind it.

mod backends;
mod model;
mod plugins;
mod upkeep;
mod vector_file;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use taja_catalog::{
    add_product::AddProduct,
    plugins::PluginStore,
    policy::Policies,
    port::{Embedder, ImageHost, Store, VectorIndex, VideoDecoder},
    retrieval::{Catalogue, Retrieval},
    search::Search,
};
use taja_clip::EmbeddingCache;
use taja_media::{Media, MediaConfig};
use taja_mongo::MigrationReport;
use taja_queue::{Lane, Queue, Worker, WorkerConfig};
use taja_sandbox::{Player, PluginStatus, Sandbox, SandboxConfig, compile::Compiler};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::model::{MANIFEST, ModelReport, measure};
use self::{
    backends::Backends,
    model::{Model, NoModel},
    vector_file::VectorFile,
};
use crate::{
    access::{Door, DoorConfig},
    config::{Config, Role},
    http,
    image_folder::ImageFolder,
    jobs::{self, UseCases},
    result_cache::ResultCache,
    staging::Staging,
    telemetry,
};

/// Pictures that one job decodes or encodes at once, at most.
const PICTURES_PER_JOB: usize = 8;

/// Components of plugins that are received and checked at one time.
const UPLOADS: usize = 4;

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
    /// Derived from it, in a process that runs jobs.
    pub index: Option<Arc<dyn VectorIndex>>,
    /// Who gets in.
    pub(crate) door: Door,
    /// The policies.
    pub policies: Arc<dyn Policies>,
    /// What runs them, and changes which are active.
    pub(crate) sandbox: Arc<Sandbox>,
    /// Where they are kept.
    pub(crate) plugins: Arc<dyn PluginStore>,
    /// Room for components that are on their way into memory.
    pub(crate) uploads: Semaphore,
    /// The model, or what is known of it where others run it.
    pub model: ModelReport,
    /// Where shoppers see pictures.
    pub images: Arc<dyn ImageHost>,
    /// The image host, when this process serves its pictures.
    pub(crate) folder: Option<ImageFolder>,
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
    /// Written when everything has ended.
    vectors: Option<VectorFile>,
    /// Held until everything ended: nobody else may open the folder while something still writes.
    _lock: std::fs::File,
}

/// Starts everything; what it answers with is ready to serve.
pub async fn start(config: Config) -> Result<Running> {
    config.check_key()?;
    let metrics = telemetry::metrics()?;
    tokio::fs::create_dir_all(&config.data)
        .await
        .with_context(|| format!("data folder {}", config.data.display()))?;
    let lock = lock_data(&config.data)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;

    let media = media(&config).context("media")?;
    let model = Model::open(&config).await.context("model")?;
    let backends = Backends::open(&config, model.space(), &media).await?;
    let about = backends.store.about().await.context("product store")?;
    tracing::info!(backend = about.backend, details = ?about.details, "store is open");
    let engine = match &model {
        Model::Here(clip) => {
            let embedder = EmbeddingCache::new(clip.clone(), config.embedding_cache_bytes);
            let bulk: Arc<dyn Embedder> = Arc::new(embedder.beside(Arc::new(clip.bulk())));
            let embedder: Arc<dyn Embedder> = Arc::new(embedder);
            let (sandbox, index) = tokio::join!(
                load_plugins(&config, &backends, media.clone()),
                backends.index(embedder.space())
            );
            let (index, vectors) = index.context("vector index")?;
            Engine { sandbox: Arc::new(sandbox?), index: Some(index), vectors, embedder, bulk }
        }
        Model::Elsewhere(_) => {
            let embedder: Arc<dyn Embedder> = Arc::new(NoModel::default());
            let sandbox = Arc::new(load_plugins(&config, &backends, media.clone()).await?);
            Engine { sandbox, index: None, vectors: None, bulk: embedder.clone(), embedder }
        }
    };
    let worker = match &engine.index {
        Some(index) => Some(worker(&config, &backends, &engine, index, &media).await.context("worker")?),
        None => None,
    };
    let door = DoorConfig {
        operator_key: config.api_key.clone(),
        tenant: config.tenant.clone(),
        per_minute: config.key_requests_per_minute,
    };
    let door = Door::open(backends.access, door).await.context("shops and keys")?;
    let app = Arc::new(App {
        door,
        image_base: config.image_base(address),
        model: model.report(),
        queue: backends.queue,
        store: backends.store,
        index: engine.index,
        policies: engine.sandbox.clone(),
        sandbox: engine.sandbox,
        plugins: backends.plugins,
        uploads: Semaphore::new(UPLOADS),
        images: backends.images,
        folder: backends.folder,
        staging: backends.staging,
        metrics,
        config,
    });
    if app.config.role.works() {
        warn_of_other_spaces(&app).await?;
        upkeep::sweep_staging(&app.staging, app.queue.as_ref(), Duration::ZERO).await?;
    }
    Ok(Running::spawn(app, listener, address, worker, engine.vectors, lock))
}

/// What thinks: policies, the model they ask, the index they look through.
struct Engine {
    sandbox: Arc<Sandbox>,
    index: Option<Arc<dyn VectorIndex>>,
    vectors: Option<VectorFile>,
    embedder: Arc<dyn Embedder>,
    /// The same for what nobody waits for.
    bulk: Arc<dyn Embedder>,
}

/// What runs jobs.
async fn worker(
    config: &Config,
    backends: &Backends,
    engine: &Engine,
    index: &Arc<dyn VectorIndex>,
    media: &Arc<Media>,
) -> Result<Worker> {
    let policies: Arc<dyn Policies> = engine.sandbox.clone();
    let store = &backends.store;
    let catalogue: Arc<dyn Catalogue> = Arc::new(Retrieval::new(store.clone(), index.clone()));
    let space = engine.embedder.space().id.clone();
    let cases = UseCases {
        add_product: AddProduct {
            decoder: media.clone(),
            embedder: engine.bulk.clone(),
            store: store.clone(),
            index: index.clone(),
            images: backends.images.clone(),
            catalogue: catalogue.clone(),
        },
        search: Search {
            decoder: media.clone(),
            video: media.clone() as Arc<dyn VideoDecoder>,
            store: store.clone(),
            catalogue,
            embedder: engine.embedder.clone(),
        },
        policies,
        results: ResultCache::new(
            config.result_cache,
            backends::shared_results(config).await?,
            space.clone(),
            store.clone(),
            index.clone(),
        ),
        space,
        staging: backends.staging.clone(),
        queue: backends.queue.clone(),
    };
    Ok(Worker::new(backends.queue.clone(), jobs::handlers(&cases), worker_config(config))?)
}

/// Products that another model embedded are found by words only.
async fn warn_of_other_spaces(app: &App) -> Result<()> {
    let Some(space) = &app.model.space else { return Ok(()) };
    let others: Vec<_> = app.store.spaces().await?.into_iter().filter(|id| *id != space.id).collect();
    if !others.is_empty() {
        tracing::warn!(model.space = %space.id, others = ?others,
            "products were embedded with another model: they are found by words, not by pictures, until they are added again");
    }
    if let Some(index) = &app.index {
        tracing::info!(vectors = index.len(), method = index.method(), "index is built");
    }
    Ok(())
}

impl Running {
    fn spawn(
        app: Arc<App>,
        listener: TcpListener,
        address: SocketAddr,
        worker: Option<Worker>,
        vectors: Option<VectorFile>,
        lock: std::fs::File,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        let router = match app.config.role {
            Role::Serve | Role::Api => http::router(app.clone()),
            Role::Worker => http::worker_router(app.clone()),
        };
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
        if let Some(worker) = worker {
            let stop = shutdown.clone();
            tasks.spawn(async move {
                worker.run(stop).await;
                Ok(())
            });
            tasks.spawn(upkeep::purge(app.clone(), shutdown.clone()));
            tasks.spawn(upkeep::sweep(app.clone(), shutdown.clone()));
            tasks.spawn(plugins::report(app.clone(), shutdown.clone()));
        }
        if let Some(vectors) = vectors.clone() {
            tasks.spawn(vectors.keep(shutdown.clone()));
        }
        tasks.spawn(plugins::follow(app.clone(), shutdown.clone()));
        if app.config.redis.is_some() {
            tasks.spawn(plugins::announce(app.clone(), shutdown.clone()));
        }
        if app.config.mongo.is_none() {
            tasks.spawn(plugins::watch_folder(app.clone(), shutdown.clone()));
        }
        Self { address, app, shutdown, tasks, vectors, _lock: lock }
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
        // What runs beside requests ends by itself; what does not, in time, ends with the process.
        _ = tokio::time::timeout(self.app.config.drain, self.app.sandbox.settled()).await;
        if let Some(vectors) = self.vectors {
            vectors.save().await;
        }
        outcome
    }
}

impl App {
    /// An address that a shopper's phone can open, from what the image host gave.
    pub fn absolute_url(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.image_base) } else { url.to_owned() }
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

async fn load_plugins(config: &Config, backends: &Backends, media: Arc<Media>) -> Result<Sandbox> {
    let store = backends.plugins.clone();
    Sandbox::open(sandbox_config(config), store, media).await.context("plugins")
}

fn sandbox_config(config: &Config) -> SandboxConfig {
    SandboxConfig {
        cache: Some(config.data.join("plugin-cache")),
        compiler: config.compiler.clone().map(Compiler::new),
        rank: config.rank_plugin.clone(),
        ingest: config.ingest_plugin.clone(),
        settings: config.plugin_settings.clone(),
        trusted: config.trusted_keys.clone(),
        maximum: config.plugin_limits,
        tenant_maximum: config.tenant_plugin_limits,
        max_component_bytes: config.limits.plugin_bytes,
        ..SandboxConfig::new(&config.plugins)
    }
}

/// Brings products that an older service wrote to MongoDB to the present form. `progress` hears of every product.
pub async fn migrate(
    config: &Config,
    progress: impl FnMut(&MigrationReport) + Send,
) -> Result<MigrationReport> {
    let space = match &config.model_name {
        Some(_) => Some(model::space(config).await.context("model")?),
        None => None,
    };
    backends::migrate(config, space.as_ref(), progress).await
}

/// What would become of these components, or of those of the plugin folder when none is named. Found out without a model:
/// loading asks for nothing of it.
pub async fn plugin_report(config: &Config, files: Vec<PathBuf>) -> Result<Vec<PluginStatus>> {
    let sandbox = SandboxConfig { cache: None, ..sandbox_config(config) };
    let media = media(config)?;
    Ok(Sandbox::check(sandbox, files, media).await?)
}

/// What decodes pictures and videos.
pub fn media(config: &Config) -> Result<Arc<Media>> {
    Ok(Arc::new(Media::new(media_config(config))?))
}

/// What calls components without a service. Machine code is kept in `cache`, if there is one.
pub fn player(
    config: &Config,
    media: Arc<Media>,
    cache: Option<PathBuf>,
    count_fuel: bool,
) -> Result<Player> {
    let sandbox = sandbox_config(config);
    // The compiling process makes code that counts nothing.
    let compiler = sandbox.compiler.clone().filter(|_| !count_fuel);
    let sandbox = SandboxConfig { cache, compiler, count_fuel, ..sandbox };
    Ok(Player::open(&sandbox, media)?)
}

fn worker_config(config: &Config) -> WorkerConfig {
    let lanes = vec![
        Lane::new("search", [jobs::SEARCH], config.search_jobs),
        Lane::new("ingest", [jobs::ADD_PRODUCT], config.ingest_jobs),
    ];
    WorkerConfig { lease: config.lease, drain: config.drain, ..WorkerConfig::new(lanes) }
}
