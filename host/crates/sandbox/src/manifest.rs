//! The manifest of a plugin: what it is, what it accepts and what it asks for. It travels inside the component.

use std::{collections::HashSet, fmt, str::FromStr};

use semver::Version;
use serde::{Deserialize, Serialize};
use taja_catalog::{
    plugins::{Slot, is_modality_name, is_plugin_name},
    policy::Columns,
};

use crate::{
    limits::{Allowance, Kind, Limits, WrittenLimits},
    section::{self, InvalidBinary},
};

mod nesting;

/// Name of the custom section that holds the manifest.
pub const SECTION: &str = "taja:manifest";
/// Name of the custom section that holds golden requests: a recording of calls and of the answers that are expected.
pub const GOLDENS: &str = "taja:goldens";
/// Longest manifest, bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of brackets and dotted keys; reading takes stack for every level.
const MAX_NESTING: usize = 96;
/// Most attributes a ranking policy may ask for: each is a column of every call.
const MAX_COLUMNS: usize = 32;

/// Something a plugin must be granted before a host call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Cutting pictures, reading pixels, sampling frames.
    Media,
    /// Embedding texts and pictures.
    Embed,
    /// Looking products up.
    Catalogue,
    /// Reporting progress and seeing cancellation.
    Job,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 4] = [Self::Media, Self::Embed, Self::Catalogue, Self::Job];
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(word: &str) -> Result<Self, UnknownCapability> {
        let known = Self::ALL.into_iter().find(|capability| capability.to_string() == word);
        known.ok_or_else(|| UnknownCapability(word.chars().take(80).collect()))
    }
}

/// The word is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no capability: it is one of media, embed, catalogue, job")]
pub struct UnknownCapability(String);

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Media => "media",
            Self::Embed => "embed",
            Self::Catalogue => "catalogue",
            Self::Job => "job",
        })
    }
}

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Unique among the plugins of a host: 1 to 64 of a-z, 0-9 and hyphen.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// What it is for.
    pub kind: Kind,
    /// For people.
    #[serde(default)]
    pub title: Option<String>,
    /// The modalities a search plugin answers.
    #[serde(default)]
    pub accepts: Vec<String>,
    /// What it asks to be granted.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The product attributes a ranking plugin asks for.
    #[serde(default)]
    pub columns: AskedColumns,
    /// The limits it asks for.
    #[serde(default)]
    pub limits: WrittenLimits,
    /// JSON Schema of its settings, written as TOML.
    #[serde(default)]
    pub settings: Option<toml::Table>,
    /// Reserved: the plugin to ask when this one fails.
    #[serde(default)]
    pub fallback: Option<String>,
}

/// The `[columns]` of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskedColumns {
    /// Numeric attributes.
    pub numbers: Vec<String>,
    /// Text attributes.
    pub texts: Vec<String>,
}

