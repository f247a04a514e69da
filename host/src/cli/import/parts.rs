//! A file of products in parts that are sent one by one: rows, with the pictures that they name written into them.
//!
//! Parts are cut where rows say so themselves, so that a row that is added or changed changes its own part, and the parts
//! after it are still known to a server that has taken them in.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use taja_catalog::ImageHash;
use tokio::sync::mpsc;

use crate::import::{
    Format,
    rows::{self, MAX_ROW_BYTES},
    texts,
};

/// Most rows of a part.
const MOST_ROWS: usize = 512;
/// Bytes of a part, at most, unless a single row has more; so much is in memory of each part that is being sent.
const MOST_BYTES: usize = 16 << 20;
/// One row of so many is the last of its part, whatever stands around it.
const ROWS_OF_A_PART: u8 = 128;
/// What a picture begins with that is written into a row; of its type only the content tells.
const INLINE: &str = "data:;base64,";

/// A part of a file.
pub struct Part {
    /// Names what it says, and which time the file says it: a file of the same rows has parts of the same names.
    pub digest: ImageHash,
    /// What is sent.
    pub load: Load,
}

/// What is sent of a part.
pub enum Load {
    /// Rows, as lines of one file.
    Rows(Vec<Row>),
    /// One whose pictures are too large to be written into it.
    Form(Form),
}

/// A row and what is sent of it.
pub struct Row {
    /// Where it begins in the file.
    pub line: u64,
    /// What the product is called.
    pub name: String,
    /// Its text as a line of JSON, or why it is not sent.
    pub text: Result<Bytes, String>,
    digest: ImageHash,
}

/// A row as a form with files.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Where it begins in the file.
    pub line: u64,
    /// What the product is called.
    pub name: String,
    /// What its shop says of it.
    pub fields: BTreeMap<String, String>,
    /// Its pictures.
    pub images: Vec<PathBuf>,
}

/// Reads a file part by part, beside the runtime. Nothing follows an error.
pub fn read(file: PathBuf, format: Format) -> impl Stream<Item = anyhow::Result<Part>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let broken = cut(&file, format, &mut |part| sender.blocking_send(Ok(part)).is_ok());
        if let Err(error) = broken {
            // Nobody may listen any more.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

/// Gives part by part, until there are no more or nobody wants more.
fn cut(file: &Path, format: Format, give: &mut dyn FnMut(Part) -> bool) -> anyhow::Result<()> {
    let source = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut cutter = Cutter { give, rows: Vec::new(), bytes: 0, times: HashMap::new() };
    for row in rows::read(format, source)? {
        if !cutter.add(folder, row?) {
            return Ok(());
        }
    }
    cutter.end_part();
    Ok(())
}

struct Cutter<'a> {
    give: &'a mut dyn FnMut(Part) -> bool,
    rows: Vec<Row>,
    bytes: usize,
    /// How often the file said the same.
    times: HashMap<ImageHash, u32>,
}

impl Cutter<'_> {
    /// Adds a row; false when nobody wants more.
    fn add(&mut self, folder: &Path, row: rows::Row) -> bool {
        let line = row.line;
        let name = row.fields.as_ref().ok().and_then(|fields| fields.get("name")?.as_str());
        let name = name.unwrap_or("?").to_owned();
        let text = match row.fields.and_then(|fields| sent(folder, fields, row.bytes)) {
            Ok(Sent::Form { fields, images, digest }) => {
                return self.end_part()
                    && self.hand_over(digest, Load::Form(Form { line, name, fields, images }));
            }
            Ok(Sent::Line(text)) => Ok(text),
            Err(problem) => Err(problem),
        };
        let bytes = text.as_ref().map_or(0, Bytes::len);
        if (self.bytes + bytes > MOST_BYTES || self.rows.len() == MOST_ROWS) && !self.end_part() {
            return false;
        }
        let digest = ImageHash::of(text.as_deref().unwrap_or_default());
        let is_last = text.is_ok() && digest.as_bytes()[0].is_multiple_of(ROWS_OF_A_PART);
        self.rows.push(Row { line, name, text, digest });
        self.bytes += bytes;
        !is_last || self.end_part()
    }

    fn end_part(&mut self) -> bool {
        if self.rows.is_empty() {
            return true;
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let digests: Vec<u8> = said(&rows).flat_map(|row| *row.digest.as_bytes()).collect();
        self.hand_over(ImageHash::of(&digests), Load::Rows(rows))
    }

    fn hand_over(&mut self, said: ImageHash, load: Load) -> bool {
        let times = self.times.entry(said).or_default();
        *times += 1;
        (self.give)(Part { digest: ImageHash::of(format!("{said} {times}").as_bytes()), load })
    }
}

