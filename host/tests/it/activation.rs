//! Another model takes over while products are added and looked for.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cluster::Cluster,
    pictures::photograph,
    support::{Server, image_query, names, product, root, taja, words},
};

/// Small models, both of the same dimension: what mixed their vectors would find the wrong things and not fail.
const MODELS: [(&str, &str); 2] = [("tiny-sentence", "sentence"), ("tiny-clip", "clip")];

/// A folder with a folder for each of them.
pub struct Shelf(TempDir);

impl Shelf {
    pub fn new() -> Self {
        let shelf = tempfile::tempdir().unwrap();
        for (_, folder) in MODELS {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/clip/tests/tiny").join(folder);
            let to = shelf.path().join(folder);
            std::fs::create_dir(&to).unwrap();
            for file in std::fs::read_dir(from).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
        let merges = root().join("models/tokenizer/merges.txt");
        std::fs::copy(merges, shelf.path().join("clip/merges.txt")).unwrap();
        Self(shelf)
    }

    pub fn model(&self, folder: &str) -> String {
        self.0.path().join(folder).to_str().unwrap().to_owned()
    }
}

const SHOP: [(&str, &str); 3] =
    [("coffee", "Cup of coffee"), ("chelsea", "Ginger cat"), ("rocket", "Model rocket")];

async fn stock(server: &Server) {
    for (picture, name) in SHOP {
        let added = server.result("/add_product", product(name, vec![photograph(picture)])).await;
        assert_eq!(added["status"], "success", "{added}");
    }
}

async fn activate(server: &Server, name: &str, conditions: Value) -> Value {
    let asked = server.http.post(server.url(&format!("/models/{name}/activate"))).json(&conditions);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    ended(server, &place).await
}

async fn ended(server: &Server, place: &str) -> Value {
    for _ in 0..8 {
        let (status, job) = server.get(&format!("{place}?wait=15")).await;
        assert_eq!(status, 200, "{job}");
        if job["status"] == "completed" || job["status"] == "failed" {
            return job;
        }
    }
    panic!("{place} did not end");
}

/// Models by name: what they are to the service, and their vectors.
async fn models(server: &Server) -> Vec<(String, String, u64)> {
    let (status, list) = server.get("/models").await;
    assert_eq!(status, 200, "{list}");
    let models = list["models"].as_array().unwrap().iter();
    let text = |model: &Value, key: &str| model[key].as_str().unwrap().to_owned();
    models
        .map(|model| (text(model, "name"), text(model, "state"), model["vectors"].as_u64().unwrap()))
        .collect()
}

fn row(name: &str, state: &str, vectors: u64) -> (String, String, u64) {
    (name.into(), state.into(), vectors)
}

/// The model that a search was answered with; its first match must be the product of the picture.
async fn searched(server: &Server, picture: &str, name: &str) -> String {
    let result = server.result("/search", image_query(photograph(picture))).await;
    assert_eq!(result["matches"][0]["name"], name, "{:?}", names(&result));
    let space = result["model"].as_str().unwrap();
    space.rsplit_once('@').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_model_takes_over_while_jobs_run_and_the_old_one_comes_back() {
    let (shelf, data) = (Shelf::new(), tempfile::tempdir().unwrap());
    let settings = [("model", shelf.model("sentence")), ("result-cache-minutes", "0".into())];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Server::start_on(data.path(), &settings).await;
    stock(&server).await;
    assert_eq!(models(&server).await, [row("tiny-sentence", "active", 3), row("tiny-clip", "installed", 0)]);

    let changing = activate(&server, "tiny-clip", json!({}));
    let adding = async {
        for (at, picture) in ["astronaut", "camera", "coins"].into_iter().enumerate() {
            let product = product(&format!("late {at}"), vec![photograph(picture)]);
            assert_eq!(server.result("/add_product", product).await["status"], "success");
        }
    };
    let searching = async {
        let mut seen = Vec::new();
        while seen.len() < 200 && seen.last().is_none_or(|model| model != "tiny-clip") {
            for (picture, name) in SHOP {
                seen.push(searched(&server, picture, name).await);
            }
        }
        seen
    };
    let (job, (), seen) = tokio::join!(changing, adding, searching);
    assert_eq!(job["result"]["status"], "active", "{job}");
    assert!(job["result"]["comparison"]["pictures"].as_u64().unwrap() >= 3, "{job}");
    assert_eq!(
        (seen.first().unwrap().as_str(), seen.last().unwrap().as_str()),
        ("tiny-sentence", "tiny-clip")
    );

    let (_, health) = server.get("/health").await;
    assert_eq!((&health["model"]["name"], &health["index"]["vectors"]), (&json!("tiny-clip"), &json!(6)));
    let list = models(&server).await;
    assert_eq!(list[0], row("tiny-clip", "active", 6));
    assert_eq!((list[1].0.as_str(), list[1].1.as_str()), ("tiny-sentence", "before"));
    assert_eq!(server.terminate().await.code(), Some(0));

    // What was activated serves, whatever is configured.
    let server = Server::start_on(data.path(), &settings).await;
    assert_eq!(searched(&server, "coffee", "Cup of coffee").await, "tiny-clip");
    let refused = server.http.delete(server.url(&format!("/models/vectors/{}", space(&server, 0).await)));
    assert_eq!(refused.send().await.unwrap().status(), 409);

    let back = activate(&server, "tiny-sentence", json!({})).await;
    assert_eq!(back["result"]["status"], "active", "{back}");
    assert_eq!(searched(&server, "coins", "late 2").await, "tiny-sentence");
    let forgotten = server.http.delete(server.url(&format!("/models/vectors/{}", space(&server, 1).await)));
    assert_eq!(forgotten.send().await.unwrap().status(), 204);
    assert_eq!(models(&server).await, [row("tiny-sentence", "active", 6), row("tiny-clip", "before", 0)]);
}

async fn space(server: &Server, at: usize) -> String {
    let (_, list) = server.get("/models").await;
    list["models"][at]["space"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_activation_that_is_killed_goes_on_and_what_makes_no_sense_is_refused() {
    let (shelf, data) = (Shelf::new(), tempfile::tempdir().unwrap());
    let configured = shelf.model("sentence");
    let settings = [("model", configured.as_str()), ("lease-seconds", "2")];
    let server = Server::start_on(data.path(), &settings).await;
    stock(&server).await;
    for (name, body, status) in [("nobody", json!({}), 404), ("tiny-clip", json!({ "at_least": 2 }), 422)] {
        let asked = server.http.post(server.url(&format!("/models/{name}/activate"))).json(&body);
        assert_eq!(asked.send().await.unwrap().status(), status);
    }
    let held = activate(&server, "tiny-clip", json!({ "hold": true })).await;
    assert_eq!(held["result"]["status"], "ready", "{held}");
    assert_eq!(searched(&server, "rocket", "Model rocket").await, "tiny-sentence");

    let asked = server.http.post(server.url("/models/tiny-clip/activate")).json(&json!({}));
    let place = asked.send().await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    server.kill().await;
    let server = Server::start_on(data.path(), &settings).await;
    let job = ended(&server, &place).await;
    assert_eq!(job["result"]["status"], "active", "{job}");
    assert_eq!(searched(&server, "rocket", "Model rocket").await, "tiny-clip");

    // A picture that is gone is told of, and may be left behind.
    let picture = find(&data.path().join("images"), "jpg");
    std::fs::remove_file(picture).unwrap();
    let space = space(&server, 1).await;
    server.http.delete(server.url(&format!("/models/vectors/{space}"))).send().await.unwrap();
    let refused = activate(&server, "tiny-sentence", json!({})).await;
    assert_eq!(refused["error"]["code"], "pictures_lacking", "{refused}");
    let mut command = taja();
    let command =
        command.args(["model", "activate", "tiny-sentence", "--allow-lacking", "--server", &server.base]);
    let told = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && text.contains("taja model activate tiny-clip"), "{text}");
    let mut command = taja();
    let status = command.args(["model", "status", "--server", &server.base]).output().await.unwrap();
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("tiny-sentence  active  2"), "{text}");
}

/// A file of this kind somewhere below a folder.
fn find(folder: &Path, extension: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = entries.filter_map(|path| match path.is_dir() {
        true => Some(find(&path, extension)),
        false => path.extension().is_some_and(|found| found == extension).then_some(path),
    });
    found.next().expect("there is one")
}

#[tokio::test]
async fn a_model_that_cannot_be_found_any_more_is_told_of_and_replaced() {
    let (shelf, data) = (Shelf::new(), tempfile::tempdir().unwrap());
    let configured = shelf.model("sentence");
    let settings = [("model", configured.as_str()), ("attempts", "1")];
    let server = Server::start_on(data.path(), &settings).await;
    stock(&server).await;
    assert_eq!(activate(&server, "tiny-clip", json!({})).await["result"]["status"], "active");
    assert_eq!(server.terminate().await.code(), Some(0));

    std::fs::remove_dir_all(shelf.model("clip")).unwrap();
    let server = Server::start_on(data.path(), &settings).await;
    let (status, health) = server.get("/health").await;
    assert_eq!((status, &health["model"]["status"]), (503, &json!("failing")), "{health}");
    let refused = server.finish("/add_product", product("late", vec![photograph("coins")])).await;
    assert_eq!(refused["failure"]["code"], "store_unavailable", "{refused}");
    assert_eq!(server.found(words("rocket")).await[0], "Model rocket");
    let job = activate(&server, "tiny-sentence", json!({})).await;
    assert_eq!(
        (&job["result"]["status"], &job["result"]["embedded"]),
        (&json!("active"), &json!(0)),
        "{job}"
    );
    let (status, health) = server.get("/health").await;
    assert_eq!(status, 200, "{health}");
    assert_eq!(server.result("/add_product", product("late", vec![photograph("coins")])).await["added"], 1);
}

#[tokio::test]
async fn every_process_changes_to_the_model() {
    let (shelf, cluster) = (Shelf::new(), Cluster::start().await);
    let configured = shelf.model("sentence");
    let settings = [("model", configured.as_str()), ("plugin-poll-seconds", "1")];
    let api = cluster.process_with("api", "api", &settings).await;
    let (one, other) = tokio::join!(
        cluster.process_with("worker", "one", &settings),
        cluster.process_with("worker", "other", &settings)
    );
    stock(&api).await;
    let changing = activate(&api, "tiny-clip", json!({}));
    let adding = async {
        for (at, picture) in ["astronaut", "camera", "coins", "retina"].into_iter().enumerate() {
            let added =
                api.result("/add_product", product(&format!("late {at}"), vec![photograph(picture)])).await;
            assert_eq!(added["status"], "success", "{added}");
        }
    };
    let (job, ()) = tokio::join!(changing, adding);
    assert_eq!(job["result"]["status"], "active", "{job}");
    for server in [&one, &other, &api] {
        for _ in 0..100 {
            let (_, health) = server.get("/health").await;
            if health["model"]["name"] == "tiny-clip"
                && (health["index"].is_null() || health["index"]["vectors"] == 7)
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (status, health) = server.get("/health").await;
        assert_eq!((status, &health["model"]["name"]), (200, &json!("tiny-clip")), "{health}");
    }
    for (picture, name) in SHOP.into_iter().chain([("coins", "late 2"), ("retina", "late 3")]) {
        assert_eq!(searched(&api, picture, name).await, "tiny-clip");
    }
}
