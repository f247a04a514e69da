//! What every keeper of plugins must do about activations and their history.

use std::slice::from_ref;

use futures::future::join_all;

use super::{activation, change, choice, claims, event, keep, moment, shop, stored, version};
use crate::{
    id::TenantId,
    plugins::{Action, Activation, Canary, Event, PluginStore, Shadow, Slot},
    port::PortErrorKind,
};

/// Those who change at once.
const CROWD: usize = 8;

pub(super) async fn suite<S: PluginStore, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        nothing_is_active_at_first,
        an_activation_comes_back_as_it_was_stored,
        a_change_is_made_from_the_stored_revision,
        a_change_from_another_revision_is_refused_and_leaves_no_trace,
        everybodys_slot_and_a_shops_are_two,
        revisions_rise_over_all_slots_and_tell_what_changed_later,
        of_changes_made_at_once_from_one_revision_one_wins,
        changes_of_different_slots_at_once_are_all_made,
        history_tells_the_latest_first_and_no_more_than_asked,
        history_is_of_one_shop_and_one_slot,
    ];
}

/// Keeps everybody's versions of what it holds, as whoever activates them finds them.
async fn keep_all(store: &impl PluginStore, activation: &Activation) {
    for choice in activation.choices() {
        keep(store, &version(None, &choice.name)).await;
    }
}

/// The activation as it is stored after a change that must be taken.
async fn changed(store: &impl PluginStore, activation: &Activation) -> Activation {
    keep_all(store, activation).await;
    let revision = change(store, activation).await.expect("the change is taken");
    Activation { revision, ..activation.clone() }
}

async fn after(store: &impl PluginStore, revision: u64) -> Vec<Activation> {
    store.activations(revision).await.expect("answers")
}

async fn history(
    store: &impl PluginStore,
    tenant: Option<&TenantId>,
    slot: Option<&Slot>,
    limit: usize,
) -> Vec<Event> {
    store.history(tenant, slot, limit).await.expect("answers")
}

async fn nothing_is_active_at_first(store: &impl PluginStore) {
    assert_eq!(after(store, 0).await, []);
    assert_eq!(stored(store, None, &Slot::Rank).await, None);
    assert_eq!(stored(store, Some("a"), &Slot::Rank).await, None);
    assert_eq!(history(store, None, None, 9).await, []);
}

async fn an_activation_comes_back_as_it_was_stored(store: &impl PluginStore) {
    let full = Activation {
        previous: vec![choice("before"), choice("long-ago")],
        canary: Some(Canary {
            choice: choice("tried"),
            percent: 100,
            judged_by: Some((shop("a"), "set".parse().expect("a name"))),
        }),
        shadow: Some(Shadow { choice: choice("compared"), every: u32::MAX }),
        ..activation(Some("a"), Slot::Search("by-sound".to_owned()), "live")
    };
    let empty = Activation { live: None, changed_by: String::new(), ..activation(None, Slot::Ingest, "x") };
    for new in [full, empty] {
        let new = changed(store, &new).await;
        assert!(new.revision > 0);
        let tenant = new.tenant.as_ref();
        assert_eq!(store.activation(tenant, &new.slot).await.expect("answers").as_ref(), Some(&new));
        assert_eq!(after(store, new.revision - 1).await, from_ref(&new));
        assert_eq!(history(store, tenant, None, 9).await, [event(&new)]);
    }
}

async fn a_change_is_made_from_the_stored_revision(store: &impl PluginStore) {
    let first = changed(store, &activation(Some("a"), Slot::Rank, "first")).await;
    let second =
        Activation { live: Some(choice("second")), previous: vec![choice("first")], ..first.clone() };
    let second = changed(store, &second).await;
    assert!(second.revision > first.revision);
    assert_eq!(stored(store, Some("a"), &Slot::Rank).await.as_ref(), Some(&second));
    assert_eq!(after(store, 0).await, from_ref(&second));
    assert_eq!(history(store, Some(&shop("a")), None, 9).await, [event(&second), event(&first)]);
}

async fn a_change_from_another_revision_is_refused_and_leaves_no_trace(store: &impl PluginStore) {
    let refused = async |activation: &Activation, revision: u64| {
        let error = change(store, &Activation { revision, ..activation.clone() }).await;
        assert_eq!(error.expect_err("it is from another revision").kind, PortErrorKind::Conflict);
    };
    let first = activation(None, Slot::Rank, "first");
    keep_all(store, &first).await;
    refused(&first, 1).await;
    assert_eq!(stored(store, None, &Slot::Rank).await, None);
    let first = changed(store, &first).await;
    let second = changed(store, &Activation { live: Some(choice("second")), ..first.clone() }).await;
    let late = Activation { live: None, ..second.clone() };
    for revision in [0, first.revision, second.revision + 1] {
        refused(&late, revision).await;
    }
    // The revision of another slot is none of this one's.
    let other = changed(store, &activation(None, Slot::Ingest, "other")).await;
    refused(&late, other.revision).await;
    assert_eq!(stored(store, None, &Slot::Rank).await.as_ref(), Some(&second));
    assert_eq!(after(store, 0).await, [second.clone(), other]);
    assert_eq!(history(store, None, Some(&Slot::Rank), 9).await, [event(&second), event(&first)]);
}

