//! What every ledger promises.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{permanent, transient};
use crate::{
    Depth, Ending, Error, JobError, JobFilter, JobId, JobRecord, Ledger, NewJob, OpenJob, Pushed, Result,
    Status,
};

/// Runs every case, each on a ledger of its own. `make` opens an empty one.
///
/// # Panics
/// When the ledger breaks a promise; the panic's place names it.
pub async fn ledger_suite<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Ledger>>,
{
    macro_rules! run {
        ($($case:ident),+ $(,)?) => {$(
            tracing::debug!(case = stringify!($case), "contract");
            $case(Book(make().await)).await;
        )+};
    }
    run! {
        what_is_entered_is_open,
        a_request_is_entered_once,
        a_key_or_an_id_with_another_request_is_a_conflict,
        one_call_answers_each_of_its_jobs,
        what_is_withdrawn_was_never_there,
        the_first_close_wins,
        closing_again_with_the_same_token_changes_nothing,
        what_is_not_there_cannot_be_closed,
        a_note_is_kept_while_the_job_is_open,
        only_the_dead_are_reopened,
        what_killed_its_workers_is_reopened_alone,
        tenants_see_their_own_jobs_only,
        jobs_are_listed_newest_first_page_by_page,
        the_grave_is_listed_latest_first,
        depth_counts_open_jobs_as_pending,
        purging_forgets_only_old_finished_jobs,
        an_end_is_told_once_and_again_after_a_reopening,
        open_jobs_are_paged_in_the_order_of_their_ids,
    }
}

struct Book(Arc<dyn Ledger>);

/// The moment so many seconds after the suite's beginning; with microseconds, which every ledger keeps.
fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::new(1_000_000 + seconds, 123_456_000)
}

fn new(kind: &str, tenant: &str) -> NewJob {
    NewJob::new(kind, tenant, json!({ "n": 1 }))
}

/// A job at its end.
fn ended(job: &JobRecord, status: Status, finished_at: Timestamp) -> JobRecord {
    JobRecord { status, finished_at: Some(finished_at), updated_at: finished_at, ..job.clone() }
}

fn dead(job: &JobRecord, error: JobError, finished_at: Timestamp) -> JobRecord {
    JobRecord { error: Some(error), attempts: 3, ..ended(job, Status::Failed, finished_at) }
}

impl Book {
    async fn try_enter(&self, job: &NewJob) -> Result<Pushed> {
        self.0.enter(std::slice::from_ref(job), at(0)).await.remove(0)
    }

    async fn enter(&self, job: &NewJob) -> JobRecord {
        let pushed = self.try_enter(job).await.unwrap();
        assert!(!pushed.existing);
        pushed.job
    }

    async fn enter_new(&self, kind: &str, tenant: &str) -> JobRecord {
        self.enter(&new(kind, tenant)).await
    }

    async fn close(&self, job: JobRecord, token: Option<i64>) -> bool {
        self.0.close(&[Ending { job, token }]).await.remove(0).unwrap()
    }

    async fn get(&self, job: &JobRecord) -> Option<JobRecord> {
        self.0.get(&job.tenant, job.id).await.unwrap()
    }

    async fn open(&self) -> Vec<OpenJob> {
        self.0.open_jobs(None, 100).await.unwrap()
    }

    async fn list(&self, tenant: &str, filter: JobFilter) -> Vec<JobId> {
        self.0.list(tenant, &filter).await.unwrap().into_iter().map(|job| job.id).collect()
    }
}

