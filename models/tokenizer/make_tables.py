"""Writes host/crates/clip/src/text/mojibake/tables.rs from the tables of the Python package ftfy (Apache-2.0).

    pip install ftfy==6.3.1 && python make_tables.py

The regular expressions lose their layout and comments, and what Python's `re` and Rust's `regex` read differently
is spelled out: `\\s` and `\\w` outside of classes, spaces and other characters inside.
"""

from pathlib import Path

import ftfy.bad_codecs
from ftfy.badness import BADNESS_RE
from ftfy.chardata import CHARMAP_ENCODINGS, UTF8_CLUES, UTF8_DETECTOR_RE

TARGET = Path(__file__).parents[2] / "host/crates/clip/src/text/mojibake/tables.rs"

HEADER = """\
//! Tables of ftfy 6.3.1 (Copyright 2023 Robyn Speer, Apache-2.0), written by `models/tokenizer/make_tables.py`.

"""

# Python's str.isspace and str.isalnum, where Rust's classes of the same letter differ.
SPACE = r"[\s\x1c-\x1f]"
WORD = r"[\p{L}\p{N}_]"


def flattened(pattern):
    """A verbose pattern on one line."""
    out, inside, position = [], False, 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            pair = pattern[position : position + 2]
            out.append({r"\s": SPACE, r"\w": WORD}.get(pair, pair) if not inside else pair)
            position += 2
            continue
        if char == "#" and not inside:
            position = pattern.index("\n", position)
            continue
        if not (char.isspace() and char != "\xa0" and not inside):
            out.append(escaped(char, inside))
        inside = {"[": True, "]": False}.get(char, inside)
        position += 1
    return "".join(out)


def escaped(char, inside):
    if char == " " and inside:
        return r"\x20"
    return char if char.isascii() and char.isprintable() else f"\\x{{{ord(char):x}}}"


def literal(text):
    plain = lambda char: char if char.isprintable() and char not in "\"\\" else f"\\u{{{ord(char):x}}}"
    return '"' + "".join(map(plain, text)) + '"'


def charmap(encoding):
    return bytes(range(0x80, 0x100)).decode(encoding)


def main():
    ftfy.bad_codecs.ok()
    lookbehind, _, rest = UTF8_DETECTOR_RE.pattern.partition("])")
    assert lookbehind.split() == ["(?<!", "[" + UTF8_CLUES["utf8_continuation_strict"]], "the lookbehind moved"
    clue = flattened("^" + rest)
    strict = flattened("[" + UTF8_CLUES["utf8_continuation_strict"] + "]")
    lines = [HEADER]
    lines.append("/// Finds sequences of characters that are much more likely mojibake than meant.\n")
    lines.append(f"pub(super) const BADNESS: &str = r\"{flattened(BADNESS_RE.pattern)}\";\n\n")
    lines.append("/// Matches, at the start, what looks like UTF-8 read in another encoding.\n")
    lines.append(f"pub(super) const UTF8_CLUE: &str = r\"{clue}\";\n\n")
    lines.append("/// A character that must not stand before such a sequence.\n")
    lines.append(f"pub(super) const UTF8_CONTINUATION_STRICT: &str = r\"{strict}\";\n\n")
    lines.append("/// What bytes 0x80 to 0xFF mean in each single-byte encoding, in the order they are tried; the flag says\n")
    lines.append("/// whether byte 0x1A stands for U+FFFD there (ftfy's \"sloppy\" codecs).\n")
    lines.append(f"pub(super) const CHARMAPS: [(&str, bool, &str); {len(CHARMAP_ENCODINGS)}] = [\n")
    for encoding in CHARMAP_ENCODINGS:
        sloppy = "true" if encoding.startswith("sloppy") else "false"
        lines.append(f'    ("{encoding}", {sloppy}, {literal(charmap(encoding))}),\n')
    lines.append("];\n")
    TARGET.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
