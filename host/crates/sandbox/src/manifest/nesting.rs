//! How deep a TOML text nests, told without building what it says. The parser bounds brackets and dotted keys each by
//! itself, but not brackets full of dotted keys: those nest by thousands, and reading or dropping them takes more
//! stack than a thread has, which would end the whole process.

/// A bracket that is open, and the levels that it and the key before it add.
struct Open {
    closed_by: u8,
    levels: usize,
}

/// The deepest nesting by brackets and dots, at least; more where brackets are not closed.
pub(super) fn nesting(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut open: Vec<Open> = Vec::new();
    let (mut depth, mut dots, mut deepest) = (0_usize, 0_usize, 0_usize);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'.' => dots += 1,
            b'{' | b'[' => {
                open.push(Open { closed_by: byte + 2, levels: dots + 1 });
                depth += dots + 1;
                dots = 0;
            }
            b'}' | b']' => {
                if let Some(last) = open.pop_if(|last| last.closed_by == byte) {
                    depth -= last.levels;
                    dots = 0;
                }
            }
            b',' => dots = 0,
            // Within brackets a line may end where a key does not.
            b'\n' if open.is_empty() => dots = 0,
            _ => {}
        }
        deepest = deepest.max(depth + dots);
        at += 1;
    }
    deepest
}

/// The place after a string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let long = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if long { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && quote == b'"' {
            at += 2;
        } else if long && bytes[at..].starts_with(&[quote; 3]) {
            // One or two more belong to the text.
            let quotes = bytes[at..].iter().take(5).take_while(|b| **b == quote).count();
            return at + quotes;
        } else if !long && (byte == quote || byte == b'\n') {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("a = 1\nb.c = 2\n", 1)]
    #[case("[a.b.c]\nd = [1.5, 2.5]\n", 3)]
    #[case("a = { b.c = { d = [{ e = 1 }] } }", 5)]
    #[case("a = \"{{{{ ... \\\" [[[\" # {{{{", 0)]
    #[case("a = '''\n{{{{''''' \nb = \"\"\"\\\"\"\"{{\"\"\"\"\nc = \"\"\nd = {}", 1)]
    #[case("a = 'no end {{\nb = {}", 1)]
    #[case("a = [\n  1.5,\n  2.5,\n]\nb = [\"x.y.z\"]", 2)]
    #[case("", 0)]
    fn strings_and_comments_do_not_count(#[case] text: &str, #[case] levels: usize) {
        assert_eq!(nesting(text), levels);
    }
}
