//! Repairs text as `ftfy.fix_text` does, which CLIP's tokenizer runs first: wrongly decoded UTF-8, HTML entities,
//! curly quotes, ligatures, widths, line breaks and control characters, then NFC.
//!
//! After ftfy 6.3.1 (Copyright 2023 Robyn Speer, Apache-2.0), with its default configuration.

mod codec;
mod tables;

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use regex::{Captures, Regex};
use unicode_normalization::UnicodeNormalization;

use super::entities;
use codec::{CHARMAPS_IN_ORDER, decode_as_utf8, latin1_as_windows_1252};

/// Passes over one line until it no longer changes. Real text needs two or three; without a bound a text made for the
/// purpose (`&amp;amp;amp;...`) would take one per four characters.
const MAX_PASSES: usize = 64;
/// Nesting of wrongly decoded parts inside wrongly decoded parts.
const MAX_DEPTH: usize = 8;

static BADNESS: LazyLock<Regex> = LazyLock::new(|| regex(tables::BADNESS));
static UTF8_CLUE: LazyLock<Regex> = LazyLock::new(|| regex(tables::UTF8_CLUE));
static CONTINUATION: LazyLock<Regex> = LazyLock::new(|| regex(tables::UTF8_CONTINUATION_STRICT));
static ENTITY: LazyLock<Regex> = LazyLock::new(|| regex("&#?[0-9A-Za-z]{1,24};"));
static TERMINAL_ESCAPE: LazyLock<Regex> = LazyLock::new(|| regex(r"\x1b\[((?:\d|;)*)([a-zA-Z])"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

/// Repairs every line on its own. Entities are left alone from the first line on that holds a `<`.
pub(super) fn fix_text(text: &str) -> String {
    let mut unescape = true;
    let fix = |line| {
        unescape &= !str::contains(line, '<');
        fix_line(line, unescape)
    };
    text.split_inclusive('\n').map(fix).collect()
}

fn fix_line(line: &str, unescape: bool) -> String {
    let mut text = line.to_owned();
    for _ in 0..MAX_PASSES {
        let mut fixed = if unescape { unescape_html(&text).into_owned() } else { text.clone() };
        fixed = fix_encoding(fixed, 0);
        fixed = fixed.chars().fold(String::with_capacity(fixed.len()), fix_char);
        fixed = fix_line_breaks(&fixed);
        fixed = TERMINAL_ESCAPE.replace_all(&fixed, "").into_owned();
        fixed = fixed.chars().filter(|char| !is_control(*char)).nfc().collect();
        if fixed == text {
            break;
        }
        text = fixed;
    }
    text
}

/// Names in upper case that stand for an upper-case character, though HTML does not know them so.
static UPPER_ENTITIES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let upper = |(name, text): (&str, &str)| {
        let reference = format!("&{}", name.to_uppercase());
        let unknown = name == name.to_lowercase() && entities::unescape(&reference) == reference;
        unknown.then(|| (reference, text.to_uppercase()))
    };
    entities::all().filter_map(upper).collect()
});

/// Only whole references that end in a semicolon, so that "this&not that" stays.
fn unescape_html(text: &str) -> Cow<'_, str> {
    ENTITY.replace_all(text, |found: &Captures<'_>| {
        let reference = &found[0];
        let text = entities::unescape(reference);
        match (text.contains(';'), UPPER_ENTITIES.get(reference)) {
            (false, _) => text.into_owned(),
            (true, Some(upper)) => upper.clone(),
            // Only a part of it was a reference, or it stands for a semicolon.
            (true, None) => exact_entity(reference, &text),
        }
    })
}

/// A named reference may stand for a text with a semicolon in it; anything else is left as it was.
fn exact_entity(reference: &str, text: &str) -> String {
    if reference == "&semi;" { text.to_owned() } else { reference.to_owned() }
}

fn fix_encoding(mut text: String, depth: usize) -> String {
    for _ in 0..MAX_PASSES {
        match fix_encoding_once(&text, depth) {
            Some(fixed) if fixed != text => text = fixed,
            _ => break,
        }
    }
    text
}

