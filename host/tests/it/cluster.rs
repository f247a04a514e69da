//! Several processes over MongoDB, Redis and Cloudinary: one service, whoever is asked.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use mongodb::bson::doc;
use serde_json::{Value, json};
use taja_sandbox::manifest;
use taja_testkit::{FakeCloudinary, MongoServer, RedisServer, cloudinary::Fault};
use tempfile::TempDir;

use crate::{
    callbacks::Receiver,
    import::{every_mosaic_is_in_once, mosaics},
    pictures::{another_view, photograph},
    support::{Server, image_query, names, product, provisioned, taja, words},
};

/// The operator's.
const KEY: &str = "the key of the operator of this cluster";

/// What the processes share.
pub struct Cluster {
    redis: RedisServer,
    mongo: MongoServer,
    cloudinary: FakeCloudinary,
    folder: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let (redis, mongo) = tokio::join!(RedisServer::start(), MongoServer::start());
        Self {
            redis: redis.unwrap(),
            mongo: mongo.unwrap(),
            cloudinary: FakeCloudinary::start().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("mongo-uri", self.mongo.uri()),
            ("redis-url", self.redis.url()),
            ("cloudinary-url", self.cloudinary.cloudinary_url()),
            ("cloudinary-api", self.cloudinary.url()),
            ("cloudinary-delivery", self.cloudinary.url()),
            ("lease-seconds", "5".into()),
        ]
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many pictures are hosted.
    pub fn assets(&self) -> usize {
        self.cloudinary.assets().len()
    }

    /// A process of this role with a folder of its own.
    pub async fn process(&self, role: &str, name: &str) -> Server {
        self.process_with(role, name, &[]).await
    }

    pub async fn process_with(&self, role: &str, name: &str, more: &[(&str, &str)]) -> Server {
        let settings = self.settings();
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<_> = settings.chain(more.iter().copied()).collect();
        Server::start_keyed(role, &self.data(name), &settings, Some(KEY)).await
    }

    /// Takes the right to publish and to subscribe from everybody, but for the news of jobs.
    async fn silence(&self) {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut silence = redis::cmd("ACL");
        silence.arg("SETUSER").arg("default").arg("resetchannels").arg("&taja:{taja}:news");
        silence.query_async::<()>(&mut connection).await.unwrap();
    }

    /// A command against a server of this cluster.
    async fn command(&self, server: &Server, arguments: &[&str]) -> std::process::Output {
        let mut command = taja();
        command.env("TAJA_API_KEY", KEY);
        command.args(arguments).args(["--server", &server.base]).output().await.unwrap()
    }
}

const SHOP: &[(&str, &str)] =
    &[("coffee", "Cup of coffee"), ("chelsea", "Ginger cat poster"), ("rocket", "Model rocket")];

#[tokio::test]
async fn two_apis_and_two_workers_are_one_service() {
    let cluster = Cluster::start().await;
    let (one, other) = tokio::join!(cluster.process("api", "api-1"), cluster.process("api", "api-2"));
    let (worker, second) =
        tokio::join!(cluster.process("worker", "worker-1"), cluster.process("worker", "worker-2"));

    for server in [&one, &other, &worker, &second] {
        let (status, health) = server.get("/health").await;
        assert_eq!(status, 200, "{health}");
        let backends = ["store", "queue", "images"].map(|part| health[part]["backend"].as_str().unwrap());
        assert_eq!(backends, ["mongodb", "redis", "cloudinary"]);
    }
    let (status, _) = worker.post("/search", words("coffee")).await;
    assert_eq!(status, 404, "a worker takes no requests");

    for (at, (picture, name)) in SHOP.iter().enumerate() {
        let (asked, reads) = if at % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let (status, accepted) = asked.post("/add_product", product(name, vec![photograph(picture)])).await;
        assert_eq!(status, 202, "{accepted}");
        let job = reads.job("/add_product", accepted["job_id"].as_str().unwrap()).await;
        assert_eq!(job["result"]["status"], "success", "{job}");
        // Whichever worker searches, it has heard of the product.
        for server in [&one, &other] {
            let result = server.result("/search", image_query(another_view(picture))).await;
            assert_eq!(result["matches"][0]["name"], *name, "{:?}", names(&result));
        }
    }
    assert_eq!(one.found(words("ginger cat")).await[0], "Ginger cat poster");
    assert_eq!(cluster.cloudinary.assets().len(), SHOP.len());
    let (products, images) = other.counts().await;
    assert_eq!((products, images), (3, 3));

    pictures_are_delivered(&cluster, &one).await;
    the_same_search_is_answered_from_memory(&one, [&worker, &second]).await;
    the_same_bytes_at_once_are_one_picture(&cluster, [&one, &other]).await;
    assert!(worker.terminate().await.success());
    assert_eq!(one.found(words("model rocket")).await[0], "Model rocket", "one worker is enough");
}

