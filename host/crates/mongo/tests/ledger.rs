//! The ledger of jobs on a real server: its contract, and what becomes of it when the server fails.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use jiff::Timestamp;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use taja_mongo::{Mongo, MongoLedger, MongoOptions};
use taja_queue::{Ending, Error, JobFilter, JobRecord, Ledger, NewJob, Pushed, Status};
use taja_testkit::MongoServer;

async fn connect(server: &MongoServer, database: &str) -> Mongo {
    Mongo::connect(&MongoOptions::new(server.uri(), database)).await.unwrap()
}

fn new(payload: Value) -> NewJob {
    NewJob::new("a", "acme", payload)
}

fn completed(job: &JobRecord, result: Value) -> JobRecord {
    let now = job.created_at;
    JobRecord {
        status: Status::Completed,
        result: Some(result.into()),
        finished_at: Some(now),
        updated_at: now,
        ..job.clone()
    }
}

async fn enter(ledger: &MongoLedger, jobs: &[NewJob]) -> Vec<JobRecord> {
    let entered = ledger.enter(jobs, Timestamp::now()).await;
    entered
        .into_iter()
        .map(Result::unwrap)
        .map(|Pushed { job, existing }| {
            assert!(!existing);
            job
        })
        .collect()
}

async fn close(ledger: &MongoLedger, job: JobRecord, token: Option<i64>) -> Result<bool, Error> {
    ledger.close(&[Ending { job, token }]).await.remove(0)
}

/// Makes the server fail the next of these commands.
async fn fail_next(server: &MongoServer, command: &str, how: Document) {
    let mut data = doc! { "failCommands": [command] };
    data.extend(how);
    let point = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    server.admin(point).await.unwrap();
}

