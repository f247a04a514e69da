//! The texts by which words find products, in the order in which they changed.

use rusqlite::{Connection, Transaction, params};
use taja_catalog::{
    PortResult, TenantId,
    port::{PortErrorKind, Position},
};

use crate::{
    error::{failed, sqlite},
    write::execute,
};

/// Notes that a product's words change with the version that the shop's catalogue was just counted up to.
pub(crate) fn tell(transaction: &Transaction<'_>, tenant: &TenantId, product: i64) -> PortResult<()> {
    let sql = "UPDATE products SET worded = (SELECT version FROM versions WHERE tenant = ?1) WHERE seq = ?2";
    execute(transaction, sql, params![tenant.as_str(), product]).map_err(sqlite)?;
    Ok(())
}

/// Texts after a place: the version and the number of a product, between them a colon.
pub(crate) fn after(
    connection: &Connection,
    tenant: &TenantId,
    after: Option<&Position>,
    limit: usize,
) -> PortResult<Vec<(Position, String)>> {
    let (worded, seq) = after.map_or(Ok((-1, 0)), read)?;
    let sql = "SELECT worded, seq, details ->> '$.name', index_text FROM products
               WHERE tenant = ?1 AND (worded, seq) > (?2, ?3) ORDER BY worded, seq LIMIT ?4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let texts = statement.query_map(params![tenant.as_str(), worded, seq, limit], |row| {
        let (worded, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (name, text): (String, String) = (row.get(2)?, row.get(3)?);
        Ok((Position(format!("{worded}:{seq}")), name + "\n" + &text))
    });
    texts.and_then(Iterator::collect).map_err(sqlite)
}

fn read(position: &Position) -> PortResult<(i64, i64)> {
    let read = || {
        let (worded, seq) = position.0.split_once(':')?;
        Some((worded.parse().ok()?, seq.parse().ok()?))
    };
    read().ok_or_else(|| failed(PortErrorKind::Invalid, format!("{:?} is no place among texts", position.0)))
}
