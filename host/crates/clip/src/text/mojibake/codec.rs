//! Text back to the bytes it was wrongly read from, and bytes to the text they were meant as.

use std::{collections::HashMap, sync::LazyLock};

use regex::bytes::{Captures, Regex};

use super::tables::CHARMAPS;

/// A single-byte encoding.
pub(super) struct Charmap {
    pub(super) name: &'static str,
    /// Byte 0x1A stands for U+FFFD, and every byte means something.
    pub(super) sloppy: bool,
    high: Vec<char>,
    bytes: HashMap<char, u8>,
}

/// In the order they are tried.
pub(super) static CHARMAPS_IN_ORDER: LazyLock<Vec<Charmap>> = LazyLock::new(|| {
    let charmap = |(name, sloppy, high): &(&'static str, bool, &str)| {
        let high: Vec<char> = high.chars().collect();
        let bytes = high.iter().zip(0x80..=0xff).map(|(char, byte)| (*char, byte)).collect();
        Charmap { name, sloppy: *sloppy, high, bytes }
    };
    CHARMAPS.iter().map(charmap).collect()
});

impl Charmap {
    /// The bytes that read as this text; none when the encoding lacks a character.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|char| self.byte(char)).collect()
    }

    fn byte(&self, char: char) -> Option<u8> {
        match char {
            '\u{1a}' => (!self.sloppy).then_some(0x1a),
            '\u{fffd}' if self.sloppy => Some(0x1a),
            '\0'..='\x7f' => Some(char as u8),
            _ => self.bytes.get(&char).copied(),
        }
    }

    /// What a byte from 0x80 on means.
    pub(super) fn high(&self, byte: u8) -> char {
        self.high[usize::from(byte - 0x80)]
    }
}

/// Sequences that would be UTF-8 if a space were a no-break space's last byte.
static ALTERED: LazyLock<Regex> = LazyLock::new(|| {
    bytes_regex(concat!(
        r"[\xc2\xc3\xc5\xce\xd0\xd9][ ]",
        r"|[\xe2\xe3][ ][\x80-\x84\x86-\x9f\xa1-\xbf]",
        r"|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf][ ]",
        r"|[\xf0][ ][\x80-\xbf][\x80-\xbf]",
        r"|[\xf0][\x80-\xbf][ ][\x80-\xbf]",
        r"|[\xf0][\x80-\xbf][\x80-\xbf][ ]",
    ))
});

/// UTF-8 and CESU-8 sequences of which bytes were lost.
static LOSSY: LazyLock<Regex> = LazyLock::new(|| {
    bytes_regex(concat!(
        r"[\xc2-\xdf][\x1a]|[\xc2-\xc3][?]",
        r"|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]",
        r"|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]",
        r"|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]",
        r"|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]",
        r"|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]",
        r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]",
        r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]",
        r"|\x1a",
    ))
});

fn bytes_regex(pattern: &str) -> Regex {
    Regex::new(&format!("(?s-u){pattern}")).expect("the pattern is constant")
}

/// The text that was read in `charmap`, if those bytes are UTF-8 or nearly so.
pub(super) fn decode_as_utf8(text: &str, charmap: &Charmap) -> Option<String> {
    let mut bytes = charmap.encode(text)?;
    // In MacRoman it would match a dash before a space.
    if charmap.name != "macroman" && ALTERED.is_match(&bytes) {
        bytes = restore_no_break_spaces(&bytes);
    }
    if charmap.sloppy {
        bytes = LOSSY.replace_all(&bytes, "\u{fffd}".as_bytes()).into_owned();
    }
    decode_variants(&bytes)
}

/// Puts back no-break spaces that became spaces. "Ã " as a word of its own becomes "à" and keeps its space.
fn restore_no_break_spaces(bytes: &[u8]) -> Vec<u8> {
    let mut restored = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        restored.push(*byte);
        rest = after;
        if let (0xc3, Some(following)) = (*byte, after.strip_prefix(b" ")) {
            let contraction = |word: &&[u8]| following.starts_with(word);
            if ![&b" "[..], b"quele", b"quela", b"quilo", b"s "].iter().any(contraction) {
                restored.extend(b"\xa0 ");
                rest = following;
            }
        }
    }
    let with_a0 = |found: &Captures<'_>| {
        found[0].iter().map(|b| if *b == b' ' { 0xa0 } else { *b }).collect::<Vec<u8>>()
    };
    ALTERED.replace_all(&restored, with_a0).into_owned()
}

/// UTF-8, CESU-8 (surrogates encoded one by one) and Java's two-byte NUL.
fn decode_variants(bytes: &[u8]) -> Option<String> {
    if !bytes.iter().any(|byte| matches!(byte, 0xed | 0xc0)) {
        return std::str::from_utf8(bytes).ok().map(str::to_owned);
    }
    let mut text = String::new();
    let mut plain = 0;
    let mut at = 0;
    while at < bytes.len() {
        let Some((char, len)) = variant(&bytes[at..]) else {
            at += 1;
            continue;
        };
        text.push_str(std::str::from_utf8(&bytes[plain..at]).ok()?);
        text.push(char);
        at += len;
        plain = at;
    }
    text.push_str(std::str::from_utf8(&bytes[plain..]).ok()?);
    Some(text)
}

/// A character that standard UTF-8 would not take, and its length in bytes.
fn variant(bytes: &[u8]) -> Option<(char, usize)> {
    match bytes {
        [0xc0, 0x80, ..] => Some(('\0', 2)),
        [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf, ..] => {
            let bits = |byte: u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
            let code =
                bits(*a, 0x0f, 16) + bits(*b, 0x3f, 10) + bits(*c, 0x0f, 6) + bits(*d, 0x3f, 0) + 0x1_0000;
            char::from_u32(code).map(|char| (char, 6))
        }
        _ => None,
    }
}

/// Text in Latin-1 that was meant as Windows-1252; none when that has no such character.
pub(super) fn latin1_as_windows_1252(text: &str) -> Option<String> {
    let sloppy = &CHARMAPS_IN_ORDER[1];
    let swap = |char: char| match char {
        '\u{81}' | '\u{8d}' | '\u{8f}' | '\u{90}' | '\u{9d}' => None,
        '\u{80}'..='\u{ff}' => Some(sloppy.high(char as u32 as u8)),
        _ => Some(char),
    };
    text.chars().map(swap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_charmap_is_windows_1252() {
        assert_eq!(CHARMAPS_IN_ORDER[1].name, "sloppy-windows-1252");
        assert_eq!(CHARMAPS_IN_ORDER[1].high(0x80), '€');
        assert!(CHARMAPS_IN_ORDER.iter().all(|charmap| charmap.high.len() == 128));
    }

    #[test]
    fn surrogates_encoded_one_by_one_are_joined() {
        assert_eq!(decode_variants(b"a\xed\xa0\xbd\xed\xb8\x8d\xc0\x80"), Some("a😍\0".into()));
        assert_eq!(decode_variants(b"\xed\xa0\xbd"), None);
        assert_eq!(decode_variants("\u{d55c}".as_bytes()), Some("\u{d55c}".into()));
    }
}
