//! The contract on SQLite, and what only SQLite promises.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::ManualClock;

fn open(path: &Path) -> SqliteQueue {
    SqliteQueue::open(path, SqliteOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let folder = TempDir::new().unwrap();
    let made = AtomicU32::new(0);
    crate::contract::suite(|clock: Arc<ManualClock>| {
        let path = folder.path().join(format!("{}.db", made.fetch_add(1, Ordering::Relaxed)));
        let options = SqliteOptions { clock, ..SqliteOptions::default() };
        async move { Arc::new(SqliteQueue::open(&path, options).unwrap()) as Arc<dyn Queue> }
    })
    .await;
}

#[tokio::test]
async fn a_reopened_file_has_its_jobs() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("jobs.db");
    let pushed = open(&path).push(NewJob::new("a", "acme", json!(1))).await.unwrap();
    assert_eq!(open(&path).get("acme", pushed.job.id).await.unwrap(), Some(pushed.job));
}

#[tokio::test]
async fn two_queues_on_one_file_share_their_jobs() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("jobs.db");
    let (api, worker) = (open(&path), open(&path));
    let job = api.push(NewJob::new("a", "acme", json!(1))).await.unwrap().job;
    let claim = worker.claim("w", &["a"], Company::Shared, Duration::from_secs(9)).await.unwrap().unwrap();
    worker.complete(&claim.token, json!(2).into()).await.unwrap();
    // No ring crosses over; the waiter finds out by looking.
    let waited = api.wait("acme", job.id, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(waited.result, Some(json!(2).into()));
}

#[tokio::test]
async fn a_file_of_the_first_version_keeps_its_jobs_and_tells_the_ends_of_new_ones() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("jobs.db");
    let old = open(&path).push(NewJob::new("a", "acme", json!(1))).await.unwrap().job;
    let connection = Connection::open(&path).unwrap();
    let first = "DROP INDEX queue_jobs_untold; ALTER TABLE queue_jobs DROP COLUMN telling; UPDATE queue_schema SET version = 1";
    connection.execute_batch(first).unwrap();
    drop(connection);

    let queue = open(&path);
    assert_eq!(queue.get("acme", old.id).await.unwrap(), Some(old));
    let new = queue.push(NewJob::new("a", "acme", json!(2)).tell()).await.unwrap().job;
    queue.cancel("acme", new.id).await.unwrap();
    drop(queue);
    let untold = open(&path).untold(9).await.unwrap();
    assert_eq!(untold.iter().map(|job| job.id).collect::<Vec<_>>(), [new.id]);
}

#[tokio::test]
async fn a_file_from_the_future_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("jobs.db");
    drop(open(&path));
    Connection::open(&path).unwrap().execute("UPDATE queue_schema SET version = 99", []).unwrap();
    assert!(matches!(SqliteQueue::open(&path, SqliteOptions::default()), Err(Error::Storage(_))));
}

#[tokio::test]
async fn a_locked_file_is_unavailable_and_then_available_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("jobs.db");
    let options = SqliteOptions { busy_timeout: Duration::from_millis(1), ..SqliteOptions::default() };
    let queue = SqliteQueue::open(&path, options).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = queue.push(NewJob::new("a", "acme", json!(1))).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    other.execute_batch("COMMIT").unwrap();
    queue.push(NewJob::new("a", "acme", json!(1))).await.unwrap();
    assert_eq!(queue.depth().await.unwrap()[0].jobs, 1);
}

#[tokio::test]
async fn an_operation_that_fails_takes_no_neighbour_with_it() {
    let folder = TempDir::new().unwrap();
    let queue = Arc::new(open(&folder.path().join("jobs.db")));
    let first = NewJob::new("a", "acme", json!(0)).idempotent("key", "digest");
    queue.push(first).await.unwrap();
    // All are sent before any is awaited, so that they share transactions.
    let pushes = (0..100).map(|n| {
        let key = if n % 2 == 0 { "key".to_owned() } else { format!("key {n}") };
        let queue = Arc::clone(&queue);
        tokio::spawn(
            async move { queue.push(NewJob::new("a", "acme", json!(n)).idempotent(key, "other")).await },
        )
    });
    let mut outcomes = Vec::new();
    for push in pushes.collect::<Vec<_>>() {
        outcomes.push(push.await.unwrap().is_ok());
    }
    assert!(outcomes.iter().enumerate().all(|(n, &ok)| ok == (n % 2 == 1)), "{outcomes:?}");
    assert_eq!(queue.depth().await.unwrap()[0].jobs, 51);
}

#[tokio::test]
async fn every_claim_of_a_crowd_is_another_job() {
    let folder = TempDir::new().unwrap();
    let queue = Arc::new(open(&folder.path().join("jobs.db")));
    for n in 0..50 {
        let job = NewJob::new("a", "acme", json!(n)).durability(Durability::Process);
        queue.push(job).await.unwrap();
    }
    let claims = (0..80).map(|_| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            queue.claim("w", &["a"], Company::Shared, Duration::from_secs(9)).await.unwrap()
        })
    });
    let mut claimed = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        claimed.extend(claim.await.unwrap().map(|claim| claim.job.id));
    }
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 50);
}

#[tokio::test]
async fn an_operation_that_fails_half_way_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let queue = Arc::new(open(&folder.path().join("jobs.db")));
    let half = |desk: &mut Desk<'_>| -> Result<()> {
        push::push(desk, &NewJob::new("half", "acme", json!(1)), "1")?;
        Err(Error::closed())
    };
    let arrivals = queue.signals().arrivals(&["half".to_owned()]);
    let whole = queue.push(NewJob::new("whole", "acme", json!(1)));
    let (failed, pushed) = tokio::join!(queue.write(Durability::Process, half), whole);
    assert!(failed.is_err() && pushed.is_ok());
    let kinds: Vec<String> = queue.depth().await.unwrap().into_iter().map(|depth| depth.kind).collect();
    assert_eq!(kinds, ["whole"]);
    let rang = async move { { arrivals }.next().await };
    assert!(tokio::time::timeout(Duration::ZERO, rang).await.is_err(), "nobody hears of what did not happen");
}
