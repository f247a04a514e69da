//! Keyword search: how text is put into the index and how a shopper's words are asked of it.
//!
//! - A product is found by any word of the query. Words are compared without case and diacritics, and by their
//!   English stem ("shoes" finds "shoe"); stemming touches only plain Latin letters and happens on both sides alike,
//!   so words of other languages still find themselves. A word of four letters or more also finds longer words that
//!   begin with it, which serves languages that inflect by endings.
//! - Relevance is BM25 with the name counting several times, plus a bonus when every word is there ([`ranking`]). BM25's
//!   statistics are those of all shops together. The index is asked for the rows of each word alone, and those are kept
//!   ([`lists`]).
//! - Chinese, Japanese and Korean runs, which have no spaces, are indexed as overlapping pairs of characters; a query's
//!   run asks for its pairs, and a single character for pairs that begin with it.
//! - What else stands for a word (another form, a synonym, what it may be a typing error of) counts where the word itself is
//!   not, by its weight; of a phrase that stands for it, all words have to be there.
//! - When no word finds anything, products come whose text has all three-letter pieces of a word: a part of a compound.

mod asked;
mod lists;
mod occurrences;
mod ranking;

use std::fmt::Write as _;

use rusqlite::{Connection, Transaction, params};
use taja_catalog::{
    Filter, PortResult, ProductId, TenantId,
    words::{Wanted, is_unspaced, pairs, runs},
};

use crate::{
    error::sqlite,
    filter::{Bindings, condition},
    rows,
    write::execute,
};

use self::{
    asked::{Asked, asked, pieces},
    lists::{Ids, Snapshot, View},
    ranking::{Phrase, Scored},
};
pub(crate) use self::{lists::Lists, occurrences::register};

/// Products looked at for each that is wanted, before all others that were found are looked at: most filters let pass more
/// than a quarter.
const LOOKED_AT: usize = 4;
/// Relevance of a product that was found by pieces of a word: below that of any word.
const PIECES_RELEVANCE: f32 = 1e-9;

/// Lets a product be found by the words of its name and of a text.
pub(crate) fn add(
    transaction: &Transaction<'_>,
    product: i64,
    tenant: &TenantId,
    name: &str,
    text: &str,
) -> PortResult<()> {
    let sql = "INSERT INTO words (rowid, tenant, name, text) VALUES (?1, ?2, ?3, ?4)";
    let words = params![product, tenant_token(tenant), for_index(name), for_index(text)];
    execute(transaction, sql, words).map_err(sqlite)?;
    let sql = "INSERT INTO pieces (rowid, text) VALUES (?1, ?2)";
    execute(transaction, sql, params![product, format!("{name}\n{text}")]).map_err(sqlite)?;
    Ok(())
}

/// Lets a product be found by no words any more. Whatever was remembered of the index is wrong after that.
pub(crate) fn forget(transaction: &Transaction<'_>, product: i64) -> PortResult<()> {
    execute(transaction, "UPDATE words_age SET age = age + 1", &[]).map_err(sqlite)?;
    for sql in ["DELETE FROM words WHERE rowid = ?1", "DELETE FROM pieces WHERE rowid = ?1"] {
        execute(transaction, sql, params![product]).map_err(sqlite)?;
    }
    Ok(())
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

/// Products found by words, or by pieces of words when there are none.
pub(crate) fn search(
    connection: &Connection,
    lists: &Lists,
    tenant: &TenantId,
    wanted: &Wanted,
    filter: &Filter,
    limit: usize,
) -> PortResult<Vec<(ProductId, f32)>> {
    let asked = asked(wanted);
    if asked.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    // What the lists reach to must be what is read of the products.
    let connection = &connection.unchecked_transaction().map_err(sqlite)?;
    let found = by_words(connection, lists, tenant, &asked, filter, limit)?;
    if found.is_empty() { by_pieces(connection, tenant, &asked, filter, limit) } else { Ok(found) }
}

/// The shop's best products that have any of the words and pass the filter, in order.
fn by_words(
    connection: &Connection,
    lists: &Lists,
    tenant: &TenantId,
    asked: &[Asked],
    filter: &Filter,
    limit: usize,
) -> PortResult<Vec<(ProductId, f32)>> {
    let shop = format!("tenant : {}", tenant_token(tenant));
    let Some(snapshot) = Snapshot::read(connection, &shop)? else { return Ok(Vec::new()) };
    let view = lists.begin(snapshot);
    let mut phrases = Vec::new();
    for (word, asked) in asked.iter().enumerate() {
        for phrase in &asked.phrases {
            let rows = view.rows(connection, &format!("{{name text}} : {phrase}"))?;
            phrases.push(Phrase { rows, word, weight: 1.0 });
        }
        for (phrase, weight) in &asked.instead {
            let rows = view.rows(connection, &format!("{{name text}} : {phrase}"))?;
            phrases.push(Phrase { rows, word, weight: *weight });
        }
    }
    let among = if is_alone(connection, tenant)? { None } else { Some(view.rows(connection, &shop)?) };
    let mut scored = ranking::score(&snapshot, &phrases, asked.len(), among.as_deref());
    shown(connection, &view, tenant, &mut scored, filter, limit)
}

/// Whether every product is this shop's.
fn is_alone(connection: &Connection, tenant: &TenantId) -> PortResult<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM products WHERE tenant < ?1)
               AND NOT EXISTS (SELECT 1 FROM products WHERE tenant > ?1)";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    statement.query_row([tenant.as_str()], |row| row.get(0)).map_err(sqlite)
}

