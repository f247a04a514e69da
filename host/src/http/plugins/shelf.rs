//! What a shop sees of the plugins: its own versions and everybody's, and which of them serve it.

use std::collections::{BTreeSet, HashSet};

use axum::http::StatusCode;
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    access::Scope,
    plugins::{Activation, Gate, Slot, Version},
};

use super::views::{PluginView, State};
use crate::{
    access::Caller,
    http::{PluginProblem, Problem, Shared, tenants},
};

/// Digits of a digest that are asked for at least.
const SHORTEST_DIGEST: usize = 8;
/// Slots that are named when a version is in use, at most.
const NAMED: usize = 5;

/// The versions that are there for a shop, or for everybody.
pub struct Shelf {
    /// The shop; none for everybody.
    pub tenant: Option<TenantId>,
    versions: Vec<Version>,
}

impl Shelf {
    /// What the caller may see of the plugins of this shop. Unless told, a key means its own shop, and the operator whom
    /// the request names, or else everybody.
    pub async fn open(app: &Shared, caller: &Caller, tenant: Option<&str>) -> Result<Self, Problem> {
        let tenant = match tenant {
            Some(name) => Some(tenants::tenant(app, caller, name).await?.id),
            None if caller.is_operator() && !caller.names_tenant => None,
            None => {
                caller.may(Scope::Admin)?;
                Some(caller.tenant.clone())
            }
        };
        let mut versions = app.plugins.versions(tenant.as_ref()).await?;
        if tenant.is_some() {
            let own: HashSet<_> = versions.iter().map(|version| version.digest).collect();
            let everybodys = app.plugins.versions(None).await?.into_iter();
            versions.extend(everybodys.filter(|version| !own.contains(&version.digest)));
            versions.sort_by_key(|version| version.uploaded_at);
        }
        Ok(Self { tenant, versions })
    }

    /// All of them, oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Whose they are, for people.
    pub fn whose(&self) -> String {
        whose(self.tenant.as_ref())
    }

    /// The versions of a plugin: at least one.
    pub fn plugin(&self, name: &str) -> Result<Vec<&Version>, Problem> {
        let versions: Vec<_> = self.versions.iter().filter(|version| version.name == name).collect();
        if versions.is_empty() { Err(not_found("there is no such plugin")) } else { Ok(versions) }
    }

    /// The one version of a plugin that has this version and a digest that begins so.
    pub fn pick(&self, name: &str, version: Option<&str>, digest: Option<&str>) -> Result<&Version, Problem> {
        let versions = self.plugin(name)?;
        let digest = only(versions.iter().map(|v| (v.digest, v.version.as_str())), version, digest)?;
        versions.into_iter().find(|version| version.digest == digest).ok_or_else(no_version)
    }

    /// The version of a plugin that a text means, which is a version or the beginning of a digest.
    pub fn referred(&self, name: &str, text: &str) -> Result<&Version, Problem> {
        let (version, digest) = reference(text);
        self.pick(name, version, digest)
    }

    /// What fills a slot.
    pub async fn standing(&self, app: &Shared, slot: &Slot) -> PortResult<Standing> {
        let own = app.plugins.activation(self.tenant.as_ref(), slot).await?;
        let everybodys = match &self.tenant {
            Some(_) => app.plugins.activation(None, slot).await?,
            None => None,
        };
        Ok(Standing { own, everybodys })
    }

    /// The slots that the versions of a plugin can take, the latest version's first.
    pub fn slots(&self, name: &str) -> Result<Vec<Slot>, Problem> {
        let mut seen = BTreeSet::new();
        let slots = self.plugin(name)?.into_iter().rev().map(|version| &version.slot);
        Ok(slots.filter(|slot| seen.insert(*slot)).cloned().collect())
    }

    /// The slot of a plugin: if its versions can take several, the one where it plays a part.
    pub async fn slot(&self, app: &Shared, name: &str) -> Result<Slot, Problem> {
        let slots = self.slots(name)?;
        for slot in &slots {
            let standing = self.standing(app, slot).await?;
            let serving = standing.serving().map(|(row, _)| row);
            if serving.is_some_and(|row| row.choices().any(|choice| choice.name == name)) {
                return Ok(slot.clone());
            }
        }
        slots.into_iter().next().ok_or_else(no_version)
    }

