//! Choices that one search tries out in the place of what is live, without anybody else being served by them.

use std::{collections::HashSet, sync::Arc};

use taja_catalog::{
    PortError, PortResult, TenantId,
    plugins::{Choice, Slot},
    policy::Chosen,
    port::PortErrorKind,
};

use crate::{
    house::House,
    life::{OrderError, Wanted},
    plugin::{Binding, Plugin},
    settings,
    team::Team,
};

impl House {
    /// Checks what is wanted as if it were to serve. The choices, and the modalities that a search with them may have.
    pub(crate) async fn choose(
        &self,
        tenant: &TenantId,
        wanted: &[Wanted],
    ) -> Result<(Chosen, HashSet<String>), OrderError> {
        let mut shift = self.generation().seating(tenant).live();
        let mut chosen = Chosen::default();
        for wanted in wanted {
            let (slot, choice, plugin) = self.chosen(tenant, wanted).await?;
            shift.put(&slot, Arc::new(Binding::new(plugin, choice.clone())));
            if let Some(other) = chosen.0.insert(slot.clone(), choice) {
                return Err(OrderError::Refused(format!(
                    "{} and another one take the slot {slot}",
                    other.name
                )));
            }
        }
        Ok((chosen, shift.modalities.into_keys().collect()))
    }

    async fn chosen(
        &self,
        tenant: &TenantId,
        wanted: &Wanted,
    ) -> Result<(Slot, Choice, Arc<Plugin>), OrderError> {
        let version = self.version(Some(tenant), &wanted.digest).await?;
        let version = version.ok_or_else(|| {
            OrderError::NotFound(format!("there is no version with the digest {}", wanted.digest))
        })?;
        let (name, slot) = (version.name.clone(), version.slot.clone());
        if slot == Slot::Ingest {
            return Err(OrderError::Refused(format!("{name} decides on new products: no search asks it")));
        }
        let plugin = self.plugin_for_a_while(&version).await.map_err(|reason| {
            OrderError::Refused(format!("{name} {} cannot be loaded: {reason}", version.version))
        })?;
        let generation = self.generation();
        let live = generation.seating(tenant).seat(&slot).map(|seat| &seat.live.choice);
        let inherited = live.filter(|live| live.name == name).map(|live| &live.settings);
        let settings = settings::checked(&plugin.identity.manifest, wanted.settings.as_ref().or(inherited))
            .map_err(|reason| OrderError::Refused(format!("the settings of {name}: {reason}")))?;
        Ok((slot, Choice { digest: version.digest, name, version: version.version, settings }, plugin))
    }

    /// Who serves a job that tries these choices out. They were checked when the job was accepted, perhaps by another
    /// process; a version that was removed meanwhile cannot be tried.
    pub(crate) async fn tried(self: &Arc<Self>, tenant: &TenantId, chosen: &Chosen) -> PortResult<Team> {
        let gone = |reason: String| PortError::new("plugins", PortErrorKind::Broken, reason);
        let mut shift = self.generation().seating(tenant).live();
        for (slot, choice) in &chosen.0 {
            let version = self.version(Some(tenant), &choice.digest).await?;
            let version =
                version.ok_or_else(|| gone(format!("version {} is not kept any more", choice.digest)))?;
            let plugin = self.plugin_for_a_while(&version).await.map_err(gone)?;
            shift.put(slot, Arc::new(Binding::new(plugin, choice.clone())));
        }
        Ok(Team::new(Arc::clone(self), tenant.clone(), shift).uncounted())
    }
}
