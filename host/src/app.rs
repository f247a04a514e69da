//! The wiring: from a configuration to everything that runs. Open this one file to see every capability, and
//! `app/backends.rs` for what stands behind it.

mod backends;
mod callbacks;
mod canaries;
mod indexes;
mod model;
mod plugins;
mod serving;
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
    Space,
    edit::EditProduct,
    models::ModelStore,
    plugins::PluginStore,
    policy::Policies,
    port::{ImageHost, Store},
};
use taja_media::{Media, MediaConfig};
use taja_mongo::MigrationReport;
use taja_queue::{Lane, Queue, Share, Worker, WorkerConfig};
use taja_sandbox::{Player, PluginStatus, Sandbox, SandboxConfig, compile::Compiler};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::model::{MANIFEST, installed, measure, named, shelf};
pub(crate) use self::serving::Serving;
use self::{backends::Backends, indexes::LiveIndexes, serving::Parts};
use crate::{
    access::{Door, DoorConfig},
    callbacks::Courier,
    config::{Config, Role},
    http::{self, Streams},
    image_folder::ImageFolder,
    import,
    jobs::{self, Models},
    outbound::Guard,
    query_log::{self, QueryLog},
    staging::Staging,
    telemetry,
    word_rules::ShopWords,
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
    /// Which model serves, and the vectors of several.
    pub(crate) models: Arc<dyn ModelStore>,
    /// Who gets in.
    pub(crate) door: Door,
    /// How each shop's words are understood.
    pub(crate) words: Arc<ShopWords>,
    /// Changes and deletes products.
    pub(crate) edits: EditProduct,
    /// The policies.
    pub policies: Arc<dyn Policies>,
    /// What runs them, and changes which are active.
    pub(crate) sandbox: Arc<Sandbox>,
    /// Where they are kept.
    pub(crate) plugins: Arc<dyn PluginStore>,
    /// Room for components that are on their way into memory.
    pub(crate) uploads: Semaphore,
    /// The model that serves, or what is known of it where others run it.
    pub(crate) serving: Arc<Serving>,
    /// Where shoppers see pictures.
    pub images: Arc<dyn ImageHost>,
    /// The image host, when this process serves its pictures.
    pub(crate) folder: Option<ImageFolder>,
    /// Uploads.
    pub(crate) staging: Staging,
    /// What was asked and what came of it, where that is written down.
    pub(crate) log: QueryLog,
    /// Where callbacks may be posted to.
    pub(crate) outbound: Guard,
    /// Room for streams of events.
    pub(crate) streams: Streams,
    /// Told when the service is to stop.
    pub(crate) stopping: CancellationToken,
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
    // Old documents do not say which model made their vectors: the operator does, by naming it.
    let names_it = config.mongo.is_some() && config.role.works() && config.model_name.is_some();
    let legacy =
        if names_it { Some(configured_space(&config, Some(model::memory(&config))).await?) } else { None };
    let backends = Backends::open(&config, legacy.as_ref(), &media).await?;
    let about = backends.store.about().await.context("product store")?;
    tracing::info!(backend = about.backend, details = ?about.details, "store is open");
    let sandbox = Arc::new(load_plugins(&config, &backends, media.clone()).await?);
    let policies: Arc<dyn Policies> = sandbox.clone();
    let indexes = Arc::new(LiveIndexes::default());
    let folder = config.data.join(query_log::FOLDER);
    let log = QueryLog::open(folder, config.query_log, config.query_log_bytes)?;
    let words = Arc::new(ShopWords::new(backends.access.clone()));
    let image_base = config.image_base(address);
    let parts = Parts {
        words: words.clone(),
        vocabularies: Arc::default(),
        config: config.clone(),
        image_base: image_base.clone(),
        backends: backends.clone(),
        media,
        policies: policies.clone(),
        indexes: indexes.clone(),
        log: log.clone(),
    };
    let serving = Serving::open(parts).await?;
    let outbound = Guard::new(config.callback_networks.clone());
    let courier = Courier::new(outbound.clone(), backends.access.clone()).context("callbacks")?;
    let worker = config.role.works().then(|| {
        let models: Arc<dyn Models> = Arc::new(serving.clone());
        let handlers = courier.handle(jobs::handlers(&models));
        Worker::new(backends.queue.clone(), handlers, worker_config(&config))
    });
    let worker = worker.transpose().context("worker")?;
    let door = DoorConfig {
        operator_key: config.api_key.clone(),
        tenant: config.tenant.clone(),
        per_minute: config.key_requests_per_minute,
    };
    let door = Door::open(backends.access, door).await.context("shops and keys")?;
    let (store, images) = (backends.store.clone(), backends.images.clone());
    let app = Arc::new(App {
        door,
        words,
        edits: EditProduct { store, indexes, images },
        image_base,
        serving,
        queue: backends.queue,
        store: backends.store,
        models: backends.models,
        policies,
        sandbox,
        plugins: backends.plugins,
        uploads: Semaphore::new(UPLOADS),
        images: backends.images,
        folder: backends.folder,
        staging: backends.staging,
        log,
        outbound,
        streams: Streams::new(config.event_streams, config.event_streams_per_tenant),
        stopping: CancellationToken::new(),
        metrics,
        config,
    });
    if app.config.role.works() {
        upkeep::sweep_staging(&app.staging, app.queue.as_ref(), Duration::ZERO).await?;
    }
    Ok(Running::spawn(app, listener, address, worker, lock))
}