/// Those that are sent.
pub fn said(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.text.is_ok())
}

enum Sent {
    Line(Bytes),
    Form { fields: BTreeMap<String, String>, images: Vec<PathBuf>, digest: ImageHash },
}

/// What is sent of a row, or why nothing is. What is wrong with its fields the server tells.
fn sent(folder: &Path, mut fields: Map<String, Value>, mut bytes: usize) -> Result<Sent, String> {
    let named = fields.get("images").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let paths: Vec<_> = named.iter().map(|image| path(folder, image)).collect();
    for path in paths.iter().flatten() {
        bytes = bytes.saturating_add(inline_bytes(path)?);
    }
    if bytes > MAX_ROW_BYTES {
        return form(fields, paths);
    }
    if let Some(Value::Array(images)) = fields.get_mut("images") {
        for (image, path) in images.iter_mut().zip(&paths) {
            if let Some(path) = path {
                let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
                *image = format!("{INLINE}{}", BASE64_STANDARD.encode(bytes)).into();
            }
        }
    }
    let mut text = serde_json::to_vec(&fields).map_err(|error| error.to_string())?;
    text.push(b'\n');
    if text.len() > MAX_ROW_BYTES { Err(too_long()) } else { Ok(Sent::Line(text.into())) }
}

/// Where a picture lies, when what names it is no address.
fn path(folder: &Path, image: &Value) -> Option<PathBuf> {
    let image = image.as_str()?.trim();
    let is_address = ["http://", "https://", "data:"].iter().any(|begins| image.starts_with(begins));
    (!is_address).then(|| folder.join(image))
}