/// The best that pass the filter, in order.
fn shown(
    connection: &Connection,
    view: &View<'_>,
    tenant: &TenantId,
    scored: &mut [Scored],
    filter: &Filter,
    limit: usize,
) -> PortResult<Vec<(ProductId, f32)>> {
    let mut count = if filter.is_everything() { limit } else { limit.saturating_mul(LOOKED_AT) };
    let (mut found, mut others) = (Vec::new(), scored);
    while found.len() < limit && !others.is_empty() {
        let (best, rest) = ranking::best_first(others, count);
        let numbers = best.iter().map(|one| one.product);
        let mut ids = if filter.is_everything() {
            ids_of(connection, view, tenant, numbers)?
        } else {
            passing(connection, tenant, numbers, filter)?
        };
        let shown = |one: &Scored| Some((ids.remove(&one.product)?, one.score as f32));
        found.extend(best.iter().filter_map(shown));
        (others, count) = (rest, usize::MAX);
    }
    found.truncate(limit);
    Ok(found)
}

/// The identifiers of a shop's products, by number. Looking up hundreds of rows costs more than ranking thousands.
fn ids_of(
    connection: &Connection,
    view: &View<'_>,
    tenant: &TenantId,
    numbers: impl Iterator<Item = u32>,
) -> PortResult<Ids> {
    let (mut ids, others) = view.ids(tenant, numbers);
    if !others.is_empty() {
        let read = passing(connection, tenant, others.into_iter(), &Filter::everything())?;
        view.learn(tenant, &read);
        ids.extend(read);
    }
    Ok(ids)
}

/// The identifiers of those that pass the filter, by number.
fn passing(
    connection: &Connection,
    tenant: &TenantId,
    numbers: impl Iterator<Item = u32>,
    filter: &Filter,
) -> PortResult<Ids> {
    let mut bindings = Bindings::default();
    let shop = bindings.bind(tenant.as_str().to_owned());
    let products = bindings.bind_all(numbers.map(Into::into).collect());
    let passes = condition(filter, &shop, &mut bindings);
    // NOT INDEXED: by number, instead of through all products of the shop.
    let sql = format!(
        "SELECT p.seq, p.id FROM products p NOT INDEXED
         WHERE p.seq IN rarray({products}) AND p.tenant = {shop} AND {passes}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sqlite)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&bindings.0)).map_err(sqlite)?;
    let mut found = Ids::default();
    while let Some(row) = rows.next().map_err(sqlite)? {
        found.insert(row.get(0).map_err(sqlite)?, rows::id(row, 1)?);
    }
    Ok(found)
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
        "SELECT p.id FROM pieces w JOIN products p ON p.seq = w.rowid
         WHERE w.pieces MATCH {any} AND p.tenant = {shop} AND {passes} ORDER BY p.seq DESC LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sqlite)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&bindings.0)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        found.push((rows::id(row, 0)?, PIECES_RELEVANCE));
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
    fn shops_with_like_names_have_their_own_tokens() {
        let token = |name: &str| tenant_token(&name.parse().unwrap());
        assert_ne!(token("shop-1"), token("shop_1"));
        assert!(token("shoes").bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
