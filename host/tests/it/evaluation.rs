//! Searches measured by judgements: other policies for one search, figures side by side, gates, and queries of the log.

use std::{path::Path, process::Output};

use reqwest::{Method, multipart::Form};
use serde_json::{Value, json};
use taja_sandbox::manifest::embed;

use crate::{
    pictures::{beside, photograph},
    plugins::build,
    support::{Server, file, names, product, provisioned, root, taja, words},
    tenants::answer,
};

/// Names of products, and the pictures that are their SKUs.
pub const PRODUCTS: [(&str, &str); 8] = [
    ("Space suit", "astronaut"),
    ("Old camera", "camera"),
    ("Ginger cat", "chelsea"),
    ("Cup of coffee", "coffee"),
    ("Roman coins", "coins"),
    ("Motorcycle", "motorcycle_left"),
    ("Eye chart", "retina"),
    ("Model rocket", "rocket"),
];
/// The ranking fixture with its order turned round.
const REVERSED: &str = r#"{"rank-plain": {"settings": {"do": "reverse"}}}"#;

pub async fn shop(settings: &[(&str, &str)]) -> Server {
    let server = Server::start_with(settings).await;
    for (name, picture) in PRODUCTS {
        let form = product(name, vec![photograph(picture)]).text("sku", picture);
        server.result("/add_product", form).await;
    }
    server
}

/// Each product is found by its name; the first one by its picture as well.
fn judge(folder: &Path) {
    let judged = |(name, sku): (&str, &str)| json!({"query": name, "relevant": {sku: 1}}).to_string();
    std::fs::write(folder.join("names.jsonl"), PRODUCTS.map(judged).join("\n")).unwrap();
    std::fs::write(folder.join("suit.png"), photograph("astronaut")).unwrap();
    let whole =
        json!({"query": "things", "relevant_where": [{"filter": {"category": "things"}, "grade": 2}]});
    std::fs::write(folder.join("where.jsonl"), whole.to_string()).unwrap();
    let picture = json!({"id": "suit", "image": "suit.png", "query": "suit", "relevant": {"astronaut": 2}});
    std::fs::write(folder.join("picture.jsonl"), picture.to_string()).unwrap();
}

