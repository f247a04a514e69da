//! Where a setting's value comes from, and what is wrong with it.

use std::{collections::HashMap, fmt, path::Path, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use taja_cloudinary::Credentials;
use taja_sandbox::{Limits, signature::TrustedKeys};

use super::{CloudinarySettings, Config, MongoConfig, Role, SETTINGS, Setting, Sources};

/// The bundled ranking plugin.
const RANK_DEFAULT: &str = "rank-default";
/// Characters that a key has at least: 128 bits as hex digits.
const SHORTEST_KEY: usize = 32;

/// The row of the table.
fn row(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).expect("only settings of the table are read")
}

/// Reads one setting after the other, and gathers the mistakes.
pub(super) struct Reader<'a> {
    sources: &'a Sources<'a>,
    file: toml::Table,
    pub(super) mistakes: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources<'a>) -> Self {
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

    pub(super) fn parsed_or<T>(&mut self, name: &str, fallback: impl FnOnce() -> T) -> T
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

    pub(super) fn parsed<T>(&mut self, name: &str) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.parsed_or(name, || match row(name).default.parse() {
            Ok(value) => value,
            Err(_) => unreachable!("the defaults of the table are parsed by a test"),
        })
    }

    pub(super) fn at_least<T>(&mut self, name: &str, least: T) -> T
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
    pub(super) fn http_base(&mut self, name: &str) -> Option<String> {
        let text = self.optional(name)?;
        if !text.starts_with("http://") && !text.starts_with("https://") {
            let origin = self.text(name).1;
            self.mistakes.push(format!("{origin}: {text:?} does not begin with http:// or https://"));
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// A text that may be left out.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name).0.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The settings of plugins, with what a setting of the service says to one of them.
    pub(super) fn plugin_settings(&mut self) -> HashMap<String, Value> {
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

    pub(super) fn api_prefix(&mut self) -> String {
        let (text, origin) = self.text("api-prefix");
        let prefix = text.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if prefix.len() < 2 || !prefix.starts_with('/') || !prefix.chars().all(plain) {
            self.mistakes.push(format!("{origin}: {text:?} is not a path such as /api/v1"));
        }
        prefix.to_owned()
    }

    /// The entries of a list that is separated by commas.
    fn listed(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
    }

    pub(super) fn trusted_keys(&mut self) -> TrustedKeys {
        let (text, origin) = self.text("plugin-trusted-keys");
        TrustedKeys::parse(Self::listed(&text)).unwrap_or_else(|mistakes| {
            self.mistakes.push(format!("{origin}: {mistakes}"));
            TrustedKeys::default()
        })
    }

    /// A list that is separated by commas.
    pub(super) fn listed_as<T, C>(&mut self, name: &str) -> C
    where
        T: FromStr,
        T::Err: fmt::Display,
        C: FromIterator<T>,
    {
        let (text, origin) = self.text(name);
        let read = |word: &str| {
            word.parse().map_err(|error| self.mistakes.push(format!("{origin}: {word:?}: {error}"))).ok()
        };
        Self::listed(&text).filter_map(read).collect()
    }

    /// Limits of a plugin's call; those that are not named are the default's.
    pub(super) fn plugin_limits(&mut self, name: &str, default: Limits) -> Limits {
        let (text, origin) = self.text(name);
        Limits::parse(&text, &default).unwrap_or_else(|mistakes| {
            self.mistakes.push(format!("{origin}: {mistakes}"));
            default
        })
    }

    pub(super) fn mongo(&mut self) -> Option<MongoConfig> {
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

    pub(super) fn redis(&mut self) -> Option<SecretString> {
        let url = self.optional("redis-url")?;
        if !["redis://", "rediss://", "valkey://", "valkeys://"].iter().any(|scheme| url.starts_with(scheme))
        {
            self.mistakes
                .push(format!("{}: does not begin with redis:// or rediss://", self.text("redis-url").1));
        }
        Some(url.into())
    }

    /// By its address, else by its three parts.
    pub(super) fn cloudinary(&mut self) -> Option<CloudinarySettings> {
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
    pub(super) fn types<T: Copy>(
        &mut self,
        name: &str,
        known: &[T],
        mime: impl Fn(T) -> &'static str,
    ) -> Vec<T> {
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

    pub(super) fn environment(&mut self) -> String {
        let (text, origin) = self.text("environment");
        if !["development", "test", "staging", "production"].contains(&text.to_lowercase().as_str()) {
            self.mistakes.push(format!("{origin}: {text:?} is not development, test, staging or production"));
        }
        text.to_lowercase()
    }

    pub(super) fn log(&mut self) -> String {
        let (text, origin) = self.text("log");
        if let Err(error) = text.to_lowercase().parse::<tracing_subscriber::EnvFilter>() {
            self.mistakes.push(format!("{origin}: {text:?}: {error}"));
        }
        text
    }

    /// Which backends go together: several processes share all that they work on, or nothing.
    pub(super) fn backends_fit(&mut self, config: &Config) {
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

    pub(super) fn keyless_only_on_loopback(&mut self, config: &Config) {
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
