//! What every keeper of plugins must do.

mod activations;
mod holding;
mod statistics;
mod versions;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::{claims, shop};
use crate::{
    plugins::{Action, Activation, Choice, Event, PluginDigest, PluginStore, Slot, Version},
    port::PortResult,
};

/// Times that two who meet are sent against each other.
const MEETINGS: usize = 12;

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn plugin_suite<S: PluginStore, G>(make: impl AsyncFn() -> (S, G)) {
    versions::suite(&make).await;
    activations::suite(&make).await;
    holding::suite(&make).await;
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

fn version(owner: Option<&str>, name: &str) -> Version {
    let bytes = component(name);
    Version {
        owner: owner.map(shop),
        digest: PluginDigest::of(&bytes),
        name: name.to_owned(),
        version: "1.2.3-rc.1+7".to_owned(),
        slot: Slot::Search(name.to_owned()),
        size: bytes.len() as u64,
        granted: ["embed".to_owned(), "nearest".to_owned()].into(),
        manifest: json!({
            "name": name, "limits": {"cpu_ms": 20, "share": 0.1, "whole": 1.0, "least": 5e-324, "all": u64::MAX},
            "$schema": {"$oid": "000000000000000000000000", "a.b": [true, null, -1, [], {}]},
            "": "empty", "nul": "\u{0}", "nul\u{0}key": "\"quoted\" ünd 🛒",
        }),
        signature: Some("0f".repeat(64)),
        signer: Some("release".to_owned()),
        uploaded_at: moment(1),
        uploaded_by: "key 0123456789abcdef".to_owned(),
    }
}

async fn keep(store: &impl PluginStore, version: &Version) -> bool {
    store.add_version(version, component(&version.name)).await.expect("answers")
}

fn activation(tenant: Option<&str>, slot: Slot, live: &str) -> Activation {
    Activation {
        tenant: tenant.map(shop),
        slot,
        live: Some(choice(live)),
        previous: Vec::new(),
        canary: None,
        shadow: None,
        gate: None,
        changed_at: moment(1),
        changed_by: "operator".to_owned(),
        revision: 0,
    }
}

/// The line of history that says what went live.
fn event(activation: &Activation) -> Event {
    Event {
        tenant: activation.tenant.clone(),
        slot: activation.slot.clone(),
        action: Action::Activated,
        choice: activation.live.clone(),
        reason: "\"better\"\n".to_owned(),
        by: activation.changed_by.clone(),
        at: activation.changed_at,
    }
}

async fn change(store: &impl PluginStore, activation: &Activation) -> PortResult<u64> {
    store.change(activation, &event(activation)).await
}

async fn stored(store: &impl PluginStore, tenant: Option<&str>, slot: &Slot) -> Option<Activation> {
    store.activation(tenant.map(shop).as_ref(), slot).await.expect("answers")
}
