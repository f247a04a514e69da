//! What executions said they would host, so that what they leave behind is found.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use taja_catalog::{
    EffectKey, ImageHash, PortResult, TenantId,
    port::{Intent, PortErrorKind},
};

use crate::{
    error::{failed, sqlite},
    rows,
};

/// Notes that an execution is about to host these pictures.
pub(crate) fn intend(
    connection: &mut Connection,
    tenant: &TenantId,
    effect: &EffectKey,
    images: &[ImageHash],
) -> PortResult<()> {
    let transaction = begin(connection)?;
    for image in images {
        refuse_if_being_removed(&transaction, tenant, image)?;
        let sql = "INSERT OR REPLACE INTO intents (tenant, image, effect, at) VALUES (?1, ?2, ?3, ?4)";
        let values = params![tenant.as_str(), image.as_bytes().as_slice(), effect.as_str(), now()];
        transaction.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).map_err(sqlite)?;
    }
    transaction.commit().map_err(sqlite)
}

/// Takes back an intent inside the commit that records the picture.
pub(crate) fn fulfil(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    effect: &EffectKey,
    image: &ImageHash,
) -> PortResult<()> {
    refuse_if_being_removed(transaction, tenant, image)?;
    delete_intent(transaction, tenant, effect, image)
}

/// Takes back an intent; true when the picture belongs to nobody and is to be removed.
pub(crate) fn withdraw(
    connection: &mut Connection,
    tenant: &TenantId,
    effect: &EffectKey,
    image: &ImageHash,
) -> PortResult<bool> {
    let transaction = begin(connection)?;
    delete_intent(&transaction, tenant, effect, image)?;
    let is_left_over = give_up(&transaction, tenant, image)?;
    transaction.commit().map_err(sqlite)?;
    Ok(is_left_over)
}

/// Notes that a picture is being removed, if no product has it and nobody intends it; whether that is so.
pub(crate) fn give_up(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    image: &ImageHash,
) -> PortResult<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM intents WHERE tenant = ?1 AND image = ?2)
               OR EXISTS (SELECT 1 FROM images WHERE tenant = ?1 AND hash = ?2)";
    let key = (tenant.as_str(), image.as_bytes().as_slice());
    let wanted: bool = transaction.query_row(sql, key, |row| row.get(0)).map_err(sqlite)?;
    if !wanted {
        let sql = "INSERT OR IGNORE INTO removals (tenant, image, at) VALUES (?1, ?2, ?3)";
        transaction.execute(sql, params![key.0, key.1, now()]).map_err(sqlite)?;
    }
    Ok(!wanted)
}

/// The picture is gone from the image host.
pub(crate) fn removed(connection: &Connection, tenant: &TenantId, image: &ImageHash) -> PortResult<()> {
    let sql = "DELETE FROM removals WHERE tenant = ?1 AND image = ?2";
    connection.execute(sql, (tenant.as_str(), image.as_bytes().as_slice())).map_err(sqlite)?;
    Ok(())
}

/// Intents and unfinished removals last touched before a moment, oldest first.
pub(crate) fn before(connection: &Connection, moment: Timestamp, limit: usize) -> PortResult<Vec<Intent>> {
    let sql = "SELECT tenant, image, group_concat(effect), max(at) AS latest FROM
               (SELECT tenant, image, effect, at FROM intents UNION ALL SELECT tenant, image, NULL, at FROM removals)
               GROUP BY tenant, image HAVING latest < ?1 ORDER BY latest LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((moment.as_microsecond(), limit)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        // An effect key has no comma in it.
        let effects: Option<String> = row.get(2).map_err(sqlite)?;
        let effects =
            effects.iter().flat_map(|keys| keys.split(',')).map(str::parse).collect::<Result<_, _>>();
        let effects = effects.map_err(|error| failed(PortErrorKind::Broken, format!("intent: {error}")))?;
        found.push(Intent { tenant: rows::id(row, 0)?, image: rows::hash(row, 1)?, effects });
    }
    Ok(found)
}

fn refuse_if_being_removed(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    image: &ImageHash,
) -> PortResult<()> {
    let sql = "SELECT 1 FROM removals WHERE tenant = ?1 AND image = ?2";
    let mut statement = transaction.prepare_cached(sql).map_err(sqlite)?;
    let found = statement.query_row((tenant.as_str(), image.as_bytes().as_slice()), |_| Ok(()));
    match found.optional().map_err(sqlite)? {
        Some(()) => Err(failed(PortErrorKind::Conflict, format!("image {image} is being removed"))),
        None => Ok(()),
    }
}

fn delete_intent(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    effect: &EffectKey,
    image: &ImageHash,
) -> PortResult<()> {
    let sql = "DELETE FROM intents WHERE tenant = ?1 AND image = ?2 AND effect = ?3";
    let values = (tenant.as_str(), image.as_bytes().as_slice(), effect.as_str());
    transaction.prepare_cached(sql).and_then(|mut delete| delete.execute(values)).map_err(sqlite)?;
    Ok(())
}

fn begin(connection: &mut Connection) -> PortResult<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}
