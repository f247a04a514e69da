//! `taja model`: which models there are, whether their files are whole, fetching one, and letting it serve.

mod activate;
mod export;

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use taja_clip::{Manifest, Part};

use super::{client::At, pull, settings::Settings, write_out};
use crate::{
    app::{self, MANIFEST},
    config::Config,
};

/// Manifests of models that Taja knows how to use; their weights are fetched or exported by the operator.
const KNOWN: &[(&str, &str)] = &[
    ("default.toml", include_str!("../../../models/default.toml")),
    ("openai-clip-vit-b-32.toml", include_str!("../../../models/openai-clip-vit-b-32.toml")),
    ("openai-clip-vit-b-16.toml", include_str!("../../../models/openai-clip-vit-b-16.toml")),
    ("openai-clip-vit-l-14.toml", include_str!("../../../models/openai-clip-vit-l-14.toml")),
    ("openai-clip-vit-l-14-336.toml", include_str!("../../../models/openai-clip-vit-l-14-336.toml")),
    ("openclip-vit-b-32-laion2b.toml", include_str!("../../../models/openclip-vit-b-32-laion2b.toml")),
    ("openclip-vit-l-14-datacomp.toml", include_str!("../../../models/openclip-vit-l-14-datacomp.toml")),
];

/// List, check, fetch and change embedding models.
#[derive(Subcommand)]
pub enum Model {
    /// List the models that are installed beside the configured one, and those that can be
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Read every file of the configured model and compare it with the manifest
    Verify {
        #[command(flatten)]
        settings: Settings,
    },
    /// Measure what may compute the configured model on this machine, and choose the fastest that gives the same vectors
    ///
    /// The service goes by it from its next start on. Takes from seconds to minutes.
    Bench {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Fetch a model from a folder or a web address that holds a model.toml, as models/export.py makes it
    ///
    /// Every file must be pinned there by SHA-256. An interrupted download is taken up where it ended.
    Pull {
        /// The folder, or the address, http or https
        from: String,
        /// SHA-256 of the model.toml, when it was told to you by somebody you trust
        #[arg(long, value_name = "HEX")]
        manifest_sha256: Option<String>,
        /// Where to put it [default: beside the configured model, under its name]
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Make a model's folder of a checkpoint, as its makers publish it
    ///
    /// The checkpoint is yours to fetch. This runs Python with numpy and onnx; .safetensors files need safetensors, .pt, .pth
    /// and .bin files torch.
    Export {
        /// A name of `taja model list`, or a model.toml that says what is to be made
        name: String,
        /// The checkpoint: OpenAI's, OpenCLIP's, or transformers'
        #[arg(long, value_name = "FILE")]
        checkpoint: PathBuf,
        /// The Python to run
        #[arg(long, value_name = "PROGRAM", default_value = "python3")]
        python: PathBuf,
        /// Where to put it [default: beside the configured model, under its name]
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Let an installed model serve, while the service runs
    ///
    /// Every picture of the catalogue is embedded with it, beside the vectors there are, while those go on serving. Then both
    /// models are compared on the catalogue's own pictures, and the new one takes over at once. It can be broken off and
    /// started again. The old vectors stay: activating the old model again embeds only what was added since.
    Activate {
        /// The model's name, such as openai-clip-vit-l-14 or ViT-L/14; it must lie beside the configured one
        name: String,
        #[command(flatten)]
        conditions: activate::Conditions,
        /// Print what was done as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Show which model serves, and how many vectors there are of each
    Status {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Remove the vectors of a model that does not serve
    Forget {
        /// The space of the vectors, as `taja model status` tells it
        space: String,
        #[command(flatten)]
        at: At,
    },
}

impl Model {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::List { json, settings } => list(json, &settings.read()?),
            Self::Verify { settings } => verify(&settings.read()?),
            Self::Bench { json, settings } => bench(json, &settings.read()?).await,
            Self::Pull { from, manifest_sha256, to, settings } => {
                let beside = app::shelf(&settings.read()?.model);
                let place = |name: &str| to.clone().unwrap_or_else(|| beside.join(name));
                let folder = pull::pull(&from, manifest_sha256.as_deref(), place).await?;
                eprintln!("use it with --model {0} or TAJA_MODEL={0}", folder.display());
                write_out(&folder.display().to_string())?;
                Ok(true)
            }
            Self::Export { name, checkpoint, python, to, settings } => {
                let export = export::Export { name, checkpoint, python };
                let folder = export.run(&app::shelf(&settings.read()?.model), to).await?;
                eprintln!(
                    "let it serve with `taja model activate`, or use it with TAJA_MODEL={}",
                    folder.display()
                );
                write_out(&folder.display().to_string())?;
                Ok(true)
            }
            Self::Activate { name, conditions, json, at } => {
                activate::activate(&name, conditions, json, at).await.map(|()| true)
            }
            Self::Status { json, at } => activate::status(json, at).await.map(|()| true),
            Self::Forget { space, at } => activate::forget(&space, at).await.map(|()| true),
        }
    }
}

/// A model, as the list shows it.
#[derive(Serialize)]
struct Row {
    name: String,
    title: String,
    dimension: usize,
    licence: String,
    source: String,
    active: bool,
    folder: Option<PathBuf>,
}

impl Row {
    fn new(manifest: Manifest, folder: Option<PathBuf>, active: bool) -> Self {
        let Manifest { name, title, dimension, licence, source, .. } = manifest;
        Self { name, title, dimension, licence, source, active, folder }
    }
}

fn list(json: bool, config: &Config) -> anyhow::Result<bool> {
    let configured = config.model.canonicalize().unwrap_or_else(|_| config.model.clone());
    let installed = app::installed(config).into_iter();
    let mut rows: Vec<_> = installed
        .map(|(folder, manifest)| {
            let is_configured = folder == configured;
            Row::new(manifest, Some(folder), is_configured)
        })
        .collect();
    for (file, text) in KNOWN {
        let manifest = Manifest::parse(text, file)?;
        if !rows.iter().any(|row| row.name == manifest.name) {
            rows.push(Row::new(manifest, None, false));
        }
    }
    write_out(&if json { serde_json::to_string_pretty(&rows)? } else { table(&rows) })?;
    Ok(true)
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "name", "what it is", "dimension", "licence", "folder"]);
    for row in rows {
        let folder =
            row.folder.as_ref().map_or_else(|| "not installed".to_owned(), |path| path.display().to_string());
        let mark = if row.active { "*" } else { "" };
        table.add_row([mark, &row.name, &row.title, &row.dimension.to_string(), &row.licence, &folder]);
    }
    format!(
        "{table}\n* is used. Others come with `taja model pull`, or from a checkpoint with models/export.py."
    )
}

fn verify(config: &Config) -> anyhow::Result<bool> {
    let manifest = Manifest::load(&config.model.join(MANIFEST))?;
    let bar = bytes_bar();
    let verified = manifest.verify(&config.model, &mut |file, done, size| {
        bar.set_message(file.to_owned());
        bar.set_length(size);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let verified = verified?;
    for (file, digest) in manifest.files().zip(&verified.digests) {
        let pinned = if file.sha256.is_some() { "pinned" } else { "not pinned" };
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        write_out(&format!("{digest}  {}  ({pinned})", file.file))?;
    }
    eprintln!("{} is whole; its space is {}", manifest.title, verified.space.id);
    Ok(true)
}

async fn bench(json: bool, config: &Config) -> anyhow::Result<bool> {
    let bar = ProgressBar::new_spinner().with_message("measuring");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let measured = app::measure(config).await;
    bar.finish_and_clear();
    let (manifest, tuning) = measured?;
    if json {
        write_out(&serde_json::to_string_pretty(&tuning.rows)?)?;
        return Ok(true);
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "tower", "backend", "threads", "batch", "ms each", "cosine", ""]);
    for row in &tuning.rows {
        let part = match row.part {
            Part::Image => "image",
            Part::Text => "text",
        };
        let number = |value: Option<f64>, digits| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.add_row([
            if row.chosen { "*" } else { "" }.to_owned(),
            part.to_owned(),
            row.backend.to_string(),
            row.threads.to_string(),
            row.batch.to_string(),
            number(row.ms_per_item, 1),
            number(row.cosine, 6),
            row.refused.clone().unwrap_or_default(),
        ]);
    }
    write_out(&format!(
        "{table}\n* serves {} here. Cosines are the lowest to cpu/f32 of all probes.",
        manifest.name
    ))?;
    Ok(true)
}

/// A bar over bytes, with what is being read before it.
pub fn bytes_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) =
        ProgressStyle::with_template("{msg:30} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// Reads a manifest that was just fetched.
pub fn parse(text: &str, from: &str) -> anyhow::Result<Manifest> {
    let manifest = Manifest::parse(text, from)?;
    let unpinned: Vec<_> =
        manifest.files().filter(|file| file.sha256.is_none()).map(|file| file.file.as_str()).collect();
    if unpinned.is_empty() {
        return Ok(manifest);
    }
    Err(anyhow::anyhow!("no SHA-256 for {}", unpinned.join(", ")))
        .with_context(|| format!("{from} cannot be trusted"))
}
