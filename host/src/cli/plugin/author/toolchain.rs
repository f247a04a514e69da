//! The tools of each language: found, put in place where the language's own package manager can, or named.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::SystemTime,
};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::package::Package;

/// Rust's name of what components are built for.
pub const TARGET: &str = "wasm32-wasip2";
/// Where Python's tools are kept, in the package.
const PYTHON_TOOLS: &str = ".taja/python";
/// What Python's tools are named in.
const REQUIREMENTS: &str = "requirements.txt";
/// The oldest Node.js that runs the tools of TypeScript.
const NODE: u32 = 20;
/// Lines of a tool's output that are told when it failed: compilers begin with what matters, others end with it.
const FIRST_LINES: usize = 40;
const LAST_LINES: usize = 20;

/// Runs a tool in a folder; its standard output. When it fails, what it said is the error.
pub async fn run(what: &str, command: &mut Command, hint: &str) -> anyhow::Result<String> {
    let spawned = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = match spawned {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!("{what} was not found: {hint}"),
        Err(error) => return Err(error).with_context(|| format!("{what} could not be run")),
    };
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stderr).trim(), out.trim());
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    bail!("{what} failed ({}):\n{}", output.status, shortened(&lines))
}

fn shortened(lines: &[&str]) -> String {
    if lines.len() <= FIRST_LINES + LAST_LINES {
        return lines.join("\n");
    }
    let left_out = format!("... {} lines ...", lines.len() - FIRST_LINES - LAST_LINES);
    [&lines[..FIRST_LINES], &[left_out.as_str()], &lines[lines.len() - LAST_LINES..]].concat().join("\n")
}

/// A command in the package's folder.
pub fn command(program: impl AsRef<std::ffi::OsStr>, package: &Package) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&package.folder);
    command
}

const RUST_HINT: &str = "install Rust with rustup (https://rustup.rs)";

/// Makes sure that Rust can build components.
pub async fn rust(package: &Package) -> anyhow::Result<()> {
    let sysroot = run("rustc", command("rustc", package).args(["--print", "sysroot"]), RUST_HINT).await?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    eprintln!("adding Rust's target {TARGET}");
    let hint = format!("this Rust has no {TARGET}: {RUST_HINT}, then run `rustup target add {TARGET}`");
    run("rustup", command("rustup", package).args(["target", "add", TARGET]), &hint).await?;
    Ok(())
}

/// Makes sure that the tools of TypeScript are in `node_modules`.
pub async fn typescript(package: &Package) -> anyhow::Result<()> {
    let hint = format!("install Node.js {NODE} or newer, which brings npm");
    let version = run("node", command("node", package).arg("--version"), &hint).await?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < NODE) {
        bail!("Node.js {} is too old: {hint}", version.trim());
    }
    let installed = modified(&package.folder.join("node_modules/.package-lock.json"));
    let wanted = ["package.json", "package-lock.json"].map(|file| modified(&package.folder.join(file)));
    if installed.is_some() && wanted.into_iter().max() <= Some(installed) {
        return Ok(());
    }
    let locked = package.folder.join("package-lock.json").is_file();
    let install = if locked { "ci" } else { "install" };
    eprintln!("installing what package.json names (npm {install})");
    let npm = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run("npm", command("npm", package).arg(install).args(npm), &hint).await?;
    Ok(())
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|about| about.modified()).ok()
}

/// A Python with the tools of a package.
pub struct Python {
    program: String,
    tools: PathBuf,
}

/// Puts the tools in place when they are missing or others.
pub async fn python(package: &Package) -> anyhow::Result<Python> {
    let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let hint = "install Python 3.10 or newer with pip, or name one in PYTHON";
    let wanted = package.folder.join(REQUIREMENTS);
    let wanted =
        std::fs::read_to_string(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    let tools = package.folder.join(PYTHON_TOOLS);
    let mark = tools.join(REQUIREMENTS);
    if std::fs::read_to_string(&mark).ok().as_ref() != Some(&wanted) {
        eprintln!("installing what {REQUIREMENTS} names (pip)");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"];
        let mut install = command(&program, package);
        run("pip", install.args(pip).args([PYTHON_TOOLS, "-r", REQUIREMENTS]), hint).await?;
        std::fs::write(&mark, &wanted).with_context(|| format!("cannot write {}", mark.display()))?;
    }
    Ok(Python { program, tools })
}

impl Python {
    /// componentize-py, with the package's own modules and no others of the machine.
    pub fn tool(&self, package: &Package) -> Command {
        let mut command = command(&self.program, package);
        command.arg(self.tools.join("bin/componentize-py"));
        // It takes in what a virtual environment has; an empty one has nothing.
        command.env("PYTHONPATH", &self.tools).env("VIRTUAL_ENV", self.tools.join("nothing"));
        // Python's own trace says more than that of the tool.
        command.env("RUST_BACKTRACE", "0");
        command
    }
}
