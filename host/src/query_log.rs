//! A log of finished searches and of what came of them, for those who want one: what it takes to judge searches later, and
//! no more.
//!
//! A query and each of its parts are written as their HMAC under a key that never leaves the data folder, so that the same query
//! is recognised and none can be read, nor guessed without the key. Whoever has the key and knows what might have been asked can tell
//! whether it was. Words themselves are written only when that is asked for as well; pictures and videos never are.

mod key;
mod line;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taja_catalog::{ProductId, TenantId, policy::PluginRef};
use taja_queue::JsonText;

pub use self::{
    key::Key,
    line::{Asked, Entry, Outcome, OutcomeKind, Part, read},
};
use crate::jobs::{SearchJob, StagedContent, StagedPart};

/// The folder of the log in the data folder.
pub const FOLDER: &str = "queries";
/// The file that is written to, and the one before it.
const FILES: [&str; 2] = ["queries.jsonl", "queries.1.jsonl"];
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

/// Where searches are written down, if they are.
#[derive(Clone)]
pub struct QueryLog(Option<Arc<Writer>>);

struct Writer {
    folder: PathBuf,
    key: Key,
    full: bool,
    /// Of one file; there are two.
    bytes: u64,
    file: Mutex<File>,
}

/// What the log wants to know of a result.
#[derive(Deserialize)]
struct Answer {
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
        let key = Key::read_or_draw(&folder).context("key of the query log")?;
        let file = private(&folder.join(FILES[0])).context("query log")?;
        let full = detail == Detail::Full;
        Ok(Self(Some(Arc::new(Writer { folder, key, full, bytes: bytes / 2, file: Mutex::new(file) }))))
    }

    /// Writes a finished search down. A search does not fail because that does.
    pub async fn note(&self, tenant: &TenantId, search: &SearchJob, result: &JsonText) {
        if self.0.is_none() {
            return;
        }
        let (tenant, search, result) = (tenant.clone(), search.clone(), result.clone());
        let written = self.write(move |writer| {
            let answer: Answer = result.read()?;
            let plugin = |plugin: &PluginRef| format!("{} {}", plugin.name, plugin.version);
            writer.append(&Entry {
                at: Timestamp::now(),
                asked: writer.asked(tenant, &search),
                found: answer.found.iter().take(TOP).map(|found| found.product.clone()).collect(),
                total: answer.found.len(),
                plugins: answer.plugins.iter().map(plugin).collect(),
            })
        });
        _ = written.await;
    }

    /// Writes down what came of a search: something was done with the product that it had found at this place, from 1. Whether
    /// there is a log that has it now.
    pub async fn note_outcome(
        &self,
        tenant: &TenantId,
        search: SearchJob,
        outcome: OutcomeKind,
        product: ProductId,
        place: usize,
    ) -> io::Result<bool> {
        let tenant = tenant.clone();
        let written = self.write(move |writer| {
            let asked = writer.asked(tenant, &search);
            writer.append(&Outcome { at: Timestamp::now(), asked, outcome, product, place })
        });
        written.await
    }

    /// Writes a line, if there is a log.
    async fn write(&self, line: impl FnOnce(&Writer) -> io::Result<()> + Send + 'static) -> io::Result<bool> {
        let Some(writer) = self.0.clone() else { return Ok(false) };
        let written = tokio::task::spawn_blocking(move || line(&writer)).await;
        let written = written.map_err(io::Error::other).flatten();
        written.map(|()| true).inspect_err(|error| {
            metrics::counter!("taja_query_log_failures_total").increment(1);
            tracing::warn!(%error, "a line was not written into the query log");
        })
    }
}

impl Writer {
    fn asked(&self, tenant: TenantId, search: &SearchJob) -> Asked {
        let mut modalities: Vec<_> = search.parts.iter().map(signed_modality).collect();
        modalities.sort();
        let part = |part: &StagedPart| Part {
            modality: signed_modality(part),
            hash: self.key.content(&tenant, &part.modality, &part.content),
            text: match &part.content {
                StagedContent::Text(text) if self.full => Some(text.clone()),
                _ => None,
            },
            weight: part.weight.abs(),
            crop: part.crop,
        };
        let parts = search.parts.iter().map(part).collect();
        let query = self.key.query(&tenant, &search.parts, &search.filter);
        Asked::new(tenant, query, modalities, parts, search.filter.clone())
    }

    fn append(&self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.metadata()?.len() + line.len() as u64 > self.bytes {
            fs::rename(self.folder.join(FILES[0]), self.folder.join(FILES[1]))?;
            *file = private(&self.folder.join(FILES[0]))?;
        }
        file.write_all(&line)
    }
}

