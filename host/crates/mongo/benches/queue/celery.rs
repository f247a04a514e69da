//! Celery with Redis as broker and store of results, from `.tools/celery` (`just setup celery`).

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{CONCURRENCY, ROUNDS, Row, cores::Cores};

const JOBS: usize = 2000;
const PICKUPS: usize = 200;
/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(5);
const ROUND_WITHIN: Duration = Duration::from_secs(120);

/// A way to run its worker.
pub struct Celery {
    pool: &'static str,
    concurrency: usize,
    /// Tasks it takes ahead, for each that it runs.
    prefetch: usize,
}

impl Celery {
    /// Its pools, each as careful as our worker (one task ahead), and the ones that gain by it with more.
    pub fn all() -> Vec<Self> {
        let with = |pool, concurrency, prefetch| Self { pool, concurrency, prefetch };
        vec![
            with("prefork", CONCURRENCY, 1),
            with("threads", CONCURRENCY, 1),
            with("solo", 1, 1),
            with("prefork", CONCURRENCY, 8),
            with("threads", CONCURRENCY, 8),
        ]
    }

    pub fn name(&self) -> String {
        format!("Celery, {} x {}, prefetch {}", self.pool, self.concurrency, self.prefetch)
    }

    pub async fn run(&self, redis: &str, cores: &Cores) -> Result<Row> {
        let mut row = Row { name: self.name(), rates: Vec::new(), pickups: Vec::new() };
        for _ in 0..ROUNDS {
            self.send(redis, "fill", JOBS)?;
            let worker = self.start(redis, cores)?;
            row.rates.push(drained(redis).await?);
            drop(worker);
        }
        let worker = self.start(redis, cores)?;
        let waited = self.send(redis, "pickup", PICKUPS)?;
        drop(worker);
        for line in String::from_utf8_lossy(&waited.stdout).lines() {
            row.pickups.push(Duration::from_nanos(line.parse().context("a time")?));
        }
        Ok(row)
    }

    fn start(&self, redis: &str, cores: &Cores) -> Result<Worker> {
        let concurrency = self.concurrency.to_string();
        let mut command = self.python(redis)?;
        command.args(["-m", "celery", "-A", "tasks", "worker", "--loglevel", "ERROR"]);
        command.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]);
        command.args(["--pool", self.pool, "--concurrency", &concurrency]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Worker(cores.start_worker(|| command.spawn())?))
    }

    fn send(&self, redis: &str, what: &str, jobs: usize) -> Result<Output> {
        let output = self.python(redis)?.args(["send.py", what, &jobs.to_string()]).output()?;
        ensure!(output.status.success(), "send.py {what}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output)
    }

    fn python(&self, redis: &str) -> Result<Command> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let packages = root.join(".tools/celery");
        ensure!(packages.exists(), "{} is missing: `just setup celery` provides it", packages.display());
        let python = std::env::var_os("PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
        let mut command = Command::new(python);
        command.current_dir(root.join("host/benches/celery"));
        command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONNOUSERSITE", "1");
        command.env("BROKER_URL", redis).env("PREFETCH", self.prefetch.to_string());
        Ok(command)
    }
}

/// A worker and its children. They end when asked to; killed outright, its children would stay behind.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Jobs per second from the first one taken until none is queued or unacknowledged.
async fn drained(redis: &str) -> Result<f64> {
    let mut connection = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let given_up = Instant::now() + ROUND_WITHIN;
    let mut began = None;
    loop {
        let mut look = redis::pipe();
        look.cmd("LLEN").arg("celery").cmd("HLEN").arg("unacked");
        let (queued, unacknowledged): (usize, usize) = look.query_async(&mut connection).await?;
        if queued < JOBS {
            began.get_or_insert_with(Instant::now);
        }
        match began {
            Some(began) if queued + unacknowledged == 0 => {
                return Ok(JOBS as f64 / began.elapsed().as_secs_f64());
            }
            _ if Instant::now() > given_up => bail!("{queued} tasks are left"),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}
