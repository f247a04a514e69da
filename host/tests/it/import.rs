//! Files of products: taken in row by row, each for itself, and once.

use std::{collections::BTreeSet, io::Cursor, sync::Arc};

use axum::{Router, response::Redirect, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{ImageFormat, Rgb, RgbImage};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use taja_catalog::ImageHash;
use taja_queue::{NewJob, Queue, SqliteOptions, SqliteQueue};
use tokio::sync::Notify;

use crate::{
    pictures::photograph,
    support::{self, Server, taja},
};

/// Lets pictures be fetched from this machine.
pub const HERE: [(&str, &str); 1] = [("callback-networks", "127.0.0.0/8")];

impl Server {
    /// Submits a file; the status and the answer.
    async fn import(&self, content_type: &str, file: impl Into<reqwest::Body>) -> (u16, Value) {
        self.import_to("/products:import", content_type, file).await
    }

    /// The same, at this path.
    pub async fn import_to(
        &self,
        path: &str,
        content_type: &str,
        file: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self.http.post(self.url(path)).header("content-type", content_type);
        let answer = request.body(file).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Submits a file that is taken; its job.
    pub async fn importing(&self, content_type: &str, file: impl Into<reqwest::Body>) -> String {
        let (status, accepted) = self.import(content_type, file).await;
        assert_eq!(status, 202, "{accepted}");
        accepted["job_id"].as_str().unwrap().to_owned()
    }

    /// The job of an import, once it has ended.
    pub async fn imported(&self, id: &str) -> Value {
        for _ in 0..10 {
            let (_, job) = self.get(&format!("/jobs/{id}?wait=30")).await;
            if job["status"] == "completed" || job["status"] == "failed" {
                return job;
            }
        }
        panic!("import {id} did not end");
    }

    pub async fn import_results(&self, id: &str) -> Vec<Value> {
        let answer = self.http.get(self.url(&format!("/jobs/{id}/results"))).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn inline(picture: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(picture))
}

pub fn row(name: &str, image: &str) -> Value {
    json!({ "name": name, "price": 10, "description": "", "images": [image] })
}

/// Patches of colour, other ones for each number.
pub fn mosaic(number: u64) -> Vec<u8> {
    let colour = |x: u32, y: u32| {
        let cell = u64::from(x / 16 + 4 * (y / 16));
        let mixed = (number * 16 + cell + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [_, _, a, _, b, _, c, _] =
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes();
        Rgb([a, b, c])
    };
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_fn(64, 64, colour).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A file of so many of them.
pub fn mosaics(rows: u64) -> String {
    let row = |n| row(&format!("Mosaic {n}"), &inline(&mosaic(n))).to_string();
    (1..=rows).map(row).collect::<Vec<_>>().join("\n")
}

/// What became of each row: its line, the word, and the code of what went wrong.
pub fn words(results: &[Value]) -> Vec<(u64, &str, &str)> {
    let word = |it| {
        let it: &Value = it;
        (
            it["line"].as_u64().unwrap(),
            it["status"].as_str().unwrap(),
            it["error"]["code"].as_str().unwrap_or_default(),
        )
    };
    results.iter().map(word).collect()
}

/// Somebody who shows pictures; where.
pub async fn gallery() -> String {
    let app = Router::new()
        .route("/rocket", get(async || photograph("rocket")))
        .route("/moved", get(async || Redirect::to("/rocket")))
        .route("/inside", get(async || Redirect::to("http://10.0.0.1/")))
        .route("/round", get(async || Redirect::to("/round")))
        .route("/text", get(async || "no picture"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Somebody whose picture `/held` comes once `/shown`, the same one, was asked for; where.
async fn hesitant_gallery() -> String {
    let asked = Arc::new(Notify::new());
    let asks = asked.clone();
    let held = async move || {
        asked.notified().await;
        photograph("rocket")
    };
    let shown = async move || {
        asks.notify_one();
        photograph("rocket")
    };
    let app = Router::new().route("/held", get(held)).route("/shown", get(shown));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn of_rows_with_the_same_picture_the_first_is_the_product() {
    let gallery = hesitant_gallery().await;
    let server = Server::start_with(&HERE).await;
    let product = |name: &str, pictures: &[&str]| {
        let images: Vec<_> = pictures.iter().map(|name| inline(&photograph(name))).collect();
        json!({ "name": name, "price": 10, "description": "", "images": images })
    };
    let rows = [
        row("First", &format!("{gallery}/held")),
        row("Second", &format!("{gallery}/shown")),
        product("Third", &["chelsea", "astronaut", "coffee"]),
        product("Fourth", &["coffee"]),
        product("Fifth", &["coins", "camera", "hubble_deep_field"]),
        product("Sixth", &["camera"]),
    ];
    let lines = rows.map(|row| row.to_string()).join("\n");
    let id = server.importing("application/x-ndjson", lines).await;
    server.imported(&id).await;
    let results = server.import_results(&id).await;
    let expected = [
        (1, "success", ""),
        (2, "duplicate", ""),
        (3, "success", ""),
        (4, "duplicate", ""),
        (5, "success", ""),
        (6, "duplicate", ""),
    ];
    assert_eq!(words(&results), expected);
    for pair in results.chunks(2) {
        assert_eq!(pair[0]["product_id"], pair[1]["product_id"]);
    }
    assert_eq!(server.counts().await, (3, 7));
}

#[tokio::test]
async fn what_became_of_the_first_rows_is_told_while_the_next_ones_are_under_way() {
    let gallery = hesitant_gallery().await;
    let server = Server::start_with(&HERE).await;
    let lines = [
        row("Cup", &inline(&photograph("coffee"))),
        row("Cat", &inline(&photograph("chelsea"))),
        row("Rocket", &format!("{gallery}/held")),
    ];
    let lines = lines.map(|row| row.to_string()).join("\n");
    let id = server.importing("application/x-ndjson", lines).await;
    while server.import_results(&id).await.len() < 2 {
        server.get(&format!("/jobs/{id}?wait=1")).await;
    }
    assert_eq!(words(&server.import_results(&id).await), [(1, "success", ""), (2, "success", "")]);
    server.http.get(format!("{gallery}/shown")).send().await.unwrap();
    let job = server.imported(&id).await;
    assert_eq!(job["result"]["outcomes"], json!({ "success": 3 }));
}

#[tokio::test]
async fn a_row_that_is_at_fault_fails_alone() {
    let gallery = gallery().await;
    let server = Server::start_with(&HERE).await;
    let lines = [
        row("Cup", &inline(&photograph("coffee"))).to_string(),
        "no json".to_owned(),
        json!({ "name": "Nothing" }).to_string(),
        row("Rocket", &format!("{gallery}/moved")).to_string(),
        row("Path", "/etc/passwd").to_string(),
        row("Inside", &format!("{gallery}/inside")).to_string(),
        row("Round", &format!("{gallery}/round")).to_string(),
        row("Text", &format!("{gallery}/text")).to_string(),
        row("Gone", &format!("{gallery}/gone")).to_string(),
        row("Cat", &inline(&photograph("chelsea"))).to_string(),
    ];
    let id = server.importing("application/x-ndjson", lines.join("\n")).await;
    let job = server.imported(&id).await;
    assert_eq!(
        (&job["status"], &job["kind"], &job["result"]["rows"]),
        (&json!("completed"), &json!("import"), &json!(10))
    );
    assert_eq!(job["result"]["outcomes"], json!({ "success": 3, "failed": 7 }));
    let results = server.import_results(&id).await;
    let expected = [
        (1, "success", ""),
        (2, "failed", "row_malformed"),
        (3, "failed", "field_invalid"),
        (4, "success", ""),
        (5, "failed", "image_address_invalid"),
        (6, "failed", "image_address_invalid"),
        (7, "failed", "image_unfetchable"),
        (8, "failed", "media_type_unsupported"),
        (9, "failed", "image_unfetchable"),
        (10, "success", ""),
    ];
    assert_eq!(words(&results), expected);
    let (_, product) = server.get(&format!("/products/{}", results[3]["product_id"].as_str().unwrap())).await;
    assert_eq!(product["name"], "Rocket");
    assert_eq!(server.counts().await, (3, 3));
}

#[tokio::test]
async fn a_table_is_taken_in_too_and_what_is_none_is_refused() {
    let server = Server::start().await;
    let table = format!(
        "name,price,description,sizes,attributes.fit,attributes.litres:number,attributes.for:list,images\n\
         Cup,3.5,\"one, large\",S|M,wide,1.5,tea|milk,\"{}|{}\"\nCat,free,,,,,,x\nDog,1,,,,much,,x\n",
        inline(&photograph("coffee")),
        inline(&photograph("rocket"))
    );
    let id = server.importing("text/csv; charset=utf-8", table).await;
    server.imported(&id).await;
    let results = server.import_results(&id).await;
    let expected = [(2, "success", ""), (3, "failed", "field_invalid"), (4, "failed", "row_malformed")];
    assert_eq!(words(&results), expected);
    assert_eq!(results[2]["error"]["message"], "attributes.litres: is not a number");
    assert_eq!(results[0]["added"], 2);
    let (_, product) = server.get(&format!("/products/{}", results[0]["product_id"].as_str().unwrap())).await;
    let attributes = json!({ "fit": "wide", "litres": 1.5, "for": ["tea", "milk"] });
    assert_eq!((&product["sizes"], &product["attributes"]), (&json!(["S", "M"]), &attributes));

    let code = |answer: (u16, Value)| (answer.0, answer.1["code"].as_str().unwrap().to_owned());
    let refused = code(server.import("application/json", "{}").await);
    assert_eq!(refused, (415, "content_type_unsupported".to_owned()));
    assert_eq!(code(server.import("text/csv", "").await), (422, "file_empty".to_owned()));
    let (status, problem) = server.import("text/csv", " , \n1,2\n").await;
    assert_eq!((status, &problem["code"]), (422, &json!("import_unreadable")));
    assert!(problem["detail"].as_str().unwrap().contains("line 1: there is no row of names"), "{problem}");
    let (status, problem) = server.import("text/csv", "name,attributes.litres:float\na,1\n").await;
    assert_eq!((status, &problem["code"]), (422, &json!("import_unreadable")));
    assert!(
        problem["detail"].as_str().unwrap().contains("column 2 is called attributes.litres:float"),
        "{problem}"
    );
    assert_eq!(server.get("/jobs/none/results").await.0, 404);
}

#[tokio::test]
async fn a_table_from_a_spreadsheet_is_taken_in_as_it_is() {
    let server = Server::start().await;
    let table = format!(
        "sep=;\r\nname;price;description;stock;images;\r\nTasse;3,50;\"gro\u{df}\r\nund blau\";4;\"{}\";\r\n;;;;;\r\nKatze;1.234,5;;;x;\r\n",
        inline(&photograph("coffee"))
    );
    let id = server.importing("text/csv", table).await;
    let job = server.imported(&id).await;
    assert_eq!(job["result"]["rows"], 2, "{job}");
    let results = server.import_results(&id).await;
    assert_eq!(words(&results), [(3, "success", ""), (6, "failed", "field_invalid")]);
    assert_eq!(results[1]["error"]["message"], "price: is not a number");
    let (_, cup) = server.get(&format!("/products/{}", results[0]["product_id"].as_str().unwrap())).await;
    assert_eq!((&cup["price"], &cup["stock"]), (&json!(3.5), &json!(4)));
    assert_eq!(cup["description"], "gro\u{df}\nund blau");
}

#[tokio::test]
async fn a_file_that_is_too_large_or_has_too_many_rows_is_refused_and_has_limits_of_its_own() {
    let limits = [("max-request-bytes", "1000"), ("max-import-bytes", "100000"), ("max-import-rows", "3")];
    let server = Server::start_with(&limits).await;
    let chunks = futures::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1000])));
    for file in [reqwest::Body::wrap_stream(chunks), vec![b' '; 200_000].into()] {
        let (status, problem) = server.import("application/x-ndjson", file).await;
        assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    }
    let (status, problem) = server.import("application/x-ndjson", "{}\n\n{}\n{}\n{}").await;
    assert_eq!((status, &problem["code"]), (422, &json!("too_many_rows")));
    assert_eq!(problem["detail"], "the file has 4 rows; 3 are allowed");
    assert_eq!(server.get("/jobs").await.1["jobs"], json!([]));

    let id = server
        .importing("application/x-ndjson", format!("{{\"name\":\"{}\"}}\n{{}}\n{{}}", "x".repeat(2000)))
        .await;
    assert_eq!(server.imported(&id).await["result"]["rows"], 3);
    assert_eq!(server.post("/search", support::words(&"x".repeat(2000))).await.0, 413);
}

#[tokio::test]
async fn what_became_of_the_rows_is_told_for_a_while_and_the_products_stay() {
    let server = Server::start().await;
    let id = server
        .importing("application/x-ndjson", row("Cup", &inline(&photograph("coffee"))).to_string())
        .await;
    server.imported(&id).await;
    assert_eq!(words(&server.import_results(&id).await), [(1, "success", "")]);
    let empty = server.importing("text/csv", "name,price\n").await;
    server.imported(&empty).await;
    // What the sweep does after a day.
    let staging = server.data.join("staging");
    for place in std::fs::read_dir(&staging).unwrap() {
        std::fs::remove_dir_all(place.unwrap().path()).unwrap();
    }
    let (status, problem) = server.get(&format!("/jobs/{id}/results")).await;
    assert_eq!((status, &problem["code"]), (410, &json!("results_gone")));
    assert!(server.import_results(&empty).await.is_empty(), "there never were any");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_and_takes_every_row_in_once() {
    const ROWS: u64 = 160;
    let folder = tempfile::tempdir().unwrap();
    let settings = [("lease-seconds", "2"), ("attempts", "10")];
    let server = Server::start_on(folder.path(), &settings).await;
    let id = server.importing("application/x-ndjson", mosaics(ROWS)).await;
    // Past some blocks, and in the middle of one.
    while server.import_results(&id).await.len() < 64 {
        let (_, job) = server.get(&format!("/jobs/{id}?wait=1")).await;
        assert_ne!(job["status"], "completed", "the kill comes in the middle");
    }
    server.kill().await;
    let server = Server::start_on(folder.path(), &settings).await;
    let job = server.imported(&id).await;
    assert!(job["attempts"].as_u64().unwrap() > 1, "{job}");
    every_mosaic_is_in_once(&server, &job, ROWS).await;
}

#[tokio::test]
async fn an_import_that_gets_on_may_be_killed_as_often_as_it_likes_and_keeps_no_search_waiting() {
    let folder = tempfile::tempdir().unwrap();
    // One kill is held against it, and the second would be its end.
    let settings = [("lease-seconds", "2"), ("attempts", "2")];
    let server = Server::start_on(folder.path(), &settings).await;
    let (slow, quick) = (mosaics(40), ["{}"; 140].join("\n"));
    let (first, second) = slow.split_at(slow.match_indices('\n').nth(15).unwrap().0);
    let id = server.importing("application/x-ndjson", format!("{first}\n{quick}{second}")).await;
    while server.import_results(&id).await.is_empty() {
        server.get(&format!("/jobs/{id}?wait=1")).await;
    }
    server.kill().await;
    let server = Server::start_on(folder.path(), &settings).await;
    while server.import_results(&id).await.len() < 128 {
        server.get(&format!("/jobs/{id}?wait=1")).await;
    }
    // Started twice, until the first start does not count any more.
    while server.get(&format!("/jobs/{id}?wait=1")).await.1["attempts"] != 1 {}
    let found = server.finish("/search", support::words("patches")).await;
    assert_eq!(found["status"], "completed", "{found}");
    assert_eq!(server.get(&format!("/jobs/{id}")).await.1["status"], "processing");
    server.kill().await;
    let server = Server::start_on(folder.path(), &settings).await;
    let results = every_row_is_told_once(&server, &server.imported(&id).await, 180).await;
    let made = results.iter().filter(|it| it["status"] == "success").count();
    assert_eq!(server.counts().await.0, made as u64);
}

/// Whether an import is through and each of its rows is told once; what is told.
async fn every_row_is_told_once(server: &Server, job: &Value, rows: u64) -> Vec<Value> {
    assert_eq!((&job["status"], &job["result"]["rows"]), (&json!("completed"), &json!(rows)), "{job}");
    let results = server.import_results(job["job_id"].as_str().unwrap()).await;
    let lines: Vec<_> = results.iter().map(|it| it["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=rows).collect::<Vec<_>>());
    results
}

/// Whether each row of an import of mosaics is told once, and is one product or a part of one.
pub async fn every_mosaic_is_in_once(server: &Server, job: &Value, rows: u64) {
    let results = every_row_is_told_once(server, job, rows).await;
    let made: Vec<_> = results.iter().filter(|it| it["status"] == "success").collect();
    let ids: BTreeSet<_> = made.iter().map(|it| it["product_id"].as_str().unwrap()).collect();
    assert!(made.len() as u64 > rows / 2, "mosaics differ: {}", job["result"]);
    assert_eq!(ids.len(), made.len());
    let added = results.iter().map(|it| it["added"].as_u64().unwrap()).sum();
    assert_eq!(server.counts().await, (made.len() as u64, added));
}

#[tokio::test]
async fn an_import_that_an_earlier_version_took_goes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = mosaics(3);
    let hash = ImageHash::of(file.as_bytes());
    // Rows were not counted beforehand then.
    let job = NewJob::new("import", "default", json!({ "file": hash, "format": "ndjson", "pins": {} }));
    let upload = folder.path().join("staging").join(job.id.to_string());
    std::fs::create_dir_all(&upload).unwrap();
    std::fs::write(upload.join(hash.to_string()), file).unwrap();
    let left = SqliteQueue::open(&folder.path().join("taja.db"), SqliteOptions::default()).unwrap();
    left.push(job.clone()).await.unwrap();
    drop(left);
    let server = Server::start_on(folder.path(), &[]).await;
    let job = server.imported(&job.id.to_string()).await;
    every_mosaic_is_in_once(&server, &job, 3).await;
}

#[tokio::test]
async fn an_import_that_is_called_off_keeps_what_is_in() {
    let server = Server::start().await;
    let id = server.importing("application/x-ndjson", mosaics(300)).await;
    while server.import_results(&id).await.is_empty() {
        server.get(&format!("/jobs/{id}?wait=1")).await;
    }
    let cancelled = server.http.delete(server.url(&format!("/jobs/{id}"))).send().await.unwrap();
    assert_eq!(cancelled.status(), 200);
    let job = server.imported(&id).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("cancelled")));
    let results = server.import_results(&id).await;
    assert!((1..300).contains(&results.len()), "{}", results.len());
    let made = results.iter().filter(|it| it["status"] == "success").count();
    assert_eq!(server.counts().await.0, made as u64);
}

#[tokio::test]
async fn what_is_exported_can_be_imported_again() {
    let before = Server::start().await;
    let cup = json!({
        "name": "Cup, \"large\"; gro\u{df} \u{2713}", "price": 3.55, "description": "two lines,\n=1+1", "sizes": ["a|b", "c;d"],
        "key_features": ["holds, pours", "[stacks]"], "category": "cups;mugs", "color": "red|blue", "weight_kg": 0.25,
        "sku": "007", "stock": 4, "currency": "EUR", "item_group_id": "1e3",
        "attributes": { "dishwasher": true, "weight": 0.5, "for": ["tea", "coffee"], "since": "2026-03-01", "code": "007" },
        "images": [inline(&photograph("coffee")), inline(&photograph("coins"))],
    });
    let rows = format!("{cup}\n{}", row("Rocket", &inline(&photograph("rocket"))));
    before.imported(&before.importing("application/x-ndjson", rows).await).await;
    let cheaper = json!({
        "name": "Cup, used", "price": 2, "description": "", "sku": "008", "images": [inline(&photograph("coffee"))]
    });
    let id = before.importing("application/x-ndjson", cheaper.to_string()).await;
    before.imported(&id).await;
    assert_eq!(words(&before.import_results(&id).await), [(1, "offer", "")]);
    for (format, content_type) in [("ndjson", "application/x-ndjson"), ("csv", "text/csv")] {
        let path = format!("/api/v1/products:export?format={format}");
        let export = before.http.get(before.url(&path)).send().await.unwrap();
        assert_eq!(export.headers()["content-type"], content_type);
        let after = Server::start_with(&HERE).await;
        let id = after.importing(content_type, export.text().await.unwrap()).await;
        let job = after.imported(&id).await;
        assert_eq!(
            job["result"]["outcomes"],
            json!({ "success": 2 }),
            "{:?}",
            after.import_results(&id).await
        );
        assert_eq!(shelf(&after).await, shelf(&before).await, "{format}");
    }
    let mut command = taja();
    command.args(["export", "--server", &before.base, "--filter", r#"{"stock":{"gt":0}}"#]);
    let some = command.output().await.unwrap();
    assert!(some.status.success(), "{}", String::from_utf8_lossy(&some.stderr));
    let some = String::from_utf8(some.stdout).unwrap();
    assert_eq!(some.lines().count(), 1);
    let some: Value = serde_json::from_str(&some).unwrap();
    for field in cup.as_object().unwrap().keys().filter(|field| *field != "images") {
        assert_eq!(some[field], cup[field], "{field}");
    }
    let (status, problem) = before.get("/products:export?format=xml").await;
    assert_eq!((status, &problem["code"]), (422, &json!("field_invalid")));
}

#[tokio::test]
async fn what_a_service_exports_its_other_shops_can_import() {
    let mut server = Server::start().await;
    let cup = json!({
        "name": "Cup", "price": 3.5, "description": "",
        "images": [inline(&photograph("coffee")), inline(&photograph("coins"))],
    });
    let rows = format!("{cup}\n{}", row("Rocket", &inline(&photograph("rocket"))));
    server.imported(&server.importing("application/x-ndjson", rows).await).await;
    let all = shelf(&server).await;
    let mut exports = Vec::new();
    for (format, content_type) in [("ndjson", "application/x-ndjson"), ("csv", "text/csv")] {
        let export = server.url(&format!("/products:export?format={format}"));
        exports.push((content_type, server.http.get(export).send().await.unwrap().text().await.unwrap()));
    }
    for (shop, (content_type, export)) in ["first", "second"].into_iter().zip(exports.clone()) {
        server.enter(shop).await;
        let id = server.importing(content_type, export).await;
        let job = server.imported(&id).await;
        assert_eq!(job["result"]["outcomes"], json!({ "success": 2 }), "{job}");
        assert_eq!(shelf(&server).await, all);
    }
    let (_, listed) = server.get("/products").await;
    let picture = listed["products"][0]["image_urls"][0].as_str().unwrap().to_owned();

    server.enter("third").await;
    let gone = picture.replace(picture.rsplit('/').next().unwrap(), &ImageHash::of(b"gone").to_string());
    let elsewhere = [
        picture.replace("http://", "http://user@"),
        picture.replace("/images/", "/images/../images/"),
        picture.replace("/images/", "/images%2f"),
        picture.replace("/images/", "/health?"),
        format!("{picture}?size=1"),
        server.url("/metrics"),
    ];
    let rows = [row("Hosted", &picture), row("Gone", &gone)];
    let rows = rows.into_iter().chain(elsewhere.iter().map(|address| row("Elsewhere", address)));
    let lines = rows.map(|row| row.to_string()).collect::<Vec<_>>().join("\n");
    let id = server.importing("application/x-ndjson", lines).await;
    server.imported(&id).await;
    let results = server.import_results(&id).await;
    let mut expected = vec![(1, "success", ""), (2, "failed", "image_unfetchable")];
    expected.extend((3..).zip(&elsewhere).map(|(line, _)| (line, "failed", "image_address_invalid")));
    assert_eq!(words(&results), expected);
    let why = results[1]["error"]["message"].as_str().unwrap();
    assert_eq!(why, "images: entry 0 names a picture that is not hosted here (any more)");
}

impl Server {
    /// Registers a shop, and acts for it from here on.
    async fn enter(&mut self, shop: &str) {
        let made = self.http.post(self.url("/tenants")).json(&json!({ "id": shop })).send().await.unwrap();
        assert_eq!(made.status(), 201);
        let shop = HeaderMap::from_iter([(HeaderName::from_static("taja-tenant"), shop.parse().unwrap())]);
        self.http = reqwest::Client::builder().no_proxy().default_headers(shop).build().unwrap();
    }
}

/// What a shop has, without what is each service's own.
async fn shelf(server: &Server) -> Vec<Value> {
    let (_, list) = server.get("/products").await;
    let mut products = list["products"].as_array().unwrap().clone();
    for product in &mut products {
        // Hosted pictures may be other bytes than those that were sent.
        product["images"] = product["images"].as_array().unwrap().len().into();
        for own in ["product_id", "created_at", "updated_at", "image_urls", "thumbnail_urls", "card_urls"] {
            product.as_object_mut().unwrap().remove(own);
        }
        for offer in product["offers"].as_array_mut().into_iter().flatten() {
            let own = ["id", "added_at"].map(|own| offer.as_object_mut().unwrap().remove(own));
            assert!(own.iter().all(Option::is_some), "{own:?}");
        }
    }
    products.sort_by_key(|product| product["name"].to_string());
    products
}