/// The modality of a part, with `not_` in front where the results should be unlike it.
fn signed_modality(part: &StagedPart) -> String {
    if part.is_against() { format!("not_{}", part.modality) } else { part.modality.clone() }
}

/// A file to append to that nobody else may read.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
pub mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};
    use taja_catalog::{ImageHash, Region, policy::Pins};

    use super::*;

    /// A search for these parts.
    pub fn search(parts: Vec<StagedPart>) -> SearchJob {
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

    /// A part that counts so much.
    pub fn part(modality: &str, content: StagedContent, weight: f32) -> StagedPart {
        StagedPart { modality: modality.into(), content, crop: None, weight }
    }

    pub fn words(text: &str) -> StagedPart {
        part("text", StagedContent::Text(text.into()), 1.0)
    }

    fn hashed(folder: &Path) -> QueryLog {
        QueryLog::open(folder.to_owned(), Detail::Hashed, 1 << 20).unwrap()
    }

    /// Writes down that a shop was asked this.
    pub async fn note(log: &QueryLog, tenant: &str, search: &SearchJob) {
        let found: Vec<_> = (0..12).map(|n| json!({"product": format!("p{n}"), "score": 1})).collect();
        let plugin = json!({"name": "search-text", "version": "0.1.0", "digest": "0"});
        let result = json!({"found": found, "legs": [], "plugins": [plugin]});
        let result = JsonText::of(&result).unwrap();
        log.note(&tenant.parse().unwrap(), search, &result).await;
    }

    async fn note_words(log: &QueryLog, tenant: &str, text: &str) {
        note(log, tenant, &search(vec![words(text)])).await;
    }

    fn written(folder: &Path) -> String {
        fs::read_to_string(folder.join(FILES[0])).unwrap()
    }

    #[tokio::test]
    async fn a_hashed_log_holds_no_words_and_knows_the_same_query_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("log");
        let log = hashed(&folder);
        note_words(&log, "a", "Red  Shoes").await;
        note_words(&log, "a", "red shoes").await;
        note_words(&log, "a", "red boots").await;
        note_words(&log, "b", "red shoes").await;
        // A later start has the same key.
        note_words(&hashed(&folder), "a", "red shoes").await;
        let entries = read(&folder).unwrap().searches;
        let hashes: Vec<_> = entries.iter().map(|entry| entry.asked.query.as_str()).collect();
        assert!(hashes[0] == hashes[1] && hashes[0] == hashes[4], "{hashes:?}");
        assert!(hashes[0] != hashes[2] && hashes[0] != hashes[3], "{hashes:?}");
        assert_eq!((entries[0].found.len(), entries[0].total), (10, 12));
        assert_eq!(entries[0].plugins, ["search-text 0.1.0"]);
        let written = written(&folder).to_lowercase();
        assert!(!written.contains("red") && !written.contains("shoes"), "{written}");
        for name in [FILES[0], key::FILE] {
            let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn parts_are_known_again_and_how_they_count_makes_another_query() {
        let folder = tempfile::tempdir().unwrap();
        let log = hashed(folder.path());
        let picture = || StagedContent::Image(ImageHash::of(b"a picture"));
        let leather = || StagedContent::Text("leather".into());
        let composed = |weight| {
            search(vec![words("Jacket"), part("image", picture(), weight), part("text", leather(), -2.0)])
        };
        let mut cut = composed(1.0);
        cut.parts[1].crop = Region::new([0.0, 0.5, 1.0, 0.5]);
        for asked in [search(vec![words("jacket")]), composed(1.0), composed(0.1), composed(0.1), cut.clone()]
        {
            note(&log, "a", &asked).await;
        }
        let entries = read(folder.path()).unwrap().searches;
        let query = |n: usize| entries[n].asked.query.as_str();
        assert!(query(1) != query(2) && query(2) == query(3) && query(1) != query(4));
        assert_eq!(entries[2].asked.modalities, ["image", "not_text", "text"]);
        let parts = &entries[4].asked.parts;
        let told = |part: &Part| (part.modality.clone(), part.weight, part.crop);
        assert_eq!(told(&parts[1]), ("image".into(), 1.0, cut.parts[1].crop));
        assert_eq!(told(&parts[2]), ("not_text".into(), 2.0, None));
        assert_eq!(entries[2].asked.parts[1].weight, 0.1);
        assert_eq!(parts[0].hash, query(0), "a part has the hash of a search for it alone");
        let key = Key::read(folder.path()).unwrap().unwrap();
        let tenant = "a".parse().unwrap();
        assert_eq!(parts[1].hash, key.content(&tenant, "image", &picture()));
        assert_eq!(parts[2].hash, key.content(&tenant, "text", &leather()));
        assert!(parts.iter().all(|part| part.text.is_none()));
    }

    #[tokio::test]
    async fn lines_of_earlier_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = hashed(folder.path());
        note_words(&log, "a", "red shoes").await;
        let hash = read(folder.path()).unwrap().searches.remove(0).asked.query;
        let line = |modalities: &[&str], text: Option<&str>, filter: Value| {
            let line = json!({"at": "2026-01-01T00:00:00Z", "tenant": "a", "query": hash, "modalities": modalities,
                "filter": filter, "found": ["p0"], "total": 1, "plugins": []});
            let mut line = line;
            if let Some(text) = text {
                line["text"] = text.into();
            }
            line.to_string()
        };
        let filter = json!({"price": {"lt": 5}});
        let lines = [
            line(&["text"], None, Value::Null),
            line(&["text"], Some("Red shoes"), filter.clone()),
            line(&["text"], None, filter),
            line(&["image", "text"], Some("but red"), Value::Null),
            "{\"at\": \"2026-01-01T00:0".to_owned(),
        ];
        fs::write(folder.path().join(FILES[0]), lines.join("\n")).unwrap();
        let entries = read(folder.path()).unwrap().searches;
        let parts: Vec<_> = entries.iter().map(|entry| &entry.asked.parts[..]).collect();
        assert_eq!(parts.len(), 4, "what was cut off is passed over");
        assert_eq!((parts[0].len(), &parts[0][0].hash, parts[0][0].weight), (1, &hash, 1.0));
        assert_eq!(parts[1][0].text.as_deref(), Some("Red shoes"));
        assert!(
            parts[2].is_empty() && parts[3].is_empty(),
            "a hash of more than the part is not that of the part"
        );
    }

    #[tokio::test]
    async fn what_came_of_a_search_stands_beside_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let log = hashed(folder.path());
        let (tenant, asked) = ("a".parse().unwrap(), search(vec![words("red shoes")]));
        note(&log, "a", &asked).await;
        let told = log.note_outcome(&tenant, asked.clone(), OutcomeKind::Ordered, "p3".parse().unwrap(), 4);
        assert!(told.await.unwrap());
        let line::Log { searches, outcomes } = read(folder.path()).unwrap();
        assert_eq!((searches.len(), outcomes.len()), (1, 1));
        assert_eq!(outcomes[0].asked, searches[0].asked);
        assert_eq!(
            (outcomes[0].outcome, outcomes[0].product.as_str(), outcomes[0].place),
            (OutcomeKind::Ordered, "p3", 4)
        );
        assert!(!written(folder.path()).contains("shoes"));
        let nowhere = QueryLog::open(folder.path().join("off"), Detail::Off, 1 << 20).unwrap();
        let told = nowhere.note_outcome(&tenant, asked, OutcomeKind::Viewed, "p3".parse().unwrap(), 4);
        assert!(!told.await.unwrap() && !folder.path().join("off").exists());
    }

    #[tokio::test]
    async fn another_installation_has_other_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let mut hashes = Vec::new();
        for name in ["one", "two"] {
            let log = hashed(&folder.path().join(name));
            note_words(&log, "a", "red shoes").await;
            hashes.push(read(&folder.path().join(name)).unwrap().searches.remove(0).asked.query);
        }
        assert_ne!(hashes[0], hashes[1]);
    }

    #[tokio::test]
    async fn words_are_written_only_where_they_are_asked_for_and_nothing_where_there_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::open(folder.path().to_owned(), Detail::Full, 1 << 20).unwrap();
        note_words(&log, "a", "Red shoes").await;
        let entries = read(folder.path()).unwrap().searches;
        assert_eq!(entries[0].asked.parts[0].text.as_deref(), Some("Red shoes"));
        let nowhere = folder.path().join("off");
        note_words(&QueryLog::open(nowhere.clone(), Detail::Off, 1 << 20).unwrap(), "a", "shoes").await;
        assert!(!nowhere.exists());
    }

    #[tokio::test]
    async fn a_full_log_loses_its_older_half() {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::open(folder.path().to_owned(), Detail::Full, 4096).unwrap();
        for n in 0..40 {
            note_words(&log, "a", &format!("query {n}")).await;
        }
        let size = |name| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size(FILES[0]) <= 2048 && size(FILES[1]) <= 2048);
        let entries = read(folder.path()).unwrap().searches;
        let last = &entries.last().unwrap().asked.parts[0];
        assert!(entries.len() < 40 && last.text.as_deref() == Some("query 39"));
        assert!(entries.is_sorted_by_key(|entry| entry.at));
    }
}