async fn what_is_entered_is_open(book: Book) {
    // Words that a store may read as its own, numbers it may round, and characters it may refuse.
    let payload = json!({
        "a.b": "red\u{0}shoe \u{1f45f}", "$set": { "": [1.5, null, true, u64::MAX, i64::MIN, 0.1, 1e300] },
        "_id": "x",
    });
    let pushed = NewJob::new("a", "acme", payload.clone()).max_attempts(0);
    let job = book.enter(&pushed).await;
    let expected = JobRecord {
        id: pushed.id,
        kind: "a".into(),
        tenant: "acme".into(),
        status: Status::Pending,
        attempts: 0,
        max_attempts: 1,
        progress: -1,
        message: String::new(),
        payload,
        result: None,
        error: None,
        cancel_asked: false,
        tell: false,
        created_at: at(0),
        started_at: None,
        finished_at: None,
        updated_at: at(0),
    };
    assert_eq!(job, expected);
    assert_eq!(book.get(&job).await, Some(expected));
    assert_eq!(book.open().await, [OpenJob { job, due_at: at(0), lone: false }]);
}

async fn a_request_is_entered_once(book: Book) {
    let plain = new("a", "acme");
    let first = book.enter(&plain).await;
    let again = book.try_enter(&plain).await.unwrap();
    assert_eq!(again, Pushed { job: first, existing: true });

    let request = |tenant| new("a", tenant).idempotent("key", "digest");
    let first = book.enter(&request("acme")).await;
    book.close(ended(&first, Status::Completed, at(1)), Some(7)).await;
    let again = book.try_enter(&request("acme")).await.unwrap();
    assert_eq!(again, Pushed { job: ended(&first, Status::Completed, at(1)), existing: true });
    assert_ne!(book.enter(&request("other")).await.id, first.id, "tenants share no keys");
}

async fn a_key_or_an_id_with_another_request_is_a_conflict(book: Book) {
    let plain = new("a", "acme");
    book.enter(&plain).await;
    for other in [
        NewJob { kind: "b".into(), ..plain.clone() },
        NewJob { tenant: "evil".into(), ..plain.clone() },
        NewJob { payload: json!(2), ..plain.clone() },
        plain.clone().idempotent("key", "digest"),
    ] {
        let refused = book.try_enter(&other).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    }
    book.enter(&new("a", "acme").idempotent("key", "digest")).await;
    for other in
        [new("a", "acme").idempotent("key", "other digest"), new("b", "acme").idempotent("key", "digest")]
    {
        let refused = book.try_enter(&other).await;
        assert!(matches!(&refused, Err(Error::Conflict { key }) if key == "key"), "{refused:?}");
    }
    assert_eq!(book.open().await.len(), 2);
}

async fn one_call_answers_each_of_its_jobs(book: Book) {
    let request = |digest: &str| new("a", "acme").idempotent("key", digest);
    let jobs = [new("a", "acme"), request("digest"), request("digest"), request("other"), new("b", "other")];
    let answers = book.0.enter(&jobs, at(0)).await;
    let answered: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().ok().map(|p| (p.job.id, p.existing))).collect();
    let [plain, first, _, _, other] = jobs.each_ref().map(|job| job.id);
    let expected =
        [Some((plain, false)), Some((first, false)), Some((first, true)), None, Some((other, false))];
    assert_eq!(answered, expected);
    assert!(matches!(&answers[3], Err(Error::Conflict { key }) if key == "key"));

    let end = |answer: &Result<Pushed>, token| Ending {
        job: ended(&answer.as_ref().unwrap().job, Status::Completed, at(1)),
        token: Some(token),
    };
    let endings = [end(&answers[0], 1), end(&answers[1], 1), end(&answers[0], 2)];
    let closed: Vec<bool> = book.0.close(&endings).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(closed, [true, true, false]);
    assert!(book.0.enter(&[], at(0)).await.is_empty() && book.0.close(&[]).await.is_empty());
}

async fn what_is_withdrawn_was_never_there(book: Book) {
    let request = new("a", "acme").idempotent("key", "digest");
    let withdrawn = book.enter(&request).await;
    let done = book.enter_new("a", "acme").await;
    book.close(ended(&done, Status::Completed, at(1)), Some(1)).await;
    let kept = book.enter_new("a", "acme").await;
    book.0.withdraw(&[withdrawn.id, done.id, JobId::new()]).await.unwrap();
    assert_eq!(book.get(&withdrawn).await, None);
    assert_eq!(book.get(&done).await.unwrap().status, Status::Completed);
    assert_eq!(book.get(&kept).await, Some(kept));
    book.enter(&NewJob { id: JobId::new(), ..request }).await;
}

