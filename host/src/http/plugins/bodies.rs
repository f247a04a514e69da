//! What the steps ask for.

use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A version that is to serve.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewActivation {
    /// Its version, when only one has it.
    pub version: Option<String>,
    /// Its digest, or the first 8 digits of it or more. With neither, the plugin has only one version.
    pub digest: Option<String>,
    /// Its settings; unless told, those that the plugin has in the slot.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// The evaluation that shows that it finds no less than what serves: the job of `POST /plugins/{name}/evaluate`. Needed
    /// where the slot has a gate, and checked wherever it is named.
    pub evaluation: Option<String>,
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    pub tenant: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// A version that is to serve a share of the sessions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCanary {
    /// Its version, when only one has it.
    pub version: Option<String>,
    /// Its digest, or the first 8 digits of it or more.
    pub digest: Option<String>,
    /// Percent of the sessions, 1 to 100.
    pub percent: u8,
    /// Its settings; unless told, those that the plugin has in the slot.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// The evaluation that shows that it finds no less than what serves: the job of `POST /plugins/{name}/evaluate`. Needed
    /// where the slot has a gate, and checked wherever it is named.
    pub evaluation: Option<String>,
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    pub tenant: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// A version that is to be compared with the live one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShadow {
    /// Its version, when only one has it.
    pub version: Option<String>,
    /// Its digest, or the first 8 digits of it or more.
    pub digest: Option<String>,
    /// One request in so many, at least 1.
    pub every: u32,
    /// Its settings; unless told, those that the plugin has in the slot.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    pub tenant: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// What a slot asks of versions before they serve.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGate {
    /// Seconds since the evaluation began, 1 to 31,536,000; a day unless told. Evaluations are kept as long as other results of jobs
    /// (`TAJA_RESULT_HOURS`), whatever is said here.
    #[serde(default = "a_day")]
    pub max_age_seconds: u32,
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    pub tenant: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

fn a_day() -> u32 {
    24 * 3600
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// An earlier choice, by its version or the beginning of its digest; the last one unless told.
    pub to: Option<String>,
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    pub tenant: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// Whose slot, and why.
#[derive(Debug, Default, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Ending {
    /// The shop. Unless told: a key's own; for the operator every shop that has nothing of its own.
    pub tenant: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}
