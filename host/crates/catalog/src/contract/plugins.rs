//! What every keeper of plugins must do.

mod activations;
mod statistics;
mod versions;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::{claims, shop};
use crate::plugins::{Choice, PluginDigest, PluginStore};

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn plugin_suite<S: PluginStore, G>(make: impl AsyncFn() -> (S, G)) {
    versions::suite(&make).await;
    activations::suite(&make).await;
    statistics::suite(make).await;
}

/// So many nanoseconds after a moment: no store may round them off.
fn moment(nanoseconds: i64) -> Timestamp {
    let since = jiff::SignedDuration::from_nanos(nanoseconds);
    Timestamp::from_second(1_700_000_000).expect("the suites use small times") + since
}

/// A component whose bytes are its name.
fn component(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

fn digest(name: &str) -> PluginDigest {
    PluginDigest::of(&component(name))
}

fn choice(name: &str) -> Choice {
    let settings = json!({"k": 60, "weights": [0.1, 1.0, -2.5e-300], "all": u64::MAX, "$set": {"a.b": null}});
    Choice { digest: digest(name), name: name.to_owned(), version: "1.2.3-rc.1+7".to_owned(), settings }
}
