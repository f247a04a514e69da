//! The transaction that changes a stored product, or takes it away.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use taja_catalog::{
    Details, Filterable, ImageHash, Offer, PortResult, ProductId, TenantId,
    port::{Edit, Edited, PortErrorKind},
};

use crate::{
    error::{failed, sqlite},
    filter, intents, keyword, rows, texts,
    write::{change_fields, change_offers, count_up, described, execute},
};

/// An edit of one product.
pub(crate) struct EditOne {
    /// The shop.
    pub(crate) tenant: TenantId,
    /// The product.
    pub(crate) product: ProductId,
    /// The revision that it must be at.
    pub(crate) revision: u64,
    /// What changes.
    pub(crate) edit: Edit,
}

impl EditOne {
    /// Does all of it, or nothing.
    pub(crate) fn run(&self, connection: &mut Connection) -> PortResult<Edited> {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let sql = "SELECT seq, revision FROM products WHERE tenant = ?1 AND id = ?2";
        let row = transaction.query_row(sql, [self.tenant.as_str(), self.product.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        });
        let Some((seq, revision)) = row.optional().map_err(sqlite)? else { return Ok(Edited::Missing) };
        if revision != self.revision {
            return Ok(Edited::Changed);
        }
        count_up(&transaction, &self.tenant)?;
        let sql = "UPDATE products SET revision = revision + 1, updated_at = ?2 WHERE seq = ?1";
        execute(&transaction, sql, params![seq, Timestamp::now().as_microsecond()]).map_err(sqlite)?;
        let gone = match &self.edit {
            Edit::Describe { details, index_text } => {
                self.describe(&transaction, seq, details, index_text.as_deref())?;
                Vec::new()
            }
            Edit::RemoveImages(images) => {
                let images: HashSet<_> = images.iter().collect();
                images_of(&transaction, seq)?.into_iter().filter(|image| images.contains(image)).collect()
            }
            Edit::RemoveOffer(offer) => {
                let remove = |offers: &mut Vec<_>| offers.retain(|known: &Offer| known.id != *offer);
                change_offers(&transaction, &self.tenant, seq, remove)?;
                Vec::new()
            }
            Edit::Delete => images_of(&transaction, seq)?,
        };
        let mut left_over = Vec::new();
        for image in &gone {
            if self.remove_image(&transaction, image)? {
                left_over.push(*image);
            }
        }
        if matches!(self.edit, Edit::Delete) {
            self.delete(&transaction, seq)?;
        }
        transaction.commit().map_err(sqlite)?;
        Ok(Edited::Done { revision: revision + 1, gone, left_over })
    }

    fn describe(
        &self,
        transaction: &Transaction<'_>,
        seq: i64,
        details: &Details,
        text: Option<&str>,
    ) -> PortResult<()> {
        let (stored, offers) = described(transaction, seq)?;
        let [old, new] = [&stored, details]
            .map(|details| filter::rows(Filterable { offers: &offers, ..Filterable::from(details) }));
        change_fields(transaction, &self.tenant, seq, &old, &new)?;
        let json = serde_json::to_string(details)
            .map_err(|error| failed(PortErrorKind::Invalid, error.to_string()))?;
        execute(transaction, "UPDATE products SET details = ?2 WHERE seq = ?1", params![seq, json])
            .map_err(sqlite)?;
        let Some(text) = text else { return Ok(()) };
        execute(transaction, "UPDATE products SET index_text = ?2 WHERE seq = ?1", params![seq, text])
            .map_err(sqlite)?;
        keyword::forget(transaction, seq)?;
        keyword::add(transaction, seq, &self.tenant, &details.name, text)?;
        texts::tell(transaction, &self.tenant, seq)
    }

    /// Takes a picture away with its vectors; whether nobody wants it.
    fn remove_image(&self, transaction: &Transaction<'_>, image: &ImageHash) -> PortResult<bool> {
        let key = params![self.tenant.as_str(), image.as_bytes().as_slice()];
        let sql = "DELETE FROM vectors WHERE tenant = ?1 AND image = ?2";
        execute(transaction, sql, key).map_err(sqlite)?;
        let sql = "DELETE FROM images WHERE tenant = ?1 AND hash = ?2";
        execute(transaction, sql, key).map_err(sqlite)?;
        intents::give_up(transaction, &self.tenant, image)
    }

    fn delete(&self, transaction: &Transaction<'_>, seq: i64) -> PortResult<()> {
        let (details, offers) = described(transaction, seq)?;
        let old = filter::rows(Filterable { offers: &offers, ..Filterable::from(&details) });
        change_fields(transaction, &self.tenant, seq, &old, &[])?;
        keyword::forget(transaction, seq)?;
        execute(transaction, "DELETE FROM products WHERE seq = ?1", params![seq]).map_err(sqlite)?;
        Ok(())
    }
}

fn images_of(transaction: &Transaction<'_>, seq: i64) -> PortResult<Vec<ImageHash>> {
    let sql = "SELECT hash FROM images WHERE product = ?1 ORDER BY position";
    let mut statement = transaction.prepare_cached(sql).map_err(sqlite)?;
    let mut found = statement.query([seq]).map_err(sqlite)?;
    let mut images = Vec::new();
    while let Some(row) = found.next().map_err(sqlite)? {
        images.push(rows::hash(row, 0)?);
    }
    Ok(images)
}
