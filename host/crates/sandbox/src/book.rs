//! What is remembered of calls: metrics for the operator, sums for whoever compares versions.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use taja_catalog::{
    PluginDigest, TenantId,
    plugins::{Part, Slot, Statistic, Tally},
};

use crate::{
    metrics::{CallMetrics, CallStats},
    plugin::Identity,
};

/// How long a record is kept that nobody adds to. As long as the exporter keeps a metric; the sums were reported long
/// before.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long after its last use a metric is surely not dropped yet.
const PAUSE: Duration = Duration::from_secs(3600);
/// Records that are kept at most: those that were added to last.
const MOST: usize = 16_384;

/// Every record, by what it is of.
#[derive(Default)]
pub(crate) struct Book(RwLock<HashMap<Key, Arc<Record>>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    digest: PluginDigest,
    tenant: TenantId,
    part: Part,
}

/// How one version has been doing for one shop, in one part.
pub(crate) struct Record {
    slot: Slot,
    metrics: CallMetrics,
    tally: Mutex<Tally>,
    /// When it was last asked for, microseconds since 1970.
    used_at: AtomicI64,
}

impl Book {
    /// The record to add to now.
    pub(crate) fn record(
        &self,
        identity: &Identity,
        tenant: &TenantId,
        part: Part,
        now: Timestamp,
    ) -> Arc<Record> {
        let key = Key { digest: identity.digest, tenant: tenant.clone(), part };
        if let Some(record) = self.0.read().get(&key) {
            let before = record.used_at.swap(now.as_microsecond(), Relaxed);
            if now.as_microsecond() - before > PAUSE.as_micros() as i64 {
                record.metrics.renew();
            }
            return Arc::clone(record);
        }
        let new = || {
            let metrics = CallMetrics::of(identity, tenant, part);
            let used_at = now.as_microsecond().into();
            Arc::new(Record { slot: identity.manifest.slot(), metrics, tally: Mutex::default(), used_at })
        };
        Arc::clone(self.0.write().entry(key).or_insert_with(new))
    }

    /// Forgets what nobody added to for long.
    pub(crate) fn clear(&self, now: Timestamp) {
        let mut records = self.0.write();
        let used_at = |record: &Record| record.used_at.load(Relaxed);
        let since = now.as_microsecond() - KEPT.as_micros() as i64;
        records.retain(|_, record| used_at(record) > since);
        if records.len() > MOST {
            let mut times: Vec<_> = records.values().map(|record| used_at(record)).collect();
            let place = times.len() - MOST;
            let since = *times.select_nth_unstable(place).1;
            records.retain(|_, record| used_at(record) >= since);
        }
    }

    /// All of it, as sums since the service started.
    pub(crate) fn statistics(&self) -> Vec<Statistic> {
        let records = self.0.read();
        let statistic = |(key, record): (&Key, &Arc<Record>)| Statistic {
            tenant: key.tenant.clone(),
            slot: record.slot.clone(),
            digest: key.digest,
            part: key.part,
            tally: record.tally.lock().clone(),
        };
        records.iter().map(statistic).collect()
    }
}

impl Record {
    /// One call that ran.
    pub(crate) fn call(&self, stats: &CallStats) {
        self.metrics.record(stats);
        let mut tally = self.tally.lock();
        tally.count(stats.outcome, stats.total.as_micros() as u64);
        tally.cpu_micros += stats.cpu.as_micros() as u64;
        tally.peak_memory_bytes = tally.peak_memory_bytes.max(stats.peak_memory_bytes as u64);
    }

    /// One call that found no place to run in.
    pub(crate) fn turned_away(&self, outcome: &'static str) {
        self.metrics.count(outcome);
        *self.tally.lock().outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// One answer that was compared with the live one; without a distance when they had nothing in common.
    pub(crate) fn compared(&self, overlap: f64, score_distance: Option<f64>) {
        let mut tally = self.tally.lock();
        tally.compared += 1;
        tally.overlap += overlap;
        if let Some(distance) = score_distance {
            tally.scored += 1;
            tally.score_distance += distance;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::{clock::after, limits::Kind, manifest, metrics::OK};

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn identity() -> Identity {
        let text = "name = \"r\"\nversion = \"1.0.0\"\nkind = \"rank\"";
        Identity::new(manifest::parse(text).unwrap(), PluginDigest::of(b"component"), BTreeSet::new())
    }

    /// Records that were used a second after each other, the last one now.
    fn book(count: usize) -> Book {
        let (identity, digest) = (identity(), PluginDigest::of(b"component"));
        let record = |age: usize| {
            let tenant: TenantId = format!("shop-{age}").parse().unwrap();
            let metrics = CallMetrics::of(&identity, &tenant, Part::Live);
            let used_at = (now().as_microsecond() - age as i64 * 1_000_000).into();
            let record = Record { slot: Slot::Rank, metrics, tally: Mutex::default(), used_at };
            (Key { digest, tenant, part: Part::Live }, Arc::new(record))
        };
        Book(RwLock::new((0..count).map(record).collect()))
    }

    fn oldest(book: &Book) -> Option<String> {
        let names = book.statistics().into_iter().map(|row| row.tenant.to_string());
        names.max_by_key(|name| name.trim_start_matches("shop-").parse::<usize>().unwrap())
    }

    #[test]
    fn what_nobody_added_to_for_a_day_is_forgotten() {
        let book = book(100);
        book.clear(now());
        assert_eq!(book.statistics().len(), 100);
        book.clear(after(now(), KEPT - Duration::from_secs(9)));
        assert_eq!((book.statistics().len(), oldest(&book).as_deref()), (9, Some("shop-8")));
    }

    #[test]
    fn of_too_many_those_that_were_added_to_last_are_kept() {
        let book = book(MOST + 10);
        book.clear(now());
        assert_eq!((book.statistics().len(), oldest(&book)), (MOST, Some(format!("shop-{}", MOST - 1))));
    }

    #[test]
    fn what_the_exporter_may_have_dropped_is_looked_up_again() {
        let (book, identity, tenant) = (Book::default(), identity(), "shop".parse().unwrap());
        let stats = CallStats {
            plugin: Arc::clone(&identity.reference),
            kind: Kind::Rank,
            outcome: OK,
            queue_wait: Duration::ZERO,
            total: Duration::ZERO,
            instantiation: Duration::ZERO,
            cpu: Duration::ZERO,
            fuel: None,
            host_calls: 0,
            host_bytes: 0,
            peak_memory_bytes: 0,
            log_lines_dropped: 0,
        };
        let recorders = [(); 2].map(|()| PrometheusBuilder::new().build_recorder());
        let seen = |place: usize| {
            let text = recorders[place].handle().render();
            let calls = text.lines().find(|line| line.starts_with("taja_plugin_call_seconds_count"));
            calls.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).unwrap_or(0)
        };
        // The second recorder stands for one that has dropped what the first one has.
        for (later, place) in [(0, 0), (3600, 1), (7200, 1)] {
            let now = after(now(), Duration::from_secs(later));
            let call = || book.record(&identity, &tenant, Part::Live, now).call(&stats);
            with_local_recorder(&recorders[place], call);
        }
        assert_eq!((seen(0), seen(1)), (3, 0));
        let late = after(now(), Duration::from_secs(10_801));
        with_local_recorder(&recorders[1], || book.record(&identity, &tenant, Part::Live, late).call(&stats));
        assert_eq!((seen(0), seen(1)), (3, 1));
    }
}
