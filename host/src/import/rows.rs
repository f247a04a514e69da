//! The rows of a file of products: one JSON object per line, or a table with a row of names. Read one by one, none longer than
//! allowed; the service and the command line read them alike.

mod table;

use std::{
    fmt,
    io::{BufRead, BufReader, Cursor, Read},
    iter,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest row, bytes. Pictures may be in it.
pub const MAX_ROW_BYTES: usize = 32 << 20;
/// How much of a file is looked at before its first row is read, bytes.
const HEAD_BYTES: u64 = 64 << 10;
/// What a file of text may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What one begins with that has two bytes for most characters.
const WIDE_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

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

impl Unreadable {
    fn new(line: u64, problem: impl fmt::Display) -> Self {
        Self { line, problem: problem.to_string() }
    }
}

/// What is wrong with a row that is longer than allowed.
fn too_long() -> String {
    format!("the row is longer than {MAX_ROW_BYTES} bytes")
}

/// The rows of a file. Nothing follows an error.
pub type Rows = Box<dyn Iterator<Item = Result<Row, Unreadable>>>;

/// Reads a file row by row.
pub fn read(format: Format, source: impl Read + 'static) -> Result<Rows, Unreadable> {
    let (head, rest) = begin(source)?;
    match format {
        Format::Ndjson => Ok(Box::new(lines(Cursor::new(head).chain(rest)).map(|line| {
            let (line, text) = line?;
            let bytes = text.as_ref().map_or(0, Vec::len);
            Ok(Row { line, bytes, fields: text.ok_or_else(too_long).and_then(|text| object(&text)) })
        }))),
        Format::Csv => Ok(Box::new(table::read(head, rest)?)),
    }
}

/// How many rows a file has; an error when not all of them can be read.
pub fn count(format: Format, source: impl Read + 'static) -> Result<u64, Unreadable> {
    let (head, rest) = begin(source)?;
    match format {
        Format::Ndjson => lines(Cursor::new(head).chain(rest)).try_fold(0, |all, line| line.map(|_| all + 1)),
        Format::Csv => table::read(head, rest)?.try_fold(0, |all, row| row.map(|_| all + 1)),
    }
}

/// The head of a text without its byte order mark, and what follows it.
fn begin<R: Read>(mut source: R) -> Result<(Vec<u8>, R), Unreadable> {
    let mut head = Vec::new();
    let read = source.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
    read.map_err(|error| Unreadable::new(1, error))?;
    if WIDE_MARKS.iter().any(|mark| head.starts_with(mark)) {
        return Err(Unreadable::new(1, "the file is UTF-16 text: save it as UTF-8"));
    }
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    Ok((head, source))
}

/// The lines of a text that are not blank, with their numbers; of one that is longer than allowed, the number only.
fn lines(source: impl Read) -> impl Iterator<Item = Result<(u64, Option<Vec<u8>>), Unreadable>> {
    let mut reader = BufReader::new(source);
    let mut line = 0;
    iter::from_fn(move || {
        loop {
            line += 1;
            let mut text = Vec::new();
            match reader.by_ref().take(MAX_ROW_BYTES as u64 + 1).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(read) if read > MAX_ROW_BYTES => {
                    let passed = if text.ends_with(b"\n") { Ok(0) } else { reader.skip_until(b'\n') };
                    return Some(passed.map(|_| (line, None)).map_err(|error| Unreadable::new(line, error)));
                }
                Ok(_) if text.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Ok((line, Some(text)))),
                Err(error) => return Some(Err(Unreadable::new(line, error))),
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

#[cfg(test)]
mod tests {
    use std::io;

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
    fn a_row_that_is_too_long_fails_alone() {
        for (format, head, open, close, next) in [
            (Format::Ndjson, &b""[..], &b"{\"name\":\""[..], &b"\"}\n"[..], &b"{\"name\":\"b\"}\n"[..]),
            (Format::Csv, b"name\n", b"\"\n", b"\"\n", b"b\n"),
        ] {
            let text = || {
                let long = io::repeat(b'a').take(2 * MAX_ROW_BYTES as u64 + 7);
                head.chain(next).chain(open).chain(long).chain(close).chain(next)
            };
            let rows: Vec<_> = read(format, text()).unwrap().map(Result::unwrap).collect();
            let [first, long, last] = &rows[..] else { panic!("{} rows", rows.len()) };
            assert!(first.fields.is_ok() && last.fields.is_ok());
            assert!(long.fields.as_ref().is_err_and(|problem| problem.contains("longer than")));
            assert_eq!(long.line, first.line + 1);
            assert_eq!(last.line, long.line + if format == Format::Csv { 2 } else { 1 });
            assert_eq!(count(format, text()).unwrap(), 3);
        }
    }

    #[test]
    fn rows_are_counted_whatever_they_say() {
        assert_eq!(count(Format::Ndjson, &b"\xef\xbb\xbf{}\n \r\nno json\n{}"[..]).unwrap(), 3);
        assert_eq!(count(Format::Ndjson, &b""[..]).unwrap(), 0);
        assert_eq!(count(Format::Csv, &b"name,price\na,1\n,\nb\n"[..]).unwrap(), 2);
        assert!(count(Format::Ndjson, &b"\xff\xfe{\0"[..]).is_err());
    }
}
