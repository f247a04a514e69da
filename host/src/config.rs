//! Command line, environment and `taja.toml` into one typed configuration; every mistake is reported together.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde_json::Value;

/// One setting: its name on the command line (`--data`), in the file (`data`) and in the environment (`TAJA_DATA`).
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name, with hyphens.
    pub name: &'static str,
    /// What it is when nobody says anything; empty means none.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8000", "address and port to serve on; port 0 takes a free one"),
    setting("data", "./data", "folder that holds everything stored"),
    setting("plugins", "./target/plugins", "folder with the policy components (*.wasm)"),
    setting("model", "./.tools/models/default", "folder with the model's files and its model.toml"),
    setting("onnxruntime", "./.tools/onnxruntime/lib/libonnxruntime.so", "the ONNX Runtime library to load"),
    setting("ffmpeg", "./.tools/bin/ffmpeg", "the ffmpeg program that decodes videos"),
    setting(
        "public-url",
        "",
        "what the addresses of hosted images begin with; the listen address unless set",
    ),
    setting("tenant", "default", "the shop that requests belong to"),
    setting("rank-plugin", "rank-default", "the plugin that ranks"),
    setting("ingest-plugin", "ingest-product", "the plugin that decides on new products"),
    setting("plugin-settings", "{}", "settings by plugin name, a JSON object of objects"),
    setting("max-images", "20", "images per product, at most"),
    setting("max-image-bytes", "20971520", "bytes per image, at most"),
    setting("max-video-bytes", "209715200", "bytes per video, at most"),
    setting("max-request-bytes", "268435456", "bytes per request, at most"),
    setting("max-pixels", "50000000", "pixels per image, at most; checked before decoding"),
    setting("threads", "0", "threads for inference and decoding; 0 means one per core"),
    setting("max-batch", "16", "texts or images per call of the model, at most"),
    setting(
        "batch-wait-ms",
        "5",
        "how long a batch may wait for company while the model is busy, milliseconds",
    ),
    setting("embedding-cache-mib", "64", "memory for remembered embeddings, MiB"),
    setting("search-jobs", "8", "searches that run at once"),
    setting("ingest-jobs", "4", "products that are taken in at once"),
    setting("lease-seconds", "30", "how long a silent worker keeps a job"),
    setting("attempts", "3", "how often a job may start before it is buried"),
    setting("result-hours", "24", "how long finished searches can be read"),
    setting("drain-seconds", "30", "how long running jobs may take to finish at shutdown"),
];

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
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
    /// How long running jobs may take at shutdown.
    pub drain: Duration,
}

/// What one request may bring.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
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
            listen: reader.parsed("listen"),
            data: reader.parsed("data"),
            plugins: reader.parsed("plugins"),
            model: reader.parsed("model"),
            onnxruntime: reader.parsed("onnxruntime"),
            ffmpeg: reader.parsed("ffmpeg"),
            public_url: reader.public_url(),
            tenant: reader.parsed_or("tenant", || "default".parse().expect("the word is a tenant name")),
            rank_plugin: reader.parsed("rank-plugin"),
            ingest_plugin: reader.parsed("ingest-plugin"),
            plugin_settings: reader.plugin_settings(),
            limits: Limits {
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
            drain: Duration::from_secs(reader.at_least("drain-seconds", 0)),
        };
        reader.keyless_only_on_loopback(&config);
        if reader.mistakes.is_empty() { Ok(config) } else { Err(ConfigError(reader.mistakes)) }
    }

    /// The address that hosted images begin with, given the address that is really served.
    pub fn image_base(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

/// The default that stands in the table, for values that could not be read: only their mistakes matter then.
fn default_of(name: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default)
}

/// The environment variable of a setting.
pub fn variable(name: &str) -> String {
    format!("TAJA_{}", name.replace('-', "_").to_uppercase())
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
        let variable = variable(name);
        if let Some(text) = (self.sources.environment)(&variable).filter(|text| !text.is_empty()) {
            return (text, variable);
        }
        match self.file.get(name) {
            Some(toml::Value::String(text)) => (text.clone(), format!("`{name}` in the file")),
            Some(toml::Value::Table(table)) => {
                (serde_json::to_string(table).unwrap_or_default(), format!("`{name}` in the file"))
            }
            Some(other) => (other.to_string(), format!("`{name}` in the file")),
            None => (default_of(name).to_owned(), format!("the default of {name}")),
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
        self.parsed_or(name, || match default_of(name).parse() {
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

    fn public_url(&mut self) -> Option<String> {
        let (text, origin) = self.text("public-url");
        if text.is_empty() {
            return None;
        }
        if !text.starts_with("http://") && !text.starts_with("https://") {
            self.mistakes.push(format!("{origin}: {text:?} does not begin with http:// or https://"));
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn plugin_settings(&mut self) -> HashMap<String, Value> {
        let (text, origin) = self.text("plugin-settings");
        let parsed: Result<HashMap<String, serde_json::Map<String, Value>>, _> = serde_json::from_str(&text);
        match parsed {
            Ok(settings) => settings.into_iter().map(|(name, map)| (name, Value::Object(map))).collect(),
            Err(error) => {
                self.mistakes.push(format!("{origin}: not a JSON object of objects by plugin name: {error}"));
                HashMap::new()
            }
        }
    }

    fn keyless_only_on_loopback(&mut self, config: &Config) {
        if !config.listen.ip().is_loopback() {
            self.mistakes.push(format!(
                "{}: {} is reachable from other machines, and requests carry no keys; listen on 127.0.0.1 or [::1] and \
                 put an authenticating proxy in front",
                self.text("listen").1,
                config.listen
            ));
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
        let environment: HashMap<_, _> =
            environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Config::read(&Sources {
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
}
