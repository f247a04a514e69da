//! Signatures, where keys are trusted; and those that come after the component they sign.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::sync::Arc;

use taja_catalog::{
    fakes::InMemoryPlugins,
    plugins::{PluginStore, Version},
};
use taja_sandbox::{
    AddError, PluginState, Upload,
    signature::{SigningKey, TrustedKeys},
};

use crate::{
    fakes::{World, id},
    guests::{House, Opened, plugin, upload},
    store::Hand,
};

fn trusting(key: &SigningKey) -> TrustedKeys {
    TrustedKeys::parse([format!("release={}", key.public())]).unwrap()
}

async fn only_version(house: &House) -> Version {
    let versions = house.store.versions(None).await.unwrap();
    assert_eq!(versions.len(), 1);
    versions.into_iter().next().unwrap()
}

async fn bring(sandbox: &Opened, component: &[u8], signature: &str) -> Result<Version, String> {
    let signature = Some(signature.parse().unwrap());
    match sandbox.add(Upload { signature, ..upload(component) }).await {
        Ok(added) => {
            assert!(!added.is_new);
            Ok(added.version)
        }
        Err(AddError::Refused(refused)) => {
            assert_eq!(refused.stage, "signature");
            Err(refused.reason)
        }
        Err(AddError::Store(error)) => panic!("the store failed: {error}"),
    }
}

#[tokio::test]
async fn where_keys_are_trusted_nothing_unsigned_comes_in_not_even_through_the_store() {
    let world = World::new();
    let key = SigningKey::generate().unwrap();
    let mut house = House::empty();
    house.config.trusted = trusting(&key);
    let sandbox = house.open(&world).await;
    let component = plugin("rank", "rank", "");
    let signature = Some(key.sign(&component).parse().unwrap());
    let added = sandbox.add(Upload { signature, ..upload(&component) }).await.unwrap();
    assert_eq!(added.version.signer.as_deref(), Some("release"));
    // Somebody who can write to the store, and cannot sign.
    house.store = Arc::new(InMemoryPlugins::default());
    house.keep_active(&component, &[], "").await;
    let sandbox = house.open(&world).await;
    let troubles = sandbox.troubles();
    assert!(troubles[0].2.contains("sign"), "{troubles:?}");
    assert_eq!(sandbox.missing(&id("shop")), ["search", "ingest", "rank"]);
}

/// The operator begins to trust keys on a host whose plugins came before there were any.
#[tokio::test]
async fn a_version_that_is_kept_is_signed_by_the_file_that_lies_beside_it_later() {
    let (world, component) = (World::new(), plugin("rank", "rank", ""));
    let (mut house, clock) = (House::empty().with("rank.wasm", &component), Hand::now());
    house.config.clock = clock.clone();
    house.ready(&world).await;
    let key = SigningKey::generate().unwrap();
    house.config.trusted = trusting(&key);
    let unsigned = house.open(&world).await;
    let PluginState::Refused(reason) = &unsigned.report()[0].state else { panic!("accepted unsigned") };
    assert!(reason.contains("sign it with `taja plugin sign"), "{reason}");
    assert!(unsigned.missing(&id("shop")).contains(&"rank"));

    let house = house.with("rank.wasm.sig", key.sign(&component).as_bytes());
    let before = only_version(&house).await;
    let signed = house.ready(&world).await;
    assert!(signed.troubles().is_empty());
    assert!(!signed.missing(&id("shop")).contains(&"rank"), "it serves from the start");
    let after = only_version(&house).await;
    assert_eq!(
        (after.signature.as_deref(), after.signer.as_deref()),
        (Some(&*key.sign(&component)), Some("release"))
    );
    assert_eq!(Version { signature: None, signer: None, ..after }, before);
    // The process that was there before finds it when it next tries.
    clock.advance(5);
    unsigned.refresh().await.unwrap();
    unsigned.settled().await;
    assert!(!unsigned.missing(&id("shop")).contains(&"rank"));
}

#[tokio::test]
async fn a_signature_in_the_place_of_another_is_one_of_a_trusted_key() {
    let (world, component) = (World::new(), plugin("rank", "rank", ""));
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let (by_old, by_new) = (old.sign(&component), new.sign(&component));
    let mut house = House::empty();
    // While nobody has to sign, the first signature is kept for the day when somebody has to, unread.
    let sandbox = house.open(&world).await;
    sandbox.upload(&component).await;
    assert_eq!(bring(&sandbox, &component, &by_old).await.unwrap().signature, Some(by_old.clone()));
    assert_eq!(bring(&sandbox, &component, &by_new).await.unwrap().signature, Some(by_old.clone()));
    assert_eq!(only_version(&house).await.signature, Some(by_old.clone()));

    house.config.trusted = trusting(&new);
    let sandbox = house.open(&world).await;
    assert!(bring(&sandbox, &component, &by_old).await.unwrap_err().contains("trusted here (release)"));
    assert_eq!(only_version(&house).await.signature, Some(by_old.clone()));
    let signed = bring(&sandbox, &component, &by_new).await.unwrap();
    assert_eq!((signed.signature.as_ref(), signed.signer.as_deref()), (Some(&by_new), Some("release")));
    assert_eq!(only_version(&house).await, signed);
    assert!(bring(&sandbox, &component, &by_old).await.is_err());
    assert_eq!(only_version(&house).await, signed);
    // Whoever brings it without a signature finds it signed.
    assert_eq!(sandbox.add(upload(&component)).await.unwrap().version, signed);
}
