//! Components in OCI registries: put there, and fetched by tag or by digest, in the form that `wkg` uses.

mod access;
mod answer;
mod artifact;
mod reference;
mod registry;

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use taja_sandbox::{manifest, signature::Signature};

pub use self::reference::{Reference, SCHEME};
use self::{
    access::Access,
    artifact::{Artifact, Layer},
    reference::Digest,
    registry::{Registry, Rights},
};
use super::files;
use crate::cli::{Usage, write_out};

/// A component that came out of a registry as its digest promised.
pub struct Fetched {
    pub component: Vec<u8>,
    /// Of the manifest that names it.
    pub manifest: Digest,
    pub signature: Option<Signature>,
}

/// Puts a component into a registry, with the signature over it. Without a tag it gets that of its version.
pub async fn publish(
    component: &Path,
    mut to: Reference,
    signature: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<()> {
    if to.digest.is_some() {
        return Err(Usage(format!(
            "{to}: publishing prints the digest; name a tag, or none for the version's"
        ))
        .into());
    }
    let bytes = files::read(component)?;
    let about = manifest::read(&bytes).with_context(|| component.display().to_string())?;
    let signature = files::signature_over(component, signature)?.map(|text| text.parse());
    let signature = signature.transpose().map_err(anyhow::Error::msg)?;
    let artifact = Artifact::new(&bytes, &about, signature.as_ref())?;
    // A tag has no plus sign.
    let tag = to.tag.get_or_insert_with(|| about.version.to_string().replace('+', "_")).clone();
    let digest = Digest::of(&bytes);
    let manifest = put(&to, &tag, bytes, artifact).await.with_context(|| to.to_string())?;
    say(&to, manifest, digest, signature.is_some(), json)
}

/// Fetches a component into a file, and the signature that it came with beside it.
pub async fn fetch(from: &Reference, out: &Path, json: bool) -> anyhow::Result<()> {
    let fetched = pull(from).await?;
    files::write_whole(out, &fetched.component)?;
    if let Some(signature) = &fetched.signature {
        files::write_whole(&files::signature_of(out), format!("{signature}\n").as_bytes())?;
    }
    say(from, fetched.manifest, Digest::of(&fetched.component), fetched.signature.is_some(), json)
}

/// Fetches a component, and checks that it is what its reference names.
pub async fn pull(from: &Reference) -> anyhow::Result<Fetched> {
    let fetched = async {
        let mut registry = Registry::of(from, Rights::Pull, access()?)?;
        let (manifest, bytes) = registry.manifest(from).await?;
        let layer = Layer::of(&bytes)?;
        let component = registry.component(&layer).await?;
        anyhow::Ok(Fetched { component, manifest, signature: layer.signature })
    };
    fetched.await.with_context(|| from.to_string())
}

/// The manifest last: what a tag names is whole.
async fn put(to: &Reference, tag: &str, component: Vec<u8>, artifact: Artifact) -> anyhow::Result<Digest> {
    let mut registry = Registry::of(to, Rights::Push, access()?)?;
    registry.add_blob(component).await?;
    registry.add_blob(artifact.config).await?;
    registry.add_manifest(tag, artifact.manifest).await
}

fn access() -> anyhow::Result<Access> {
    Access::from_lookup(|name| std::env::var(name).ok())
}

/// Prints what lies where.
fn say(
    reference: &Reference,
    manifest: Digest,
    component: Digest,
    signed: bool,
    json: bool,
) -> anyhow::Result<()> {
    let pinned = reference.at(manifest);
    if json {
        let said = json!({
            "reference": reference.to_string(),
            "pinned": pinned.to_string(),
            "manifest": manifest,
            "component": component,
            "signed": signed,
        });
        return write_out(&said.to_string());
    }
    let signature = if signed { "signed" } else { "not signed" };
    write_out(&format!(
        "reference {reference}\nmanifest  {manifest}\ncomponent {component}, {signature}\npinned    {pinned}"
    ))
}