async fn everybodys_slot_and_a_shops_are_two(store: &impl PluginStore) {
    let everybodys = changed(store, &activation(None, Slot::Rank, "everybodys")).await;
    let ours = changed(store, &activation(Some("a"), Slot::Rank, "ours")).await;
    let emptied = changed(store, &Activation { live: None, ..ours.clone() }).await;
    assert_eq!(stored(store, None, &Slot::Rank).await.as_ref(), Some(&everybodys));
    assert_eq!(stored(store, Some("a"), &Slot::Rank).await.as_ref(), Some(&emptied));
    assert_eq!(stored(store, Some("b"), &Slot::Rank).await, None);
    assert_eq!(history(store, None, None, 9).await, [event(&everybodys)]);
    assert_eq!(history(store, Some(&shop("a")), None, 9).await, [event(&emptied), event(&ours)]);
}

async fn revisions_rise_over_all_slots_and_tell_what_changed_later(store: &impl PluginStore) {
    let slots = [(None, Slot::Rank), (Some("a"), Slot::Rank), (Some("b"), Slot::Search("p".to_owned()))];
    let mut made: Vec<Activation> = Vec::new();
    for (tenant, slot) in slots {
        made.push(changed(store, &activation(tenant, slot, "first")).await);
    }
    assert!(made.is_sorted_by(|one, next| one.revision < next.revision));
    assert_eq!(after(store, 0).await, made);
    assert_eq!(after(store, made[0].revision).await, made[1..]);
    let again = changed(store, &made[0]).await;
    assert!(again.revision > made[2].revision);
    assert_eq!(after(store, 0).await, [made[1].clone(), made[2].clone(), again.clone()]);
    assert_eq!(after(store, made[2].revision).await, from_ref(&again));
    assert_eq!(after(store, again.revision).await, []);
    assert_eq!(after(store, u64::MAX).await, []);
}

async fn of_changes_made_at_once_from_one_revision_one_wins(store: &impl PluginStore) {
    let mut from = 0;
    for round in 0..3 {
        let names: Vec<_> = (0..CROWD).map(|n| format!("p{round}-{n}")).collect();
        let all: Vec<_> = names
            .iter()
            .map(|name| Activation { revision: from, ..activation(Some("a"), Slot::Rank, name) })
            .collect();
        for activation in &all {
            keep_all(store, activation).await;
        }
        let results = join_all(all.iter().map(|activation| change(store, activation))).await;
        let mut won = None;
        for (activation, result) in all.iter().zip(results) {
            match result {
                Ok(revision) => {
                    let winner = Activation { revision, ..activation.clone() };
                    assert_eq!(won.replace(winner), None, "two won");
                }
                Err(error) => assert_eq!(error.kind, PortErrorKind::Conflict, "{error}"),
            }
        }
        let won = won.expect("one wins");
        assert!(won.revision > from);
        from = won.revision;
        let lines = history(store, Some(&shop("a")), None, 99).await;
        assert_eq!((lines.len(), &lines[0]), (round + 1, &event(&won)));
        assert_eq!(after(store, 0).await, [won]);
    }
}

async fn changes_of_different_slots_at_once_are_all_made(store: &impl PluginStore) {
    let shops: Vec<_> = (0..CROWD).map(|n| format!("shop-{n}")).collect();
    let all: Vec<_> = shops.iter().map(|shop| activation(Some(shop), Slot::Rank, "p")).collect();
    let mut made = join_all(all.iter().map(|activation| changed(store, activation))).await;
    made.sort_by_key(|activation| activation.revision);
    assert!(made.is_sorted_by(|one, next| one.revision < next.revision));
    assert_eq!(after(store, 0).await, made);
}

async fn history_tells_the_latest_first_and_no_more_than_asked(store: &impl PluginStore) {
    let mut told = Vec::new();
    let mut now = activation(None, Slot::Rank, "p");
    keep_all(store, &now).await;
    let actions = [Action::Activated, Action::CanaryStarted, Action::Withdrawn, Action::Deactivated];
    // Clocks differ: what was done last need not have the latest time.
    for (action, at) in actions.into_iter().zip([2, 1, 1, 3]) {
        let line = Event { action, at: moment(at), choice: None, reason: String::new(), ..event(&now) };
        now.revision = store.change(&now, &line).await.expect("the change is taken");
        told.insert(0, line);
    }
    for limit in 0..=actions.len() {
        assert_eq!(history(store, None, None, limit).await, told[..limit]);
    }
    assert_eq!(history(store, None, None, usize::MAX).await, told);
}

async fn history_is_of_one_shop_and_one_slot(store: &impl PluginStore) {
    let (rank, search) = (Slot::Rank, Slot::Search("p".to_owned()));
    let mut told = Vec::new();
    for (tenant, slot) in [(None, &rank), (Some("a"), &rank), (Some("a"), &search), (Some("b"), &rank)] {
        told.push(event(&changed(store, &activation(tenant, slot.clone(), "p")).await));
    }
    let ours = &shop("a");
    assert_eq!(history(store, None, None, 9).await, told[..1]);
    assert_eq!(history(store, None, Some(&search), 9).await, []);
    assert_eq!(history(store, Some(ours), None, 9).await, [told[2].clone(), told[1].clone()]);
    assert_eq!(history(store, Some(ours), Some(&rank), 9).await, told[1..2]);
    assert_eq!(history(store, Some(ours), Some(&search), 9).await, told[2..3]);
    assert_eq!(history(store, Some(&shop("c")), None, 9).await, []);
}
