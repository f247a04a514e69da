//! What keeps things: each part embedded in the data folder, or on an engine that other processes share.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use taja_catalog::{
    Space,
    access::AccessStore,
    models::ModelStore,
    plugins::PluginStore,
    port::{ImageHost, Store, UploadStore, VectorIndex},
};
use taja_cloudinary::{Cloudinary, CloudinaryConfig};
use taja_media::Media;
use taja_mongo::{
    FollowOptions, Follower, GridUploads, Legacy, MigrationReport, Mongo, MongoLedger, MongoOptions,
    MongoStore, MongoStoreOptions,
};
use taja_queue::{Backoffs, Queue, RedisOptions, RedisQueue, SqliteOptions, SqliteQueue};
use taja_sqlite::SqliteStore;
use taja_vectors::Index;

use super::vector_file::VectorFile;
use crate::{
    callbacks,
    cloudinary_host::CloudinaryHost,
    config::{CloudinarySettings, Config, MongoConfig},
    image_folder::ImageFolder,
    jobs,
    staging::Staging,
};

/// The file of the embedded store and queue.
const DATABASE: &str = "taja.db";
/// Longest wait for the first connection to Redis.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Everything that is kept.
#[derive(Clone)]
pub(super) struct Backends {
    pub(super) store: Arc<dyn Store>,
    /// Which model serves, and the vectors of several.
    pub(super) models: Arc<dyn ModelStore>,
    /// Shops and their keys.
    pub(super) access: Arc<dyn AccessStore>,
    /// Plugins, and which of them are active.
    pub(super) plugins: Arc<dyn PluginStore>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) images: Arc<dyn ImageHost>,
    /// The image host, when it is the embedded one.
    pub(super) folder: Option<ImageFolder>,
    pub(super) staging: Staging,
    /// The folder of the embedded index.
    vectors: PathBuf,
    /// The store, when it is MongoDB.
    mongo: Option<(Mongo, Arc<MongoStore>)>,
}

impl Backends {
    /// Opens what the configuration names. `space` is the one that an older service's vectors are of, when that is known.
    pub(super) async fn open(config: &Config, space: Option<&Space>, media: &Arc<Media>) -> Result<Self> {
        let database = config.data.join(DATABASE);
        let mongo = match &config.mongo {
            Some(settings) => Some(open_mongo(settings, config, space).await.context("product store")?),
            None => None,
        };
        let kept = match &mongo {
            Some((_, store)) => Kept::all_by(store.clone()),
            None => Kept::all_by(Arc::new(SqliteStore::open(&database).context("product store")?)),
        };
        let Kept { store, models, access, plugins } = kept;
        let queue: Arc<dyn Queue> = match (&config.redis, &mongo) {
            (Some(url), Some((mongo, _))) => {
                let ledger = Arc::new(MongoLedger::open(mongo).await.context("job records")?);
                let options = RedisOptions {
                    name: queue_name(config),
                    backoffs: backoffs(config),
                    ..RedisOptions::default()
                };
                let queue = RedisQueue::open(url.expose_secret(), ledger, options);
                Arc::new(queue.await.context("job queue")?)
            }
            _ => {
                let options = SqliteOptions { backoffs: backoffs(config), ..SqliteOptions::default() };
                Arc::new(SqliteQueue::open(&database, options).context("job queue")?)
            }
        };
        let uploads: Option<Arc<dyn UploadStore>> = match (&config.redis, &mongo) {
            (Some(_), Some((mongo, _))) => Some(Arc::new(GridUploads::open(mongo).await.context("uploads")?)),
            _ => None,
        };
        let staging = Staging::open(config.data.join("staging"), uploads).await.context("staging folder")?;
        let (images, folder): (Arc<dyn ImageHost>, _) = match &config.cloudinary {
            Some(settings) => (Arc::new(cloudinary(settings, media)?), None),
            None => {
                let folder = ImageFolder::open(config.data.join("images"), media.clone());
                let folder = folder.await.context("image folder")?;
                (Arc::new(folder.clone()), Some(folder))
            }
        };
        let vectors = config.data.join("vectors");
        Ok(Self { store, models, access, plugins, queue, images, folder, staging, vectors, mongo })
    }

