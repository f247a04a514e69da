//! Runs one call: a free place, a fresh store, the clocks, and what is told of it afterwards.

use std::{
    future::{Ready, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use taja_catalog::policy::PolicyFault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::{
    bindings::{ingest, rank, search},
    book::Record,
    config::SandboxConfig,
    limits::Limits,
    meter::{Meter, WallTimeUp},
    metrics::{CANCELLED, CallStats, outcome},
    outcome::{CpuUsedUp, Stage, fault},
    plugin::{Identity, Plugin},
    ranker::Ranker,
    state::{GuestState, Ports, Session},
};

/// Component handles a guest may have beside those of `taja:host`: streams, polls, and borrows in passing.
const OTHER_HANDLES: usize = 256;

/// What a call has to burn where instructions are counted: more than it can.
const FUEL: u64 = u64::MAX;

/// Runs calls, as many at a time as there are places.
pub(crate) struct Runner {
    engine: Engine,
    places: Arc<Semaphore>,
    queue_wait: Duration,
    ports: Ports,
}

/// One call in progress. Dropping it throws its store away, whatever state that is in.
pub(crate) struct Visit<'a> {
    pub(crate) store: Store<GuestState>,
    plugin: &'a Plugin,
    meter: Arc<Meter>,
    /// None for a call that counts nowhere: a trial of a plugin that serves nobody yet.
    record: Option<Arc<Record>>,
    queue_wait: Duration,
    instantiation: Option<Duration>,
    // Last, so that the place is free only after the store is gone.
    _place: OwnedSemaphorePermit,
}

impl Runner {
    pub(crate) fn new(engine: Engine, config: &SandboxConfig, ports: Ports) -> Self {
        let places = Arc::new(Semaphore::new(config.concurrency as usize));
        Self { engine, places, queue_wait: config.queue_wait, ports }
    }

    /// What answers host calls.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Waits for a free place and makes a fresh store.
    pub(crate) async fn enter<'a>(
        &self,
        plugin: &'a Plugin,
        record: Option<Arc<Record>>,
        session: Option<Session>,
        ports: Option<Ports>,
    ) -> Result<Visit<'a>, PolicyFault> {
        let asked = Instant::now();
        let place = self.place().await.inspect_err(|busy| {
            if let Some(record) = &record {
                record.turned_away(busy.outcome());
            }
        })?;
        // Whoever takes notes of a call, or plays it from notes, wants it to go the same way again.
        let exact = ports.is_some();
        let ports = ports.unwrap_or_else(|| self.ports.clone());
        let state = GuestState::new(Arc::clone(&plugin.identity), plugin.limits, ports, session, exact);
        let meter = Arc::clone(&state.meter);
        Ok(Visit {
            store: store(&self.engine, state, &plugin.limits),
            plugin,
            record,
            meter,
            queue_wait: asked.elapsed(),
            instantiation: None,
            _place: place,
        })
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, PolicyFault> {
        let closed = |_| PolicyFault::Host("the sandbox is closing".into());
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let free = tokio::time::timeout(self.queue_wait, Arc::clone(&self.places).acquire_owned());
        free.await.map_err(|_| PolicyFault::Busy(self.queue_wait))?.map_err(closed)
    }
}

fn store(engine: &Engine, state: GuestState, limits: &Limits) -> Store<GuestState> {
    let mut store = Store::new(engine, state);
    // An engine that counts nothing has no fuel, and says so.
    let _ = store.set_fuel(FUEL);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits.hostcall_fuel_bytes);
    store.set_max_component_handles(limits.handles.saturating_add(OTHER_HANDLES));
    store.epoch_deadline_callback(|context| {
        if context.data().meter.cpu_used_up() { Err(CpuUsedUp.into()) } else { Ok(UpdateDeadline::Yield(1)) }
    });
    store.set_epoch_deadline(1);
    store
}

/// Instantiates a world and calls it under the clocks of a visit.
macro_rules! call {
    ($visit:expr, $pre:expr, |$world:ident, $store:ident| $call:expr) => {{
        let visit: &mut Visit<'_> = $visit;
        let meter = Arc::clone(&visit.meter);
        let mut entered = None;
        let $store = &mut visit.store;
        let ended = meter
            .bound(async {
                let $world = $pre.instantiate_async(&mut *$store).await?;
                entered = Some(meter.elapsed());
                $call.await
            })
            .await;
        visit.instantiation = entered;
        visit.judge(ended)
    }};
}

