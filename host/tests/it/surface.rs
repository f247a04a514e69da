//! The seed's endpoints word for word, and what stands beside them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    pictures::photograph,
    support::{Server, product, words},
    tenants::answer,
};

#[tokio::test]
async fn the_seed_endpoints_answer_word_for_word() {
    let server = Server::start().await;
    for prefix in ["", "/api/v1"] {
        let (status, root) = server.get(&format!("{prefix}/")).await;
        assert_eq!(
            (status, &root["status"], &root["project"]),
            (200, &json!("ok"), &json!("Taja")),
            "{prefix}"
        );
        let (status, health) = server.get(&format!("{prefix}/health")).await;
        assert_eq!(status, 200);
        for part in ["api", "store", "queue", "model", "images", "plugins", "index"] {
            assert_eq!(health[part]["status"], "ok", "{part}: {health}");
        }
        assert_eq!(health["model"]["dimension"], 512);
    }
    let (status, accepted) = server.post("/add_product", product("Cup", vec![photograph("coffee")])).await;
    assert_eq!(status, 202);
    let id = accepted["job_id"].as_str().unwrap();
    assert_eq!(accepted, json!({ "job_id": id, "status": "processing" }));
    let job = server.job("/add_product", id).await;
    let result = &job["result"];
    let keys = ["status", "added", "duplicates", "errors", "error_details", "product_id"];
    assert!(keys.iter().all(|key| !result[key].is_null()), "{result}");
    let (_, progress) = server.get(&format!("/add_product/progress/{id}")).await;
    assert_eq!((&progress["job_id"], &progress["progress"]), (&json!(id), &json!(100)));
    assert!(progress["message"].is_string() && progress["timestamp"].is_string());
    assert_eq!(server.get(&format!("/search/job/{id}")).await.0, 404, "a job of another kind");

    let result = server.result("/search", words("cup")).await;
    let found = &result["matches"][0];
    for key in
        ["product_id", "name", "price", "description", "category", "image_urls", "matched_images", "score"]
    {
        assert!(!found[key].is_null(), "{key}: {found}");
    }
    let image = &found["matched_images"][0];
    assert_eq!(image["image_hash"].as_str().unwrap().len(), 64);
    assert!(image["image_url"].as_str().unwrap().starts_with("http"));
}

