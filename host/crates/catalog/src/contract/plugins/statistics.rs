//! What every keeper of plugins must do about how they have been doing.

use std::slice::from_ref;

use jiff::Timestamp;

use super::{claims, digest, keep, moment, shop, version};
use crate::{
    id::TenantId,
    plugins::{Part, PluginStore, Slot, Statistic, Tally},
};

pub(super) async fn suite<S: PluginStore, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        a_report_comes_back_as_it_was_made,
        a_report_replaces_the_same_processs_former_one,
        what_processes_report_is_added_up,
        statistics_are_of_one_slot_and_of_one_shop_or_all,
        a_row_is_of_one_shop_digest_and_part,
        what_is_condensed_adds_up_to_the_same,
        what_was_reported_since_is_not_condensed,
        what_was_condensed_is_forgotten_with_the_last_version,
    ];
}

/// So many calls; every sum is a binary fraction, so that it is the same in any order.
fn tally(calls: u64) -> Tally {
    let mut tally = Tally {
        cpu_micros: calls * 1000,
        peak_memory_bytes: calls << 20,
        compared: calls,
        overlap: calls as f64 * 0.25,
        score_distance: calls as f64 * 0.125,
        ..Tally::default()
    };
    (0..calls).for_each(|call| tally.count("ok", 1 << call));
    tally.count("trap.$out", 0);
    tally
}

fn row(tenant: &str, part: Part, calls: u64) -> Statistic {
    Statistic { tenant: shop(tenant), slot: Slot::Rank, digest: digest("p"), part, tally: tally(calls) }
}

async fn report(store: &impl PluginStore, process: &str, rows: &[Statistic]) {
    report_at(store, moment(0), process, rows).await;
}

async fn report_at(store: &impl PluginStore, at: Timestamp, process: &str, rows: &[Statistic]) {
    store.report(process, at, rows).await.expect("is kept");
}

async fn condense(store: &impl PluginStore, before: Timestamp) {
    store.condense(before).await.expect("is done");
}

/// A second after a moment: stores may round what they only compare.
fn second(seconds: i64) -> Timestamp {
    moment(seconds * 1_000_000_000)
}

async fn told(store: &impl PluginStore, tenant: Option<&TenantId>) -> Vec<Statistic> {
    store.statistics(tenant, &Slot::Rank).await.expect("answers")
}

async fn a_report_comes_back_as_it_was_made(store: &impl PluginStore) {
    assert_eq!(told(store, None).await, []);
    report(store, "one", &[]).await;
    assert_eq!(told(store, None).await, []);
    let mut exact = row("a", Part::Live, 3);
    exact.tally.overlap = 0.1 + 0.2;
    exact.tally.cpu_micros = u64::MAX;
    let empty = Statistic { tally: Tally::default(), ..row("b", Part::Shadow, 0) };
    report(store, "one", &[exact.clone(), empty.clone()]).await;
    assert_eq!(told(store, None).await, [exact, empty]);
}

async fn a_report_replaces_the_same_processs_former_one(store: &impl PluginStore) {
    report(store, "one", &[row("a", Part::Live, 5), row("a", Part::Canary, 1)]).await;
    report(store, "one", &[row("a", Part::Live, 2), row("b", Part::Live, 1)]).await;
    let left = [row("a", Part::Live, 2), row("a", Part::Canary, 1), row("b", Part::Live, 1)];
    assert_eq!(told(store, None).await, left, "what a report does not name stays");
    report(store, "one", &[]).await;
    assert_eq!(told(store, None).await, left);
}

async fn what_processes_report_is_added_up(store: &impl PluginStore) {
    report(store, "one", &[row("a", Part::Live, 2)]).await;
    report(store, "two", &[row("a", Part::Live, 5), row("b", Part::Live, 1)]).await;
    let mut sum = tally(2);
    sum.add(&tally(5));
    assert_eq!((sum.calls(), sum.peak_memory_bytes), (9, 5 << 20));
    let ours = Statistic { tally: sum, ..row("a", Part::Live, 0) };
    assert_eq!(told(store, None).await, [ours.clone(), row("b", Part::Live, 1)]);
    assert_eq!(told(store, Some(&shop("a"))).await, [ours]);
    report(store, "two", &[row("a", Part::Live, 0)]).await;
    let mut sum = tally(2);
    sum.add(&tally(0));
    assert_eq!(told(store, Some(&shop("a"))).await, [Statistic { tally: sum, ..row("a", Part::Live, 0) }]);
}