impl From<&AskedColumns> for Columns {
    fn from(asked: &AskedColumns) -> Self {
        Self { numbers: asked.numbers.clone(), texts: asked.texts.clone() }
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is none in the component.
    #[error("component has no section {SECTION:?}: embed a plugin.toml with `taja plugin pack`")]
    Missing,
    /// It is not TOML of the right shape; names the line.
    #[error("manifest cannot be read: {}: correct plugin.toml and pack the component again", .0.trim_end())]
    Syntax(String),
    /// Everything that is wrong with it.
    #[error("manifest is not valid: {}: correct plugin.toml and pack the component again", .0.join("; "))]
    Invalid(Vec<String>),
    /// The file around it is no component.
    #[error(transparent)]
    Binary(#[from] InvalidBinary),
}

/// Puts a manifest into a component, in the place of one that is there already.
pub fn embed(component: &[u8], manifest: &str) -> Result<Vec<u8>, ManifestError> {
    parse(manifest)?;
    Ok(section::replace(component, SECTION, manifest.as_bytes())?)
}

/// Puts golden requests into a component, in the place of those that are there already.
pub fn embed_goldens(component: &[u8], recording: &[u8]) -> Result<Vec<u8>, InvalidBinary> {
    section::replace(component, GOLDENS, recording)
}

/// The golden requests of a component, as JSON, if it carries any.
pub(crate) fn goldens(component: &[u8]) -> Result<Option<&[u8]>, InvalidBinary> {
    section::find(component, GOLDENS)
}

/// Reads and checks the manifest of a component.
pub fn read(component: &[u8]) -> Result<Manifest, ManifestError> {
    let bytes = section::find(component, SECTION)?.ok_or(ManifestError::Missing)?;
    if bytes.len() > MAX_BYTES {
        return Err(ManifestError::Syntax(format!("is longer than {MAX_BYTES} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::Syntax(error.to_string()))?;
    parse(text)
}

/// Reads and checks the text of a manifest; every mistake is reported together.
pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
    if nesting::nesting(text) > MAX_NESTING {
        let reason = format!("nests deeper than {MAX_NESTING} levels, or a bracket is not closed");
        return Err(ManifestError::Syntax(reason));
    }
    let manifest: Manifest =
        toml::from_str(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
    let mistakes = manifest.mistakes();
    if mistakes.is_empty() { Ok(manifest) } else { Err(ManifestError::Invalid(mistakes)) }
}

impl Manifest {
    /// The slot that the plugin can take.
    pub fn slot(&self) -> Slot {
        match self.kind {
            Kind::Rank => Slot::Rank,
            Kind::Ingest => Slot::Ingest,
            Kind::Search => Slot::Search(self.name.clone()),
        }
    }

    /// What a call of the plugin may use up where `maximum` is the most that it gets.
    pub fn allowance(&self, maximum: &Limits) -> Allowance {
        Allowance::new(self.kind, &self.limits, maximum)
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |holds: bool, mistake: &str| {
            if !holds {
                mistakes.push(mistake.to_owned());
            }
        };
        check(is_plugin_name(&self.name), "name is not 1 to 64 of a-z, 0-9 and hyphen");
        check(
            self.accepts.iter().all(|name| is_plugin_name(name)),
            "accepts holds a modality that is no plain name",
        );
        for name in self.accepts.iter().filter(|name| is_plugin_name(name) && !is_modality_name(name)) {
            check(
                false,
                &format!(
                    "accepts holds {name:?}, which no search can ask for: it means something else there"
                ),
            );
        }
        check(all_different(&self.accepts), "accepts names a modality twice");
        check(all_different(&self.capabilities), "capabilities names one twice");
        let columns: Vec<_> = self.columns.numbers.iter().chain(&self.columns.texts).collect();
        check(all_different(&columns), "columns names an attribute twice");
        check(columns.len() <= MAX_COLUMNS, "columns asks for more than 32 attributes");
        check(
            columns.iter().all(|name| (1..=80).contains(&name.len())),
            "columns holds a name that is no attribute",
        );
        check(self.fallback.as_deref().is_none_or(is_plugin_name), "fallback is not the name of a plugin");
        let (search, rank) = (self.kind == Kind::Search, self.kind == Kind::Rank);
        check(
            !search || !self.accepts.is_empty(),
            "accepts is missing: a search plugin names its modalities",
        );
        check(search || self.accepts.is_empty(), "accepts is for search plugins only");
        check(!rank || self.capabilities.is_empty(), "capabilities: a rank plugin gets none");
        check(rank || columns.is_empty(), "columns is for rank plugins only");
        let schema_object = self.settings.as_ref().and_then(|schema| schema.get("type"));
        check(
            schema_object.is_none_or(|t| t.as_str() == Some("object")),
            "settings is not the schema of an object",
        );
        mistakes
    }
}

fn all_different<T: Eq + std::hash::Hash>(entries: &[T]) -> bool {
    entries.iter().collect::<HashSet<_>>().len() == entries.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANK: &str = "name = \"r\"\nversion = \"1.0.0\"\nkind = \"rank\"\n";

    #[test]
    fn every_mistake_is_reported_together() {
        let text = "name = \"Not Plain\"\nversion = \"1.0.0\"\nkind = \"search\"\n[columns]\nnumbers = [\"price\"]\n";
        let Err(ManifestError::Invalid(mistakes)) = parse(text) else { panic!("accepted") };
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }

    #[rstest::rstest]
    #[case("colour = \"red\"", "unknown field")]
    #[case("[limits]\ncpu = 3", "unknown field")]
    #[case("capabilities = [\"disk\"]", "unknown variant")]
    #[case("capabilities = [\"embed\"]", "gets none")]
    #[case("accepts = [\"text\"]", "search plugins only")]
    fn a_line_that_means_nothing_is_refused(#[case] line: &str, #[case] says: &str) {
        let error = parse(&format!("{RANK}{line}\n")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[rstest::rstest]
    fn a_modality_that_no_search_can_ask_for_is_refused(
        #[values("not", "query", "images", "limit", "policies")] name: &str,
    ) {
        let search = "name = \"s\"\nversion = \"1.0.0\"\nkind = \"search\"\n";
        let error = parse(&format!("{search}accepts = [\"text\", {name:?}]")).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}, which no search can ask for")), "{error}");
        assert!(parse(&format!("{search}accepts = [\"text\", \"{name}ation\"]")).is_ok());
    }

    #[test]
    fn a_manifest_that_would_overflow_the_stack_is_refused() {
        let nested = |tables: usize| {
            let key = ["a"; 60].join(".");
            (0..tables).fold("1".to_owned(), |inner, _| format!("{{ {key} = {inner} }}"))
        };
        let deep = parse(&format!("{RANK}[settings]\nx = {}", nested(70))).unwrap_err().to_string();
        assert!(deep.contains("nests deeper than 96 levels"), "{deep}");
        // Nothing of what is let through is too much: a header as long as the parser takes, and all that may follow.
        let header = ["b"; 78].join(".");
        assert!(parse(&format!("{RANK}[settings.{header}]\nx = {}", nested(1))).is_ok());
    }

    #[test]
    fn an_embedded_manifest_replaces_the_one_before_and_is_read_back() {
        let component = wat::parse_str("(component)").unwrap();
        let first = embed(&component, RANK).unwrap();
        let second = embed(&first, &RANK.replace("1.0.0", "2.0.0")).unwrap();
        assert_eq!(first.len(), second.len());
        assert_eq!(read(&second).unwrap().version, Version::new(2, 0, 0));
        assert!(matches!(read(&component), Err(ManifestError::Missing)));
    }

    #[test]
    fn a_manifest_of_a_nested_component_does_not_count() {
        let inner = embed(&wat::parse_str("(component)").unwrap(), RANK).unwrap();
        // Section 4 is a nested component: id, length, bytes. The length fits one LEB byte.
        let mut outer = wat::parse_str("(component)").unwrap();
        assert!(inner.len() < 128);
        outer.extend([4, u8::try_from(inner.len()).unwrap()]);
        outer.extend(inner);
        assert!(matches!(read(&outer), Err(ManifestError::Missing)));
    }
}
