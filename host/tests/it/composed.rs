//! Queries of several parts: pictures and words of one kind, what results should be unlike, regions of pictures, and what a
//! search tells of itself.

use reqwest::{Method, multipart::Form};
use serde_json::{Value, json};
use taja_catalog::{
    policy::Columns,
    recording::{Answer, Recording},
    search::candidates,
};

use crate::{
    pictures::{another_view, beside, photograph},
    support::{Server, file, image_query, names, product, taja, words},
    tenants::answer,
};

async fn shop(stock: &[(&str, &str)]) -> Server {
    let server = Server::start().await;
    for (picture, name) in stock {
        server.result("/add_product", product(name, vec![photograph(picture)])).await;
    }
    server
}

const SHOP: &[(&str, &str)] = &[
    ("coffee", "Cup of coffee"),
    ("chelsea", "Ginger cat"),
    ("rocket", "Model rocket"),
    ("coins", "Old coins"),
];

#[tokio::test]
async fn several_pictures_and_several_texts_are_one_query_and_each_has_its_weight() {
    let server = shop(SHOP).await;
    let picture = |name: &str| file(another_view(name), "query");
    let two = || image_query(another_view("coffee")).part("images[]", picture("chelsea"));
    let found = server.found(two().text("weights", r#"{"image[1]": 3}"#)).await;
    assert_eq!(found[..2], ["Ginger cat", "Cup of coffee"]);
    let found = server.found(two().text("weights", r#"{"image[0]": 3}"#)).await;
    assert_eq!(found[..2], ["Cup of coffee", "Ginger cat"]);

    let (status, problem) = server.post("/search", two().text("weights", r#"{"imge": 9}"#)).await;
    let wrong = &problem["errors"][0];
    assert_eq!((status, &wrong["pointer"]), (422, &json!("/weights/imge")));
    assert_eq!(wrong["detail"], "names no part of this search, which has image");

    let words_alone = json!({ "search-text": { "settings": { "vector_weight": 0 } } }).to_string();
    let texts = words("rocket").text("query", "coins").text("policies", words_alone.clone());
    let mut found = server.found(texts).await;
    found.sort();
    assert_eq!(found, ["Model rocket", "Old coins"]);
    // The same as JSON, and as a plain form.
    let request = server.http.post(server.url("/search")).header("prefer", "wait=30");
    let body = json!({"query": ["rocket", "coins"], "policies": { "search-text": { "settings": { "vector_weight": 0 } } }});
    let job: Value = request.try_clone().unwrap().json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(job["result"]["total"], 2, "{job}");
    let policies: String = words_alone.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let form = format!("query=rocket&query=coins&policies={policies}");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let job: Value = request.body(form).send().await.unwrap().json().await.unwrap();
    assert_eq!(job["result"]["total"], 2, "{job}");
}

#[tokio::test]
async fn what_results_should_be_unlike_falls_behind_and_is_never_brought() {
    let stock = [("coffee", "Leather jacket"), ("chelsea", "Denim jacket"), ("rocket", "Leather belt")];
    let server = shop(&stock).await;
    let alone = json!({ "search-text": { "settings": { "vector_weight": 0 } } }).to_string();
    let query = || words("jacket").text("policies", alone.clone());
    let result = server.result("/search", query().text("not", "leather").text("explain", "true")).await;
    assert_eq!(names(&result), ["Denim jacket", "Leather jacket"], "{result}");
    assert_eq!(result["matches"][1]["explain"]["legs"].as_array().map(Vec::len), Some(2), "{result}");
    assert_eq!(
        result["legs"].as_array().unwrap().iter().filter(|leg| leg["weight"].as_f64() < Some(0.0)).count(),
        1
    );

    let picture = |name: &str| file(another_view(name), "query");
    let unlike = || {
        image_query(another_view("chelsea"))
            .part("not_image", picture("chelsea"))
            .text("weights", r#"{"not_image": 9}"#)
    };
    let result = server.result("/search", unlike()).await;
    assert_eq!(names(&result)[2], "Denim jacket");
    assert_eq!(result["matches"][2]["score"], 0.0, "{result}");

    let (status, problem) =
        server.post("/search", image_query(photograph("coffee")).text("not_smell", "x")).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/not_smell")));
    let (status, problem) = server.post("/search", Form::new().text("not", "leather")).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/query")));
}

#[tokio::test]
async fn the_region_of_a_picture_that_is_meant_is_what_is_searched_for() {
    let server = shop(SHOP).await;
    let query = |crop: &str| image_query(beside("coffee", "chelsea")).text("crop", crop.to_owned());
    for (crop, name) in [("0,0,0.5,1", "Cup of coffee"), ("[0.5, 0, 0.5, 1]", "Ginger cat")] {
        assert_eq!(server.found(query(crop)).await[0], name);
    }
    for crop in ["0.5,0,0.6,1", "0,0,0,1", "a,b,c,d", r#"{"image[3]": [0, 0, 1, 1]}"#] {
        let (status, problem) = server.post("/search", query(crop)).await;
        let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
        assert!(status == 422 && pointer.starts_with("/crop"), "{problem}");
    }
}

#[tokio::test]
async fn a_search_that_explains_itself_tells_what_was_left_out_and_by_which_settings() {
    let server = Server::with_shops(&["flowers"]).await;
    let (key, (_, searching)) =
        (server.full_key("flowers").await, server.key("flowers", json!({ "scopes": ["search"] })).await);
    for (picture, name) in SHOP {
        let form = product(name, vec![photograph(picture)]);
        let added = server.asked_with(&key, Method::POST, "/add_product").header("Prefer", "wait=30");
        assert_eq!(answer(added.multipart(form).send().await.unwrap()).await.1["status"], "completed");
    }
    let search = async |key: &str, form: Form| {
        let request = server.asked_with(key, Method::POST, "/search").header("Prefer", "wait=30");
        answer(request.multipart(form.text("explain", "true")).send().await.unwrap()).await.1["result"]
            .clone()
    };
    let strict = json!({ "rank-default": { "settings": { "min_cosine_image": 0.9 } } });
    let query = || image_query(photograph("chelsea"));
    let result = search(&key, query().text("policies", strict.to_string())).await;
    assert_eq!(names(&result), ["Ginger cat"]);
    let explained = &result["explain"];
    assert_eq!(
        explained["left_out_by"],
        json!({ "ranking": explained["left_out"], "limit": 0, "deleted": 0 })
    );
    assert_eq!(explained["candidates"].as_u64().unwrap() - 1, explained["left_out"].as_u64().unwrap());
    let ranker = |result: &Value| {
        let plugins = result["plugins"].as_array().unwrap();
        plugins.iter().find(|plugin| plugin["name"] == "rank-default").unwrap().clone()
    };
    assert_eq!(ranker(&result)["settings"]["min_cosine_image"], 0.9, "{result}");
    let result = search(&searching, query()).await;
    assert_eq!(result["matches"][0]["explain"]["ranked_place"], 1, "{result}");
    assert_eq!(ranker(&result)["settings"], Value::Null, "who may only search sees no settings");
}

#[tokio::test]
async fn a_search_that_explains_itself_can_be_played_again_with_the_same_order() {
    let server = shop(SHOP).await;
    let query = image_query(another_view("chelsea")).text("query", "coffee cup").text("explain", "true");
    let result = server.result("/search", query).await;
    let first = &result["matches"][0]["explain"];
    assert_eq!((&first["ranked_place"], &first["ranked_score"]), (&json!(1), &result["matches"][0]["score"]));
    assert!(first["baseline_place"].as_u64().is_some_and(|place| place >= 1), "{first}");
    assert!(first["baseline_score"].as_f64().is_some_and(|score| score > 0.0), "{first}");
    assert_eq!(result["explain"]["baseline"], json!({ "method": "reciprocal_rank", "k": 60.0 }));
    let notes =
        |found: &Value| found["explain"]["notes"][0].as_str().is_some_and(|note| note.contains("rank"));
    assert!(result["matches"].as_array().unwrap().iter().all(notes), "{result}");
    assert!(first["shown"][0]["image_hash"].is_string() && first["notes"][0].is_string(), "{first}");
    assert_eq!((&result["explain"]["candidates"], &result["explain"]["left_out"]), (&json!(4), &json!(0)));
    assert_eq!(result["explain"]["parts"][0]["modality"], "image");
    let plugins = result["plugins"].as_array().unwrap();
    assert!(plugins.iter().all(|plugin| plugin["digest"].is_string() && plugin["settings"].is_object()));

    let recording =
        server.http.get(server.url(&format!("/recordings/{}", result["recording"].as_str().unwrap())));
    let recording = recording.send().await.unwrap().bytes().await.unwrap();
    let played = Recording::from_json(&recording).unwrap();
    let mut legs = Vec::new();
    let mut ranking = None;
    for call in played.calls {
        let shown = plugins.iter().find(|plugin| plugin["name"] == call.plugin.name.as_str()).unwrap();
        assert_eq!(shown["settings"], call.settings, "{shown}");
        match call.answer {
            Answer::Legs(more) => legs.extend(more),
            Answer::Ranking(answer) => ranking = Some(answer),
            other => panic!("{other:?}"),
        }
    }
    let (products, _) = candidates(&legs, &Default::default(), &Columns::default());
    let order: Vec<_> = ranking
        .unwrap()
        .products
        .iter()
        .map(|ranked| products[ranked.product as usize].to_string())
        .collect();
    let shown: Vec<_> = result["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["product_id"].as_str().unwrap())
        .collect();
    assert_eq!(order, shown);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &recording).unwrap();
    let replay = ["plugin", "replay", file.path().to_str().unwrap(), "--json"];
    let replay = taja().args(replay).output().await.unwrap();
    let lines = String::from_utf8(replay.stdout).unwrap();
    let played: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(played.len(), 3, "{lines}");
    assert!(played.iter().all(|call| call["diff"]["identical"] == true), "{lines}");
}