    /// The index of the store's vectors: the server's own where it has one, else one in memory that follows the store;
    /// with its file, where this process is the only one to write.
    pub(super) async fn index(&self, space: &Space) -> Result<(Arc<dyn VectorIndex>, Option<VectorFile>)> {
        match &self.mongo {
            None => {
                let file = VectorFile::open(self.vectors.clone(), space, self.store.as_ref()).await?;
                Ok((Arc::new(file.index.clone()), Some(file)))
            }
            Some((mongo, store)) => {
                if let Some(index) = store.vector_search(space).await? {
                    return Ok((Arc::new(index), None));
                }
                let dimension = space.dimension;
                let make = move || Arc::new(Index::new(dimension)) as Arc<dyn VectorIndex>;
                let options = FollowOptions::default();
                let follower = Follower::start(mongo, space.clone(), make, self.store.clone(), options);
                Ok((Arc::new(follower.await?), None))
            }
        }
    }
}

/// What one database keeps.
struct Kept {
    store: Arc<dyn Store>,
    models: Arc<dyn ModelStore>,
    access: Arc<dyn AccessStore>,
    plugins: Arc<dyn PluginStore>,
}

impl Kept {
    fn all_by<S: Store + ModelStore + AccessStore + PluginStore + 'static>(database: Arc<S>) -> Self {
        Self {
            store: database.clone(),
            models: database.clone(),
            access: database.clone(),
            plugins: database,
        }
    }
}

/// Whoever receives callbacks may be away for hours.
fn backoffs(config: &Config) -> Backoffs {
    let kinds = [(jobs::CALLBACK.to_owned(), callbacks::backoff(config.callback_retry))].into();
    Backoffs { kinds, ..Backoffs::default() }
}

/// What keys in Redis begin with: jobs belong to the database that keeps their records.
fn queue_name(config: &Config) -> String {
    config.mongo.as_ref().map_or_else(String::new, |mongo| mongo.database.clone())
}

/// Redis, where processes share it.
pub(super) fn redis_client(config: &Config) -> Result<Option<redis::Client>> {
    let open = |url: &SecretString| redis::Client::open(url.expose_secret()).context("Redis address");
    config.redis.as_ref().map(open).transpose()
}

/// What the names of things in Redis begin with.
pub(super) fn redis_prefix(config: &Config) -> String {
    format!("taja:{{{}}}:", queue_name(config))
}

/// A connection for results that all processes share, and what their keys begin with.
pub(super) async fn shared_results(
    config: &Config,
) -> Result<Option<(redis::aio::ConnectionManager, String)>> {
    let Some(client) = redis_client(config)? else { return Ok(None) };
    let connecting = tokio::time::timeout(CONNECT_WITHIN, client.get_connection_manager());
    let connection = connecting.await.context("Redis does not answer")?.context("Redis")?;
    Ok(Some((connection, format!("{}results:", redis_prefix(config)))))
}

async fn open_mongo(
    settings: &MongoConfig,
    config: &Config,
    space: Option<&Space>,
) -> Result<(Mongo, Arc<MongoStore>)> {
    let options = MongoOptions {
        products: settings.collection.clone(),
        ..MongoOptions::new(settings.uri.expose_secret(), &settings.database)
    };
    let mongo = Mongo::connect(&options).await?;
    let legacy = Some(Legacy { tenant: config.tenant.clone(), space: space.cloned() });
    let store = MongoStore::open(&mongo, MongoStoreOptions { legacy }).await?;
    Ok((mongo, Arc::new(store)))
}

/// Brings the documents of an older service to the present form; `progress` hears of every document.
pub(super) async fn migrate(
    config: &Config,
    space: Option<&Space>,
    progress: impl FnMut(&MigrationReport) + Send,
) -> Result<MigrationReport> {
    let settings = config.mongo.as_ref().context("there is nothing to migrate: MONGO_URI is not set")?;
    let (_, store) = open_mongo(settings, config, space).await.context("product store")?;
    Ok(store.migrate(progress).await?)
}

fn cloudinary(settings: &CloudinarySettings, media: &Arc<Media>) -> Result<CloudinaryHost> {
    let address = |base: &str| {
        base.parse::<taja_cloudinary::Url>().with_context(|| format!("Cloudinary address {base}"))
    };
    let account = CloudinaryConfig {
        upload_base: address(&settings.api)?,
        delivery_base: address(&settings.delivery)?,
        folder: settings.folder.clone(),
        ..CloudinaryConfig::new(settings.credentials.clone())
    };
    let client = Cloudinary::new(account).context("Cloudinary")?;
    Ok(CloudinaryHost::new(client, media.clone()))
}
