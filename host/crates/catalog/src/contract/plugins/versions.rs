//! What every keeper of plugins must do about their versions and components.

use std::slice::from_ref;

use bytes::Bytes;
use futures::future::join;
use serde_json::json;

use super::{MEETINGS, claims, component, digest, keep, moment, shop, version};
use crate::{
    id::TenantId,
    plugins::{PluginDigest, PluginStore, Removal, Slot, Version},
};

/// More than fits into one document of any database we know.
const LARGE: usize = 20 * 1024 * 1024 + 1;

pub(super) async fn suite<S: PluginStore, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        nothing_is_kept_at_first,
        an_owner_has_a_version_once,
        a_version_comes_back_as_it_was_kept,
        a_version_is_signed_later_and_nothing_else_of_it_changes,
        versions_come_oldest_first_and_only_their_owners,
        a_component_lives_as_long_as_its_last_version,
        an_owner_removes_its_own_version_only,
        a_large_component_comes_back_whole,
        of_those_who_bring_a_version_at_once_one_keeps_it,
        a_component_survives_one_owner_who_goes_while_another_comes,
    ];
}

async fn kept(store: &impl PluginStore, owner: Option<&TenantId>, name: &str) -> Option<Version> {
    store.version(owner, &digest(name)).await.expect("answers")
}

async fn remove(store: &impl PluginStore, owner: Option<&TenantId>, name: &str) -> Removal {
    store.remove_version(owner, &digest(name)).await.expect("answers")
}

async fn bytes(store: &impl PluginStore, name: &str) -> Option<Bytes> {
    store.component(&digest(name)).await.expect("answers")
}

async fn nothing_is_kept_at_first(store: &impl PluginStore) {
    for owner in [None, Some(&shop("a"))] {
        assert_eq!(store.versions(owner).await.expect("answers"), []);
        assert_eq!(kept(store, owner, "p").await, None);
        assert_eq!(remove(store, owner, "p").await, Removal::Missing);
    }
    assert_eq!(bytes(store, "p").await, None);
}

async fn an_owner_has_a_version_once(store: &impl PluginStore) {
    let (ours, theirs, nobodys) = (version(Some("a"), "p"), version(Some("b"), "p"), version(None, "p"));
    for version in [&ours, &theirs, &nobodys] {
        assert!(keep(store, version).await);
    }
    for version in [&ours, &theirs, &nobodys] {
        let again = Version { signer: None, uploaded_at: moment(2), ..version.clone() };
        assert!(!keep(store, &again).await);
        assert_eq!(kept(store, version.owner.as_ref(), "p").await.as_ref(), Some(version));
        assert_eq!(store.versions(version.owner.as_ref()).await.expect("answers"), from_ref(version));
    }
    assert_eq!(bytes(store, "p").await, Some(component("p")));
}

async fn a_version_comes_back_as_it_was_kept(store: &impl PluginStore) {
    let rich = version(Some("a"), "rich");
    let plain = Version {
        slot: Slot::Rank,
        granted: [].into(),
        manifest: json!(null),
        signature: None,
        signer: None,
        uploaded_at: jiff::Timestamp::UNIX_EPOCH,
        uploaded_by: String::new(),
        ..version(None, "plain")
    };
    for version in [rich, plain] {
        assert!(keep(store, &version).await);
        let owner = version.owner.as_ref();
        assert_eq!(kept(store, owner, &version.name).await.as_ref(), Some(&version));
        assert_eq!(store.versions(owner).await.expect("answers"), [version]);
    }
}

async fn a_version_is_signed_later_and_nothing_else_of_it_changes(store: &impl PluginStore) {
    let unsigned = |owner| Version { signature: None, signer: None, ..version(owner, "p") };
    let owners = [Some("a"), Some("b"), None];
    let signature = |n: usize| format!("{n:0128x}");
    for owner in owners {
        let owner = owner.map(shop);
        assert!(!store.sign_version(owner.as_ref(), &digest("p"), "00", None).await.expect("answers"));
    }
    for owner in owners {
        keep(store, &unsigned(owner)).await;
    }
    // One owner after the other: whoever is not signed yet stays as it was.
    for (n, owner) in owners.into_iter().enumerate() {
        for (signature, signer) in [(signature(n + 9), None), (signature(n), Some("release"))] {
            let owner = owner.map(shop);
            let signed = store.sign_version(owner.as_ref(), &digest("p"), &signature, signer).await;
            assert!(signed.expect("answers"));
            let expected = Version {
                signature: Some(signature),
                signer: signer.map(str::to_owned),
                ..version(owner.as_ref().map(TenantId::as_str), "p")
            };
            assert_eq!(kept(store, owner.as_ref(), "p").await.as_ref(), Some(&expected));
            assert_eq!(store.versions(owner.as_ref()).await.expect("answers"), [expected]);
        }
        for later in &owners[n + 1..] {
            assert_eq!(kept(store, later.map(shop).as_ref(), "p").await, Some(unsigned(*later)));
        }
    }
    assert_eq!(bytes(store, "p").await, Some(component("p")));
    assert!(!store.sign_version(None, &digest("other"), "00", None).await.expect("answers"));
}