#[tokio::test]
async fn what_a_worker_does_is_told_by_an_api_as_it_happens_and_posted_when_it_is_over() {
    let cluster = Cluster::start().await;
    let mut receiver = Receiver::start(&[]).await;
    let here = [("callback-networks", "127.0.0.0/8")];
    let (api, worker) = tokio::join!(
        cluster.process_with("api", "api", &here),
        cluster.process_with("worker", "worker", &here)
    );
    let pictures = vec![photograph("coffee"), photograph("rocket"), photograph("chelsea")];
    let form = product("Cup", pictures).text("callback_url", receiver.url.clone());
    let (status, accepted) = api.post("/add_product", form).await;
    assert_eq!(status, 202, "{accepted}");
    let id = accepted["job_id"].as_str().unwrap();
    let told = api.told(id).await;
    let (end, progress) = told.split_last().unwrap();
    assert!(progress.iter().all(|event| event.name == "progress") && !progress.is_empty(), "{told:?}");
    let (_, job) = api.get(&format!("/jobs/{id}")).await;
    assert_eq!((end.name.as_str(), &end.data, &job["status"]), ("end", &job, &json!("completed")));
    assert_eq!(receiver.next().await.job(), job);
    assert!(worker.terminate().await.success());
}

#[tokio::test]
async fn an_import_whose_worker_dies_is_finished_by_another_one_and_takes_every_row_in_once() {
    const ROWS: u64 = 100;
    let cluster = Cluster::start().await;
    // What the dead worker had begun to write keeps others from writing the same for so long.
    let limit = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 3 };
    cluster.mongo.admin(limit).await.unwrap();
    let (api, worker) = tokio::join!(cluster.process("api", "api"), cluster.process("worker", "worker-1"));
    let id = api.importing("application/x-ndjson", mosaics(ROWS)).await;
    while api.import_results(&id).await.is_empty() {
        let (_, job) = api.get(&format!("/jobs/{id}?wait=1")).await;
        assert_eq!(job["status"], "processing", "{job}");
    }
    worker.kill().await;
    let _another = cluster.process("worker", "worker-2").await;
    let job = api.imported(&id).await;
    assert_eq!(job["attempts"], 2, "{job}");
    every_mosaic_is_in_once(&api, &job, ROWS).await;
    // What the dead worker hosted and nobody took afterwards is the sweep's.
    assert!(cluster.assets() as u64 >= api.counts().await.1, "every picture is hosted");
}

async fn pictures_are_delivered(cluster: &Cluster, server: &Server) {
    let result = server.result("/search", words("rocket")).await;
    let found = &result["matches"][0];
    for addresses in ["image_urls", "thumbnail_urls", "card_urls"] {
        let address = found[addresses][0].as_str().unwrap();
        assert!(address.starts_with(&cluster.cloudinary.url()), "{address}");
        let picture = server.http.get(address).send().await.unwrap();
        assert_eq!(picture.status(), 200, "{address}");
        assert_eq!(&picture.bytes().await.unwrap()[..3], &[0xFF, 0xD8, 0xFF]);
    }
    assert_ne!(found["thumbnail_urls"][0], found["image_urls"][0]);
    assert_ne!(found["card_urls"][0], found["thumbnail_urls"][0]);
}

