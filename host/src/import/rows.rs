//! The rows of a file of products: one JSON object per line, or CSV with a header. Read one by one, none longer than allowed.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    iter,
    rc::Rc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest row, bytes. Pictures may be in it.
pub const MAX_ROW_BYTES: usize = 32 << 20;
/// What a column of an attribute begins with.
const ATTRIBUTE: &str = "attributes.";
/// What a file of text may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    Ndjson,
    /// A row of names, then a row per product.
    Csv,
}

/// A row: a product, or why it is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it begins, from 1.
    pub line: u64,
    /// How long it is.
    pub bytes: usize,
    /// What it says.
    pub fields: Result<Map<String, Value>, String>,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Unreadable {
    line: u64,
    problem: String,
}

/// The rows of a file. Nothing follows an error.
pub type Rows = Box<dyn Iterator<Item = Result<Row, Unreadable>>>;

/// Reads a file row by row.
pub fn read(format: Format, source: impl Read + 'static) -> Result<Rows, Unreadable> {
    match format {
        Format::Ndjson => Ok(Box::new(ndjson(source))),
        Format::Csv => csv(source),
    }
}

fn ndjson(source: impl Read + 'static) -> impl Iterator<Item = Result<Row, Unreadable>> {
    let mut reader = BufReader::new(source);
    let mut line = 0;
    iter::from_fn(move || {
        loop {
            line += 1;
            let mut text = Vec::new();
            let read = (&mut reader).take(MAX_ROW_BYTES as u64 + 1).read_until(b'\n', &mut text);
            match read {
                Ok(0) => return None,
                Ok(read) if read > MAX_ROW_BYTES => return Some(Err(too_long(line))),
                Ok(_) => {}
                Err(error) => return Some(Err(Unreadable { line, problem: error.to_string() })),
            }
            let text = if line == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text) } else { &text };
            if !text.trim_ascii().is_empty() {
                return Some(Ok(Row { line, bytes: text.len(), fields: object(text) }));
            }
        }
    })
}

fn object(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("the line is no JSON object".to_owned()),
        // Its line is the only one there is.
        Err(error) => Err(format!("the line is not JSON, at byte {}", error.column())),
    }
}

fn csv(source: impl Read + 'static) -> Result<Rows, Unreadable> {
    let left = Rc::new(Cell::new(MAX_ROW_BYTES));
    let mut reader = csv::Reader::from_reader(Rationed { source, left: left.clone() });
    let header = reader.headers().map_err(|error| broken(&error, 1))?.clone();
    if header.iter().all(|name| name.trim().is_empty()) {
        return Err(Unreadable { line: 1, problem: "there is no row of names".to_owned() });
    }
    let mut records = reader.into_byte_records();
    let mut line = 1;
    Ok(Box::new(iter::from_fn(move || {
        left.set(MAX_ROW_BYTES);
        Some(match records.next()? {
            Ok(record) => {
                line = record.position().map_or(line + 1, csv::Position::line);
                Ok(Row { line, bytes: record.as_slice().len(), fields: cells(&header, &record) })
            }
            Err(error) => match error.kind() {
                csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                    line = pos.as_ref().map_or(line + 1, csv::Position::line);
                    let problem = format!("the row has {len} cells; the first row names {expected_len}");
                    Ok(Row { line, bytes: 0, fields: Err(problem) })
                }
                _ => Err(broken(&error, line + 1)),
            },
        })
    })))
}

/// A source that gives so many bytes and no more, unless the ration is filled up again.
struct Rationed<R> {
    source: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let most = buffer.len().min(left);
        let read = self.source.read(&mut buffer[..most])?;
        self.left.set(left - read);
        Ok(read)
    }
}

fn too_long(line: u64) -> Unreadable {
    Unreadable { line, problem: format!("it is longer than {MAX_ROW_BYTES} bytes") }
}

fn broken(error: &csv::Error, line: u64) -> Unreadable {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => too_long(line),
        _ => Unreadable { line, problem: error.to_string() },
    }
}

