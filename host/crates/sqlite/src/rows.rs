//! Products, images and vectors out of their rows.

use jiff::Timestamp;
use rusqlite::{Connection, Row, types::ValueRef};
use serde::de::DeserializeOwned;
use taja_catalog::{
    Embedding, ImageHash, PerceptualHash, PortResult, Product, ProductId, Space, StoredImage, TenantId,
    port::{PortErrorKind, Position, VectorRow},
};

use crate::error::{damaged, failed, sqlite};

/// One product with its images, in display order.
pub(crate) fn product(
    connection: &Connection,
    tenant: &TenantId,
    id: &ProductId,
) -> PortResult<Option<Product>> {
    let sql = "SELECT seq, created_at, updated_at, revision, details, offers FROM products WHERE tenant = ?1 AND id = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query((tenant.as_str(), id.as_str())).map_err(sqlite)?;
    let Some(row) = rows.next().map_err(sqlite)? else { return Ok(None) };
    let number = |column| row.get::<_, i64>(column).map_err(sqlite);
    Ok(Some(Product {
        tenant: tenant.clone(),
        id: id.clone(),
        details: json(row, 4, "details")?,
        images: images(connection, number(0)?)?,
        offers: json(row, 5, "offers")?,
        created_at: time(number(1)?)?,
        updated_at: time(number(2)?)?,
        revision: number(3)?.cast_unsigned(),
    }))
}

/// What the JSON in a column says.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize, what: &'static str) -> PortResult<T> {
    let value = row.get_ref(column).map_err(sqlite)?;
    let text = value.as_str().map_err(|error| damaged(what, error))?;
    serde_json::from_str(text).map_err(|error| damaged(what, error))
}

pub(crate) fn time(microseconds: i64) -> PortResult<Timestamp> {
    Timestamp::from_microsecond(microseconds).map_err(|error| damaged("time", error))
}

fn images(connection: &Connection, product: i64) -> PortResult<Vec<StoredImage>> {
    let sql = "SELECT hash, look, url, width, height FROM images WHERE product = ?1 ORDER BY position";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query([product]).map_err(sqlite)?;
    let mut images = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        images.push(image(row)?);
    }
    Ok(images)
}

/// A picture from its columns: hash, look, address, width and height, which come first.
pub(crate) fn image(row: &Row<'_>) -> PortResult<StoredImage> {
    Ok(StoredImage {
        hash: hash(row, 0)?,
        perceptual: PerceptualHash(row.get::<_, i64>(1).map_err(sqlite)?.cast_unsigned()),
        url: row.get(2).map_err(sqlite)?,
        width: row.get(3).map_err(sqlite)?,
        height: row.get(4).map_err(sqlite)?,
    })
}

/// The image hash in a column.
pub(crate) fn hash(row: &Row<'_>, column: usize) -> PortResult<ImageHash> {
    let digest = blob(row, column)?;
    let digest = digest.try_into().map_err(|error| damaged("image hash", error))?;
    Ok(ImageHash::from_digest(digest))
}

fn blob<'row>(row: &'row Row<'_>, column: usize) -> PortResult<&'row [u8]> {
    let value: ValueRef<'row> = row.get_ref(column).map_err(sqlite)?;
    value.as_blob().map_err(|error| damaged("bytes", error))
}

/// The identifier in a column.
pub(crate) fn id<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> PortResult<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let value = row.get_ref(column).map_err(sqlite)?;
    let text = value.as_str().map_err(|error| damaged("identifier", error))?;
    text.parse().map_err(|error: T::Err| damaged("identifier", error))
}

/// Vectors of a space after a position, in the order of their positions.
pub(crate) fn vectors(
    connection: &Connection,
    space: &Space,
    after: Option<&Position>,
    limit: usize,
) -> PortResult<Vec<(Position, VectorRow)>> {
    let after: i64 = match after.map(|position| position.0.parse()) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => return Err(failed(PortErrorKind::Invalid, "position is not one of this store")),
    };
    let sql = "SELECT v.position, v.tenant, p.id, v.image, v.embedding
               FROM vectors v JOIN products p ON p.seq = v.product
               WHERE v.space = (SELECT key FROM spaces WHERE id = ?1) AND v.position > ?2
               ORDER BY v.position LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((&space.id, after, limit)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let position: i64 = row.get(0).map_err(sqlite)?;
        let embedding = Embedding::from_le_bytes(blob(row, 4)?, space.dimension)
            .map_err(|error| damaged("vector", error))?;
        let row = VectorRow { tenant: id(row, 1)?, product: id(row, 2)?, image: hash(row, 3)?, embedding };
        found.push((Position(position.to_string()), row));
    }
    Ok(found)
}

/// The vectors of a product in a space.
pub(crate) fn vectors_of(
    connection: &Connection,
    tenant: &TenantId,
    product: &ProductId,
    space: &Space,
) -> PortResult<Vec<VectorRow>> {
    let sql = "SELECT image, embedding FROM vectors
               WHERE product = (SELECT seq FROM products WHERE tenant = ?1 AND id = ?2)
               AND space = (SELECT key FROM spaces WHERE id = ?3)";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query([tenant.as_str(), product.as_str(), &space.id]).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let embedding = Embedding::from_le_bytes(blob(row, 1)?, space.dimension)
            .map_err(|error| damaged("vector", error))?;
        let (tenant, product, image) = (tenant.clone(), product.clone(), hash(row, 0)?);
        found.push(VectorRow { tenant, product, image, embedding });
    }
    Ok(found)
}
