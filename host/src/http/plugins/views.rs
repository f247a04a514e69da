//! Plugins as the interface shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use taja_catalog::{
    PluginDigest, TenantId,
    plugins::{Activation, Choice, Part, Slot, Statistic, Tally, Version},
};
use taja_sandbox::{Allowance, Sandbox};
use utoipa::ToSchema;

use super::{
    shelf::Standing,
    slots::{ActivationView, GateView, StatisticsView},
};

/// Every plugin.
#[derive(Serialize, ToSchema)]
pub struct PluginList {
    /// By name.
    pub plugins: Vec<PluginVersions>,
    /// What became of each file of the plugin folder; for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<Vec<Value>>,
    /// Choices that cannot be loaded at the process that was asked; for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubles: Option<Vec<TroubleView>>,
}

/// A plugin and its versions.
#[derive(Serialize, ToSchema)]
pub struct PluginVersions {
    /// Its name.
    pub name: String,
    /// Oldest first.
    pub versions: Vec<VersionView>,
}

/// A slot that stays as it was, because its new choices cannot be loaded.
#[derive(Serialize, ToSchema)]
pub struct TroubleView {
    /// The shop; none for every shop that has nothing of its own.
    tenant: Option<String>,
    /// The slot.
    slot: String,
    /// Why.
    reason: String,
}

impl From<(Option<TenantId>, Slot, String)> for TroubleView {
    fn from((tenant, slot, reason): (Option<TenantId>, Slot, String)) -> Self {
        Self { tenant: tenant.map(Into::into), slot: slot.into(), reason }
    }
}

/// What part a version plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It serves.
    Live,
    /// It serves a share of the sessions.
    Canary,
    /// It is compared with the live one.
    Shadow,
    /// It can be gone back to.
    Previous,
    /// None.
    Idle,
}

impl State {
    /// The part that a version plays in a slot; the weightiest when it plays several.
    pub fn of(row: &Activation, digest: &PluginDigest) -> Self {
        let is = |choice: &Choice| choice.digest == *digest;
        if row.live.as_ref().is_some_and(is) {
            Self::Live
        } else if row.canary.as_ref().is_some_and(|canary| is(&canary.choice)) {
            Self::Canary
        } else if row.shadow.as_ref().is_some_and(|shadow| is(&shadow.choice)) {
            Self::Shadow
        } else if row.previous.iter().any(is) {
            Self::Previous
        } else {
            Self::Idle
        }
    }
}

/// A version of a plugin.
#[derive(Serialize, ToSchema)]
pub struct VersionView {
    /// The plugin.
    name: String,
    /// Its version, semver.
    version: String,
    /// SHA-256 of the component, 64 hex digits.
    digest: String,
    /// `search`, `ingest` or `rank`.
    kind: &'static str,
    /// Bytes of the component.
    size_bytes: u64,
    /// The capabilities that it was granted, of those it asks for.
    granted: Vec<String>,
    /// What a call of it may use up: `granted`, every limit in the words of a manifest, and `asked`, those that it would
    /// have more of. None when its manifest cannot be read any more.
    #[schema(value_type = Option<Object>)]
    limits: Option<Allowance>,
    /// The trusted key that it was signed with.
    signer: Option<String>,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    uploaded_at: Timestamp,
    /// Who brought it.
    uploaded_by: String,
    /// The shop it belongs to; none when every shop may use it.
    owner: Option<String>,
    /// What part it plays.
    state: State,
    /// Whether it plays it in everybody's choices, which serve the shop that was asked about.
    inherited: bool,
}

impl VersionView {
    /// Of a version in its slot.
    pub fn new(version: &Version, standing: &Standing, sandbox: &Sandbox) -> Self {
        let (state, inherited) = standing.state(&version.digest);
        Self {
            name: version.name.clone(),
            version: version.version.clone(),
            digest: version.digest.to_string(),
            kind: match version.slot {
                Slot::Ingest => "ingest",
                Slot::Rank => "rank",
                Slot::Search(_) => "search",
            },
            size_bytes: version.size,
            granted: version.granted.iter().cloned().collect(),
            limits: sandbox.allowance(version),
            signer: version.signer.clone(),
            uploaded_at: version.uploaded_at,
            uploaded_by: version.uploaded_by.clone(),
            owner: version.owner.clone().map(Into::into),
            state,
            inherited,
        }
    }
}

/// A plugin with everything about it.
#[derive(Serialize, ToSchema)]
pub struct PluginView {
    /// Its name.
    name: String,
    /// The shop that was asked about; none for every shop that has nothing of its own.
    tenant: Option<String>,
    /// The place it can take: `ingest`, `rank`, or `search/` and its name.
    slot: String,
    /// What fills that place, which may be another plugin.
    activation: Option<ActivationView>,
    /// What is asked of versions before they serve whom was asked about; nothing when there is none.
    gate: Option<GateView>,
    /// Its versions, oldest first.
    versions: Vec<VersionDetail>,
}

impl PluginView {
    /// Puts together what the store knows.
    pub fn new(
        name: &str,
        tenant: Option<&TenantId>,
        slot: &Slot,
        standing: &Standing,
        versions: &[&Version],
        statistics: &[Statistic],
        sandbox: &Sandbox,
    ) -> Self {
        let mut tallies: BTreeMap<(PluginDigest, Part), Tally> = BTreeMap::new();
        for row in statistics {
            tallies.entry((row.digest, row.part)).or_default().add(&row.tally);
        }
        let detail = |version: &&Version| {
            let own = tallies.iter().filter(|((digest, _), _)| *digest == version.digest);
            VersionDetail {
                version: VersionView::new(version, standing, sandbox),
                manifest: version.manifest.clone(),
                statistics: own.map(|((_, part), tally)| StatisticsView::new(*part, tally)).collect(),
            }
        };
        Self {
            name: name.to_owned(),
            tenant: tenant.cloned().map(Into::into),
            slot: slot.to_string(),
            gate: standing.gate().map(Into::into),
            activation: standing.serving().map(|(row, inherited)| ActivationView::new(row, inherited)),
            versions: versions.iter().map(detail).collect(),
        }
    }
}

/// A version with everything about it.
#[derive(Serialize, ToSchema)]
pub struct VersionDetail {
    #[serde(flatten)]
    version: VersionView,
    /// What it says of itself.
    manifest: Value,
    /// How its calls went, for the shop that was asked about or for all of them: one row for each part it was called in.
    statistics: Vec<StatisticsView>,
}
