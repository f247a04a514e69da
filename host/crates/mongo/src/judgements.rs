//! Sets of judgements, by shop.

use mongodb::bson::{Document, doc};
use taja_catalog::{JudgementSetId, PortResult, TenantId, judgements::JudgementSet};

use crate::{
    access,
    collections::Collections,
    document,
    error::mongo,
    plugins::{record, records, text},
};

/// A shop's sets, by name.
pub(crate) async fn all(collections: &Collections, tenant: &TenantId) -> PortResult<Vec<JudgementSet>> {
    let sets = collections.judgements.find(doc! { "tenant": tenant.as_str() });
    let sets = sets.projection(doc! { "record": 1 }).await.map_err(mongo)?;
    let mut sets: Vec<JudgementSet> = records(sets).await?;
    sets.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(sets)
}

/// A set with its lines.
pub(crate) async fn lines(
    collections: &Collections,
    tenant: &TenantId,
    id: &JudgementSetId,
) -> PortResult<Option<(JudgementSet, String)>> {
    let found = collections.judgements.find_one(doc! { "_id": key(tenant, id) }).await.map_err(mongo)?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some((record(&found)?, document::text(&found, "lines")?.to_owned())))
}

/// Keeps a set; false when the shop is not registered. A shop that is registered stays so.
pub(crate) async fn keep(
    collections: &Collections,
    tenant: &TenantId,
    set: &JudgementSet,
    lines: &str,
) -> PortResult<bool> {
    if access::tenant(collections, tenant).await?.is_none() {
        return Ok(false);
    }
    let key = key(tenant, &set.id);
    let stored = doc! { "_id": &key, "tenant": tenant.as_str(), "record": text(set)?, "lines": lines };
    let kept = collections.judgements.replace_one(doc! { "_id": key }, stored).upsert(true);
    kept.await.map_err(mongo)?;
    Ok(true)
}

/// Forgets a set; false when there is none of that name.
pub(crate) async fn forget(
    collections: &Collections,
    tenant: &TenantId,
    id: &JudgementSetId,
) -> PortResult<bool> {
    let forgotten =
        collections.judgements.delete_one(doc! { "_id": key(tenant, id) }).await.map_err(mongo)?;
    Ok(forgotten.deleted_count == 1)
}

fn key(tenant: &TenantId, id: &JudgementSetId) -> Document {
    doc! { "t": tenant.as_str(), "n": id.as_str() }
}
