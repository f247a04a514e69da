//! What fills a slot, what happened to it and how that went, as the interface shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use taja_catalog::plugins::{Activation, Choice, Event, Gate, Part, Tally};
use utoipa::ToSchema;

/// What fills a slot.
#[derive(Serialize, ToSchema)]
pub struct ActivationView {
    /// Whether these are everybody's choices, which serve the shop that was asked about.
    inherited: bool,
    /// What serves.
    live: Option<ChoiceView>,
    /// What served before, newest first.
    previous: Vec<ChoiceView>,
    /// What is on trial.
    canary: Option<CanaryView>,
    /// What is compared with the live choice.
    shadow: Option<ShadowView>,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// Who changed it.
    changed_by: String,
}

impl ActivationView {
    /// Of the shop that was asked about, or inherited by it.
    pub fn new(row: &Activation, inherited: bool) -> Self {
        Self {
            inherited,
            live: row.live.as_ref().map(ChoiceView::from),
            previous: row.previous.iter().map(ChoiceView::from).collect(),
            canary: row
                .canary
                .as_ref()
                .map(|canary| CanaryView { choice: (&canary.choice).into(), percent: canary.percent }),
            shadow: row
                .shadow
                .as_ref()
                .map(|shadow| ShadowView { choice: (&shadow.choice).into(), every: shadow.every }),
            changed_at: row.changed_at,
            changed_by: row.changed_by.clone(),
        }
    }
}

/// What a slot asks of versions before they serve.
#[derive(Serialize, ToSchema)]
pub struct GateView {
    /// Seconds since the evaluation began that they have to show, at most.
    max_age_seconds: u32,
}

impl From<Gate> for GateView {
    fn from(Gate { max_age_seconds }: Gate) -> Self {
        Self { max_age_seconds }
    }
}

/// A version with settings.
#[derive(Serialize, ToSchema)]
pub struct ChoiceView {
    /// The plugin.
    name: String,
    /// Its version, semver.
    version: String,
    /// Which version it is.
    digest: String,
    /// Its settings.
    settings: Value,
}

impl From<&Choice> for ChoiceView {
    fn from(choice: &Choice) -> Self {
        let Choice { digest, name, version, settings } = choice.clone();
        Self { name, version, digest: digest.to_string(), settings }
    }
}

/// A choice on trial.
#[derive(Serialize, ToSchema)]
pub struct CanaryView {
    #[serde(flatten)]
    choice: ChoiceView,
    /// Percent of the sessions that it serves.
    percent: u8,
}

/// A choice that is compared with the live one.
#[derive(Serialize, ToSchema)]
pub struct ShadowView {
    #[serde(flatten)]
    choice: ChoiceView,
    /// One request in so many.
    every: u32,
}

/// How calls went.
#[derive(Serialize, ToSchema)]
pub struct StatisticsView {
    /// In what part: `live`, `canary` or `shadow`.
    part: &'static str,
    /// How many there were.
    calls: u64,
    /// How many of them ended how.
    outcomes: BTreeMap<String, u64>,
    /// Microseconds within which half of them ended; up to twice too large.
    p50_micros: Option<u64>,
    /// Nine of ten.
    p90_micros: Option<u64>,
    /// 99 of a hundred.
    p99_micros: Option<u64>,
    /// Microseconds that the guest computed in one call, on average.
    mean_cpu_micros: Option<f64>,
    /// Bytes of the largest memory any call used.
    peak_memory_bytes: u64,
    /// Answers that were compared with the live choice's.
    compared: u64,
    /// How alike the first ten places were, 0 to 1, on average: average overlap over the depths 1 to 10.
    mean_overlap: Option<f64>,
    /// Mean absolute difference of the scores of what both ranked, on average over the answers that had anything in common.
    mean_score_distance: Option<f64>,
}

impl StatisticsView {
    /// Of everything that was counted.
    pub fn new(part: Part, tally: &Tally) -> Self {
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        let calls = tally.calls();
        Self {
            part: part.as_str(),
            calls,
            outcomes: tally.outcomes.clone(),
            p50_micros: tally.quantile_micros(0.5),
            p90_micros: tally.quantile_micros(0.9),
            p99_micros: tally.quantile_micros(0.99),
            mean_cpu_micros: mean(tally.cpu_micros as f64, calls),
            peak_memory_bytes: tally.peak_memory_bytes,
            compared: tally.compared,
            mean_overlap: mean(tally.overlap, tally.compared),
            mean_score_distance: mean(tally.score_distance, tally.scored),
        }
    }
}

/// What somebody did to a slot.
#[derive(Serialize, ToSchema)]
pub struct EventView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who.
    by: String,
    /// What: `activated`, `deactivated`, `canary_started`, `canary_stopped`, `shadow_started`, `shadow_stopped`,
    /// `rolled_back`, `gate_set`, `gate_lifted`, or `withdrawn` by the service itself.
    action: Value,
    /// Why; may be empty.
    reason: String,
    /// The choice it happened to, if it did to one.
    choice: Option<ChoiceView>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            at: event.at,
            action: serde_json::to_value(event.action).unwrap_or_default(),
            choice: event.choice.as_ref().map(ChoiceView::from),
            by: event.by,
            reason: event.reason,
        }
    }
}
