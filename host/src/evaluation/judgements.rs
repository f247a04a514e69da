//! Judgements: queries, and which products answer them how well. One JSON object per line.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use taja_catalog::{Filter, plugins::is_modality_name};

use super::measures::HIGHEST_GRADE;
use crate::http::{check_search_option, text_search};

/// Queries in one file, at most: each is asked once for every column.
const MOST_QUERIES: usize = 100_000;
/// Queries in a set that the service keeps, at most: each is asked twice, while shoppers search.
pub const MOST_KEPT: usize = 1_000;

/// Why a text holds no judgements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// This line is none, counted from 1.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// There is nothing to measure by.
    #[error("no line judges a product relevant")]
    Nothing,
}

/// Queries with what answers them.
#[derive(Debug)]
pub struct Judgements {
    /// The file's name without its extension.
    pub name: String,
    /// Each with its judgements.
    pub queries: Vec<Judged>,
    /// Lines that judge nothing relevant: there is nothing to find, and nothing to measure.
    pub left_out: usize,
}

/// A query, and the products that answer it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Names it: its own id, or its line.
    pub id: String,
    /// What is asked.
    pub query: Query,
    /// Grades by product id or stock keeping unit.
    pub relevant: BTreeMap<String, u8>,
    /// Grades by a filter on products.
    pub relevant_where: Vec<(Value, u8)>,
}

/// What is asked, by the names that the fields of a search have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// Words, and texts of kinds that some plugin brought.
    pub texts: BTreeMap<String, Vec<String>>,
    /// Pictures and videos.
    pub files: BTreeMap<String, Vec<PathBuf>>,
    /// `weights`, `filter`, `crop`, `sort` and `group`, of those that there are.
    pub options: BTreeMap<&'static str, Value>,
}

impl Query {
    /// What a line of judgements says of it.
    pub fn written(&self) -> Map<String, Value> {
        let mut line: Map<_, _> =
            self.options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut parts = Map::new();
        for (name, texts) in &self.texts {
            let place = if ["query", "not"].contains(&name.as_str()) { &mut line } else { &mut parts };
            place.insert(name.clone(), one_or_list(texts));
        }
        line.extend(self.files.iter().map(|(name, paths)| {
            let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
            (name.clone(), one_or_list(&paths))
        }));
        if !parts.is_empty() {
            line.insert("parts".to_owned(), parts.into());
        }
        line
    }
}

fn one_or_list<T: Serialize>(values: &[T]) -> Value {
    match values {
        [one] => json!(one),
        several => json!(several),
    }
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<String>,
    #[serde(default)]
    query: Several<String>,
    #[serde(default)]
    not: Several<String>,
    #[serde(default)]
    image: Several<PathBuf>,
    #[serde(default)]
    video: Several<PathBuf>,
    #[serde(default)]
    not_image: Several<PathBuf>,
    #[serde(default)]
    not_video: Several<PathBuf>,
    /// Texts of other kinds, by the names of their parts.
    #[serde(default)]
    parts: BTreeMap<String, Several<String>>,
    crop: Option<Value>,
    weights: Option<Map<String, Value>>,
    filter: Option<Map<String, Value>>,
    sort: Option<Value>,
    group: Option<bool>,
    #[serde(default)]
    relevant: BTreeMap<String, Option<u8>>,
    #[serde(default)]
    relevant_where: Vec<Where>,
    /// For people: what the query was found in, what was thought.
    #[serde(default, rename = "note")]
    _note: Value,
}

/// Nothing, one, or a list.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Several<T> {
    #[default]
    None,
    One(T),
    List(Vec<T>),
}

