//! What a component must be before it is kept.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use taja_catalog::{PortError, TenantId, plugins::Version};

use crate::{
    binary::Binary,
    compile,
    house::House,
    load::{self, Loaded, Loader, Refused, Terms},
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
    pub component: Binary,
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
    /// Checks a component and keeps it. Nothing serves differently after that, except where what was kept waited for a
    /// signature that comes with it now.
    pub(crate) async fn add(self: &Arc<Self>, upload: Upload) -> Result<Added, AddError> {
        let digest = upload.component.digest();
        if let Some(kept) = self.store.version(upload.owner.as_ref(), &digest).await? {
            let version = self.sign(kept, upload.signature).await?;
            return Ok(Added { version, is_new: false, compiled_in: Duration::ZERO, cached: true });
        }
        let (plugin, signer, compiled_in, cached) = self.admit(&upload).await?;
        let identity = &plugin.identity;
        let manifest = serde_json::to_value(&identity.manifest)
            .map_err(|error| Refused::at("manifest")(format!("cannot be told as JSON: {error}")))?;
        let component = upload.component.bytes().clone();
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
        let (size, most) = (upload.component.bytes().len() as u64, self.config.max_component_bytes);
        check_size(size, most).map_err(Refused::at("size"))?;
        let signer = self.config.trusted.verify(&upload.component.digest(), upload.signature.as_ref());
        let signer = signer.map_err(Refused::at("signature"))?;
        let terms =
            Terms { granted: upload.granted.clone(), maximum: self.config.maximum_of(upload.owner.as_ref()) };
        let loaded = check(&self.loader, &self.runner, upload.component.clone(), &terms).await?;
        let (compiled_in, cached) = (loaded.compiled_in, loaded.cached);
        Ok((self.keep_warm(loaded, terms.maximum), signer, compiled_in, cached))
    }

    /// A version that is kept, with the signature that comes now: one of a trusted key, or the first one where nobody has
    /// to sign. Without it the version would be lost to whoever begins to trust keys.
    async fn sign(
        self: &Arc<Self>,
        mut kept: Version,
        signature: Option<Signature>,
    ) -> Result<Version, AddError> {
        let Some(signature) = signature.filter(|new| kept.signature != Some(new.to_string())) else {
            let own = kept.signature.as_ref().map(|text| text.parse()).transpose();
            let signer = own.and_then(|own| self.config.trusted.verify(&kept.digest, own.as_ref()));
            signer.map_err(Refused::at("signature"))?;
            return Ok(kept);
        };
        let signer = self.config.trusted.verify(&kept.digest, Some(&signature));
        let signer = signer.map_err(Refused::at("signature"))?;
        if signer.is_none() && kept.signature.is_some() {
            return Ok(kept);
        }
        let text = signature.to_string();
        self.store.sign_version(kept.owner.as_ref(), &kept.digest, &text, signer.as_deref()).await?;
        (kept.signature, kept.signer) = (Some(text), signer);
        // Where it is chosen and could not be loaded, it can be now.
        self.roster.hurry(self.now());
        self.refresh().await?;
        self.roster.settled(|_| true).await;
        Ok(kept)
    }
}

/// Says what a component that is too large can become.
pub(crate) fn check_size(size: u64, most: u64) -> Result<(), String> {
    if size <= most {
        return Ok(());
    }
    Err(format!(
        "is {size} bytes; the limit is {most}: build it for size and strip it, or ask the operator to raise max-plugin-bytes"
    ))
}

/// Everything that can be told of a component by itself.
pub(crate) async fn check(
    loader: &Loader,
    runner: &Runner,
    component: Binary,
    terms: &Terms,
) -> Result<Loaded, Refused> {
    let read = load::open(component.clone()).await?;
    let manifest = read.manifest.clone();
    let schema = compile::blocking(move || settings::schema(&manifest).map(drop));
    let corrected =
        |reason| format!("{reason}: correct [settings] of plugin.toml and pack the component again");
    schema.await.map_err(corrected).map_err(Refused::at("manifest"))?;
    let loaded = loader.load(runner, read, terms, true).await?;
    let goldens = check_goldens(runner, &loaded.plugin, component.bytes().clone());
    goldens.await.map_err(Refused::at("goldens"))?;
    Ok(loaded)
}
