//! Judgements: queries, and which products answer them how well. One JSON object per line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use taja_catalog::Filter;

use super::measures::HIGHEST_GRADE;

/// Queries in one file, at most: each is asked once for every column.
const MOST_QUERIES: usize = 100_000;

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

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// Words.
    pub text: Option<String>,
    /// Files by the name of their part: `image`, `video`, or a name that some plugin brought.
    pub files: BTreeMap<String, PathBuf>,
    /// How much each part counts.
    pub weights: Option<Value>,
    /// Conditions on fields.
    pub filter: Option<Value>,
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<String>,
    query: Option<String>,
    image: Option<PathBuf>,
    video: Option<PathBuf>,
    weights: Option<Map<String, Value>>,
    filter: Option<Map<String, Value>>,
    #[serde(default)]
    relevant: BTreeMap<String, Option<u8>>,
    #[serde(default)]
    relevant_where: Vec<Where>,
    /// For people: what the query was found in, what was thought.
    #[serde(default, rename = "note")]
    _note: Value,
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
        Self::parse(name, folder, &text).with_context(|| path.display().to_string())
    }

    fn parse(name: String, folder: &Path, text: &str) -> anyhow::Result<Self> {
        let mut judgements = Self { name, queries: Vec::new(), left_out: 0 };
        let mut ids = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let judged = judged(number, folder, line).with_context(|| format!("line {number}"))?;
            ensure!(
                ids.insert(judged.id.clone()),
                "line {number}: the id {:?} is taken by another line",
                judged.id
            );
            ensure!(ids.len() <= MOST_QUERIES, "line {number}: there are more than {MOST_QUERIES} queries");
            match judged.relevant.is_empty() && judged.relevant_where.is_empty() {
                true => judgements.left_out += 1,
                false => judgements.queries.push(judged),
            }
        }
        ensure!(!judgements.queries.is_empty(), "no line judges a product relevant");
        Ok(judgements)
    }
}

fn judged(number: usize, folder: &Path, line: &str) -> anyhow::Result<Judged> {
    let line: Line = serde_json::from_str(line).context("it is no judgement")?;
    let files = [("image", line.image), ("video", line.video)].into_iter();
    let files = files.filter_map(|(part, path)| Some((part.to_owned(), folder.join(path?))));
    let files: BTreeMap<_, _> = files.collect();
    for path in files.values() {
        ensure!(path.is_file(), "there is no file {}", path.display());
    }
    let text = line.query.filter(|text| !text.trim().is_empty());
    ensure!(text.is_some() || !files.is_empty(), "it asks nothing: give `query`, `image` or `video`");
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
    let filter = line.filter.map(checked).transpose()?;
    let query = Query { text, files, weights: line.weights.map(Value::Object), filter };
    let id = line.id.unwrap_or_else(|| format!("line {number}"));
    Ok(Judged { id, query, relevant, relevant_where })
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

    fn parse(text: &str) -> anyhow::Result<Judgements> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Judgements::parse("set".into(), folder, text)
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
        assert!(first.query.files["image"].ends_with("host/Cargo.toml"), "{:?}", first.query.files);
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
            (r#"{"query": "x", "filter": {"a": {"about": 1}}, "relevant": {"a": 1}}"#, "/a"),
            (r#"{"query": "x", "relevant_where": [{"filter": {"a": {"about": 1}}}]}"#, "relevant_where"),
        ] {
            let error = format!("{:#}", parse(&format!("{good}\n{line}")).unwrap_err());
            assert!(error.starts_with("line 2: ") && error.contains(why), "{line}: {error}");
        }
        let twice = format!(
            "{:#}",
            parse(
                r#"{"id": "a", "query": "x", "relevant": {"a": 1}}
{"id": "a", "query": "y", "relevant": {"a": 1}}"#
            )
            .unwrap_err()
        );
        assert!(twice.contains("taken by another line"), "{twice}");
        assert!(parse("").is_err());
    }
}
