//! Callbacks: the end of a job, posted and signed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use reqwest::{Method, multipart::Form};
use serde_json::{Value, json};
use sha2::Sha256;
use taja_queue::{NewJob, Queue, SqliteOptions, SqliteQueue};
use tokio::sync::mpsc;

use crate::{
    import::{inline, row},
    pictures::photograph,
    support::{Server, file, product, words},
    tenants::answer,
};

/// Longer than any callback of these tests may take.
const LONG: Duration = Duration::from_secs(90);
/// Lets callbacks be posted to this machine, and tried again soon.
const HERE: [(&str, &str); 2] = [("callback-networks", "127.0.0.0/8"), ("callback-retry-seconds", "1")];

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Say {
    Status(u16),
    /// Not at all.
    Nothing,
}

/// A request that a receiver got.
#[derive(Debug, Clone)]
pub struct Got {
    path: String,
    headers: HashMap<String, String>,
    body: String,
}

impl Got {
    pub fn job(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Whether one of the signatures is that of this secret, worked out as the specification tells receivers to.
    fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.headers["webhook-signature"].split(' ').any(|signature| signature == expected)
    }
}

/// Somebody who wants to hear of jobs.
pub struct Receiver {
    pub url: String,
    got: mpsc::UnboundedReceiver<Got>,
}

type Script = (mpsc::UnboundedSender<Got>, Arc<Mutex<VecDeque<Say>>>);

impl Receiver {
    /// One that answers so, one after the other, and then 204.
    pub async fn start(answers: &[Say]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, got) = mpsc::unbounded_channel();
        let script: Script = (sender, Arc::new(Mutex::new(answers.iter().copied().collect())));
        let app = Router::new().fallback(receive).with_state(script);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, got }
    }

    pub async fn next(&mut self) -> Got {
        tokio::time::timeout(LONG, self.got.recv()).await.expect("a callback came in time").unwrap()
    }

    fn is_quiet(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

async fn receive(
    State((got, answers)): State<Script>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    let say = answers.lock().pop_front().unwrap_or(Say::Status(204));
    got.send(Got { path: uri.path().to_owned(), headers, body: text(&body) }).unwrap();
    match say {
        Say::Status(status) => {
            let elsewhere = [("location", "/elsewhere")];
            (StatusCode::from_u16(status).unwrap(), elsewhere, "x".repeat(200_000)).into_response()
        }
        Say::Nothing => std::future::pending().await,
    }
}

impl Server {
    async fn callback_secret(&self) -> Value {
        let (status, secret) = self.get("/tenants/default/callback-secret").await;
        assert_eq!(status, 200, "{secret}");
        secret
    }

    /// The delivery of a callback, once it has ended.
    async fn delivery(&self, got: &Got) -> Value {
        self.get(&format!("/jobs/{}?wait=30", got.id())).await.1
    }
}

#[tokio::test]
async fn the_end_of_a_job_is_posted_and_signed() {
    let mut receiver = Receiver::start(&[]).await;
    let server = Server::start_with(&HERE).await;
    let secret = server.callback_secret().await;
    let form = product("Cup", vec![photograph("coffee")]).text("callback_url", receiver.url.clone());
    let (status, accepted) = server.post("/add_product", form).await;
    assert_eq!(status, 202, "{accepted}");
    let got = receiver.next().await;
    assert_eq!((got.path.as_str(), got.headers["content-type"].as_str()), ("/hook", "application/json"));
    assert!(got.is_signed_with(secret["secret"].as_str().unwrap()));
    let (_, job) = server.get(&format!("/jobs/{}", accepted["job_id"].as_str().unwrap())).await;
    assert_eq!((&got.job(), &job["status"]), (&job, &json!("completed")));
    let sent_at: i64 = got.headers["webhook-timestamp"].parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - sent_at).abs() < 300);

    let more = Form::new().part("images", file(photograph("rocket"), "more"));
    let path = format!("/products/{}/images", job["result"]["product_id"].as_str().unwrap());
    let (status, further) = server.post(&path, more.text("callback_url", receiver.url.clone())).await;
    assert_eq!(status, 202, "{further}");
    assert_eq!(receiver.next().await.job()["job_id"], further["job_id"]);

    let delivery = server.delivery(&got).await;
    assert_eq!((&delivery["kind"], &delivery["status"]), (&json!("callback"), &json!("completed")));
    assert_eq!(delivery["result"], json!({ "job_id": accepted["job_id"], "status": 204 }));
    let (_, listed) = server.get("/jobs?kind=callback").await;
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 2, "{listed}");
}

