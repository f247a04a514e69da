//! A log of finished searches, for those who want one: what it takes to judge searches later, and no more.
//!
//! A query is written as its HMAC under a key that never leaves the data folder, so that the same query is recognised and no
//! query can be read, nor guessed without the key. The words themselves are written only when that is asked for as
//! well; pictures and videos never are.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use taja_catalog::{ProductId, TenantId, policy::PluginRef};
use taja_queue::JsonText;

use crate::jobs::{SearchJob, StagedContent, StagedPart};

/// The folder of the log in the data folder.
pub const FOLDER: &str = "queries";
/// The file that is written to, and the one before it.
const FILES: [&str; 2] = ["queries.jsonl", "queries.1.jsonl"];
/// The key of the hashes.
const KEY: &str = "key";
/// Products of a result that are written down.
const TOP: usize = 10;

/// What is written of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing: there is no log.
    Off,
    /// Its hash.
    Hashed,
    /// Its hash, and its words.
    Full,
}

impl FromStr for Detail {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "hashed" => Ok(Self::Hashed),
            "full" => Ok(Self::Full),
            _ => Err("is not off, hashed or full"),
        }
    }
}

/// A finished search, as a line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it finished.
    pub at: Timestamp,
    /// The shop.
    pub tenant: TenantId,
    /// The hash of what was asked: shop, words, pictures and videos.
    pub query: String,
    /// Its words, where the log holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it was made of.
    pub modalities: Vec<String>,
    /// In the filter language; null for none.
    #[serde(default)]
    pub filter: Value,
    /// The first products found.
    pub found: Vec<ProductId>,
    /// How many there were.
    pub total: usize,
    /// The policies that answered, with their versions.
    pub plugins: Vec<String>,
}

/// Where searches are written down, if they are.
#[derive(Clone)]
pub struct QueryLog(Option<Arc<Writer>>);

struct Writer {
    folder: PathBuf,
    key: Hmac<Sha256>,
    full: bool,
    /// Of one file; there are two.
    bytes: u64,
    file: Mutex<File>,
}

/// What the log wants to know of a result.
#[derive(Deserialize)]
struct Outcome {
    found: Vec<Found>,
    #[serde(default)]
    plugins: Vec<PluginRef>,
}

#[derive(Deserialize)]
struct Found {
    product: ProductId,
}

impl QueryLog {
    /// A log in this folder of so many bytes at most, with so much detail; none when there is to be none.
    pub fn open(folder: PathBuf, detail: Detail, bytes: u64) -> anyhow::Result<Self> {
        if detail == Detail::Off {
            return Ok(Self(None));
        }
        fs::create_dir_all(&folder).with_context(|| format!("query log {}", folder.display()))?;
        let key = key(&folder.join(KEY)).context("key of the query log")?;
        let file = private(&folder.join(FILES[0])).context("query log")?;
        let full = detail == Detail::Full;
        Ok(Self(Some(Arc::new(Writer { folder, key, full, bytes: bytes / 2, file: Mutex::new(file) }))))
    }

    /// Writes a finished search down. A search does not fail because that does.
    pub async fn note(&self, tenant: &TenantId, search: &SearchJob, result: &JsonText) {
        let Some(writer) = self.0.clone() else { return };
        let (tenant, search, result) = (tenant.clone(), search.clone(), result.clone());
        let written = tokio::task::spawn_blocking(move || writer.write(tenant, &search, &result)).await;
        let failure = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        metrics::counter!("taja_query_log_failures_total").increment(1);
        tracing::warn!(error = failure, "a search was not written into the query log");
    }
}

