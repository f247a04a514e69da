//! The life of a policy while the service runs: brought, tried, live, compared, gone back from, and whose it is.

mod barcode;
mod commands;
mod folder;
mod newcomers;
mod oci;
mod refused;
mod sessions;
mod swaps;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use taja_catalog::plugins::PluginDigest;
use taja_sandbox::manifest::embed;

use crate::{
    component::fixture,
    pictures::photograph,
    support::{Server, product, provisioned, root, words},
    tenants::answer,
};

/// How long what comes by itself may take: processes report every few seconds, and folders are looked at when they rest.
const PATIENCE: Duration = Duration::from_secs(30);

/// The fixture that ranks, under a name of its own. Each `more` makes another build of the same version.
pub fn build(name: &str, version: &str, more: &str) -> Vec<u8> {
    let manifest = format!("name = \"{name}\"\nversion = \"{version}\"\nkind = \"rank\"\n{more}\n");
    embed(&fixture("rank"), &manifest).unwrap()
}

/// A bundled policy as another version of itself.
fn bundled(name: &str, version: &str) -> Vec<u8> {
    let manifest = std::fs::read_to_string(root().join(format!("plugins/{name}/plugin.toml"))).unwrap();
    let folder = provisioned("TAJA_PLUGINS", "target/plugins");
    let packed = std::fs::read(folder.join(format!("{name}.wasm"))).unwrap();
    embed(&packed, &manifest.replace("version = \"0.1.0\"", &format!("version = \"{version}\""))).unwrap()
}

/// The bundled ranking policy as another version of itself.
fn ranking(version: &str) -> Vec<u8> {
    bundled("rank-default", version)
}

/// Asks for more than a shop gets.
const GREEDY: &str = "[limits]\ncpu_ms = 9000\nwall_ms = 60000\nmemory_mib = 128";

fn digest_of(component: &[u8]) -> String {
    PluginDigest::of(component).to_string()
}

impl Server {
    /// Asks as whoever has this key, or as the operator of a service without keys.
    async fn ask(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method, self.url(path));
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request.send().await.unwrap()).await
    }

    pub(crate) async fn step(&self, path: &str, body: Value) -> Value {
        let (status, plugin) = self.ask("", Method::POST, path, Some(body)).await;
        assert_eq!(status, 200, "{path}: {plugin}");
        plugin
    }

    async fn upload(&self, key: &str, query: &str, component: Vec<u8>) -> (u16, Value) {
        let request = self.http.post(self.url(&format!("/plugins{query}"))).body(component);
        let request = request.header("content-type", "application/wasm");
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        answer(request.send().await.unwrap()).await
    }

    /// Brings a component that is taken; its digest.
    pub async fn uploaded(&self, key: &str, query: &str, component: Vec<u8>) -> String {
        let (status, version) = self.upload(key, query, component).await;
        assert_eq!(status, 201, "{version}");
        version["digest"].as_str().unwrap().to_owned()
    }

    /// Who ranks a search: its name and digest.
    async fn ranked_by(&self, key: &str, query: &str) -> (String, String) {
        let request = self.http.post(self.url("/search"));
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        let ranked = plugin_of(&searched(request, query).await, "rank");
        let text = |name: &str| ranked[name].as_str().unwrap().to_owned();
        (text("name"), text("digest"))
    }
}

/// The result of a search that is asked for with this request.
async fn searched(request: reqwest::RequestBuilder, query: &str) -> Value {
    let request = request.header("Prefer", "wait=30").multipart(words(query));
    let (_, mut job) = answer(request.send().await.unwrap()).await;
    assert_eq!(job["status"], "completed", "{job}");
    job["result"].take()
}

/// The plugin with such a name that took part in a result.
fn plugin_of(result: &Value, name: &str) -> Value {
    let plugins = result["plugins"].as_array().unwrap();
    let named = |plugin: &&Value| plugin["name"].as_str().unwrap().contains(name);
    plugins.iter().find(named).unwrap_or_else(|| panic!("no {name} in {result}")).clone()
}