#[tokio::test]
async fn searches_in_every_form_take_a_callback() {
    let mut receiver = Receiver::start(&[]).await;
    let server = Server::start_with(&HERE).await;
    let search = || server.http.post(server.url("/search"));
    let url = receiver.url.clone();
    let encoded = format!("query=cup&callback_url={url}");
    for request in [
        search().json(&json!({ "query": "cup", "callback_url": url })),
        search().multipart(words("cup").text("callback_url", url.clone())),
        search().header("content-type", "application/x-www-form-urlencoded").body(encoded),
    ] {
        let (status, accepted) = answer(request.send().await.unwrap()).await;
        assert_eq!(status, 202, "{accepted}");
        let job = receiver.next().await.job();
        assert_eq!((&job["job_id"], &job["status"]), (&accepted["job_id"], &json!("completed")));
        assert!(job["result"]["matches"].is_array(), "{job}");
    }
}

#[tokio::test]
async fn the_end_of_an_import_is_posted_too() {
    let mut receiver = Receiver::start(&[]).await;
    let server = Server::start_with(&HERE).await;
    let rows = format!("{}\nno json", row("Cup", &inline(&photograph("coffee"))));
    let path = format!("/products:import?callback_url={}", receiver.url);
    let (status, accepted) = server.import_to(&path, "application/x-ndjson", rows).await;
    assert_eq!(status, 202, "{accepted}");
    let job = receiver.next().await.job();
    assert_eq!((&job["job_id"], &job["kind"]), (&accepted["job_id"], &json!("import")));
    assert_eq!(job["result"]["outcomes"], json!({ "success": 1, "failed": 1 }));

    let id = server.importing("application/x-ndjson", "no json").await;
    assert_eq!(server.imported(&id).await["status"], "completed");
    assert!(receiver.is_quiet(), "who names nobody tells nobody");
    assert_eq!(server.get("/jobs?kind=callback").await.1["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_callback_is_tried_again_with_the_same_id_until_it_is_taken() {
    let mut receiver = Receiver::start(&[Say::Status(500), Say::Status(302), Say::Status(429)]).await;
    let server = Server::start_with(&HERE).await;
    server.post("/search", words("cup").text("callback_url", receiver.url.clone())).await;
    let mut tries = Vec::new();
    for _ in 0..4 {
        tries.push(receiver.next().await);
    }
    for again in &tries[1..] {
        assert_eq!((again.id(), &again.body, &again.path), (tries[0].id(), &tries[0].body, &tries[0].path));
    }
    let delivery = server.delivery(&tries[0]).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("completed"), &json!(4)));
    assert!(receiver.is_quiet(), "what was taken is not sent again, and no redirect is followed");
}

