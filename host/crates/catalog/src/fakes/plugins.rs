//! The keeper of plugins as maps behind one lock.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::held;
use crate::{
    id::TenantId,
    plugins::{Activation, Event, Part, PluginDigest, PluginStore, Removal, Slot, Statistic, Version},
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
    reported: BTreeMap<(String, Row), (Timestamp, Statistic)>,
    condensed: BTreeMap<Row, Statistic>,
}

type Row = (TenantId, Slot, PluginDigest, Part);

fn row(statistic: &Statistic) -> Row {
    (statistic.tenant.clone(), statistic.slot.clone(), statistic.digest, statistic.part)
}

impl Tables {
    fn keeps(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> bool {
        self.versions.contains_key(&(owner.cloned(), *digest))
    }

    /// The slots that hold a version.
    fn holders(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> Vec<(Option<TenantId>, Slot)> {
        let holds = |activation: &&Activation| {
            let tenant = activation.tenant.as_ref();
            activation.may_hold(owner, digest) && (tenant == owner || !self.keeps(tenant, digest))
        };
        let held = self.activations.values().filter(holds);
        held.map(|activation| (activation.tenant.clone(), activation.slot.clone())).collect()
    }
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

    async fn sign_version(
        &self,
        owner: Option<&TenantId>,
        digest: &PluginDigest,
        signature: &str,
        signer: Option<&str>,
    ) -> PortResult<bool> {
        let mut tables = held(&self.0);
        let Some(version) = tables.versions.get_mut(&(owner.cloned(), *digest)) else { return Ok(false) };
        version.signature = Some(signature.to_owned());
        version.signer = signer.map(str::to_owned);
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

    async fn remove_version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Removal> {
        let mut tables = held(&self.0);
        if !tables.keeps(owner, digest) {
            return Ok(Removal::Missing);
        }
        let holders = tables.holders(owner, digest);
        if !holders.is_empty() {
            return Ok(Removal::InUse(holders));
        }
        tables.versions.remove(&(owner.cloned(), *digest));
        if !tables.versions.keys().any(|(_, kept)| kept == digest) {
            tables.components.remove(digest);
        }
        Ok(Removal::Removed)
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
        let conflict = |message| Err(PortError::new("store", PortErrorKind::Conflict, message));
        let stored = tables.activations.get(&key);
        if stored.map_or(0, |stored| stored.revision) != activation.revision {
            return conflict(format!("{} was changed by somebody else", activation.slot));
        }
        let tenant = activation.tenant.as_ref();
        let is_kept = |digest: &PluginDigest| tables.keeps(tenant, digest) || tables.keeps(None, digest);
        if let Some(gone) = activation.newly_held(stored).iter().find(|digest| !is_kept(digest)) {
            return conflict(format!("version {gone} is not kept"));
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

    async fn report(&self, process: &str, at: Timestamp, statistics: &[Statistic]) -> PortResult<()> {
        let mut tables = held(&self.0);
        for statistic in statistics {
            tables.reported.insert((process.to_owned(), row(statistic)), (at, statistic.clone()));
        }
        Ok(())
    }

    async fn condense(&self, before: Timestamp) -> PortResult<()> {
        let Tables { versions, reported, condensed, .. } = &mut *held(&self.0);
        for ((_, row), (_, old)) in reported.extract_if(.., |_, (at, _)| *at < before) {
            match condensed.entry(row) {
                Entry::Occupied(mut sum) => sum.get_mut().tally.add(&old.tally),
                Entry::Vacant(place) => drop(place.insert(old)),
            }
        }
        condensed.retain(|(_, _, digest, _), _| versions.keys().any(|(_, kept)| kept == digest));
        Ok(())
    }

    async fn statistics(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>> {
        let tables = held(&self.0);
        let asked = |row: &&Statistic| row.slot == *slot && tenant.is_none_or(|tenant| row.tenant == *tenant);
        let reported = tables.reported.values().map(|(_, statistic)| statistic);
        Ok(Statistic::add_up(reported.chain(tables.condensed.values()).filter(asked).cloned()))
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
