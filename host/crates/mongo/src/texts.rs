//! The texts by which words find products, in the order in which they changed.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use taja_catalog::{
    PortResult, TenantId,
    port::{PortErrorKind, Position},
};

use crate::{
    collections::Collections,
    document::{text, whole},
    error::{failed, mongo},
};

/// The field of a product that holds the version of the shop's catalogue in which its words last changed. What was stored
/// before that was noted has none, and comes first.
pub(crate) const WORDED: &str = "worded";

/// Texts after a place: the version, or 0, and the identifier of a product, between them a colon.
pub(crate) async fn after(
    collections: &Collections,
    tenant: &TenantId,
    after: Option<&Position>,
    limit: i64,
) -> PortResult<Vec<(Position, String)>> {
    let mut wanted = doc! { "tenant": tenant.as_str() };
    if let Some(after) = after {
        wanted.insert("$or", past(after)?);
    }
    let find = collections.products.find(wanted).sort(doc! { WORDED: 1, "id": 1 }).limit(limit);
    let find = find.projection(doc! { "_id": 0, WORDED: 1, "id": 1, "name": 1, "text": 1 });
    let mut cursor = find.await.map_err(mongo)?;
    let mut texts = Vec::new();
    while let Some(found) = cursor.try_next().await.map_err(mongo)? {
        let worded: i64 = found.get(WORDED).and_then(whole).unwrap_or_default();
        let position = Position(format!("{worded}:{}", text(&found, "id")?));
        texts.push((position, format!("{}\n{}", text(&found, "name")?, text(&found, "text")?)));
    }
    Ok(texts)
}

/// What comes after a place; the first version is 1.
fn past(position: &Position) -> PortResult<[Document; 2]> {
    let read = || {
        let (worded, id) = position.0.split_once(':')?;
        Some((worded.parse::<i64>().ok()?, id))
    };
    let (worded, id) = read()
        .ok_or_else(|| failed(PortErrorKind::Invalid, format!("{:?} is no place among texts", position.0)))?;
    let same = if worded > 0 {
        doc! { WORDED: worded }
    } else {
        doc! { WORDED: null }
    };
    let mut later = same;
    later.insert("id", doc! { "$gt": id });
    Ok([later, doc! { WORDED: { "$gt": worded } }])
}
