//! Shadow: what is not trusted yet answers the same request again, after the live choice has, and is only compared.

use std::sync::Arc;

use taja_catalog::{
    TenantId,
    plugins::Part as Role,
    policy::{Decision, JobHandle, Leg, Part, PolicyContext, PolicyError, Ranking, Submission},
    recording::{overlap_of_first_ten, score_distance},
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{answer::ranking::Asked, attempt::Attempt, house::House, plugin::Binding, seats::Station};

/// Receives what a shadow says of its progress: nobody.
struct Nobody;

impl JobHandle for Nobody {
    fn progress(&self, _: u8, _: &str) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// A comparison that is due and has room to run.
struct Due {
    house: Arc<House>,
    tenant: TenantId,
    binding: Arc<Binding>,
    context: PolicyContext,
    _room: OwnedSemaphorePermit,
}

impl Due {
    /// None when this request is not one to compare. Where there is no room, live requests go first.
    fn now(
        house: &Arc<House>,
        tenant: &TenantId,
        station: &Station,
        context: &PolicyContext,
    ) -> Option<Self> {
        let shadow =
            station.seat.shadow.as_ref().filter(|shadow| station.part == Role::Live && shadow.is_due())?;
        let room = Arc::clone(&house.beside).try_acquire_owned().ok()?;
        Some(Self {
            house: Arc::clone(house),
            tenant: tenant.clone(),
            binding: Arc::clone(&shadow.binding),
            context: context.aside(Arc::new(Nobody)),
            _room: room,
        })
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt::counted(&self.house, &self.tenant, &self.binding, Role::Shadow)
    }

    /// Notes how near an answer came; one that failed is counted by its call.
    fn compare<T>(&self, answer: Result<T, PolicyError>, compare: impl FnOnce(T) -> (f64, f64)) {
        if let Ok(answer) = answer {
            let (overlap, distance) = compare(answer);
            let record = self.house.book.record(&self.binding.plugin, &self.tenant, Role::Shadow);
            record.compared(overlap, distance);
        }
    }
}

/// Compares orders.
pub(crate) fn rank(
    house: &Arc<House>,
    tenant: &TenantId,
    station: &Station,
    context: &PolicyContext,
    mut candidates: Asked,
    live: &Ranking,
) {
    let Some(due) = Due::now(house, tenant, station, context) else { return };
    let live = scored(live);
    tokio::spawn(async move {
        let (answer, _) = due.attempt().rank(&due.context, &mut candidates).await;
        due.compare(answer, |ranking| nearness(&live, &scored(&ranking)));
    });
}

/// Compares legs, one after the other as one list.
pub(crate) fn search(
    house: &Arc<House>,
    tenant: &TenantId,
    station: &Station,
    context: &PolicyContext,
    parts: &[Part],
    limit: u32,
    live: &[Leg],
) {
    let Some(due) = Due::now(house, tenant, station, context) else { return };
    let (live, parts) = (found(live), parts.to_vec());
    tokio::spawn(async move {
        let (answer, _) = due.attempt().search(&due.context, &parts, limit).await;
        due.compare(answer, |legs| nearness(&live, &found(&legs)));
    });
}

/// Compares decisions: the same, or not.
pub(crate) fn ingest(
    house: &Arc<House>,
    tenant: &TenantId,
    station: &Station,
    context: &PolicyContext,
    submission: &Submission,
    live: &Decision,
) {
    let Some(due) = Due::now(house, tenant, station, context) else { return };
    let (live, submission) = (live.clone(), submission.clone());
    tokio::spawn(async move {
        let (answer, _) = due.attempt().ingest(&due.context, &submission).await;
        due.compare(answer, |decision| (f64::from(decision == live), 0.0));
    });
}

fn scored(ranking: &Ranking) -> Vec<(u32, f32)> {
    ranking.products.iter().map(|ranked| (ranked.product, ranked.score)).collect()
}

fn found(legs: &[Leg]) -> Vec<(String, f32)> {
    let hits = legs.iter().flat_map(|leg| leg.hits.iter().map(move |hit| (leg, hit)));
    hits.map(|(leg, hit)| (format!("{} {}", leg.name, hit.product), hit.score)).collect()
}

fn nearness<K: Clone + Eq + std::hash::Hash>(live: &[(K, f32)], other: &[(K, f32)]) -> (f64, f64) {
    let keys = |list: &[(K, f32)]| list.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    (overlap_of_first_ten(&keys(live), &keys(other)), score_distance(live, other).unwrap_or(0.0))
}
