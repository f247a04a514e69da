//! Claims jobs: each lane for itself, and one runner for the jobs that must run by themselves.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore};

use super::{
    JobContext, Lane, Share, Shop, attempt,
    shares::{Place, Shares},
};
use crate::{Claim, Company, Result, signals::Arrivals};

/// Passed by every job of a lane until it is settled or got on, and shut while a lone job runs.
type Gate = Arc<RwLock<()>>;

/// A gate that is shut.
type Alone = OwnedRwLockWriteGuard<()>;

/// Jobs of a lane that are claimed at once, at most.
const AT_ONCE: usize = 16;

/// Claims of a lane under way at once: while the queue looks for the next jobs, the worker settles the last ones.
const CLAIMING: usize = 2;

/// Jobs of a lane beyond its places whose ends may be on their way to the queue.
const SETTLING: usize = 64;

/// How long the lanes stand still for one lone job. One that kills after that meets others once more, which are lone after
/// that themselves and wait for its end.
const ALONE: Duration = Duration::from_secs(30);

/// Why a lane does not claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// There was nothing.
    Empty,
    /// The queue did not answer, so it is left alone whatever arrives.
    Unanswered,
}

/// Fills the places of one lane.
pub(super) struct LaneRunner {
    shop: Shop,
    lane: Lane,
    gate: Gate,
    /// Taken while a handler runs.
    places: Arc<Semaphore>,
    /// Taken until a job is settled.
    unsettled: Arc<Semaphore>,
    /// Whose the places are, where that matters.
    shares: Option<Arc<Shares>>,
}

/// What a job takes up in its lane.
struct Seat {
    place: OwnedSemaphorePermit,
    /// Kept until it is settled.
    unsettled: OwnedSemaphorePermit,
    pass: OwnedRwLockReadGuard<()>,
}

impl LaneRunner {
    pub(super) fn new(shop: Shop, lane: Lane, gate: Gate) -> Self {
        let places = lane.concurrency.max(1);
        let shares = (lane.share == Share::AsManyAsItLeaves).then(|| Arc::new(Shares::of(places)));
        let (places, unsettled) = (Semaphore::new(places), Semaphore::new(places + SETTLING));
        Self { shop, lane, gate, places: Arc::new(places), unsettled: Arc::new(unsettled), shares }
    }

    pub(super) async fn run(self) {
        let closing = &self.shop.closing;
        let mut arrivals = self.shop.queue.signals().arrivals(&self.lane.kinds);
        let mut claiming = FuturesUnordered::new();
        let mut latest = 0_u64;
        let mut idle = None;
        // What is being claimed when the worker closes may be leased already, so it is waited for and run.
        while !closing.is_cancelled() || !claiming.is_empty() {
            let may_claim =
                !closing.is_cancelled() && idle.is_none() && claiming.len() < self.claims_at_once(CLAIMING);
            tokio::select! {
                Some(seats) = self.free_seats(), if may_claim => {
                    arrivals.mark_seen();
                    latest += 1;
                    claiming.push(self.claim(seats, latest));
                }
                Some((claim, claimed, seats)) = claiming.next() => match claimed {
                    Err(_) => idle = Some(Idle::Unanswered),
                    // What came since an earlier claim is the later one's to find.
                    Ok(claims) if claims.is_empty() => idle = idle.or((claim == latest).then_some(Idle::Empty)),
                    Ok(claims) => {
                        idle = None;
                        claims.into_iter().zip(seats).for_each(|(claim, seat)| self.start(claim, seat));
                    }
                },
                () = rest(&self.shop, &mut arrivals, idle, self.shares.as_deref()), if idle.is_some() => {
                    idle = None;
                }
                () = closing.cancelled(), if !closing.is_cancelled() => {}
            }
        }
    }

    async fn claim(&self, seats: Vec<Seat>, number: u64) -> (u64, Result<Vec<Claim>>, Vec<Seat>) {
        let passed_over = self.shares.as_ref().map(|shares| shares.used_up()).unwrap_or_default();
        let claimed = claim(&self.shop, &self.lane.kinds, Company::Shared, seats.len(), &passed_over).await;
        (number, claimed, seats)
    }

    /// Where it matters whose the places are, one after the other is given away.
    fn claims_at_once(&self, usually: usize) -> usize {
        if self.shares.is_some() { 1 } else { usually }
    }

