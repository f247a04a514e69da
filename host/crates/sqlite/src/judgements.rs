//! Sets of judgements, by shop.

use rusqlite::{Connection, OptionalExtension};
use taja_catalog::{JudgementSetId, PortResult, TenantId, judgements::JudgementSet};

use crate::{
    error::{damaged, sqlite},
    records::{records, text},
};

/// A shop's sets, by name.
pub(crate) fn all(connection: &Connection, tenant: &TenantId) -> PortResult<Vec<JudgementSet>> {
    records(connection, "SELECT record FROM judgements WHERE tenant = ?1 ORDER BY name", [tenant.as_str()])
}

/// A set with its lines.
pub(crate) fn lines(
    connection: &Connection,
    tenant: &TenantId,
    id: &JudgementSetId,
) -> PortResult<Option<(JudgementSet, String)>> {
    let sql = "SELECT record, lines FROM judgements WHERE tenant = ?1 AND name = ?2";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let found = connection.query_row(sql, [tenant.as_str(), id.as_str()], row).optional().map_err(sqlite)?;
    let Some((record, lines)) = found else { return Ok(None) };
    let set = serde_json::from_str(&record).map_err(|error| damaged("record", error))?;
    Ok(Some((set, lines)))
}

/// Keeps a set; false when the shop is not registered.
pub(crate) fn keep(
    connection: &Connection,
    tenant: &TenantId,
    set: &JudgementSet,
    lines: &str,
) -> PortResult<bool> {
    let sql = "INSERT OR REPLACE INTO judgements (tenant, name, record, lines) \
               SELECT id, ?2, ?3, ?4 FROM tenants WHERE id = ?1";
    let row = (tenant.as_str(), set.id.as_str(), text(set)?, lines);
    Ok(connection.execute(sql, row).map_err(sqlite)? == 1)
}

/// Forgets a set; false when there is none of that name.
pub(crate) fn forget(connection: &Connection, tenant: &TenantId, id: &JudgementSetId) -> PortResult<bool> {
    let sql = "DELETE FROM judgements WHERE tenant = ?1 AND name = ?2";
    Ok(connection.execute(sql, [tenant.as_str(), id.as_str()]).map_err(sqlite)? == 1)
}
