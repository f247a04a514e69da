//! The service from outside: time from start to ready, time to accept a search, what a text search costs beside inference,
//! and time from the upload of a policy to its service.

#![expect(clippy::print_stdout, reason = "a benchmark's output is its table")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use taja_sandbox::manifest;

const STARTS: usize = 5;
const SEARCHES: usize = 200;
/// Versions of a policy that are brought and serve, one after the other.
const SWAPS: usize = 30;
/// What half of those are to take at most.
const SWAP_AIM: Duration = Duration::from_millis(500);
const WORDS: &[&str] =
    &["red", "blue", "warm", "sweet", "leather", "small", "garden", "summer", "old", "fresh"];
const THINGS: &[&str] =
    &["shoes", "fruit", "jacket", "tool", "drink", "bag", "lamp", "hat", "guitar", "cake"];

struct Server {
    child: Child,
    base: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A benchmark that is cut short must not leave its server running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the project").to_owned()
}

fn start(data: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taja"));
    command
        .current_dir(root())
        .env("TAJA_LOG", "error")
        .env("TAJA_COMPUTE", "cpu")
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut first = String::new();
    let stdout = child.stdout.take().expect("standard output is piped");
    BufReader::new(stdout).read_line(&mut first).expect("the server says where it listens");
    let base = first.trim().strip_prefix("listening on ").expect("run `./just setup build` first").to_owned();
    Server { child, base }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("p50 {:7.2} ms   p90 {:7.2} ms   p99 {:7.2} ms", at(0.5), at(0.9), at(0.99))
}

async fn metric(http: &reqwest::Client, base: &str, name: &str) -> f64 {
    let text = http.get(format!("{base}/metrics")).send().await.expect("metrics").text().await.expect("text");
    text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).sum()
}

async fn ready(data: &Path, http: &reqwest::Client) -> (Duration, Server) {
    let started = Instant::now();
    let server = start(data);
    let health = http.get(format!("{}/health", server.base)).send().await.expect("health");
    assert!(health.status().is_success(), "the service is not healthy");
    (started.elapsed(), server)
}

async fn searches(server: &Server, http: &reqwest::Client) {
    let (mut accepted, mut finished) = (Vec::new(), Vec::new());
    let inference = "taja_inference_seconds_sum{tower=\"text\"}";
    let before = metric(http, &server.base, inference).await;
    for place in 0..SEARCHES {
        let words =
            format!("{} {} {place}", WORDS[place % WORDS.len()], THINGS[place / WORDS.len() % THINGS.len()]);
        let started = Instant::now();
        let request =
            http.post(format!("{}/search", server.base)).json(&serde_json::json!({ "query": words }));
        let job: Value = request.send().await.expect("accepted").json().await.expect("a job");
        accepted.push(started.elapsed());
        let id = job["job_id"].as_str().expect("an id");
        let job: Value = http
            .get(format!("{}/search/job/{id}?wait=30", server.base))
            .send()
            .await
            .expect("finished")
            .json()
            .await
            .expect("a result");
        assert_eq!(job["status"], "completed", "{job}");
        finished.push(started.elapsed());
    }
    let inference = (metric(http, &server.base, inference).await - before) / SEARCHES as f64;
    let mean = finished.iter().sum::<Duration>().as_secs_f64() / SEARCHES as f64;
    println!("accept POST /search            {}", percentiles(accepted));
    println!("text search, whole             {}", percentiles(finished));
    println!(
        "text search, mean              {:.2} ms, of which inference {:.2} ms: host {:.2} ms",
        mean * 1e3,
        inference * 1e3,
        (mean - inference) * 1e3
    );
}

/// From sending a new version of the ranking policy to the answer that it serves, all the way that an operator's upload
/// goes: checked, compiled by a process of its own, kept in the data folder, tried, live.
async fn swaps(server: &Server, http: &reqwest::Client) {
    let folder =
        std::env::var_os("TAJA_PLUGINS").map_or_else(|| root().join("target/plugins"), PathBuf::from);
    let packed = std::fs::read(folder.join("rank-default.wasm")).expect("run `./just build` first");
    let mut manifest = manifest::read(&packed).expect("a packed plugin has a manifest");
    let mut times = Vec::new();
    for swap in 1..=SWAPS {
        manifest.version = format!("9.0.{swap}").parse().expect("is a version");
        let component = manifest::embed(&packed, &toml::to_string(&manifest).expect("is TOML"));
        let started = Instant::now();
        let request = http.post(format!("{}/plugins?activate=true", server.base));
        let request =
            request.header("content-type", "application/wasm").body(component.expect("is a plugin"));
        let answer = request.send().await.expect("an answer");
        times.push(started.elapsed());
        let version: Value = answer.json().await.expect("a version");
        assert_eq!(version["state"], "live", "{version}");
    }
    times.sort();
    let reached = if times[SWAPS / 2] < SWAP_AIM { "reached" } else { "missed" };
    println!(
        "swap, upload to live           {}   [aim: p50 under {SWAP_AIM:?}: {reached}]",
        percentiles(times)
    );
}

#[tokio::main]
async fn main() {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let folder = tempfile::tempdir().expect("a folder");
    let (cold, server) = ready(folder.path(), &http).await;
    let mut import = Command::new(env!("CARGO_BIN_EXE_taja"));
    let sample = root().join(".tools/sample/catalogue.ndjson");
    let started = Instant::now();
    let import =
        import.arg("import").arg(&sample).args(["--server", &server.base]).output().expect("import runs");
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    let products = import.stdout.iter().filter(|byte| **byte == b'\n').count();
    let rate = products as f64 / started.elapsed().as_secs_f64();
    println!("import, {products} products          {rate:.1} products/s");
    searches(&server, &http).await;
    swaps(&server, &http).await;
    drop(server);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(ready(folder.path(), &http).await.0);
    }
    println!("start to ready, first          {:.0} ms (plugins compiled)", cold.as_secs_f64() * 1e3);
    println!("start to ready, later          {}", percentiles(starts));
}