/// How long a swap is waited for at most.
const FOLLOWED: Duration = Duration::from_secs(30);
/// Longer than any test: whoever looks so seldom has heard what it knows.
const NEVER: &str = "86400";

/// The version of the ranking policy that a search is served by.
async fn ranker_of(server: &Server) -> String {
    let result = server.result("/search", words("coffee")).await;
    let plugins = result["plugins"].as_array().unwrap();
    let ranker = plugins.iter().find(|plugin| plugin["name"] == "rank-default").unwrap();
    ranker["version"].as_str().unwrap().to_owned()
}

/// Searches there until a version serves.
async fn is_followed(server: &Server, version: &str) {
    let began = Instant::now();
    loop {
        let served = ranker_of(server).await;
        if served == version {
            return;
        }
        assert!(began.elapsed() < FOLLOWED, "{version} is not known, {served} served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Brings the ranking policy as another version of itself, and has it serve everybody.
async fn swap(server: &Server, version: &str) {
    let packed = provisioned("TAJA_PLUGINS", "target/plugins").join("rank-default.wasm");
    let packed = std::fs::read(packed).unwrap();
    let mut manifest = manifest::read(&packed).unwrap();
    manifest.version = version.parse().unwrap();
    let component = manifest::embed(&packed, &toml::to_string(&manifest).unwrap()).unwrap();
    let upload = server.http.post(server.url("/plugins?activate=true"));
    let upload = upload.header("content-type", "application/wasm").body(component);
    assert_eq!(upload.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_swap_at_one_process_is_followed_by_the_others_announced_or_not() {
    let cluster = Cluster::start().await;
    let hears = cluster.process_with("api", "hears", &[("plugin-poll-seconds", NEVER)]);
    let (api, hears, looks) =
        tokio::join!(cluster.process("api", "api"), hears, cluster.process("api", "looks"));
    let _worker = cluster.process("worker", "worker").await;
    api.result("/add_product", product("Cup of coffee", vec![photograph("coffee")])).await;
    for server in [&hears, &looks] {
        assert_eq!(ranker_of(server).await, "0.1.0");
    }

    // One never looks: what it knows it was told.
    swap(&api, "7.0.0").await;
    is_followed(&hears, "7.0.0").await;
    is_followed(&looks, "7.0.0").await;

    // From now on Redis takes no announcement from anybody, and nobody hears any.
    cluster.silence().await;
    swap(&api, "8.0.0").await;
    is_followed(&looks, "8.0.0").await;
    assert_eq!(ranker_of(&hears).await, "7.0.0", "nothing was announced");
    let (_, history) = api.get("/plugins/rank-default/history").await;
    assert_eq!(history.as_array().unwrap().len(), 3, "{history}");
}

/// How often any of the workers answered from memory.
async fn hits(workers: [&Server; 2]) -> u32 {
    let mut hits = 0;
    for worker in workers {
        let (_, metrics) = worker.get("/metrics").await;
        let line = metrics
            .as_str()
            .unwrap()
            .lines()
            .find(|line| line.contains("taja_result_cache_total{outcome=\"hit\",tenant=\"default\"}"));
        hits += line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap());
    }
    hits
}

async fn the_same_search_is_answered_from_memory(server: &Server, workers: [&Server; 2]) {
    let before = hits(workers).await;
    let first = server.result("/search", words("a poster of a cat")).await;
    let again = server.result("/search", words("a poster of a cat")).await;
    assert_eq!(first["matches"], again["matches"]);
    assert_eq!(hits(workers).await, before + 1, "whichever worker answered first, the other knows");
    server.result("/add_product", product("A poster of another cat", vec![another_view("chelsea")])).await;
    let changed = server.result("/search", words("a poster of a cat")).await;
    assert_eq!(hits(workers).await, before + 1, "the catalogue is another one now");
    assert!(changed["total"].as_u64() >= first["total"].as_u64());
}

async fn the_same_bytes_at_once_are_one_picture(cluster: &Cluster, servers: [&Server; 2]) {
    let before = cluster.cloudinary.assets().len();
    let uploads = (0..10).map(|turn| {
        let server = servers[turn % 2];
        async move { server.result("/add_product", product("Coins", vec![photograph("coins")])).await }
    });
    let results = futures::future::join_all(uploads).await;
    let ids: std::collections::HashSet<_> =
        results.iter().map(|result| result["product_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{results:?}");
    let created = results.iter().filter(|result| result["status"] == "success").count();
    assert_eq!(created, 1, "{results:?}");
    assert_eq!(cluster.cloudinary.assets().len(), before + 1);
}

#[tokio::test]
async fn a_dead_job_is_listed_and_started_again_with_its_pictures() {
    let cluster = Cluster::start().await;
    let (api, _worker) = tokio::join!(cluster.process("api", "api"), cluster.process("worker", "worker"));
    cluster.cloudinary.fault_until_cleared(Fault::status(401));
    let job = api.finish("/add_product", product("Cup of coffee", vec![photograph("coffee")])).await;
    assert_eq!(job["status"], "failed", "{job}");
    let id = job["job_id"].as_str().unwrap();

    let dead = cluster.command(&api, &["jobs", "dead", "--json"]).await;
    let line: Value = serde_json::from_slice(&dead.stdout).unwrap();
    assert_eq!((&line["job_id"], &line["kind"]), (&json!(id), &json!("add_product")));
    let (status, refused) = api.get("/jobs?status=lost").await;
    assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &json!("/status")));

    cluster.cloudinary.clear_faults();
    let redriven = cluster.command(&api, &["jobs", "redrive", id]).await;
    assert!(redriven.status.success(), "{}", String::from_utf8_lossy(&redriven.stderr));
    let job = api.job("/add_product", id).await;
    assert_eq!(job["result"]["status"], "success", "{job}");
    assert_eq!(api.found(words("cup of coffee")).await, ["Cup of coffee"]);
    let again = cluster.command(&api, &["jobs", "redrive", id]).await;
    assert_eq!(again.status.code(), Some(1), "it is not dead any more");
    assert!(cluster.command(&api, &["jobs", "dead", "--json"]).await.stdout.is_empty());
}

#[tokio::test]
async fn without_redis_requests_are_refused_for_a_while_and_results_can_be_read() {
    let mut cluster = Cluster::start().await;
    let (api, _worker) = tokio::join!(cluster.process("api", "api"), cluster.process("worker", "worker"));
    let (_, accepted) = api.post("/add_product", product("Cup of coffee", vec![photograph("coffee")])).await;
    let id = accepted["job_id"].as_str().unwrap();
    api.job("/add_product", id).await;

    cluster.redis.kill();
    let refused = api.http.post(api.url("/search")).multipart(words("coffee")).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "unavailable");
    let (status, job) = api.get(&format!("/add_product/job/{id}")).await;
    assert_eq!((status, &job["status"]), (200, &json!("completed")));
    let (status, health) = api.get("/health").await;
    assert_eq!((status, &health["queue"]["status"]), (503, &json!("failing")));

    cluster.redis.restart().await.unwrap();
    let found = loop {
        let (status, accepted) = api.post("/search", words("coffee")).await;
        match status {
            202 => break api.job("/search", accepted["job_id"].as_str().unwrap()).await,
            503 => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            _ => panic!("{status}: {accepted}"),
        }
    };
    assert_eq!(found["result"]["matches"][0]["name"], "Cup of coffee", "{found}");
}

#[tokio::test]
async fn products_of_the_older_service_are_found_and_migrated() {
    let mongo = MongoServer::start().await.unwrap();
    let client = mongodb::Client::with_uri_str(mongo.uri()).await.unwrap();
    let products = client.database("shop").collection("products");
    let kettle = doc! {
        "name": "Copper kettle", "price": 49.5, "description": "for gas stoves", "category": "kitchen",
        "image_urls": ["https://res.cloudinary.com/demo/image/upload/v1/kettle.jpg"],
        "image_hashes": [taja_catalog::ImageHash::of(&photograph("coffee")).to_string()],
        "embeddings": [vec![0.1_f64; 512]], "weight_kg": 1.2, "color": "copper", "sizes": [], "key_features": ["whistles"],
    };
    let id = products.insert_one(kettle).await.unwrap().inserted_id.as_object_id().unwrap().to_hex();
    let uri = mongo.uri();
    let settings = [
        ("mongo-uri", uri.as_str()),
        ("mongo-db", "shop"),
        ("clip-model-name", "clip-vit-b16-image-minilm-text-standin"),
        // An offer would take the product over before the migration does.
        ("plugin-settings", r#"{"ingest-product":{"on_known":"duplicate"}}"#),
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_keyed("serve", folder.path(), &settings, Some(KEY)).await;
    let found = server.result("/search", words("copper kettle")).await;
    let kettle = &found["matches"][0];
    assert_eq!((&kettle["product_id"], &kettle["weight_kg"]), (&json!(id), &json!(1.2)), "{found}");
    let known = server.result("/add_product", product("Cup of coffee", vec![photograph("coffee")])).await;
    assert_eq!((&known["status"], &known["product_id"]), (&json!("duplicate"), &json!(id)), "{known}");

    let mut migrate = taja();
    migrate.args(["migrate", "--json"]).args(["--mongo-uri", &uri, "--mongo-db", "shop"]);
    migrate.args(["--clip-model-name", "clip-vit-b16-image-minilm-text-standin"]);
    let output = migrate.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["migrated"], &report["vectors"]), (&json!(1), &json!(1)), "{report}");
    let found = server.result("/search", words("copper kettle")).await;
    assert_eq!(found["matches"][0]["product_id"], json!(id), "{found}");
    let (_, health) = server.get("/health").await;
    assert_eq!(
        (&health["index"]["vectors"], &health["index"]["state"]),
        (&json!(1), &json!("following")),
        "{health}"
    );
}

#[tokio::test]
async fn backends_that_do_not_go_together_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (arguments, told) in [
        (vec!["serve", "--redis-url", "redis://127.0.0.1:1/"], vec!["REDIS_URL without MONGO_URI"]),
        (
            vec!["serve", "--mongo-uri", "mongodb://127.0.0.1:1/"],
            vec!["set TAJA_API_KEY", "leave MONGO_URI out"],
        ),
        (
            vec!["serve", "--mongo-uri", "mongodb://127.0.0.1:1/", "--redis-url", "redis://127.0.0.1:1/"],
            vec!["set TAJA_API_KEY", "leave MONGO_URI and REDIS_URL out"],
        ),
        (
            vec!["serve", "--cloudinary-url", "cloudinary://123:secret@demo"],
            vec!["set TAJA_API_KEY", "leave CLOUDINARY_URL out"],
        ),
        (vec!["api"], vec!["set MONGO_URI", "set REDIS_URL", "set CLOUDINARY_URL"]),
        (
            vec!["worker", "--mongo-uri", "mongodb://127.0.0.1:1/"],
            vec!["set REDIS_URL", "set CLOUDINARY_URL"],
        ),
    ] {
        let output = taja().args(arguments).args(["--data", data]).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.iter().all(|told| text.contains(told)), "{text}");
    }
}

#[tokio::test]
async fn a_key_is_asked_for_when_one_is_set() {
    let key = "0123456789abcdef0123456789abcdef";
    let server = Server::start_with(&[("api-key", key)]).await;
    let (status, problem) = server.get("/jobs").await;
    assert_eq!((status, &problem["code"]), (401, &json!("key_missing")));
    assert_eq!(server.post("/api/v1/search", words("x")).await.0, 401);
    assert_eq!(server.get("/health").await.0, 200);
    let wrong = server.http.get(server.url("/jobs")).bearer_auth("0123456789abcdef0123456789abcdee");
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    let right = server.http.get(server.url("/api/v1/jobs")).bearer_auth(key);
    assert_eq!(right.send().await.unwrap().status(), 200);
}
