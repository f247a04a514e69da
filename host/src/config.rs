//! Command line, environment and `taja.toml` into one typed configuration; every mistake is reported together.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use taja_cloudinary::Credentials;
use taja_media::{ImageType, VideoType};

mod settings;

pub use settings::{SETTINGS, Setting, variable};

/// The bundled ranking plugin.
const RANK_DEFAULT: &str = "rank-default";
/// Characters that a key has at least: 128 bits as hex digits.
const SHORTEST_KEY: usize = 32;

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
    /// Limits of a request.
    pub limits: Limits,
    /// Threads for heavy computation.
    pub threads: usize,
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
    /// Bytes per request.
    pub request_bytes: usize,
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
            limits: Limits {
                image_types: reader.types("image-types", &ImageType::ALL, ImageType::mime),
                video_types: reader.types("video-types", &VideoType::ALL, VideoType::mime),
                images: reader.at_least("max-images", 1),
                image_bytes: reader.at_least("max-image-bytes", 1),
                video_bytes: reader.at_least("max-video-bytes", 1),
                request_bytes: reader.at_least("max-request-bytes", 1),
                pixels: reader.at_least("max-pixels", 1),
            },
            threads: match reader.at_least("threads", 0) {
                0 => std::thread::available_parallelism().map_or(1, Into::into),
                threads => threads,
            },
            max_batch: reader.at_least("max-batch", 1),
            batch_wait: Duration::from_millis(reader.at_least("batch-wait-ms", 0)),
            embedding_cache_bytes: reader
                .at_least::<u64>("embedding-cache-mib", 0)
                .saturating_mul(1024 * 1024),
            search_jobs: reader.at_least("search-jobs", 1),
            ingest_jobs: reader.at_least("ingest-jobs", 1),
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
            sweep_age: Duration::from_secs(reader.at_least("sweep-seconds", 1)),
            drain: Duration::from_secs(reader.at_least("drain-seconds", 0)),
        };
        reader.keyless_only_on_loopback(&config);
        reader.backends_fit(&config);
        if reader.mistakes.is_empty() { Ok(config) } else { Err(ConfigError(reader.mistakes)) }
    }

    /// The address that hosted images begin with, given the address that is really served.
    pub fn image_base(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

/// The row of the table.
fn row(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).expect("only settings of the table are read")
}

