//! The main job from end to end: add products, find them by picture, video and words, lose nothing at a restart.

use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::{
    pictures::{another_view, photograph, re_encoded, video},
    support::{Server, file, image_query, names, product, words},
};

/// Photographs and what a shop would call the things on them.
const SHOP: &[(&str, &str)] = &[
    ("astronaut", "Space suit portrait"),
    ("chelsea", "Ginger cat poster"),
    ("coffee", "Cup of coffee"),
    ("rocket", "Model rocket"),
    ("motorcycle_left", "Vintage motorcycle"),
    ("coins", "Ancient coins"),
    ("hubble_deep_field", "Galaxy print"),
    ("retina", "Eye chart"),
];

async fn open_shop(server: &Server) -> Vec<Value> {
    let mut results = Vec::new();
    for (picture, name) in SHOP {
        results.push(server.result("/add_product", product(name, vec![photograph(picture)])).await);
    }
    results
}

fn video_query(bytes: Vec<u8>) -> Form {
    Form::new().part("video", file(bytes, "clip"))
}

#[tokio::test]
async fn products_are_found_by_picture_video_and_words_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_on(folder.path(), &[]).await;
    let (status, health) = server.get("/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")), "{health}");

    for added in open_shop(&server).await {
        assert_eq!(
            (&added["status"], &added["added"], &added["errors"]),
            (&json!("success"), &json!(1), &json!(0))
        );
    }
    assert_eq!(server.counts().await, (8, 8));

    found_by_another_picture(&server).await;
    found_by_video(&server).await;
    found_by_words(&server).await;
    found_by_both(&server).await;
    hosted_pictures_are_served_without_what_was_uploaded(&server).await;

    assert!(server.terminate().await.success());
    let server = Server::start_on(folder.path(), &[]).await;
    assert_eq!(server.counts().await, (8, 8));
    found_by_another_picture(&server).await;
    found_by_words(&server).await;
}

async fn found_by_another_picture(server: &Server) {
    for (picture, name) in SHOP {
        // The second photograph of the motorcycle is a real one, from another place.
        let query = if *picture == "motorcycle_left" {
            photograph("motorcycle_right")
        } else {
            another_view(picture)
        };
        let result = server.result("/search", image_query(query)).await;
        assert_eq!(result["matches"][0]["name"], *name, "{:?}", names(&result));
        let best = &result["matches"][0]["matched_images"][0];
        let hash = taja_catalog::ImageHash::of(&photograph(picture)).to_string();
        assert_eq!(best["image_hash"], json!(hash));
        let similarity = best["similarity"].as_f64().unwrap();
        assert!((0.6..=1.0).contains(&similarity), "{name}: {similarity}");
    }
}

async fn found_by_video(server: &Server) {
    let shown = ["rocket", "chelsea", "coffee"];
    let result = server.result("/search", video_query(video(&shown, 2, "mp4"))).await;
    let found = names(&result);
    for (place, picture) in shown.iter().enumerate() {
        let name = SHOP.iter().find(|(known, _)| known == picture).unwrap().1;
        let rank = found.iter().position(|found| found == name);
        assert!(rank.is_some_and(|rank| rank < 3), "{name} is not among the first three of {found:?}");
        let matched = &result["matches"][rank.unwrap()]["matched_images"][0];
        let at_ms = matched["timestamp_ms"].as_u64().expect("the frame that matched is named");
        let shown_ms = place as u64 * 2000..(place as u64 + 1) * 2000;
        assert!(shown_ms.contains(&at_ms), "{name} at {at_ms} ms is not within {shown_ms:?}");
    }
}

async fn found_by_words(server: &Server) {
    assert_eq!(server.found(words("ginger cat")).await[0], "Ginger cat poster");
    assert_eq!(server.found(words("MOTORCYCLE")).await[0], "Vintage motorcycle");
    let (status, job) = server.post("/api/v1/search", words("ancient coins").text("limit", "1")).await;
    assert_eq!(status, 202);
    let job = server.job("/api/v1/search", job["job_id"].as_str().unwrap()).await;
    assert_eq!(names(&job["result"]), ["Ancient coins"]);
}