/// What a row says, cell by cell. An empty cell says nothing, but of a description, which may be empty.
fn cells(header: &csv::StringRecord, record: &csv::ByteRecord) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    for (name, cell) in header.iter().map(str::trim).zip(record) {
        let cell = str::from_utf8(cell).map_err(|_| format!("{name} is not UTF-8 text"))?;
        if cell.trim().is_empty() && name != "description" {
            continue;
        }
        match name.strip_prefix(ATTRIBUTE) {
            Some(attribute) => {
                let place = fields.entry("attributes").or_insert_with(|| Map::new().into());
                let place = place.as_object_mut().ok_or("attributes are given in two ways")?;
                place.insert(attribute.to_owned(), cell.into());
            }
            None if name == "images" => {
                let place = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                place.as_array_mut().into_iter().for_each(|images| images.extend(list(cell)));
            }
            // A list as JSON is taken as it is.
            None if matches!(name, "sizes" | "key_features") && !cell.trim_start().starts_with('[') => {
                fields.insert(name.to_owned(), list(cell).collect());
            }
            None => {
                fields.insert(name.to_owned(), cell.into());
            }
        }
    }
    Ok(fields)
}

/// Several entries in one cell. An address may have a semicolon of its own.
fn list(cell: &str) -> impl Iterator<Item = Value> {
    let separator = if ["|", "://", "data:"].iter().any(|it| cell.contains(it)) { '|' } else { ';' };
    cell.split(separator).map(str::trim).filter(|entry| !entry.is_empty()).map(Value::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(format: Format, text: &'static [u8]) -> Vec<Result<Row, Unreadable>> {
        read(format, text).unwrap().collect()
    }

    fn fields(format: Format, text: &'static [u8]) -> Vec<(u64, Option<Value>)> {
        let rows = all(format, text).into_iter().map(Result::unwrap);
        rows.map(|row| (row.line, row.fields.ok().map(Value::Object))).collect()
    }

    #[test]
    fn csv_and_ndjson_say_the_same() {
        let csv = b"\xef\xbb\xbfname,sizes,images,images,attributes.fit\n\"a\nshoe\",41|42,a.jpg; b.jpg,data:image/png;base64,wide\n";
        let csv = fields(Format::Csv, csv);
        let said = json!({
            "name": "a\nshoe", "sizes": ["41", "42"], "attributes": {"fit": "wide"},
            "images": ["a.jpg", "b.jpg", "data:image/png;base64"],
        });
        assert_eq!(csv, [(2, Some(said))]);
        let ndjson = fields(Format::Ndjson, b"\xef\xbb\xbf{\"name\":\"shoe\"}\r\n");
        assert_eq!(ndjson, [(1, Some(json!({"name": "shoe"})))]);
    }

    #[test]
    fn a_bad_row_fails_alone() {
        let good = |rows: Vec<(u64, Option<Value>)>| -> Vec<_> {
            rows.into_iter().map(|(line, fields)| (line, fields.is_some())).collect()
        };
        let ndjson = b"{\"name\":\"a\"}\n\nno json\n[1]\n\xff\n{\"name\":\"b\"}";
        let expected = [(1, true), (3, false), (4, false), (5, false), (6, true)];
        assert_eq!(good(fields(Format::Ndjson, ndjson)), expected);
        let csv = b"name,price\na,1\nb\n\xff,2\nc,3\n";
        assert_eq!(good(fields(Format::Csv, csv)), [(2, true), (3, false), (4, false), (5, true)]);
    }

    #[test]
    fn an_endless_row_ends_the_reading() {
        for format in [Format::Ndjson, Format::Csv] {
            let head: &[u8] = if format == Format::Csv { b"name\n\"" } else { b"{" };
            let mut rows = read(format, head.chain(io::repeat(b'a'))).unwrap();
            let error = rows.next().unwrap().unwrap_err().to_string();
            assert!(error.contains("longer than"), "{error}");
        }
    }

    #[test]
    fn a_table_without_names_is_none() {
        for text in [&b""[..], b"\n", b" , \n1,2\n"] {
            assert!(read(Format::Csv, text).is_err());
        }
        assert!(all(Format::Ndjson, b"").is_empty());
    }
}
