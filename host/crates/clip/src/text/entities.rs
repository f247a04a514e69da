//! HTML character references, decoded exactly as Python's `html.unescape` does.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

/// A reference; names reach up to 32 characters, and the semicolon may be missing.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)").expect("the pattern is constant")
});

/// What numbers 0x80 to 0x9F stand for: those of Windows-1252, where it has them.
const C1: [u32; 32] = [
    0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d,
    0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a,
    0x153, 0x9d, 0x17e, 0x178,
];

/// The text with every character reference replaced.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    REFERENCE.replace_all(text, |found: &Captures<'_>| replacement(&found[1]))
}

fn replacement(reference: &str) -> String {
    match reference.strip_prefix('#') {
        Some(number) => numeric(number.trim_end_matches(';')).map_or_else(String::new, String::from),
        None => named(reference),
    }
}

/// None for a character that HTML forbids.
fn numeric(number: &str) -> Option<char> {
    let digits = number.strip_prefix(['x', 'X']);
    // A number too long for 32 bits is as much beyond Unicode as the largest that fits.
    let code = match digits {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    }
    .unwrap_or(u32::MAX);
    match code {
        0 => Some(char::REPLACEMENT_CHARACTER),
        0x0d => Some('\r'),
        0x80..=0x9f => char::from_u32(C1[code as usize - 0x80]),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if code <= 0x10_ffff && code & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

/// The longest known name that `reference` begins with is replaced; one without any stays as it is.
fn named(reference: &str) -> String {
    let ends = reference.char_indices().map(|(end, _)| end).skip(2).chain([reference.len()]);
    for end in ends.collect::<Vec<_>>().into_iter().rev() {
        if let Some(text) = lookup(&reference[..end]) {
            return format!("{text}{}", &reference[end..]);
        }
    }
    format!("&{reference}")
}

/// What a name stands for; the name comes without the ampersand, and with the semicolon where it has one.
fn lookup(name: &str) -> Option<&'static str> {
    let key = [b"&", name.as_bytes()].concat();
    htmlize::ENTITIES.get(key.as_slice()).and_then(|expansion| std::str::from_utf8(expansion).ok())
}

/// All known names with a semicolon, without the ampersand, and what they stand for.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    htmlize::ENTITIES.entries().filter_map(|(name, expansion)| {
        let name = std::str::from_utf8(name).ok()?.strip_prefix('&')?;
        name.ends_with(';').then_some((name, std::str::from_utf8(expansion).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("&amp;&lt;&eacute;", "&<é"),
            ("&notit; &notin; &copy2024 &amp", "¬it; ∉ ©2024 &"),
            ("&#233;&#xE9&#128;&#x81;", "éé€\u{81}"),
            ("&#0;&#xD800;&#x110000;&#99999999999;", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("&#1;&#xFFFE;&#x1FFFF;|&#;&#x;&;&", "|&#;&#x;&;&"),
            ("&bogus; & &é", "&bogus; & &é"),
            ("&amp;amp;", "&amp;"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }
}
