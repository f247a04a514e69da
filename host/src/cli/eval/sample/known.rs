//! What logged queries may have been made of: the words that the log holds, and candidates that are known again by their hashes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};
use taja_catalog::{ImageHash, TenantId};

use crate::{
    evaluation::judgements::Query,
    jobs::StagedContent,
    query_log::{Asked, Key, Part},
};

/// What may have been asked.
#[derive(Debug, Default)]
pub struct Candidates {
    texts: Vec<String>,
    files: Vec<(PathBuf, ImageHash)>,
}

/// What a part held.
#[derive(Debug, Clone)]
enum Content {
    Text(String),
    File(PathBuf),
}

/// Candidates by the hashes that a log has for them.
#[derive(Default)]
pub struct Known(HashMap<String, Content>);

impl Candidates {
    /// The lines of a file that are not empty, and the files of a folder and of those in it.
    pub fn read(texts: Option<&Path>, files: Option<&Path>) -> anyhow::Result<Self> {
        let mut candidates = Self::default();
        if let Some(path) = texts {
            let text = fs::read_to_string(path).with_context(|| unread(path))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            candidates.texts = lines.map(str::to_owned).collect();
        }
        if let Some(folder) = files {
            // Judgements are written to wherever they are sent, and paths in them count from there.
            candidates.add_files(&fs::canonicalize(folder).with_context(|| unread(folder))?)?;
        }
        Ok(candidates)
    }

    fn add_files(&mut self, folder: &Path) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder).with_context(|| unread(folder))? {
            let entry = entry.with_context(|| unread(folder))?;
            let path = entry.path();
            // A link to a folder might lead back here.
            if entry.file_type().with_context(|| unread(&path))?.is_dir() {
                self.add_files(&path)?;
            } else if path.is_file() {
                ensure!(path.to_str().is_some(), "{} has a name that no judgement can hold", path.display());
                let bytes = fs::read(&path).with_context(|| unread(&path))?;
                self.files.push((path, ImageHash::of(&bytes)));
            }
        }
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.files.is_empty()
    }
}

impl Known {
    /// Candidates for the parts of what a shop was asked.
    pub fn new<'a>(
        candidates: &Candidates,
        key: &Key,
        tenant: &TenantId,
        asked: impl IntoIterator<Item = &'a Asked>,
    ) -> Self {
        let parts = asked.into_iter().flat_map(|asked| &asked.parts);
        let modalities: BTreeSet<_> = parts.map(|part| bare(&part.modality)).collect();
        let mut known = HashMap::new();
        for modality in modalities {
            let file: Option<fn(ImageHash) -> StagedContent> = match modality {
                "image" => Some(StagedContent::Image),
                "video" => Some(StagedContent::Video),
                _ => None,
            };
            if let Some(staged) = file {
                known.extend(candidates.files.iter().map(|(path, hash)| {
                    let hash = key.content(tenant, modality, &staged(*hash));
                    (hash, Content::File(path.clone()))
                }));
            } else {
                known.extend(candidates.texts.iter().map(|text| {
                    let hash = key.content(tenant, modality, &StagedContent::Text(text.clone()));
                    (hash, Content::Text(text.clone()))
                }));
            }
        }
        Self(known)
    }

    /// What was asked, as it can be asked again; nothing where a part of it is not known.
    pub fn query(&self, asked: &Asked) -> Option<Query> {
        let mut query = Query::default();
        let (mut weights, mut crops) = (Map::new(), Map::new());
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for part in &asked.parts {
            let content = self.content(part)?;
            let place = places.entry(&part.modality).or_default();
            let name = format!("{}[{place}]", part.modality);
            *place += 1;
            if part.weight != 1.0 {
                weights.insert(name.clone(), decimal(part.weight).into());
            }
            if let Some(crop) = &part.crop {
                crops.insert(name, json!(crop.sides()));
            }
            match content {
                Content::Text(text) => {
                    let field = field(&part.modality).to_owned();
                    query.texts.entry(field).or_default().push(text);
                }
                Content::File(path) => query.files.entry(part.modality.clone()).or_default().push(path),
            }
        }
        for (option, named) in [("weights", weights), ("crop", crops)] {
            if !named.is_empty() {
                query.options.insert(option, Value::Object(named));
            }
        }
        if !asked.filter.is_null() {
            query.options.insert("filter", asked.filter.clone());
        }
        (!asked.parts.is_empty()).then_some(query)
    }

    fn content(&self, part: &Part) -> Option<Content> {
        let text = part.text.clone().map(Content::Text);
        text.or_else(|| self.0.get(&part.hash).cloned())
    }
}

