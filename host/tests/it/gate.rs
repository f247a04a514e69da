//! Evidence before a version serves: judgements that the service keeps, evaluations as jobs, and slots that ask for them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    evaluation::{PRODUCTS, run, shop, text},
    pictures::photograph,
    plugins::{at_last, build},
    support::{Server, product},
    tenants::answer,
};

const NDJSON: &str = "application/x-ndjson";
/// The ranking fixture with the order of the legs, and turned round.
const GOOD: &str = r#"{"do": "say as good"}"#;
const WORSE: &str = r#"{"do": "reverse"}"#;

fn read(settings: &str) -> Value {
    serde_json::from_str(settings).unwrap()
}

/// Each product is found by its name, so often.
fn judged(times: usize) -> String {
    let line = |n: usize| {
        let (name, sku) = PRODUCTS[n % PRODUCTS.len()];
        json!({"id": n.to_string(), "query": name, "relevant": {sku: 1}}).to_string()
    };
    (0..times * PRODUCTS.len()).map(line).collect::<Vec<_>>().join("\n")
}

impl Server {
    async fn judgements(&self, key: &str, method: Method, path: &str, lines: Option<&str>) -> (u16, Value) {
        let request = self.http.request(method, self.url(&format!("/tenants/{path}")));
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        let request = match lines {
            Some(lines) => request.header("content-type", NDJSON).body(lines.to_owned()),
            None => request,
        };
        answer(request.send().await.unwrap()).await
    }

    async fn keep(&self, key: &str, path: &str, lines: &str) {
        let (status, kept) = self.judgements(key, Method::PUT, path, Some(lines)).await;
        assert_eq!(status, 200, "{kept}");
    }

    async fn asked(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(self.url(path)).json(body);
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        answer(request.send().await.unwrap()).await
    }

    /// A version of the ranking, measured by the set `names`: the job's id and its result.
    async fn measured(&self, version: &str, settings: &str) -> (String, Value) {
        let body = json!({"version": version, "settings": read(settings), "judgements": "names"});
        let (status, accepted) = self.asked("", "/plugins/rank-default/evaluate", &body).await;
        assert_eq!(status, 202, "{accepted}");
        let id = accepted["job_id"].as_str().unwrap().to_owned();
        let job = self.ended(&id).await;
        assert_eq!(job["status"], "completed", "{job}");
        (id, job["result"].clone())
    }

    async fn ended(&self, id: &str) -> Value {
        for _ in 0..8 {
            let (_, job) = self.get(&format!("/jobs/{id}?wait=15")).await;
            if ["completed", "failed"].iter().any(|status| job["status"] == *status) {
                return job;
            }
        }
        panic!("job {id} did not end");
    }

    /// Asks for a step of the ranking; the status and what the answer says.
    async fn stepped(&self, step: &str, version: &str, settings: &str, shown: Option<&str>) -> (u16, Value) {
        let mut body = json!({"version": version, "settings": read(settings), "evaluation": shown});
        if step == "canary" {
            body["percent"] = json!(50);
        }
        self.asked("", &format!("/plugins/rank-default/{step}"), &body).await
    }
}

fn is(answer: &(u16, Value), status: u16, code: &str) {
    assert_eq!((answer.0, answer.1["code"].as_str()), (status, Some(code)), "{}", answer.1);
    assert_eq!(answer.1["errors"][0]["pointer"], "/evaluation", "{}", answer.1);
}

