//! Command line, environment and `taja.toml` into one typed configuration; every mistake is reported together.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use secrecy::SecretString;
use serde_json::Value;
use taja_cloudinary::Credentials;
use taja_media::{ImageType, VideoType};
use taja_sandbox::{Capability, signature::TrustedKeys};

mod reader;
mod settings;

use self::reader::Reader;
pub use self::settings::{SETTINGS, Setting, variable};
use crate::query_log::Detail;

/// Which part of the work a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// All of it.
    Serve,
    /// Takes requests and answers from what is stored; runs no jobs.
    Api,
    /// Runs jobs.
    Worker,
}

impl Role {
    /// Whether it runs jobs, and so needs the model and an index.
    pub fn works(self) -> bool {
        self != Self::Api
    }

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// A MongoDB.
#[derive(Debug, Clone)]
pub struct MongoConfig {
    /// Its address, which may hold a password.
    pub uri: SecretString,
    /// The database.
    pub database: String,
    /// The collection of products.
    pub collection: String,
}

/// A Cloudinary account.
#[derive(Debug, Clone)]
pub struct CloudinarySettings {
    /// The cloud, its key and its secret.
    pub credentials: Credentials,
    /// What public ids begin with.
    pub folder: String,
    /// Where to upload to.
    pub api: String,
    /// Where pictures are delivered from.
    pub delivery: String,
}

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which part of the work this process does.
    pub role: Role,
    /// What requests show to be let in; none on a loopback address.
    pub api_key: Option<SecretString>,
    /// Requests per minute of a shop's key that has no limit of its own; none for no limit.
    pub key_requests_per_minute: Option<u32>,
    /// What is logged.
    pub log: String,
    /// Whether this is for real customers.
    pub production: bool,
    /// The second place of every route.
    pub api_prefix: String,
    /// The store, unless it is embedded.
    pub mongo: Option<MongoConfig>,
    /// What hands out jobs, unless it is embedded. The address may hold a password.
    pub redis: Option<SecretString>,
    /// The image host, unless it is embedded.
    pub cloudinary: Option<CloudinarySettings>,
    /// The model that is expected.
    pub model_name: Option<String>,
    /// The dimension that is expected of the model.
    pub dimension: Option<usize>,
    /// Where to serve.
    pub listen: SocketAddr,
    /// Where everything stored lies.
    pub data: PathBuf,
    /// Folder of components.
    pub plugins: PathBuf,
    /// Folder of the model.
    pub model: PathBuf,
    /// ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// ffmpeg program.
    pub ffmpeg: PathBuf,
    /// Prefix of image addresses.
    pub public_url: Option<String>,
    /// The shop of keyless requests.
    pub tenant: taja_catalog::TenantId,
    /// Who ranks.
    pub rank_plugin: String,
    /// Who decides on new products.
    pub ingest_plugin: String,
    /// The operator's settings by plugin.
    pub plugin_settings: HashMap<String, Value>,
    /// The `taja` program, for what is compiled in a process of its own. No setting: the command line knows where it
    /// is, and whoever starts a service inside another program has none.
    pub compiler: Option<PathBuf>,
    /// Whose signatures plugins need; nobody's when there are none.
    pub trusted_keys: TrustedKeys,
    /// What plugins get that a shop uploads itself.
    pub tenant_capabilities: BTreeSet<Capability>,
    /// How often changes of policies are looked for that nobody announced.
    pub plugin_poll: Duration,
    /// The most that the operator's plugins get of what they ask for.
    pub plugin_limits: taja_sandbox::Limits,
    /// The most that plugins get which a shop uploads itself.
    pub tenant_plugin_limits: taja_sandbox::Limits,
    /// Limits of a request.
    pub limits: Limits,
    /// Threads for heavy computation.
    pub threads: usize,
    /// What computes the model.
    pub compute: taja_clip::Choice,
    /// Largest batch for the model.
    pub max_batch: usize,
    /// Longest wait of a batch while the model is busy.
    pub batch_wait: Duration,
    /// Bytes of remembered embeddings.
    pub embedding_cache_bytes: u64,
    /// Searches at once.
    pub search_jobs: usize,
    /// Products at once.
    pub ingest_jobs: usize,
    /// Callbacks that are posted at once.
    pub callback_jobs: usize,
    /// How often a callback is tried.
    pub callback_attempts: u32,
    /// Longest wait for its second try.
    pub callback_retry: Duration,
    /// Networks that callbacks may be posted to beside public addresses.
    pub callback_networks: Vec<IpNet>,
    /// Streams of events that are open at once.
    pub event_streams: usize,
    /// The same of one shop.
    pub event_streams_per_tenant: usize,
    /// A silent worker's hold on a job.
    pub lease: Duration,
    /// Starts before a job is buried.
    pub attempts: u32,
    /// How long finished searches are kept.
    pub result_lifetime: Duration,
    /// How long failed jobs are kept.
    pub failed_lifetime: Duration,
    /// How long a finished search answers the same search; nothing for never.
    pub result_cache: Duration,
    /// What is written down of searches.
    pub query_log: Detail,
    /// Bytes of that, at most.
    pub query_log_bytes: u64,
    /// Age at which left-overs are swept.
    pub sweep_age: Duration,
    /// How long running jobs may take at shutdown.
    pub drain: Duration,
}