async fn the_first_close_wins(book: Book) {
    let job = book.enter_new("a", "acme").await;
    let result = json!({ "$hits": [1.5, null], "a.b": "\u{0}" });
    let done = JobRecord {
        result: Some(result.into()),
        progress: 100,
        attempts: 2,
        message: "embedding".into(),
        cancel_asked: true,
        started_at: Some(at(1)),
        ..ended(&job, Status::Completed, at(2))
    };
    assert!(book.close(done.clone(), Some(i64::MAX)).await);
    assert!(!book.close(dead(&job, permanent(), at(3)), Some(8)).await);
    assert!(!book.close(ended(&job, Status::Cancelled, at(3)), None).await);
    assert_eq!(book.get(&job).await, Some(done));
    assert_eq!(book.open().await, []);

    let job = book.enter_new("a", "acme").await;
    assert!(book.close(ended(&job, Status::Cancelled, at(2)), None).await);
    assert!(!book.close(ended(&job, Status::Completed, at(3)), Some(9)).await);
    assert_eq!(book.get(&job).await.unwrap().status, Status::Cancelled);
}

async fn closing_again_with_the_same_token_changes_nothing(book: Book) {
    let job = book.enter_new("a", "acme").await;
    // No result and the result null are two things.
    let first = JobRecord { result: Some(Value::Null.into()), ..ended(&job, Status::Completed, at(1)) };
    let second = JobRecord { result: Some(json!("second").into()), ..ended(&job, Status::Completed, at(2)) };
    assert!(book.close(first.clone(), Some(7)).await);
    assert!(book.close(second, Some(7)).await);
    assert_eq!(book.get(&job).await, Some(first));
}

async fn what_is_not_there_cannot_be_closed(book: Book) {
    let job = book.enter_new("a", "acme").await;
    book.0.withdraw(&[job.id]).await.unwrap();
    assert!(!book.close(ended(&job, Status::Completed, at(1)), Some(7)).await);
    assert_eq!(book.get(&job).await, None);
}

async fn a_note_is_kept_while_the_job_is_open(book: Book) {
    let job = book.enter_new("a", "acme").await;
    let failed = JobRecord {
        attempts: 1,
        error: Some(transient()),
        started_at: Some(at(1)),
        updated_at: at(2),
        ..job.clone()
    };
    let noted = OpenJob { job: failed.clone(), due_at: at(60), lone: true };
    book.0.note(&noted).await.unwrap();
    assert_eq!(book.get(&job).await, Some(failed));
    assert_eq!(book.open().await, std::slice::from_ref(&noted));

    book.close(ended(&job, Status::Completed, at(3)), Some(7)).await;
    book.0.note(&noted).await.unwrap();
    assert_eq!(book.get(&job).await.unwrap().status, Status::Completed);
    assert_eq!(book.open().await, []);
}

async fn only_the_dead_are_reopened(book: Book) {
    let job = book.enter_new("a", "acme").await;
    let refused = book.0.reopen("acme", job.id, at(9)).await;
    assert!(matches!(refused, Err(Error::NotDead { status: Status::Pending, id }) if id == job.id));
    book.close(dead(&job, permanent(), at(1)), Some(7)).await;
    assert_eq!(book.0.reopen("evil", job.id, at(9)).await.unwrap(), None);
    assert_eq!(book.0.reopen("acme", JobId::new(), at(9)).await.unwrap(), None);

    let open = book.0.reopen("acme", job.id, at(9)).await.unwrap().unwrap();
    let back = &open.job;
    assert_eq!((back.status, back.attempts, back.finished_at), (Status::Pending, 0, None));
    assert_eq!((back.updated_at, open.due_at, open.lone), (at(9), at(9), false));
    assert_eq!(book.get(&job).await.as_ref(), Some(back));
    assert_eq!(book.open().await, [open]);
    assert!(book.0.dead(None, 9).await.unwrap().is_empty());

    // The token of its former life closes nothing again.
    assert!(book.close(ended(&job, Status::Completed, at(10)), Some(8)).await);
    assert!(!book.close(ended(&job, Status::Completed, at(11)), Some(7)).await);
    let refused = book.0.reopen("acme", job.id, at(12)).await;
    assert!(matches!(refused, Err(Error::NotDead { status: Status::Completed, .. })));
}

