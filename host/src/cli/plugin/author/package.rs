//! A plugin package: a folder with a `plugin.toml` and sources in some language.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use taja_sandbox::{Manifest, manifest};

/// What plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust
    Rust,
    /// TypeScript or JavaScript
    #[value(name = "ts", alias = "typescript", alias = "js")]
    TypeScript,
    /// Python
    Python,
}

/// The file that tells a language, and the language.
const MARKS: [(&str, Language); 3] = [
    ("Cargo.toml", Language::Rust),
    ("package.json", Language::TypeScript),
    ("pyproject.toml", Language::Python),
];

/// A plugin's folder, with its manifest read.
pub struct Package {
    /// Absolute.
    pub folder: PathBuf,
    pub language: Language,
    pub manifest: Manifest,
    /// The text of `plugin.toml`.
    pub text: String,
}

impl Language {
    /// The folder of its templates and of its SDK.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::TypeScript => "typescript",
            Self::Python => "python",
        }
    }
}

impl Package {
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let folder =
            folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("{} cannot be read: `taja plugin new` makes a package that has one", path.display())
        })?;
        let manifest = manifest::parse(&text).with_context(|| path.display().to_string())?;
        let mark = MARKS.iter().find(|(mark, _)| folder.join(mark).is_file());
        let Some(&(_, language)) = mark else {
            bail!(
                "{} holds none of Cargo.toml, package.json and pyproject.toml, so its language cannot be told",
                folder.display()
            );
        };
        Ok(Self { folder, language, manifest, text })
    }

    /// Where what is built of it lies.
    pub fn built(&self) -> PathBuf {
        self.folder.join("build")
    }

    /// The component with its manifest.
    pub fn component(&self) -> PathBuf {
        self.built().join(format!("{}.wasm", self.manifest.name))
    }

    /// Where machine code is kept, so that a component is compiled once.
    pub fn compiled(&self) -> PathBuf {
        self.built().join("compiled")
    }

    /// Its cases.
    pub fn cases(&self) -> PathBuf {
        self.folder.join("tests")
    }
}

/// The manifest of a package.
pub const MANIFEST: &str = "plugin.toml";

/// The component that is meant: the file named, or the one built of the package in this folder.
pub fn component_or_own(file: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(file) = file {
        return Ok(file);
    }
    if !Path::new(MANIFEST).is_file() {
        bail!("name a component, or run this in the folder of a plugin (there is no {MANIFEST} here)");
    }
    let component = Package::open(Path::new("."))?.component();
    if !component.is_file() {
        bail!("{} is not there yet: run `taja plugin build`", component.display());
    }
    Ok(component)
}