    /// Waits for a free seat, and takes what others are free then; none once the lane is no more.
    async fn free_seats(&self) -> Option<Vec<Seat>> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let unsettled = Arc::clone(&self.unsettled).acquire_owned().await.ok()?;
        let pass = Arc::clone(&self.gate).read_owned().await;
        let mut seats = vec![Seat { place, unsettled, pass }];
        seats.extend(std::iter::from_fn(|| self.another_seat()).take(self.claims_at_once(AT_ONCE) - 1));
        Some(seats)
    }

    fn another_seat(&self) -> Option<Seat> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let unsettled = Arc::clone(&self.unsettled).try_acquire_owned().ok()?;
        let pass = Arc::clone(&self.gate).try_read_owned().ok()?;
        Some(Seat { place, unsettled, pass })
    }

    fn start(&self, claim: Claim, seat: Seat) {
        let shop = self.shop.clone();
        let share: Option<Place> = self.shares.as_ref().map(|shares| shares.take(&claim.job.tenant));
        let Seat { place, unsettled, pass } = seat;
        self.shop.running.spawn(async move {
            let context = JobContext::new(Arc::clone(&claim.job));
            attempt::run(shop, claim, context, (share, place), pass).await;
            drop(unsettled);
        });
    }
}

/// Runs lone jobs, one at a time, with every lane empty.
pub(super) struct LoneRunner {
    shop: Shop,
    gates: Vec<Gate>,
    kinds: Vec<String>,
}

impl LoneRunner {
    pub(super) fn new(shop: Shop, gates: Vec<Gate>) -> Self {
        let kinds = shop.config.lanes.iter().flat_map(|lane| lane.kinds.iter().cloned()).collect();
        Self { shop, gates, kinds }
    }

    pub(super) async fn run(self) {
        let closing = self.shop.closing.clone();
        while !closing.is_cancelled() {
            if !self.lone_job_due().await {
                // Such a job has waited for its lease to run out: no need to be told at once of every arrival.
                pause(&self.shop).await;
                continue;
            }
            // Only after the lanes are empty is it claimed: until then a neighbour's end would count against it.
            let Some(alone) = closing.run_until_cancelled(self.empty_lanes()).await else { return };
            match claim(&self.shop, &self.kinds, Company::Alone, 1, &[]).await {
                Ok(mut claims) => {
                    if let Some(claim) = claims.pop() {
                        self.work(claim, alone).await;
                    }
                }
                Err(_) => {
                    drop(alone);
                    pause(&self.shop).await;
                }
            }
        }
    }

    /// Runs a lone job until the next one may run. The lanes stand still meanwhile, but not for ever.
    async fn work(&self, claim: Claim, alone: Vec<Alone>) {
        let context = JobContext::new(Arc::clone(&claim.job));
        let attempt = attempt::run(self.shop.clone(), claim, context.clone(), (), ());
        let attempt = self.shop.running.spawn(attempt);
        let harmless = async {
            tokio::select! {
                ended = attempt => if let Err(lost) = ended {
                    tracing::error!(error = %lost, "a job's task was lost");
                },
                () = context.getting_on() => {}
            }
        };
        tokio::pin!(harmless);
        if tokio::time::timeout(ALONE, &mut harmless).await.is_err() {
            drop(alone);
            harmless.await;
        }
    }

    async fn lone_job_due(&self) -> bool {
        let kinds: Vec<&str> = self.kinds.iter().map(String::as_str).collect();
        self.shop.queue.lone_job_due(&kinds).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for lone jobs");
            false
        })
    }

    /// Shuts the gates, the last lane's first: the urgent ones go on while long jobs come to their end.
    async fn empty_lanes(&self) -> Vec<Alone> {
        let mut shut = Vec::with_capacity(self.gates.len());
        for gate in self.gates.iter().rev() {
            shut.push(Arc::clone(gate).write_owned().await);
        }
        shut
    }
}

async fn claim(
    shop: &Shop,
    kinds: &[String],
    company: Company,
    most: usize,
    passed_over: &[String],
) -> Result<Vec<Claim>> {
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let (name, lease) = (&shop.config.name, shop.config.lease);
    let claimed = shop.queue.claim_several(name, &kinds, company, lease, most, passed_over).await;
    claimed.inspect_err(|error| tracing::warn!(%error, "cannot claim a job"))
}

/// Waits before the queue is asked again, whatever arrives: it did not answer.
async fn pause(shop: &Shop) {
    shop.closing.run_until_cancelled(tokio::time::sleep(shop.config.poll)).await;
}

/// Waits for something to arrive, for a place to be given back that may let a tenant have one more, or for the time to look by
/// itself.
async fn rest(shop: &Shop, arrivals: &mut Arrivals, idle: Option<Idle>, shares: Option<&Shares>) {
    let given_back = async {
        match shares {
            Some(shares) => shares.given_back().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = given_back, if idle != Some(Idle::Unanswered) => {}
        () = arrivals.next(), if idle != Some(Idle::Unanswered) => {}
        () = tokio::time::sleep(shop.config.poll) => {}
    }
}
