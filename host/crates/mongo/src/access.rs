//! Shops and their keys. Times are kept as text, as precise as they are.

use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    Collection,
    bson::{Bson, Document, deserialize_from_bson, deserialize_from_document, doc, serialize_to_document},
};
use serde::{Serialize, de::DeserializeOwned};
use taja_catalog::{
    PortResult, TenantId,
    access::{ApiKey, KeyId, Tenant},
    callback::{CallbackSecret, CallbackSecrets},
    words::WordSettings,
};

use crate::{
    collections::Collections,
    error::{damaged, is_duplicate, mongo, unless_taken},
};

/// The field of a shop's document that holds what its callbacks are signed with.
const SECRETS: &str = "callback_secrets";
/// The field that holds what it says of its words.
const WORDS: &str = "words";

/// Registers a shop; false when it is there.
pub(crate) async fn add_tenant(collections: &Collections, tenant: &Tenant) -> PortResult<bool> {
    match collections.tenants.insert_one(document(tenant)?).await {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(mongo(error)),
    }
}

pub(crate) async fn tenant(collections: &Collections, id: &TenantId) -> PortResult<Option<Tenant>> {
    found(&collections.tenants, id.as_str()).await
}

pub(crate) async fn tenants(collections: &Collections) -> PortResult<Vec<Tenant>> {
    let mut tenants: Vec<Tenant> = all(&collections.tenants, doc! {}).await?;
    tenants.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(tenants)
}

/// Keeps a new key; `Conflict` when there is one of that id.
pub(crate) async fn add_key(collections: &Collections, key: &ApiKey) -> PortResult<()> {
    let added = collections.api_keys.insert_one(document(key)?).await;
    unless_taken(added, || format!("key {}", key.id)).map(drop)
}

pub(crate) async fn key(collections: &Collections, id: &KeyId) -> PortResult<Option<ApiKey>> {
    found(&collections.api_keys, id.as_str()).await
}

/// A shop's keys, oldest first.
pub(crate) async fn keys(collections: &Collections, tenant: &TenantId) -> PortResult<Vec<ApiKey>> {
    let mut keys: Vec<ApiKey> = all(&collections.api_keys, doc! { "tenant": tenant.as_str() }).await?;
    // Not by the server: times as text do not sort by time.
    keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(keys)
}

/// Revokes a shop's key; false when the shop has none of that id.
pub(crate) async fn revoke_key(
    collections: &Collections,
    tenant: &TenantId,
    id: &KeyId,
    at: Timestamp,
) -> PortResult<bool> {
    let key = doc! { "_id": id.as_str(), "tenant": tenant.as_str() };
    let first = doc! { "$ifNull": ["$revoked_at", at.to_string()] };
    let update = vec![doc! { "$set": { "revoked_at": first } }];
    let revoked = collections.api_keys.update_one(key, update).await.map_err(mongo)?;
    Ok(revoked.matched_count == 1)
}

/// What a shop says of its words. It lies in the shop's document, beside what a [`Tenant`] says.
pub(crate) async fn word_settings(
    collections: &Collections,
    tenant: &TenantId,
) -> PortResult<Option<WordSettings>> {
    let shop = collections.tenants.find_one(doc! { "_id": tenant.as_str() }).await.map_err(mongo)?;
    let settings = shop.and_then(|mut shop| shop.remove(WORDS));
    settings.map(deserialize_from_bson).transpose().map_err(|error| damaged(WORDS, error))
}

/// Keeps what a shop says of its words; false when it is not registered.
pub(crate) async fn set_word_settings(
    collections: &Collections,
    tenant: &TenantId,
    settings: &WordSettings,
) -> PortResult<bool> {
    let settings = serialize_to_document(settings).map_err(|error| damaged(WORDS, error))?;
    let update = doc! { "$set": { WORDS: settings } };
    let set = collections.tenants.update_one(doc! { "_id": tenant.as_str() }, update).await.map_err(mongo)?;
    Ok(set.matched_count == 1)
}

/// What a shop's callbacks are signed with. It lies in the shop's document, beside what a [`Tenant`] says.
pub(crate) async fn callback_secrets(
    collections: &Collections,
    tenant: &TenantId,
) -> PortResult<Option<CallbackSecrets>> {
    let shop = collections.tenants.find_one(doc! { "_id": tenant.as_str() }).await.map_err(mongo)?;
    let secrets = shop.and_then(|mut shop| shop.remove(SECRETS));
    secrets.map(deserialize_from_bson).transpose().map_err(|error| damaged(SECRETS, error))
}

/// Keeps a shop's secrets in the place of those with this current one.
pub(crate) async fn replace_callback_secrets(
    collections: &Collections,
    tenant: &TenantId,
    current: Option<&CallbackSecret>,
    secrets: &CallbackSecrets,
) -> PortResult<bool> {
    // Null is found where there is no such field.
    let current = current.map_or(Bson::Null, |secret| secret.expose().into());
    let which = doc! { "_id": tenant.as_str(), "callback_secrets.current": current };
    let secrets = serialize_to_document(secrets).map_err(|error| damaged(SECRETS, error))?;
    let update = doc! { "$set": { SECRETS: secrets } };
    let replaced = collections.tenants.update_one(which, update).await.map_err(mongo)?;
    Ok(replaced.matched_count == 1)
}

async fn found<T: DeserializeOwned>(records: &Collection<Document>, id: &str) -> PortResult<Option<T>> {
    let found = records.find_one(doc! { "_id": id }).await.map_err(mongo)?;
    found.map(record).transpose()
}

async fn all<T: DeserializeOwned>(records: &Collection<Document>, which: Document) -> PortResult<Vec<T>> {
    let found = records.find(which).await.map_err(mongo)?;
    let found: Vec<Document> = found.try_collect().await.map_err(mongo)?;
    found.into_iter().map(record).collect()
}

fn document(record: &impl Serialize) -> PortResult<Document> {
    let mut document = serialize_to_document(record).map_err(|error| damaged("record", error))?;
    let id = document.remove("id").unwrap_or(Bson::Null);
    document.insert("_id", id);
    Ok(document)
}

fn record<T: DeserializeOwned>(mut document: Document) -> PortResult<T> {
    let id = document.remove("_id").unwrap_or(Bson::Null);
    document.insert("id", id);
    deserialize_from_document(document).map_err(|error| damaged("record", error))
}