struct Reader<'a> {
    sources: &'a Sources<'a>,
    file: toml::Table,
    mistakes: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(sources: &'a Sources<'a>) -> Self {
        let mut reader = Self { sources, file: toml::Table::new(), mistakes: Vec::new() };
        if let Some((path, text)) = &sources.file {
            match text.parse::<toml::Table>() {
                Ok(table) => reader.file = table,
                Err(error) => reader.mistakes.push(format!("{} is not TOML: {error}", path.display())),
            }
            reader.refuse_unknown(path);
        }
        reader
    }

    fn refuse_unknown(&mut self, path: &Path) {
        let unknown =
            self.file.keys().filter(|key| !SETTINGS.iter().any(|setting| setting.name == key.as_str()));
        let mistakes: Vec<_> =
            unknown.map(|key| format!("{}: there is no setting `{key}`", path.display())).collect();
        self.mistakes.extend(mistakes);
    }

    /// The text of a setting and where it stands.
    fn text(&self, name: &str) -> (String, String) {
        if let Some(text) = self.sources.command_line.get(name) {
            return (text.clone(), format!("--{name}"));
        }
        for variable in row(name).variables() {
            if let Some(text) = (self.sources.environment)(&variable).filter(|text| !text.is_empty()) {
                return (text, variable);
            }
        }
        match self.file.get(name) {
            Some(toml::Value::String(text)) => (text.clone(), format!("`{name}` in the file")),
            Some(toml::Value::Table(table)) => {
                (serde_json::to_string(table).unwrap_or_default(), format!("`{name}` in the file"))
            }
            Some(other) => (other.to_string(), format!("`{name}` in the file")),
            None => (row(name).default.to_owned(), format!("the default of {name}")),
        }
    }

    fn parsed_or<T>(&mut self, name: &str, fallback: impl FnOnce() -> T) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let (text, origin) = self.text(name);
        text.parse().unwrap_or_else(|error| {
            self.mistakes.push(format!("{origin}: {text:?}: {error}"));
            fallback()
        })
    }

    fn parsed<T>(&mut self, name: &str) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.parsed_or(name, || match row(name).default.parse() {
            Ok(value) => value,
            Err(_) => unreachable!("the defaults of the table are parsed by a test"),
        })
    }

    fn at_least<T>(&mut self, name: &str, least: T) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
        T::Err: fmt::Display,
    {
        let value = self.parsed_or(name, || least);
        if value < least {
            self.mistakes.push(format!("{}: {value} is less than {least}", self.text(name).1));
        }
        value
    }

    /// An address that others are made from.
    fn http_base(&mut self, name: &str) -> Option<String> {
        let text = self.optional(name)?;
        if !text.starts_with("http://") && !text.starts_with("https://") {
            let origin = self.text(name).1;
            self.mistakes.push(format!("{origin}: {text:?} does not begin with http:// or https://"));
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// A text that may be left out.
    fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name).0.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The settings of plugins, with what a setting of the service says to one of them.
    fn plugin_settings(&mut self) -> HashMap<String, Value> {
        let (text, origin) = self.text("plugin-settings");
        let parsed: Result<HashMap<String, serde_json::Map<String, Value>>, _> = serde_json::from_str(&text);
        let mut settings = parsed.unwrap_or_else(|error| {
            self.mistakes.push(format!("{origin}: not a JSON object of objects by plugin name: {error}"));
            HashMap::new()
        });
        let threshold: f64 = self.parsed("similarity-threshold");
        if !(-1.0..=1.0).contains(&threshold) {
            let origin = self.text("similarity-threshold").1;
            self.mistakes.push(format!("{origin}: {threshold} is no cosine, which lies between -1 and 1"));
        } else if threshold != 0.0 {
            // Words lie far from pictures, so a threshold for pictures says nothing of them.
            let ranking = settings.entry(RANK_DEFAULT.into()).or_default();
            for name in ["min_cosine_image", "min_cosine_video"] {
                ranking.entry(name).or_insert(threshold.into());
            }
        }
        settings.into_iter().map(|(name, map)| (name, Value::Object(map))).collect()
    }

    fn api_prefix(&mut self) -> String {
        let (text, origin) = self.text("api-prefix");
        let prefix = text.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if prefix.len() < 2 || !prefix.starts_with('/') || !prefix.chars().all(plain) {
            self.mistakes.push(format!("{origin}: {text:?} is not a path such as /api/v1"));
        }
        prefix.to_owned()
    }

    fn mongo(&mut self) -> Option<MongoConfig> {
        let uri = self.optional("mongo-uri")?;
        if !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") {
            let origin = self.text("mongo-uri").1;
            self.mistakes.push(format!("{origin}: does not begin with mongodb:// or mongodb+srv://"));
        }
        let mut name = |setting: &str| {
            let (text, origin) = self.text(setting);
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if text.is_empty() || text.len() > 38 || !text.chars().all(plain) {
                self.mistakes
                    .push(format!("{origin}: {text:?} is not 1 to 38 letters, digits, hyphens, underscores"));
            }
            text
        };
        Some(MongoConfig {
            uri: uri.into(),
            database: name("mongo-db"),
            collection: name("mongo-collection"),
        })
    }

    fn redis(&mut self) -> Option<SecretString> {
        let url = self.optional("redis-url")?;
        if !["redis://", "rediss://", "valkey://", "valkeys://"].iter().any(|scheme| url.starts_with(scheme))
        {
            self.mistakes
                .push(format!("{}: does not begin with redis:// or rediss://", self.text("redis-url").1));
        }
        Some(url.into())
    }

    /// By its address, else by its three parts.
    fn cloudinary(&mut self) -> Option<CloudinarySettings> {
        let parts = ["cloudinary-cloud-name", "cloudinary-api-key", "cloudinary-api-secret"];
        let credentials = match (self.optional("cloudinary-url"), parts.map(|part| self.optional(part))) {
            (Some(url), _) => url.parse().map_err(|error| (self.text("cloudinary-url").1, error)),
            (None, [None, None, None]) => return None,
            (None, [Some(cloud), Some(key), Some(secret)]) => {
                Credentials::new(&cloud, &key, &secret).map_err(|error| (self.text(parts[0]).1, error))
            }
            (None, some) => {
                let missing = parts.iter().zip(some).filter(|(_, part)| part.is_none());
                let missing: Vec<_> = missing.filter_map(|(name, _)| row(name).alias).collect();
                self.mistakes.push(format!("Cloudinary needs {} as well", missing.join(" and ")));
                return None;
            }
        };
        let credentials = match credentials {
            Ok(credentials) => credentials,
            Err((origin, error)) => {
                self.mistakes.push(format!("{origin}: {error}"));
                return None;
            }
        };
        let folder = self.text("cloudinary-folder").0.trim_matches('/').to_owned();
        let (api, delivery) = (self.http_base("cloudinary-api")?, self.http_base("cloudinary-delivery")?);
        Some(CloudinarySettings { credentials, folder, api, delivery })
    }

    /// A list of media types: separated by commas, or a JSON list.
    fn types<T: Copy>(&mut self, name: &str, known: &[T], mime: impl Fn(T) -> &'static str) -> Vec<T> {
        let (text, origin) = self.text(name);
        let listed = |text: &str| text.split(',').map(|name| name.trim().to_lowercase()).collect();
        let names: Vec<String> = serde_json::from_str(&text).unwrap_or_else(|_| listed(&text));
        let mut types = Vec::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            // Browsers and older clients say jpg.
            let name = if name == "image/jpg" { "image/jpeg" } else { name.as_str() };
            match known.iter().find(|kind| mime(**kind) == name) {
                Some(kind) => types.push(*kind),
                None => {
                    let known: Vec<_> = known.iter().map(|kind| mime(*kind)).collect();
                    self.mistakes.push(format!("{origin}: {name:?} is not one of {}", known.join(", ")));
                }
            }
        }
        if types.is_empty() {
            self.mistakes.push(format!("{origin}: names no type"));
        }
        types
    }

    fn environment(&mut self) -> String {
        let (text, origin) = self.text("environment");
        if !["development", "test", "staging", "production"].contains(&text.to_lowercase().as_str()) {
            self.mistakes.push(format!("{origin}: {text:?} is not development, test, staging or production"));
        }
        text.to_lowercase()
    }

    fn log(&mut self) -> String {
        let (text, origin) = self.text("log");
        if let Err(error) = text.to_lowercase().parse::<tracing_subscriber::EnvFilter>() {
            self.mistakes.push(format!("{origin}: {text:?}: {error}"));
        }
        text
    }

    /// Which backends go together: several processes share all that they work on, or nothing.
    fn backends_fit(&mut self, config: &Config) {
        if config.redis.is_some() && config.mongo.is_none() {
            self.mistakes.push(
                "REDIS_URL without MONGO_URI: Redis hands jobs out, and their records need MongoDB; set MONGO_URI as \
                 well, or leave REDIS_URL out and let jobs be kept in the data folder"
                    .into(),
            );
        }
        let shared = [
            ("MONGO_URI", config.mongo.is_some(), "products and job records"),
            ("REDIS_URL", config.redis.is_some(), "jobs"),
            ("CLOUDINARY_URL", config.cloudinary.is_some(), "hosted pictures"),
        ];
        if config.role != Role::Serve {
            for (name, _, what) in shared.iter().filter(|(_, set, _)| !set) {
                self.mistakes.push(format!(
                    "`taja {}` shares its {what} with other processes: set {name} (`taja serve` does all in one process)",
                    config.role.as_str()
                ));
            }
        }
    }

    fn keyless_only_on_loopback(&mut self, config: &Config) {
        match &config.api_key {
            Some(key) if key.expose_secret().len() < SHORTEST_KEY => {
                let origin = self.text("api-key").1;
                self.mistakes.push(format!("{origin}: is shorter than {SHORTEST_KEY} characters"));
            }
            None if !config.listen.ip().is_loopback() => self.mistakes.push(format!(
                "{}: {} is reachable from other machines: set TAJA_API_KEY, or listen on 127.0.0.1 or [::1]",
                self.text("listen").1,
                config.listen
            )),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        line: &[(&str, &str)],
        environment: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<Config, ConfigError> {
        read_as(Role::Serve, line, environment, file)
    }

    fn read_as(
        role: Role,
        line: &[(&str, &str)],
        environment: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<Config, ConfigError> {
        let environment: HashMap<_, _> =
            environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Config::read(&Sources {
            role,
            command_line: line.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            environment: &|name| environment.get(name).cloned(),
            file: file.map(|text| ("taja.toml".into(), text.to_owned())),
        })
    }

    #[test]
    fn the_defaults_of_the_table_can_be_read() {
        let config = read(&[], &[], None).unwrap();
        assert_eq!(config.listen.port(), 8000);
        assert_eq!(config.limits.pixels, 50_000_000);
    }

    #[test]
    fn the_example_names_every_setting_with_its_default() {
        let example = include_str!("../../.env.example");
        for setting in
            SETTINGS.iter().filter(|setting| !["public-url", "plugin-settings"].contains(&setting.name))
        {
            let line = format!("#{}={}\n", variable(setting.name), setting.default);
            assert!(example.contains(&line), "{line}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_file() {
        let file = Some("data = \"f\"\nmax-batch = 2\nthreads = 3\n[plugin-settings.rank-default]\nk = 5");
        let env = [("TAJA_DATA", "e"), ("TAJA_MAX_BATCH", "4")];
        let config = read(&[("data", "c")], &env, file).unwrap();
        assert_eq!((config.data, config.max_batch, config.threads), ("c".into(), 4, 3));
        assert_eq!(config.plugin_settings["rank-default"]["k"], 5);
    }

    #[test]
    fn every_mistake_is_reported_together() {
        let error =
            read(&[("listen", "0.0.0.0:80")], &[("TAJA_MAX_BATCH", "0")], Some("colour = 1")).unwrap_err();
        let text = error.to_string();
        for part in ["3 mistake(s)", "--listen", "TAJA_MAX_BATCH", "`colour`"] {
            assert!(text.contains(part), "{text}");
        }
    }

    const SHARED: [(&str, &str); 3] = [
        ("MONGO_URI", "mongodb://127.0.0.1/?replicaSet=rs0"),
        ("REDIS_URL", "redis://127.0.0.1/"),
        ("CLOUDINARY_URL", "cloudinary://123:secret@demo"),
    ];

    #[test]
    fn other_services_names_are_understood_and_our_own_win() {
        let config = read(
            &[],
            &[
                ("MONGO_URI", "mongodb://host/"),
                ("MONGO_DB", "shop"),
                ("MONGO_COLLECTION", "items"),
                ("CLOUDINARY_CLOUD_NAME", "demo"),
                ("CLOUDINARY_API_KEY", "123"),
                ("CLOUDINARY_API_SECRET", "secret"),
                ("CLIP_MODEL_NAME", "ViT-L/14"),
                ("EMBEDDING_DIMENSION", "768"),
                ("SIMILARITY_THRESHOLD", "0.7"),
                ("MAX_FILE_SIZE", "1000"),
                ("TAJA_MAX_VIDEO_BYTES", "2000"),
                ("ALLOWED_IMAGE_TYPES", "image/jpeg, image/PNG"),
                ("ALLOWED_VIDEO_TYPES", "[\"video/mp4\"]"),
                ("LOG_LEVEL", "DEBUG"),
                ("ENVIRONMENT", "Production"),
                ("API_V1_STR", "/api/v2/"),
            ],
            None,
        )
        .unwrap();
        let mongo = config.mongo.unwrap();
        assert_eq!((mongo.database.as_str(), mongo.collection.as_str()), ("shop", "items"));
        assert_eq!(config.cloudinary.unwrap().credentials.cloud_name(), "demo");
        assert_eq!((config.model_name.as_deref(), config.dimension), (Some("ViT-L/14"), Some(768)));
        assert_eq!((config.limits.image_bytes, config.limits.video_bytes), (1000, 2000));
        assert_eq!(config.limits.image_types, [ImageType::Jpeg, ImageType::Png]);
        assert_eq!(config.limits.video_types, [VideoType::Mp4]);
        assert_eq!(
            (config.log.as_str(), config.production, config.api_prefix.as_str()),
            ("DEBUG", true, "/api/v2")
        );
        let ranking = &config.plugin_settings["rank-default"];
        assert_eq!((&ranking["min_cosine_image"], &ranking["min_cosine_video"]), (&0.7.into(), &0.7.into()));
        assert!(ranking.get("min_cosine_text").is_none());
    }

    #[test]
    fn secrets_are_not_shown() {
        let key = ("TAJA_API_KEY", "0123456789abcdef0123456789abcdef");
        let config = read(&[], &[&SHARED[..], &[key]].concat(), None).unwrap();
        let shown = format!("{config:?}");
        for secret in ["secret@", "secret\"", "0123456789abcdef", "mongodb://", "redis://"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    #[rstest::rstest]
    #[case(Role::Serve, &[], &[])]
    #[case(Role::Serve, &[0], &[])]
    #[case(Role::Serve, &[2], &[])]
    #[case(Role::Serve, &[0, 1], &[])]
    #[case(Role::Serve, &[1], &["REDIS_URL without MONGO_URI"])]
    #[case(Role::Api, &[0, 1, 2], &[])]
    #[case(Role::Worker, &[0, 1, 2], &[])]
    #[case(Role::Worker, &[0, 1], &["set CLOUDINARY_URL"])]
    #[case(Role::Api, &[], &["set MONGO_URI", "set REDIS_URL", "set CLOUDINARY_URL"])]
    fn backends_go_together_or_are_refused(
        #[case] role: Role,
        #[case] set: &[usize],
        #[case] mistakes: &[&str],
    ) {
        let environment: Vec<_> = set.iter().map(|place| SHARED[*place]).collect();
        match read_as(role, &[], &environment, None) {
            Ok(_) => assert!(mistakes.is_empty()),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.starts_with(&format!("the configuration has {} mistake(s)", mistakes.len())),
                    "{text}"
                );
                assert!(mistakes.iter().all(|mistake| text.contains(mistake)), "{text}");
            }
        }
    }

    #[rstest::rstest]
    #[case("MONGO_URI", "postgres://host/", "mongodb://")]
    #[case("MONGO_DB", "my shop", "MONGO_DB")]
    #[case("CLOUDINARY_CLOUD_NAME", "demo", "CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET")]
    #[case("CLOUDINARY_URL", "https://demo", "CLOUDINARY_URL")]
    #[case("SIMILARITY_THRESHOLD", "70", "cosine")]
    #[case("ALLOWED_IMAGE_TYPES", "image/tiff", "image/jpeg")]
    #[case("ALLOWED_VIDEO_TYPES", "[]", "names no type")]
    #[case("LOG_LEVEL", "loud=very=much", "LOG_LEVEL")]
    #[case("ENVIRONMENT", "prod", "production")]
    #[case("API_V1_STR", "api", "/api/v1")]
    #[case("TAJA_API_KEY", "short", "32 characters")]
    fn a_mistake_names_its_variable_and_what_would_do(
        #[case] name: &str,
        #[case] text: &str,
        #[case] told: &str,
    ) {
        let mut environment = vec![(name, text)];
        if name == "MONGO_DB" {
            environment.push(SHARED[0]);
        }
        let error = read(&[], &environment, None).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }

    #[test]
    fn a_key_opens_other_addresses() {
        let listen = ("TAJA_LISTEN", "0.0.0.0:8000");
        assert!(read(&[], &[listen], None).unwrap_err().to_string().contains("TAJA_API_KEY"));
        assert!(read(&[], &[listen, ("TAJA_API_KEY", "0123456789abcdef0123456789abcdef")], None).is_ok());
    }
}