/// One step, if there is anything to fix.
fn fix_encoding_once(text: &str, depth: usize) -> Option<String> {
    if text.is_ascii() || !BADNESS.is_match(text) {
        return None;
    }
    if let Some(fixed) = CHARMAPS_IN_ORDER.iter().find_map(|charmap| decode_as_utf8(text, charmap)) {
        return Some(fixed);
    }
    if depth < MAX_DEPTH
        && let Some(fixed) = fix_embedded(text, depth).filter(|fixed| fixed != text)
    {
        return Some(fixed);
    }
    let latin1 = text.chars().all(|char| char <= '\u{ff}');
    if latin1 && let Some(fixed) = latin1_as_windows_1252(text).filter(|fixed| fixed != text) {
        return Some(fixed);
    }
    text.contains(is_c1).then(|| text.chars().map(c1_as_windows_1252).collect())
}

/// Decodes the parts that look like UTF-8 read in another encoding; none when there is no such part.
fn fix_embedded(text: &str, depth: usize) -> Option<String> {
    let mut fixed = String::with_capacity(text.len());
    let (mut at, mut found) = (0, false);
    let mut previous = None;
    while let Some(char) = text[at..].chars().next() {
        let garbled = previous.is_some_and(|char: char| CONTINUATION.is_match(char.encode_utf8(&mut [0; 4])));
        let part = if garbled { None } else { UTF8_CLUE.find(&text[at..]) };
        let len = match part {
            Some(part) => {
                found = true;
                let repair = part.len() < text.len() && BADNESS.is_match(part.as_str());
                let whole = part.as_str().to_owned();
                fixed.push_str(&if repair { fix_encoding(whole, depth + 1) } else { whole });
                part.len()
            }
            None => {
                fixed.push(char);
                char.len_utf8()
            }
        };
        previous = text[at..at + len].chars().next_back();
        at += len;
    }
    found.then_some(fixed)
}

fn is_c1(char: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&char)
}

fn c1_as_windows_1252(char: char) -> char {
    if is_c1(char) { CHARMAPS_IN_ORDER[1].high(char as u32 as u8) } else { char }
}

/// The fixes that look at one character: C1 controls, ligatures, widths, quotes, in this order.
fn fix_char(mut text: String, char: char) -> String {
    let char = c1_as_windows_1252(char);
    match char {
        '\u{3000}' => text.push(' '),
        '\u{ff01}'..='\u{ffef}' => text.extend(char.to_string().nfkc()),
        _ => match ligature(char) {
            Some(letters) => text.extend(letters.chars().map(straight)),
            None => text.push(straight(char)),
        },
    }
    text
}

fn straight(char: char) -> char {
    match char {
        '\u{02bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        _ => char,
    }
}

/// The letters that a ligature or digraph of Latin letters is made of.
fn ligature(char: char) -> Option<&'static str> {
    Some(match char {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "ʼn",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

fn fix_line_breaks(text: &str) -> String {
    text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n")
}

/// Controls that nobody means, joiners, direction marks and C1 excepted.
fn is_control(char: char) -> bool {
    matches!(char, '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ftfy_promises_in_its_own_manual_holds() {
        for (text, expected) in [
            ("âœ” No problems", "✔ No problems"),
            ("&macr;\\_(ã\u{83}\u{84})_/&macr;", "¯\\_(ツ)_/¯"),
            ("Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "Broken text… it's flubberific!"),
            ("ＬＯＵＤ　ＮＯＩＳＥＳ", "LOUD NOISES"),
            ("voilÃ le travail", "voilà le travail"),
            ("P&EACUTE;REZ BUNDESSTRA&SZLIG;E", "PÉREZ BUNDESSTRASSE"),
            ("this&not that", "this&not that"),
            ("<b>&eacute;", "<b>&eacute;"),
            ("\u{1b}[36;44mI'm blue\u{1b}[0m", "I'm blue"),
        ] {
            assert_eq!(fix_text(text), expected, "{text}");
        }
    }

    #[test]
    fn text_made_to_need_many_passes_costs_a_bounded_number() {
        let text = format!("&{}lt;", "amp;".repeat(16_000));
        assert!(fix_text(&text).len() > 63_000 - 4 * MAX_PASSES);
    }
}