async fn what_killed_its_workers_is_reopened_alone(book: Book) {
    let job = book.enter_new("a", "acme").await;
    book.close(dead(&job, JobError::worker_lost(3), at(1)), None).await;
    let open = book.0.reopen("acme", job.id, at(2)).await.unwrap().unwrap();
    assert!(open.lone);
    assert_eq!(book.open().await, [open]);
}

async fn tenants_see_their_own_jobs_only(book: Book) {
    let job = book.enter_new("a", "acme").await;
    let foreign = book.enter_new("a", "evil").await;
    assert_eq!(book.0.get("evil", job.id).await.unwrap(), None);
    assert_eq!(book.list("evil", JobFilter::default()).await, [foreign.id]);
    assert_eq!(book.list("nobody", JobFilter::default()).await, []);
    book.close(dead(&job, permanent(), at(1)), Some(1)).await;
    assert_eq!(book.0.dead(Some("evil"), 9).await.unwrap(), []);
}

async fn jobs_are_listed_newest_first_page_by_page(book: Book) {
    let mut ids = Vec::new();
    for kind in ["a", "b", "a", "b", "a"] {
        ids.insert(0, book.enter_new(kind, "acme").await.id);
    }
    book.enter_new("a", "other").await;
    let done = book.0.get("acme", ids[0]).await.unwrap().unwrap();
    book.close(ended(&done, Status::Completed, at(1)), Some(1)).await;

    let first = book.list("acme", JobFilter { limit: 3, ..JobFilter::default() }).await;
    let before = first.last().copied();
    let rest = book.list("acme", JobFilter { before, limit: 3, ..JobFilter::default() }).await;
    assert_eq!([first, rest].concat(), ids);
    let kind = Some("b".to_owned());
    assert_eq!(book.list("acme", JobFilter { kind, ..JobFilter::default() }).await, [ids[1], ids[3]]);
    for (status, expected) in [
        (Status::Completed, &ids[..1]),
        (Status::Pending, &ids[1..]),
        (Status::Processing, &ids[1..]),
        (Status::Failed, &[]),
    ] {
        let filter = JobFilter { status: Some(status), ..JobFilter::default() };
        assert_eq!(book.list("acme", filter).await, expected, "{status}");
    }
}

