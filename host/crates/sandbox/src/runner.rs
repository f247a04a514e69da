//! Runs one call: a free place, a fresh store, the clocks, and what is told of it afterwards.

use std::{
    future::{Ready, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use taja_catalog::{TenantId, policy::PolicyFault};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::{
    bindings::{ingest, rank, search},
    book::Record,
    config::SandboxConfig,
    limits::{Kind, Limits},
    meter::{Meter, WallTimeUp},
    metrics::{CANCELLED, CallStats, outcome},
    outcome::{CpuUsedUp, Stage, fault},
    places::{Place, Places, Waits},
    plugin::{Entry, Identity, Plugin},
    ranker::Ranker,
    siding::{Habit, LONG, Siding},
    state::{GuestState, Ports, Session},
    ticker::Ticker,
};

/// Component handles a guest may have beside those of `taja:host`: streams, polls, and borrows in passing.
const OTHER_HANDLES: usize = 256;

/// What a call has to burn where instructions are counted: more than it can.
const FUEL: u64 = u64::MAX;

/// Runs calls, as many at a time as there are places.
pub(crate) struct Runner {
    engine: Engine,
    places: Places,
    ports: Ports,
    siding: Siding,
    // Last: what computes in the siding when it closes is stopped by a tick.
    _ticker: Ticker,
}

/// Who calls, on whose behalf, and how.
pub(crate) struct Caller<'a> {
    /// None for a trial of a plugin that serves nobody yet.
    pub(crate) tenant: Option<&'a TenantId>,
    /// None for a call that counts nowhere.
    pub(crate) record: Option<Arc<Record>>,
    /// None for a ranking: it imports nothing that would ask.
    pub(crate) session: Option<Session>,
    /// What answers host calls, when it is not the host.
    pub(crate) ports: Option<Ports>,
}

/// One call in progress. Dropping it throws its store away, whatever state that is in.
pub(crate) struct Visit {
    pub(crate) store: Store<GuestState>,
    plugin: Arc<Plugin>,
    meter: Arc<Meter>,
    record: Option<Arc<Record>>,
    queue_wait: Duration,
    instantiation: Option<Duration>,
    // Last, so that the place is free only after the store is gone.
    place: Place,
}

impl Runner {
    pub(crate) fn open(engine: Engine, config: &SandboxConfig, ports: Ports) -> std::io::Result<Self> {
        let _ticker = Ticker::start(&engine, config.tick)?;
        let places = Places::new(config.concurrency as usize, config.queue_wait);
        Ok(Self { engine, places, ports, siding: Siding::open()?, _ticker })
    }

    /// What answers host calls.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Waits for a free place and makes a fresh store.
    pub(crate) async fn enter(&self, plugin: &Arc<Plugin>, caller: Caller<'_>) -> Result<Visit, PolicyFault> {
        let Caller { tenant, record, session, ports } = caller;
        let asked = Instant::now();
        // An upload is taken in when there is time for it, as its job says all along.
        let waits = if plugin.kind() == Kind::Ingest { Waits::Nobody } else { Waits::Somebody };
        let place = self.places.take(tenant, waits).await.inspect_err(|busy| {
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
            plugin: Arc::clone(plugin),
            record,
            meter,
            queue_wait: asked.elapsed(),
            instantiation: None,
            place,
        })
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
        let meter = &context.data().meter;
        match meter.computed() {
            computed if computed >= meter.cpu_limit() => Err(CpuUsedUp.into()),
            // One that was interrupted soon after it began is nearly done.
            computed if computed < LONG => Ok(UpdateDeadline::Continue(1)),
            _ => {
                meter.interrupt();
                Ok(UpdateDeadline::Yield(1))
            }
        }
    });
    store.set_epoch_deadline(1);
    store
}

/// An answer, and the visit that it was given in.
pub(crate) type Visited<T> = (Visit, Result<T, PolicyFault>);

/// Instantiates a world and calls it under the clocks of a visit, in the siding when it computes for long.
macro_rules! call {
    ($runner:expr, $habit:expr, $visit:expr, $pre:expr, |$world:ident, $store:ident| $call:expr) => {{
        let mut visit: Visit = $visit;
        let (shop, meter) = (Arc::clone(&visit.place.shop), Arc::clone(&visit.meter));
        let clocks = Arc::clone(&meter);
        let call = async move {
            let mut entered = None;
            let $store = &mut visit.store;
            let ended = clocks
                .bound(async {
                    let $world = $pre.instantiate_async(&mut *$store).await?;
                    entered = Some(clocks.elapsed());
                    $call.await
                })
                .await;
            visit.instantiation = entered;
            let answer = visit.judge(ended);
            (visit, answer)
        };
        $runner.siding.run(&shop, $habit, &meter, call).await
    }};
}

impl Runner {
    pub(crate) async fn search(
        &self,
        habit: &Habit,
        visit: Visit,
        pre: search::SearchPre<GuestState>,
        query: search::exports::taja::plugin::searching::Query,
    ) -> Visited<Vec<search::exports::taja::plugin::searching::Leg>> {
        call!(self, habit, visit, pre, |world, store| world
            .taja_plugin_searching()
            .call_search(store, &query))
    }

    pub(crate) async fn ingest(
        &self,
        habit: &Habit,
        visit: Visit,
        pre: ingest::IngestPre<GuestState>,
        submission: ingest::exports::taja::plugin::ingesting::Submission,
    ) -> Visited<ingest::exports::taja::plugin::ingesting::Decision> {
        call!(self, habit, visit, pre, |world, store| world
            .taja_plugin_ingesting()
            .call_decide(store, &submission))
    }

    pub(crate) async fn rank(
        &self,
        habit: &Habit,
        visit: Visit,
        ranker: Ranker,
        candidates: Arc<rank::exports::taja::plugin::ranking::Candidates>,
        day: u32,
    ) -> Visited<rank::exports::taja::plugin::ranking::Ranked> {
        call!(self, habit, visit, ranker, |world, store| world.rank(store, &candidates, day))
    }

    /// Makes an instance and lets it go: what is wrong with the component shows before the first call. That its functions
    /// are of other types than the world's is told as its answer; it cannot give any other.
    pub(crate) async fn try_out(&self, plugin: &Arc<Plugin>) -> Result<(), PolicyFault> {
        fn told<T>(world: wasmtime::Result<T>) -> Ready<wasmtime::Result<Result<(), String>>> {
            ready(Ok(world.map(drop).map_err(|error| format!("{error:#}"))))
        }
        let habit = &Habit::default();
        let caller = Caller { tenant: None, record: None, session: None, ports: None };
        let visit = self.enter(plugin, caller).await?;
        let (_visit, tried) = match plugin.entry.clone() {
            Entry::Search(pre) => call!(self, habit, visit, pre.instance_pre(), |instance, store| {
                let world = search::SearchIndices::new(pre.instance_pre());
                told(world.and_then(|world| world.load(&mut *store, &instance)))
            }),
            Entry::Ingest(pre) => call!(self, habit, visit, pre.instance_pre(), |instance, store| {
                let world = ingest::IngestIndices::new(pre.instance_pre());
                told(world.and_then(|world| world.load(&mut *store, &instance)))
            }),
            Entry::Rank(ranker) => call!(self, habit, visit, ranker.instance_pre(), |instance, store| {
                told(ranker.check(&mut *store, &instance))
            }),
        };
        tried
    }
}

impl Visit {
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
            plugin: Arc::clone(&self.plugin.identity.reference),
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

impl Drop for Visit {
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
