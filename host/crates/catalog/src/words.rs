//! How text falls into words: the same for every store, so that all find the same.

mod distance;
mod fold;
mod language;
mod settings;
mod vocabularies;
mod vocabulary;
mod wanted;

pub use self::{
    fold::fold,
    language::{Language, Languages, MAX_LANGUAGES, UnknownLanguage},
    settings::{
        InvalidSynonyms, MAX_PHRASE_WORDS, MAX_SYNONYM_WORDS, MAX_SYNONYMS, Synonyms, WordRules, WordSettings,
    },
    vocabularies::{Known, Vocabularies},
    vocabulary::Vocabulary,
    wanted::{Instead, Wanted},
};

/// Words of a query that count; a sentence has fewer.
pub const MAX_WORDS: usize = 32;
/// Characters of a word that count.
pub const MAX_WORD_CHARS: usize = 64;
/// Letters from which on a word finds longer ones that begin with it.
pub const MIN_PREFIX: usize = 4;

/// Characters of scripts that are written without spaces and read by pairs.
pub fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3005}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{323af}')
}

/// Characters that end a word. Others that are no letters, such as symbols, are left to the store.
pub fn separates(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || c.is_ascii_punctuation()
        || matches!(c, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{3004}' | '\u{3006}'..='\u{303f}'
            | '\u{30fb}' | '\u{ff00}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff5b}'..='\u{ff65}')
}

/// Stretches of `text` that are all of unspaced scripts, or all not.
pub fn runs(text: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind = is_unspaced(first);
        let end = rest.find(|c| is_unspaced(c) != kind).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        runs.push(run);
        rest = after;
    }
    runs
}

/// Neighbouring characters of an unspaced run, overlapping; none in a run of one.
pub fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<_> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
    (2..starts.len()).map(move |end| &run[starts[end - 2]..starts[end]])
}

/// The words of a text: pieces between separators, cut where a script without spaces begins or ends, that have a letter
/// or digit in them.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(separates).flat_map(runs).filter(|word| word.contains(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_separators_and_where_the_script_changes() {
        assert_eq!(words("赤いTシャツ, a-b 。*").collect::<Vec<_>>(), ["赤い", "T", "シャツ", "a", "b"]);
    }

    #[test]
    fn a_run_is_read_by_overlapping_pairs() {
        assert_eq!(pairs("防水背").collect::<Vec<_>>(), ["防水", "水背"]);
        assert_eq!(pairs("防").count(), 0);
    }
}
