//! Versions, each with its owner.

use async_trait::async_trait;
use bytes::Bytes;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    plugins::{Removal, Version},
};

use super::{
    activations::{holders, next_revision},
    components, name, record, records, text,
};
use crate::{collections::Collections, error::mongo, transaction::Transaction};

/// Keeps a version and its component; false when the owner has it.
pub(super) struct Add<'a> {
    pub(super) collections: &'a Collections,
    pub(super) version: &'a Version,
    pub(super) component: Bytes,
}

#[async_trait]
impl Transaction for Add<'_> {
    type Answer = bool;

    async fn run(&self, session: &mut ClientSession) -> PortResult<bool> {
        let versions = &self.collections.plugin_versions;
        let owner = self.version.owner.as_ref();
        // Looked at before: a taken key would end the transaction.
        if is_kept(self.collections, session, owner, &self.version.digest).await? {
            return Ok(false);
        }
        components::take(self.collections, session, &self.version.digest, &self.component).await?;
        let key = key(owner, &self.version.digest);
        let version = doc! { "_id": key, "owner": name(owner), "record": text(self.version)? };
        versions.insert_one(version).session(session).await.map_err(mongo)?;
        Ok(true)
    }
}

/// Puts a signature in the place of a version's; false when the owner has no such version.
pub(super) struct Sign<'a> {
    pub(super) collections: &'a Collections,
    pub(super) owner: Option<&'a TenantId>,
    pub(super) digest: &'a PluginDigest,
    pub(super) signature: &'a str,
    pub(super) signer: Option<&'a str>,
}

#[async_trait]
impl Transaction for Sign<'_> {
    type Answer = bool;

    async fn run(&self, session: &mut ClientSession) -> PortResult<bool> {
        let versions = &self.collections.plugin_versions;
        let key = doc! { "_id": key(self.owner, self.digest) };
        let kept = versions.find_one(key.clone()).session(&mut *session).await.map_err(mongo)?;
        let Some(kept) = kept else { return Ok(false) };
        let mut version: Version = record(&kept)?;
        version.signature = Some(self.signature.to_owned());
        version.signer = self.signer.map(str::to_owned);
        let signed = doc! { "$set": { "record": text(&version)? } };
        versions.update_one(key, signed).session(session).await.map_err(mongo)?;
        Ok(true)
    }
}

/// Removes a version that no activation holds, and its component with the last one.
pub(super) struct Remove<'a> {
    pub(super) collections: &'a Collections,
    pub(super) owner: Option<&'a TenantId>,
    pub(super) digest: &'a PluginDigest,
}

#[async_trait]
impl Transaction for Remove<'_> {
    type Answer = Removal;

    async fn run(&self, session: &mut ClientSession) -> PortResult<Removal> {
        // A removal and an activation read what the other one writes, which by itself is no conflict: they meet here.
        next_revision(self.collections, session).await?;
        if !is_kept(self.collections, session, self.owner, self.digest).await? {
            return Ok(Removal::Missing);
        }
        let holders = holders(self.collections, session, self.owner, self.digest).await?;
        if !holders.is_empty() {
            return Ok(Removal::InUse(holders));
        }
        let version = doc! { "_id": key(self.owner, self.digest) };
        self.collections.plugin_versions.delete_one(version).session(&mut *session).await.map_err(mongo)?;
        components::leave(self.collections, session, self.digest).await?;
        Ok(Removal::Removed)
    }
}

/// Whether an owner has a version, as a transaction sees it.
pub(super) async fn is_kept(
    collections: &Collections,
    session: &mut ClientSession,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
) -> PortResult<bool> {
    let version = collections.plugin_versions.find_one(doc! { "_id": key(owner, digest) });
    Ok(version.session(session).await.map_err(mongo)?.is_some())
}

pub(super) async fn one(
    collections: &Collections,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
) -> PortResult<Option<Version>> {
    let version = doc! { "_id": key(owner, digest) };
    let found = collections.plugin_versions.find_one(version).await.map_err(mongo)?;
    found.as_ref().map(record).transpose()
}

/// An owner's versions, oldest first.
pub(super) async fn of(collections: &Collections, owner: Option<&TenantId>) -> PortResult<Vec<Version>> {
    let found = collections.plugin_versions.find(doc! { "owner": name(owner) }).await.map_err(mongo)?;
    let mut versions: Vec<Version> = records(found).await?;
    versions.sort_by_key(|version| (version.uploaded_at, version.digest));
    Ok(versions)
}

fn key(owner: Option<&TenantId>, digest: &PluginDigest) -> Document {
    doc! { "o": name(owner), "d": digest.to_string() }
}
