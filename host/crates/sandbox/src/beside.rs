//! Shadow: what is not trusted yet answers the same request again, after the live choice has, and is only compared.

use std::sync::Arc;

use taja_catalog::{
    TenantId,
    plugins::Part as Role,
    policy::{Decision, Leg, Part, PolicyContext, Ranking, Submission, Unwatched},
    recording::{overlap_of_first_ten, score_distance},
};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use crate::{
    answer::ranking::Asked,
    attempt::{Attempt, Called},
    house::House,
    plugin::Binding,
    seats::{Seat, Station},
    watch::{Watch, counts},
};

/// A comparison that is due and has room to run.
pub(crate) struct Due {
    house: Arc<House>,
    tenant: TenantId,
    seat: Arc<Seat>,
    binding: Arc<Binding>,
    watch: Arc<Watch>,
    context: PolicyContext,
    _room: OwnedSemaphorePermit,
}

impl Due {
    /// None when this request, which what is live at a station answered itself, is not one to compare. Where there is no
    /// room, live requests go first.
    pub(crate) fn now(
        house: &Arc<House>,
        tenant: &TenantId,
        station: &Station,
        context: &PolicyContext,
        parts: &[Part],
    ) -> Option<Self> {
        let (seat, shadow) = station.shadow()?;
        let mut asked = parts.iter().map(|part| part.modality.as_str());
        if !shadow.binding.accepts_all(&mut asked) || !shadow.is_due() {
            return None;
        }
        let room = Arc::clone(&house.beside).try_acquire_owned().ok()?;
        Some(Self {
            house: Arc::clone(house),
            tenant: tenant.clone(),
            seat: Arc::clone(seat),
            binding: Arc::clone(&shadow.binding),
            watch: Arc::clone(&shadow.watch),
            context: context.aside(Arc::new(Unwatched)),
            _room: room,
        })
    }

    /// Compares orders.
    pub(crate) fn rank(self, mut candidates: Asked, live: &Ranking) {
        let live = scored(live);
        self.owner().spawn(async move {
            let called = self.attempt().rank(&self.context, &mut candidates).await;
            self.compare(called, |ranking| nearness(&live, &scored(&ranking)));
        });
    }

    /// Compares legs, one after the other as one list.
    pub(crate) fn search(self, parts: Vec<Part>, limit: u32, live: &[Leg]) {
        let live = found(live);
        self.owner().spawn(async move {
            let called = self.attempt().search(&self.context, &parts, limit).await;
            self.compare(called, |legs| nearness(&live, &found(&legs)));
        });
    }

    /// Compares decisions: the same, or not.
    pub(crate) fn ingest(self, submission: Submission, live: Decision) {
        self.owner().spawn(async move {
            let called = self.attempt().ingest(&self.context, &submission).await;
            self.compare(called, |decision| (f64::from(decision == live), None));
        });
    }

    fn owner(&self) -> Owner {
        let span = tracing::debug_span!("shadow", tenant = %self.tenant, plugin.name = %self.binding.choice.name,
            plugin.digest = %self.binding.choice.digest);
        span.follows_from(tracing::Span::current());
        Owner { house: Arc::clone(&self.house), span }
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt::counted(&self.house, &self.tenant, &self.binding, Role::Shadow)
    }

    /// Notes how near an answer came; one that failed is counted by its call, and too many of those end the shadow.
    fn compare<T>(&self, called: Called<T>, compare: impl FnOnce(T) -> (f64, Option<f64>)) {
        let fault = match called.0 {
            Ok(answer) => {
                let (overlap, distance) = compare(answer);
                let now = self.house.now();
                let record =
                    self.house.book.record(&self.binding.plugin.identity, &self.tenant, Role::Shadow, now);
                record.compared(overlap, distance);
                None
            }
            Err(error) => Some(error.fault).filter(|fault| counts(&self.seat.slot, fault)),
        };
        // However slow it is, nobody waits for it.
        if let Some(reason) = self.watch.note(fault.as_ref(), None, None) {
            self.house.withdraw(self.seat.place(), &self.binding.id, Role::Shadow, reason);
        }
    }
}

/// Who waits for a comparison when the service ends, and under what name it goes in traces.
struct Owner {
    house: Arc<House>,
    span: tracing::Span,
}

impl Owner {
    fn spawn(self, comparison: impl Future<Output = ()> + Send + 'static) {
        self.house.tasks.spawn(comparison.instrument(self.span));
    }
}

fn scored(ranking: &Ranking) -> Vec<(u32, f32)> {
    ranking.products.iter().map(|ranked| (ranked.product, ranked.score)).collect()
}

fn found(legs: &[Leg]) -> Vec<(String, f32)> {
    let hits = legs.iter().flat_map(|leg| leg.hits.iter().map(move |hit| (leg, hit)));
    hits.map(|(leg, hit)| (format!("{} {}", leg.name, hit.product), hit.score)).collect()
}

fn nearness<K: Clone + Eq + std::hash::Hash>(live: &[(K, f32)], other: &[(K, f32)]) -> (f64, Option<f64>) {
    let keys = |list: &[(K, f32)]| list.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    (overlap_of_first_ten(&keys(live), &keys(other)), score_distance(live, other))
}
