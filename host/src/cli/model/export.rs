//! `taja model export`: a checkpoint as its makers publish it, made into a model folder by the exporter in Python that travels
//! inside this program.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use rust_embed::RustEmbed;
use taja_clip::Manifest;
use tokio::process::Command;

use super::KNOWN;
use crate::{app::MANIFEST, cli::Usage};

/// What exports: the scripts, and the table of the tokenizer that all of these models share.
#[derive(RustEmbed)]
#[folder = "../models"]
#[include = "export.py"]
#[include = "checkpoints.py"]
#[include = "clip_graph.py"]
#[include = "make_random.py"]
#[include = "model_folder.py"]
#[include = "tokenizer/merges.txt"]
#[include = "make_random.requirements.txt"]
struct Exporter;

/// What is made of what.
pub struct Export {
    /// A name of the list, or a manifest's file.
    pub name: String,
    /// The makers' file.
    pub checkpoint: PathBuf,
    /// The interpreter.
    pub python: PathBuf,
}

impl Export {
    /// Makes the model's folder beneath `shelf`, or where `to` says. It is there whole or not at all, and is never written over:
    /// a service may be reading it.
    pub async fn run(&self, shelf: &Path, to: Option<PathBuf>) -> anyhow::Result<PathBuf> {
        let (name, text) = self.manifest()?;
        let to = to.unwrap_or_else(|| shelf.join(&name));
        if to.exists() {
            bail!("{} is there already: name another folder with --to", to.display());
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).with_context(|| format!("folder {}", parent.display()))?;
        let work = tempfile::Builder::new().prefix(".export-").tempdir_in(parent)?;
        for path in Exporter::iter() {
            let file = Exporter::get(&path).context("the exporter is not whole")?;
            let place = work.path().join(path.as_ref());
            std::fs::create_dir_all(place.parent().unwrap_or(work.path()))?;
            std::fs::write(place, file.data)?;
        }
        let (manifest, made) = (work.path().join("asked.toml"), work.path().join("made"));
        std::fs::write(&manifest, text)?;
        let mut python = Command::new(&self.python);
        python.arg(work.path().join("export.py")).arg("--manifest").arg(manifest);
        python.arg("--checkpoint").arg(&self.checkpoint).arg("--output").arg(&made);
        // What it says is for people; what this command prints is the folder.
        python.stdin(Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true);
        let ended = python.status().await;
        let ended = ended.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow::anyhow!("there is no {}: name one with --python", self.python.display())
            }
            _ => error.into(),
        })?;
        if !ended.success() {
            bail!(
                "the exporter failed (its own words are above). It needs numpy and onnx, safetensors for .safetensors files, \
                 and torch for .pt, .pth and .bin files"
            );
        }
        Manifest::load(&made.join(MANIFEST))?.verify(&made, &mut |_, _, _| {})?;
        std::fs::rename(&made, &to).with_context(|| format!("folder {}", to.display()))?;
        Ok(to)
    }

    /// The name and the manifest of what is asked for.
    fn manifest(&self) -> anyhow::Result<(String, String)> {
        let parse = |text: &str, from: &str| anyhow::Ok((Manifest::parse(text, from)?.name, text.to_owned()));
        for (file, text) in KNOWN {
            let (name, text) = parse(text, file)?;
            if name == self.name {
                return Ok((name, text));
            }
        }
        match std::fs::read_to_string(&self.name) {
            Ok(text) => parse(&text, &self.name),
            Err(_) => {
                let names = "`taja model list` names those that are known; a manifest's file will do, too";
                Err(Usage(format!("no model is called {}: {names}", self.name)).into())
            }
        }
    }
}
