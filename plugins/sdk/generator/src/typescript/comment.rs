//! Doc comments.

use wit_parser::{Docs, TypeDefKind};

use crate::contract::one_line;

/// What the cases of a type mean, as a list: an editor shows no comments inside of a union.
pub(super) fn cases(kind: &TypeDefKind) -> Vec<String> {
    let cases: Vec<(&str, &Docs)> = match kind {
        TypeDefKind::Enum(all) => all.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect(),
        TypeDefKind::Variant(all) => all.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect(),
        _ => Vec::new(),
    };
    let told = cases.into_iter().filter(|(_, docs)| !docs.is_empty());
    let told: Vec<_> = told.map(|(name, docs)| format!("- `{name}`: {}", one_line(docs))).collect();
    if told.is_empty() { told } else { [vec![String::new()], told].concat() }
}

/// What the contract says where a number is missing.
const NONE: &str = "`4294967295`";
/// What there is to know of it in JavaScript: numbers of 32 bits arrive with a sign.
const NONE_HERE: &str = "`4294967295` (arrives as `-1`: see `isNone`)";

/// A doc comment, or nothing.
pub(super) fn comment(indent: &str, text: &[&str]) -> String {
    let text: Vec<_> = text.iter().map(|line| line.replace("*/", "* /").replace(NONE, NONE_HERE)).collect();
    match text.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let line = |line: &String| format!("{indent} * {line}").trim_end().to_owned() + "\n";
            let lines: String = lines.iter().map(line).collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}
