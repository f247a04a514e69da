//! Starts the real program on a free port with a data folder of its own, and talks to it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::{
    header::{AUTHORIZATION, HeaderMap},
    multipart::{Form, Part},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long a start may take on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the project").to_owned()
}

/// A setting's path: from the environment, else where set-up puts it.
pub fn provisioned(variable: &str, place: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| root().join(place), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `./just setup` and `./just plugins` first", path.display());
    path
}

/// The folder of photographs that set-up took from packages.
pub fn photographs() -> PathBuf {
    provisioned("TAJA_PHOTOGRAPHS", ".tools/photographs")
}

/// The program with everything it needs found.
pub fn taja() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taja"));
    command
        .env("TAJA_ONNXRUNTIME", provisioned("TAJA_ONNXRUNTIME", ".tools/onnxruntime/lib/libonnxruntime.so"))
        .env("TAJA_MODEL", provisioned("TAJA_MODEL", ".tools/models/default"))
        .env("TAJA_FFMPEG", provisioned("TAJA_FFMPEG", ".tools/bin/ffmpeg"))
        .env("TAJA_PLUGINS", provisioned("TAJA_PLUGINS", "target/plugins"))
        // What every machine has: measuring what else there is takes seconds, and each service has a folder of its own.
        .env("TAJA_COMPUTE", "cpu")
        .env("TAJA_LOG", "warn")
        .kill_on_drop(true);
    command
}

/// A running service.
pub struct Server {
    pub base: String,
    pub data: PathBuf,
    child: Child,
    pub http: reqwest::Client,
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts on a fresh data folder.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts on a fresh data folder with further settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(folder.path(), settings).await;
        server._folder = Some(folder);
        server
    }

    /// Starts on a folder that outlives the server.
    pub async fn start_on(data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_as("serve", data, settings).await
    }

    /// Starts a process of this role.
    pub async fn start_as(role: &str, data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_keyed(role, data, settings, None).await
    }

    /// Starts a process of this role that asks for a key, which every request then shows.
    pub async fn start_keyed(role: &str, data: &Path, settings: &[(&str, &str)], key: Option<&str>) -> Self {
        let mut command = taja();
        command.args([role, "--data"]).arg(data).stdout(Stdio::piped());
        let anywhere = Some(&("listen", "127.0.0.1:0"));
        let listen = anywhere.filter(|_| settings.iter().all(|(name, _)| *name != "listen"));
        for (name, value) in settings.iter().chain(listen) {
            command.arg(format!("--{name}")).arg(value);
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            command.env("TAJA_API_KEY", key);
            headers.insert(AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(START_DEADLINE, lines.next_line()).await.expect("started in time");
        let first = first.unwrap().expect("the server said where it listens");
        let base = first.strip_prefix("listening on ").expect("the first line names the address").to_owned();
        let http = reqwest::Client::builder().no_proxy().default_headers(headers);
        let http = http.timeout(Duration::from_secs(120)).build().unwrap();
        Self { base, data: data.to_owned(), child, http, _folder: None }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits until it did.
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(60), self.child.wait())
            .await
            .expect("ended in time")
            .unwrap()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, form: Form) -> (u16, Value) {
        read(self.http.post(self.url(path)).multipart(form).send().await.unwrap()).await
    }

    /// Submits and waits for the end of the job.
    pub async fn finish(&self, path: &str, form: Form) -> Value {
        let (status, accepted) = self.post(path, form).await;
        assert_eq!(status, 202, "{accepted}");
        assert_eq!(accepted["status"], "processing");
        self.job(path, accepted["job_id"].as_str().unwrap()).await
    }

    /// Waits for the end of a job.
    pub async fn job(&self, path: &str, id: &str) -> Value {
        for _ in 0..8 {
            let (status, job) = self.get(&format!("{path}/job/{id}?wait=15")).await;
            assert_eq!(status, 200, "{job}");
            if job["status"] == "completed" || job["status"] == "failed" {
                return job;
            }
        }
        panic!("job {id} did not end");
    }

    /// Submits, waits, and takes the result of a job that must succeed.
    pub async fn result(&self, path: &str, form: Form) -> Value {
        let job = self.finish(path, form).await;
        assert_eq!(job["status"], "completed", "{job}");
        job["result"].clone()
    }

    /// What the store holds: products and images.
    pub async fn counts(&self) -> (u64, u64) {
        let (_, health) = self.get("/health").await;
        let store = &health["store"];
        (store["products"].as_u64().unwrap(), store["images"].as_u64().unwrap())
    }

    /// The names of the products that a query finds, best first.
    pub async fn found(&self, form: Form) -> Vec<String> {
        names(&self.result("/search", form).await)
    }
}

async fn read(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The names of the products in a result, best first.
pub fn names(result: &Value) -> Vec<String> {
    let matches = result["matches"].as_array().unwrap();
    matches.iter().map(|found| found["name"].as_str().unwrap().to_owned()).collect()
}

pub fn file(bytes: Vec<u8>, name: &str) -> Part {
    Part::bytes(bytes).file_name(name.to_owned())
}

/// The form of a product with these pictures.
pub fn product(name: &str, pictures: Vec<Vec<u8>>) -> Form {
    let form = Form::new()
        .text("name", name.to_owned())
        .text("price", "19.5")
        .text("description", format!("one {name}"))
        .text("category", "things");
    pictures.into_iter().fold(form, |form, bytes| form.part("images", file(bytes, "picture")))
}

pub fn words(text: &str) -> Form {
    Form::new().text("query", text.to_owned())
}

pub fn image_query(bytes: Vec<u8>) -> Form {
    Form::new().part("image", file(bytes, "query.jpg"))
}
