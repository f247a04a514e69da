//! `taja plugin new`: a package to begin with, complete with the contract and the SDK of its language.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rust_embed::RustEmbed;
use taja_catalog::plugins::is_plugin_name;
use taja_sandbox::Kind;

use super::package::Language;
use crate::cli::{Usage, write_out};

/// What packages begin with, by language and kind.
#[derive(RustEmbed)]
#[folder = "../plugins/templates"]
struct Templates;

/// What plugins are written with, by language.
#[derive(RustEmbed)]
#[folder = "../plugins/sdk"]
#[include = "rust/*"]
#[include = "typescript/*"]
#[include = "python/*"]
#[exclude = "typescript/tests/*"]
#[exclude = "python/tests/*"]
#[exclude = "*/target/*"]
#[exclude = "*/__pycache__/*"]
struct Sdks;

/// The contract.
#[derive(RustEmbed)]
#[folder = "../wit"]
#[exclude = "published/*"]
struct Contract;

/// A template whose name would mean something to the tools of this repository ends so.
const INACTIVE: &str = ".in";

/// Writes a package into `folder`, which must not be there yet.
pub fn new(name: &str, kind: Kind, language: Language, folder: Option<PathBuf>) -> anyhow::Result<()> {
    if !is_plugin_name(name) {
        return Err(Usage(format!("{name:?} is no plugin name: use 1 to 64 of a-z, 0-9 and hyphen")).into());
    }
    let folder = folder.unwrap_or_else(|| name.into());
    if folder.exists() && folder.read_dir().map_or(true, |mut entries| entries.next().is_some()) {
        bail!("{} is there already: name another with --folder", folder.display());
    }
    for (path, content) in files(name, kind, language)? {
        write(&folder.join(path), &content)?;
    }
    write_out(&folder.display().to_string())?;
    eprintln!(
        "next: cd {} && taja plugin build && taja plugin test, then `taja plugin dev` beside a running service",
        folder.display()
    );
    Ok(())
}

/// Every file of a new package, the later ones in the place of earlier ones.
fn files(name: &str, kind: Kind, language: Language) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for part in ["common", kind.name()] {
        let prefix = format!("{}/{part}/", language.folder());
        for (path, content) in under::<Templates>(&prefix) {
            let text = String::from_utf8(content).with_context(|| format!("template {prefix}{path}"))?;
            files.push((placed(&path), filled(&text, name, kind).into_bytes()));
        }
    }
    let prefix = format!("{}/", language.folder());
    let sdk = under::<Sdks>(&prefix);
    files.extend(sdk.map(|(path, content)| (Path::new("sdk").join(path), content)));
    files.extend(under::<Contract>("").map(|(path, content)| (Path::new("wit").join(path), content)));
    Ok(files)
}

/// The embedded files below a folder, by their path in it.
fn under<E: RustEmbed>(prefix: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    E::iter().filter_map(move |path| {
        let rest = path.strip_prefix(prefix)?.to_owned();
        Some((rest, E::get(&path)?.data.into_owned()))
    })
}

/// Where a template goes.
fn placed(path: &str) -> PathBuf {
    let path = path.strip_suffix(INACTIVE).unwrap_or(path);
    if path == "gitignore" { ".gitignore".into() } else { path.into() }
}

fn filled(text: &str, name: &str, kind: Kind) -> String {
    // Neither a crate nor a type can begin with a digit.
    let crate_name =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("p{name}") } else { name.to_owned() };
    let words = name.split('-').filter(|word| !word.is_empty());
    let type_name: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    let type_name =
        if type_name.starts_with(char::is_alphabetic) { type_name } else { format!("P{type_name}") };
    text.replace("{{name}}", name)
        .replace("{{crate}}", &crate_name)
        .replace("{{type}}", &type_name)
        .replace("{{kind}}", kind.name())
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| std::fs::write(path, content))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 3] = [Kind::Rank, Kind::Search, Kind::Ingest];
    const LANGUAGES: [Language; 3] = [Language::Rust, Language::TypeScript, Language::Python];

    #[test]
    fn a_package_of_every_kind_and_language_is_whole() {
        for (kind, language) in KINDS.into_iter().flat_map(|kind| LANGUAGES.map(|language| (kind, language)))
        {
            let files = files("my-plugin", kind, language).unwrap();
            let text = |name: &str| {
                let found = files.iter().rfind(|(path, _)| path == Path::new(name));
                String::from_utf8(found.unwrap_or_else(|| panic!("no {name} for {kind}")).1.clone()).unwrap()
            };
            let manifest = taja_sandbox::manifest::parse(&text("plugin.toml")).unwrap();
            assert_eq!((manifest.name.as_str(), manifest.kind), ("my-plugin", kind));
            assert!(manifest.settings.is_some(), "{kind} has no settings");
            assert!(text("wit/world.wit").contains("package taja:plugin"));
            assert!(text("README.md").contains("my-plugin"));
            assert!(text(".gitignore").contains("build"));
            assert!(files.iter().any(|(path, _)| path.starts_with("tests")), "{kind} has no cases");
            assert!(files.iter().any(|(path, _)| path.starts_with("sdk")));
            for (path, content) in &files {
                let whole = String::from_utf8_lossy(content);
                let left = ["name", "kind", "crate", "type"].map(|word| format!("{{{{{word}}}}}"));
                assert!(!left.iter().any(|word| whole.contains(word)), "{}", path.display());
                assert!(path.extension().is_none_or(|ending| ending != "in"), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "precious").unwrap();
        let error = new("x", Kind::Rank, Language::Rust, Some(folder.path().into())).unwrap_err();
        assert!(error.to_string().contains("is there already"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn names_become_types_and_crates() {
        assert_eq!(filled("{{type}} {{crate}}", "my-rank-2", Kind::Rank), "MyRank2 my-rank-2");
        assert_eq!(filled("{{type}} {{crate}}", "2-much", Kind::Rank), "P2Much p2-much");
    }
}