impl<T> Several<T> {
    fn into_list(self) -> Vec<T> {
        match self {
            Self::None => Vec::new(),
            Self::One(one) => vec![one],
            Self::List(list) => list,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    filter: Map<String, Value>,
    #[serde(default = "relevant")]
    grade: u8,
}

fn relevant() -> u8 {
    1
}

impl Judgements {
    /// Reads a file; the paths in it count from where it lies.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("."));
        let from_file = |number, line: &str| judged(number, Some(folder), line);
        Self::parse(name, &text, MOST_QUERIES, from_file).with_context(|| path.display().to_string())
    }

    /// Reads a set that the service keeps, which asks what can be asked without files.
    pub fn kept(name: String, text: &str) -> Result<Self, Wrong> {
        let without_files = |number, line: &str| {
            let judged = judged(number, None, line)?;
            match text_search(judged.query.fields(), None) {
                Ok(_) => Ok(judged),
                Err(problem) => bail!("no search asks so: {}", problem.detail),
            }
        };
        Self::parse(name, text, MOST_KEPT, without_files)
    }

    fn parse(
        name: String,
        text: &str,
        most: usize,
        read: impl Fn(usize, &str) -> anyhow::Result<Judged>,
    ) -> Result<Self, Wrong> {
        let mut judgements = Self { name, queries: Vec::new(), left_out: 0 };
        let mut ids = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |problem| Wrong::Line(number, problem);
            let judged = read(number, line).map_err(|error| wrong(format!("{error:#}")))?;
            if !ids.insert(judged.id.clone()) {
                return Err(wrong(format!("the id {:?} is taken by another line", judged.id)));
            }
            if ids.len() > most {
                return Err(wrong(format!("there are more than {most} queries")));
            }
            match judged.relevant.is_empty() && judged.relevant_where.is_empty() {
                true => judgements.left_out += 1,
                false => judgements.queries.push(judged),
            }
        }
        if judgements.queries.is_empty() { Err(Wrong::Nothing) } else { Ok(judgements) }
    }
}

impl Judged {
    /// Grades by product, with those of filters: `products` are the ones that pass each, which are all looked up. Of two
    /// grades the higher one counts.
    pub fn grades(&self, products: &HashMap<String, BTreeSet<String>>) -> BTreeMap<String, u8> {
        let mut grades = self.relevant.clone();
        for (filter, grade) in &self.relevant_where {
            for product in products.get(&filter.to_string()).into_iter().flatten() {
                let known = grades.entry(product.clone()).or_default();
                *known = (*grade).max(*known);
            }
        }
        grades
    }
}

impl Query {
    /// The fields of a search that asks it, without its files.
    pub fn fields(&self) -> BTreeMap<String, Value> {
        let texts = self.texts.iter().map(|(name, texts)| (name.clone(), texts.clone().into()));
        let options = self.options.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        texts.chain(options).collect()
    }
}

/// Reads a line; the paths in it count from the folder, and without one there may be none.
fn judged(number: usize, folder: Option<&Path>, line: &str) -> anyhow::Result<Judged> {
    let line: Line = serde_json::from_str(line).context("it is no judgement")?;
    let query = Query {
        texts: texts([("query", line.query), ("not", line.not)], line.parts)?,
        files: files(
            folder,
            [
                ("image", line.image),
                ("video", line.video),
                ("not_image", line.not_image),
                ("not_video", line.not_video),
            ],
        )?,
        options: options([
            ("weights", line.weights.map(Value::Object)),
            ("filter", line.filter.map(Value::Object)),
            ("crop", line.crop),
            ("sort", line.sort),
            ("group", line.group.map(Value::Bool)),
        ])?,
    };
    let mut parts = query.texts.keys().chain(query.files.keys());
    ensure!(
        parts.any(|part| part != "not" && !part.starts_with("not_")),
        "it asks nothing: give `query`, `image` or `video`"
    );
    let mut relevant = BTreeMap::new();
    for (product, grade) in line.relevant {
        let Some(grade) = grade else { bail!("the product {product:?} has no grade yet") };
        if check(grade)? > 0 {
            relevant.insert(product, grade);
        }
    }
    let mut relevant_where = Vec::new();
    for Where { filter, grade } in line.relevant_where {
        let filter = checked(filter).context("relevant_where")?;
        if check(grade)? > 0 {
            relevant_where.push((filter, grade));
        }
    }
    let id = line.id.unwrap_or_else(|| format!("line {number}"));
    Ok(Judged { id, query, relevant, relevant_where })
}

/// Texts by the names of their parts, without empty ones.
fn texts(
    words: [(&str, Several<String>); 2],
    others: BTreeMap<String, Several<String>>,
) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let is_brought = |name: &str| {
        let bare = name.strip_prefix("not_").unwrap_or(name);
        is_modality_name(bare) && !["text", "image", "video"].contains(&bare)
    };
    if let Some(name) = others.keys().find(|name| !is_brought(name)) {
        bail!("parts: {name:?} is no kind that a plugin brought");
    }
    let words = words.map(|(name, texts)| (name.to_owned(), texts));
    let texts = words.into_iter().chain(others).map(|(name, texts)| {
        let texts = texts.into_list().into_iter().filter(|text| !text.trim().is_empty());
        (name, texts.collect::<Vec<_>>())
    });
    Ok(texts.filter(|(_, texts)| !texts.is_empty()).collect())
}