#[tokio::test]
async fn a_shop_whose_receivers_hang_leaves_places_to_others() {
    let mut hanging = Receiver::start(&[Say::Nothing; 4]).await;
    let mut quick = Receiver::start(&[]).await;
    let server =
        Server::with_shops_and(&["slow", "quick"], &[&HERE[..], &[("callback-jobs", "4")]].concat()).await;
    let (slow_key, quick_key) = (server.full_key("slow").await, server.full_key("quick").await);
    let search = async |key: &str, url: &str| {
        let form = words("cup").text("callback_url", url.to_owned());
        let sent = server.asked_with(key, Method::POST, "/search").multipart(form).send().await.unwrap();
        let (status, accepted) = answer(sent).await;
        assert_eq!(status, 202, "{accepted}");
        accepted["job_id"].clone()
    };
    for _ in 0..4 {
        search(&slow_key, &hanging.url).await;
    }
    for _ in 0..2 {
        hanging.next().await;
    }
    let told = search(&quick_key, &quick.url).await;
    assert_eq!(quick.next().await.job()["job_id"], told);
    assert!(hanging.is_quiet(), "two of four places are all that it has while none of its receivers answers");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let mut receiver = Receiver::start(&[Say::Status(410)]).await;
    let server = Server::start_with(&HERE).await;
    server.post("/search", words("cup").text("callback_url", receiver.url.clone())).await;
    let delivery = server.delivery(&receiver.next().await).await;
    assert_eq!(
        (&delivery["status"], &delivery["error"]["code"]),
        (&json!("failed"), &json!("callback_gone"))
    );
}

#[tokio::test]
async fn a_callback_outlives_a_kill_in_the_middle_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(&[Say::Nothing]).await;
    let settings = [&HERE[..], &[("lease-seconds", "2")]].concat();
    let server = Server::start_on(folder.path(), &settings).await;
    server.post("/search", words("cup").text("callback_url", receiver.url.clone())).await;
    let first = receiver.next().await;
    server.kill().await;
    let server = Server::start_on(folder.path(), &settings).await;
    let again = receiver.next().await;
    assert_eq!((again.id(), &again.body), (first.id(), &first.body));
    assert_eq!(server.delivery(&again).await["status"], "completed");
}

#[tokio::test]
async fn an_end_whose_process_died_before_anybody_was_told_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(&[]).await;
    // What a process leaves that dies between a job's end and everything else.
    let left = SqliteQueue::open(&folder.path().join("taja.db"), SqliteOptions::default()).unwrap();
    let job = NewJob::new("add_product", "default", json!({ "callback_url": receiver.url })).tell();
    left.push(job.clone()).await.unwrap();
    left.cancel("default", job.id).await.unwrap();
    drop(left);
    let server = Server::start_on(folder.path(), &HERE).await;
    let told = receiver.next().await;
    assert_eq!((&told.job()["job_id"], &told.job()["error"]["code"]), (&json!(job.id), &json!("cancelled")));
    // Its delivery is not made a second time by the next process.
    assert_eq!(server.delivery(&told).await["status"], "completed");
    assert!(server.terminate().await.success());
    let server = Server::start_on(folder.path(), &HERE).await;
    let (_, listed) = server.get("/jobs?kind=callback").await;
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1, "{listed}");
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn cancelled_and_failed_jobs_are_told_too() {
    let mut receiver = Receiver::start(&[]).await;
    let server = Server::start_with(&[&HERE[..], &[("ingest-jobs", "1")]].concat()).await;
    let mut jobs = Vec::new();
    for picture in ["coffee", "rocket", "chelsea", "coins"] {
        let form = product(picture, vec![photograph(picture)]);
        let form = if picture == "coins" { form.text("callback_url", receiver.url.clone()) } else { form };
        jobs.push(server.post("/add_product", form).await.1["job_id"].clone());
    }
    let last = jobs[3].as_str().unwrap();
    server.http.delete(server.url(&format!("/jobs/{last}"))).send().await.unwrap();
    let job = receiver.next().await.job();
    assert_eq!((&job["job_id"], &job["error"]["code"]), (&jobs[3], &json!("cancelled")));

    let mut truncated = photograph("rocket");
    truncated.truncate(truncated.len() / 2);
    let broken = crate::support::image_query(truncated).text("callback_url", receiver.url.clone());
    let (_, accepted) = server.post("/search", broken).await;
    let job = receiver.next().await.job();
    assert_eq!((&job["job_id"], &job["status"]), (&accepted["job_id"], &json!("failed")));
    assert_eq!(job["error"]["blame"], "client", "{job}");
}

