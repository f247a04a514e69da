//! Which policies serve whom: the versions of plugins that are kept, which of them are active for which shop, how they
//! have been doing, and who changed that and when.

mod gate;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt,
    str::FromStr,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use self::gate::{Evidence, Gate, Lacking};
pub use crate::id::PluginDigest;
use crate::{
    id::{JudgementSetId, TenantId},
    port::PortResult,
};

/// Choices before the live one that are kept, so that it can be gone back to them.
pub const PREVIOUS: usize = 2;
/// Longest name of a plugin, bytes.
const MAX_NAME: usize = 64;

/// A place that a plugin can take: one for ranking, one for ingestion, one for each search plugin by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Slot {
    /// Who decides on uploads.
    Ingest,
    /// Who orders candidates.
    Rank,
    /// The search plugin of this name.
    Search(String),
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingest => f.write_str("ingest"),
            Self::Rank => f.write_str("rank"),
            Self::Search(name) => write!(f, "search/{name}"),
        }
    }
}

/// The text is not the name of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slot is ingest, rank, or search/ and the name of a plugin")]
pub struct InvalidSlot;

impl FromStr for Slot {
    type Err = InvalidSlot;

    fn from_str(text: &str) -> Result<Self, InvalidSlot> {
        match text.split_once('/') {
            None if text == "ingest" => Ok(Self::Ingest),
            None if text == "rank" => Ok(Self::Rank),
            Some(("search", name)) if is_plugin_name(name) => Ok(Self::Search(name.to_owned())),
            _ => Err(InvalidSlot),
        }
    }
}

impl TryFrom<String> for Slot {
    type Error = InvalidSlot;

    fn try_from(text: String) -> Result<Self, InvalidSlot> {
        text.parse()
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> Self {
        slot.to_string()
    }
}

/// Whether a plugin may be called so: 1 to 64 of a-z, 0-9 and hyphen.
pub fn is_plugin_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Fields of a search that say something else than that a part is of a modality.
const FIELDS: [&str; 14] = [
    "query", "images", "videos", "not", "crop", "limit", "filter", "sort", "facets", "weights", "explain",
    "group", "record", "policies",
];

/// Whether a modality may be called so: as a plugin may, but not as a field of a search that says something else. No search could
/// have a part of such a one.
pub fn is_modality_name(text: &str) -> bool {
    is_plugin_name(text) && !FIELDS.contains(&text)
}

/// One version of a plugin, as it is kept beside its component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The shop it belongs to; every shop may use one that belongs to nobody.
    pub owner: Option<TenantId>,
    /// Names it.
    pub digest: PluginDigest,
    /// The plugin's name.
    pub name: String,
    /// Its version, semver.
    pub version: String,
    /// The slot it can take.
    pub slot: Slot,
    /// Bytes of the component.
    pub size: u64,
    /// The capabilities that it was granted, of those it asks for.
    pub granted: BTreeSet<String>,
    /// What it says of itself.
    pub manifest: Value,
    /// The signature that it came with, or was given later, hexadecimal.
    pub signature: Option<String>,
    /// The trusted key that it was made with.
    pub signer: Option<String>,
    /// When it came.
    pub uploaded_at: Timestamp,
    /// Who brought it.
    pub uploaded_by: String,
}

/// A version with settings: what a slot is filled with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Which version.
    pub digest: PluginDigest,
    /// The plugin's name.
    pub name: String,
    /// Its version, semver.
    pub version: String,
    /// Its settings: an object that fits the manifest's schema.
    pub settings: Value,
}

impl Choice {
    /// Names the version together with the settings: 16 hex digits of a SHA-256. A job is pinned to it.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.digest.as_bytes());
        hash.update(self.settings.to_string());
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A choice on trial: it serves a share of the sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// What is tried.
    pub choice: Choice,
    /// Percent of the sessions, 1 to 100.
    pub percent: u8,
    /// The shop and the set of its judgements by which it was measured before, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<(TenantId, JudgementSetId)>,
}