/// What one request may bring.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Types of images.
    pub image_types: Vec<ImageType>,
    /// Types of videos.
    pub video_types: Vec<VideoType>,
    /// Images per product.
    pub images: usize,
    /// Bytes per image.
    pub image_bytes: u64,
    /// Bytes per video.
    pub video_bytes: u64,
    /// Bytes per request, but for files of products.
    pub request_bytes: usize,
    /// Bytes per file of products.
    pub import_bytes: usize,
    /// Rows per file of products.
    pub import_rows: u64,
    /// Bytes per component of a plugin.
    pub plugin_bytes: u64,
    /// Pixels per image.
    pub pixels: u64,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} mistake(s):", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

/// Where settings come from, the first that has one winning: command line, environment, file, default.
pub struct Sources<'a> {
    /// What the process is to do.
    pub role: Role,
    /// Values from the command line, by setting name.
    pub command_line: HashMap<String, String>,
    /// Looks up an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of `taja.toml`, and where it lies.
    pub file: Option<(PathBuf, String)>,
}

impl Config {
    /// Reads every source; all mistakes come together.
    pub fn read(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(sources);
        let config = Self {
            role: sources.role,
            api_key: reader.optional("api-key").map(Into::into),
            key_requests_per_minute: Some(reader.at_least("key-requests-per-minute", 0))
                .filter(|limit| *limit > 0),
            log: reader.log(),
            production: reader.environment() == "production",
            api_prefix: reader.api_prefix(),
            mongo: reader.mongo(),
            redis: reader.redis(),
            cloudinary: reader.cloudinary(),
            model_name: reader.optional("clip-model-name"),
            dimension: Some(reader.at_least("embedding-dimension", 0)).filter(|dimension| *dimension > 0),
            listen: reader.parsed("listen"),
            data: reader.parsed("data"),
            plugins: reader.parsed("plugins"),
            model: reader.parsed("model"),
            onnxruntime: reader.parsed("onnxruntime"),
            ffmpeg: reader.parsed("ffmpeg"),
            public_url: reader.http_base("public-url"),
            tenant: reader.parsed_or("tenant", || "default".parse().expect("the word is a tenant name")),
            rank_plugin: reader.parsed("rank-plugin"),
            ingest_plugin: reader.parsed("ingest-plugin"),
            plugin_settings: reader.plugin_settings(),
            compiler: None,
            trusted_keys: reader.trusted_keys(),
            tenant_capabilities: reader.listed_as("tenant-capabilities"),
            plugin_poll: Duration::from_secs(reader.at_least("plugin-poll-seconds", 1)),
            plugin_limits: reader.plugin_limits("plugin-limits", taja_sandbox::Limits::OPERATORS),
            tenant_plugin_limits: reader.plugin_limits("tenant-plugin-limits", taja_sandbox::Limits::SHOPS),
            limits: Limits {
                image_types: reader.types("image-types", &ImageType::ALL, ImageType::mime),
                video_types: reader.types("video-types", &VideoType::ALL, VideoType::mime),
                images: reader.at_least("max-images", 1),
                image_bytes: reader.at_least("max-image-bytes", 1),
                video_bytes: reader.at_least("max-video-bytes", 1),
                request_bytes: reader.at_least("max-request-bytes", 1),
                import_bytes: reader.at_least("max-import-bytes", 1),
                import_rows: reader.at_least("max-import-rows", 1),
                plugin_bytes: reader.at_least("max-plugin-bytes", 1),
                pixels: reader.at_least("max-pixels", 1),
            },
            threads: match reader.at_least("threads", 0) {
                0 => std::thread::available_parallelism().map_or(1, Into::into),
                threads => threads,
            },
            compute: reader.parsed("compute"),
            max_batch: reader.at_least("max-batch", 1),
            batch_wait: Duration::from_millis(reader.at_least("batch-wait-ms", 0)),
            embedding_cache_bytes: reader
                .at_least::<u64>("embedding-cache-mib", 0)
                .saturating_mul(1024 * 1024),
            search_jobs: reader.at_least("search-jobs", 1),
            ingest_jobs: reader.at_least("ingest-jobs", 1),
            callback_jobs: reader.at_least("callback-jobs", 1),
            callback_attempts: reader.at_least("callback-attempts", 1),
            callback_retry: Duration::from_secs(reader.at_least("callback-retry-seconds", 0)),
            callback_networks: reader.listed_as("callback-networks"),
            event_streams: reader.at_least("event-streams", 1),
            event_streams_per_tenant: reader.at_least("event-streams-per-tenant", 1),
            lease: Duration::from_secs(reader.at_least("lease-seconds", 1)),
            attempts: reader.at_least("attempts", 1),
            result_lifetime: Duration::from_secs(
                reader.at_least::<u64>("result-hours", 1).saturating_mul(3600),
            ),
            failed_lifetime: Duration::from_secs(
                reader.at_least::<u64>("failed-days", 1).saturating_mul(24 * 3600),
            ),
            result_cache: Duration::from_secs(
                reader.at_least::<u64>("result-cache-minutes", 0).saturating_mul(60),
            ),
            query_log: reader.parsed("query-log"),
            query_log_bytes: reader.at_least::<u64>("query-log-mib", 1).saturating_mul(1024 * 1024),
            sweep_age: Duration::from_secs(reader.at_least("sweep-seconds", 1)),
            drain: Duration::from_secs(reader.at_least("drain-seconds", 0)),
        };
        reader.keyless_only_on_loopback(&config);
        reader.backends_fit(&config);
        if reader.mistakes.is_empty() { Ok(config) } else { Err(ConfigError(reader.mistakes)) }
    }

    /// Whoever is on the same machine may use the embedded default; what lies elsewhere is not his alone.
    pub fn check_key(&self) -> Result<(), ConfigError> {
        let elsewhere = [
            ("MONGO_URI", self.mongo.is_some()),
            ("REDIS_URL", self.redis.is_some()),
            ("CLOUDINARY_URL", self.cloudinary.is_some()),
        ];
        let set: Vec<_> = elsewhere.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        if set.is_empty() || self.api_key.is_some() {
            return Ok(());
        }
        let mistake = format!(
            "without a key only a service that keeps everything in its data folder is served: set TAJA_API_KEY (any \
             text of 32 characters or more), or leave {} out",
            set.join(" and ")
        );
        Err(ConfigError(vec![mistake]))
    }

    /// The address that hosted images begin with, given the address that is really served.
    pub fn image_base(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

#[cfg(test)]
mod tests;