#[tokio::test]
async fn text_queries_come_as_json_urlencoded_or_multipart() {
    let server = Server::start().await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let requests = [
        server.http.post(server.url("/search")).json(&json!({ "query": "cup", "limit": 1 })),
        server
            .http
            .post(server.url("/search"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("query=cup&limit=1"),
        server.http.post(server.url("/search")).multipart(words("cup").text("limit", "1")),
    ];
    for request in requests {
        let answer = request.header("Prefer", "wait=20").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["preference-applied"], "wait=20");
        assert!(answer.headers()["location"].to_str().unwrap().starts_with("/search/job/"));
        let job: Value = answer.json().await.unwrap();
        assert_eq!(job["result"]["matches"][0]["name"], "Cup");
    }
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_job() {
    let server = Server::start().await;
    let send = async |name: &str| {
        let request = server.http.post(server.url("/add_product")).header("Idempotency-Key", "k1");
        let answer = request.multipart(product(name, vec![photograph("coffee")])).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let first = send("Cup").await;
    let again = send("Cup").await;
    assert_eq!((first.0, again.0), (202, 202));
    assert_eq!(first.1["job_id"], again.1["job_id"]);
    let other = send("Mug").await;
    assert_eq!((other.0, &other.1["code"]), (422, &json!("idempotency_key_reused")));
    let job = server.job("/add_product", first.1["job_id"].as_str().unwrap()).await;
    assert_eq!(job["result"]["status"], "success");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn the_description_names_every_route_and_the_page_loads_nothing_from_elsewhere() {
    let server = Server::start().await;
    let (status, api) = server.get("/openapi.json").await;
    assert_eq!((status, api["openapi"].as_str().unwrap().starts_with("3.1")), (200, true));
    for path in [
        "/",
        "/health",
        "/metrics",
        "/add_product",
        "/add_product/job/{id}",
        "/add_product/progress/{id}",
        "/search",
        "/search/job/{id}",
        "/search/progress/{id}",
        "/jobs/{id}",
        "/images/{hash}",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    let (status, page) = server.get("/docs").await;
    assert_eq!(status, 200);
    let page = page.as_str().unwrap();
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
}

#[tokio::test]
async fn metrics_tell_requests_jobs_batches_and_plugin_calls() {
    let server = Server::start().await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    server.result("/search", words("cup")).await;
    let (_, text) = server.get("/metrics").await;
    let text = text.as_str().unwrap();
    for series in [
        "taja_http_requests_total{method=\"POST\",route=\"/add_product\",status=\"202\",tenant=\"default\"} 1",
        "taja_job_duration_seconds_count{kind=\"add_product\",stage=\"wait\",tenant=\"default\"} 1",
        "taja_job_duration_seconds_count{kind=\"add_product\",stage=\"run\",tenant=\"default\"} 1",
        "taja_job_stage_seconds_count{kind=\"add_product\",stage=\"embedding images\"} 1",
        "taja_job_stage_seconds_count{kind=\"search\",stage=\"ranking\"} 1",
        "taja_jobs_total{kind=\"search\",outcome=\"completed\",tenant=\"default\"} 1",
        "taja_result_cache_total{outcome=\"miss\",tenant=\"default\"} 1",
        "taja_embedding_cache_total{outcome=\"miss\",tenant=\"default\"}",
        "taja_queue_depth{",
        "taja_batch_size_count{tower=\"image\"} 1",
        "taja_batch_max_size",
        "taja_inference_seconds_count{tower=\"text\"} 1",
        "taja_plugin_calls_total{",
        "taja_index_vectors 1",
    ] {
        assert!(text.contains(series), "{series} is not in:\n{text}");
    }
}

#[tokio::test]
async fn a_waiting_job_can_be_cancelled() {
    let server = Server::start_with(&[("ingest-jobs", "1")]).await;
    let mut jobs = Vec::new();
    for picture in ["coffee", "rocket", "chelsea", "coins", "astronaut", "camera"] {
        let (_, accepted) = server.post("/add_product", product(picture, vec![photograph(picture)])).await;
        jobs.push(accepted["job_id"].as_str().unwrap().to_owned());
    }
    let last = jobs.last().unwrap();
    let answer = server.http.delete(server.url(&format!("/jobs/{last}"))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let job = server.job("/add_product", last).await;
    assert_eq!((&job["status"], &job["failure"]["code"]), (&json!("failed"), &json!("cancelled")));
    server.job("/add_product", &jobs[4]).await;
    assert_eq!(server.counts().await, (5, 5));
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing_where_nobody_shows_a_key() {
    let server = Server::start().await;
    let (_, api) = server.get("/openapi.json").await;
    let routes = api["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase().parse::<Method>().unwrap(), path))
    });
    let changing: Vec<_> = routes.filter(|(method, _)| !method.is_safe()).collect();
    assert!(changing.len() > 10, "{changing:?}");
    let (_, before) = server.get("/plugins/rank-default").await;
    for (method, path) in changing {
        let path = path.replace("{name}", "rank-default");
        for (header, text) in [("Origin", "https://shop.example"), ("Sec-Fetch-Site", "cross-site")] {
            for prefix in ["", "/api/v1"] {
                // As a form or a script of that page sends it without asking: without a body.
                let request = server.http.request(method.clone(), server.url(&format!("{prefix}{path}")));
                let (status, problem) = answer(request.header(header, text).send().await.unwrap()).await;
                assert_eq!((status, &problem["code"]), (403, &json!("origin_foreign")), "{method} {path}");
            }
        }
    }
    assert_eq!(server.get("/plugins/rank-default").await.1, before);

    let deactivate = || server.http.post(server.url("/plugins/rank-default/deactivate"));
    let own = deactivate().header("Origin", &server.base).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(answer(own.send().await.unwrap()).await.0, 200, "a page of ours may");
    let read = server.http.get(server.url("/plugins")).header("Origin", "https://shop.example");
    assert_eq!(read.send().await.unwrap().status(), 200, "what changes nothing is answered");
}

#[tokio::test]
async fn whoever_shows_a_key_comes_from_wherever_it_likes() {
    let server = Server::with_shops(&[]).await;
    let changing = || server.as_operator(Method::POST, "/plugins/rank-default/deactivate");
    let request = changing().header("Origin", "https://shop.example").header("Sec-Fetch-Site", "cross-site");
    assert_eq!(answer(request.send().await.unwrap()).await.0, 200);
}