/// A choice that runs beside the live one and is only compared with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// What is compared.
    pub choice: Choice,
    /// One request in so many, at least 1.
    pub every: u32,
}

/// What fills one slot for one shop, or for every shop that has nothing of its own there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// The shop; none for all shops.
    pub tenant: Option<TenantId>,
    /// The slot.
    pub slot: Slot,
    /// What serves; a shop's slot that is empty is filled as everybody's is.
    pub live: Option<Choice>,
    /// What served before, newest first: [`PREVIOUS`] at most.
    pub previous: Vec<Choice>,
    /// What is on trial.
    pub canary: Option<Canary>,
    /// What runs in shadow.
    pub shadow: Option<Shadow>,
    /// What is asked of a choice before it serves; nothing when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// Who changed it.
    pub changed_by: String,
    /// Given by the store: rises with every change of any activation. 0 for one that is not stored yet.
    pub revision: u64,
}

impl Activation {
    /// Every choice that it holds.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        let canary = self.canary.as_ref().map(|canary| &canary.choice);
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.choice);
        self.live.iter().chain(canary).chain(shadow).chain(&self.previous)
    }

    /// Whether it holds a version of this owner, or one that it takes for that while the shop has none of its own.
    pub fn may_hold(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> bool {
        (owner.is_none() || owner == self.tenant.as_ref())
            && self.choices().any(|choice| choice.digest == *digest)
    }

    /// The versions that it holds and another one does not.
    pub fn newly_held(&self, than: Option<&Self>) -> BTreeSet<PluginDigest> {
        let held: BTreeSet<_> =
            than.into_iter().flat_map(Self::choices).map(|choice| choice.digest).collect();
        self.choices().map(|choice| choice.digest).filter(|digest| !held.contains(digest)).collect()
    }
}

/// What became of a version that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// There was none.
    Missing,
    /// It stays: these slots hold it, each of a shop or of everybody.
    InUse(Vec<(Option<TenantId>, Slot)>),
}

/// What somebody did to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A choice went live.
    Activated,
    /// The slot was emptied.
    Deactivated,
    /// A trial began, or its share changed.
    CanaryStarted,
    /// A trial ended without going live.
    CanaryStopped,
    /// A shadow began, or its rate changed.
    ShadowStarted,
    /// A shadow ended.
    ShadowStopped,
    /// Somebody went back to an earlier choice.
    RolledBack,
    /// From then on a choice had to show an evaluation before it served, or one of another age.
    GateSet,
    /// From then on it did not.
    GateLifted,
    /// The service itself went back, or ended a trial, because the choice misbehaved.
    Withdrawn,
}

/// One line of a slot's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The shop; none for all shops.
    pub tenant: Option<TenantId>,
    /// The slot.
    pub slot: Slot,
    /// What happened.
    pub action: Action,
    /// The choice it happened to.
    pub choice: Option<Choice>,
    /// Why, for people; may be empty.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// In what part a choice was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Serving.
    Live,
    /// On trial.
    Canary,
    /// Beside the live one.
    Shadow,
}

impl Part {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// How calls went, as sums that can be added up over processes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Calls by outcome, as metrics name it.
    pub outcomes: BTreeMap<String, u64>,
    /// Calls by wall-clock time: the one at place `i` took less than 2^`i` microseconds, and no less than half of that.
    pub micros: Vec<u64>,
    /// Microseconds of guest CPU time.
    pub cpu_micros: u64,
    /// Bytes of the largest memory any call used.
    pub peak_memory_bytes: u64,
    /// Answers that were compared with the live choice's.
    pub compared: u64,
    /// Sum over those of how alike the first ten places were, 0 to 1 each ([`overlap_of_first_ten`]).
    ///
    /// [`overlap_of_first_ten`]: crate::recording::overlap_of_first_ten
    pub overlap: f64,
    /// Answers of those that had anything in common with the live choice's.
    pub scored: u64,
    /// Sum over these of the mean absolute difference of the scores of what both ranked.
    pub score_distance: f64,
}

