//! What every backend of the queue promises, as tests that run against any of them.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this is a test suite")]

mod fairness;
mod grave;
mod leases;
mod ledger;
mod life;
mod memory;
mod owners;
mod telling;
mod waiting;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;

pub use self::{ledger::ledger_suite, memory::MemoryLedger};
use crate::{Blame, Claim, Company, JobError, JobRecord, ManualClock, NewJob, Queue};

/// The lease that the cases use.
const LEASE: Duration = Duration::from_secs(30);

/// Longer than any backoff of [`crate::Backoff::default`].
const PAST_EVERY_BACKOFF: Duration = Duration::from_secs(600);

/// A fresh queue and the hand on its clock.
struct Bench {
    queue: Arc<dyn Queue>,
    clock: Arc<ManualClock>,
}

/// Runs every case, each on a queue of its own. `make` opens an empty queue on the given clock, with the default
/// backoff.
///
/// # Panics
/// When the backend breaks a promise; the panic's place names it.
pub async fn suite<F, Fut>(make: F)
where
    F: Fn(Arc<ManualClock>) -> Fut,
    Fut: Future<Output = Arc<dyn Queue>>,
{
    macro_rules! run {
        ($($area:ident :: $case:ident),+ $(,)?) => {$(
            let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000)));
            let queue = make(Arc::clone(&clock)).await;
            tracing::debug!(case = stringify!($case), "contract");
            $area::$case(Bench { queue, clock }).await;
        )+};
    }
    run! {
        life::a_job_goes_from_push_to_result,
        life::a_job_that_succeeds_later_keeps_no_error,
        life::pushing_an_id_twice_is_pushing_it_once,
        life::an_id_never_belongs_to_two_requests,
        life::a_repeated_request_finds_its_job,
        life::a_key_with_another_body_is_a_conflict,
        life::tenants_do_not_share_keys,
        life::a_worker_gets_only_its_kinds,
        life::progress_is_seen_and_clamped,
        leases::nobody_claims_a_leased_job,
        leases::a_renewed_lease_holds,
        leases::a_stale_worker_cannot_commit,
        leases::an_expired_lease_nobody_took_still_completes,
        leases::completing_twice_with_one_token_is_one_completion,
        leases::a_settled_job_cannot_be_failed,
        leases::a_released_job_is_not_counted,
        leases::a_job_that_lost_its_worker_is_only_for_a_lone_worker,
        leases::a_lone_job_stays_lone_when_released,
        leases::a_lone_job_that_fails_by_itself_may_join_the_others,
        leases::a_job_that_got_on_is_as_good_as_new,
        grave::a_retry_waits_for_its_backoff,
        grave::a_job_has_a_last_attempt,
        grave::a_permanent_failure_is_not_tried_again,
        grave::a_job_that_kills_its_workers_is_buried,
        grave::a_redriven_job_starts_afresh,
        grave::a_redriven_killer_stays_alone,
        grave::only_the_dead_are_redriven,
        grave::the_grave_is_listed_latest_first,
        fairness::tenants_take_turns,
        fairness::a_tenant_with_one_job_at_a_time_gets_no_more_than_its_share,
        fairness::a_tenant_has_one_turn_for_all_kinds_of_a_worker,
        fairness::a_tenants_oldest_job_comes_first,
        fairness::jobs_in_backoff_hold_up_nobody,
        fairness::tenants_that_are_passed_over_keep_their_turn,
        owners::a_foreign_tenant_sees_and_changes_nothing,
        owners::upkeep_knows_where_every_job_stands,
        owners::a_pending_job_is_cancelled_at_once,
        owners::a_running_job_is_told_of_its_cancellation,
        owners::a_cancelled_job_that_fails_is_cancelled,
        owners::a_cancelled_job_whose_worker_dies_is_cancelled,
        owners::a_job_that_finished_stays_finished,
        owners::jobs_are_listed_newest_first_page_by_page,
        owners::depth_counts_every_status,
        owners::purging_forgets_only_old_finished_jobs,
        waiting::a_waiter_gets_the_finished_job,
        waiting::a_waiter_is_answered_when_its_time_is_up,
        waiting::a_waiter_for_nothing_is_told_so,
        waiting::whoever_watches_hears_a_job_move,
        telling::every_end_that_has_to_be_told_is_untold_until_it_is,
        telling::a_redriven_job_has_another_end_to_tell,
        telling::what_is_untold_is_not_forgotten,
    }
}

impl Bench {
    async fn push(&self, kind: &str, tenant: &str) -> JobRecord {
        self.queue.push(NewJob::new(kind, tenant, json!({ "n": 1 }))).await.unwrap().job
    }

    async fn claim(&self) -> Option<Claim> {
        self.claim_in(Company::Shared).await
    }

    async fn claim_alone(&self) -> Option<Claim> {
        self.claim_in(Company::Alone).await
    }

    async fn claim_in(&self, company: Company) -> Option<Claim> {
        self.queue.claim("worker", &["a", "b"], company, LEASE).await.unwrap()
    }

    async fn get(&self, job: &JobRecord) -> JobRecord {
        self.queue.get(&job.tenant, job.id).await.unwrap().unwrap()
    }

    /// Lets a claimed job's lease run out.
    fn lose_worker(&self) {
        self.clock.advance(LEASE);
    }
}

fn transient() -> JobError {
    JobError::transient(Blame::Dependency, "timeout", "the image host did not answer")
}

fn permanent() -> JobError {
    JobError::permanent(Blame::Client, "bad_image", "not an image")
}
