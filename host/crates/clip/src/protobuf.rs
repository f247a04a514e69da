//! The little of Protocol Buffers that ONNX files need here: fields are written, and found in a file without reading it
//! all.

use std::{fs::File, ops::Range, os::unix::fs::FileExt};

/// More fields than a message of a sensible model has. Their places are kept in memory.
const MOST_FIELDS: usize = 1 << 20;
/// The most that the tag of a field and the number behind it take.
const HEADER: u64 = 20;

/// A field that holds a number.
pub(crate) fn number(field: u8, value: usize) -> Vec<u8> {
    [tag(field, 0), varint(value)].concat()
}

/// A field that holds bytes, text or a message.
pub(crate) fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    [&opening(field, content.len()), content].concat()
}

/// What stands before so many bytes of a field.
pub(crate) fn opening(field: u8, length: usize) -> Vec<u8> {
    [tag(field, 2), varint(length)].concat()
}

fn tag(field: u8, kind: usize) -> Vec<u8> {
    varint(usize::from(field) << 3 | kind)
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut written = Vec::new();
    while value >= 0x80 {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
    written
}

/// Where a field lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its number in the message.
    pub(crate) number: u64,
    /// All of it.
    pub(crate) whole: Range<u64>,
    /// Its bytes, text or message; nothing where it holds a number.
    pub(crate) content: Option<Range<u64>>,
    /// The number that it holds, if it is written with as many digits as it needs.
    pub(crate) value: Option<u64>,
}

/// The fields of the message that lies at a place of a file, in their order. The problem is told in words.
pub(crate) fn fields(file: &File, message: Range<u64>) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    let mut start = message.start;
    while start < message.end {
        if fields.len() == MOST_FIELDS {
            return Err(format!("a message at {} has too many fields", message.start));
        }
        let field = field(file, start..message.end)?;
        start = field.whole.end;
        fields.push(field);
    }
    Ok(fields)
}

/// The first field of what is left of a message.
fn field(file: &File, rest: Range<u64>) -> Result<Field, String> {
    let broken = || format!("the field at {} is broken", rest.start);
    let header = read(file, rest.start..rest.end.min(rest.start + HEADER))?;
    let (tag, behind_tag) = parse(&header).ok_or_else(broken)?;
    let number = || parse(&header[behind_tag..]).ok_or_else(broken);
    let begun = rest.start + behind_tag as u64;
    let (end, content, value) = match tag & 7 {
        0 => {
            let (value, digits) = number()?;
            (Some(begun + digits as u64), None, Some(value))
        }
        1 => (Some(begun + 8), None, None),
        2 => {
            let (length, digits) = number()?;
            let content = begun + digits as u64;
            let end = content.checked_add(length);
            (end, end.map(|end| content..end), None)
        }
        5 => (Some(begun + 4), None, None),
        _ => (None, None, None),
    };
    let end = end.filter(|end| *end <= rest.end).ok_or_else(broken)?;
    Ok(Field { number: tag >> 3, whole: rest.start..end, content, value })
}

/// A number and how many bytes it takes.
fn parse(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let digits = bytes[..length].iter().enumerate();
    Some((digits.fold(0, |value, (place, byte)| value | u64::from(byte & 0x7f) << (7 * place)), length))
}

/// Numbers that lie behind each other in one field.
pub(crate) fn packed(file: &File, place: Range<u64>) -> Result<Vec<u64>, String> {
    let bytes = read(file, place)?;
    let (mut rest, mut numbers) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (number, digits) = parse(rest).ok_or("a list of numbers is broken")?;
        numbers.push(number);
        rest = &rest[digits..];
    }
    Ok(numbers)
}

/// The bytes at a place of a file.
pub(crate) fn read(file: &File, place: Range<u64>) -> Result<Vec<u8>, String> {
    let size = usize::try_from(place.end - place.start).map_err(|error| error.to_string())?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place.start).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn found(content: &[u8]) -> Result<Vec<Field>, String> {
        fields(&file(content), 0..content.len() as u64)
    }

    #[test]
    fn what_is_written_is_found() {
        let long = vec![7; 300];
        let written =
            [number(3, 1 << 40), bytes(9, &long), vec![5 << 3 | 5, 0, 0, 0, 0], bytes(1, b"")].concat();
        let fields = found(&written).unwrap();
        assert_eq!(fields.iter().map(|field| field.number).collect::<Vec<_>>(), [3, 9, 5, 1]);
        assert_eq!(read(&file(&written), fields[1].content.clone().unwrap()).unwrap(), long);
        assert_eq!(fields[3].content, Some(written.len() as u64..written.len() as u64));
        assert_eq!(fields.last().unwrap().whole.end, written.len() as u64);
    }

    #[test]
    fn a_field_that_ends_behind_its_message_is_refused() {
        let endless = [0xff; 30];
        let cut = bytes(9, &[0; 40]);
        let huge = [&[9 << 3 | 2][..], &[0xff; 9], &[1]].concat();
        for broken in [&endless[..], &cut[..20], &huge, &[1 << 3 | 1, 0], &[1 << 3 | 3]] {
            assert!(found(broken).unwrap_err().contains("is broken"), "{broken:?}");
        }
    }
}