#[tokio::test]
async fn nothing_is_posted_to_a_private_address_unless_the_operator_allows_it() {
    let mut receiver = Receiver::start(&[]).await;
    let server = Server::start().await;
    let private = [
        receiver.url.clone(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[::ffff:127.0.0.1]/".into(),
        "file:///etc/passwd".into(),
        "http://user:word@shop.example/".into(),
    ];
    for url in private {
        let (status, problem) = server.post("/search", words("cup").text("callback_url", url.clone())).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/callback_url")), "{url}");
        let form = product("Cup", vec![photograph("coffee")]).text("callback_url", url.clone());
        let (status, problem) = server.post("/add_product", form).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/callback_url")), "{url}");
        let path = format!("/products:import?callback_url={url}");
        let (status, problem) = server.import_to(&path, "application/x-ndjson", "{}").await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/callback_url")), "{url}");
    }
    assert_eq!(server.get("/jobs").await.1["jobs"], json!([]));
    let (status, problem) = server.import_to("/products:import?callback=x", "text/csv", "name\n").await;
    assert_eq!(
        (status, &problem["code"]),
        (400, &json!("bad_request")),
        "what nobody knows is not passed over"
    );
    // A name tells where it leads only when it is looked up, by whoever connects.
    let named = receiver.url.replace("127.0.0.1", "localhost");
    let (status, accepted) = server.post("/search", words("cup").text("callback_url", named)).await;
    assert_eq!(status, 202, "{accepted}");
    let refused = async {
        loop {
            let (_, listed) = server.get("/jobs?kind=callback&status=failed").await;
            if let Some(job) = listed["jobs"].as_array().unwrap().first() {
                return job.clone();
            }
        }
    };
    let refused = tokio::time::timeout(LONG, refused).await.expect("the delivery was refused in time");
    assert_eq!(refused["error"]["code"], "callback_refused", "{refused}");
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn a_secret_that_was_rotated_signs_beside_the_new_one() {
    let mut receiver = Receiver::start(&[]).await;
    let server = Server::start_with(&HERE).await;
    let first = server.callback_secret().await;
    let rotate = server.http.post(server.url("/tenants/default/callback-secret/rotate"));
    let (status, rotated) = answer(rotate.send().await.unwrap()).await;
    assert_eq!((status, &rotated["previous"]["secret"]), (200, &first["secret"]));
    assert_ne!(rotated["secret"], first["secret"]);
    assert_eq!(server.callback_secret().await, rotated);
    server.post("/search", words("cup").text("callback_url", receiver.url.clone())).await;
    let got = receiver.next().await;
    for secret in [&first["secret"], &rotated["secret"]] {
        assert!(got.is_signed_with(secret.as_str().unwrap()), "{secret}");
    }
}

#[tokio::test]
async fn a_shop_signs_with_a_secret_of_its_own_that_no_other_reads() {
    let server = Server::with_shops(&["ours", "theirs"]).await;
    let (ours, theirs) = (server.full_key("ours").await, server.full_key("theirs").await);
    let (_, searching) = server.key("ours", json!({ "scopes": ["search", "catalogue"] })).await;
    let read = async |key: &str, shop: &str| {
        let path = format!("/tenants/{shop}/callback-secret");
        answer(server.asked_with(key, Method::GET, &path).send().await.unwrap()).await
    };
    let (our, their) = (read(&ours, "ours").await, read(&theirs, "theirs").await);
    assert_eq!((our.0, their.0), (200, 200));
    assert_ne!(our.1["secret"], their.1["secret"]);
    assert_eq!(read(&ours, "theirs").await.0, 404);
    assert_eq!(read(&searching, "ours").await.0, 403);
}
