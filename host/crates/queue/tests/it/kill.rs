//! Workers that die without a word: another process, and SIGKILL or abort.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use taja_queue::{
    Company, Durability, Handlers, JobContext, JobError, JobId, ManualClock, NewJob, Queue, SqliteOptions,
    SqliteQueue, Status,
};
use tempfile::TempDir;

use crate::stage::{Stage, assert_ended, lane};

/// Names the part that the second process plays.
const PART: &str = "TAJA_QUEUE_TEST_PART";
/// Names its queue's file.
const FILE: &str = "TAJA_QUEUE_TEST_FILE";

/// Not a test of its own: what the tests below run in a process they can kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other tests in a second process"]
async fn second_process() {
    let (Ok(part), Ok(file)) = (std::env::var(PART), std::env::var(FILE)) else { return };
    let queue = Arc::new(open(Path::new(&file)));
    match part.as_str() {
        "claim" => claim_and_freeze(&queue).await,
        "push" => push_for_ever(&queue).await,
        "work" => work_until_empty(queue).await,
        other => panic!("no part `{other}`"),
    }
}

fn open(file: &Path) -> SqliteQueue {
    SqliteQueue::open(file, SqliteOptions::default()).unwrap()
}

async fn claim_and_freeze(queue: &SqliteQueue) {
    let claim = queue.claim("child", &["a"], Company::Shared, Duration::from_secs(30)).await.unwrap();
    say(claim.unwrap().job.id);
    std::future::pending::<()>().await;
}

async fn push_for_ever(queue: &SqliteQueue) {
    for n in 0_u64.. {
        let durability = if n % 4 == 0 { Durability::Disk } else { Durability::Process };
        let job = NewJob::new("a", "acme", json!(n)).durability(durability);
        say(queue.push(job).await.unwrap().job.id);
    }
}

async fn poison(_: JobContext) -> Result<Value, JobError> {
    std::process::abort()
}

async fn work_until_empty(queue: Arc<SqliteQueue>) {
    let handlers = Handlers::new().on("poison", poison).on("innocent", |_| async { Ok(Value::Null) });
    let config =
        taja_queue::WorkerConfig { lease: Duration::from_millis(300), ..lane(["poison", "innocent"], 4) };
    let shutdown = tokio_util::sync::CancellationToken::new();
    let worker = taja_queue::Worker::new(Arc::clone(&queue) as _, handlers, config).unwrap();
    let running = tokio::spawn(worker.run(shutdown.clone()));
    while queue.depth().await.unwrap().iter().any(|depth| !depth.status.is_terminal()) {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap();
}

/// Tells the first process, past the test harness's own words.
#[expect(clippy::print_stdout, reason = "it is read by the process that started this one")]
fn say(id: JobId) {
    println!("\nsaid {id}");
}

fn start(part: &str, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kill::second_process", "--exact", "--ignored", "--nocapture"])
        .env(PART, part)
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads what the second process says until it has said `count` ids, then kills it; answers everything it said.
fn hear_then_kill(mut child: Child, count: usize) -> Vec<JobId> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut ids = Vec::new();
    for line in lines {
        ids.extend(line.strip_prefix("said ").and_then(|id| id.parse::<JobId>().ok()));
        if ids.len() == count {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    ids
}

#[tokio::test]
async fn a_job_whose_worker_is_killed_runs_again_and_completes_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jobs.db");
    let job = open(&file).push(NewJob::new("a", "acme", json!(1))).await.unwrap().job;
    assert_eq!(hear_then_kill(start("claim", &file), 1), [job.id]);

    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    let options = SqliteOptions { clock: Arc::clone(&clock) as _, ..SqliteOptions::default() };
    let queue = SqliteQueue::open(&file, options).unwrap();
    let claim = async |company| queue.claim("next", &["a"], company, Duration::from_secs(30)).await.unwrap();
    assert!(claim(Company::Alone).await.is_none(), "the dead worker's lease still holds");
    clock.advance(Duration::from_secs(31));
    assert!(claim(Company::Shared).await.is_none());
    let again = claim(Company::Alone).await.unwrap();
    queue.complete(&again.token, json!("done").into()).await.unwrap();
    assert!(claim(Company::Alone).await.is_none());
    let done = queue.get("acme", job.id).await.unwrap().unwrap();
    assert_ended(&done, Status::Completed, 2);
}

#[tokio::test]
async fn an_acknowledged_push_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jobs.db");
    let acknowledged = hear_then_kill(start("push", &file), 200);
    assert!(acknowledged.len() >= 200);
    let queue = open(&file);
    for id in &acknowledged {
        assert!(queue.get("acme", *id).await.unwrap().is_some(), "{id} is lost");
    }
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_buried_and_takes_nobody_along() {
    let stage = Stage::new();
    let poison = stage.push("poison").await;
    let mut innocents = Vec::new();
    for n in 0..40 {
        // More attempts than starts, or fewer: nobody innocent may need a third.
        let job = NewJob::new("innocent", "acme", json!(n)).max_attempts(2).durability(Durability::Process);
        innocents.push(stage.push_job(job).await);
    }
    let file = stage.folder.path().join("jobs.db");
    let mut deaths = 0;
    while !start("work", &file).wait_with_output().unwrap().status.success() {
        deaths += 1;
        assert!(deaths <= 3, "the poison was let near a worker more often than it may start");
    }
    assert_eq!(deaths, 3);
    let dead = stage.get(&poison).await;
    assert_ended(&dead, Status::Failed, 3);
    assert_eq!(dead.error.unwrap().code, JobError::WORKER_LOST);
    for innocent in &innocents {
        assert_eq!(stage.get(innocent).await.status, Status::Completed);
    }
}
