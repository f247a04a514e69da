//! Which model serves, and the vectors of several.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use taja_catalog::{
    ImageHash, PortResult, Space, TenantId,
    models::{CatalogueImage, Chosen, ModelChoice, ModelStore},
    port::{PortErrorKind, Position, VectorRow},
};

use crate::{
    error::{failed, sqlite},
    records::{records, text},
    rows,
    store::SqliteStore,
    write::{count_up, execute, space_key},
};

#[async_trait]
impl ModelStore for SqliteStore {
    async fn choice(&self) -> PortResult<Option<ModelChoice>> {
        self.read("model_choice", choice).await
    }

    async fn choose(&self, choice: &ModelChoice, lacking: u64) -> PortResult<Chosen> {
        let choice = choice.clone();
        self.writer.call("choose_model", move |connection| choose(connection, &choice, lacking)).await
    }

    async fn images_without(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, CatalogueImage)>> {
        let (space, after) = (space.clone(), after.cloned());
        let without =
            move |connection: &Connection| images_without(connection, &space, after.as_ref(), limit);
        self.read("images_without", without).await
    }

    async fn add_vectors(&self, space: &Space, rows: Vec<VectorRow>) -> PortResult<()> {
        let space = space.clone();
        self.writer.call("add_vectors", move |connection| add_vectors(connection, &space, &rows)).await
    }

    async fn forget_vectors(&self, space: &str, limit: usize) -> PortResult<u64> {
        let space = space.to_owned();
        self.writer.call("forget_vectors", move |connection| forget(connection, &space, limit)).await
    }
}

fn choice(connection: &Connection) -> PortResult<Option<ModelChoice>> {
    Ok(records(connection, "SELECT record FROM model", [])?.pop())
}

/// Refuses pictures with vectors of a space that does not serve.
pub(crate) fn must_serve(transaction: &Transaction<'_>, space: &Space) -> PortResult<()> {
    let mut statement = transaction.prepare_cached("SELECT active FROM model").map_err(sqlite)?;
    let active: Option<String> = statement.query_row([], |row| row.get(0)).optional().map_err(sqlite)?;
    match active.filter(|active| *active != space.id) {
        Some(active) => Err(failed(PortErrorKind::Unavailable, format!("vectors of {active} serve now"))),
        None => Ok(()),
    }
}

fn choose(connection: &mut Connection, choice: &ModelChoice, lacking: u64) -> PortResult<Chosen> {
    let transaction = begin(connection)?;
    let stored = self::choice(&transaction)?;
    if stored.as_ref().map_or(0, |stored| stored.revision) + 1 != choice.revision {
        return Ok(Chosen::Changed);
    }
    if stored.is_some_and(|stored| stored.active != choice.active)
        && missing(&transaction, &choice.active)? > lacking
    {
        return Ok(Chosen::Incomplete);
    }
    let sql = "INSERT OR REPLACE INTO model (only, revision, active, record) VALUES (1, ?1, ?2, ?3)";
    let revision = choice.revision.cast_signed();
    execute(&transaction, sql, params![revision, choice.active.id, text(choice)?]).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    Ok(Chosen::Stored)
}

/// How many pictures have no vector in a space. Each vector has its picture, so that counting both is enough.
fn missing(connection: &Connection, space: &Space) -> PortResult<u64> {
    let sql = "SELECT (SELECT count(*) FROM images)
                    - (SELECT count(*) FROM vectors WHERE space = (SELECT key FROM spaces WHERE id = ?1))";
    let missing: i64 = connection.query_row(sql, [&space.id], |row| row.get(0)).map_err(sqlite)?;
    Ok(missing.max(0).cast_unsigned())
}

fn images_without(
    connection: &Connection,
    space: &Space,
    after: Option<&Position>,
    limit: usize,
) -> PortResult<Vec<(Position, CatalogueImage)>> {
    let (shop, hash) = match after {
        None => (String::new(), Vec::new()),
        Some(after) => place(after)?,
    };
    let sql = "SELECT i.hash, i.look, i.url, i.width, i.height, i.tenant, p.id
               FROM images i JOIN products p ON p.seq = i.product
               WHERE (i.tenant, i.hash) > (?2, ?3) AND NOT EXISTS (
                   SELECT 1 FROM vectors v WHERE v.tenant = i.tenant AND v.image = i.hash
                   AND v.space = (SELECT key FROM spaces WHERE id = ?1))
               ORDER BY i.tenant, i.hash LIMIT ?4";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = statement.query(params![space.id, shop, hash, limit]).map_err(sqlite)?;
    let mut images = Vec::new();
    while let Some(row) = found.next().map_err(sqlite)? {
        let image = rows::image(row)?;
        let (tenant, product): (TenantId, _) = (rows::id(row, 5)?, rows::id(row, 6)?);
        let position = Position(format!("{tenant}:{}", image.hash));
        images.push((position, CatalogueImage { tenant, product, image }));
    }
    Ok(images)
}

/// The shop and the picture that a position stands for.
fn place(position: &Position) -> PortResult<(String, Vec<u8>)> {
    let read = || {
        let (tenant, hash) = position.0.rsplit_once(':')?;
        let hash: ImageHash = hash.parse().ok()?;
        Some((tenant.to_owned(), hash.as_bytes().to_vec()))
    };
    read().ok_or_else(|| failed(PortErrorKind::Invalid, "position is not one of this store"))
}

fn add_vectors(connection: &mut Connection, space: &Space, rows: &[VectorRow]) -> PortResult<()> {
    let transaction = begin(connection)?;
    let key = space_key(&transaction, space)?;
    let sql = "INSERT OR IGNORE INTO vectors (space, tenant, image, product, embedding)
               SELECT ?1, tenant, hash, product, ?4 FROM images WHERE tenant = ?2 AND hash = ?3";
    let mut shops = Vec::new();
    for VectorRow { tenant, image, embedding, .. } in rows {
        if embedding.dimension() != space.dimension {
            let message =
                format!("vector has {} components, its space has {}", embedding.dimension(), space.dimension);
            return Err(failed(PortErrorKind::Invalid, message));
        }
        let values = params![key, tenant.as_str(), image.as_bytes().as_slice(), embedding.to_le_bytes()];
        if execute(&transaction, sql, values).map_err(sqlite)? > 0 {
            shops.push(tenant);
        }
    }
    shops.sort();
    shops.dedup();
    shops.into_iter().try_for_each(|shop| count_up(&transaction, shop))?;
    transaction.commit().map_err(sqlite)
}

fn forget(connection: &mut Connection, space: &str, limit: usize) -> PortResult<u64> {
    let transaction = begin(connection)?;
    if choice(&transaction)?.is_some_and(|choice| choice.needs(space)) {
        return Err(failed(PortErrorKind::Conflict, format!("vectors of {space} are needed")));
    }
    let sql = "DELETE FROM vectors WHERE position IN (
                   SELECT position FROM vectors WHERE space = (SELECT key FROM spaces WHERE id = ?1) LIMIT ?2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let removed = execute(&transaction, sql, params![space, limit]).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    Ok(removed as u64)
}

fn begin(connection: &mut Connection) -> PortResult<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)
}
