//! Tables, as programs and people write them: cells between commas, semicolons or tabs, whichever the row of names has most
//! of, and in quotes where they hold one of those, a quote or a line break.

mod column;

use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Cursor, Read},
    iter,
};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use serde_json::{Map, Value};

use self::column::{ATTRIBUTE, Column};
use super::{MAX_ROW_BYTES, Row, Unreadable, too_long};

/// What may separate cells; of two that are there as often, the first does.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// What Excel writes before the row of names, and wants to see there; the separator follows.
const DECLARATION: &[u8] = b"sep=";
/// Fields that are numbers with a fraction.
const FRACTIONS: [&str; 2] = ["price", "weight_kg"];
/// How much room a row has at first, bytes; it gets more as it needs it.
const ROOM: usize = 4096;
/// For how many cells there is room at first, and at most.
const CELLS: [usize; 2] = [64, 1 << 16];

/// Reads a table row by row.
pub fn read<R: Read + 'static>(
    head: Vec<u8>,
    rest: R,
) -> Result<impl Iterator<Item = Result<Row, Unreadable>> + 'static, Unreadable> {
    let layout = Layout::of(&head);
    let mut text = Cursor::new(head);
    text.set_position(layout.begins_at as u64);
    // A last row that ends as all others do is counted as they are.
    let source = text.chain(rest).chain(&b"\n"[..]);
    let source = BufReader::new(LineEnds { source, are_cr: layout.ends_with_cr });
    let reader = ReaderBuilder::new()
        .delimiter(layout.separator)
        // Not CRLF, of which the reader leaves the second half to the next row, and miscounts lines.
        .terminator(Terminator::Any(b'\n'))
        .build();
    let mut records = Records { reader, source, lines_before: layout.lines_before };
    let columns = columns(&mut records)?;
    Ok(iter::from_fn(move || {
        loop {
            let record = match records.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            if !record.is_blank() {
                let bytes = record.text.len();
                let fields = record.fields(&columns, layout.separator);
                return Some(Ok(Row { line: record.line, bytes, fields }));
            }
        }
    }))
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    separator: u8,
    /// Whether lines end as they did on old Macintoshes.
    ends_with_cr: bool,
    /// Where the row of names begins.
    begins_at: usize,
    lines_before: u64,
}

impl Layout {
    fn of(head: &[u8]) -> Self {
        let declared = declared(head);
        let (begins_at, lines_before) = declared.map_or((0, 0), |(_, length)| (length, 1));
        let mut counts = [0; SEPARATORS.len()];
        let mut ends_with_cr = false;
        let (mut quoted, mut begun) = (false, false);
        for (at, byte) in head.iter().enumerate().skip(begins_at) {
            match byte {
                b'"' => quoted = !quoted,
                b'\r' | b'\n' if !quoted => {
                    ends_with_cr = *byte == b'\r' && head.get(at + 1) != Some(&b'\n');
                    if begun {
                        break;
                    }
                }
                byte if !quoted => {
                    begun = true;
                    if let Some(which) = SEPARATORS.iter().position(|separator| separator == byte) {
                        counts[which] += 1;
                    }
                }
                _ => {}
            }
        }
        let most = (0..SEPARATORS.len()).rev().max_by_key(|which| counts[*which]).unwrap_or_default();
        let separator = declared.map_or(SEPARATORS[most], |(separator, _)| separator);
        Self { separator, ends_with_cr, begins_at, lines_before }
    }
}

/// The separator that a first line of its own declares, and how long that line is.
fn declared(head: &[u8]) -> Option<(u8, usize)> {
    let (declaration, rest) = head.split_at_checked(DECLARATION.len())?;
    let (separator, rest) = rest.split_first()?;
    let end = ["\r\n", "\n", "\r"].into_iter().find(|end| rest.starts_with(end.as_bytes()))?;
    let known = declaration.eq_ignore_ascii_case(DECLARATION) && SEPARATORS.contains(separator);
    known.then_some((*separator, DECLARATION.len() + 1 + end.len()))
}

/// A source whose lines end as they do today.
struct LineEnds<R> {
    source: R,
    are_cr: bool,
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if self.are_cr {
            buffer[..read].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        }
        Ok(read)
    }
}

/// The rows of a table as they come.
struct Records<R> {
    reader: Reader,
    source: BufReader<R>,
    lines_before: u64,
}

struct Record {
    line: u64,
    /// What the cells hold, one after the other; nothing of a row that is too long.
    text: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
    /// How many lines it goes on.
    breaks: u64,
    /// Why it is not kept, if it is too long.
    excess: Option<String>,
}

impl<R: Read> Records<R> {
    fn line(&self) -> u64 {
        self.reader.line() + self.lines_before
    }