impl Tally {
    /// Number of calls.
    pub fn calls(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Counts one call.
    pub fn count(&mut self, outcome: &str, micros: u64) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        let place = (u64::BITS - micros.leading_zeros()) as usize;
        if self.micros.len() <= place {
            self.micros.resize(place + 1, 0);
        }
        self.micros[place] += 1;
    }

    /// Adds another's calls.
    pub fn add(&mut self, other: &Self) {
        for (outcome, calls) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += calls;
        }
        if self.micros.len() < other.micros.len() {
            self.micros.resize(other.micros.len(), 0);
        }
        for (mine, theirs) in self.micros.iter_mut().zip(&other.micros) {
            *mine += theirs;
        }
        self.cpu_micros += other.cpu_micros;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
        self.compared += other.compared;
        self.overlap += other.overlap;
        self.scored += other.scored;
        self.score_distance += other.score_distance;
    }

    /// The time within which this share of the calls ended, microseconds: the upper end of its place, so up to twice
    /// too large. None before the first call.
    pub fn quantile_micros(&self, share: f64) -> Option<u64> {
        let calls: u64 = self.micros.iter().sum();
        let wanted = ((calls as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.micros.iter().enumerate().find_map(|(place, calls)| {
            seen += calls;
            (seen >= wanted).then(|| 1 << place)
        })
    }
}

/// How one choice has been doing in one slot of one shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    /// The shop that asked.
    pub tenant: TenantId,
    /// The slot.
    pub slot: Slot,
    /// Which version.
    pub digest: PluginDigest,
    /// In what part.
    pub part: Part,
    /// How it went.
    pub tally: Tally,
}

impl Statistic {
    /// Adds up what several processes say of one slot: one row per shop, digest and part, in that order.
    pub fn add_up(rows: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut sums: BTreeMap<_, Self> = BTreeMap::new();
        for row in rows {
            match sums.entry((row.tenant.clone(), row.digest, row.part)) {
                Entry::Occupied(mut sum) => sum.get_mut().tally.add(&row.tally),
                Entry::Vacant(place) => drop(place.insert(row)),
            }
        }
        sums.into_values().collect()
    }
}

