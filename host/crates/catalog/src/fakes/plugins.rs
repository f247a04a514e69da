//! The keeper of plugins as maps behind one lock.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::held;
use crate::{
    id::TenantId,
    plugins::{Activation, Event, Part, PluginDigest, PluginStore, Slot, Statistic, Version},
    port::{PortError, PortErrorKind, PortResult},
};

/// Keeps plugins in memory.
#[derive(Debug, Default)]
pub struct InMemoryPlugins(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    versions: BTreeMap<(Option<TenantId>, PluginDigest), Version>,
    components: BTreeMap<PluginDigest, Bytes>,
    activations: BTreeMap<(Option<TenantId>, Slot), Activation>,
    events: Vec<Event>,
    revision: u64,
    statistics: BTreeMap<(String, TenantId, Slot, PluginDigest, Part), Statistic>,
}

#[async_trait]
impl PluginStore for InMemoryPlugins {
    async fn add_version(&self, version: &Version, component: Bytes) -> PortResult<bool> {
        let mut tables = held(&self.0);
        let Entry::Vacant(place) = tables.versions.entry((version.owner.clone(), version.digest)) else {
            return Ok(false);
        };
        place.insert(version.clone());
        tables.components.insert(version.digest, component);
        Ok(true)
    }

    async fn version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Option<Version>> {
        Ok(held(&self.0).versions.get(&(owner.cloned(), *digest)).cloned())
    }

    async fn versions(&self, owner: Option<&TenantId>) -> PortResult<Vec<Version>> {
        let tables = held(&self.0);
        let owned = tables.versions.values().filter(|version| version.owner.as_ref() == owner);
        let mut versions: Vec<_> = owned.cloned().collect();
        versions.sort_by_key(|version| (version.uploaded_at, version.digest));
        Ok(versions)
    }

    async fn component(&self, digest: &PluginDigest) -> PortResult<Option<Bytes>> {
        Ok(held(&self.0).components.get(digest).cloned())
    }

    async fn remove_version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<bool> {
        let mut tables = held(&self.0);
        let removed = tables.versions.remove(&(owner.cloned(), *digest)).is_some();
        if !tables.versions.keys().any(|(_, kept)| kept == digest) {
            tables.components.remove(digest);
        }
        Ok(removed)
    }

    async fn activations(&self, after: u64) -> PortResult<Vec<Activation>> {
        let tables = held(&self.0);
        let later = tables.activations.values().filter(|activation| activation.revision > after);
        let mut later: Vec<_> = later.cloned().collect();
        later.sort_by_key(|activation| activation.revision);
        Ok(later)
    }

    async fn activation(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Option<Activation>> {
        Ok(held(&self.0).activations.get(&(tenant.cloned(), slot.clone())).cloned())
    }

    async fn change(&self, activation: &Activation, event: &Event) -> PortResult<u64> {
        let mut tables = held(&self.0);
        let key = (activation.tenant.clone(), activation.slot.clone());
        let stored = tables.activations.get(&key).map_or(0, |stored| stored.revision);
        if stored != activation.revision {
            let message = format!("{} was changed by somebody else", activation.slot);
            return Err(PortError::new("store", PortErrorKind::Conflict, message));
        }
        tables.revision += 1;
        let revision = tables.revision;
        tables.activations.insert(key, Activation { revision, ..activation.clone() });
        tables.events.push(event.clone());
        Ok(revision)
    }

    async fn history(
        &self,
        tenant: Option<&TenantId>,
        slot: Option<&Slot>,
        limit: usize,
    ) -> PortResult<Vec<Event>> {
        let tables = held(&self.0);
        let asked =
            |event: &&Event| event.tenant.as_ref() == tenant && slot.is_none_or(|slot| event.slot == *slot);
        Ok(tables.events.iter().rev().filter(asked).take(limit).cloned().collect())
    }

    async fn report(&self, process: &str, statistics: &[Statistic]) -> PortResult<()> {
        let mut tables = held(&self.0);
        for row in statistics {
            let key = (process.to_owned(), row.tenant.clone(), row.slot.clone(), row.digest, row.part);
            tables.statistics.insert(key, row.clone());
        }
        Ok(())
    }

    async fn statistics(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>> {
        let tables = held(&self.0);
        let asked = |row: &&Statistic| row.slot == *slot && tenant.is_none_or(|tenant| row.tenant == *tenant);
        Ok(Statistic::add_up(tables.statistics.values().filter(asked).cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_maps_keep_plugins() {
        crate::contract::plugin_suite(async || (InMemoryPlugins::default(), ())).await;
    }
}