    fn next(&mut self) -> Option<Result<Record, Unreadable>> {
        let begins = self.line();
        match self.record() {
            Ok(record) => record.map(|record| {
                // From its end, because blank lines before it are passed over.
                let line = self.line().saturating_sub(1 + record.breaks).max(begins);
                Ok(Record { line, ..record })
            }),
            Err(error) => Some(Err(Unreadable::new(begins, error))),
        }
    }

    /// The next one, whose line is not known yet. One that is too long is read to its end all the same, and not kept.
    fn record(&mut self) -> io::Result<Option<Record>> {
        let (mut text, mut ends) = (vec![0; ROOM], vec![0; CELLS[0]]);
        let (mut written, mut cells, mut breaks, mut excess) = (0, 0, 0, None);
        loop {
            let input = self.source.fill_buf()?;
            let (result, read, wrote, ended) =
                self.reader.read_record(input, &mut text[written..], &mut ends[cells..]);
            self.source.consume(read);
            breaks += text[written..written + wrote].iter().filter(|byte| **byte == b'\n').count() as u64;
            written += wrote;
            cells += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if text.len() < MAX_ROW_BYTES => text.resize(text.len() * 2, 0),
                ReadRecordResult::OutputFull => (written, excess) = (0, Some(too_long())),
                ReadRecordResult::OutputEndsFull if ends.len() < CELLS[1] => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => {
                    (cells, excess) = (0, Some(format!("the row has more than {} cells", CELLS[1])));
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        if excess.is_some() {
            (written, cells) = (0, 0);
        }
        text.truncate(written);
        ends.truncate(cells);
        Ok(Some(Record { line: 0, text, ends, breaks, excess }))
    }
}

/// The columns as the row of names has them; one that is called nothing is nobody's.
fn columns<R: Read>(records: &mut Records<R>) -> Result<Vec<Column>, Unreadable> {
    let none = || Unreadable::new(1, "there is no row of names");
    let record = loop {
        let record = records.next().ok_or_else(none)??;
        // A line that is blank but for how it ends.
        if record.ends.len() > 1 || !record.is_blank() {
            break record;
        }
    };
    if let Some(problem) = &record.excess {
        return Err(Unreadable::new(record.line, problem));
    }
    if record.is_blank() {
        return Err(none());
    }
    let mut columns: Vec<Column> = Vec::new();
    for (number, cell) in (1..).zip(record.all()) {
        let wrong = |problem: String| Unreadable::new(record.line, problem);
        let heading = str::from_utf8(cell)
            .map_err(|_| wrong(format!("the name of column {number} is not UTF-8 text")))?;
        let column = Column::read(heading.trim()).map_err(|why| wrong(format!("column {number} {why}")))?;
        let name = &column.name;
        if !name.is_empty() && name != "images" && columns.iter().any(|known| known.name == *name) {
            return Err(wrong(format!("column {number} is called {name}, as another one is")));
        }
        columns.push(column);
    }
    Ok(columns)
}

impl Record {
    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let last = self.ends.len().saturating_sub(1);
        let mut begins = 0;
        self.ends.iter().enumerate().map(move |(at, end)| {
            let cell = &self.text[begins..*end];
            begins = *end;
            // Of a line that ends with both, the first is here.
            if at == last { cell.strip_suffix(b"\r").unwrap_or(cell) } else { cell }
        })
    }

    fn is_blank(&self) -> bool {
        self.excess.is_none() && self.all().all(|cell| cell.trim_ascii().is_empty())
    }

    /// What it says, cell by cell. An empty cell says nothing, but of a description, which may be empty.
    fn fields(&self, columns: &[Column], separator: u8) -> Result<Map<String, Value>, String> {
        if let Some(problem) = &self.excess {
            return Err(problem.clone());
        }
        self.fit(columns.len())?;
        let mut fields = Map::new();
        for (number, (column, cell)) in (1..).zip(columns.iter().zip(self.all())) {
            let name = &column.name;
            let cell =
                str::from_utf8(cell).map_err(|_| format!("column {number}, {name}, is not UTF-8 text"))?;
            if !name.is_empty() && (!cell.trim().is_empty() || name == "description") {
                put(&mut fields, column, cell, separator)?;
            }
        }
        Ok(fields)
    }

    /// Whether there are as many cells as names. Programs add empty ones.
    fn fit(&self, names: usize) -> Result<(), String> {
        let cells = self.ends.len();
        if cells == names
            || (cells > names && self.all().skip(names).all(|cell| cell.trim_ascii().is_empty()))
        {
            return Ok(());
        }
        let problem = format!("the first row names {names} columns; this one has {cells}");
        Err(match self.breaks {
            0 => problem,
            breaks => format!("{problem}. It goes on for {breaks} more lines: is a quote not closed?"),
        })
    }
}

fn put(fields: &mut Map<String, Value>, column: &Column, cell: &str, separator: u8) -> Result<(), String> {
    let name = column.name.as_str();
    if let Some(attribute) = name.strip_prefix(ATTRIBUTE) {
        let place = fields.entry("attributes").or_insert_with(|| Map::new().into());
        let place = place.as_object_mut().ok_or("attributes are given in two ways")?;
        let value = column.kind.value(cell, separator).map_err(|why| format!("{name}: {why}"))?;
        place.insert(attribute.to_owned(), value);
        return Ok(());
    }
    let value = match name {
        "images" => {
            let place = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            place.as_array_mut().into_iter().for_each(|images| images.extend(list(cell)));
            return Ok(());
        }
        "attributes" if fields.contains_key(name) => {
            return Err("attributes are given in two ways".to_owned());
        }
        // A list as JSON is taken as it is.
        "sizes" | "key_features" if !cell.trim_start().starts_with('[') => list(cell).collect(),
        _ if FRACTIONS.contains(&name) => fraction(cell, separator).into(),
        _ => cell.into(),
    };
    fields.insert(name.to_owned(), value);
    Ok(())
}

/// Several entries in one cell. An address may have a semicolon of its own.
fn list(cell: &str) -> impl Iterator<Item = Value> {
    let separator = if ["|", "://", "data:"].iter().any(|it| cell.contains(it)) { '|' } else { ';' };
    cell.split(separator).map(str::trim).filter(|entry| !entry.is_empty()).map(Value::from)
}

/// A number with a point. Programs separate cells by semicolons where people write fractions with a comma, so there, and only
/// there, `3,50` is no mistake; of `1.234,5` and the like nobody can be sure.
fn fraction(cell: &str, separator: u8) -> Cow<'_, str> {
    if separator == b';' && cell.matches(',').count() == 1 && !cell.contains('.') {
        cell.replace(',', ".").into()
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{
        super::{Format, count, read},
        *,
    };

    /// The rows of a table: the line of each, and what it says or why it says nothing.
    fn rows(text: impl Into<Vec<u8>>) -> Vec<(u64, Result<Value, String>)> {
        let text = text.into();
        let rows: Vec<_> =
            read(Format::Csv, Cursor::new(text.clone())).unwrap().map(Result::unwrap).collect();
        assert_eq!(count(Format::Csv, Cursor::new(text)).unwrap(), rows.len() as u64);
        rows.into_iter().map(|row| (row.line, row.fields.map(Value::Object))).collect()
    }

    fn unreadable(text: impl Into<Vec<u8>>) -> String {
        let text = Cursor::new(text.into());
        read(Format::Csv, text).err().expect("it cannot be read").to_string()
    }

    #[rstest]
    #[case::comma("name,price,sizes\nshoe,3.50,41|42\n")]
    #[case::semicolon("name;price;sizes\nshoe;3.50;41|42\n")]
    #[case::decimal_comma("name;price;sizes\nshoe;3,50;\"41;42\"\n")]
    #[case::tab("name\tprice\tsizes\nshoe\t3.50\t41;42\n")]
    #[case::windows("name;price;sizes\r\nshoe;3,50;41|42\r\n")]
    #[case::old_macintosh("name,price,sizes\rshoe,3.50,41|42\r")]
    #[case::marked("\u{feff}name,price,sizes\nshoe,3.50,41|42")]
    #[case::quoted("\"name\",\"price\",\"sizes\"\n\"shoe\",\"3.50\",\"41|42\"\r\n")]
    #[case::blank_columns("name;price;sizes;;\r\nshoe;3.50;41|42;;\r\n;;;;\r\n;;;;\r\n")]
    #[case::names_with_commas("name;price;\"sizes\";\"a,b,c,d,e\"\nshoe;3.50;41|42;\n")]
    fn however_a_table_is_written_it_says_the_same(#[case] text: &str) {
        let shoe = json!({ "name": "shoe", "price": "3.50", "sizes": ["41", "42"] });
        assert_eq!(rows(text), [(2, Ok(shoe))]);
    }

    #[test]
    fn a_declared_separator_is_believed() {
        let text = "sep=;\r\nname,first;price\r\na;1,5\r\n";
        assert_eq!(rows(text), [(3, Ok(json!({ "name,first": "a", "price": "1.5" })))]);
        assert_eq!(rows("sep=x\na\n"), [(2, Ok(json!({ "sep=x": "a" })))]);
    }

    #[rstest]
    #[case("\n")]
    #[case("\r\n")]
    fn a_row_is_told_by_the_line_it_begins_on(#[case] end: &str) {
        let text = ["name,price", "\"a", "", "b\",1", "", "", "c,2", "d", "e,3"].join(end);
        for text in [text.clone(), text + end] {
            let lines: Vec<_> = rows(text).into_iter().map(|(line, row)| (line, row.is_ok())).collect();
            assert_eq!(lines, [(2, true), (7, true), (8, false), (9, true)]);
        }
    }

    #[test]
    fn line_breaks_and_quotes_in_a_cell_stay() {
        let text = "description,name\r\n\"two\r\nlines, \"\"quoted\"\"\",x\r\n";
        assert_eq!(rows(text), [(2, Ok(json!({ "description": "two\r\nlines, \"quoted\"", "name": "x" })))]);
    }

    #[test]
    fn a_comma_is_a_point_only_where_semicolons_separate() {
        let price = |text: &str| rows(text).remove(0).1.unwrap()["price"].clone();
        assert_eq!(price("price;stock\n3,5;1"), "3.5");
        assert_eq!(price("price;stock\n1.234,5;1"), "1.234,5");
        assert_eq!(price("price;stock\n1,234,5;1"), "1,234,5");
        assert_eq!(price("price\tstock\n3,5\t1"), "3,5");
        assert_eq!(price("price,stock\n\"3,5\",1"), "3,5");
        assert_eq!(rows("color;price\n3,5;1").remove(0).1.unwrap()["color"], "3,5");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column() {
        let text = b"name,color\nshoe,red\nbr\xfcn,red\nshoe\n\"open,red\nshoe,red\n";
        let wrong: Vec<_> =
            rows(text).into_iter().filter_map(|(line, row)| Some((line, row.err()?))).collect();
        assert_eq!(wrong[0], (3, "column 1, name, is not UTF-8 text".to_owned()));
        assert_eq!(wrong[1], (4, "the first row names 2 columns; this one has 1".to_owned()));
        assert!(wrong[2].1.contains("is a quote not closed?"), "{wrong:?}");
        assert_eq!(unreadable(b"name,f\xfcr\na,b\n"), "line 1: the name of column 2 is not UTF-8 text");
        assert_eq!(
            unreadable("sep=,\nname,price,name\n"),
            "line 2: column 3 is called name, as another one is"
        );
        assert_eq!(unreadable(b"\xff\xfen\0a\0"), "line 1: the file is UTF-16 text: save it as UTF-8");
        for text in ["", "\n", "\r\n\r\n", " , \n1,2\n"] {
            assert!(unreadable(text).contains("no row of names"), "{text:?}");
        }
    }

    #[test]
    fn a_row_of_endless_cells_fails_alone() {
        let text = format!("name,price\na,1\n{}\nb,2\n", ",".repeat(3 * CELLS[1]));
        let rows = rows(text);
        let [(2, Ok(_)), (3, Err(problem)), (4, Ok(_))] = &rows[..] else { panic!("{rows:?}") };
        assert!(problem.contains("more than 65536 cells"), "{problem}");
    }

    #[test]
    fn a_column_of_an_attribute_may_say_its_type() {
        let names =
            "name;attributes.weight:number;attributes.new:boolean;attributes.for:list;attributes.since:date";
        let text =
            format!("{names};attributes.code\nshoe;1,5;true;a|b;2026-03-01;007\nboot;;;;;\nsock;1;no;a;;\n");
        let shoe =
            json!({ "weight": 1.5, "new": true, "for": ["a", "b"], "since": "2026-03-01", "code": "007" });
        let expected = [
            (2, Ok(json!({ "name": "shoe", "attributes": shoe }))),
            (3, Ok(json!({ "name": "boot" }))),
            (4, Err("attributes.new: is neither true nor false".to_owned())),
        ];
        assert_eq!(rows(text), expected);
        assert_eq!(
            unreadable("name,attributes.size:int\n"),
            "line 1: column 2 is called attributes.size:int, and what follows the colon is none of text, number, boolean, list \
             and date"
        );
        assert_eq!(
            unreadable("attributes.size:number,attributes.size\n"),
            "line 1: column 2 is called attributes.size, as another one is"
        );
    }

    #[test]
    fn attributes_are_columns_or_one_object() {
        let text = "name,attributes.fit,attributes.sole\nshoe,wide,\n";
        assert_eq!(rows(text), [(2, Ok(json!({ "name": "shoe", "attributes": { "fit": "wide" } })))]);
        for names in ["attributes,attributes.fit", "attributes.fit,attributes"] {
            assert_eq!(
                rows(format!("{names}\n{{}},{{}}\n")),
                [(2, Err("attributes are given in two ways".to_owned()))]
            );
        }
    }
}