async fn found_by_both(server: &Server) {
    let form = image_query(another_view("coffee")).text("query", "cup of coffee").text("explain", "true");
    let result = server.result("/search", form).await;
    let first = &result["matches"][0];
    assert_eq!(first["name"], "Cup of coffee");
    let legs: Vec<_> =
        first["explain"]["legs"].as_array().unwrap().iter().map(|leg| leg["leg"].clone()).collect();
    assert!(legs.contains(&json!("image-vector")) && legs.contains(&json!("text-keyword")), "{legs:?}");
    let plugins = result["plugins"].as_array().unwrap();
    let used: Vec<_> = plugins.iter().map(|plugin| plugin["name"].as_str().unwrap()).collect();
    for name in ["search-image", "search-text", "rank-default"] {
        assert!(used.contains(&name), "{used:?}");
    }
}

async fn hosted_pictures_are_served_without_what_was_uploaded(server: &Server) {
    let result = server.result("/search", words("galaxy print").text("limit", "1")).await;
    let url = result["matches"][0]["image_urls"][0].as_str().unwrap().to_owned();
    assert!(url.starts_with(&server.base), "{url} can be opened from elsewhere");
    let answer = server.http.get(&url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let bytes = answer.bytes().await.unwrap();
    assert_ne!(bytes, photograph("hubble_deep_field"));
    let served = image::load_from_memory(&bytes).unwrap();
    let uploaded = image::load_from_memory(&photograph("hubble_deep_field")).unwrap();
    assert_eq!((served.width(), served.height()), (uploaded.width(), uploaded.height()));
}

#[tokio::test]
async fn a_duplicate_is_recognised_and_stores_nothing() {
    let server = Server::start().await;
    let cat = server.result("/add_product", product("Cat", vec![photograph("chelsea")])).await;

    let same = server.result("/add_product", product("Cat again", vec![photograph("chelsea")])).await;
    assert_eq!((&same["status"], &same["product_id"]), (&json!("duplicate"), &cat["product_id"]));
    assert_eq!((&same["added"], &same["duplicates"]), (&json!(0), &json!(1)));
    assert_eq!(same["duplicate_details"][0]["reason"], "exact-duplicate");

    let similar = server.result("/add_product", product("Cat, smaller", vec![re_encoded("chelsea")])).await;
    assert_eq!((&similar["status"], &similar["product_id"]), (&json!("duplicate"), &cat["product_id"]));
    assert_eq!(similar["duplicate_details"][0]["reason"], "near-duplicate");

    let twice = vec![photograph("coffee"), photograph("coffee"), photograph("chelsea")];
    let mixed = server.result("/add_product", product("Coffee", twice)).await;
    assert_eq!(
        (&mixed["status"], &mixed["added"], &mixed["duplicates"]),
        (&json!("success"), &json!(1), &json!(2))
    );
    assert_eq!(server.counts().await, (2, 2));
}

#[tokio::test]
async fn a_bad_picture_fails_alone_and_is_named() {
    let server = Server::start().await;
    let mut truncated = photograph("rocket");
    truncated.truncate(truncated.len() / 2);
    let result =
        server.result("/add_product", product("Coffee", vec![truncated, photograph("coffee")])).await;
    assert_eq!(
        (&result["status"], &result["added"], &result["errors"]),
        (&json!("success"), &json!(1), &json!(1))
    );
    assert_eq!(result["error_details"][0]["index"], 0);
    assert_eq!(result["error_details"][0]["code"], "media_undecodable");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn pages_filters_sorting_and_facets_come_from_one_result_set() {
    let server = Server::start().await;
    for (place, (picture, name)) in SHOP.iter().enumerate() {
        let form = product(name, vec![photograph(picture)])
            .text("color", if place % 2 == 0 { "red" } else { "blue" })
            .text("stock", place.to_string());
        server.result("/add_product", form).await;
    }
    let query = || image_query(another_view("coffee")).text("limit", "3").text("facets", r#"["color"]"#);
    let (_, accepted) = server.post("/search", query()).await;
    let id = accepted["job_id"].as_str().unwrap();
    let mut page = server.job("/search", id).await["result"].clone();
    assert_eq!(page["facets"]["color"][0]["count"], 4);
    let total = page["total"].as_u64().unwrap();
    let mut seen = names(&page);
    while let Some(next) = page["next"].as_str() {
        page = server.get(&format!("/search/job/{id}?cursor={next}")).await.1["result"].clone();
        seen.extend(names(&page));
    }
    assert_eq!(seen.len() as u64, total);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), SHOP.len());

    let filter = json!({ "color": "red", "stock": { "gte": 3 } }).to_string();
    let result = server.result("/search", query().text("filter", filter).text("sort", "-stock")).await;
    assert_eq!(names(&result), ["Galaxy print", "Vintage motorcycle"]);
}