/// What a question answers at last.
pub async fn at_last<T>(what: &str, question: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            match question().await {
                Some(answer) => break answer,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

fn version<'a>(plugin: &'a Value, digest: &str) -> &'a Value {
    let versions = plugin["versions"].as_array().unwrap();
    versions.iter().find(|version| version["digest"] == digest).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_version_serves_while_the_service_runs_and_is_gone_back_from() {
    let server = Server::start().await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let bundled = server.ranked_by("", "cup").await.1;
    let other = ranking("9.0.0");
    let request = server.http.post(server.url("/plugins")).header("content-type", "application/wasm");
    let response = request.body(other.clone()).send().await.unwrap();
    assert_eq!(response.headers()["location"], "/plugins/rank-default");
    let (status, kept) = answer(response).await;
    let digest = digest_of(&other);
    assert_eq!((status, &kept["digest"], &kept["state"]), (201, &json!(digest), &json!("idle")));
    assert_eq!(
        (&kept["uploaded_by"], &kept["owner"], &kept["kind"]),
        (&json!("operator"), &json!(null), &json!("rank"))
    );
    assert_eq!(server.upload("", "", other).await.0, 200, "it is kept already");
    assert_eq!(server.ranked_by("", "cup").await.1, bundled, "what is kept does not serve");

    let order = json!({ "version": "9.0.0", "settings": { "k": 7 }, "reason": "a try" });
    let plugin = server.step("/plugins/rank-default/activate", order).await;
    assert_eq!(plugin["activation"]["live"]["settings"], json!({ "k": 7 }));
    assert_eq!(plugin["slot"], "rank");
    assert_eq!(version(&plugin, &digest)["state"], "live");
    assert_eq!(version(&plugin, &bundled)["state"], "previous");
    assert!(version(&plugin, &digest)["manifest"]["settings"].is_object());
    assert_eq!(server.ranked_by("", "cup").await.1, digest);
    let in_use =
        server.ask("", Method::DELETE, &format!("/plugins/rank-default/versions/{digest}"), None).await;
    assert_eq!((in_use.0, &in_use.1["code"]), (409, &json!("version_in_use")));

    let plugin = server.step("/plugins/rank-default/rollback", json!({})).await;
    assert_eq!(version(&plugin, &digest)["state"], "idle");
    assert_eq!(server.ranked_by("", "cup").await.1, bundled);
    let (_, events) = server.get("/plugins/rank-default/history").await;
    let told = events.as_array().unwrap().iter().map(|event| {
        (event["action"].as_str().unwrap(), event["by"].as_str().unwrap(), event["reason"].as_str().unwrap())
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            ("rolled_back", "operator", ""),
            ("activated", "operator", "a try"),
            ("activated", "plugin folder", "")
        ]
    );
    assert!(events[0]["at"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(server.get("/plugins/rank-default/history?limit=1").await.1.as_array().unwrap().len(), 1);

    let removal = format!("/plugins/rank-default/versions/{}", &digest[..8]);
    assert_eq!(server.ask("", Method::DELETE, &removal, None).await.0, 204);
    assert_eq!(server.ask("", Method::DELETE, &removal, None).await.1["code"], "plugin_not_found");
    let (_, health) = server.get("/health").await;
    assert_eq!(health["plugins"]["troubles"], json!([]));
}

#[tokio::test]
async fn a_canary_serves_its_share_and_a_shadow_is_compared() {
    let server = Server::start_with(&[("result-cache-minutes", "0")]).await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let bundled = server.ranked_by("", "cup").await.1;
    // Another plugin may be tried beside the one that is live in its slot.
    let digest = server.uploaded("", "", build("rank-plain", "1.0.0", "")).await;
    let plugin = server.step("/plugins/rank-plain/canary", json!({ "digest": digest, "percent": 100 })).await;
    assert_eq!(
        (&plugin["activation"]["canary"]["digest"], &plugin["activation"]["canary"]["percent"]),
        (&json!(digest), &json!(100))
    );
    assert_eq!(server.ranked_by("", "cup").await, ("rank-plain".to_owned(), digest.clone()));
    let (status, other) = server.ask("", Method::DELETE, "/plugins/rank-default/canary", None).await;
    assert_eq!((status, &other["code"]), (404, &json!("plugin_not_found")), "its trial is not this plugin's");
    let (status, plugin) =
        server.ask("", Method::DELETE, "/plugins/rank-plain/canary?reason=enough", None).await;
    assert_eq!((status, &plugin["activation"]["canary"]), (200, &json!(null)));
    assert_eq!(server.ranked_by("", "cup").await.1, bundled);

    let plugin = server.step("/plugins/rank-plain/shadow", json!({ "version": "1.0.0", "every": 1 })).await;
    assert_eq!(version(&plugin, &digest)["state"], "shadow");
    for query in ["cup", "a cup", "cup of coffee"] {
        assert_eq!(server.ranked_by("", query).await.1, bundled);
    }
    let row = at_last("statistics come", async || {
        let (_, plugin) = server.get("/plugins/rank-plain").await;
        let rows = version(&plugin, &digest)["statistics"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["part"] == "shadow" && row["compared"] == 3)
    })
    .await;
    assert_eq!(
        (&row["calls"], &row["outcomes"]["ok"], &row["mean_overlap"]),
        (&json!(3), &json!(3), &json!(1.0))
    );
    assert!(
        row["p99_micros"].as_u64() >= row["p50_micros"].as_u64()
            && row["peak_memory_bytes"].as_u64() > Some(0)
    );
    assert_eq!(server.ask("", Method::DELETE, "/plugins/rank-plain/shadow", None).await.0, 200);

    for (path, body, code) in [
        ("rank-plain/canary", json!({ "version": "1.0.0", "percent": 101 }), "order_refused"),
        ("rank-plain/shadow", json!({ "version": "1.0.0", "every": 0 }), "order_refused"),
        ("rank-default/activate", json!({ "settings": { "k": "many" } }), "order_refused"),
        ("rank-default/activate", json!({ "digest": "12" }), "field_invalid"),
        ("rank-default/activate", json!({ "reason": "two\nlines" }), "field_invalid"),
        ("rank-default/activate", json!({ "version": "7.7.7" }), "plugin_not_found"),
        ("rank-default/rollback", json!({ "to": "7.7.7" }), "plugin_not_found"),
        ("rank-plain/deactivate", json!({}), "plugin_not_found"),
        ("nobody/activate", json!({}), "plugin_not_found"),
    ] {
        let (_, problem) = server.ask("", Method::POST, &format!("/plugins/{path}"), Some(body)).await;
        assert_eq!(problem["code"], code, "{path}: {problem}");
    }
    let twin = server.uploaded("", "", build("rank-plain", "1.0.0", "title = \"another build\"")).await;
    let (status, problem) = server
        .ask("", Method::POST, "/plugins/rank-plain/activate", Some(json!({ "version": "1.0.0" })))
        .await;
    let mut both = [digest, twin];
    both.sort();
    assert_eq!(
        (status, &problem["code"], &problem["digests"]),
        (409, &json!("version_ambiguous"), &json!(both))
    );
}

#[tokio::test]
async fn a_shop_has_its_own_versions_and_choices_and_sees_no_others() {
    let server = Server::with_shops(&["ours", "theirs"]).await;
    let (ours, theirs) = (server.full_key("ours").await, server.full_key("theirs").await);
    for key in [&ours, &theirs] {
        server.done(key, "/add_product", product("Cup", vec![photograph("coffee")])).await;
    }
    let everybodys = server.ranked_by(&theirs, "cup").await;
    let digest = server.uploaded(&ours, "?activate=true", build("our-rank", "1.0.0", GREEDY)).await;
    assert_eq!(server.ranked_by(&ours, "cup").await, ("our-rank".to_owned(), digest.clone()));
    assert_eq!(server.ranked_by(&theirs, "cup").await, everybodys, "nobody else is served by it");

    let (_, list) = server.ask(&ours, Method::GET, "/plugins?tenant=ours", None).await;
    let own = list["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "our-rank").unwrap();
    let own = version(own, &digest);
    assert_eq!(
        (&own["owner"], &own["state"], &own["inherited"]),
        (&json!("ours"), &json!("live"), &json!(false))
    );
    // A shop gets less than an operator of what it asks for.
    let (granted, asked) = (&own["limits"]["granted"], &own["limits"]["asked"]);
    assert_eq!((&granted["cpu_ms"], &granted["wall_ms"]), (&json!(500), &json!(3000)), "{own}");
    assert_eq!((&granted["memory_mib"], &granted["handles"]), (&json!(128), &json!(64)), "{own}");
    assert_eq!(asked, &json!({ "cpu_ms": 9000, "wall_ms": 60_000 }), "{own}");
    let (_, plugin) = server.ask(&ours, Method::GET, "/plugins/our-rank", None).await;
    assert_eq!(version(&plugin, &digest)["limits"], own["limits"]);
    let (_, everybodys_own) = server.ask(&theirs, Method::GET, "/plugins/rank-default", None).await;
    assert!(version(&everybodys_own, &everybodys.1)["limits"]["asked"].is_null(), "{everybodys_own}");
    assert!(own["uploaded_by"].as_str().unwrap().starts_with("key ") && list["folder"].is_null(), "{list}");
    for path in [
        "/plugins?tenant=theirs",
        "/plugins/our-rank?tenant=theirs",
        "/plugins/our-rank/history?tenant=theirs",
    ] {
        let there = server.ask(&ours, Method::GET, path, None).await;
        let gone = server.ask(&ours, Method::GET, &path.replace("theirs", "nobody"), None).await;
        assert_eq!((there.0, &there), (404, &gone), "{path}");
    }
    let (_, list) = server.ask(&theirs, Method::GET, "/plugins", None).await;
    assert!(!list.to_string().contains("our-rank") && !list.to_string().contains(&digest), "{list}");
    let (_, plugin) = server.ask(&theirs, Method::GET, "/plugins/rank-default", None).await;
    assert_eq!((&plugin["tenant"], &plugin["activation"]["inherited"]), (&json!("theirs"), &json!(true)));
    assert_eq!(
        (&version(&plugin, &everybodys.1)["state"], &version(&plugin, &everybodys.1)["inherited"]),
        (&json!("live"), &json!(true))
    );
    let removal = format!("/plugins/rank-default/versions/{}", everybodys.1);
    let (status, problem) = server.ask(&theirs, Method::DELETE, &removal, None).await;
    assert_eq!((status, &problem["code"]), (403, &json!("operator_only")));

    // The operator means everybody unless it names a shop, one way or the other.
    let (_, list) = answer(server.as_operator(Method::GET, "/plugins").send().await.unwrap()).await;
    assert!(!list.to_string().contains("our-rank") && list["folder"].is_array(), "{list}");
    let named = server.as_operator(Method::GET, "/plugins/our-rank?tenant=ours").send().await.unwrap();
    assert_eq!(named.status(), 200);
    let named =
        server.as_operator(Method::POST, "/plugins/our-rank/deactivate").header("Taja-Tenant", "ours");
    assert_eq!(named.send().await.unwrap().status(), 200);
    assert_eq!(server.ranked_by(&ours, "cup").await, everybodys, "everybody's choice stands in");
    let (_, events) = server.ask(&ours, Method::GET, "/plugins/our-rank/history", None).await;
    assert_eq!((&events[0]["by"], &events[0]["action"]), (&json!("operator"), &json!("deactivated")));
    assert!(events[1]["by"].as_str().unwrap().ends_with(" of ours"), "{events}");

    // Of what a plugin asks for, a shop's gets what shops are granted: here nothing.
    let search =
        std::fs::read(provisioned("TAJA_PLUGINS", "target/plugins").join("search-text.wasm")).unwrap();
    let (status, problem) = server.upload(&ours, "", search.clone()).await;
    assert_eq!(
        (status, &problem["code"], &problem["stage"]),
        (422, &json!("plugin_refused"), &json!("grants"))
    );
    let request =
        server.as_operator(Method::POST, "/plugins?tenant=ours").header("content-type", "application/wasm");
    let (status, kept) = answer(request.body(search).send().await.unwrap()).await;
    assert_eq!((status, &kept["owner"]), (201, &json!("ours")));
    assert!(!kept["granted"].as_array().unwrap().is_empty());
}
