//! Shops and their keys.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use taja_catalog::{
    PortResult, TenantId,
    access::{ApiKey, KeyId, Tenant},
    callback::{CallbackSecret, CallbackSecrets},
    words::WordSettings,
};

use crate::{
    error::{sqlite, unless_taken},
    records::{records, text},
};

/// Registers a shop; false when it is there.
pub(crate) fn add_tenant(connection: &Connection, tenant: &Tenant) -> PortResult<bool> {
    let sql = "INSERT OR IGNORE INTO tenants (id, record) VALUES (?1, ?2)";
    let added = connection.execute(sql, (tenant.id.as_str(), text(tenant)?)).map_err(sqlite)?;
    Ok(added == 1)
}

pub(crate) fn tenant(connection: &Connection, id: &TenantId) -> PortResult<Option<Tenant>> {
    Ok(records(connection, "SELECT record FROM tenants WHERE id = ?1", [id.as_str()])?.pop())
}

pub(crate) fn tenants(connection: &Connection) -> PortResult<Vec<Tenant>> {
    records(connection, "SELECT record FROM tenants ORDER BY id", [])
}

/// Keeps a new key; `Conflict` when there is one of that id.
pub(crate) fn add_key(connection: &Connection, key: &ApiKey) -> PortResult<()> {
    let sql = "INSERT INTO api_keys (id, tenant, created_at, record) VALUES (?1, ?2, ?3, ?4)";
    let row = params![key.id.as_str(), key.tenant.as_str(), key.created_at.as_microsecond(), text(key)?];
    unless_taken(connection.execute(sql, row), || format!("key {}", key.id)).map(drop)
}

pub(crate) fn key(connection: &Connection, id: &KeyId) -> PortResult<Option<ApiKey>> {
    Ok(records(connection, "SELECT record FROM api_keys WHERE id = ?1", [id.as_str()])?.pop())
}

/// A shop's keys, oldest first.
pub(crate) fn keys(connection: &Connection, tenant: &TenantId) -> PortResult<Vec<ApiKey>> {
    let sql = "SELECT record FROM api_keys WHERE tenant = ?1 ORDER BY created_at, id";
    records(connection, sql, [tenant.as_str()])
}

/// Revokes a shop's key; false when the shop has none of that id.
pub(crate) fn revoke_key(
    connection: &mut Connection,
    tenant: &TenantId,
    id: &KeyId,
    at: Timestamp,
) -> PortResult<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let Some(mut key) = key(&transaction, id)?.filter(|key| key.tenant == *tenant) else { return Ok(false) };
    if key.revoked_at.is_none() {
        key.revoked_at = Some(at);
        let row = (id.as_str(), text(&key)?);
        transaction.execute("UPDATE api_keys SET record = ?2 WHERE id = ?1", row).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
    }
    Ok(true)
}

/// What a shop says of its words. It lies in the shop's record, beside what a [`Tenant`] says.
pub(crate) fn word_settings(connection: &Connection, tenant: &TenantId) -> PortResult<Option<WordSettings>> {
    let sql = "SELECT record -> '$.words' FROM tenants WHERE id = ?1 AND record -> '$.words' IS NOT NULL";
    Ok(records(connection, sql, [tenant.as_str()])?.pop())
}

/// Keeps what a shop says of its words; false when it is not registered.
pub(crate) fn set_word_settings(
    connection: &Connection,
    tenant: &TenantId,
    settings: &WordSettings,
) -> PortResult<bool> {
    let sql = "UPDATE tenants SET record = json_set(record, '$.words', json(?2)) WHERE id = ?1";
    Ok(connection.execute(sql, (tenant.as_str(), text(settings)?)).map_err(sqlite)? == 1)
}

/// What a shop's callbacks are signed with. It lies in the shop's record, beside what a [`Tenant`] says.
pub(crate) fn callback_secrets(
    connection: &Connection,
    tenant: &TenantId,
) -> PortResult<Option<CallbackSecrets>> {
    let sql = "SELECT record -> '$.callback_secrets' FROM tenants \
               WHERE id = ?1 AND record -> '$.callback_secrets' IS NOT NULL";
    Ok(records(connection, sql, [tenant.as_str()])?.pop())
}

/// Keeps a shop's secrets in the place of those with this current one.
pub(crate) fn replace_callback_secrets(
    connection: &Connection,
    tenant: &TenantId,
    current: Option<&CallbackSecret>,
    secrets: &CallbackSecrets,
) -> PortResult<bool> {
    let sql = "UPDATE tenants SET record = json_set(record, '$.callback_secrets', json(?3)) \
               WHERE id = ?1 AND record ->> '$.callback_secrets.current' IS ?2";
    let row = (tenant.as_str(), current.map(CallbackSecret::expose), text(secrets)?);
    Ok(connection.execute(sql, row).map_err(sqlite)? == 1)
}
