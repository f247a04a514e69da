//! Keyword search: how text is put into the index and how a shopper's words are asked of it.
//!
//! - A product is found by any word of the query. Words are compared without case and diacritics, and by their
//!   English stem ("shoes" finds "shoe"); stemming touches only plain Latin letters and happens on both sides alike,
//!   so words of other languages still find themselves. A word of four letters or more also finds longer words that
//!   begin with it, which serves languages that inflect by endings.
//! - Relevance is BM25 with the name counting [`NAME_WEIGHT`] times, plus [`ALL_WORDS_BONUS`] when every word is there.
//!   BM25's statistics are those of all shops together.
//! - Chinese, Japanese and Korean runs, which have no spaces, are indexed as overlapping pairs of characters; a query's
//!   run asks for its pairs, and a single character for pairs that begin with it.
//! - When no word finds anything, products come whose text has all three-letter pieces of a word: a part of a compound.
//! - What a shopper types is only ever a quoted string to FTS5: it has no operators.

use std::fmt::Write as _;

use rusqlite::Connection;
use taja_catalog::{
    Filter, PortResult, ProductId, TenantId,
    words::{MAX_WORD_CHARS, MAX_WORDS, MIN_PREFIX, is_unspaced, pairs, runs, words},
};

use crate::{
    error::{damaged, sqlite},
    filter::{Bindings, condition},
};

/// How much a word in the name counts beside one in the text.
const NAME_WEIGHT: f64 = 3.0;
/// What having every word adds; a rare word alone scores 3 to 10.
const ALL_WORDS_BONUS: f64 = 2.0;
/// Relevance of a product that was found by pieces of a word: below that of any word.
const PIECES_RELEVANCE: f32 = 1e-9;

/// The columns of `words` for one product: shop, name and text.
pub(crate) fn index_columns(tenant: &TenantId, name: &str, text: &str) -> [String; 3] {
    [tenant_token(tenant), for_index(name), for_index(text)]
}

/// A shop as one word that no tokenizer splits and no stemmer shortens.
fn tenant_token(tenant: &TenantId) -> String {
    let mut token = String::from("x");
    for byte in tenant.as_str().bytes() {
        write!(token, "{byte:02x}").expect("writing to a string does not fail");
    }
    token + "0"
}

/// Text with unspaced runs as pairs, and each run's last character alone, so that a search for a single character
/// by prefix finds it wherever it stands.
fn for_index(text: &str) -> String {
    let mut indexed = String::with_capacity(text.len());
    for run in runs(text) {
        let Some(last) = run.chars().last().filter(|last| is_unspaced(*last)) else {
            indexed.push_str(run);
            continue;
        };
        indexed.push(' ');
        for pair in pairs(run) {
            indexed.push_str(pair);
            indexed.push(' ');
        }
        indexed.push(last);
        indexed.push(' ');
    }
    indexed
}

/// What one word of the query asks for, in FTS5's language.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    /// The expression.
    expression: String,
    /// The word, if its pieces may be looked for.
    word: Option<String>,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn asked(text: &str) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    for word in words(text) {
        for next in ask_for(word) {
            if all.len() == MAX_WORDS {
                return all;
            }
            if !all.contains(&next) {
                all.push(next);
            }
        }
    }
    all
}

fn ask_for(word: &str) -> Vec<Asked> {
    let expressions = |expression: String| Asked { expression, word: None };
    if word.starts_with(is_unspaced) {
        return match word.chars().nth(1) {
            None => vec![expressions(format!("{}*", quoted(word)))],
            Some(_) => pairs(word).take(MAX_WORDS).map(|pair| expressions(quoted(pair))).collect(),
        };
    }
    let word: String = word.to_lowercase().chars().take(MAX_WORD_CHARS).collect();
    let quote = quoted(&word);
    let long = word.chars().nth(MIN_PREFIX - 1).is_some();
    let expression = if long { format!("({quote} OR {quote}*)") } else { quote };
    vec![Asked { expression, word: Some(word) }]
}

/// A word by all its pieces of three characters; none when it is shorter than a prefix worth asking for.
fn pieces(word: &str) -> Option<String> {
    let chars: Vec<char> = word.chars().collect();
    let piece = |three: &[char]| quoted(&three.iter().collect::<String>());
    let all: Vec<_> = chars.windows(3).map(piece).collect();
    (chars.len() >= MIN_PREFIX).then(|| format!("({})", all.join(" AND ")))
}