/// Keeps versions, activations, their history and their statistics.
#[async_trait]
pub trait PluginStore: Send + Sync {
    /// Keeps a version and its component, once per owner; false when the owner has it, and then nothing changes.
    async fn add_version(&self, version: &Version, component: Bytes) -> PortResult<bool>;
    /// Puts a signature in the place of a version's, and the key it was made with; false when there is no such version.
    async fn sign_version(
        &self,
        owner: Option<&TenantId>,
        digest: &PluginDigest,
        signature: &str,
        signer: Option<&str>,
    ) -> PortResult<bool>;
    /// A version of this owner; none stands for nobody.
    async fn version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Option<Version>>;
    /// The versions of this owner, oldest first.
    async fn versions(&self, owner: Option<&TenantId>) -> PortResult<Vec<Version>>;
    /// A component, as long as any version with that digest is kept.
    async fn component(&self, digest: &PluginDigest) -> PortResult<Option<Bytes>>;
    /// Removes a version that no activation holds, and its component when no other owner has it. A shop that has the
    /// same component itself does not hold everybody's.
    async fn remove_version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Removal>;
    /// The activations that changed after a revision, in the order of their revisions; all of them after 0.
    async fn activations(&self, after: u64) -> PortResult<Vec<Activation>>;
    /// One activation.
    async fn activation(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Option<Activation>>;
    /// Stores an activation and a line of its history, all or nothing, and gives the activation's new revision.
    /// `activation.revision` is the one that the change was made from: `Conflict` when the stored one is another by now,
    /// or when a version that the stored one does not hold is kept neither by the shop nor by nobody.
    async fn change(&self, activation: &Activation, event: &Event) -> PortResult<u64>;
    /// What happened to the slots of a shop, or to everybody's: the latest change first.
    async fn history(
        &self,
        tenant: Option<&TenantId>,
        slot: Option<&Slot>,
        limit: usize,
    ) -> PortResult<Vec<Event>>;
    /// Replaces what this process reported before under the same shop, slot, digest and part. `process` is a name that no
    /// other process has; `at` is now.
    async fn report(&self, process: &str, at: Timestamp, statistics: &[Statistic]) -> PortResult<()>;
    /// Puts together what was reported before a moment and not since, which says the same in fewer rows, and forgets what
    /// was put together of versions that are not kept any more. A process that is alive reports all again before
    /// such a moment: what was put together already, it would otherwise report once more.
    async fn condense(&self, before: Timestamp) -> PortResult<()>;
    /// How the choices of a slot have been doing, over all processes: for one shop, or for all of them. One row per shop,
    /// digest and part, in that order.
    async fn statistics(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_survives_its_text_form_and_nothing_else_is_one() {
        for slot in [Slot::Ingest, Slot::Rank, Slot::Search("by-sound".into())] {
            assert_eq!(slot.to_string().parse(), Ok(slot));
        }
        for text in ["", "search", "search/", "search/A", "rank/x", "search/a/b", "Rank"] {
            assert_eq!(text.parse::<Slot>(), Err(InvalidSlot), "{text}");
        }
    }

    #[test]
    fn other_settings_are_another_choice() {
        let digest = PluginDigest::of(b"component");
        let choice = |settings| Choice { digest, name: "r".into(), version: "1.0.0".into(), settings };
        let plain = choice(serde_json::json!({}));
        assert_eq!(plain.id().len(), 16);
        assert_eq!(plain.id(), Choice { version: "2.0.0".into(), ..plain.clone() }.id());
        assert_ne!(plain.id(), choice(serde_json::json!({"k": 60})).id());
    }

    #[test]
    fn what_was_held_before_in_any_place_is_not_newly_held() {
        let choice = |name: &str| Choice {
            digest: PluginDigest::of(name.as_bytes()),
            name: name.into(),
            version: "1.0.0".into(),
            settings: Value::Null,
        };
        let before = Activation {
            tenant: None,
            slot: Slot::Rank,
            live: Some(choice("a")),
            previous: vec![choice("b")],
            canary: Some(Canary { choice: choice("c"), percent: 1, judged_by: None }),
            shadow: Some(Shadow { choice: choice("d"), every: 1 }),
            gate: None,
            changed_at: Timestamp::UNIX_EPOCH,
            changed_by: String::new(),
            revision: 1,
        };
        let after = Activation { live: Some(choice("d")), canary: None, shadow: None, ..before.clone() };
        assert!(after.newly_held(Some(&before)).is_empty());
        assert_eq!(after.newly_held(None).len(), 2);
        let after = Activation { previous: vec![choice("e"), choice("a")], ..after };
        assert_eq!(after.newly_held(Some(&before)), [choice("e").digest].into());
    }

    #[test]
    fn tallies_add_up_and_their_quantiles_are_upper_bounds() {
        let mut one = Tally::default();
        assert_eq!(one.quantile_micros(0.5), None);
        (1..=98).for_each(|_| one.count("ok", 100));
        let mut other = Tally::default();
        other.count("trap", 5000);
        other.count("ok", 0);
        one.add(&other);
        assert_eq!((one.calls(), one.outcomes["ok"], one.outcomes["trap"]), (100, 99, 1));
        assert_eq!(one.quantile_micros(0.5), Some(128));
        assert_eq!(one.quantile_micros(1.0), Some(8192));
    }
}