pub async fn run(server: &Server, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = taja();
    command.env("TAJA_LISTEN", server.base.strip_prefix("http://").unwrap()).env("TAJA_DATA", &server.data);
    command.current_dir(folder).args(arguments).output().await.unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn choosing(policies: &str) -> Form {
    words("rocket").text("policies", policies.to_owned())
}

#[tokio::test]
async fn one_search_chooses_its_policies_and_nobody_else_is_served_by_them() {
    let server = shop(&[]).await;
    server.uploaded("", "", build("rank-plain", "1.0.0", "")).await;
    let live = server.found(words("rocket")).await;
    let chosen = server.result("/search", choosing(REVERSED)).await;
    assert_eq!(names(&chosen)[7], live[0], "{chosen}");
    assert!(chosen["plugins"].as_array().unwrap().iter().any(|plugin| plugin["name"] == "rank-plain"));
    assert_eq!(server.found(words("rocket")).await, live);
    assert_eq!(server.found(choosing("{}")).await, live);
    // The settings of one that serves are those that it has, unless others are given.
    let keywords = r#"{"search-text": {"settings": {"vector_weight": 0}}}"#;
    let as_json = json!({"query": "rocket", "policies": serde_json::from_str::<Value>(keywords).unwrap()});
    let by_words = server.http.post(server.url("/search")).header("Prefer", "wait=30").json(&as_json);
    let (_, by_words) = answer(by_words.send().await.unwrap()).await;
    assert_eq!(names(&by_words["result"]), ["Model rocket"]);
    let (_, metrics) = server.get("/metrics").await;
    let counted = |name: &str| metrics.as_str().unwrap().contains(&format!("plugin=\"{name}\""));
    assert!(counted("rank-default") && !counted("rank-plain"), "{metrics}");
}

#[tokio::test]
async fn a_modality_that_nobody_serves_yet_can_be_tried() {
    let server = shop(&[]).await;
    let manifest = std::fs::read_to_string(root().join("plugins/search-text/plugin.toml")).unwrap();
    let manifest =
        manifest.replace("\"search-text\"", "\"search-words\"").replace("[\"text\"]", "[\"words\"]");
    let packed = provisioned("TAJA_PLUGINS", "target/plugins").join("search-text.wasm");
    server.uploaded("", "", embed(&std::fs::read(packed).unwrap(), &manifest).unwrap()).await;
    let asked = || Form::new().text("words", "rocket");
    assert_eq!(server.post("/search", asked()).await.0, 422);
    let found = server.found(asked().text("policies", r#"{"search-words": {}}"#)).await;
    assert_eq!(found[0], "Model rocket");
}

#[tokio::test]
async fn a_choice_that_cannot_be_is_refused_and_says_why() {
    let server = Server::start().await;
    for version in ["1.0.0", "2.0.0"] {
        server.uploaded("", "", build("rank-plain", version, "")).await;
    }
    for (policies, status, code) in [
        (r#"{"nobody": {}}"#, 404, "plugin_not_found"),
        (r#"{"rank-plain": {"version": "3.0.0"}}"#, 404, "plugin_not_found"),
        (r#"{"rank-plain": {}}"#, 409, "version_ambiguous"),
        (r#"{"rank-default": {"settings": {"k": -1}}}"#, 422, "order_refused"),
        (r#"{"ingest-product": {}}"#, 422, "order_refused"),
        (r#"{"rank-default": {}, "rank-plain": {"version": "1.0.0"}}"#, 422, "order_refused"),
        (r#"{"rank-default": "0.1.0"}"#, 422, "field_invalid"),
        ("[1]", 422, "field_invalid"),
    ] {
        let (answered, problem) = server.post("/search", choosing(policies)).await;
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{policies}: {problem}");
    }
}

#[tokio::test]
async fn only_who_looks_after_a_shop_chooses_policies_and_only_of_what_the_shop_sees() {
    let server = Server::with_shops(&["flowers", "shoes"]).await;
    let (_, searching) = server.key("flowers", json!({ "scopes": ["search"] })).await;
    let own = server.full_key("flowers").await;
    server.uploaded(&own, "", build("rank-plain", "1.0.0", "")).await;
    let ask = async |key: &str| {
        let request = server.asked_with(key, Method::POST, "/search").multipart(choosing(REVERSED));
        answer(request.send().await.unwrap()).await.0
    };
    let (others, status) = (server.full_key("shoes").await, ask(&searching).await);
    assert_eq!((status, ask(&own).await, ask(&others).await), (403, 202, 404));
}

#[tokio::test]
async fn columns_are_measured_side_by_side_and_gates_are_an_exit_status() {
    let (server, folder) = (shop(&[]).await, tempfile::tempdir().unwrap());
    judge(folder.path());
    server.uploaded("", "", build("rank-plain", "1.0.0", "")).await;
    let reversed = format!("reversed={REVERSED}");
    let other = format!("same={}", server.base);
    let eval =
        ["eval", "names.jsonl", "picture.jsonl", "where.jsonl", "--against", &reversed, "--against", &other];

    let measured =
        run(&server, folder.path(), &[&eval[..], &["--json", "--plot", "plot.svg"]].concat()).await;
    assert_eq!(measured.status.code(), Some(0), "{}", text(&measured.stderr));
    let report: Value = serde_json::from_slice(&measured.stdout).unwrap();
    let (set, figure) = (&report["sets"][0], |column: usize, n: usize| {
        report["sets"][0]["columns"][column]["figures"][n].clone()
    });
    assert_eq!((set["judgements"].as_str(), set["queries"].as_u64()), (Some("names"), Some(8)));
    assert_eq!((&figure(0, 0)["measure"], &figure(0, 0)["value"]), (&json!("ndcg@10"), &json!(1.0)), "{set}");
    // Everything is found; turned round, the first of eight is the last: 1 / log2(9), and 1 / 8.
    let ndcg = figure(1, 0)["value"].as_f64().unwrap();
    assert!((ndcg - 0.315_465).abs() < 1e-5, "{set}");
    assert_eq!((&figure(1, 2)["measure"], &figure(1, 2)["value"]), (&json!("mrr@10"), &json!(0.125)));
    assert!(figure(1, 0)["difference"]["high"].as_f64().unwrap() < 0.0, "{set}");
    assert_eq!((&figure(1, 1)["value"], &figure(1, 3)["value"]), (&json!(1.0), &json!(1.0)));
    assert_eq!(figure(2, 0)["difference"]["value"], 0.0, "the same service under another address");
    assert!(figure(0, 4)["value"].as_f64().unwrap() > 0.0);
    assert_eq!(report["sets"][1]["columns"][0]["figures"][0]["value"], 1.0, "a picture with words");
    let by_filter = &report["sets"][2]["columns"][0]["figures"];
    assert_eq!(
        (&by_filter[1]["value"], &by_filter[3]["value"]),
        (&json!(1.0), &json!(1.0)),
        "all that pass it"
    );
    let plot = std::fs::read_to_string(folder.path().join("plot.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("ndcg@10, reversed"), "{plot}");

    for (gates, code, says) in [
        (&["--gate", "ndcg@10>=0.3"][..], 0, ""),
        (&["--gate", "reversed:ndcg@10>=0.5"], 1, "ndcg@10>=0.5"),
        (&["--gate", "same:mrr@10>=1", "--gate", "live:recall@10>=1"], 0, ""),
        (&["--not-worse"], 1, "ndcg@10 of reversed is below that of live"),
        (&["--gate", "grace>=1"], 2, "there is no figure"),
    ] {
        let ended = run(&server, folder.path(), &[&eval[..], gates].concat()).await;
        let error = text(&ended.stderr);
        assert_eq!((ended.status.code(), error.contains(says)), (Some(code), true), "{gates:?}: {error}");
        if code < 2 {
            let table = text(&ended.stdout);
            assert!(table.contains("ndcg@10") && table.contains("reversed"), "{table}");
        }
    }
}

#[tokio::test]
async fn queries_of_several_parts_are_judged_as_a_search_takes_them() {
    let (server, folder) = (shop(&[]).await, tempfile::tempdir().unwrap());
    let pictures = [("suit", photograph("astronaut")), ("cat", photograph("chelsea"))];
    for (name, picture) in pictures.into_iter().chain([("both", beside("coffee", "chelsea"))]) {
        std::fs::write(folder.path().join(name).with_extension("png"), picture).unwrap();
    }
    let two = json!(["cat.png", "suit.png"]);
    for (judged, first) in [
        (json!({"image": two, "weights": {"image[1]": 3}, "relevant": {"astronaut": 1}}), true),
        (json!({"image": two, "weights": {"image[0]": 3}, "relevant": {"astronaut": 1}}), false),
        (json!({"image": "both.png", "crop": "0.5,0,0.5,1", "relevant": {"chelsea": 1}}), true),
        (json!({"image": "both.png", "crop": {"image": [0, 0, 0.5, 1]}, "relevant": {"chelsea": 1}}), false),
        (
            json!({"query": ["things", "old"], "not": "camera", "sort": "name", "group": true, "relevant": {"coffee": 1}}),
            true,
        ),
        (json!({"query": "things", "sort": ["-name"], "relevant": {"coffee": 1}}), false),
        (json!({"image": "cat.png", "relevant": {"chelsea": 1}}), true),
        (
            json!({"image": "cat.png", "not_image": ["cat.png"], "weights": {"not_image": 9}, "relevant": {"chelsea": 1}}),
            false,
        ),
    ] {
        std::fs::write(folder.path().join("one.jsonl"), judged.to_string()).unwrap();
        let ended = run(&server, folder.path(), &["eval", "one.jsonl", "--gate", "mrr@10>=1"]).await;
        let told = format!("{judged}: {}{}", text(&ended.stdout), text(&ended.stderr));
        assert_eq!(ended.status.code(), Some(if first { 0 } else { 1 }), "{told}");
        assert_eq!(told.contains("not met"), !first, "{told}");
    }
}

#[tokio::test]
async fn a_column_weighs_the_parts_of_every_query() {
    let (server, folder) = (shop(&[]).await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("suit.png"), photograph("astronaut")).unwrap();
    let judged = [
        json!({"image": "suit.png", "query": "coffee", "relevant": {"coffee": 1}}),
        json!({"query": "coffee", "relevant": {"coffee": 1}}),
    ];
    std::fs::write(folder.path().join("two.jsonl"), judged.map(|line| line.to_string()).join("\n")).unwrap();
    let eval = [
        "eval",
        "two.jsonl",
        "--against",
        r#"words={"weights": {"image": 0}}"#,
        "--against",
        r#"picture={"weights": {"text": 0}}"#,
        "--json",
    ];
    let measured = run(&server, folder.path(), &eval).await;
    assert_eq!(measured.status.code(), Some(0), "{}", text(&measured.stderr));
    let report: Value = serde_json::from_slice(&measured.stdout).unwrap();
    let mrr = |column: usize| report["sets"][0]["columns"][column]["figures"][2]["value"].as_f64().unwrap();
    assert_eq!(mrr(1), 1.0, "{report}");
    // The picture is of another product, and where there is none nothing is found.
    assert!(mrr(2) <= 0.25, "{report}");
    assert!(
        text(&measured.stderr).is_empty(),
        "a weight of what a query has not is not sent: {}",
        text(&measured.stderr)
    );
}

#[tokio::test]
async fn judgements_that_cannot_be_used_say_in_which_line() {
    let (server, folder) = (Server::start().await, tempfile::tempdir().unwrap());
    let lines =
        "{\"query\": \"x\", \"relevant\": {\"a\": 1}}\n{\"image\": \"gone.png\", \"relevant\": {\"a\": 1}}";
    std::fs::write(folder.path().join("bad.jsonl"), lines).unwrap();
    for (arguments, code, says) in [
        (&["eval", "bad.jsonl"][..], 1, "line 2: there is no file"),
        (&["eval", "nowhere.jsonl"], 1, "cannot read nowhere.jsonl"),
        (&["eval"], 2, "JUDGEMENTS"),
        (&["eval", "bad.jsonl", "--against", "live=rank-plain@1.0.0"], 2, "the column of what serves"),
    ] {
        let ended = run(&server, folder.path(), arguments).await;
        let error = text(&ended.stderr);
        assert_eq!((ended.status.code(), error.contains(says)), (Some(code), true), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn a_version_that_finds_less_does_not_get_on_trial() {
    let (server, folder) = (shop(&[]).await, tempfile::tempdir().unwrap());
    judge(folder.path());
    server.uploaded("", "?activate=true", build("rank-default", "0.2.0", "")).await;
    server.uploaded("", "", build("rank-default", "0.3.0", "")).await;
    let step = async |step: &str, share: &[&str], settings: &str| {
        let version = ["plugin", step, "rank-default", "--version", "0.3.0", "--judgements", "names.jsonl"];
        run(&server, folder.path(), &[&version[..], &["--settings", settings], share].concat()).await
    };
    let worse = step("canary", &["--percent", "50"], r#"{"do": "reverse"}"#).await;
    let error = text(&worse.stderr);
    assert_eq!((worse.status.code(), error.contains("nothing was changed")), (Some(1), true), "{error}");
    let (_, plugin) = server.get("/plugins/rank-default").await;
    assert_eq!(plugin["activation"]["canary"], Value::Null, "{plugin}");
    for (name, share) in
        [("canary", &["--percent", "50"][..]), ("shadow", &["--every", "2"]), ("activate", &[])]
    {
        let taken = step(name, share, r#"{"do": "say as good"}"#).await;
        assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
    }
    let (_, plugin) = server.get("/plugins/rank-default").await;
    assert_eq!(plugin["activation"]["live"]["version"], "0.3.0", "{plugin}");
}

#[tokio::test]
async fn queries_of_the_log_become_judgements_to_be_graded() {
    let (server, folder) = (shop(&[("query-log", "full")]).await, tempfile::tempdir().unwrap());
    for query in ["Model rocket", "model  rocket", "cat"] {
        server.result("/search", words(query).text("filter", r#"{"price": {"lt": 50}}"#)).await;
    }
    server.result("/search", choosing("{}")).await;
    let sampled = run(&server, folder.path(), &["eval", "sample", "--queries", "5"]).await;
    assert_eq!(sampled.status.code(), Some(0), "{}", text(&sampled.stderr));
    let lines: Vec<Value> =
        text(&sampled.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "what tries something out is not logged: {lines:?}");
    let rocket = lines.iter().find(|line| line["note"]["asked"] == 2).unwrap();
    let (open, named) =
        (rocket["relevant"].as_object().unwrap(), rocket["note"]["names"].as_object().unwrap());
    assert!(
        open.keys().eq(named.keys()) && open.values().all(Value::is_null) && !open.is_empty(),
        "{rocket}"
    );
    assert_eq!(rocket["filter"]["price"]["lt"], 50);

    std::fs::write(folder.path().join("open.jsonl"), rocket.to_string()).unwrap();
    let ungraded = run(&server, folder.path(), &["eval", "open.jsonl"]).await;
    assert!(text(&ungraded.stderr).contains("has no grade yet"), "{}", text(&ungraded.stderr));
    let grade = |(id, name): (&String, &Value)| (id.clone(), u8::from(*name == json!("Model rocket")).into());
    let mut graded = rocket.clone();
    graded["relevant"] = Value::Object(named.iter().map(grade).collect());
    std::fs::write(folder.path().join("graded.jsonl"), graded.to_string()).unwrap();
    let met = run(&server, folder.path(), &["eval", "graded.jsonl", "--gate", "mrr@10>=1"]).await;
    assert_eq!(met.status.code(), Some(0), "{}{}", text(&met.stdout), text(&met.stderr));
}

/// The lines that the command printed, when all went well.
fn lines(ended: &Output) -> Vec<Value> {
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    text(&ended.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Searches; the job's id and its result.
async fn searched(server: &Server, form: Form) -> (String, Value) {
    let (_, accepted) = server.post("/search", form).await;
    let id = accepted["job_id"].as_str().unwrap().to_owned();
    let job = server.job("/search", &id).await;
    (id, job["result"].clone())
}

async fn tell(server: &Server, job: &str, outcome: &Value) -> (u16, Value) {
    let request = server.http.post(server.url(&format!("/search/job/{job}/outcome"))).json(outcome);
    let (status, body) = answer(request.send().await.unwrap()).await;
    (status, body)
}

#[tokio::test]
async fn queries_that_were_logged_as_hashes_are_known_again_by_candidates() {
    let (server, folder) = (shop(&[("query-log", "hashed")]).await, tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("seen")).unwrap();
    std::fs::write(path("seen/suit.png"), photograph("astronaut")).unwrap();
    let composed = || words("camera").text("weights", r#"{"query": 0.1}"#).text("not", "coffee");
    for form in [words("Model rocket"), words("model  rocket"), words("cat")] {
        server.result("/search", form).await;
    }
    let suit = file(photograph("astronaut"), "suit.png");
    server.result("/search", composed().part("image", suit)).await;
    let written = std::fs::read_to_string(server.data.join("queries/queries.jsonl")).unwrap();
    assert!(!written.contains("rocket") && !written.contains("camera"), "{written}");
    std::fs::write(path("asked.txt"), "MODEL ROCKET\ncamera\ncoffee\nnobody asked this\n").unwrap();

    let by_words = run(&server, folder.path(), &["eval", "sample", "--queries-from", "asked.txt"]).await;
    assert!(
        text(&by_words.stderr).starts_with("2 different queries are left out"),
        "{}",
        text(&by_words.stderr)
    );
    let by_words = lines(&by_words);
    assert_eq!((by_words.len(), &by_words[0]["query"]), (1, &json!("MODEL ROCKET")), "{by_words:?}");
    assert_eq!(by_words[0]["note"]["asked"], 2, "{by_words:?}");
    assert_eq!(
        by_words[0]["note"]["found"][0].as_str(),
        by_words[0]["note"]["names"]
            .as_object()
            .unwrap()
            .iter()
            .find(|(_, name)| *name == "Model rocket")
            .map(|(id, _)| id.as_str())
    );

    let both = ["eval", "sample", "--queries-from", "asked.txt", "--pictures", "seen"];
    let both = lines(&run(&server, folder.path(), &both).await);
    let composed = both.iter().find(|line| line["image"].is_string()).unwrap();
    assert_eq!(
        (both.len(), &composed["query"], &composed["not"], &composed["weights"]),
        (2, &json!("camera"), &json!("coffee"), &json!({"text[0]": 0.1}))
    );
    let mut graded = composed.clone();
    graded["relevant"] = json!({"astronaut": 1});
    std::fs::write(path("graded.jsonl"), graded.to_string()).unwrap();
    let met = run(&server, folder.path(), &["eval", "graded.jsonl", "--gate", "recall@10>=1"]).await;
    assert_eq!(met.status.code(), Some(0), "{}{}", text(&met.stdout), text(&met.stderr));

    let without = run(&server, folder.path(), &["eval", "sample"]).await;
    let error = text(&without.stderr);
    assert_eq!(
        (without.status.code(), error.contains("3 different queries are left out")),
        (Some(1), true),
        "{error}"
    );
}

#[tokio::test]
async fn what_shoppers_did_becomes_grades() {
    let (server, folder) = (shop(&[("query-log", "hashed")]).await, tempfile::tempdir().unwrap());
    let (job, result) = searched(&server, words("rocket coins cat")).await;
    let id = |name: &str| {
        let found = result["matches"].as_array().unwrap().iter().find(|found| found["name"] == name).unwrap();
        found["product_id"].as_str().unwrap().to_owned()
    };
    let (rocket, coins, cat) = (id("Model rocket"), id("Roman coins"), id("Ginger cat"));
    for (product, kind) in
        [(&rocket, "viewed"), (&rocket, "ordered"), (&rocket, "viewed"), (&coins, "viewed"), (&cat, "viewed")]
    {
        let told = tell(&server, &job, &json!({"product_id": product, "kind": kind})).await;
        assert_eq!(told, (200, json!({"noted": true})));
    }
    let gone = server.http.delete(server.url(&format!("/products/{cat}"))).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let written = std::fs::read_to_string(server.data.join("queries/queries.jsonl")).unwrap();
    assert!(!written.contains("rocket") && !written.contains(&job), "{written}");

    std::fs::write(folder.path().join("asked.txt"), "Rocket coins cat\n").unwrap();
    let sample = ["eval", "sample", "--from-outcomes", "--queries-from", "asked.txt"];
    let lines = lines(&run(&server, folder.path(), &sample).await);
    assert_eq!((lines.len(), &lines[0]["query"]), (1, &json!("Rocket coins cat")), "{lines:?}");
    assert_eq!(lines[0]["relevant"], json!({ &rocket: 3, &coins: 1 }), "what is gone cannot be found");
    assert_eq!(lines[0]["note"]["outcomes"][&rocket], json!({"viewed": 2, "ordered": 1}));
    std::fs::write(folder.path().join("graded.jsonl"), lines[0].to_string()).unwrap();
    let met = run(&server, folder.path(), &["eval", "graded.jsonl", "--gate", "mrr@10>=1"]).await;
    assert_eq!(met.status.code(), Some(0), "{}{}", text(&met.stdout), text(&met.stderr));

    let unknown = run(&server, folder.path(), &["eval", "sample", "--from-outcomes"]).await;
    let error = text(&unknown.stderr);
    assert_eq!(
        (unknown.status.code(), error.contains("holds no outcome of a query")),
        (Some(1), true),
        "{error}"
    );
}

#[tokio::test]
async fn an_outcome_is_one_of_what_a_search_found() {
    let server = shop(&[("query-log", "full")]).await;
    let (job, result) = searched(&server, words("rocket").text("filter", r#"{"sku": "rocket"}"#)).await;
    let found = result["matches"][0]["product_id"].as_str().unwrap();
    for (outcome, status, pointer) in [
        (json!({"product_id": found, "kind": "returned"}), 422, Some("/kind")),
        (json!({"product_id": "no such", "kind": "viewed"}), 422, Some("/product_id")),
        (json!({"product_id": "another", "kind": "viewed"}), 422, Some("/product_id")),
        (json!({"product_id": found}), 422, None),
        (json!({"product_id": found, "kind": "viewed", "shopper": "me"}), 422, None),
    ] {
        let (answered, problem) = tell(&server, &job, &outcome).await;
        assert_eq!(
            (answered, problem["errors"][0]["pointer"].as_str()),
            (status, pointer),
            "{outcome}: {problem}"
        );
    }
    let viewed = json!({"product_id": found, "kind": "viewed"});
    assert_eq!(tell(&server, "nowhere", &viewed).await.0, 404);
    // What tries policies out is nobody's question, and nothing comes of it.
    let (tried, _) = searched(&server, choosing("{}")).await;
    assert_eq!(tell(&server, &tried, &viewed).await, (200, json!({"noted": false})));
    let written = std::fs::read_to_string(server.data.join("queries/queries.jsonl")).unwrap();
    assert!(!written.contains("viewed"), "{written}");
}

#[tokio::test]
async fn without_being_asked_for_nothing_is_logged() {
    let (server, folder) = (shop(&[]).await, tempfile::tempdir().unwrap());
    let (job, result) = searched(&server, words("rocket")).await;
    let outcome = json!({"product_id": result["matches"][0]["product_id"], "kind": "ordered"});
    assert_eq!(tell(&server, &job, &outcome).await, (200, json!({"noted": false})));
    assert!(!server.data.join("queries").exists());
    let sampled = run(&server, folder.path(), &["eval", "sample"]).await;
    assert_eq!((sampled.status.code(), text(&sampled.stderr).contains("holds no query")), (Some(1), true));
}
