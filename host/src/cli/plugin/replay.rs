//! Recorded searches, played again: what another version of a policy would have answered.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use taja_catalog::recording::{RecordedCall, Recording};
use taja_sandbox::{Replayed, manifest};

use super::files::read;
use crate::{
    app,
    cli::{settings::Settings, write_out},
};

/// A component to play through.
struct Component {
    name: String,
    digest: String,
    bytes: Vec<u8>,
}

/// Plays every call of a recording: through the component given when it is of the same name, else through the version
/// that was recorded. False when a version answers otherwise than itself.
pub async fn replay(
    recording: &Path,
    with: Option<&Path>,
    plugin_settings: Option<Value>,
    json: bool,
    settings: &Settings,
) -> anyhow::Result<bool> {
    let config = settings.read()?;
    let recording = Recording::from_json(&read(recording)?)
        .with_context(|| format!("{} is no recording", recording.display()))?;
    let with = with.map(component).transpose()?;
    let folder = components(&config.plugins)?;
    let player = app::player(&config, app::media(&config)?, None, false)?;
    let (mut lines, mut same) = (Vec::new(), true);
    for call in &recording.calls {
        let through = with.as_ref().filter(|with| with.name == call.plugin.name);
        let component = through.or_else(|| folder.iter().find(|known| known.digest == call.plugin.digest));
        let Some(component) = component else {
            lines.push(skipped(call, json));
            same = false;
            continue;
        };
        let other_settings = through.and(plugin_settings.clone());
        let meant = through.is_some() && (component.digest != call.plugin.digest || other_settings.is_some());
        let subject = player.load(component.bytes.clone().into()).await?;
        let played =
            player.play(&subject, call, other_settings.as_ref()).await.map_err(anyhow::Error::msg)?;
        same &= meant || played.diff.identical;
        lines.push(if json { serde_json::to_string(&played)? } else { told(&played) });
    }
    write_out(&lines.join("\n"))?;
    Ok(same)
}

fn told(played: &Replayed) -> String {
    let (recorded, now) = (&played.recorded, &played.played);
    let mut text = format!(
        "{} {} ({}) -> {} {} ({})\n{}",
        recorded.name,
        recorded.version,
        short(&recorded.digest),
        now.name,
        now.version,
        short(&now.digest),
        played.diff
    );
    for missing in &played.missing {
        text.push_str(&format!("\nnot in the recording: {missing}"));
    }
    text
}

fn skipped(call: &RecordedCall, json: bool) -> String {
    let plugin = &call.plugin;
    let why = "its component is not in the plugin folder: name it with --with";
    if json {
        return json!({ "recorded": plugin, "skipped": why }).to_string();
    }
    format!("{} {} ({}) skipped: {why}", plugin.name, plugin.version, short(&plugin.digest))
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn component(path: &Path) -> anyhow::Result<Component> {
    let bytes = read(path)?;
    let name = manifest::read(&bytes).with_context(|| path.display().to_string())?.name;
    let digest = taja_catalog::PluginDigest::of(&bytes).to_string();
    Ok(Component { name, digest, bytes })
}

/// The plugins of a folder; what is none is left out.
fn components(folder: &Path) -> anyhow::Result<Vec<Component>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let wasm = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    Ok(wasm.filter_map(|path| component(path).ok()).collect())
}