/// Products found by words, or by pieces of words when there are none.
pub(crate) fn search(
    connection: &Connection,
    tenant: &TenantId,
    text: &str,
    filter: &Filter,
    limit: usize,
) -> PortResult<Vec<(ProductId, f32)>> {
    let asked = asked(text);
    if asked.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let found = by_words(connection, tenant, &asked, filter, limit)?;
    if found.is_empty() { by_pieces(connection, tenant, &asked, filter, limit) } else { Ok(found) }
}

fn by_words(
    connection: &Connection,
    tenant: &TenantId,
    asked: &[Asked],
    filter: &Filter,
    limit: usize,
) -> PortResult<Vec<(ProductId, f32)>> {
    let expression = |word: &str| {
        let terms: Vec<_> = asked.iter().map(|asked| asked.expression.as_str()).collect();
        format!("tenant : {} AND ({{name text}} : ({}))", tenant_token(tenant), terms.join(word))
    };
    let mut bindings = Bindings::default();
    let shop = bindings.bind(tenant.as_str().to_owned());
    let any = bindings.bind(expression(" OR "));
    let bonus = match asked.len() {
        1 => String::new(),
        _ => {
            let all = bindings.bind(expression(" AND "));
            format!(" + {ALL_WORDS_BONUS} * (w.rowid IN (SELECT rowid FROM words WHERE words MATCH {all}))")
        }
    };
    let passes = condition(filter, &shop, &mut bindings);
    let limit = bindings.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT p.id, -bm25(words, 0.0, {NAME_WEIGHT:.1}, 1.0){bonus} AS score
         FROM words w JOIN products p ON p.seq = w.rowid
         WHERE w.words MATCH {any} AND p.tenant = {shop} AND {passes}
         ORDER BY score DESC, p.seq DESC LIMIT {limit}"
    );
    collect(connection, &sql, &bindings)
}

fn by_pieces(
    connection: &Connection,
    tenant: &TenantId,
    asked: &[Asked],
    filter: &Filter,
    limit: usize,
) -> PortResult<Vec<(ProductId, f32)>> {
    let words: Vec<_> = asked.iter().filter_map(|asked| pieces(asked.word.as_ref()?)).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let mut bindings = Bindings::default();
    let shop = bindings.bind(tenant.as_str().to_owned());
    let any = bindings.bind(words.join(" OR "));
    let passes = condition(filter, &shop, &mut bindings);
    let limit = bindings.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT p.id, {PIECES_RELEVANCE} FROM pieces w JOIN products p ON p.seq = w.rowid
         WHERE w.pieces MATCH {any} AND p.tenant = {shop} AND {passes} ORDER BY p.seq DESC LIMIT {limit}"
    );
    collect(connection, &sql, &bindings)
}

fn collect(connection: &Connection, sql: &str, bindings: &Bindings) -> PortResult<Vec<(ProductId, f32)>> {
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&bindings.0)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let id: String = row.get(0).map_err(sqlite)?;
        let score: f64 = row.get(1).map_err(sqlite)?;
        found.push((id.parse().map_err(|error| damaged("product id", error))?, score as f32));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspaced_runs_become_pairs_and_a_last_character() {
        assert_eq!(
            for_index("防水背包").split_whitespace().collect::<Vec<_>>(),
            ["防水", "水背", "背包", "包"]
        );
        let mixed = for_index("赤いTシャツ x");
        assert_eq!(
            mixed.split_whitespace().collect::<Vec<_>>(),
            ["赤い", "い", "T", "シャ", "ャツ", "ツ", "x"]
        );
        assert_eq!(for_index("plain text"), "plain text");
    }

    #[test]
    fn everything_a_shopper_types_is_inside_quotes() {
        let hostile = "a\"b* NEAR(c) {name}:d AND^e \u{201c}f -g+h";
        for asked in asked(hostile) {
            let outside: String = asked.expression.split('"').step_by(2).collect();
            assert!(outside.chars().all(|c| "() OR*".contains(c)), "{asked:?}");
        }
    }

    #[test]
    fn a_query_asks_for_no_more_words_than_count() {
        let long: String = (0..500).map(|n| format!("word{n} ")).collect();
        assert_eq!(asked(&long).len(), MAX_WORDS);
        assert_eq!(asked(&"字".repeat(10_000)).len(), 1, "the same pair is asked for once");
        assert_eq!(asked("shoe Shoe SHOE").len(), 1);
    }

    #[test]
    fn shops_with_like_names_have_their_own_tokens() {
        let token = |name: &str| tenant_token(&name.parse().unwrap());
        assert_ne!(token("shop-1"), token("shop_1"));
        assert!(token("shoes").bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
