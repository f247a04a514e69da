//! What a component must be before it is kept.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use taja_catalog::{PluginDigest, PortError, TenantId, plugins::Version};

use crate::{
    house::House,
    load::{self, Loaded, Loader, Refused},
    manifest::Capability,
    plugin::Plugin,
    replay::check_goldens,
    runner::Runner,
    settings,
    signature::Signature,
};

/// A component that somebody brings.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The shop it is to belong to; none when every shop may use it.
    pub owner: Option<TenantId>,
    /// Who brings it.
    pub by: String,
    /// A component with its manifest inside.
    pub component: Bytes,
    /// By whoever vouches for it.
    pub signature: Option<Signature>,
    /// The capabilities it gets of those it asks for.
    pub granted: BTreeSet<Capability>,
}

/// A component that is kept.
#[derive(Debug, Clone)]
pub struct Added {
    /// What is known of it.
    pub version: Version,
    /// Whether it was not kept before.
    pub is_new: bool,
    /// From its bytes to machine code.
    pub compiled_in: Duration,
    /// Whether the machine code came from the cache.
    pub cached: bool,
}

/// Why a component is not kept.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// It is not what it must be.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] PortError),
}

impl House {
    /// Checks a component and keeps it. Nothing serves differently after that.
    pub(crate) async fn add(&self, upload: Upload) -> Result<Added, AddError> {
        let component = upload.component.clone();
        let digest = PluginDigest::of(&component);
        if let Some(version) = self.store.version(upload.owner.as_ref(), &digest).await? {
            return Ok(Added { version, is_new: false, compiled_in: Duration::ZERO, cached: true });
        }
        let (plugin, signer, compiled_in, cached) = self.admit(&upload).await?;
        let identity = &plugin.identity;
        let manifest = serde_json::to_value(&identity.manifest)
            .map_err(|error| Refused::at("manifest")(format!("cannot be told as JSON: {error}")))?;
        let version = Version {
            owner: upload.owner,
            digest,
            name: identity.manifest.name.clone(),
            version: identity.manifest.version.to_string(),
            slot: plugin.slot(),
            size: component.len() as u64,
            granted: identity.granted.iter().map(ToString::to_string).collect(),
            manifest,
            signature: upload.signature.map(|signature| signature.to_string()),
            signer,
            uploaded_at: Timestamp::now(),
            uploaded_by: upload.by,
        };
        let is_new = self.store.add_version(&version, component).await?;
        Ok(Added { version, is_new, compiled_in, cached })
    }

    /// Every check, one after the other, the cheap ones first.
    pub(crate) async fn admit(
        &self,
        upload: &Upload,
    ) -> Result<(Arc<Plugin>, Option<String>, Duration, bool), Refused> {
        let (size, most) = (upload.component.len() as u64, self.config.max_component_bytes);
        if size > most {
            return Err(Refused::at("size")(format!("is {size} bytes; the limit is {most}")));
        }
        let signer = self.config.trusted.verify(&upload.component, upload.signature.as_ref());
        let signer = signer.map_err(Refused::at("signature"))?;
        let loaded = check(&self.loader, &self.runner, upload.component.clone(), &upload.granted).await?;
        let (compiled_in, cached) = (loaded.compiled_in, loaded.cached);
        Ok((self.keep_warm(loaded), signer, compiled_in, cached))
    }
}

/// Everything that can be told of a component by itself.
pub(crate) async fn check(
    loader: &Loader,
    runner: &Runner,
    component: Bytes,
    granted: &BTreeSet<Capability>,
) -> Result<Loaded, Refused> {
    let read = load::read(component.clone())?;
    settings::schema(&read.manifest).map_err(Refused::at("manifest"))?;
    let loaded = loader.load(runner, read, granted, true).await?;
    check_goldens(runner, &loaded.plugin, &component).await.map_err(Refused::at("goldens"))?;
    Ok(loaded)
}