    /// Everything about a plugin and its slot.
    pub async fn view(&self, app: &Shared, name: &str, slot: &Slot) -> Result<PluginView, Problem> {
        let versions = self.plugin(name)?;
        let standing = self.standing(app, slot).await?;
        let statistics = app.plugins.statistics(self.tenant.as_ref(), slot).await?;
        let tenant = self.tenant.as_ref();
        Ok(PluginView::new(name, tenant, slot, &standing, &versions, &statistics, &app.sandbox))
    }
}

/// What fills a slot for a shop: its own choices, and everybody's that stand in while it has none.
pub struct Standing {
    own: Option<Activation>,
    everybodys: Option<Activation>,
}

impl Standing {
    /// What serves, and whether that is everybody's rather than the shop's own.
    pub fn serving(&self) -> Option<(&Activation, bool)> {
        let own = self.own.as_ref().map(|row| (row, false));
        let everybodys = self.everybodys.as_ref().map(|row| (row, true));
        let filled = |row: &(&Activation, bool)| row.0.live.is_some();
        own.filter(filled).or(everybodys.filter(filled)).or(own).or(everybodys)
    }

    /// What is asked before something else serves. Nobody inherits that: it is asked of whoever chooses.
    pub fn gate(&self) -> Option<Gate> {
        self.own.as_ref().and_then(|row| row.gate)
    }

    /// What part a version plays, and whether that is so because everybody's choices serve the shop.
    pub fn state(&self, digest: &PluginDigest) -> (State, bool) {
        let own = self.own.as_ref().map_or(State::Idle, |row| State::of(row, digest));
        match self.serving() {
            Some((row, true)) if own == State::Idle => match State::of(row, digest) {
                State::Idle => (State::Idle, false),
                state => (state, true),
            },
            _ => (own, false),
        }
    }
}

/// Slots, each with whose it is, for people.
pub fn told(slots: &[(Option<TenantId>, Slot)]) -> String {
    let named = slots.iter().take(NAMED);
    let named = named.map(|(tenant, slot)| format!("{slot} of {}", whose(tenant.as_ref())));
    let told = named.collect::<Vec<_>>().join(", ");
    match slots.len().saturating_sub(NAMED) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// The digest of the only one of these that has this version, and a digest that begins so.
pub fn only<'a>(
    known: impl Iterator<Item = (PluginDigest, &'a str)>,
    version: Option<&str>,
    digest: Option<&str>,
) -> Result<PluginDigest, Problem> {
    if let Some(digest) = digest
        && !(digest.len() >= SHORTEST_DIGEST && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        let detail = format!("is not a SHA-256, or its first {SHORTEST_DIGEST} hex digits or more");
        return Err(Problem::field("digest", detail));
    }
    let beginning = digest.unwrap_or_default().to_ascii_lowercase();
    let fits = known.filter(|(digest, its)| {
        version.is_none_or(|version| version == *its) && digest.to_string().starts_with(&beginning)
    });
    let fits: BTreeSet<_> = fits.map(|(digest, _)| digest).collect();
    match fits.len() {
        1 => fits.into_iter().next().ok_or_else(no_version),
        0 => Err(no_version()),
        _ => Err(ambiguous(fits.into_iter().collect())),
    }
}

/// A text that is a version when it has a dot, as every version has and no digest.
pub fn reference(text: &str) -> (Option<&str>, Option<&str>) {
    if text.contains('.') { (Some(text), None) } else { (None, Some(text)) }
}

fn ambiguous(digests: Vec<PluginDigest>) -> Problem {
    let listed = digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let detail = format!("several versions are meant: name one by its digest, of {listed}");
    let problem = Problem::new(StatusCode::CONFLICT, "version_ambiguous", detail);
    Problem { plugin: Some(PluginProblem { digests, ..PluginProblem::default() }.into()), ..problem }
}

fn whose(tenant: Option<&TenantId>) -> String {
    tenant.map_or_else(|| "every shop".to_owned(), |tenant| format!("shop {tenant}"))
}

/// 404 for a plugin, or for what is not so with it.
pub fn not_found(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "plugin_not_found", detail)
}

/// 404 for a version. What was asked for is not repeated: it may be another shop's.
pub fn no_version() -> Problem {
    not_found("there is no such version of this plugin")
}