/// Files by the names of their parts.
fn files(
    folder: Option<&Path>,
    parts: [(&str, Several<PathBuf>); 4],
) -> anyhow::Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut files = BTreeMap::new();
    for (name, paths) in parts {
        let paths = paths.into_list();
        if paths.is_empty() {
            continue;
        }
        let folder = folder.with_context(|| {
            format!("`{name}` names files, which the service does not keep: measure them with `taja eval`")
        })?;
        let paths: Vec<_> = paths.into_iter().map(|path| folder.join(path)).collect();
        for path in &paths {
            ensure!(path.is_file(), "there is no file {}", path.display());
        }
        files.insert(name.to_owned(), paths);
    }
    Ok(files)
}

/// The options that there are, each as a search would take it.
fn options(given: [(&'static str, Option<Value>); 5]) -> anyhow::Result<BTreeMap<&'static str, Value>> {
    let mut options = BTreeMap::new();
    for (name, value) in given {
        let Some(value) = value else { continue };
        if let Err(problem) = check_search_option(name, &value) {
            bail!("{name} {problem}");
        }
        options.insert(name, value);
    }
    Ok(options)
}

fn check(grade: u8) -> anyhow::Result<u8> {
    ensure!(grade <= HIGHEST_GRADE, "the grade {grade} is not from 0 to {HIGHEST_GRADE}");
    Ok(grade)
}

fn checked(filter: Map<String, Value>) -> anyhow::Result<Value> {
    let filter = Value::Object(filter);
    Filter::parse(&filter)?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Judgements, Wrong> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Judgements::parse("set".into(), text, MOST_QUERIES, |number, line| judged(number, Some(folder), line))
    }

    fn kept(text: &str) -> Result<Judgements, Wrong> {
        Judgements::kept("set".into(), text)
    }

    #[test]
    fn a_line_says_what_is_asked_and_what_answers_it() {
        let judgements = parse(
            r#"{"id": "q", "query": "red shoe", "image": "Cargo.toml", "weights": {"text": 0.5}, "filter": {"price": {"lt": 9}}, "relevant": {"a": 3, "b": 0}, "relevant_where": [{"filter": {"color": "red"}}], "note": "mine"}

{"query": "hat", "relevant": {"c": 1}}
{"query": "nothing like this", "relevant": {"c": 0}}"#,
        );
        let judgements = judgements.unwrap();
        let first = &judgements.queries[0];
        assert_eq!((first.id.as_str(), judgements.queries[1].id.as_str()), ("q", "line 3"));
        assert_eq!(judgements.left_out, 1);
        assert_eq!(first.relevant, BTreeMap::from([("a".to_owned(), 3)]));
        assert_eq!(first.relevant_where[0].1, 1);
        assert!(first.query.files["image"][0].ends_with("host/Cargo.toml"), "{:?}", first.query.files);
    }

    #[test]
    fn everything_that_a_search_takes_can_be_asked() {
        let line = r#"{"query": ["red", ""], "image": ["Cargo.toml", "src/lib.rs"], "video": "Cargo.toml", "not": "leather",
            "not_image": ["Cargo.toml"], "not_video": null, "parts": {"barcode": "4006"}, "crop": {"image[1]": "0,0,1,0.5"},
            "weights": {"image[1]": 2}, "sort": "-price", "group": true, "relevant": {"a": 1}}"#;
        let query = parse(&line.replace('\n', " ")).unwrap().queries[0].query.clone();
        let texts = [("barcode", "4006"), ("not", "leather"), ("query", "red")];
        let texts = texts.map(|(name, text)| (name.to_owned(), vec![text.to_owned()]));
        assert_eq!(query.texts, BTreeMap::from(texts));
        let files: Vec<_> = query.files.iter().map(|(name, paths)| (name.as_str(), paths.len())).collect();
        assert_eq!(files, [("image", 2), ("not_image", 1), ("video", 1)]);
        assert!(query.options.keys().eq(&["crop", "group", "sort", "weights"]), "{:?}", query.options);
        let mut written = query.written();
        written.insert("relevant".to_owned(), json!({"a": 1}));
        assert_eq!(parse(&Value::Object(written).to_string()).unwrap().queries[0].query, query);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = r#"{"query": "x", "relevant": {"a": 1}}"#;
        for (line, why) in [
            ("nonsense", "no judgement"),
            (r#"{"query": "x", "relevent": {"a": 1}}"#, "no judgement"),
            (r#"{"query": "x", "relevant": {"a": 11}}"#, "not from 0 to 10"),
            (r#"{"query": "x", "relevant": {"a": -1}}"#, "no judgement"),
            (r#"{"query": "x", "relevant": {"a": null}}"#, "has no grade yet"),
            (r#"{"query": " ", "relevant": {"a": 1}}"#, "asks nothing"),
            (r#"{"image": "gone.jpg", "relevant": {"a": 1}}"#, "there is no file"),
            (
                r#"{"query": "x", "not_image": ["Cargo.toml", "gone.jpg"], "relevant": {"a": 1}}"#,
                "there is no file",
            ),
            (r#"{"not": "x", "not_image": "Cargo.toml", "relevant": {"a": 1}}"#, "asks nothing"),
            (r#"{"query": [7], "relevant": {"a": 1}}"#, "no judgement"),
            (r#"{"query": "x", "limit": 3, "relevant": {"a": 1}}"#, "no judgement"),
            (r#"{"query": "x", "parts": {"not_image": "y"}, "relevant": {"a": 1}}"#, "parts"),
            (r#"{"query": "x", "crop": "0,0,2,2", "relevant": {"a": 1}}"#, "crop is not"),
            (r#"{"query": "x", "weights": {"query": 11}, "relevant": {"a": 1}}"#, "weights is not"),
            (r#"{"query": "x", "sort": [""], "relevant": {"a": 1}}"#, "sort has an empty"),
            (r#"{"query": "x", "group": 1, "relevant": {"a": 1}}"#, "no judgement"),
            (r#"{"query": "x", "filter": {"a": {"about": 1}}, "relevant": {"a": 1}}"#, "/a"),
            (r#"{"query": "x", "relevant_where": [{"filter": {"a": {"about": 1}}}]}"#, "relevant_where"),
        ] {
            let error = parse(&format!("{good}\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(why), "{line}: {error}");
        }
        let twice = r#"{"id": "a", "query": "x", "relevant": {"a": 1}}
{"id": "a", "query": "y", "relevant": {"a": 1}}"#;
        let twice = parse(twice).unwrap_err().to_string();
        assert!(twice.contains("taken by another line"), "{twice}");
        assert_eq!(parse("").unwrap_err(), Wrong::Nothing);
    }

    #[test]
    fn what_the_service_keeps_asks_a_search_without_files() {
        let line = r#"{"query": ["red", "shoe"], "not": "leather", "parts": {"barcode": "4006"}, "weights": {"query[1]": 2, "not": 0.5},
            "filter": {"price": {"lt": 9}}, "sort": "-price", "group": true, "relevant": {"a": 1}}"#;
        let judgements = kept(&line.replace('\n', " ")).unwrap();
        let search = text_search(judgements.queries[0].query.fields(), None).unwrap();
        let weights: Vec<_> = search.parts.iter().map(|part| (part.modality.as_str(), part.weight)).collect();
        assert_eq!(weights, [("barcode", 1.0), ("text", 1.0), ("text", 2.0), ("text", -0.5)]);
        assert!(search.group && search.sort[0].descending && search.filter["price"]["lt"] == 9);

        let good = r#"{"query": "x", "relevant": {"a": 1}}"#;
        for (line, why) in [
            (r#"{"image": "Cargo.toml", "relevant": {"a": 1}}"#, "`image` names files"),
            (r#"{"query": "x", "not_video": ["a.mp4"], "relevant": {"a": 1}}"#, "`not_video` names files"),
            (
                r#"{"query": "x", "weights": {"image": 2}, "relevant": {"a": 1}}"#,
                "names no part of this search",
            ),
            (r#"{"query": "x", "crop": "0,0,1,1", "relevant": {"a": 1}}"#, "crop"),
            (
                r#"{"query": ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "relevant": {"a": 1}}"#,
                "more than 8",
            ),
            ("[1]", "no judgement"),
        ] {
            let wrong = kept(&format!("{good}\n\n{line}")).unwrap_err();
            let Wrong::Line(number, problem) = &wrong else { panic!("{wrong}") };
            assert_eq!((*number, problem.contains(why)), (3, true), "{line}: {problem}");
        }
        let many = |queries: usize| kept(&vec![good; queries].join("\n"));
        assert_eq!(many(MOST_KEPT).unwrap().queries.len(), MOST_KEPT);
        assert!(matches!(many(MOST_KEPT + 1), Err(Wrong::Line(1001, _))));
    }
}