impl Writer {
    fn write(&self, tenant: TenantId, search: &SearchJob, result: &JsonText) -> io::Result<()> {
        let outcome: Outcome = result.read()?;
        let mut modalities: Vec<_> = search.parts.iter().map(modality).collect();
        modalities.sort();
        let plugin = |plugin: &PluginRef| format!("{} {}", plugin.name, plugin.version);
        let entry = Entry {
            at: Timestamp::now(),
            query: self.hash(&tenant, search),
            tenant,
            text: if self.full { words(search) } else { None },
            modalities,
            filter: search.filter.clone(),
            found: outcome.found.iter().take(TOP).map(|found| found.product.clone()).collect(),
            total: outcome.found.len(),
            plugins: outcome.plugins.iter().map(plugin).collect(),
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.metadata()?.len() + line.len() as u64 > self.bytes {
            fs::rename(self.folder.join(FILES[0]), self.folder.join(FILES[1]))?;
            *file = private(&self.folder.join(FILES[0]))?;
        }
        file.write_all(&line)
    }

    /// The same for the same query of the same shop, however its words are spaced and in whatever order its parts come.
    fn hash(&self, tenant: &TenantId, search: &SearchJob) -> String {
        let part = |content: &StagedContent| match content {
            StagedContent::Text(text) => ("text", tidy(text)),
            StagedContent::Image(hash) => ("image", hash.to_string()),
            StagedContent::Video(hash) => ("video", hash.to_string()),
        };
        let mut parts: Vec<_> = search.parts.iter().map(|it| (modality(it), part(&it.content))).collect();
        parts.sort();
        let mut mac = self.key.clone();
        mac.update(serde_json::json!([tenant, parts, search.filter]).to_string().as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The modality of a part, with `not_` in front where the results should be unlike it.
fn modality(part: &StagedPart) -> String {
    if part.is_against() { format!("not_{}", part.modality) } else { part.modality.clone() }
}

/// The words of a query, without those that the results should be unlike.
fn words(search: &SearchJob) -> Option<String> {
    search.parts.iter().filter(|part| !part.is_against()).find_map(|part| match &part.content {
        StagedContent::Text(text) if part.modality == "text" => Some(text.clone()),
        _ => None,
    })
}

fn tidy(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The key of this installation, drawn when there is none yet.
fn key(path: &Path) -> io::Result<Hmac<Sha256>> {
    let mut bytes = [0; 32];
    match fs::read(path) {
        Ok(known) if known.len() == bytes.len() => bytes.copy_from_slice(&known),
        Ok(_) => return Err(io::Error::other(format!("{} holds no key", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            private(path)?.write_all(&bytes)?;
        }
        Err(error) => return Err(error),
    }
    Hmac::new_from_slice(&bytes).map_err(io::Error::other)
}

/// A file to append to that nobody else may read.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Everything that a log holds, oldest first. A line that was cut off by a crash is passed over.
pub fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in FILES.iter().rev() {
        match fs::read_to_string(folder.join(name)) {
            Ok(text) => entries.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;
    use taja_catalog::policy::Pins;

    use super::*;

    fn search(text: &str) -> SearchJob {
        let content = StagedContent::Text(text.into());
        let parts = vec![StagedPart { modality: "text".into(), content, crop: None, weight: 1.0 }];
        SearchJob {
            parts,
            filter: Value::Null,
            sort: vec![],
            facets: vec![],
            limit: 10,
            explain: false,
            group: false,
            record: false,
            replayable: false,
            callback_url: None,
            chosen: None,
            pins: Pins::default(),
        }
    }

    async fn note(log: &QueryLog, tenant: &str, text: &str) {
        let found: Vec<_> = (0..12).map(|n| json!({"product": format!("p{n}"), "score": 1})).collect();
        let plugin = json!({"name": "search-text", "version": "0.1.0", "digest": "0"});
        let result = json!({"found": found, "legs": [], "plugins": [plugin]});
        let result = JsonText::of(&result).unwrap();
        log.note(&tenant.parse().unwrap(), &search(text), &result).await;
    }

    #[tokio::test]
    async fn a_hashed_log_holds_no_words_and_knows_the_same_query_again() {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::open(folder.path().join("log"), Detail::Hashed, 1 << 20).unwrap();
        note(&log, "a", "Red  Shoes").await;
        note(&log, "a", "red shoes").await;
        note(&log, "a", "red boots").await;
        note(&log, "b", "red shoes").await;
        // A later start has the same key.
        let log = QueryLog::open(folder.path().join("log"), Detail::Hashed, 1 << 20).unwrap();
        note(&log, "a", "red shoes").await;
        let entries = read(&folder.path().join("log")).unwrap();
        let hashes: Vec<_> = entries.iter().map(|entry| entry.query.as_str()).collect();
        assert!(hashes[0] == hashes[1] && hashes[0] == hashes[4], "{hashes:?}");
        assert!(hashes[0] != hashes[2] && hashes[0] != hashes[3], "{hashes:?}");
        assert_eq!((entries[0].found.len(), entries[0].total), (10, 12));
        assert_eq!(entries[0].plugins, ["search-text 0.1.0"]);
        let written = fs::read_to_string(folder.path().join("log").join(FILES[0])).unwrap().to_lowercase();
        assert!(!written.contains("red") && !written.contains("shoes"), "{written}");
        for name in [FILES[0], KEY] {
            let mode = fs::metadata(folder.path().join("log").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn what_a_search_should_be_unlike_is_no_word_of_it() {
        let mut unlike = search("leather");
        unlike.parts[0].weight = -1.0;
        unlike.parts.extend(search("jacket").parts);
        assert_eq!(words(&unlike).as_deref(), Some("jacket"));
        assert_eq!(unlike.parts.iter().map(modality).collect::<Vec<_>>(), ["not_text", "text"]);
    }

    #[tokio::test]
    async fn another_installation_has_other_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let mut hashes = Vec::new();
        for name in ["one", "two"] {
            let log = QueryLog::open(folder.path().join(name), Detail::Hashed, 1 << 20).unwrap();
            note(&log, "a", "red shoes").await;
            hashes.push(read(&folder.path().join(name)).unwrap()[0].query.clone());
        }
        assert_ne!(hashes[0], hashes[1]);
    }

    #[tokio::test]
    async fn words_are_written_only_where_they_are_asked_for_and_nothing_where_there_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::open(folder.path().to_owned(), Detail::Full, 1 << 20).unwrap();
        note(&log, "a", "Red shoes").await;
        assert_eq!(read(folder.path()).unwrap()[0].text.as_deref(), Some("Red shoes"));
        let nowhere = folder.path().join("off");
        note(&QueryLog::open(nowhere.clone(), Detail::Off, 1 << 20).unwrap(), "a", "shoes").await;
        assert!(!nowhere.exists());
    }

    #[tokio::test]
    async fn a_full_log_loses_its_older_half() {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::open(folder.path().to_owned(), Detail::Full, 4096).unwrap();
        for n in 0..40 {
            note(&log, "a", &format!("query {n}")).await;
        }
        let size = |name| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size(FILES[0]) <= 2048 && size(FILES[1]) <= 2048);
        let entries = read(folder.path()).unwrap();
        assert!(entries.len() < 40 && entries.last().unwrap().text.as_deref() == Some("query 39"));
        assert!(entries.is_sorted_by_key(|entry| entry.at));
    }
}
