//! Shops side by side: keys, scopes, allowances, and that nobody sees what is another's.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::{
    pictures::photograph,
    plugins::build,
    support::{Server, names, product, taja, words},
};

const OPERATOR: &str = "0123456789abcdef0123456789abcdef";
/// What the routes of plugins ask for, by their last word.
const ORDERS: [(&str, &str); 8] = [
    ("activate", r#"{"version": "1.0.0"}"#),
    ("deactivate", "{}"),
    ("canary", r#"{"version": "1.0.0", "percent": 5}"#),
    ("shadow", r#"{"version": "1.0.0", "every": 5}"#),
    ("rollback", "{}"),
    ("evaluate", r#"{"version": "1.0.0", "judgements": "shoes"}"#),
    ("gate", "{}"),
    ("outcome", r#"{"product_id": "p", "kind": "viewed"}"#),
];
const EVERYTHING: [&str; 3] = ["search", "catalogue", "admin"];
/// What everybody may ask for.
const OPEN: [&str; 3] = ["/", "/health", "/images/{hash}"];

impl Server {
    pub async fn with_shops(shops: &[&str]) -> Self {
        Self::with_shops_and(shops, &[]).await
    }

    /// The same with settings.
    pub async fn with_shops_and(shops: &[&str], settings: &[(&str, &str)]) -> Self {
        let server = Self::start_with(&[&[("api-key", OPERATOR)], settings].concat()).await;
        for shop in shops {
            let made = server.as_operator(Method::POST, "/tenants").json(&json!({ "id": shop }));
            assert_eq!(made.send().await.unwrap().status(), 201);
        }
        server
    }

    pub fn asked_with(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(key)
    }

    pub fn as_operator(&self, method: Method, path: &str) -> RequestBuilder {
        self.asked_with(OPERATOR, method, path)
    }

    /// Makes a key; its public part and itself.
    pub async fn key(&self, shop: &str, more: Value) -> (String, String) {
        let path = format!("/tenants/{shop}/keys");
        let made = self.as_operator(Method::POST, &path).json(&more).send().await.unwrap();
        assert_eq!(made.status(), 201);
        let key: Value = made.json().await.unwrap();
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }

    pub async fn full_key(&self, shop: &str) -> String {
        self.key(shop, json!({ "scopes": EVERYTHING })).await.1
    }

    /// Submits for a shop and waits for the end.
    pub async fn done(&self, key: &str, path: &str, form: reqwest::multipart::Form) -> Value {
        let request = self.asked_with(key, Method::POST, path).header("Prefer", "wait=30");
        let job: Value = request.multipart(form).send().await.unwrap().json().await.unwrap();
        assert_eq!(job["status"], "completed", "{job}");
        job
    }

    /// Every route and method of the description that is not open to everybody.
    async fn guarded(&self) -> Vec<(Method, String)> {
        let text: Value =
            self.as_operator(Method::GET, "/openapi.json").send().await.unwrap().json().await.unwrap();
        let routes = text["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase().parse().unwrap(), path.clone()))
        });
        routes.filter(|(_, path)| !OPEN.contains(&path.as_str())).collect()
    }
}

pub async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn no_route_but_the_open_ones_is_served_without_a_key() {
    let server = Server::with_shops(&[]).await;
    let routes = server.guarded().await;
    assert!(routes.len() > 15, "{routes:?}");
    for (method, path) in routes {
        let request = server.http.request(method.clone(), server.url(&path));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let (status, problem) = answer(response).await;
        assert_eq!((status, &problem["code"]), (401, &json!("key_missing")), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_anothers_is_answered_like_what_is_not_there() {
    let server = Server::with_shops(&["ours", "theirs"]).await;
    let (ours, theirs) = (server.full_key("ours").await, server.full_key("theirs").await);
    let (foreign_key, _) = server.key("theirs", json!({ "scopes": EVERYTHING })).await;
    let added = server.done(&theirs, "/add_product", product("Cup", vec![photograph("coffee")])).await;
    let found = server.done(&theirs, "/search", words("cup")).await;
    let recorded = server.done(&theirs, "/search", words("cup").text("record", "true")).await;
    let recording = recorded["result"]["recording"].as_str().unwrap();
    let digest = server.uploaded(&theirs, "", build("their-rank", "1.0.0", "")).await;
    let picture = taja_catalog::ImageHash::of(&photograph("coffee")).to_string();
    let nothing = "0192f0c1-2a3b-7c4d-8e5f-001122334455";
    let mut asked = 0;
    for (method, path) in server.guarded().await.into_iter().filter(|(_, path)| path.contains('{')) {
        let foreign: Vec<(&str, &str)> = if path.starts_with("/tenants") {
            vec![("theirs", "nobody")]
        } else if path.starts_with("/plugins") {
            vec![("their-rank", "no-rank")]
        } else if path.starts_with("/products") {
            vec![(added["result"]["product_id"].as_str().unwrap(), nothing)]
        } else if path.starts_with("/recordings") {
            vec![(recording, "0192f0c1-2a3b-7c4d-8e5f-001122334455.00")]
        } else {
            vec![(added["job_id"].as_str().unwrap(), nothing), (found["job_id"].as_str().unwrap(), nothing)]
        };
        for (there, gone) in foreign {
            let ask = async |id: &str, key_id: &str| {
                let order = ORDERS.iter().find(|(step, _)| path.ends_with(&format!("/{step}")));
                let body = order.map_or(r#"{"scopes": ["admin"]}"#, |(_, body)| body);
                let body = if path.starts_with("/models") { "{}" } else { body };
                let path = path.replace("{id}", id).replace("{key}", key_id);
                let path =
                    path.replace("{name}", id).replace("{digest}", &digest).replace("{hash}", &picture);
                let request = server.asked_with(&ours, method.clone(), &path).body(body);
                let response = request.header("content-type", "application/json").send().await;
                answer(response.unwrap()).await
            };
            let (there, gone) = (ask(there, &foreign_key).await, ask(gone, "0123456789abcdef").await);
            assert_eq!(there, gone, "{method} {path}");
            // Models are everybody's, and the operator's alone.
            let status = if path.starts_with("/models") { 403 } else { 404 };
            assert_eq!(there.0, status, "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 12, "only {asked} questions");
    // Their own are as they were.
    let path = format!("/jobs/{}", added["job_id"].as_str().unwrap());
    let (status, job) = answer(server.asked_with(&theirs, Method::GET, &path).send().await.unwrap()).await;
    assert_eq!((status, &job["status"]), (200, &json!("completed")));
    let named = server.asked_with(&ours, Method::GET, "/jobs").header("Taja-Tenant", "theirs");
    assert_eq!(named.send().await.unwrap().status(), 404);
}

/// Where a request can name the shop it is about, beside its key.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Naming {
    Header,
    Query,
    Body,
}

impl Server {
    /// Every route and method, with each place where it takes the name of a shop.
    async fn naming(&self) -> Vec<(Method, String, Naming)> {
        let api = self.as_operator(Method::GET, "/openapi.json").send().await.unwrap();
        let api: Value = api.json().await.unwrap();
        let mut naming = Vec::new();
        for (method, path) in self.guarded().await {
            let operation = &api["paths"][&path][method.as_str().to_lowercase()];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_query = parameters.iter().any(|it| it["name"] == "tenant" && it["in"] == "query");
            let body = operation["requestBody"]["content"]["application/json"].to_string();
            let mut bodies = body.split("#/components/schemas/").skip(1).map(|name| name.split('"').next());
            let in_body = bodies
                .any(|name| api["components"]["schemas"][name.unwrap()]["properties"]["tenant"].is_object());
            let places = [(Naming::Header, true), (Naming::Query, in_query), (Naming::Body, in_body)];
            let places = places.into_iter().filter(|(_, takes)| *takes);
            naming.extend(places.map(|(place, _)| (method.clone(), path.clone(), place)));
        }
        naming
    }
}

#[tokio::test]
async fn a_request_that_names_another_shop_is_answered_like_one_that_names_none() {
    let server = Server::with_shops(&["ours", "theirs"]).await;
    let (ours, theirs) = (server.full_key("ours").await, server.full_key("theirs").await);
    server.uploaded(&theirs, "?activate=true", build("their-rank", "1.0.0", "")).await;
    let theirs_now = async || {
        let mut all = Vec::new();
        for path in ["/plugins", "/plugins/their-rank/history", "/tenants/theirs/keys"] {
            all.push(answer(server.asked_with(&theirs, Method::GET, path).send().await.unwrap()).await);
        }
        all
    };
    let before = theirs_now().await;
    let component = build("our-rank", "1.0.0", "");
    let mut asked = Vec::new();
    for (method, path, naming) in server.naming().await {
        for plugin in ["their-rank", "rank-default"] {
            let ask = async |shop: &str| {
                let order = ORDERS.iter().find(|(step, _)| path.ends_with(&format!("/{step}")));
                let mut order: Value =
                    order.map_or(json!({}), |(_, body)| serde_json::from_str(body).unwrap());
                if naming == Naming::Body {
                    order["tenant"] = json!(shop);
                }
                let path =
                    path.replace("{name}", plugin).replace("{digest}", "1.0.0").replace("{id}", "ours");
                let query = if naming == Naming::Query { format!("?tenant={shop}") } else { String::new() };
                let request = server.asked_with(&ours, method.clone(), &format!("{path}{query}"));
                let request =
                    if naming == Naming::Header { request.header("Taja-Tenant", shop) } else { request };
                let request = match path.as_str() {
                    "/plugins" if method == Method::POST => {
                        request.header("content-type", "application/wasm").body(component.clone())
                    }
                    _ if method == Method::POST => request.json(&order),
                    _ => request,
                };
                answer(request.send().await.unwrap()).await
            };
            let (there, gone) = (ask("theirs").await, ask("nobody").await);
            assert_eq!(there, gone, "{method} {path} {naming:?}");
            assert_eq!((there.0, &there.1["code"]), (404, &json!("not_found")), "{method} {path} {naming:?}");
        }
        asked.push(naming);
    }
    let places = [Naming::Header, Naming::Query, Naming::Body];
    let asked = places.map(|place| asked.iter().filter(|naming| **naming == place).count());
    // Every route by its header; of plugins what reads, brings, removes or stops by its query, the steps and what measures by their body.
    assert!(asked[0] > 25 && asked[1] >= 7 && asked[2] == 7, "{asked:?}");
    assert_eq!(theirs_now().await, before);
}

#[tokio::test]
async fn shops_have_the_same_product_side_by_side_and_find_their_own() {
    let server = Server::with_shops(&["a", "b"]).await;
    let (a, b) = (server.full_key("a").await, server.full_key("b").await);
    server.done(&a, "/add_product", product("Red cup", vec![photograph("coffee")])).await;
    let empty = server.done(&b, "/search", words("cup")).await;
    assert_eq!(names(&empty["result"]), [] as [&str; 0]);
    let added = server.done(&b, "/add_product", product("Blue cup", vec![photograph("coffee")])).await;
    assert_eq!(added["result"]["status"], "success", "the other shop's picture is no duplicate");
    for (key, name) in [(&a, "Red cup"), (&b, "Blue cup")] {
        assert_eq!(names(&server.done(key, "/search", words("cup")).await["result"]), [name]);
        let jobs = server.asked_with(key, Method::GET, "/jobs").send().await.unwrap();
        let jobs: Value = jobs.json().await.unwrap();
        assert!((2..=3).contains(&jobs["jobs"].as_array().unwrap().len()), "{jobs}");
    }
    // The operator acts for any of them, and without a name for its own.
    let request = server.as_operator(Method::POST, "/search").header("Prefer", "wait=30");
    let found = request.header("Taja-Tenant", "a").multipart(words("cup")).send().await.unwrap();
    assert_eq!(names(&found.json::<Value>().await.unwrap()["result"]), ["Red cup"]);
    let nobody = server.as_operator(Method::GET, "/jobs").header("Taja-Tenant", "nobody");
    assert_eq!(nobody.send().await.unwrap().status(), 404);
    let metrics = server.as_operator(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tenant=\"a\"") && metrics.contains("tenant=\"b\""), "{metrics}");
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let server = Server::with_shops(&["shop"]).await;
    let nothing = "0192f0c1-2a3b-7c4d-8e5f-001122334455";
    for scope in EVERYTHING {
        let (_, key) = server.key("shop", json!({ "scopes": [scope] })).await;
        for (path, method, needed) in [
            ("/search", Method::POST, "search"),
            (&*format!("/search/job/{nothing}"), Method::GET, "search"),
            (&*format!("/search/progress/{nothing}"), Method::GET, "search"),
            ("/add_product", Method::POST, "catalogue"),
            (&*format!("/add_product/job/{nothing}"), Method::GET, "catalogue"),
            (&*format!("/add_product/progress/{nothing}"), Method::GET, "catalogue"),
            ("/jobs", Method::GET, "admin"),
            (&*format!("/jobs/{nothing}/redrive"), Method::POST, "admin"),
            ("/tenants", Method::GET, "admin"),
            ("/tenants/shop", Method::GET, "admin"),
            ("/tenants/shop/keys", Method::GET, "admin"),
            ("/plugins", Method::GET, "admin"),
            ("/plugins", Method::POST, "admin"),
            ("/plugins/rank-default", Method::GET, "admin"),
            ("/plugins/rank-default/history", Method::GET, "admin"),
            ("/plugins/rank-default/canary", Method::DELETE, "admin"),
            ("/plugins/rank-default/versions/0.1.0", Method::DELETE, "admin"),
        ] {
            let form = reqwest::multipart::Form::new().text("query", "x");
            let request = server.asked_with(&key, method.clone(), path).multipart(form);
            let (status, problem) = answer(request.send().await.unwrap()).await;
            let refused = problem["code"] == "scope_missing";
            assert_eq!(refused, scope != needed, "{method} {path} with {scope}: {status} {problem}");
            // What is everybody's is seen by a shop, and not its own to remove.
            assert_eq!(status == 403 && problem["code"] != "operator_only", refused);
        }
        for (method, path) in [(Method::GET, "/metrics"), (Method::POST, "/tenants")] {
            let request = server.asked_with(&key, method, path).json(&json!({ "id": "new" }));
            let (status, problem) = answer(request.send().await.unwrap()).await;
            assert_eq!((status, &problem["code"]), (403, &json!("operator_only")), "{path} with {scope}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_or_made_up_opens_nothing() {
    let server = Server::with_shops(&["shop"]).await;
    let (id, key) = server.key("shop", json!({ "scopes": ["admin"], "label": "till", "days": 1 })).await;
    let list = async || {
        let listed = server.as_operator(Method::GET, "/tenants/shop/keys").send().await.unwrap();
        listed.text().await.unwrap()
    };
    let listed = list().await;
    assert!(listed.contains(&id) && listed.contains("till") && listed.contains("active"), "{listed}");
    assert!(!listed.contains(&key[22..]) && !listed.contains("digest"), "{listed}");
    let status = async |key: &str| {
        server.asked_with(key, Method::GET, "/tenants/shop").send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&key).await, 200);
    let mut other = key.clone();
    let last = if other.ends_with('0') { "1" } else { "0" };
    other.replace_range(other.len() - 1.., last);
    assert_eq!(status(&other).await, 401);
    let path = format!("/tenants/shop/keys/{id}");
    assert_eq!(server.as_operator(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(status(&key).await, 401);
    assert!(list().await.contains("revoked"));
    let text = std::fs::read(server.data.join("taja.db")).unwrap();
    let log = std::fs::read(server.data.join("taja.db-wal")).unwrap();
    let secret = &key.as_bytes()[22..];
    assert!(![text, log].iter().any(|bytes| bytes.windows(secret.len()).any(|part| part == secret)));
}

#[tokio::test]
async fn a_key_used_too_often_is_told_when_to_come_back() {
    let server = Server::with_shops(&["shop"]).await;
    let (_, limited) = server.key("shop", json!({ "scopes": ["admin"], "per_minute": 3 })).await;
    let (_, other) = server.key("shop", json!({ "scopes": ["admin"] })).await;
    let ask = async |key: &str| server.asked_with(key, Method::GET, "/tenants").send().await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&limited).await.status(), 200);
    }
    let refused = ask(&limited).await;
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    let (status, problem) = answer(refused).await;
    assert_eq!((status, &problem["code"]), (429, &json!("too_many_requests")));
    assert_eq!(ask(&other).await.status(), 200);
}

#[tokio::test]
async fn what_makes_no_key_is_refused_field_by_field() {
    let server = Server::with_shops(&["shop"]).await;
    for (body, field) in [
        (json!({ "scopes": [] }), "/scopes"),
        (json!({ "scopes": ["root"] }), "/scopes"),
        (json!({ "scopes": ["admin"], "per_minute": 0 }), "/per_minute"),
        (json!({ "scopes": ["admin"], "days": 0 }), "/days"),
        (json!({ "scopes": ["admin"], "label": "a\nb" }), "/label"),
    ] {
        let request = server.as_operator(Method::POST, "/tenants/shop/keys").json(&body);
        let (status, problem) = answer(request.send().await.unwrap()).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(field)), "{body}: {problem}");
    }
    for (body, wanted) in [(json!({ "id": "Not A Name" }), 422), (json!({ "id": "shop" }), 409)] {
        let request = server.as_operator(Method::POST, "/tenants").json(&body);
        assert_eq!(request.send().await.unwrap().status(), wanted, "{body}");
    }
}

#[tokio::test]
async fn shops_and_keys_are_made_on_the_command_line() {
    let server = Server::start().await;
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let run = async |arguments: &[&str]| {
        let mut command = taja();
        command.env("TAJA_LISTEN", &address).env("TAJA_DATA", &server.data);
        let output = command.args(arguments).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&["tenant", "add", "shop", "--name", "The shop"]).await.1, "shop");
    let (code, _, error) = run(&["tenant", "add", "shop"]).await;
    assert_eq!((code, error.contains("registered already")), (Some(1), true), "{error}");
    let (code, key, error) = run(&["key", "add", "shop", "--scopes", "search,catalogue"]).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(key.starts_with("taja_") && key.len() == 86, "{key}");
    let id = &key[5..21];
    let listed = run(&["key", "list", "shop"]).await.1;
    assert!(listed.contains(id) && listed.contains("search, catalogue") && listed.contains("active"));
    assert_eq!(run(&["key", "revoke", "shop", id]).await.0, Some(0));
    assert!(run(&["key", "list", "shop", "--json"]).await.1.contains("revoked"));
    let (code, _, error) = run(&["key", "list", "nobody"]).await;
    assert_eq!((code, error.contains("no such tenant")), (Some(1), true), "{error}");
}
