//! Products as a resource: read, listed, edited, grouped, compared and deleted, and found accordingly.

use std::collections::BTreeSet;

use reqwest::{
    Method, Response,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
    multipart::Form,
};
use serde_json::{Value, json};
use taja_catalog::ImageHash;

use crate::{
    cluster::Cluster,
    pictures::{another_view, photograph},
    support::{Server, file, image_query, names, product, taja, words},
    tenants::answer,
};

impl Server {
    /// A request with a JSON body of this type, and `If-Match` where a tag is given.
    async fn send(&self, method: Method, path: &str, body: Value, tag: Option<&str>) -> Response {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = self.http.request(method, self.url(path)).header("content-type", kind);
        let request = tag.into_iter().fold(request, |request, tag| request.header(IF_MATCH, tag));
        request.body(body.to_string()).send().await.unwrap()
    }

    async fn patch(&self, id: &str, body: Value) -> (u16, Value) {
        answer(self.send(Method::PATCH, &format!("/products/{id}"), body, None).await).await
    }

    pub(crate) async fn delete(&self, path: &str, tag: Option<&str>) -> u16 {
        let request = self.http.delete(self.url(path));
        let request = tag.into_iter().fold(request, |request, tag| request.header(IF_MATCH, tag));
        request.send().await.unwrap().status().as_u16()
    }

    /// Adds a product; its identifier.
    async fn added(&self, form: Form) -> String {
        let added = self.result("/add_product", form).await;
        assert_eq!(added["status"], "success", "{added}");
        added["product_id"].as_str().unwrap().to_owned()
    }

    /// A product's tag.
    async fn tag(&self, id: &str) -> String {
        tag(&self.http.get(self.url(&format!("/products/{id}"))).send().await.unwrap())
    }

    /// How much a model computed.
    async fn embedded(&self) -> BTreeSet<String> {
        let (_, metrics) = self.get("/metrics").await;
        let lines = metrics.as_str().unwrap().lines();
        lines.filter(|line| line.starts_with("taja_embed_items_total")).map(str::to_owned).collect()
    }
}

fn tag(response: &Response) -> String {
    response.headers()[ETAG].to_str().unwrap().to_owned()
}

fn described(name: &str, price: f64) -> Value {
    json!({ "name": name, "price": price, "description": format!("one {name}") })
}

fn ids(page: &Value) -> Vec<&str> {
    let products = page["products"].as_array().unwrap();
    products.iter().map(|product| product["product_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_product_is_read_edited_and_deleted_and_found_accordingly() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_on(folder.path(), &[]).await;
    let cup = server.added(product("Cup of coffee", vec![photograph("coffee")])).await;
    let cat = server.added(product("Ginger cat poster", vec![photograph("chelsea")])).await;

    it_is_told_apart_by_its_tag(&server, &cup).await;
    prices_and_stocks_change_without_a_model(&server, &cup).await;
    of_many_edits_at_once_none_is_lost(&server, &cup).await;
    it_is_found_by_what_it_says_now(&server, &cup).await;
    what_makes_no_product_is_refused(&server, &cup).await;
    a_picture_goes_and_others_come(&server, &cup).await;
    what_looks_like_it_is_found_without_it(&server, &cup, &cat).await;
    it_goes_with_its_pictures(&server, &cup).await;

    assert!(server.terminate().await.success());
    let server = Server::start_on(folder.path(), &[]).await;
    assert_eq!(server.get(&format!("/products/{cup}")).await.0, 404);
    assert_eq!(server.found(image_query(another_view("coffee"))).await, ["Ginger cat poster"]);
    assert_eq!(server.get(&format!("/products/{cat}")).await.0, 200);
}

async fn it_is_told_apart_by_its_tag(server: &Server, cup: &str) {
    let path = format!("/products/{cup}");
    let response = server.http.get(server.url(&path)).send().await.unwrap();
    let tag = tag(&response);
    let (status, read) = answer(response).await;
    assert_eq!((status, &read["name"], &read["price"]), (200, &json!("Cup of coffee"), &json!(19.5)));
    let hash = ImageHash::of(&photograph("coffee")).to_string();
    assert_eq!((&read["images"][0]["image_hash"], &read["product_id"]), (&json!(hash), &json!(cup)));
    let again = server.http.get(server.url(&path)).header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), self::tag(&again)), (304, tag.clone()));
    let patched = server.send(Method::PATCH, &path, json!({ "sku": "c-1" }), Some(&tag)).await;
    let next = self::tag(&patched);
    assert_ne!(next, tag);
    assert_eq!(answer(patched).await.1["sku"], "c-1");
    for late in [
        server.send(Method::PATCH, &path, json!({ "sku": "c-2" }), Some(&tag)).await,
        server.send(Method::PUT, &path, described("late", 1.0), Some(&tag)).await,
    ] {
        let (status, problem) = answer(late).await;
        assert_eq!((status, &problem["code"]), (412, &json!("product_changed")));
    }
    assert_eq!(server.delete(&path, Some(&tag)).await, 412);
    let unchanged = server.send(Method::PATCH, &path, json!({ "sku": "c-1" }), Some(&next)).await;
    assert_eq!(self::tag(&unchanged), next, "what changes nothing is no change");
    assert_eq!(server.get("/api/v1/products/nobody").await.0, 404);
    assert_eq!(server.get("/products/no%20name").await.0, 404);
}