async fn statistics_are_of_one_slot_and_of_one_shop_or_all(store: &impl PluginStore) {
    let search = Slot::Search("p".to_owned());
    let elsewhere = Statistic { slot: search.clone(), ..row("a", Part::Live, 4) };
    let (ours, theirs) = (row("a", Part::Live, 1), row("b", Part::Live, 2));
    report(store, "one", &[elsewhere.clone(), theirs.clone(), ours.clone()]).await;
    assert_eq!(told(store, None).await, [ours.clone(), theirs.clone()]);
    assert_eq!(told(store, Some(&shop("a"))).await, [ours]);
    assert_eq!(told(store, Some(&shop("b"))).await, [theirs]);
    assert_eq!(told(store, Some(&shop("c"))).await, []);
    assert_eq!(store.statistics(None, &search).await.expect("answers"), [elsewhere]);
    assert_eq!(store.statistics(None, &Slot::Ingest).await.expect("answers"), []);
}

async fn a_row_is_of_one_shop_digest_and_part(store: &impl PluginStore) {
    let mut rows = Vec::new();
    for (calls, (tenant, name)) in (1..).zip([("a", "p"), ("a", "q"), ("b", "p")]) {
        for part in [Part::Live, Part::Canary, Part::Shadow] {
            rows.push(Statistic { digest: digest(name), ..row(tenant, part, calls) });
        }
    }
    rows.sort_by(|a, b| (&a.tenant, a.digest, a.part).cmp(&(&b.tenant, b.digest, b.part)));
    let backwards: Vec<_> = rows.iter().rev().cloned().collect();
    report(store, "one", &backwards).await;
    report(store, "two", &backwards).await;
    for row in &mut rows {
        let once = row.tally.clone();
        row.tally.add(&once);
    }
    assert_eq!(told(store, None).await, rows);
}

async fn what_is_condensed_adds_up_to_the_same(store: &impl PluginStore) {
    let search = Statistic { slot: Slot::Search("p".to_owned()), ..row("a", Part::Live, 1) };
    keep(store, &version(Some("a"), "p")).await;
    condense(store, second(1)).await;
    for (at, process, calls) in [(1, "one", 2), (2, "two", 5), (3, "three", 1)] {
        let rows = [row("a", Part::Live, calls), row("a", Part::Shadow, 1), row("b", Part::Live, calls)];
        report_at(store, second(at), process, &rows).await;
    }
    report_at(store, second(1), "one", from_ref(&search)).await;
    let before = told(store, None).await;
    assert_eq!(before.iter().map(|row| row.tally.calls()).collect::<Vec<_>>(), [11, 6, 11]);
    for moment in [second(2), second(3), second(3), second(4)] {
        condense(store, moment).await;
        assert_eq!(told(store, None).await, before);
        assert_eq!(told(store, Some(&shop("b"))).await, before[2..]);
        let elsewhere = store.statistics(None, &search.slot).await.expect("answers");
        assert_eq!(elsewhere, from_ref(&search));
    }
    report_at(store, second(5), "four", &[row("a", Part::Canary, 3)]).await;
    assert_eq!(told(store, None).await.len(), before.len() + 1);
}

async fn what_was_reported_since_is_not_condensed(store: &impl PluginStore) {
    keep(store, &version(None, "p")).await;
    report_at(store, second(1), "old", &[row("a", Part::Live, 1)]).await;
    report_at(store, second(1), "one", &[row("a", Part::Live, 1)]).await;
    // It is alive: it reports again, and what it said before is replaced by that.
    report_at(store, second(9), "one", &[row("a", Part::Live, 2)]).await;
    condense(store, second(9)).await;
    report_at(store, second(10), "one", &[row("a", Part::Live, 4)]).await;
    let mut sum = tally(1);
    sum.add(&tally(4));
    assert_eq!(told(store, None).await, [Statistic { tally: sum, ..row("a", Part::Live, 0) }]);
}

async fn what_was_condensed_is_forgotten_with_the_last_version(store: &impl PluginStore) {
    for owner in [None, Some("a")] {
        keep(store, &version(owner, "p")).await;
    }
    let gone = Statistic { digest: digest("gone"), ..row("a", Part::Live, 1) };
    report_at(store, second(1), "old", &[row("a", Part::Live, 1), gone]).await;
    condense(store, second(2)).await;
    let left = [row("a", Part::Live, 1)];
    assert_eq!(told(store, None).await, left, "nobody keeps the other any more");
    for (owner, left) in [(None, &left[..]), (Some(shop("a")), &[])] {
        store.remove_version(owner.as_ref(), &digest("p")).await.expect("answers");
        condense(store, second(2)).await;
        assert_eq!(told(store, None).await, left);
    }
}