/// How long a picture is when it is written into a row.
fn inline_bytes(path: &Path) -> Result<usize, String> {
    let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !about.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let bytes = usize::try_from(about.len()).unwrap_or(usize::MAX);
    Ok((bytes.div_ceil(3).saturating_mul(4)).saturating_add(INLINE.len()))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

fn too_long() -> String {
    format!("the row is longer than {MAX_ROW_BYTES} bytes with its pictures")
}

fn form(mut fields: Map<String, Value>, paths: Vec<Option<PathBuf>>) -> Result<Sent, String> {
    // A form has files only.
    let images: Vec<_> = paths.into_iter().collect::<Option<_>>().ok_or_else(too_long)?;
    fields.remove("images");
    let fields = texts(fields);
    let mut digest = Sha256::new_with_prefix(serde_json::to_vec(&fields).map_err(|error| error.to_string())?);
    for image in &images {
        let read = File::open(image).and_then(|mut file| io::copy(&mut file, &mut digest));
        read.map_err(|error| unreadable(image, &error))?;
    }
    Ok(Sent::Form { fields, images, digest: ImageHash::from_digest(digest.finalize().into()) })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn parts(folder: &Path, lines: &[String]) -> Vec<Part> {
        let file = folder.join("shop.ndjson");
        fs::write(&file, lines.join("\n")).unwrap();
        let mut parts = Vec::new();
        cut(&file, Format::Ndjson, &mut |part| {
            parts.push(part);
            true
        })
        .unwrap();
        parts
    }

    fn rows(part: &Part) -> &[Row] {
        match &part.load {
            Load::Rows(rows) => rows,
            Load::Form(form) => panic!("{form:?} is a form"),
        }
    }

    fn line(number: u32) -> String {
        json!({ "name": format!("product {number}"), "images": ["https://shop.example/a.png"] }).to_string()
    }

    #[test]
    fn a_row_that_changes_changes_its_own_part() {
        let folder = tempfile::tempdir().unwrap();
        let digests = |lines: &[String]| -> HashSet<ImageHash> {
            parts(folder.path(), lines).iter().map(|part| part.digest).collect()
        };
        let mut lines: Vec<_> = (0..4000).map(line).collect();
        let before = digests(&lines);
        assert!((8..4000 / 16).contains(&before.len()), "{}", before.len());
        assert_eq!(digests(&lines), before);
        lines.insert(0, line(4000));
        lines[3000] = line(4001);
        lines.remove(2000);
        let changed = digests(&lines).difference(&before).count();
        assert!((1..=6).contains(&changed), "{changed} of {}", before.len());
    }

    #[test]
    fn every_row_is_in_one_part_and_no_part_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("large.png"), vec![7; 5 << 20]).unwrap();
        let large = |number: u32| json!({ "name": number.to_string(), "images": ["large.png"] }).to_string();
        let lines: Vec<_> = (0..6).map(large).chain((0..1500).map(line)).collect();
        let parts = parts(folder.path(), &lines);
        for part in &parts {
            let bytes: usize = said(rows(part)).map(|row| row.text.as_ref().unwrap().len()).sum();
            assert!(bytes <= MOST_BYTES && rows(part).len() <= MOST_ROWS, "{bytes}, {}", rows(part).len());
        }
        let told: Vec<_> = parts.iter().flat_map(rows).map(|row| row.line).collect();
        assert_eq!(told, (1..=1506).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_rows_again_are_another_part() {
        let folder = tempfile::tempdir().unwrap();
        let last = (0..).map(line).find(|line| {
            let text = format!("{}\n", serde_json::from_str::<Value>(line).unwrap());
            ImageHash::of(text.as_bytes()).as_bytes()[0].is_multiple_of(ROWS_OF_A_PART)
        });
        let parts = parts(folder.path(), &vec![last.unwrap(); 3]);
        let digests: HashSet<_> = parts.iter().map(|part| part.digest).collect();
        assert_eq!((parts.len(), digests.len()), (3, 3));
    }

    #[test]
    fn pictures_are_written_into_the_row_and_addresses_stay() {
        let folder = tempfile::tempdir().unwrap();
        let absolute = folder.path().join("b.png");
        fs::write(folder.path().join("a.png"), b"abc").unwrap();
        fs::write(&absolute, b"b").unwrap();
        let images = json!(["a.png", absolute, "https://shop.example/c.png", "data:image/png;base64,AAAA"]);
        let lines = [
            json!({ "name": "shoe", "images": images }).to_string(),
            json!({ "name": "lost", "images": ["gone.png"] }).to_string(),
            json!({ "name": "folder", "images": ["."] }).to_string(),
            "no json".to_owned(),
            json!({ "name": "wrong", "images": "a.png" }).to_string(),
        ];
        let parts = parts(folder.path(), &lines);
        let told: Vec<_> = parts.iter().flat_map(rows).collect();
        let read = |row: &Row| {
            serde_json::from_slice::<Value>(row.text.as_ref().unwrap()).unwrap()["images"].clone()
        };
        let inline = json!(["data:;base64,YWJj", "data:;base64,Yg==", images[2], images[3]]);
        assert_eq!(read(told[0]), inline);
        assert!(told[1].text.as_ref().unwrap_err().contains("gone.png"));
        assert!(told[2].text.as_ref().unwrap_err().contains("is no file"));
        assert!(told[3].text.as_ref().unwrap_err().contains("not JSON"));
        assert_eq!(read(told[4]), "a.png");
        let names: Vec<_> = told.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["shoe", "lost", "folder", "?", "wrong"]);
    }

    #[test]
    fn pictures_too_large_for_a_row_go_as_a_form() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            fs::write(folder.path().join(name), vec![7; 15 << 20]).unwrap();
        }
        let lines = [
            line(1),
            json!({ "name": "shoe", "price": 3.5, "sku": null, "images": ["a.png", "b.png"] }).to_string(),
            json!({ "name": "mixed", "images": ["a.png", "b.png", "https://shop.example/c.png"] })
                .to_string(),
        ];
        let parts = parts(folder.path(), &lines);
        assert_eq!(rows(&parts[0])[0].line, 1);
        let Load::Form(form) = &parts[1].load else { panic!("it goes as rows") };
        assert_eq!((form.line, form.images.len()), (2, 2));
        let fields = [("name", "shoe"), ("price", "3.5")].map(|(name, text)| (name.into(), text.into()));
        assert_eq!(form.fields, BTreeMap::from(fields));
        assert!(rows(&parts[2])[0].text.as_ref().unwrap_err().contains("with its pictures"));
    }
}
