//! What is remembered of calls: metrics for the operator, sums for whoever compares versions.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use taja_catalog::{
    PluginDigest, TenantId,
    plugins::{Part, Slot, Statistic, Tally},
};

use crate::{
    metrics::{CallMetrics, CallStats},
    plugin::Plugin,
};

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
}

impl Book {
    pub(crate) fn record(&self, plugin: &Plugin, tenant: &TenantId, part: Part) -> Arc<Record> {
        let key = Key { digest: plugin.identity.digest, tenant: tenant.clone(), part };
        if let Some(record) = self.0.read().get(&key) {
            return Arc::clone(record);
        }
        let new = || {
            let metrics = CallMetrics::of(&plugin.identity, tenant, part);
            Arc::new(Record { slot: plugin.slot(), metrics, tally: Mutex::default() })
        };
        Arc::clone(self.0.write().entry(key).or_insert_with(new))
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

    /// One answer that was compared with the live one.
    pub(crate) fn compared(&self, overlap: f64, score_distance: f64) {
        let mut tally = self.tally.lock();
        tally.compared += 1;
        tally.overlap += overlap;
        tally.score_distance += score_distance;
    }

    /// The time within which this share of the calls ended, microseconds, once there were so many.
    pub(crate) fn quantile_micros(&self, share: f64, at_least: u64) -> Option<u64> {
        let tally = self.tally.lock();
        if tally.calls() < at_least { None } else { tally.quantile_micros(share) }
    }
}
