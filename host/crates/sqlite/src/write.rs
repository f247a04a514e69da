//! The one transaction that writes.

use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension, Transaction, TransactionBehavior, params, types::Value as Sql,
};
use serde_json::Value;
use taja_catalog::{
    Details, EffectKey, Filterable, Offer, PortResult, Product, ProductId, Space, TenantId,
    add_product::products_named,
    port::{Change, NewImage, PortErrorKind},
    product,
};

use crate::{
    error::{damaged, failed, sqlite, unless_taken},
    filter, intents, keyword, models, texts,
};

/// Everything that one commit writes.
pub(crate) struct Commit {
    /// The shop.
    pub(crate) tenant: TenantId,
    /// What is done.
    pub(crate) effect: EffectKey,
    /// The space of the vectors.
    pub(crate) space: Space,
    /// What changes.
    pub(crate) change: Change,
    /// What tells of it afterwards.
    pub(crate) receipt: Value,
}

impl Commit {
    /// Writes all of it, or nothing.
    pub(crate) fn run(&self, connection: &mut Connection) -> PortResult<()> {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        self.write_receipt(&transaction)?;
        if !matches!(self.change, Change::None) {
            models::must_serve(&transaction, &self.space)?;
            count_up(&transaction, &self.tenant)?;
        }
        match &self.change {
            Change::None => {}
            Change::Create { product, images, index_text } => {
                let seq = self.create(&transaction, product, index_text)?;
                self.add_images(&transaction, seq, images)?;
            }
            Change::Merge { product, images } => {
                let seq = self.touch(&transaction, product)?;
                self.add_images(&transaction, seq, images)?;
            }
            Change::Offer { product, offer } => {
                let seq = self.touch(&transaction, product)?;
                let add = |offers: &mut _| product::add_offer(offers, *offer.clone());
                change_offers(&transaction, &self.tenant, seq, add)?;
            }
        }
        transaction.commit().map_err(sqlite)
    }

    fn write_receipt(&self, transaction: &Transaction<'_>) -> PortResult<()> {
        let sql = "INSERT INTO receipts (tenant, effect, receipt) VALUES (?1, ?2, ?3)";
        let values = params![self.tenant.as_str(), self.effect.as_str(), self.receipt.to_string()];
        unless_taken(execute(transaction, sql, values), || format!("receipt of {}", self.effect))?;
        let sql = "INSERT INTO receipts_of_products (tenant, product, at, effect) VALUES (?1, ?2, ?3, ?4)";
        let now = Timestamp::now().as_microsecond();
        for product in products_named(&self.receipt) {
            let values = params![self.tenant.as_str(), product.as_str(), now, self.effect.as_str()];
            execute(transaction, sql, values).map_err(sqlite)?;
        }
        Ok(())
    }

    /// Writes a product with its fields and words; its number.
    fn create(&self, transaction: &Transaction<'_>, product: &Product, text: &str) -> PortResult<i64> {
        if product.tenant != self.tenant {
            return Err(failed(PortErrorKind::Invalid, format!("product {} is another shop's", product.id)));
        }
        let details = serde_json::to_string(&product.details)
            .map_err(|error| failed(PortErrorKind::Invalid, error.to_string()))?;
        let offers = serde_json::to_string(&product.offers)
            .map_err(|error| failed(PortErrorKind::Invalid, error.to_string()))?;
        let sql =
            "INSERT INTO products (tenant, id, details, index_text, created_at, updated_at, revision, offers)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (created, updated) = (product.created_at.as_microsecond(), product.updated_at.as_microsecond());
        let revision = product.revision.cast_signed();
        let values = params![
            self.tenant.as_str(),
            product.id.as_str(),
            details,
            text,
            created,
            updated,
            revision,
            offers
        ];
        unless_taken(execute(transaction, sql, values), || format!("product {}", product.id))?;
        let seq = transaction.last_insert_rowid();
        change_fields(transaction, &self.tenant, seq, &[], &filter::rows(product.into()))?;
        keyword::add(transaction, seq, &self.tenant, &product.details.name, text)?;
        texts::tell(transaction, &self.tenant, seq)?;
        Ok(seq)
    }

    /// Notes that a product changed now; its number.
    fn touch(&self, transaction: &Transaction<'_>, product: &ProductId) -> PortResult<i64> {
        let sql = "UPDATE products SET updated_at = ?3, revision = revision + 1 WHERE tenant = ?1 AND id = ?2 RETURNING seq";
        let values = params![self.tenant.as_str(), product.as_str(), Timestamp::now().as_microsecond()];
        let mut statement = transaction.prepare_cached(sql).map_err(sqlite)?;
        let seq = statement.query_row(values, |row| row.get(0)).optional().map_err(sqlite)?;
        seq.ok_or_else(|| failed(PortErrorKind::Conflict, format!("product {product} is not there")))
    }

    fn add_images(&self, transaction: &Transaction<'_>, seq: i64, images: &[NewImage]) -> PortResult<()> {
        if images.is_empty() {
            return Ok(());
        }
        let space = space_key(transaction, &self.space)?;
        let sql = "SELECT coalesce(max(position) + 1, 0) FROM images WHERE product = ?1";
        let mut statement = transaction.prepare_cached(sql).map_err(sqlite)?;
        let first: i64 = statement.query_row([seq], |row| row.get(0)).map_err(sqlite)?;
        (first..).zip(images).try_for_each(|(position, new)| {
            intents::fulfil(transaction, &self.tenant, &self.effect, &new.image.hash)?;
            self.add_image(transaction, seq, position, new)?;
            self.add_vector(transaction, seq, space, new)
        })
    }

