//! Custom sections at the top level of a component binary.

use std::ops::Range;

use wasmparser::Parser;

/// Magic number and version.
const HEADER: usize = 8;
/// Identifier of a custom section.
const CUSTOM: u8 = 0;

/// Bytes that are no component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBinary {
    /// A core module, as built without a component target.
    #[error(
        "file is a core module, not a component: build for wasm32-wasip2, or make it one with `wasm-tools component new`"
    )]
    CoreModule,
    /// Machine code of some other host.
    #[error(
        "file is precompiled machine code, not a component: bring the component that it was compiled from"
    )]
    Precompiled,
    /// Something else.
    #[error(
        "file is not a WebAssembly component: bring what the build for wasm32-wasip2 leaves, or componentize-js or -py"
    )]
    Foreign,
    /// Cut short or damaged, from this byte on.
    #[error("file is damaged: the section at byte {0} is cut short: pack it again, and bring the whole file")]
    Damaged(usize),
}

/// Looks at the first bytes: is it a component at all?
pub(crate) fn check_component(bytes: &[u8]) -> Result<(), InvalidBinary> {
    if Parser::is_component(bytes) {
        Ok(())
    } else if Parser::is_core_wasm(bytes) {
        Err(InvalidBinary::CoreModule)
    } else if bytes.starts_with(b"\x7fELF") {
        Err(InvalidBinary::Precompiled)
    } else {
        Err(InvalidBinary::Foreign)
    }
}

/// One section of the top level. Nested modules and components are sections themselves and are not entered.
struct Section {
    /// With id and length.
    whole: Range<usize>,
    id: u8,
    content: Range<usize>,
}

/// The content of the last section named `name`, if there is one.
pub(crate) fn find<'a>(bytes: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, InvalidBinary> {
    let mut found = None;
    for section in sections(bytes)? {
        let section = section?;
        found = custom(&bytes[section.content], section.id, name).or(found);
    }
    Ok(found)
}

/// The component with `data` in a section named `name`, and no other section of that name.
pub(crate) fn replace(bytes: &[u8], name: &str, data: &[u8]) -> Result<Vec<u8>, InvalidBinary> {
    let mut out = Vec::with_capacity(bytes.len() + data.len() + name.len() + 16);
    out.extend_from_slice(&bytes[..HEADER.min(bytes.len())]);
    for section in sections(bytes)? {
        let section = section?;
        if custom(&bytes[section.content], section.id, name).is_none() {
            out.extend_from_slice(&bytes[section.whole]);
        }
    }
    let mut content = Vec::with_capacity(data.len() + name.len() + 8);
    push_leb(&mut content, name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data);
    out.push(CUSTOM);
    push_leb(&mut out, content.len());
    out.extend(content);
    Ok(out)
}

/// Splits the top level, one section at a time: a file of millions of empty ones takes no memory.
fn sections(bytes: &[u8]) -> Result<impl Iterator<Item = Result<Section, InvalidBinary>>, InvalidBinary> {
    check_component(bytes)?;
    let mut at = HEADER;
    Ok(std::iter::from_fn(move || {
        let section = section(bytes, at).transpose()?;
        // Nothing comes after what is damaged.
        at = section.as_ref().map_or(bytes.len(), |section| section.whole.end);
        Some(section)
    }))
}

/// The section at a place, which is one byte of id, its length, and that many bytes; none at the end.
fn section(bytes: &[u8], at: usize) -> Result<Option<Section>, InvalidBinary> {
    let Some(&id) = bytes.get(at) else { return Ok(None) };
    let damaged = || InvalidBinary::Damaged(at);
    let (length, width) = read_leb(&bytes[at + 1..]).ok_or_else(damaged)?;
    let start = at + 1 + width;
    let end = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(damaged)?;
    Ok(Some(Section { whole: at..end, id, content: start..end }))
}

/// What a custom section of this name holds; none for any other section.
fn custom<'a>(content: &'a [u8], id: u8, name: &str) -> Option<&'a [u8]> {
    let (length, width) = read_leb(content)?;
    let name_end = width.checked_add(length)?;
    (id == CUSTOM && content.get(width..name_end)? == name.as_bytes()).then(|| &content[name_end..])
}

fn read_leb(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

fn push_leb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_replaced_and_the_rest_untouched() {
        let bare = wat::parse_str("(component (core module (func)))").unwrap();
        let long = vec![7; 40_000];
        let once = replace(&bare, "a", &long).unwrap();
        let twice = replace(&replace(&once, "b", b"keep").unwrap(), "a", b"new").unwrap();
        assert_eq!(find(&twice, "a").unwrap(), Some(&b"new"[..]));
        assert_eq!(find(&twice, "b").unwrap(), Some(&b"keep"[..]));
        assert_eq!(&twice[..bare.len()], &bare[..]);
        assert!(twice.len() < bare.len() + 30);
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert_eq!(check_component(&wat::parse_str("(module)").unwrap()), Err(InvalidBinary::CoreModule));
        assert_eq!(check_component(b"\x7fELF\x02\x01"), Err(InvalidBinary::Precompiled));
        assert_eq!(check_component(b"GIF89a"), Err(InvalidBinary::Foreign));
        let whole = wat::parse_str("(component (core module (func)))").unwrap();
        assert!(matches!(find(&whole[..whole.len() - 3], "a"), Err(InvalidBinary::Damaged(_))));
    }
}
