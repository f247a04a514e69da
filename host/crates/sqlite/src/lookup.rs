//! Look-ups by image, by filter and by effect.

use std::collections::{BTreeMap, BinaryHeap};

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;
use taja_catalog::{
    EffectKey, Filter, ImageHash, PerceptualHash, PortResult, ProductId, TenantId,
    order::ListOrder,
    port::{Counts, KnownImage, Noted, Shelved},
};

use crate::{
    error::{damaged, sqlite},
    filter::{Bindings, condition},
    rows,
};

/// The image with these very bytes.
pub(crate) fn image(
    connection: &Connection,
    tenant: &TenantId,
    hash: &ImageHash,
) -> PortResult<Option<KnownImage>> {
    let sql =
        "SELECT p.id FROM images i JOIN products p ON p.seq = i.product WHERE i.tenant = ?1 AND i.hash = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query((tenant.as_str(), hash.as_bytes().as_slice())).map_err(sqlite)?;
    let Some(row) = rows.next().map_err(sqlite)? else { return Ok(None) };
    Ok(Some(KnownImage { product: rows::id(row, 0)?, hash: *hash, distance: 0 }))
}

/// Compares every image's look with the given one: 64 bits each, read from an index that holds nothing else.
pub(crate) fn images_like(
    connection: &Connection,
    tenant: &TenantId,
    look: PerceptualHash,
    max_distance: u32,
    limit: usize,
) -> PortResult<Vec<KnownImage>> {
    let sql = "SELECT look, hash, product FROM images INDEXED BY images_by_look WHERE tenant = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query([tenant.as_str()]).map_err(sqlite)?;
    // The farthest of the nearest is on top, to be pushed out by a nearer one.
    let mut nearest: BinaryHeap<(u32, ImageHash, i64)> = BinaryHeap::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let stored = PerceptualHash(row.get::<_, i64>(0).map_err(sqlite)?.cast_unsigned());
        let distance = stored.distance(look);
        if distance <= max_distance {
            nearest.push((distance, rows::hash(row, 1)?, row.get(2).map_err(sqlite)?));
            if nearest.len() > limit {
                nearest.pop();
            }
        }
    }
    let mut product = connection.prepare_cached("SELECT id FROM products WHERE seq = ?1").map_err(sqlite)?;
    let known = |(distance, hash, seq)| {
        let mut rows = product.query([seq]).map_err(sqlite)?;
        let row = rows.next().map_err(sqlite)?.ok_or_else(|| damaged("image", "its product is gone"))?;
        Ok(KnownImage { product: rows::id(row, 0)?, hash, distance })
    };
    nearest.into_sorted_vec().into_iter().map(known).collect()
}

/// Products that pass a filter, after a place in an order.
pub(crate) fn listed(
    connection: &Connection,
    tenant: &TenantId,
    filter: &Filter,
    order: ListOrder,
    after: Option<&Shelved>,
    limit: usize,
) -> PortResult<Vec<Shelved>> {
    let mut bindings = Bindings::default();
    let shop = bindings.bind(tenant.as_str().to_owned());
    let mut passes = condition(filter, &shop, &mut bindings);
    let (column, [before, direction]) =
        (order.by.name(), if order.descending { ["<", "DESC"] } else { [">", "ASC"] });
    if let Some(after) = after {
        let at = bindings.bind(after.at.as_microsecond());
        let id = bindings.bind(after.id.to_string());
        passes += &format!(" AND (p.{column}, p.id) {before} ({at}, {id})");
    }
    let limit = bindings.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT p.id, p.{column} FROM products p WHERE p.tenant = {shop} AND {passes}
         ORDER BY p.{column} {direction}, p.id {direction} LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sqlite)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&bindings.0)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let at = rows::time(row.get(1).map_err(sqlite)?)?;
        found.push(Shelved { at, id: rows::id(row, 0)? });
    }
    Ok(found)
}

/// What an execution left behind.
pub(crate) fn receipt(
    connection: &Connection,
    tenant: &TenantId,
    effect: &EffectKey,
) -> PortResult<Option<Value>> {
    let sql = "SELECT receipt FROM receipts WHERE tenant = ?1 AND effect = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let text = statement.query_row((tenant.as_str(), effect.as_str()), |row| row.get::<_, String>(0));
    let text = text.optional().map_err(sqlite)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| damaged("receipt", error))).transpose()
}

/// Receipts that name a product, newest first, after a place in that order.
pub(crate) fn receipts_about(
    connection: &Connection,
    tenant: &TenantId,
    product: &ProductId,
    after: Option<&Noted>,
    limit: usize,
) -> PortResult<Vec<(Noted, Value)>> {
    let sql = "SELECT n.at, n.effect, r.receipt FROM receipts_of_products n
               JOIN receipts r ON r.tenant = n.tenant AND r.effect = n.effect
               WHERE n.tenant = ?1 AND n.product = ?2 AND (?3 IS NULL OR (n.at, n.effect) < (?3, ?4))
               ORDER BY n.at DESC, n.effect DESC LIMIT ?5";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let at = after.map(|after| after.at.as_microsecond());
    let effect = after.map(|after| after.effect.as_str());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((tenant.as_str(), product.as_str(), at, effect, limit)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let at = rows::time(row.get(0).map_err(sqlite)?)?;
        found.push((Noted { at, effect: rows::id(row, 1)? }, rows::json(row, 2, "receipt")?));
    }
    Ok(found)
}

/// How much there is.
pub(crate) fn counts(connection: &Connection) -> PortResult<Counts> {
    let sql = "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM images)";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let counts = statement.query_row([], |row| {
        Ok(Counts {
            products: row.get::<_, i64>(0)?.cast_unsigned(),
            images: row.get::<_, i64>(1)?.cast_unsigned(),
        })
    });
    counts.map_err(sqlite)
}

/// How often a shop's catalogue changed.
pub(crate) fn version(connection: &Connection, tenant: &TenantId) -> PortResult<u64> {
    let sql = "SELECT version FROM versions WHERE tenant = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let version = statement.query_row([tenant.as_str()], |row| row.get::<_, i64>(0)).optional();
    Ok(version.map_err(sqlite)?.unwrap_or(0).cast_unsigned())
}

/// How many vectors each space has.
pub(crate) fn spaces(connection: &Connection) -> PortResult<BTreeMap<String, u64>> {
    let sql = "SELECT id, count(*) FROM vectors JOIN spaces ON key = space GROUP BY key";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())));
    counts.and_then(Iterator::collect).map_err(sqlite)
}