/// How many of these commands the server has run.
async fn commands(server: &MongoServer, command: &str) -> i64 {
    let status = server.admin(doc! { "serverStatus": 1 }).await.unwrap();
    let metrics = status.get_document("metrics").unwrap().get_document("commands").unwrap();
    metrics.get_document(command).unwrap().get_i64("total").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract() {
    let server = MongoServer::start().await.unwrap();
    let (server, cases) = (&server, &AtomicU32::new(0));
    taja_queue::contract::ledger_suite(move || async move {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        let mongo = connect(server, &format!("case{case}")).await;
        Arc::new(MongoLedger::open(&mongo).await.unwrap()) as Arc<dyn Ledger>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_every_unknown_outcome_is_found_out() {
    let mut server = MongoServer::start().await.unwrap();
    let mongo = connect(&server, "taja").await;
    let opened = futures::future::join_all((0..8).map(|_| MongoLedger::open(&mongo)))
        .await
        .into_iter()
        .collect::<Vec<_>>();
    assert!(opened.iter().all(Result::is_ok), "processes that start together: {opened:?}");
    let ledger = MongoLedger::open(&mongo).await.unwrap();

    many_are_entered_and_closed_in_one_round_trip_each(&server, &ledger).await;
    long_results_come_back_and_endless_ones_are_refused(&ledger).await;
    a_lost_connection_is_no_double_entry(&server, &ledger).await;
    a_lost_reply_is_no_lost_ending(&server, &ledger).await;
    what_breaks_the_rules_is_refused_alone(&mongo, &ledger).await;
    a_failover_is_waited_for(&server, &ledger).await;
    a_server_that_is_gone_is_unavailable_and_comes_back_with_everything(&mut server, &ledger).await;
}

async fn many_are_entered_and_closed_in_one_round_trip_each(server: &MongoServer, ledger: &MongoLedger) {
    let jobs: Vec<_> = (0..500).map(|n| new(json!(n))).collect();
    let (inserts, updates) = (commands(server, "insert").await, commands(server, "update").await);
    let entered = enter(ledger, &jobs).await;
    let endings: Vec<_> = (1..)
        .zip(&entered)
        .map(|(token, job)| Ending { job: completed(job, json!("done")), token: Some(token) })
        .collect();
    assert!(ledger.close(&endings).await.into_iter().all(Result::unwrap));
    assert_eq!(commands(server, "insert").await - inserts, 1);
    assert_eq!(commands(server, "update").await - updates, 1);
    let other = Ending { token: Some(0), ..endings[7].clone() };
    let again: Vec<_> =
        ledger.close(&[&endings[..3], &[other]].concat()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(again, [true, true, true, false]);
}

async fn long_results_come_back_and_endless_ones_are_refused(ledger: &MongoLedger) {
    let hits: Vec<_> =
        (1..20_000).map(|n| json!({ "id": format!("product-{n}"), "score": 1.0 / f64::from(n) })).collect();
    let long = json!({ "hits": hits });
    let job = enter(ledger, &[new(long.clone())]).await.remove(0);
    let done = completed(&job, long);
    let short = enter(ledger, &[new(json!(1))]).await.remove(0);
    let endless = enter(ledger, &[new(json!(1))]).await.remove(0);
    // Nothing that compresses.
    let mut state = 1_u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    })
    .take(1_200_000)
    .collect();
    let endings = [
        Ending { job: completed(&endless, json!(noise)), token: Some(1) },
        Ending { job: done.clone(), token: Some(2) },
        Ending { job: completed(&short, json!(1)), token: Some(3) },
    ];
    let mut closed = ledger.close(&endings).await;
    assert!(closed.remove(1).unwrap() && closed.remove(1).unwrap());
    let refused = closed.remove(0).unwrap_err();
    assert!(!refused.is_retryable(), "{refused:?}");
    assert_eq!(ledger.get("acme", job.id).await.unwrap(), Some(done.clone()));
    assert_eq!(ledger.list("acme", &JobFilter { limit: 3, ..JobFilter::default() }).await.unwrap()[2], done);
    assert_eq!(ledger.get("acme", endless.id).await.unwrap().unwrap().status, Status::Pending);
}

async fn a_lost_connection_is_no_double_entry(server: &MongoServer, ledger: &MongoLedger) {
    fail_next(server, "insert", doc! { "closeConnection": true }).await;
    let job = new(json!("lost on the way"));
    enter(ledger, std::slice::from_ref(&job)).await;
    // Written, but nobody says so.
    fail_next(
        server,
        "insert",
        doc! { "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } },
    )
    .await;
    let other = new(json!("lost on the way back"));
    let unknown = ledger.enter(std::slice::from_ref(&other), Timestamp::now()).await.remove(0);
    assert!(matches!(unknown, Err(Error::Unavailable(_))), "{unknown:?}");
    for job in [job, other] {
        let again = ledger.enter(std::slice::from_ref(&job), Timestamp::now()).await.remove(0).unwrap();
        assert!(again.existing && again.job.id == job.id);
    }
}

async fn a_lost_reply_is_no_lost_ending(server: &MongoServer, ledger: &MongoLedger) {
    let lost = [
        doc! { "closeConnection": true },
        doc! { "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } },
    ];
    for how in lost {
        for token in [None, Some(7)] {
            let job = enter(ledger, &[new(json!(1))]).await.remove(0);
            fail_next(server, "update", how.clone()).await;
            let done = completed(&job, json!("mine"));
            assert!(close(ledger, done.clone(), token).await.unwrap(), "{how} {token:?}");
            assert_eq!(ledger.get("acme", job.id).await.unwrap(), Some(done));
            let late = completed(&job, json!("late"));
            assert!(!close(ledger, late, Some(8)).await.unwrap(), "{how} {token:?}");
        }
    }
}

async fn what_breaks_the_rules_is_refused_alone(mongo: &Mongo, ledger: &MongoLedger) {
    let jobs = enter(ledger, &[new(json!(1)), new(json!(2))]).await;
    let broken = JobRecord { progress: 101, ..completed(&jobs[0], json!(1)) };
    let endings = [
        Ending { job: broken, token: Some(1) },
        Ending { job: completed(&jobs[1], json!(2)), token: Some(2) },
    ];
    let mut closed = ledger.close(&endings).await;
    assert!(matches!(closed.remove(0), Err(Error::Storage(_))));
    assert!(closed.remove(0).unwrap());
    assert_eq!(ledger.get("acme", jobs[0].id).await.unwrap().as_ref(), Some(&jobs[0]));
    MongoLedger::open(mongo).await.expect("opening it over stored jobs changes nothing");
    assert_eq!(ledger.get("acme", jobs[1].id).await.unwrap().unwrap().status, Status::Completed);
}

async fn a_failover_is_waited_for(server: &MongoServer, ledger: &MongoLedger) {
    let jobs = enter(ledger, &[new(json!(1)), new(json!(2))]).await;
    server.step_down(1).await.unwrap();
    assert!(close(ledger, completed(&jobs[0], json!(1)), None).await.unwrap());
    server.step_down(1).await.unwrap();
    let entered = enter(ledger, &[new(json!(3))]).await;
    assert!(close(ledger, completed(&entered[0], json!(1)), Some(1)).await.unwrap());
}

async fn a_server_that_is_gone_is_unavailable_and_comes_back_with_everything(
    server: &mut MongoServer,
    ledger: &MongoLedger,
) {
    let jobs = enter(ledger, &[new(json!(1)), new(json!(2)), new(json!(3))]).await;
    let done = completed(&jobs[0], json!("done"));
    assert!(close(ledger, done.clone(), Some(1)).await.unwrap());
    server.freeze().unwrap();
    let frozen = close(ledger, completed(&jobs[1], json!(2)), Some(2)).await;
    assert!(matches!(frozen, Err(Error::Unavailable(_))), "{frozen:?}");
    server.thaw().unwrap();
    server.kill();
    let (closed, entered) = tokio::join!(close(ledger, completed(&jobs[2], json!(3)), Some(3)), async {
        ledger.enter(&[new(json!(4))], Timestamp::now()).await.remove(0)
    });
    assert!(matches!(closed, Err(Error::Unavailable(_))), "{closed:?}");
    assert!(matches!(entered, Err(Error::Unavailable(_))), "{entered:?}");
    server.restart().await.unwrap();
    assert_eq!(ledger.get("acme", jobs[0].id).await.unwrap(), Some(done));
    // Whatever became of the unanswered ones, the same ending is theirs.
    for (job, token) in [(&jobs[1], 2), (&jobs[2], 3)] {
        assert!(close(ledger, completed(job, json!(token)), Some(token)).await.unwrap());
    }
}