impl Visit<'_> {
    pub(crate) async fn search(
        &mut self,
        pre: &search::SearchPre<GuestState>,
        query: &search::exports::taja::plugin::searching::Query,
    ) -> Result<Vec<search::exports::taja::plugin::searching::Leg>, PolicyFault> {
        call!(self, pre, |world, store| world.taja_plugin_searching().call_search(store, query))
    }

    pub(crate) async fn ingest(
        &mut self,
        pre: &ingest::IngestPre<GuestState>,
        submission: &ingest::exports::taja::plugin::ingesting::Submission,
    ) -> Result<ingest::exports::taja::plugin::ingesting::Decision, PolicyFault> {
        call!(self, pre, |world, store| world.taja_plugin_ingesting().call_decide(store, submission))
    }

    pub(crate) async fn rank(
        &mut self,
        ranker: &Ranker,
        candidates: &rank::exports::taja::plugin::ranking::Candidates,
        day: u32,
    ) -> Result<rank::exports::taja::plugin::ranking::Ranked, PolicyFault> {
        call!(self, ranker, |world, store| world.rank(store, candidates, day))
    }

    /// Makes an instance and lets it go: what is wrong with the component shows before the first call. That its functions
    /// are of other types than the world's is told as its answer; it cannot give any other.
    pub(crate) async fn try_out(&mut self, entry: &crate::plugin::Entry) -> Result<(), PolicyFault> {
        use crate::plugin::Entry;
        fn told<T>(world: wasmtime::Result<T>) -> Ready<wasmtime::Result<Result<(), String>>> {
            ready(Ok(world.map(drop).map_err(|error| format!("{error:#}"))))
        }
        match entry {
            Entry::Search(pre) => call!(self, pre.instance_pre(), |instance, store| {
                let world = search::SearchIndices::new(pre.instance_pre());
                told(world.and_then(|world| world.load(&mut *store, &instance)))
            }),
            Entry::Ingest(pre) => call!(self, pre.instance_pre(), |instance, store| {
                let world = ingest::IngestIndices::new(pre.instance_pre());
                told(world.and_then(|world| world.load(&mut *store, &instance)))
            }),
            Entry::Rank(ranker) => call!(self, ranker.instance_pre(), |instance, store| {
                told(ranker.check(&mut *store, &instance))
            }),
        }
    }

    fn judge<T>(
        &mut self,
        ended: Result<wasmtime::Result<Result<T, String>>, WallTimeUp>,
    ) -> Result<T, PolicyFault> {
        let limits = &self.plugin.limits;
        match ended {
            Ok(Ok(answer)) => answer.map_err(|text| PolicyFault::Guest(shortened(text))),
            Ok(Err(error)) => {
                let stage = if self.instantiation.is_some() { Stage::Running } else { Stage::Entering };
                Err(fault(&error, stage, limits, &self.store.data().log.last_words()))
            }
            Err(WallTimeUp) => Err(PolicyFault::Timeout { what: "wall", limit: limits.wall }),
        }
    }

    /// Tells logs and metrics how the call went. Called once the answer was checked.
    pub(crate) fn tell<T>(mut self, answer: &Result<T, PolicyFault>) -> CallStats {
        let stats = self.stats(outcome(answer));
        if let Some(record) = self.record.take() {
            record.call(&stats);
        }
        let Identity { manifest, digest, .. } = &*self.plugin.identity;
        let name = &manifest.name;
        if let Err(fault) = answer {
            tracing::warn!(plugin.name = %name, plugin.digest = %digest, outcome = stats.outcome, %fault, "a plugin call failed");
        }
        if stats.log_lines_dropped > 0 {
            let dropped = stats.log_lines_dropped;
            tracing::warn!(plugin.name = %name, plugin.digest = %digest, dropped, "log lines of a plugin were dropped");
        }
        stats
    }

    fn stats(&self, outcome: &'static str) -> CallStats {
        let state = self.store.data();
        CallStats {
            plugin: self.plugin.identity.reference(),
            kind: self.plugin.kind(),
            outcome,
            queue_wait: self.queue_wait,
            total: self.meter.elapsed(),
            instantiation: self.instantiation.unwrap_or_default(),
            cpu: self.meter.cpu(),
            fuel: self.store.get_fuel().ok().map(|left| FUEL - left),
            host_calls: self.meter.host_calls(),
            host_bytes: self.meter.host_bytes(),
            peak_memory_bytes: state.memory.used(),
            log_lines_dropped: state.log.dropped(),
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.call(&self.stats(CANCELLED));
        }
    }
}

/// A guest's error text, fit for a job's error.
fn shortened(mut text: String) -> String {
    const MAX_ERROR_BYTES: usize = 2000;
    text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
    text
}