async fn prices_and_stocks_change_without_a_model(server: &Server, cup: &str) {
    let query = || words("coffee").text("filter", r#"{"price": {"lt": 5}, "stock": 2}"#);
    assert!(server.found(query()).await.is_empty());
    let before = server.embedded().await;
    assert!(!before.is_empty(), "it is counted");
    let (status, patched) = server.patch(cup, json!({ "price": 4.5, "stock": 2 })).await;
    assert_eq!((status, &patched["price"], &patched["stock"]), (200, &json!(4.5), &json!(2)));
    assert_eq!(patched["description"], "one Cup of coffee", "the rest stays");
    assert_eq!(server.embedded().await, before);
    assert_eq!(server.found(query()).await, ["Cup of coffee"], "an earlier answer is not kept");
    let (_, gone) = server.patch(cup, json!({ "stock": null })).await;
    assert_eq!(gone["stock"], Value::Null);
    assert!(server.found(query()).await.is_empty());
}

async fn of_many_edits_at_once_none_is_lost(server: &Server, cup: &str) {
    let name = |n: usize| format!("edit-{n}");
    let edits = (0..6).map(async |n| server.patch(cup, json!({ "attributes": { name(n): n } })).await.0);
    assert_eq!(futures::future::join_all(edits).await, [200; 6]);
    let (_, read) = server.get(&format!("/products/{cup}")).await;
    assert!((0..6).all(|n| read["attributes"][name(n)] == n), "{read}");
}

async fn it_is_found_by_what_it_says_now(server: &Server, cup: &str) {
    let path = format!("/products/{cup}");
    let mut details = described("Glass teapot", 7.0);
    details["attributes"] = json!({ "since": "2026-03-01", "material": "borosilicate" });
    let (status, replaced) = answer(server.send(Method::PUT, &path, details, None).await).await;
    assert_eq!(
        (status, &replaced["sku"], &replaced["images"].as_array().unwrap().len()),
        (200, &Value::Null, &1)
    );
    let is_first =
        async |query: Form| server.found(query).await.first().is_some_and(|name| name == "Glass teapot");
    assert!(is_first(words("teapot")).await && is_first(words("borosilicate")).await);
    let keyword = words("cup").text("explain", "true");
    let result = server.result("/search", keyword).await;
    let legs = result["matches"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|found| found["explain"]["legs"].as_array().unwrap());
    assert!(legs.clone().all(|leg| leg["leg"] != "text-keyword"), "its old words find it no more");
    assert!(is_first(image_query(another_view("coffee"))).await, "its picture is what it was");
    let since = |range: Value| words("teapot").text("filter", json!({ "since": range }).to_string());
    let days = json!({ "gte": "2026-02-28T23:00:00-01:00", "lt": "2026-03-02" });
    assert_eq!(server.found(since(days)).await, ["Glass teapot"]);
    assert!(server.found(since(json!({ "gt": "2026-03-01" }))).await.is_empty());
}

async fn what_makes_no_product_is_refused(server: &Server, cup: &str) {
    let path = format!("/products/{cup}");
    let before = server.tag(cup).await;
    let put = async |body: Value| answer(server.send(Method::PUT, &path, body, None).await).await;
    let (status, problem) = put(json!({ "name": "x", "stock": "many", "smell": 1 })).await;
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(
        (status, pointers),
        (422, ["/price", "/description", "/smell", "/stock"].map(|it| json!(it)).each_ref().to_vec())
    );
    assert_eq!(put(json!([1])).await.0, 400);
    for body in [
        json!({ "name": null }),
        json!({ "price": -1 }),
        json!({ "sizes": [1] }),
        json!({ "currency": "euro" }),
    ] {
        assert_eq!(server.patch(cup, body.clone()).await.0, 422, "{body}");
    }
    let typed = async |kind: &str, body: &'static str| {
        let request = server.http.patch(server.url(&path)).header("content-type", kind).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(typed("text/plain", "{}").await, 415);
    assert_eq!(typed("application/json", "{\"price\": 1e999}").await, 400);
    assert_eq!(typed("application/json", "{").await, 400);
    for query in ["limit=0", "limit=x", "filter=%7B", "cursor=x", "page=1"] {
        let (status, problem) = server.get(&format!("/products?{query}")).await;
        assert!((400..500).contains(&status), "{query}: {problem}");
    }
    assert_eq!(server.tag(cup).await, before);
}

async fn a_picture_goes_and_others_come(server: &Server, cup: &str) {
    let path = format!("/products/{cup}/images");
    let hash = ImageHash::of(&photograph("coffee")).to_string();
    let (_, read) = server.get(&format!("/products/{cup}")).await;
    let url = read["images"][0]["image_url"].as_str().unwrap().to_owned();
    let before = server.tag(cup).await;
    assert_eq!(server.delete(&format!("{path}/{}", ImageHash::of(b"other")), None).await, 404);
    assert_eq!(server.delete(&format!("{path}/nothing"), None).await, 404);
    assert_eq!(server.delete(&format!("{path}/{hash}"), Some("\"0\"")).await, 412);
    assert_eq!(server.delete(&format!("{path}/{hash}"), Some(&before)).await, 204);
    assert_eq!(server.http.get(&url).send().await.unwrap().status(), 404, "it is not hosted any more");
    assert_eq!(server.found(image_query(another_view("coffee"))).await, ["Ginger cat poster"]);
    assert!(server.found(words("teapot")).await.contains(&"Glass teapot".to_owned()), "its words find it");

    let pictures = |names: &[&str]| {
        names.iter().fold(Form::new(), |form, name| form.part("images", file(photograph(name), "picture")))
    };
    let (status, accepted) = server.post(&path, pictures(&["coffee", "chelsea", "rocket"])).await;
    assert_eq!(status, 202, "{accepted}");
    let (_, job) = server.get(&format!("/jobs/{}?wait=30", accepted["job_id"].as_str().unwrap())).await;
    let receipt = &job["result"];
    assert_eq!((&job["kind"], &receipt["status"]), (&json!("add_images"), &json!("merged")), "{job}");
    assert_eq!((&receipt["added"], &receipt["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!(receipt["duplicate_details"][0]["index"], 1, "another product has it");
    assert_eq!(server.found(image_query(another_view("rocket"))).await[0], "Glass teapot");
    assert_ne!(server.tag(cup).await, before);
    assert_eq!(server.post("/products/nobody/images", pictures(&["coins"])).await.0, 404);
    assert_eq!(server.post(&path, Form::new().text("name", "x")).await.0, 422);
    let no_form = server.send(Method::POST, &path, json!({}), None).await;
    assert_eq!(no_form.status(), 415);
}

async fn what_looks_like_it_is_found_without_it(server: &Server, cup: &str, cat: &str) {
    let other = server.added(product("Espresso", vec![another_view("coffee")])).await;
    let before = server.embedded().await;
    let (status, similar) = server.get(&format!("/products/{cup}/similar?limit=5")).await;
    assert_eq!(status, 200, "{similar}");
    assert_eq!(names(&similar), ["Espresso", "Ginger cat poster"]);
    let first = &similar["matches"][0];
    assert_eq!(
        (&first["product_id"], &first["matched_images"][0]["similarity"]),
        (&json!(other), &first["score"])
    );
    assert!(first["score"].as_f64().unwrap() > similar["matches"][1]["score"].as_f64().unwrap());
    assert_eq!(server.embedded().await, before, "nothing is embedded");
    let (_, one) = server.get(&format!("/products/{cup}/similar?limit=1")).await;
    assert_eq!(names(&one), ["Espresso"]);
    let (_, filtered) = server
        .get(&format!("/products/{cup}/similar?filter=%7B%22name%22:%22Ginger%20cat%20poster%22%7D"))
        .await;
    assert_eq!(filtered["matches"][0]["product_id"], cat);
    assert_eq!(server.get("/products/nobody/similar").await.0, 404);
    assert_eq!(server.get(&format!("/products/{cup}/similar?limit=101")).await.0, 422);
    assert_eq!(server.delete(&format!("/products/{other}"), None).await, 204);
    assert_eq!(names(&server.get(&format!("/products/{cup}/similar")).await.1), ["Ginger cat poster"]);
}

async fn it_goes_with_its_pictures(server: &Server, cup: &str) {
    let path = format!("/products/{cup}");
    let (_, read) = server.get(&path).await;
    let urls: Vec<_> =
        read["image_urls"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert_eq!(urls.len(), 2);
    assert_eq!(server.delete(&path, Some("*")).await, 204);
    assert_eq!(server.delete(&path, None).await, 404);
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(server.patch(cup, json!({ "price": 1 })).await.0, 404);
    assert_eq!(server.counts().await, (1, 1));
    for url in urls {
        assert_eq!(server.http.get(url).send().await.unwrap().status(), 404, "{url}");
    }
    for query in
        [words("glass teapot"), image_query(another_view("coffee")), image_query(another_view("rocket"))]
    {
        let result = server.result("/search", query).await;
        assert!(names(&result).iter().all(|name| name == "Ginger cat poster"), "{:?}", names(&result));
        assert_eq!(result["total"].as_u64().unwrap() as usize, names(&result).len());
    }
    let again = server.added(product("Coffee again", vec![photograph("coffee")])).await;
    assert_ne!(again, cup);
    assert_eq!(server.delete(&format!("/products/{again}"), None).await, 204);
}

#[tokio::test]
async fn the_list_is_read_by_pages_whatever_goes_meanwhile() {
    let server = Server::start().await;
    let mut added = Vec::new();
    for (at, picture) in ["coffee", "chelsea", "rocket", "coins", "retina"].into_iter().enumerate() {
        let form = product(picture, vec![photograph(picture)]).text("stock", at.to_string());
        added.insert(0, server.added(form).await);
    }
    let (status, first) = server.get("/products?limit=2").await;
    assert_eq!((status, ids(&first)), (200, vec![added[0].as_str(), &added[1]]));
    assert_eq!(server.delete(&format!("/products/{}", added[1]), None).await, 204);
    assert_eq!(server.delete(&format!("/products/{}", added[2]), None).await, 204);
    server.patch(&added[0], json!({ "price": 1 })).await;
    let (_, second) =
        server.get(&format!("/products?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!(ids(&second), [&added[3], &added[4]]);
    assert_eq!(second["next"], Value::Null, "it was the last page");
    let (_, low) = server.get("/products?filter=%7B%22stock%22:%7B%22lt%22:2%7D%7D").await;
    assert_eq!(ids(&low), [&added[3], &added[4]]);
    assert_eq!(ids(&server.get("/api/v1/products").await.1).len(), 3);
    server.patch(&added[4], json!({ "price": 1 })).await;
    let (_, latest) = server.get("/products?sort=-updated_at&limit=2").await;
    assert_eq!(ids(&latest), [&added[4], &added[0]]);
    let next = latest["next"].as_str().unwrap();
    let (_, last) = server.get(&format!("/products?sort=-updated_at&limit=2&cursor={next}")).await;
    assert_eq!(ids(&last), [&added[3]]);
    let (status, problem) = server.get("/products?sort=price").await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/sort")), "{problem}");
    they_are_browsed(&server, &[&added[4], &added[3], &added[0]]).await;
    the_command_line_lists_and_deletes(&server, &added[0]).await;
}

/// Products by rising stock are found without a query.
async fn they_are_browsed(server: &Server, by_stock: &[&str]) {
    let form = Form::new().text("sort", "stock").text("facets", "stock").text("limit", "2");
    let page = server.result("/search", form).await;
    let found: Vec<_> =
        page["matches"].as_array().unwrap().iter().map(|found| &found["product_id"]).collect();
    assert_eq!(found, by_stock[..2], "{page}");
    assert_eq!((&page["total"], &page["counts"]["total"]), (&json!(3), &json!("exact")));
    assert_eq!((&page["plugins"], page["facets"]["stock"].as_array().unwrap().len()), (&json!([]), 3));
    let form = Form::new().text("filter", r#"{"updated_at": {"lt": "2020-01-01"}}"#);
    assert_eq!(server.result("/search", form).await["total"], 0);
    for (field, value) in [("record", "true"), ("policies", "{}")] {
        let form = Form::new().text("filter", "{}").text(field, value);
        let (status, problem) = server.post("/search", form).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!(format!("/{field}"))),
            "{problem}"
        );
    }
}

async fn the_command_line_lists_and_deletes(server: &Server, id: &str) {
    let products = async |arguments: &[&str]| {
        let mut command = taja();
        let output =
            command.arg("products").args(arguments).args(["--server", &server.base]).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, list) = products(&["list", "--limit", "2", "--json"]).await;
    let listed: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((status, listed.len(), &listed[0]["product_id"]), (Some(0), 2, &json!(id)));
    let (_, one) = products(&["get", id]).await;
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), listed[0]);
    assert_eq!(products(&["delete", id, "nobody"]).await, (Some(1), format!("{id}\n")));
    let (_, table) = products(&["list", "--filter", r#"{"stock": {"lt": 1}}"#]).await;
    assert!(table.contains("coffee") && !table.contains("chelsea"), "{table}");
}

#[tokio::test]
async fn variants_of_one_product_are_one_match_when_asked_for() {
    let server = Server::start().await;
    let stock = [
        ("coffee", "red", Some("cups")),
        ("chelsea", "blue", Some("cups")),
        ("rocket", "red", None),
        ("coins", "red", Some("cups")),
        ("retina", "blue", Some("mugs")),
    ];
    for (picture, color, group) in stock {
        let form = product(&format!("thing {picture}"), vec![photograph(picture)]).text("color", color);
        let form = group.into_iter().fold(form, |form, group| form.text("item_group_id", group));
        server.added(form).await;
    }
    let query = || image_query(another_view("coffee")).text("facets", r#"["color"]"#).text("limit", "2");
    let plain = server.result("/search", query()).await;
    assert_eq!((&plain["total"], &plain["matches"][0]["variants"]), (&json!(5), &Value::Null));
    let (_, accepted) = server.post("/search", query().text("group", "true")).await;
    let id = accepted["job_id"].as_str().unwrap();
    let grouped = server.job("/search", id).await["result"].clone();
    assert_eq!(grouped["total"], 3);
    let cups = &grouped["matches"][0];
    assert_eq!((&cups["name"], &cups["item_group_id"]), (&json!("thing coffee"), &json!("cups")));
    let variants: Vec<_> =
        cups["variants"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variants.len(), 2);
    assert!(variants.contains(&"thing chelsea") && variants.contains(&"thing coins"), "{variants:?}");
    let (_, rest) =
        server.get(&format!("/search/job/{id}?cursor={}", grouped["next"].as_str().unwrap())).await;
    let rest = &rest["result"];
    assert_eq!((rest["matches"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    for facet in grouped["facets"]["color"].as_array().unwrap() {
        let filter = json!({ "color": facet["value"] }).to_string();
        let filtered = server.result("/search", query().text("group", "true").text("filter", filter)).await;
        assert_eq!(filtered["total"], facet["count"], "{facet}");
    }
    let filter = json!({ "item_group_id": "cups" }).to_string();
    let of_group = server.result("/search", query().text("filter", filter)).await;
    assert_eq!(of_group["total"], 3);
}

#[tokio::test]
async fn whoever_is_asked_in_a_cluster_finds_what_is_edited_and_not_what_is_gone() {
    let cluster = Cluster::start().await;
    let (api, worker) = tokio::join!(cluster.process("api", "api"), cluster.process("worker", "worker"));
    let cup = api.added(product("Cup of coffee", vec![photograph("coffee")])).await;
    let cat = api.added(product("Ginger cat poster", vec![photograph("chelsea"), photograph("coins")])).await;
    assert_eq!(cluster.assets(), 3);
    let (status, similar) = api.get(&format!("/products/{cup}/similar")).await;
    assert_eq!((status, names(&similar)), (200, vec!["Ginger cat poster".to_owned()]));

    let (status, _) =
        api.patch(&cup, json!({ "name": "Glass teapot", "description": "new", "price": 3 })).await;
    assert_eq!(status, 200);
    assert_eq!(api.found(words("teapot")).await[0], "Glass teapot");
    assert_eq!(api.found(image_query(another_view("coffee"))).await[0], "Glass teapot");
    let hash = ImageHash::of(&photograph("coins"));
    assert_eq!(api.delete(&format!("/products/{cat}/images/{hash}"), None).await, 204);
    let coins = api.result("/search", image_query(another_view("coins"))).await;
    let shown =
        coins["matches"].as_array().unwrap().iter().flat_map(|it| it["matched_images"].as_array().unwrap());
    assert!(shown.clone().all(|image| image["image_hash"] != json!(hash)), "{coins}");

    assert_eq!(api.delete(&format!("/products/{cup}"), None).await, 204);
    assert_eq!(api.found(image_query(another_view("coffee"))).await, ["Ginger cat poster"]);
    assert!(!api.found(words("teapot")).await.contains(&"Glass teapot".to_owned()));
    assert_eq!(cluster.assets(), 1);
    assert_eq!(ids(&api.get("/products").await.1), [&cat]);
    let (_, health) = worker.get("/health").await;
    assert_eq!(health["status"], "ok");
}
