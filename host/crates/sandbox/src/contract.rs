//! The contract that this host runs, as components name it: which world a plugin of a kind has to export, and what to do
//! about one that was built against something else.

use semver::Version;
use wasmtime::{Engine, component::Component};

use crate::limits::Kind;

/// What plugins import, and the minor version that this host has. Within one it only grows.
pub(crate) const HOST: Package = Package { name: "taja:host", runs: &[(0, 1)] };
/// What plugins export.
const PLUGIN: Package = Package { name: "taja:plugin", runs: &[(0, 1)] };
/// What ranking plugins export.
const RANKING: Package = Package { name: "taja:plugin", runs: &[(0, 1), (0, 2)] };

/// A package of interfaces.
pub(crate) struct Package {
    name: &'static str,
    /// Minor versions, side by side.
    runs: &'static [(u64, u64)],
}

impl Package {
    /// The interface and the version of a name such as `taja:host/log@0.1.0`; none when it is of another package.
    pub(crate) fn interface<'a>(&self, name: &'a str) -> Option<(&'a str, Option<Version>)> {
        let rest = name.strip_prefix(self.name)?.strip_prefix('/')?;
        let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
        Some((interface, version.parse().ok()))
    }

    /// Whether this host runs what was built against that version.
    pub(crate) fn runs(&self, version: Option<&Version>) -> bool {
        version.is_some_and(|version| {
            self.runs.contains(&(version.major, version.minor)) && version.pre.is_empty()
        })
    }

    /// For people: `taja:host@0.1`, or `taja:plugin@0.1 and 0.2`.
    pub(crate) fn told(&self) -> String {
        let versions: Vec<_> = self.runs.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
        format!("{}@{}", self.name, versions.join(" and "))
    }
}

/// What a plugin of a kind exports something of.
pub(crate) fn package(kind: Kind) -> &'static Package {
    if kind == Kind::Rank { &RANKING } else { &PLUGIN }
}

/// The interface that a plugin of a kind exports.
fn exported(kind: Kind) -> &'static str {
    match kind {
        Kind::Search => "searching",
        Kind::Ingest => "ingesting",
        Kind::Rank => "ranking",
    }
}

/// Whether a component exports what its kind asks for, by name. Of which type that is, linking tells.
pub(crate) fn check_world(engine: &Engine, component: &Component, kind: Kind) -> Result<(), String> {
    let ty = component.component_type();
    let ours = ty.exports(engine).filter_map(|(name, _)| Some((name, PLUGIN.interface(name)?)));
    let ours: Vec<_> = ours.collect();
    let package = package(kind);
    let (wanted, runs) = (exported(kind), package.told());
    let fits = |(interface, version): &(&str, Option<Version>)| {
        *interface == wanted && package.runs(version.as_ref())
    };
    if ours.iter().any(|(_, interface)| fits(interface)) {
        return Ok(());
    }
    let asked =
        format!("the world {kind} of {runs}, which plugin.toml asks for, exports taja:plugin/{wanted}");
    let names = |of_wanted: bool| {
        let named = ours.iter().filter(|(_, (interface, _))| (*interface == wanted) == of_wanted);
        named.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    let (other_versions, other_worlds) = (names(true), names(false));
    Err(if !other_versions.is_empty() {
        format!("exports {other_versions}, and this host runs {runs}: build it against the wit/ of this host")
    } else if !other_worlds.is_empty() {
        format!(
            "exports {other_worlds}, but {asked}: correct `kind` in plugin.toml, or build it against that world"
        )
    } else {
        format!("exports nothing of taja:plugin, but {asked}: build it against that world")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("taja:host/log@0.1.0", Some(("log", true)))]
    #[case("taja:host/log@0.1.7", Some(("log", true)))]
    #[case("taja:host/log@0.2.0", Some(("log", false)))]
    #[case("taja:host/log@1.1.0", Some(("log", false)))]
    #[case("taja:host/log@0.1.0-rc.1", Some(("log", false)))]
    #[case("taja:host/log", Some(("log", false)))]
    #[case("taja:hosts/log@0.1.0", None)]
    #[case("wasi:io/streams@0.2.6", None)]
    fn only_the_minor_version_that_is_here_is_run(#[case] name: &str, #[case] is: Option<(&str, bool)>) {
        let read = HOST.interface(name);
        assert_eq!(read.map(|(interface, version)| (interface, HOST.runs(version.as_ref()))), is);
    }
}
