//! `taja plugin build`: from the sources of a package to a component with its manifest.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;
use taja_sandbox::manifest;
use tokio::process::Command;

use super::{
    package::{Language, Package},
    toolchain::{self, command, run},
};
use crate::cli::plugin::files;

/// What was built.
pub struct Built {
    pub component: PathBuf,
    pub bytes: u64,
    pub took: Duration,
}

/// Whether types are checked, where that is a step of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types {
    Checked,
    /// Afterwards, by [`check_types`]: the bundler strips them unseen.
    Left,
}

/// Builds the component of a package and puts its manifest in.
pub async fn build(package: &Package, profile: &str, types: Types) -> anyhow::Result<Built> {
    let began = Instant::now();
    std::fs::create_dir_all(package.built()).context("cannot make the folder build")?;
    let made = match package.language {
        Language::Rust => rust(package, profile).await?,
        Language::TypeScript => typescript(package, types).await?,
        Language::Python => python(package).await?,
    };
    let packed = manifest::embed(&files::read(&made)?, &package.text)?;
    let component = package.component();
    files::write_whole(&component, &packed)?;
    Ok(Built { component, bytes: packed.len() as u64, took: began.elapsed() })
}

/// 128 KiB of stack instead of a megabyte: a small linear memory is reset in a quarter of the time.
const STACK: &str = "target.wasm32-wasip2.rustflags=['-Clink-arg=-zstack-size=131072']";

async fn rust(package: &Package, profile: &str) -> anyhow::Result<PathBuf> {
    toolchain::rust(package).await?;
    let mut cargo = command("cargo", package);
    cargo.args(["build", "--target", toolchain::TARGET, "--profile", profile, "--config", STACK]);
    let told =
        run("cargo build", cargo.arg("--message-format=json-render-diagnostics"), "install Rust with rustup")
            .await?;
    let manifest = package.folder.join("Cargo.toml");
    // One line of JSON for each artifact; what belongs to the package is the component.
    let messages = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own = messages
        .filter(|message| message["manifest_path"].as_str().map(PathBuf::from).as_ref() == Some(&manifest));
    let files = own.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let component = files
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| file.extension().is_some_and(|ending| ending == "wasm"));
    component.context("cargo made no component: Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`")
}

async fn typescript(package: &Package, types: Types) -> anyhow::Result<PathBuf> {
    toolchain::typescript(package).await?;
    let (hint, tool) = (NODE_HINT, |name| node_tool(package, name));
    let entry =
        ["src/index.ts", "src/index.js"].into_iter().find(|entry| package.folder.join(entry).is_file());
    let Some(entry) = entry else { bail!("there is neither src/index.ts nor src/index.js") };
    if types == Types::Checked {
        check_types(package).await?;
    }
    let mut bundle = tool("esbuild");
    bundle.args([entry, "--bundle", "--format=esm", "--platform=neutral", "--target=es2023"]);
    bundle.args(["--external:taja:*", "--log-level=warning", "--outfile=build/plugin.js"]);
    run("the bundler (esbuild)", &mut bundle, hint).await?;
    let mut componentize = tool("componentize-qjs");
    componentize.args(["--wit", "wit", "--js", "build/plugin.js", "--world", package.manifest.kind.name()]);
    componentize.args(["--sync", "--opt-size", "--output", "build/component.wasm"]);
    componentized(package, "componentize-qjs", &mut componentize, hint).await
}

const NODE_HINT: &str = "remove node_modules and build again: package.json names the tools";

/// A tool that npm put into the package.
fn node_tool(package: &Package, name: &str) -> Command {
    command(package.folder.join("node_modules/.bin").join(name), package)
}

/// Checks the types of a package in TypeScript; one in JavaScript has none.
pub async fn check_types(package: &Package) -> anyhow::Result<()> {
    if package.folder.join("tsconfig.json").is_file() {
        run("the type check (tsc)", node_tool(package, "tsc").arg("--noEmit"), NODE_HINT).await?;
    }
    Ok(())
}

async fn python(package: &Package) -> anyhow::Result<PathBuf> {
    let python = toolchain::python(package).await?;
    let hint = "remove .taja and build again: requirements.txt names the tools";
    // For editors and type checkers; the tool writes them anew or not at all.
    let bindings = package.folder.join(".taja/bindings");
    if bindings.exists() {
        std::fs::remove_dir_all(&bindings)
            .with_context(|| format!("cannot remove {}", bindings.display()))?;
    }
    let world = ["-d", "wit", "-w", package.manifest.kind.name()];
    run("componentize-py", python.tool(package).args(world).args(["bindings", ".taja/bindings"]), hint)
        .await?;
    let mut componentize = python.tool(package);
    // What the interpreter imports of WASI beyond what is offered, sockets, is answered inside the component.
    componentize.args(world).args(["componentize", "plugin", "-p", "src", "-p", "sdk", "--stub-wasi"]);
    componentize.args(["-o", "build/component.wasm"]);
    componentized(package, "componentize-py", &mut componentize, hint).await
}

/// Runs what makes `build/component.wasm`.
async fn componentized(
    package: &Package,
    what: &str,
    tool: &mut Command,
    hint: &str,
) -> anyhow::Result<PathBuf> {
    let made = package.built().join("component.wasm");
    run(what, tool, hint).await?;
    if !made.is_file() {
        bail!("{what} made no {}", made.display());
    }
    Ok(made)
}