fn unread(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn bare(modality: &str) -> &str {
    modality.strip_prefix("not_").unwrap_or(modality)
}

/// What a search calls its texts of a modality.
fn field(modality: &str) -> &str {
    match modality {
        "text" => "query",
        "not_text" => "not",
        other => other,
    }
}

/// The number as it was written: 0.1, and not the nearest of 32 bits to it.
fn decimal(weight: f32) -> f64 {
    weight.to_string().parse().unwrap_or_else(|_| weight.into())
}

#[cfg(test)]
mod tests {
    use taja_catalog::Region;

    use super::*;
    use crate::{
        jobs::SearchJob,
        query_log::{
            self, Detail, QueryLog,
            tests::{note, part, search, words},
        },
    };

    /// What a log with so much detail has of these searches, as queries again.
    async fn queries(detail: Detail, searches: &[SearchJob], candidates: &Candidates) -> Vec<Option<Query>> {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::open(folder.path().to_owned(), detail, 1 << 20).unwrap();
        for search in searches {
            note(&log, "shop", search).await;
        }
        let entries = query_log::read(folder.path()).unwrap().searches;
        let key = Key::read(folder.path()).unwrap().unwrap();
        let asked = || entries.iter().map(|entry| &entry.asked);
        let known = Known::new(candidates, &key, &"shop".parse().unwrap(), asked());
        asked().map(|asked| known.query(asked)).collect()
    }

    fn candidates(texts: &[&str]) -> (Candidates, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("texts"), texts.join("\n")).unwrap();
        fs::create_dir_all(folder.path().join("pictures/of may")).unwrap();
        fs::write(folder.path().join("pictures/of may/a.png"), "picture").unwrap();
        fs::write(folder.path().join("pictures/b.mp4"), "video").unwrap();
        let texts = folder.path().join("texts");
        let read = Candidates::read(Some(texts.as_path()), Some(folder.path().join("pictures").as_path()));
        (read.unwrap(), folder)
    }

    fn text(text: &str) -> StagedContent {
        StagedContent::Text(text.into())
    }

    #[tokio::test]
    async fn a_hashed_query_is_known_again_when_all_its_parts_are() {
        let (candidates, folder) = candidates(&["  red   SHOES", "", "leather", "4006"]);
        let picture = || StagedContent::Image(ImageHash::of(b"picture"));
        let mut cut = part("image", picture(), 0.1);
        cut.crop = Region::new([0.0, 0.5, 1.0, 0.5]);
        let video = StagedContent::Video(ImageHash::of(b"video"));
        let filtered = SearchJob { filter: json!({"price": {"lt": 5}}), ..search(vec![words("Red shoes")]) };
        let searches = [
            filtered,
            search(vec![
                words("red shoes"),
                cut,
                part("image", picture(), 1.0),
                part("text", text("Leather"), -2.0),
            ]),
            search(vec![part("video", video, 1.0), part("barcode", text("4006"), 1.0)]),
            search(vec![words("red shoes"), words("and something else")]),
            search(vec![part("image", StagedContent::Image(ImageHash::of(b"another")), 1.0)]),
        ];
        let found = queries(Detail::Hashed, &searches, &candidates).await;
        let lines: Vec<_> =
            found.iter().map(|query| query.as_ref().map(|query| json!(query.written()))).collect();
        assert_eq!(lines[0], Some(json!({"query": "red   SHOES", "filter": {"price": {"lt": 5}}})));
        let pictures = fs::canonicalize(folder.path().join("pictures")).unwrap();
        let picture = pictures.join("of may/a.png");
        let composed = json!({
            "query": "red   SHOES", "image": [picture, picture], "not": "leather",
            "weights": {"image[0]": 0.1, "not_text[0]": 2.0}, "crop": {"image[0]": [0.0, 0.5, 1.0, 0.5]},
        });
        assert_eq!(lines[1], Some(composed));
        let brought = json!({"video": pictures.join("b.mp4"), "parts": {"barcode": "4006"}});
        assert_eq!(lines[2], Some(brought));
        assert_eq!(lines[3..], [None, None], "of which a part is no candidate");
    }

    #[tokio::test]
    async fn a_log_with_words_needs_candidates_for_files_alone() {
        let asked = || search(vec![words("Red shoes"), part("text", text("leather"), -1.0)]);
        let found = queries(Detail::Full, &[asked()], &Candidates::default()).await;
        assert_eq!(
            json!(found[0].as_ref().unwrap().written()),
            json!({"query": "Red shoes", "not": "leather"})
        );
        let found = queries(Detail::Hashed, &[asked()], &Candidates::default()).await;
        assert_eq!(found, [None]);
    }
}