impl Running {
    fn spawn(
        app: Arc<App>,
        listener: TcpListener,
        address: SocketAddr,
        worker: Option<Worker>,
        lock: std::fs::File,
    ) -> Self {
        let shutdown = app.stopping.clone();
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
            tasks.spawn(canaries::measure(app.clone(), shutdown.clone()));
            tasks.spawn(plugins::report(app.clone(), shutdown.clone()));
        }
        tasks.spawn(app.serving.clone().keep(shutdown.clone()));
        tasks.spawn(callbacks::tell(app.clone(), shutdown.clone()));
        tasks.spawn(plugins::follow(app.clone(), shutdown.clone()));
        if app.config.redis.is_some() {
            tasks.spawn(plugins::announce(app.clone(), shutdown.clone()));
        }
        if app.config.mongo.is_none() {
            tasks.spawn(plugins::watch_folder(app.clone(), shutdown.clone()));
        }
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
        // What runs beside requests ends by itself; what does not, in time, ends with the process.
        _ = tokio::time::timeout(self.app.config.drain, self.app.sandbox.settled()).await;
        self.app.serving.save().await;
        outcome
    }
}

impl App {
    /// An address that a shopper's phone can open, from what the image host gave.
    pub fn absolute_url(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.image_base) } else { url.to_owned() }
    }
}

/// The space of the model that is configured, which is in no need of being loaded.
async fn configured_space(config: &Config, memory: Option<PathBuf>) -> Result<Space> {
    model::space(model::configured(config)?, memory).await.context("model")
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
        queue: (config.search_jobs + config.ingest_jobs + import::ROWS_AT_ONCE) * PICTURES_PER_JOB,
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
        // The data folder is a service's, and none need be here.
        Some(_) => Some(configured_space(config, None).await?),
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
        Lane::new("search", [jobs::SEARCH, jobs::SIMILAR, jobs::RESEMBLING], config.search_jobs),
        Lane::new("ingest", [jobs::ADD_PRODUCT, jobs::ADD_IMAGES], config.ingest_jobs),
        Lane::new("imports", [jobs::IMPORT], 1),
        Lane::new("evaluations", [jobs::EVALUATE], 1),
        Lane::new("models", [jobs::ACTIVATE_MODEL], 1),
        // Receivers are anybody's servers, and may take their time.
        Lane::new("callbacks", [jobs::CALLBACK], config.callback_jobs).sharing(Share::AsManyAsItLeaves),
    ];
    WorkerConfig { lease: config.lease, drain: config.drain, ..WorkerConfig::new(lanes) }
}