    fn add_image(
        &self,
        transaction: &Transaction<'_>,
        seq: i64,
        position: i64,
        new: &NewImage,
    ) -> PortResult<()> {
        let image = &new.image;
        let sql = "INSERT INTO images (tenant, hash, product, position, look, url, width, height)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let look = image.perceptual.0.cast_signed();
        let hash = image.hash.as_bytes().as_slice();
        let values =
            params![self.tenant.as_str(), hash, seq, position, look, image.url, image.width, image.height];
        unless_taken(execute(transaction, sql, values), || format!("image {}", image.hash))?;
        Ok(())
    }

    fn add_vector(
        &self,
        transaction: &Transaction<'_>,
        seq: i64,
        space: i64,
        new: &NewImage,
    ) -> PortResult<()> {
        let (found, expected) = (new.embedding.dimension(), self.space.dimension);
        if found != expected {
            let message = format!("vector has {found} components, its space has {expected}");
            return Err(failed(PortErrorKind::Invalid, message));
        }
        let sql =
            "INSERT INTO vectors (space, tenant, image, product, embedding) VALUES (?1, ?2, ?3, ?4, ?5)";
        let hash = new.image.hash.as_bytes().as_slice();
        let values = params![space, self.tenant.as_str(), hash, seq, new.embedding.to_le_bytes()];
        execute(transaction, sql, values).map_err(sqlite)?;
        Ok(())
    }
}

/// Changes the offers of a product.
pub(crate) fn change_offers(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    seq: i64,
    change: impl FnOnce(&mut Vec<Offer>),
) -> PortResult<()> {
    let (details, stored) = described(transaction, seq)?;
    let mut offers = stored.clone();
    change(&mut offers);
    let [old, new] =
        [&stored, &offers].map(|offers| filter::rows(Filterable { offers, ..Filterable::from(&details) }));
    change_fields(transaction, tenant, seq, &old, &new)?;
    let offers =
        serde_json::to_string(&offers).map_err(|error| failed(PortErrorKind::Invalid, error.to_string()))?;
    execute(transaction, "UPDATE products SET offers = ?2 WHERE seq = ?1", params![seq, offers])
        .map_err(sqlite)?;
    Ok(())
}

/// What a product's shop says of it, and its offers.
pub(crate) fn described(transaction: &Transaction<'_>, seq: i64) -> PortResult<(Details, Vec<Offer>)> {
    let sql = "SELECT details, offers FROM products WHERE seq = ?1";
    let stored = transaction.query_row(sql, [seq], |row| Ok((row.get(0)?, row.get(1)?)));
    let (details, offers): (String, String) = stored.map_err(sqlite)?;
    let details = serde_json::from_str(&details).map_err(|error| damaged("details", error))?;
    Ok((details, serde_json::from_str(&offers).map_err(|error| damaged("offers", error))?))
}

/// Writes what is new among a product's fields, and deletes what is no more. Who calls tells which it has: the table has no
/// index by product.
pub(crate) fn change_fields(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    seq: i64,
    old: &[(String, Sql)],
    new: &[(String, Sql)],
) -> PortResult<()> {
    let sql = "DELETE FROM fields WHERE tenant = ?1 AND name = ?2 AND value = ?3 AND product = ?4";
    for (name, value) in old.iter().filter(|row| !new.contains(row)) {
        execute(transaction, sql, params![tenant.as_str(), name, value, seq]).map_err(sqlite)?;
    }
    let sql = "INSERT OR IGNORE INTO fields (tenant, name, value, product) VALUES (?1, ?2, ?3, ?4)";
    for (name, value) in new.iter().filter(|row| !old.contains(row)) {
        execute(transaction, sql, params![tenant.as_str(), name, value, seq]).map_err(sqlite)?;
    }
    Ok(())
}

/// The number of a space, which is noted at its first vector.
pub(crate) fn space_key(transaction: &Transaction<'_>, space: &Space) -> PortResult<i64> {
    let dimension = i64::try_from(space.dimension).unwrap_or(i64::MAX);
    let sql = "INSERT OR IGNORE INTO spaces (id, model, dimension) VALUES (?1, ?2, ?3)";
    execute(transaction, sql, params![space.id, space.model, dimension]).map_err(sqlite)?;
    let mut statement =
        transaction.prepare_cached("SELECT key, dimension FROM spaces WHERE id = ?1").map_err(sqlite)?;
    let stored = statement.query_row([&space.id], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
    let (key, stored) = stored.map_err(sqlite)?;
    if stored != dimension {
        let message = format!("space {} has {stored} components, not {dimension}", space.id);
        return Err(failed(PortErrorKind::Invalid, message));
    }
    Ok(key)
}

/// Notes that a shop's catalogue changed.
pub(crate) fn count_up(transaction: &Transaction<'_>, tenant: &TenantId) -> PortResult<()> {
    let sql = "INSERT INTO versions (tenant, version) VALUES (?1, 1)
               ON CONFLICT DO UPDATE SET version = version + 1";
    execute(transaction, sql, params![tenant.as_str()]).map_err(sqlite)?;
    Ok(())
}

/// Runs a statement that gives no rows; how many it changed.
pub(crate) fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<usize> {
    transaction.prepare_cached(sql)?.execute(values)
}
