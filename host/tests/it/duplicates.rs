//! What was taken for a product already: decisions with their evidence, offers, and what looks alike, for people to review.

use reqwest::multipart::Form;
use serde_json::{Value, json};
use taja_catalog::ImageHash;

use crate::{
    cluster::Cluster,
    pictures::{another_view, photograph, re_encoded},
    support::{Server, file, image_query, product, taja},
};

fn decisions(page: &Value) -> Vec<(&str, &str)> {
    let all = page["decisions"].as_array().unwrap().iter();
    all.map(|it| (it["status"].as_str().unwrap(), it["submitted"]["name"].as_str().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn every_decision_is_kept_with_its_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_on(folder.path(), &[]).await;
    let cat = server.result("/add_product", product("Cat", vec![photograph("chelsea")])).await;
    let id = cat["product_id"].as_str().unwrap();
    assert_eq!(cat["submitted"], Value::Null, "it is the product");
    let same = server.result("/add_product", product("Cat again", vec![photograph("chelsea")])).await;
    assert_eq!((&same["status"], &same["submitted"]["name"]), (&json!("duplicate"), &json!("Cat again")));
    assert_eq!(same["duplicate_details"][0]["distance"], 0);
    let smaller = server.result("/add_product", product("Cat, smaller", vec![re_encoded("chelsea")])).await;
    let evidence = &smaller["duplicate_details"][0];
    assert_eq!((&smaller["status"], &evidence["reason"]), (&json!("duplicate"), &json!("near-duplicate")));
    assert_eq!(evidence["image_hash"], json!(ImageHash::of(&photograph("chelsea"))));
    assert!(evidence["distance"].as_u64().unwrap() <= 4, "{evidence}");
    let cosine = evidence["cosine"].as_f64().unwrap();
    assert!((0.92..1.0).contains(&cosine), "{evidence}");

    let path = format!("/products/{id}/duplicates");
    let (status, page) = server.get(&path).await;
    assert_eq!(status, 200, "{page}");
    let expected = [("duplicate", "Cat, smaller"), ("duplicate", "Cat again"), ("success", "")];
    assert_eq!(decisions(&page), expected);
    assert_eq!(page["decisions"][0]["duplicate_details"][0], *evidence);
    assert_eq!(page["decisions"][0]["plugins"][0]["name"], "ingest-product");
    let job = page["decisions"][2]["job_id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/jobs/{job}")).await.1["result"]["product_id"], json!(id));
    let (_, first) = server.get(&format!("{path}?limit=2")).await;
    let (_, rest) = server.get(&format!("{path}?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!([decisions(&first), decisions(&rest)].concat(), expected);
    assert_eq!((&rest["next"], &rest["resembling"]), (&Value::Null, &Value::Null));

    assert!(server.terminate().await.success());
    let server = Server::start_on(folder.path(), &[]).await;
    assert_eq!(decisions(&server.get(&path).await.1), expected, "they are stored");
    for wrong in ["limit=0", "cursor=x", "max_distance=65", "min_cosine=1.1", "min_cosine=NaN", "page=1"] {
        let (status, problem) = server.get(&format!("{path}?{wrong}")).await;
        assert!((400..500).contains(&status), "{wrong}: {problem}");
    }
    assert_eq!(server.get("/products/nobody/duplicates").await.0, 404);
    let mut command = taja();
    let output =
        command.args(["products", "duplicates", id, "--server", &server.base]).output().await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(decisions(&told), expected);
}

#[tokio::test]
async fn known_pictures_with_other_terms_become_an_offer_and_nothing_is_lost() {
    let server = Server::start().await;
    offers_come_and_go(&server).await;
    let settings = json!({ "settings": { "on_known": "duplicate" } });
    server.step("/plugins/ingest-product/activate", settings).await;
    let form = Form::new().text("name", "Cup").text("price", "1").text("description", "one");
    let cup = server.result("/add_product", form.part("images", file(photograph("coffee"), "cup"))).await;
    assert_eq!(cup["status"], "duplicate", "the shop wants no offers");
}

#[tokio::test]
async fn offers_and_decisions_are_the_same_in_a_cluster() {
    let cluster = Cluster::start().await;
    let (api, _worker) = tokio::join!(cluster.process("api", "api"), cluster.process("worker", "worker"));
    offers_come_and_go(&api).await;
}

async fn offers_come_and_go(server: &Server) {
    let sent = |name: &str, price: &str, sku: Option<&str>| {
        let form = Form::new().text("name", name.to_owned()).text("price", price.to_owned());
        let form = form.text("description", "one").part("images", file(photograph("coffee"), "cup"));
        sku.into_iter().fold(form, |form, sku| form.text("sku", sku.to_owned()))
    };
    let cup = server.result("/add_product", sent("Cup", "9.5", None)).await;
    let id = cup["product_id"].as_str().unwrap();
    let again = server.result("/add_product", sent("Cup", "9.5", None)).await;
    assert_eq!(again["status"], "duplicate", "the very same terms are nothing new");
    let cheap = server.result("/add_product", sent("Cup, used", "4", Some("u-1"))).await;
    assert_eq!(
        (&cheap["status"], &cheap["product_id"], &cheap["added"]),
        (&json!("offer"), &json!(id), &json!(0))
    );
    let cheaper = server.result("/add_product", sent("Cup, used", "3", Some("u-1"))).await;
    assert_eq!(cheaper["status"], "offer");
    let (_, read) = server.get(&format!("/products/{id}")).await;
    assert_eq!((&read["price"], read["offers"].as_array().unwrap().len()), (&json!(9.5), 1));
    let offer = &read["offers"][0];
    assert_eq!(
        (&offer["price"], &offer["sku"], &offer["name"]),
        (&json!(3.0), &json!("u-1"), &json!("Cup, used"))
    );
    let found = server.result("/search", image_query(another_view("coffee"))).await;
    assert_eq!(found["matches"][0]["offers"], read["offers"]);
    let by_article =
        || image_query(another_view("coffee")).text("filter", r#"{"sku":"u-1"}"#).text("facets", "sku");
    let found = server.result("/search", by_article()).await;
    assert_eq!(found["total"], 1, "{found}");
    assert_eq!(found["facets"]["sku"], json!([{ "value": "u-1", "count": 1 }]));
    let (_, review) = server.get(&format!("/products/{id}/duplicates")).await;
    let expected = [("offer", "Cup, used"), ("offer", "Cup, used"), ("duplicate", "Cup"), ("success", "")];
    assert_eq!(decisions(&review), expected);

    let path = format!("/products/{id}/offers/{}", offer["id"].as_str().unwrap());
    assert_eq!(server.delete(&path, None).await, 204);
    assert_eq!(server.delete(&path, None).await, 404);
    assert_eq!(server.get(&format!("/products/{id}")).await.1["offers"], Value::Null);
    assert_eq!(server.result("/search", by_article()).await["total"], 0);
}

#[tokio::test]
async fn pictures_that_look_alike_and_were_kept_are_shown_for_review() {
    let server = Server::start().await;
    let cup = server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let other = server.result("/add_product", product("Espresso", vec![another_view("coffee")])).await;
    server.result("/add_product", product("Cat", vec![photograph("chelsea")])).await;
    assert_eq!(other["status"], "success", "it is another picture: {other}");
    let id = cup["product_id"].as_str().unwrap();
    let (_, wide) = server.get(&format!("/products/{id}/duplicates?min_cosine=-1")).await;
    let pairs = wide["resembling"].as_array().unwrap();
    assert_eq!(pairs.len(), 2, "{wide}");
    assert_eq!(
        (&pairs[0]["product_id"], &pairs[0]["image_hash"]),
        (&other["product_id"], &json!(ImageHash::of(&photograph("coffee"))))
    );
    assert!(pairs[0]["cosine"].as_f64() > pairs[1]["cosine"].as_f64());
    let (_, near) = server.get(&format!("/products/{id}/duplicates?max_distance=0&min_cosine=1")).await;
    assert_eq!(near["resembling"], json!([]));
}
