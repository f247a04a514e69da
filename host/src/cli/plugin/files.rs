//! What is done with components before any service sees them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use taja_catalog::recording::Recording;
use taja_sandbox::{PluginState, manifest, signature::SigningKey};

use super::tables;
use crate::{
    app,
    cli::{settings::Settings, write_out},
};

/// False when a component would be refused.
pub async fn check(files: Vec<PathBuf>, json: bool, settings: &Settings) -> anyhow::Result<bool> {
    let report = app::plugin_report(&settings.read()?, files).await?;
    write_out(&if json { serde_json::to_string_pretty(&report)? } else { tables::checked(&report) })?;
    Ok(report.iter().all(|plugin| plugin.state == PluginState::Ready))
}

pub fn pack(component: &Path, manifest: &Path, goldens: Option<&Path>, out: &Path) -> anyhow::Result<()> {
    let bytes = read(component)?;
    let text =
        std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let mut packed = manifest::embed(&bytes, &text).with_context(|| manifest.display().to_string())?;
    if let Some(goldens) = goldens {
        let recording = read(goldens)?;
        let name = manifest::read(&packed)?.name;
        packed = manifest::embed_goldens(&packed, &golden_calls(&recording, &name, goldens)?)?;
    }
    write_whole(out, &packed)
}

/// The calls of one plugin, of all that a recording holds.
fn golden_calls(recording: &[u8], plugin: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    let is_none = || format!("{} is no recording", file.display());
    let mut recording = Recording::from_json(recording).with_context(is_none)?;
    recording.calls.retain(|call| call.plugin.name == plugin);
    if recording.calls.is_empty() {
        bail!("{} holds no call of {plugin}", file.display());
    }
    Ok(recording.to_json()?.into_bytes())
}

pub fn keygen(out: &Path) -> anyhow::Result<()> {
    let key = SigningKey::generate()?;
    key.write(out).with_context(|| format!("cannot write the key {}", out.display()))?;
    write_out(&key.public())
}

pub fn sign(component: &Path, key: &Path, out: Option<PathBuf>) -> anyhow::Result<()> {
    let bytes = read(component)?;
    // Packing it later would make it something else than what was signed.
    manifest::read(&bytes).with_context(|| component.display().to_string())?;
    let key = SigningKey::read(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    let out = out.unwrap_or_else(|| signature_of(component));
    write_whole(&out, format!("{}\n", key.sign(&bytes)).as_bytes())
}

/// Where the signature of a component lies.
pub fn signature_of(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// What a signature file says: the one that is named, or the one beside the component, if that is there.
pub fn signature_over(component: &Path, named: Option<PathBuf>) -> anyhow::Result<Option<String>> {
    let beside = signature_of(component);
    let path = named.or_else(|| beside.exists().then_some(beside));
    path.map(|path| signature_in(&path)).transpose()
}

/// What a signature file says.
pub fn signature_in(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whole or not at all: a server that starts meanwhile must not see half a file.
pub fn write_whole(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = out.with_extension("part");
    std::fs::write(&part, bytes).with_context(|| format!("cannot write {}", part.display()))?;
    Ok(std::fs::rename(&part, out)?)
}