async fn versions_come_oldest_first_and_only_their_owners(store: &impl PluginStore) {
    // As text and in microseconds these times stand in other orders.
    let ages =
        [("p3", 1_000_000_000), ("p0", 0), ("p4", 10_000_000_000), ("p2", 500_000_001), ("p1", 500_000_000)];
    for owner in [Some("a"), None] {
        for (name, age) in ages {
            keep(store, &Version { uploaded_at: moment(age), ..version(owner, name) }).await;
        }
    }
    keep(store, &version(Some("b"), "p9")).await;
    for owner in [Some(shop("a")), None] {
        let versions = store.versions(owner.as_ref()).await.expect("answers");
        let names: Vec<_> = versions.iter().map(|version| version.name.as_str()).collect();
        assert_eq!(names, ["p0", "p1", "p2", "p3", "p4"]);
        assert!(versions.iter().all(|version| version.owner == owner));
        assert_eq!(kept(store, owner.as_ref(), "p9").await, None);
    }
    assert_eq!(store.versions(Some(&shop("b"))).await.expect("answers"), [version(Some("b"), "p9")]);
}

async fn a_component_lives_as_long_as_its_last_version(store: &impl PluginStore) {
    let owners = [Some("a"), None, Some("b")];
    for owner in owners {
        keep(store, &version(owner, "p")).await;
    }
    keep(store, &version(Some("a"), "other")).await;
    for owner in owners {
        assert_eq!(bytes(store, "p").await, Some(component("p")));
        assert_eq!(remove(store, owner.map(shop).as_ref(), "p").await, Removal::Removed);
    }
    assert_eq!(bytes(store, "p").await, None);
    assert_eq!(bytes(store, "other").await, Some(component("other")));
    assert!(keep(store, &version(Some("b"), "p")).await, "it may come again");
    assert_eq!(bytes(store, "p").await, Some(component("p")));
}

async fn an_owner_removes_its_own_version_only(store: &impl PluginStore) {
    let ours = version(Some("a"), "p");
    keep(store, &ours).await;
    for other in [None, Some(&shop("b"))] {
        assert_eq!(remove(store, other, "p").await, Removal::Missing);
    }
    assert_eq!(kept(store, Some(&shop("a")), "p").await, Some(ours));
    assert_eq!(bytes(store, "p").await, Some(component("p")));
    assert_eq!(remove(store, Some(&shop("a")), "p").await, Removal::Removed);
    assert_eq!(remove(store, Some(&shop("a")), "p").await, Removal::Missing);
    assert_eq!(store.versions(Some(&shop("a"))).await.expect("answers"), []);
}

async fn a_large_component_comes_back_whole(store: &impl PluginStore) {
    // Pieces of any power of two differ from each other.
    let bytes: Bytes = (0..LARGE).map(|place| (place % 251) as u8).collect();
    let digest = PluginDigest::of(&bytes);
    let large = Version { digest, size: LARGE as u64, ..version(Some("a"), "large") };
    assert!(store.add_version(&large, bytes.clone()).await.expect("answers"));
    let found = store.component(&digest).await.expect("answers");
    assert!(found.is_some_and(|found| found == bytes), "other bytes came back");
    let removal = store.remove_version(Some(&shop("a")), &digest).await.expect("answers");
    assert_eq!(removal, Removal::Removed);
    assert_eq!(store.component(&digest).await.expect("answers"), None);
}

async fn of_those_who_bring_a_version_at_once_one_keeps_it(store: &impl PluginStore) {
    for n in 0..MEETINGS {
        let ours = version(Some("a"), &format!("p{n}"));
        let theirs = Version { owner: None, ..ours.clone() };
        let both = join(keep(store, &ours), keep(store, &theirs));
        let ((one, nobodys), other) = join(both, keep(store, &ours)).await;
        assert!(nobodys && one != other, "{one} {other} {nobodys}");
        assert_eq!(bytes(store, &ours.name).await, Some(component(&ours.name)));
    }
}

async fn a_component_survives_one_owner_who_goes_while_another_comes(store: &impl PluginStore) {
    let (ours, theirs) = (version(Some("a"), "p"), version(Some("b"), "p"));
    let (mut here, mut away) = (&ours, &theirs);
    keep(store, here).await;
    for _ in 0..MEETINGS {
        let goes = remove(store, here.owner.as_ref(), "p");
        assert_eq!(join(keep(store, away), goes).await, (true, Removal::Removed));
        assert_eq!(bytes(store, "p").await, Some(component("p")));
        (here, away) = (away, here);
    }
    assert_eq!(remove(store, here.owner.as_ref(), "p").await, Removal::Removed);
    assert_eq!(bytes(store, "p").await, None);
}
