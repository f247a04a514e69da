//! Plugins on the server: what is damaged or malformed there, and every question about them.

use std::slice::from_ref;

use bytes::Bytes;
use jiff::Timestamp;
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use serde_json::json;
use taja_catalog::{
    PluginDigest,
    plugins::{
        Action, Activation, Choice, Event, Part, PluginStore, Removal, Slot, Statistic, Tally, Version,
    },
    port::PortErrorKind,
};
use taja_mongo::MongoStore;

use crate::support::{Server, shop};

const COMPONENT: Bytes = Bytes::from_static(b"a component");

fn digest() -> PluginDigest {
    PluginDigest::of(&COMPONENT)
}

fn version() -> Version {
    Version {
        owner: Some(shop()),
        digest: digest(),
        name: "ours".into(),
        version: "1.0.0".into(),
        slot: Slot::Rank,
        size: COMPONENT.len() as u64,
        granted: [].into(),
        manifest: json!({}),
        signature: None,
        signer: None,
        uploaded_at: Timestamp::UNIX_EPOCH,
        uploaded_by: "operator".into(),
    }
}

/// Asks for everything that is kept of plugins, and leaves a document in every collection.
pub(crate) async fn ask_everything(store: &MongoStore) {
    let (shop, version) = (shop(), version());
    for owner in [None, Some(shop.clone())] {
        let version = Version { owner: owner.clone(), ..version.clone() };
        assert!(store.add_version(&version, COMPONENT).await.unwrap());
        assert_eq!(store.version(owner.as_ref(), &digest()).await.unwrap(), Some(version.clone()));
        assert_eq!(store.versions(owner.as_ref()).await.unwrap(), [version]);
        assert!(store.sign_version(owner.as_ref(), &digest(), "00", Some("release")).await.unwrap());
    }
    assert_eq!(store.remove_version(None, &digest()).await.unwrap(), Removal::Removed);
    assert_eq!(store.component(&digest()).await.unwrap(), Some(COMPONENT));

    let Version { name, version, slot, .. } = version;
    let choice = Choice { digest: digest(), name, version, settings: json!({}) };
    let (at, by) = (Timestamp::UNIX_EPOCH, "operator".to_owned());
    let activation = Activation {
        tenant: Some(shop.clone()),
        slot: slot.clone(),
        live: Some(choice.clone()),
        previous: Vec::new(),
        canary: None,
        shadow: None,
        gate: None,
        changed_at: at,
        changed_by: by.clone(),
        revision: 0,
    };
    let (tenant, action, reason) = (Some(shop.clone()), Action::Activated, String::new());
    let event = Event { tenant, slot: slot.clone(), action, choice: Some(choice), reason, by, at };
    let revision = store.change(&activation, &event).await.unwrap();
    let activation = Activation { revision, ..activation };
    assert_eq!(store.activation(Some(&shop), &slot).await.unwrap(), Some(activation.clone()));
    assert_eq!(store.activations(0).await.unwrap(), [activation]);
    for slot in [None, Some(&slot)] {
        assert_eq!(store.history(Some(&shop), slot, 9).await.unwrap(), from_ref(&event));
    }

    let tally = Tally::default();
    let row =
        Statistic { tenant: shop.clone(), slot: slot.clone(), digest: digest(), part: Part::Live, tally };
    let gone = Statistic { digest: PluginDigest::of(b"gone"), ..row.clone() };
    store.report("one", Timestamp::UNIX_EPOCH, &[row.clone(), gone]).await.unwrap();
    store.condense(Timestamp::now()).await.unwrap();
    for tenant in [None, Some(&shop)] {
        assert_eq!(store.statistics(tenant, &slot).await.unwrap(), from_ref(&row));
    }
    let in_use = Removal::InUse(vec![(Some(shop.clone()), slot)]);
    assert_eq!(store.remove_version(Some(&shop), &digest()).await.unwrap(), in_use);
}

#[tokio::test]
async fn a_plugin_whose_bytes_are_others_is_not_given_out() {
    let server = Server::start().await;
    let name = server.name();
    let store = server.open(&name, None).await;
    store.add_version(&version(), COMPONENT).await.unwrap();
    let pieces = server.database(&name).await.collection::<Document>("plugin_pieces");
    let other = Binary { subtype: BinarySubtype::Generic, bytes: b"b component".to_vec() };
    pieces.update_one(doc! {}, doc! { "$set": { "data": other } }).await.unwrap();
    assert_eq!(store.component(&digest()).await.unwrap_err().kind, PortErrorKind::Broken);
    pieces.delete_many(doc! {}).await.unwrap();
    assert_eq!(store.component(&digest()).await.unwrap_err().kind, PortErrorKind::Broken);
}

#[tokio::test]
async fn a_malformed_document_about_plugins_is_refused() {
    let server = Server::start().await;
    let name = server.name();
    let store = server.open(&name, None).await;
    ask_everything(&store).await;
    let database = server.database(&name).await;
    for (collection, field) in [
        ("plugin_versions", "owner"),
        ("plugin_components", "owners"),
        ("plugin_pieces", "data"),
        ("plugin_activations", "revision"),
        ("plugin_events", "record"),
        ("plugin_statistics", "slot"),
        ("plugin_counters", "count"),
    ] {
        let documents = database.collection::<Document>(collection);
        let mut broken = documents.find_one(doc! {}).await.unwrap().unwrap();
        broken.remove(field);
        let refused = documents.insert_one(broken).await.unwrap_err().to_string();
        assert!(refused.contains("validation"), "{collection}: {refused}");
    }
}
