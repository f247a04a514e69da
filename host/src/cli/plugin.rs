//! `taja plugin`: what the plugin folder holds, and making a component ready for it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use taja_sandbox::{PluginState, PluginStatus, manifest, signature::SigningKey};

use super::{settings::Settings, write_out};
use crate::app;

/// List policy components, and make them ready to load.
#[derive(Subcommand)]
pub enum Plugin {
    /// Load every component of the plugin folder as the service would, and say how that went
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Embed a manifest (plugin.toml) into a component
    Pack {
        /// The component, as the compiler made it
        component: PathBuf,
        /// Its manifest
        #[arg(long, value_name = "FILE")]
        manifest: PathBuf,
        /// Where to write the result
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make a key to sign plugins with, and print its public half for those who are to trust it
    Keygen {
        /// Where to write the key; a file that is there is kept
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a component that has its manifest
    Sign {
        /// The component, as `taja plugin pack` made it
        component: PathBuf,
        /// The key, as `taja plugin keygen` made it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where to write the signature [default: the component's path and .sig]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

impl Plugin {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::List { json, settings } => list(json, &settings).await,
            Self::Pack { component, manifest, out } => pack(&component, &manifest, &out),
            Self::Keygen { out } => keygen(&out),
            Self::Sign { component, key, out } => sign(&component, &key, out),
        }
    }
}

async fn list(json: bool, settings: &Settings) -> anyhow::Result<bool> {
    let report = app::plugin_report(&settings.read()?, Vec::new()).await?;
    write_out(&if json { serde_json::to_string_pretty(&report)? } else { table(&report) })?;
    Ok(report.iter().all(|plugin| plugin.state == PluginState::Ready))
}

fn pack(component: &Path, manifest: &Path, out: &Path) -> anyhow::Result<bool> {
    let bytes = std::fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    let text =
        std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let packed = manifest::embed(&bytes, &text).with_context(|| manifest.display().to_string())?;
    write_whole(out, &packed)?;
    Ok(true)
}

fn keygen(out: &Path) -> anyhow::Result<bool> {
    let key = SigningKey::generate()?;
    key.write(out).with_context(|| format!("cannot write the key {}", out.display()))?;
    write_out(&key.public())?;
    Ok(true)
}

fn sign(component: &Path, key: &Path, out: Option<PathBuf>) -> anyhow::Result<bool> {
    let bytes = std::fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    // Packing it later would make it something else than what was signed.
    manifest::read(&bytes).with_context(|| component.display().to_string())?;
    let key = SigningKey::read(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    let out = out.unwrap_or_else(|| {
        let mut path = component.as_os_str().to_owned();
        path.push(".sig");
        path.into()
    });
    write_whole(&out, format!("{}\n", key.sign(&bytes)).as_bytes())?;
    Ok(true)
}

/// Whole or not at all: a server that starts meanwhile must not see half a file.
fn write_whole(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = out.with_extension("part");
    std::fs::write(&part, bytes).with_context(|| format!("cannot write {}", part.display()))?;
    Ok(std::fs::rename(&part, out)?)
}

fn table(report: &[PluginStatus]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["file", "name", "version", "kind", "accepts", "may use", "digest", "state"]);
    for plugin in report {
        let manifest = plugin.manifest.as_ref();
        let of_manifest = |read: fn(&manifest::Manifest) -> String| manifest.map(read).unwrap_or_default();
        let state = match &plugin.state {
            PluginState::Ready => format!("ready, {} ms", plugin.compile_ms),
            PluginState::Refused(reason) => format!("refused: {reason}"),
        };
        table.add_row([
            plugin.file.clone(),
            of_manifest(|manifest| manifest.name.clone()),
            of_manifest(|manifest| manifest.version.to_string()),
            of_manifest(|manifest| manifest.kind.name().to_owned()),
            of_manifest(|manifest| manifest.accepts.join(", ")),
            of_manifest(|manifest| {
                manifest.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }),
            plugin.digest.map(|digest| digest.to_string()[..12].to_owned()).unwrap_or_default(),
            state,
        ]);
    }
    table.to_string()
}
