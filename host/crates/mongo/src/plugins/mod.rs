//! Plugins: their versions, what is active where, and how it has been doing.
//!
//! A record is JSON as text, so that nothing in a manifest or in settings is taken for the server's own; beside it stand
//! the fields that questions name. A component is larger than a document may be, so it lies in pieces, with a document
//! that counts its owners: whoever comes or goes writes that one, so two of them never pass each other by.

mod activations;
mod components;
mod statistics;
mod versions;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{Cursor, bson::Document};
use serde::{Serialize, de::DeserializeOwned};
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    plugins::{Activation, Event, PluginStore, Removal, Slot, Statistic, Version},
};

use self::{
    activations::Change,
    statistics::Condense,
    versions::{Add, Remove, Sign},
};
use crate::{
    deadline::{READ, WRITE, within},
    document,
    error::{damaged, mongo},
    store::MongoStore,
    transaction::transact,
};

#[async_trait]
impl PluginStore for MongoStore {
    async fn add_version(&self, version: &Version, component: Bytes) -> PortResult<bool> {
        let add = Add { collections: &self.collections, version, component };
        within(WRITE, "add_plugin_version", transact(self.collections.client(), &add)).await
    }

    async fn sign_version(
        &self,
        owner: Option<&TenantId>,
        digest: &PluginDigest,
        signature: &str,
        signer: Option<&str>,
    ) -> PortResult<bool> {
        let sign = Sign { collections: &self.collections, owner, digest, signature, signer };
        within(WRITE, "sign_plugin_version", transact(self.collections.client(), &sign)).await
    }

    async fn version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Option<Version>> {
        within(READ, "plugin_version", versions::one(&self.collections, owner, digest)).await
    }

    async fn versions(&self, owner: Option<&TenantId>) -> PortResult<Vec<Version>> {
        within(READ, "plugin_versions", versions::of(&self.collections, owner)).await
    }

    async fn component(&self, digest: &PluginDigest) -> PortResult<Option<Bytes>> {
        within(WRITE, "plugin_component", components::fetch(&self.collections, digest)).await
    }

    async fn remove_version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Removal> {
        let remove = Remove { collections: &self.collections, owner, digest };
        within(WRITE, "remove_plugin_version", transact(self.collections.client(), &remove)).await
    }

    async fn activations(&self, after: u64) -> PortResult<Vec<Activation>> {
        within(READ, "plugin_activations", activations::after(&self.collections, after)).await
    }

    async fn activation(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Option<Activation>> {
        within(READ, "plugin_activation", activations::one(&self.collections, tenant, slot)).await
    }

    async fn change(&self, activation: &Activation, event: &Event) -> PortResult<u64> {
        let change = Change { collections: &self.collections, activation, event };
        within(WRITE, "change_plugin", transact(self.collections.client(), &change)).await
    }

    async fn history(
        &self,
        tenant: Option<&TenantId>,
        slot: Option<&Slot>,
        limit: usize,
    ) -> PortResult<Vec<Event>> {
        let history = activations::history(&self.collections, tenant, slot, limit);
        within(READ, "plugin_history", history).await
    }

    async fn report(&self, process: &str, at: Timestamp, statistics: &[Statistic]) -> PortResult<()> {
        within(READ, "report_plugins", statistics::report(&self.collections, process, at, statistics)).await
    }

    async fn condense(&self, before: Timestamp) -> PortResult<()> {
        let condense = Condense { collections: &self.collections, before };
        while within(WRITE, "condense_plugins", transact(self.collections.client(), &condense)).await? {}
        within(WRITE, "forget_plugins", statistics::forget(&self.collections)).await
    }

    async fn statistics(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>> {
        within(READ, "plugin_statistics", statistics::of(&self.collections, tenant, slot)).await
    }
}

/// A shop's name, or none, as it stands in a field.
fn name(tenant: Option<&TenantId>) -> Option<&str> {
    tenant.map(TenantId::as_str)
}

/// A record as it is stored.
pub(crate) fn text(record: &impl Serialize) -> PortResult<String> {
    serde_json::to_string(record).map_err(|error| damaged("record", error))
}

/// A document's record.
pub(crate) fn record<T: DeserializeOwned>(stored: &Document) -> PortResult<T> {
    serde_json::from_str(document::text(stored, "record")?).map_err(|error| damaged("record", error))
}

/// The records of what was found.
pub(crate) async fn records<T: DeserializeOwned>(found: Cursor<Document>) -> PortResult<Vec<T>> {
    let found: Vec<_> = found.try_collect().await.map_err(mongo)?;
    found.iter().map(record).collect()
}