#[tokio::test]
async fn judgements_are_kept_by_their_shop_and_what_is_none_is_told_with_its_line() {
    let server = Server::with_shops(&["ours", "theirs"]).await;
    let (key, theirs) = (server.full_key("ours").await, server.full_key("theirs").await);
    let ask =
        async |method, path: &str, lines: Option<&str>| server.judgements(&key, method, path, lines).await;
    let path = "ours/judgements/names";
    let (status, set) = ask(Method::PUT, path, Some(&judged(1))).await;
    assert_eq!((status, &set["name"], &set["queries"]), (200, &json!("names"), &json!(8)), "{set}");
    assert_eq!(ask(Method::GET, "ours/judgements", None).await, (200, json!([set])));
    let lines = server.asked_with(&key, Method::GET, &format!("/tenants/{path}")).send().await.unwrap();
    assert_eq!(lines.headers()["content-type"], NDJSON);
    assert_eq!(lines.text().await.unwrap(), judged(1));

    let good = r#"{"query": "x", "relevant": {"a": 1}}"#;
    for (line, says) in [
        ("nonsense", "no judgement"),
        (r#"{"image": "boot.jpg", "relevant": {"a": 1}}"#, "`image` names files"),
        (r#"{"query": "x", "weights": {"image": 2}, "relevant": {"a": 1}}"#, "names no part of this search"),
        (r#"{"query": "x", "relevant": {"a": 11}}"#, "not from 0 to 10"),
        (r#"{"query": "x", "relevant_where": [{"filter": {"a": {"about": 1}}}]}"#, "relevant_where"),
    ] {
        let (status, problem) = ask(Method::PUT, path, Some(&format!("{good}\n{line}\n"))).await;
        assert_eq!((status, &problem["code"]), (422, &json!("judgements_invalid")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("line 2: ") && detail.contains(says), "{line}: {detail}");
        assert_eq!(problem["errors"][0]["pointer"], "/1");
    }
    let bad = [
        (path, Some(""), 422, "judgements_invalid"),
        ("ours/judgements/No", Some(good), 422, "field_invalid"),
        (path, None, 415, "content_type_unsupported"),
        ("theirs/judgements/names", Some(good), 404, "not_found"),
    ];
    for (path, lines, status, code) in bad {
        let (answered, problem) = ask(Method::PUT, path, lines).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{path}: {problem}");
    }
    let large = " ".repeat(1 << 20) + good;
    assert_eq!(ask(Method::PUT, path, Some(&large)).await.1["code"], "too_large");
    assert_eq!(ask(Method::GET, "ours/judgements", None).await.1, json!([set]), "it is as it was");

    for n in 1..20 {
        server.keep(&key, &format!("ours/judgements/set-{n}"), good).await;
    }
    assert_eq!(ask(Method::PUT, "ours/judgements/more", Some(good)).await.1["code"], "too_many_judgements");
    server.keep(&key, path, good).await;
    server.keep(&theirs, "theirs/judgements/more", good).await;
    assert_eq!(ask(Method::DELETE, path, None).await.0, 204);
    for method in [Method::DELETE, Method::GET] {
        assert_eq!(ask(method, path, None).await.1["code"], "not_found");
    }
}

#[tokio::test]
async fn a_slot_with_a_gate_takes_what_was_measured_and_finds_no_less() {
    let server = shop(&[("result-cache-minutes", "0")]).await;
    server.keep("", "default/judgements/names", &judged(1)).await;
    server.uploaded("", "?activate=true", build("rank-default", "0.2.0", "")).await;
    let third = server.uploaded("", "", build("rank-default", "0.3.0", "")).await;
    let gated = server
        .step("/plugins/rank-default/gate", json!({"max_age_seconds": 3600, "reason": "evidence"}))
        .await;
    assert_eq!(gated["gate"], json!({"max_age_seconds": 3600}), "{gated}");

    let (bad, worse) = server.measured("0.3.0", WORSE).await;
    assert_eq!((&worse["verdict"], &worse["slot"]), (&json!("worse"), &json!("rank")), "{worse}");
    let figures = worse["candidate"]["figures"].as_array().unwrap();
    let measures: Vec<_> = figures.iter().map(|figure| figure["measure"].as_str().unwrap()).collect();
    assert_eq!(measures, ["ndcg@10", "recall@10", "mrr@10", "coverage@10"]);
    assert!(figures[0]["difference"]["high"].as_f64().unwrap() < 0.0, "{worse}");
    assert_eq!((&figures[1]["value"], &worse["judgements"]["queries"]), (&json!(1.0), &json!(8)), "{worse}");
    assert_eq!(worse["candidate"]["choice"]["digest"], third.as_str());
    assert_eq!(worse["live"]["choice"]["version"], "0.2.0");
    assert_eq!((&worse["live"]["failed"], &worse["candidate"]["failed"]), (&json!(0), &json!(0)), "{worse}");
    assert!(worse["model"].is_string() && worse["catalogue_version"].as_u64().unwrap() >= 8, "{worse}");
    assert!(worse["plugins"].as_array().unwrap().iter().any(|plugin| plugin["digest"] == third.as_str()));

    let (good, result) = server.measured("0.3.0", GOOD).await;
    assert_eq!(result["verdict"], "no_worse", "{result}");
    let (other, _) = server.measured("0.3.0", r#"{"do": "say other"}"#).await;
    let (_, metrics) = server.get("/metrics").await;
    assert!(!metrics.as_str().unwrap().contains(&third), "what was measured counts nowhere");

    for step in ["canary", "activate"] {
        is(&server.stepped(step, "0.3.0", GOOD, None).await, 422, "evaluation_missing");
        is(&server.stepped(step, "0.3.0", GOOD, Some("no job")).await, 422, "evaluation_missing");
        is(&server.stepped(step, "0.3.0", WORSE, Some(&good)).await, 422, "evaluation_missing");
        is(&server.stepped(step, "0.3.0", WORSE, Some(&bad)).await, 409, "evaluation_worse");
    }
    let (_, plugin) = server.get("/plugins/rank-default").await;
    let row = &plugin["activation"];
    assert_eq!((&row["live"]["version"], &row["canary"]), (&json!("0.2.0"), &Value::Null), "{plugin}");
    for step in ["canary", "activate"] {
        let (status, taken) = server.stepped(step, "0.3.0", GOOD, Some(&good)).await;
        assert_eq!(status, 200, "{step}: {taken}");
    }
    let stale = server.stepped("activate", "0.3.0", r#"{"do": "say other"}"#, Some(&other)).await;
    is(&stale, 409, "evaluation_stale");

    // What comes with a component is asked as well; the way back is free.
    let fourth = build("rank-default", "0.4.0", "");
    let request =
        server.http.post(server.url("/plugins?activate=true")).header("content-type", "application/wasm");
    let refused = answer(request.body(fourth).send().await.unwrap()).await;
    is(&refused, 422, "evaluation_missing");
    assert!(refused.1["detail"].as_str().unwrap().contains("is kept, but not activated"), "{}", refused.1);
    let back = server.step("/plugins/rank-default/rollback", json!({})).await;
    assert_eq!(back["activation"]["live"]["version"], "0.2.0", "{back}");

    let lifted = server.http.delete(server.url("/plugins/rank-default/gate")).send().await.unwrap();
    assert_eq!(answer(lifted).await.1["gate"], Value::Null);
    is(&server.stepped("activate", "0.3.0", WORSE, Some(&bad)).await, 409, "evaluation_worse");
    assert_eq!(server.stepped("activate", "0.3.0", WORSE, None).await.0, 200, "nothing is asked for");
    let (_, events) = server.get("/plugins/rank-default/history").await;
    let actions: Vec<_> = events.as_array().unwrap().iter().map(|event| &event["action"]).collect();
    assert!(actions.contains(&&json!("gate_set")) && actions.contains(&&json!("gate_lifted")), "{events}");
}

#[tokio::test]
async fn an_evaluation_tells_how_far_it_is_and_can_be_called_off() {
    let server = shop(&[]).await;
    server.keep("", "default/judgements/names", &judged(100)).await;
    server.uploaded("", "", build("rank-plain", "1.0.0", "")).await;
    let body = json!({"version": "1.0.0", "judgements": "names"});
    let (_, accepted) = server.asked("", "/plugins/rank-plain/evaluate", &body).await;
    let id = accepted["job_id"].as_str().unwrap();
    let running = loop {
        let (_, job) = server.get(&format!("/jobs/{id}")).await;
        assert_ne!(job["status"], "completed", "{job}");
        if job["progress"].as_i64().unwrap() > 0 {
            break job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(running["kind"], "evaluate");
    assert!(running["stage"].as_str().unwrap().ends_with(" of 800 queries"), "{running}");
    let unfinished = json!({"version": "1.0.0", "evaluation": id});
    is(&server.asked("", "/plugins/rank-plain/activate", &unfinished).await, 422, "evaluation_missing");
    let called_off = server.http.delete(server.url(&format!("/jobs/{id}"))).send().await.unwrap();
    assert_eq!(called_off.status(), 200);
    let job = server.ended(id).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("cancelled")), "{job}");
    is(&server.asked("", "/plugins/rank-plain/activate", &unfinished).await, 422, "evaluation_missing");
}

#[tokio::test]
async fn a_version_that_fails_finds_nothing_and_what_measures_nothing_is_no_verdict() {
    let server = shop(&[("attempts", "1")]).await;
    server.keep("", "default/judgements/names", &judged(1)).await;
    server.uploaded("", "", build("rank-default", "0.2.0", "")).await;
    // The host ranks in its place, and better: that is not its answer.
    let (_, failing) = server.measured("0.2.0", r#"{"do": "panic"}"#).await;
    assert_eq!(
        (&failing["verdict"], &failing["candidate"]["failed"]),
        (&json!("worse"), &json!(8)),
        "{failing}"
    );
    assert!(failing["candidate"]["failures"][0].as_str().unwrap().contains("out of cheese"), "{failing}");

    let elsewhere = r#"{"query": "rocket", "relevant": {"nothing-here": 1}}"#;
    server.keep("", "default/judgements/names", elsewhere).await;
    let body = json!({"version": "0.2.0", "judgements": "names"});
    let (_, accepted) = server.asked("", "/plugins/rank-default/evaluate", &body).await;
    let job = server.ended(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(
        (&job["status"], &job["error"]["code"]),
        (&json!("failed"), &json!("nothing_measured")),
        "{job}"
    );

    for (body, status, code) in [
        (json!({"version": "0.2.0", "judgements": "none"}), 422, "field_invalid"),
        (json!({"version": "9.0.0", "judgements": "names"}), 404, "plugin_not_found"),
        (json!({"version": "0.2.0", "judgements": "names", "callback_url": "x"}), 422, "field_invalid"),
    ] {
        let (answered, problem) = server.asked("", "/plugins/rank-default/evaluate", &body).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{body}: {problem}");
    }
    let ingest = json!({"judgements": "names"});
    let (_, problem) = server.asked("", "/plugins/ingest-product/evaluate", &ingest).await;
    assert_eq!(problem["code"], "order_refused", "{problem}");
    for seconds in [0, 31_536_001_u32] {
        let (_, problem) =
            server.asked("", "/plugins/rank-default/gate", &json!({"max_age_seconds": seconds})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/max_age_seconds", "{problem}");
    }
}

#[tokio::test]
async fn an_evaluation_speaks_for_its_own_shop_alone() {
    let server = Server::with_shops(&["ours", "theirs"]).await;
    let (ours, theirs) = (server.full_key("ours").await, server.full_key("theirs").await);
    server.done(&ours, "/add_product", product("Cup", vec![photograph("coffee")]).text("sku", "cup")).await;
    server.keep(&ours, "ours/judgements/names", r#"{"query": "cup", "relevant": {"cup": 1}}"#).await;
    for key in [&ours, &theirs] {
        server.uploaded(key, "", build("own-rank", "1.0.0", "")).await;
    }
    let body = json!({"judgements": "names"});
    let request = server.asked_with(&ours, Method::POST, "/plugins/own-rank/evaluate").json(&body);
    let (_, job) = answer(request.header("Prefer", "wait=30").send().await.unwrap()).await;
    assert_eq!(job["result"]["verdict"], "no_worse", "{job}");
    let shown = json!({"evaluation": job["job_id"]});
    for key in [&ours, &theirs] {
        assert_eq!(server.asked(key, "/plugins/own-rank/gate", &json!({})).await.0, 200);
    }
    is(&server.asked(&theirs, "/plugins/own-rank/activate", &shown).await, 422, "evaluation_missing");
    let (status, plugin) = server.asked(&ours, "/plugins/own-rank/activate", &shown).await;
    assert_eq!((status, &plugin["activation"]["live"]["name"]), (200, &json!("own-rank")), "{plugin}");
    // Who searches does not see which settings policies have.
    let (_, searching) = server.key("ours", json!({"scopes": ["search", "catalogue"]})).await;
    let path = format!("/jobs/{}", job["job_id"].as_str().unwrap());
    let hidden = answer(server.asked_with(&searching, Method::GET, &path).send().await.unwrap()).await;
    assert_eq!((hidden.0, &hidden.1["code"]), (403, &json!("scope_missing")));
}

#[tokio::test]
async fn a_canary_that_has_come_to_find_less_is_withdrawn() {
    let server = shop(&[]).await;
    // To these judgements all orders are the same.
    let all = json!({"query": "things", "relevant_where": [{"filter": {"category": "things"}}]});
    server.keep("", "default/judgements/names", &all.to_string()).await;
    server.uploaded("", "?activate=true", build("rank-default", "0.2.0", "")).await;
    server.uploaded("", "", build("rank-default", "0.3.0", "")).await;
    server.step("/plugins/rank-default/gate", json!({"max_age_seconds": 60})).await;
    let (shown, result) = server.measured("0.3.0", WORSE).await;
    assert_eq!(result["verdict"], "no_worse", "{result}");
    let (status, taken) = server.stepped("canary", "0.3.0", WORSE, Some(&shown)).await;
    assert_eq!((status, &taken["activation"]["canary"]["percent"]), (200, &json!(50)), "{taken}");
    server.step("/plugins/rank-default/gate", json!({"max_age_seconds": 4})).await;
    server.keep("", "default/judgements/names", &judged(1)).await;
    let withdrawn = at_last("the canary is withdrawn", async || {
        let (_, events) = server.get("/plugins/rank-default/history?limit=1").await;
        (events[0]["action"] == "withdrawn").then(|| events[0].clone())
    })
    .await;
    assert_eq!((&withdrawn["by"], &withdrawn["choice"]["version"]), (&json!("service"), &json!("0.3.0")));
    let reason = withdrawn["reason"].as_str().unwrap();
    assert!(reason.contains("nDCG@10 is below that of what serves"), "{reason}");
    let (_, plugin) = server.get("/plugins/rank-default").await;
    assert_eq!(plugin["activation"]["live"]["version"], "0.2.0", "{plugin}");
    let job = server.ended(reason.rsplit(' ').next().unwrap()).await;
    assert_eq!(job["result"]["verdict"], "worse", "{job}");
}

#[tokio::test]
async fn the_command_line_measures_sets_gates_and_shows_evidence() {
    let (server, folder) = (shop(&[]).await, tempfile::tempdir().unwrap());
    server.keep("", "default/judgements/names", &judged(1)).await;
    server.uploaded("", "?activate=true", build("rank-default", "0.2.0", "")).await;
    server.uploaded("", "", build("rank-default", "0.3.0", "")).await;
    let ran = async |arguments: &[&str]| {
        let ended = run(&server, folder.path(), &[&["plugin"][..], arguments].concat()).await;
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    };
    let (code, told, error) = ran(&["gate", "rank-default", "--max-age-seconds", "7200"]).await;
    assert_eq!((code, told.contains("an evaluation of the last 7200 s")), (Some(0), true), "{told}{error}");
    let version = ["rank-default", "--version", "0.3.0"];
    let evaluate = [&["evaluate"][..], &version[..], &["--judgements", "names", "--settings"]].concat();
    let (code, told, error) = ran(&[&evaluate[..], &[WORSE]].concat()).await;
    assert_eq!((code, told.contains("It finds less than what serves")), (Some(1), true), "{told}{error}");
    let (code, told, error) = ran(&[&evaluate[..], &[GOOD]].concat()).await;
    assert_eq!(code, Some(0), "{told}{error}");
    assert!(told.contains("ndcg@10") && told.contains("rank-default@0.3.0"), "{told}");
    let job = told.trim().rsplit(' ').next().unwrap();
    for (step, share) in [("canary", &["--percent", "50"][..]), ("activate", &[])] {
        let step = [&[step][..], &version[..], share, &["--settings", GOOD]].concat();
        let (code, _, error) = ran(&step).await;
        assert_eq!((code, error.contains("asks for an evaluation")), (Some(1), true), "{error}");
        let (code, _, error) = ran(&[&step[..], &["--evaluation", job]].concat()).await;
        assert_eq!(code, Some(0), "{error}");
    }
    let (code, told, _) = ran(&["gate", "rank-default", "--stop"]).await;
    assert_eq!((code, told.contains("evaluation")), (Some(0), false), "{told}");
    let (_, told, _) = ran(&["status", "rank-default"]).await;
    assert!(told.contains("gate lifted"), "{told}");
}
