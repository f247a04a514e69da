//! What every keeper of plugins must do about versions that an activation holds.

use futures::future::join;

use super::{MEETINGS, activation, change, choice, claims, component, digest, keep, shop, version};
use crate::{
    plugins::{Activation, Canary, Choice, PluginStore, Removal, Shadow, Slot},
    port::PortErrorKind,
};

pub(super) async fn suite<S: PluginStore, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        a_version_stays_as_long_as_an_activation_holds_it,
        a_shop_that_has_the_same_itself_does_not_hold_everybodys,
        a_shop_does_not_hold_anothers,
        a_version_that_is_not_kept_is_not_activated,
        of_a_removal_and_an_activation_at_once_one_is_refused,
    ];
}

async fn remove(store: &impl PluginStore, owner: Option<&str>, name: &str) -> Removal {
    store.remove_version(owner.map(shop).as_ref(), &digest(name)).await.expect("answers")
}

async fn changed(store: &impl PluginStore, activation: &Activation) -> Activation {
    let revision = change(store, activation).await.expect("the change is taken");
    Activation { revision, ..activation.clone() }
}

async fn is_refused(store: &impl PluginStore, activation: &Activation) {
    let error = change(store, activation).await.expect_err("a version is not kept");
    assert_eq!(error.kind, PortErrorKind::Conflict, "{error}");
    assert_eq!(store.activations(0).await.expect("answers"), []);
}

/// An activation that holds a choice in each of its places.
fn every_place(held: &Choice) -> [Activation; 4] {
    let with = |place: &dyn Fn(&mut Activation)| {
        let mut activation = Activation { live: None, ..activation(Some("a"), Slot::Rank, "") };
        place(&mut activation);
        activation
    };
    let held = || held.clone();
    [
        with(&|row| row.live = Some(held())),
        with(&|row| row.previous = vec![choice("q"), held()]),
        with(&|row| row.canary = Some(Canary { choice: held(), percent: 5, judged_by: None })),
        with(&|row| row.shadow = Some(Shadow { choice: held(), every: 5 })),
    ]
}

async fn a_version_stays_as_long_as_an_activation_holds_it(store: &impl PluginStore) {
    keep(store, &version(None, "q")).await;
    let mut revision = 0;
    for owner in [Some("a"), None] {
        assert!(keep(store, &version(owner, "p")).await);
        for holds in every_place(&choice("p")) {
            let holds = changed(store, &Activation { revision, ..holds }).await;
            let in_use = Removal::InUse(vec![(Some(shop("a")), Slot::Rank)]);
            assert_eq!(remove(store, owner, "p").await, in_use);
            assert!(store.version(owner.map(shop).as_ref(), &digest("p")).await.expect("answers").is_some());
            assert_eq!(store.component(&digest("p")).await.expect("answers"), Some(component("p")));
            revision = holds.revision;
        }
        let empty = Activation { live: None, revision, ..activation(Some("a"), Slot::Rank, "") };
        revision = changed(store, &empty).await.revision;
        assert_eq!(remove(store, owner, "p").await, Removal::Removed);
    }
}

async fn a_shop_that_has_the_same_itself_does_not_hold_everybodys(store: &impl PluginStore) {
    let both = [None, Some("a")];
    for owner in both {
        keep(store, &version(owner, "p")).await;
    }
    changed(store, &activation(Some("a"), Slot::Rank, "p")).await;
    assert_eq!(remove(store, None, "p").await, Removal::Removed);
    let in_use = Removal::InUse(vec![(Some(shop("a")), Slot::Rank)]);
    assert_eq!(remove(store, Some("a"), "p").await, in_use);
    keep(store, &version(None, "p")).await;
    for tenant in [Some("b"), None] {
        changed(store, &activation(tenant, Slot::Ingest, "p")).await;
    }
    let Removal::InUse(mut holders) = remove(store, None, "p").await else { panic!("it is in use") };
    holders.sort();
    assert_eq!(holders, [(None, Slot::Ingest), (Some(shop("b")), Slot::Ingest)]);
}

async fn a_shop_does_not_hold_anothers(store: &impl PluginStore) {
    for owner in [None, Some("a"), Some("b")] {
        keep(store, &version(owner, "p")).await;
    }
    changed(store, &activation(Some("a"), Slot::Rank, "p")).await;
    changed(store, &activation(None, Slot::Rank, "p")).await;
    assert_eq!(remove(store, Some("b"), "p").await, Removal::Removed);
}

async fn a_version_that_is_not_kept_is_not_activated(store: &impl PluginStore) {
    keep(store, &version(None, "q")).await;
    keep(store, &version(Some("b"), "p")).await;
    for holds in every_place(&choice("p")) {
        is_refused(store, &holds).await;
    }
    keep(store, &version(Some("a"), "p")).await;
    is_refused(store, &activation(None, Slot::Rank, "p")).await;
    for (slot, name) in [(Slot::Rank, "p"), (Slot::Ingest, "q")] {
        changed(store, &activation(Some("a"), slot, name)).await;
    }
}

async fn of_a_removal_and_an_activation_at_once_one_is_refused(store: &impl PluginStore) {
    for n in 0..MEETINGS {
        let name = format!("p{n}");
        keep(store, &version(None, &name)).await;
        let new = activation(Some(&format!("shop-{n}")), Slot::Rank, &name);
        let (removal, activated) = join(remove(store, None, &name), change(store, &new)).await;
        let is_kept = store.component(&digest(&name)).await.expect("answers").is_some();
        match activated {
            Ok(_) => assert!(matches!(removal, Removal::InUse(_)) && is_kept, "{removal:?}"),
            Err(error) => {
                assert_eq!((error.kind, &removal), (PortErrorKind::Conflict, &Removal::Removed), "{error}");
                assert!(!is_kept);
            }
        }
    }
}
