//! The real program, in several processes over one set of servers, and the pictures it is fed with.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use image::{ImageFormat, Rgb, RgbImage};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use reqwest::{
    Client, Response,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    multipart::{Form, Part},
};
use serde_json::Value;
use taja_testkit::{FakeCloudinary, RedisServer, free_port};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{sleep, timeout},
};

use crate::{World, process::Process, scene::LOOK};

/// The operator's key: processes that share servers ask for one.
const KEY: &str = "the operator's key, for tests alone";
const BEARER: &str = "Bearer the operator's key, for tests alone";
/// How long a start may take on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_secs(120);
/// How long a job may take when processes die meanwhile.
const ENDED_WITHIN: Duration = Duration::from_secs(180);
/// What broken-off jobs left behind is gone after this.
const SWEPT_WITHIN: Duration = Duration::from_secs(60);

/// The servers behind the processes.
pub struct Service {
    pub cloudinary: FakeCloudinary,
    pub database: Database,
    settings: Vec<(&'static str, String)>,
    folder: TempDir,
    http: Client,
}

/// A process of the service.
pub struct Server {
    pub process: Process,
    pub name: String,
    role: &'static str,
    port: u16,
    http: Client,
}

impl Service {
    pub async fn open(world: &World, database: &str, redis: &RedisServer) -> Result<Self> {
        let cloudinary = FakeCloudinary::start()?;
        let mongo = world.mongo.uri();
        let settings = vec![
            ("mongo-uri", mongo.clone()),
            ("mongo-db", database.to_owned()),
            ("redis-url", redis.url()),
            ("cloudinary-url", cloudinary.cloudinary_url()),
            ("cloudinary-api", cloudinary.url()),
            ("cloudinary-delivery", cloudinary.url()),
            ("api-key", KEY.to_owned()),
            ("lease-seconds", "3".to_owned()),
            ("sweep-seconds", "1".to_owned()),
        ];
        let database = mongodb::Client::with_uri_str(mongo).await?.database(database);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(BEARER))]);
        let http = Client::builder().no_proxy().default_headers(headers).timeout(Duration::from_secs(60));
        let http = http.build()?;
        Ok(Self { cloudinary, database, settings, folder: tempfile::tempdir()?, http })
    }

    /// Starts a process; the same name means the same folder.
    pub async fn start(&self, role: &'static str, name: &str) -> Result<Server> {
        self.start_on(role, name, free_port()?).await
    }

    /// Kills a process, and starts it again where it was after a while.
    pub async fn restart(&self, server: Server, after: Duration) -> Result<Server> {
        let Server { process, name, role, port, .. } = server;
        process.kill().await?;
        sleep(after).await;
        self.start_on(role, &name, port).await
    }

    async fn start_on(&self, role: &'static str, name: &str, port: u16) -> Result<Server> {
        let mut command = Command::new(program()?);
        command.arg(role).args(["--listen", &format!("127.0.0.1:{port}"), "--data"]);
        command.arg(self.folder.path().join(name)).stdin(Stdio::null()).stdout(Stdio::piped());
        for (name, value) in &self.settings {
            command.arg(format!("--{name}")).arg(value);
        }
        // What the shell or `.env` say about a real shop is not for it.
        command.env_clear();
        for variable in ["PATH", "TMPDIR", "TAJA_LOG"] {
            command.envs(std::env::var_os(variable).map(|value| (variable, value)));
        }
        for (variable, place) in PROVISIONED {
            command.env(variable, provisioned(variable, place)?);
        }
        // Measuring what else there is takes seconds, and many services start here.
        command.env("TAJA_COMPUTE", "cpu");
        let mut process = Process::start(command)?;
        let mut lines = BufReader::new(process.child.stdout.take().context("standard output")?).lines();
        let first = timeout(STARTED_WITHIN, lines.next_line()).await.context("it does not start")??;
        ensure!(first.is_some_and(|line| line.starts_with("listening on")), "taja {role} does not start");
        Ok(Server { process, name: name.to_owned(), role, port, http: self.http.clone() })
    }

    async fn all(&self, collection: &str) -> Result<Vec<Document>> {
        Ok(self.database.collection(collection).find(doc! {}).await?.try_collect().await?)
    }

    /// The stored products: name and addresses of pictures.
    pub async fn products(&self) -> Result<Vec<(String, Vec<String>)>> {
        let product = |row: Document| {
            let urls = row.get_array("image_urls")?.iter().filter_map(|url| url.as_str().map(str::to_owned));
            Ok((row.get_str("name")?.to_owned(), urls.collect()))
        };
        self.all("products").await?.into_iter().map(product).collect()
    }

    pub async fn image_records(&self) -> Result<usize> {
        Ok(self.all("images").await?.len())
    }

    /// Waits until nothing is intended any more: everything begun is finished or swept.
    pub async fn swept(&self) -> Result<()> {
        let swept = async {
            while !self.all("intents").await?.is_empty() {
                sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        timeout(SWEPT_WITHIN, swept).await.context("the sweep does not come to its end")?
    }

    /// What does not fit: records that point nowhere, and hosted pictures without a record.
    pub async fn misfits(&self) -> Result<Vec<String>> {
        let urls: Vec<String> = self.products().await?.into_iter().flat_map(|(_, urls)| urls).collect();
        let assets = self.cloudinary.assets();
        let nowhere = urls.iter().filter(|url| !assets.iter().any(|asset| url.contains(asset.as_str())));
        let orphans = assets.iter().filter(|asset| !urls.iter().any(|url| url.contains(asset.as_str())));
        let nowhere = nowhere.map(|url| format!("{url} points nowhere"));
        Ok(nowhere.chain(orphans.map(|asset| format!("{asset} has no record"))).collect())
    }
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The answer to a search, whatever it is.
    pub async fn search(&self, words: &str) -> Result<Response> {
        let form = Form::new().text("query", words.to_owned());
        Ok(self.http.post(self.url("/search")).multipart(form).send().await?)
    }

    /// The answer to a product, whatever it is.
    pub async fn add(&self, name: &str, picture: Vec<u8>) -> Result<Response> {
        let form = Form::new()
            .text("name", name.to_owned())
            .text("price", "19.5")
            .text("description", format!("one {name}"))
            .text("category", "things")
            .part("images", Part::bytes(picture).file_name("picture.png"));
        Ok(self.http.post(self.url("/add_product")).multipart(form).send().await?)
    }

    /// Waits until a job has ended, and answers it.
    pub async fn ended(&self, path: &str, id: &str) -> Result<Value> {
        let url = self.url(&format!("{path}/job/{id}?wait=5"));
        let ended = async {
            loop {
                let answer = self.http.get(&url).send().await;
                if let Ok(answer) = answer
                    && answer.status().is_success()
                    && let Ok(job) = answer.json::<Value>().await
                    && (job["status"] == "completed" || job["status"] == "failed")
                {
                    return job;
                }
                sleep(LOOK).await;
            }
        };
        timeout(ENDED_WITHIN, ended).await.with_context(|| format!("job {id} does not end"))
    }
}

/// The id of the job that was accepted.
pub async fn accepted(answer: Response) -> Result<String> {
    let (status, body) = (answer.status(), answer.text().await?);
    if status != 202 {
        bail!("{status}: {body}");
    }
    let job: Value = serde_json::from_str(&body)?;
    Ok(job["job_id"].as_str().context("no job id")?.to_owned())
}

/// A picture that no other resembles: eight by eight patches of colours.
pub fn picture() -> Result<Vec<u8>> {
    static PICTURES: AtomicU64 = AtomicU64::new(1);
    let mut state = PICTURES.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut byte = || {
        // Xorshift: any sequence does that differs from picture to picture.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let patches: Vec<Rgb<u8>> = (0..64).map(|_| Rgb([byte(), byte(), byte()])).collect();
    let image = RgbImage::from_fn(224, 224, |x, y| patches[(y / 28 * 8 + x / 28) as usize]);
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

const PROVISIONED: [(&str, &str); 4] = [
    ("TAJA_ONNXRUNTIME", ".tools/onnxruntime/lib/libonnxruntime.so"),
    ("TAJA_MODEL", ".tools/models/default"),
    ("TAJA_FFMPEG", ".tools/bin/ffmpeg"),
    ("TAJA_PLUGINS", "target/plugins"),
];

fn provisioned(variable: &str, place: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = std::env::var_os(variable).map_or_else(|| root.join(place), PathBuf::from);
    ensure!(path.exists(), "{} is missing: run `./just setup` and `./just plugins` first", path.display());
    Ok(path)
}

/// `taja` as it was built beside this program; `TAJA_PROGRAM` names another one.
fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TAJA_PROGRAM") {
        return Ok(named.into());
    }
    let here = std::env::current_exe()?;
    let beside = here.ancestors().nth(2).context("a folder above")?.join("taja");
    ensure!(beside.exists(), "{} is missing: build the program first", beside.display());
    Ok(beside)
}