async fn the_grave_is_listed_latest_first(book: Book) {
    let mut ids = Vec::new();
    for (tenant, died) in [("acme", 5), ("other", 7), ("acme", 6)] {
        let job = book.enter_new("a", tenant).await;
        book.close(dead(&job, permanent(), at(died)), Some(1)).await;
        ids.push(job.id);
    }
    let cancelled = book.enter_new("a", "acme").await;
    book.close(ended(&cancelled, Status::Cancelled, at(8)), None).await;
    let dead = async |tenant, limit| {
        let jobs = book.0.dead(tenant, limit).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(dead(None, 10).await, [ids[1], ids[2], ids[0]]);
    assert_eq!(dead(None, 1).await, [ids[1]]);
    assert_eq!(dead(Some("acme"), 10).await, [ids[2], ids[0]]);
}

async fn depth_counts_open_jobs_as_pending(book: Book) {
    let (done, died) = (book.enter_new("a", "acme").await, book.enter_new("a", "other").await);
    let cancelled = book.enter_new("b", "acme").await;
    for kind in ["a", "b", "b"] {
        book.enter_new(kind, "acme").await;
    }
    book.close(ended(&done, Status::Completed, at(1)), Some(1)).await;
    book.close(dead(&died, permanent(), at(1)), Some(1)).await;
    book.close(ended(&cancelled, Status::Cancelled, at(1)), None).await;
    let mut depth = book.0.depth().await.unwrap();
    depth.sort_by(|x, y| (&x.kind, x.status).cmp(&(&y.kind, y.status)));
    let expected = [
        ("a", Status::Pending, 1),
        ("a", Status::Completed, 1),
        ("a", Status::Failed, 1),
        ("b", Status::Pending, 2),
        ("b", Status::Cancelled, 1),
    ];
    assert_eq!(depth, expected.map(|(kind, status, jobs)| Depth { kind: kind.into(), status, jobs }));
}

async fn purging_forgets_only_old_finished_jobs(book: Book) {
    let request = new("a", "acme").idempotent("key", "digest");
    let old = book.enter(&request).await;
    let (fresh, died) = (book.enter_new("a", "acme").await, book.enter_new("a", "acme").await);
    let waiting = book.enter_new("a", "acme").await;
    book.close(ended(&old, Status::Completed, at(1)), Some(1)).await;
    book.close(ended(&fresh, Status::Completed, at(2)), Some(1)).await;
    book.close(dead(&died, permanent(), at(1)), Some(1)).await;
    let every_but_failed = [Status::Completed, Status::Cancelled, Status::Pending, Status::Processing];
    assert_eq!(book.0.purge(&every_but_failed, at(2)).await.unwrap(), 1);
    assert_eq!(book.get(&old).await, None);
    for kept in [&fresh, &died, &waiting] {
        assert!(book.get(kept).await.is_some());
    }
    assert_eq!(book.0.purge(&[Status::Failed], at(2)).await.unwrap(), 1);
    assert_eq!(book.get(&died).await, None);
    // Its key is free again.
    book.enter(&NewJob { id: JobId::new(), ..request }).await;
}

async fn an_end_is_told_once_and_again_after_a_reopening(book: Book) {
    let untold = async || {
        let untold = book.0.untold(100).await.unwrap();
        untold.into_iter().map(|job| (job.id, job.finished_at)).collect::<Vec<_>>()
    };
    let silent = book.enter_new("a", "acme").await;
    book.close(ended(&silent, Status::Completed, at(1)), Some(1)).await;
    let job = book.enter(&new("a", "acme").tell()).await;
    assert!(untold().await.is_empty());
    let died = dead(&job, permanent(), at(2));
    book.close(died.clone(), Some(1)).await;
    assert_eq!(untold().await, [(job.id, Some(at(2)))]);
    assert_eq!(book.0.purge(&[Status::Failed], at(9)).await.unwrap(), 0);
    book.0.told(&died).await.unwrap();
    assert!(untold().await.is_empty());

    let open = book.0.reopen("acme", job.id, at(3)).await.unwrap().unwrap();
    book.close(ended(&open.job, Status::Cancelled, at(4)), None).await;
    book.0.told(&died).await.unwrap();
    assert_eq!(untold().await, [(job.id, Some(at(4)))]);
    assert!(book.0.untold(0).await.unwrap().is_empty());
}

async fn open_jobs_are_paged_in_the_order_of_their_ids(book: Book) {
    let jobs: Vec<NewJob> = ["acme", "other", "acme", "other", "acme"].map(|tenant| new("a", tenant)).into();
    // Entered the other way round.
    for job in jobs.iter().rev() {
        book.enter(job).await;
    }
    let done = book.0.get("acme", jobs[2].id).await.unwrap().unwrap();
    book.close(ended(&done, Status::Completed, at(1)), Some(1)).await;
    let page = async |after, limit| {
        let page = book.0.open_jobs(after, limit).await.unwrap();
        page.into_iter().map(|open| open.job.id).collect::<Vec<_>>()
    };
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(page(None, 2).await, [ids[0], ids[1]]);
    assert_eq!(page(Some(ids[1]), 2).await, [ids[3], ids[4]]);
    assert_eq!(page(Some(ids[4]), 2).await, []);
}
