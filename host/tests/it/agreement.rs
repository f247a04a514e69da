//! Pages, totals and facets of one search agree, whatever is searched for, whoever ranks it, and whatever happens to the
//! products between the pages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use reqwest::multipart::Form;
use serde_json::{Value, json};
use taja_catalog::{Details, Filter};

use crate::{
    cluster::Cluster,
    component::fixture,
    pictures::piece,
    support::{Server, file},
};

/// Searches that are made unless `TAJA_TEST_SEARCHES` says how many.
const CASES: u64 = 18;
/// Searches of one stock; then the shop gets another one.
const CASES_OF_STOCK: u64 = 6;
/// Products of a stock, at most.
const PRODUCTS: usize = 18;
/// A filter that is refused for its depth would be another test's.
const DEPTH: usize = 3;

const WORDS: &[&str] = &["red", "blue", "cup", "jacket", "leather", "poster", "small", "cat"];
const CATEGORIES: &[&str] = &["clothes", "kitchen", "walls"];
const PHOTOGRAPHS: &[&str] = &["astronaut", "chelsea", "coffee", "coins", "motorcycle_left", "rocket"];
/// What each facet's counts add up to the total of, as each product has one category and one price.
const FACETS: &str =
    r#"["category", {"field": "price", "ranges": [{"to": 20}, {"from": 20, "to": 60}, {"from": 60}]}]"#;

/// Numbers that are the same for the same seed.
struct Dice(TestRng);

impl Dice {
    fn of(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// 0 to `count - 1`.
    fn below(&mut self, count: usize) -> usize {
        self.0.next_u32() as usize % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of_these<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn words(&mut self) -> String {
        (0..=self.below(2)).map(|_| self.of_these(WORDS)).collect::<Vec<_>>().join(" ")
    }

    fn picture(&mut self) -> Vec<u8> {
        let name = self.of_these(PHOTOGRAPHS);
        piece(name, [self.below(60), self.below(60), 25 + self.below(16)])
    }

    fn price(&mut self) -> f64 {
        self.below(200) as f64 / 2.0
    }

    fn product(&mut self) -> Form {
        let form = Form::new()
            .text("name", self.words())
            .text("description", self.words())
            .text("price", self.price().to_string())
            .text("category", self.of_these(CATEGORIES))
            .part("images", file(self.picture(), "picture"));
        let form = if self.one_in(3) { form } else { form.text("color", self.of_these(&["red", "blue"])) };
        if self.one_in(3) { form.text("item_group_id", self.of_these(&["a", "b"])) } else { form }
    }

    fn condition(&mut self) -> Value {
        match self.below(7) {
            0 => json!({ "category": self.of_these(CATEGORIES) }),
            1 => json!({ "category": { "in": [self.of_these(CATEGORIES), self.of_these(CATEGORIES)] } }),
            2 => json!({ "price": { "gte": self.price() } }),
            3 => json!({ "price": { "lt": self.price() } }),
            4 => json!({ "color": { "exists": self.one_in(2) } }),
            5 => json!({ "color": { "ne": self.of_these(&["red", "blue"]) } }),
            _ => json!({ "name": { "prefix": self.of_these(&["red", "le", "c"]) } }),
        }
    }

    fn filter(&mut self, depth: usize) -> Value {
        let several = |dice: &mut Self| -> Vec<_> { (0..2).map(|_| dice.filter(depth - 1)).collect() };
        match self.below(6) {
            _ if depth == 0 => self.condition(),
            0 => json!({ "and": several(self) }),
            1 => json!({ "or": several(self) }),
            2 => json!({ "not": self.filter(depth - 1) }),
            _ => self.condition(),
        }
    }

    /// Settings of who ranks, and whether whatever is found stays in.
    fn ranking(&mut self) -> (Value, bool) {
        let least = self.of_these(&[-1.0, -1.0, 0.2, 0.5]);
        let settings = json!({
            "k": 1 + self.below(100),
            "relevance_share": self.below(5) as f64 / 4.0,
            "min_cosine_text": least,
            "min_cosine_image": least,
            "evidence": 1 + self.below(3),
        });
        match self.below(4) {
            0 => (json!({ "rank-fixture": { "settings": { "do": "reverse" }, "version": "1.0.0" } }), true),
            1 => (json!({ "rank-fixture": { "settings": {}, "version": "1.0.0" } }), true),
            _ => (json!({ "rank-default": { "settings": settings } }), least < 0.0),
        }
    }
}

/// A search, and what it must find.
struct Asked {
    form: Form,
    filter: Filter,
    /// Whether every product that passes the filter is found.
    finds_all: bool,
    groups: bool,
}

impl Asked {
    fn by(dice: &mut Dice) -> Self {
        let filter = if dice.one_in(3) { json!({}) } else { dice.filter(DEPTH) };
        let (policies, finds_all) = dice.ranking();
        let (groups, limit) = (dice.one_in(4), 1 + dice.below(6));
        let mut form = Form::new()
            .text("filter", filter.to_string())
            .text("policies", policies.to_string())
            .text("facets", FACETS)
            .text("group", groups.to_string())
            .text("limit", limit.to_string())
            .text("sort", dice.of_these(&["", "price", "-price", "color,-price"]));
        let (texts, pictures) = (dice.below(3), dice.below(2));
        let texts = texts.max(1 - pictures);
        for _ in 0..texts {
            form = form.text("query", dice.words());
        }
        for _ in 0..pictures {
            form = form
                .part("image", file(dice.picture(), "query"))
                .text("crop", r#"{"image[0]": "0,0,1,0.8"}"#);
        }
        let unlike = dice.one_in(2);
        if unlike {
            form = form.text("not", dice.words());
        }
        if dice.one_in(4) {
            form = form.part("not_image", file(dice.picture(), "unlike"));
        }
        let weights = ["query", "image", "not"].map(|name| (name, 0.5 + dice.below(3) as f64));
        let has = |name: &str| match name {
            "query" => texts > 0,
            "image" => pictures > 0,
            _ => unlike,
        };
        let weights: BTreeMap<_, _> = weights.into_iter().filter(|(name, _)| has(name)).collect();
        let form = form.text("weights", json!(weights).to_string());
        Self { form, filter: Filter::parse(&filter).unwrap(), finds_all, groups }
    }
}

/// What the shop says of its products now, by their ids.
async fn catalogue(server: &Server) -> BTreeMap<String, Details> {
    let (mut products, mut next) = (BTreeMap::new(), String::new());
    loop {
        let (status, page) = server.get(&format!("/products?limit=100{next}")).await;
        assert_eq!(status, 200, "{page}");
        for product in page["products"].as_array().unwrap() {
            let mut details = product.clone();
            let shown = [
                "product_id",
                "thumbnail_urls",
                "card_urls",
                "image_urls",
                "images",
                "created_at",
                "updated_at",
            ];
            shown.iter().for_each(|name| drop(details.as_object_mut().unwrap().remove(*name)));
            let id = product["product_id"].as_str().unwrap().to_owned();
            products.insert(id, serde_json::from_value(details).unwrap());
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return products,
        }
    }
}

/// Something happens to the shop: a product comes, goes, or is another one from now on.
async fn happen(server: &Server, dice: &mut Dice) {
    let products: Vec<_> = catalogue(server).await.into_keys().collect();
    let one = server.url(&format!("/products/{}", products[dice.below(products.len())]));
    match dice.below(3) {
        0 => drop(server.result("/add_product", dice.product()).await),
        1 if products.len() > 1 => {
            assert_eq!(server.http.delete(one).send().await.unwrap().status(), 204);
        }
        _ => {
            let change = json!({ "price": dice.price(), "category": dice.of_these(CATEGORIES) });
            assert_eq!(server.http.patch(one).json(&change).send().await.unwrap().status(), 200);
        }
    }
}

/// The products of a page in its order: those that are there, and those that are gone.
fn products(page: &Value) -> (Vec<String>, BTreeSet<String>) {
    let found = page["matches"].as_array().unwrap().iter().map(|found| &found["product_id"]);
    let gone = page["gone"].as_array().into_iter().flatten();
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    (found.map(text).collect(), gone.map(text).collect())
}

/// Counts of a facet, all together.
fn sum(page: &Value, facet: &str) -> u64 {
    page["facets"][facet].as_array().unwrap().iter().map(|count| count["count"].as_u64().unwrap()).sum()
}

/// Searches, and reads page after page while things happen.
async fn search(server: &Server, case: u64) {
    let mut dice = Dice::of(case);
    let before = catalogue(server).await;
    let Asked { form, filter, finds_all, groups } = Asked::by(&mut dice);
    let (status, accepted) = server.post("/search", form).await;
    assert_eq!(status, 202, "case {case}: {accepted}");
    let id = accepted["job_id"].as_str().unwrap();
    let job = server.job("/search", id).await;
    assert_eq!(job["status"], "completed", "case {case}: {job}");
    let first = job["result"].clone();
    assert!(first["degraded"].is_null(), "case {case}: {first}");
    let (mut order, mut gone) = products(&first);
    let mut page = first.clone();
    while let Some(next) = page["next"].as_str() {
        happen(server, &mut dice).await;
        page = server.get(&format!("/search/job/{id}?cursor={next}")).await.1["result"].clone();
        let (here, gone_here) = products(&page);
        order.extend(here);
        gone.extend(gone_here);
        for same in ["total", "facets", "counts"] {
            assert_eq!(page[same], first[same], "case {case}: {same}");
        }
    }
    let found: BTreeSet<_> = order.iter().chain(&gone).cloned().collect();
    assert_eq!(found.len(), order.len() + gone.len(), "case {case}: a product stands twice");
    assert_eq!(found.len() as u64, first["total"].as_u64().unwrap(), "case {case}: {first}");
    assert_eq!(first["counts"]["total"], "exact", "case {case}: the shop is small");
    let passing = || before.iter().filter(|(_, details)| filter.matches(*details)).map(|(id, _)| id);
    assert!(found.iter().all(|id| filter.matches(&before[id])), "case {case}: {filter:?}");
    if groups {
        assert!(sum(&first, "price") >= found.len() as u64, "case {case}: {first}");
    } else {
        assert_eq!([sum(&first, "category"), sum(&first, "price")], [found.len() as u64; 2], "case {case}");
        let cheap = found.iter().filter(|id| before[*id].price < 20.0).count();
        assert_eq!(first["facets"]["price"][0]["count"], cheap, "case {case}");
        assert!(!finds_all || found.iter().eq(passing()), "case {case}: {found:?} of {filter:?}");
    }
    // All at once, later: the same, without what went meanwhile.
    let (_, whole) = server.get(&format!("/search/job/{id}?limit=100")).await;
    let (whole, missing) = products(&whole["result"]);
    assert!(missing.is_superset(&gone), "case {case}");
    order.retain(|id| !missing.contains(id));
    assert_eq!(whole, order, "case {case}");
}

/// Takes everything out of a shop, and fills it anew.
async fn restock(server: &Server, dice: &mut Dice) {
    for id in catalogue(server).await.into_keys() {
        let deleted = server.http.delete(server.url(&format!("/products/{id}"))).send().await.unwrap();
        assert_eq!(deleted.status(), 204);
    }
    let stock: Vec<_> = (0..=dice.below(PRODUCTS)).map(|_| dice.product()).collect();
    futures::future::join_all(stock.into_iter().map(|form| server.result("/add_product", form))).await;
}

/// Searches a shop, and now and then gives it other products.
async fn pages_totals_and_facets_agree(server: &Server) {
    let manifest = "name = \"rank-fixture\"\nversion = \"1.0.0\"\nkind = \"rank\"\n";
    let ranker = taja_sandbox::manifest::embed(&fixture("rank"), manifest).unwrap();
    server.uploaded("", "", ranker).await;
    let cases = std::env::var("TAJA_TEST_SEARCHES").map_or(CASES, |cases| cases.parse().unwrap());
    for case in 0..cases {
        if case % CASES_OF_STOCK == 0 {
            restock(server, &mut Dice::of(u64::MAX - case)).await;
        }
        search(server, case).await;
    }
}

#[tokio::test]
async fn pages_totals_and_facets_agree_while_products_change_in_sqlite() {
    pages_totals_and_facets_agree(&Server::start().await).await;
}

#[tokio::test]
async fn pages_totals_and_facets_agree_while_products_change_in_mongodb() {
    let cluster = Cluster::start().await;
    let (api, _worker) = tokio::join!(cluster.process("api", "api"), cluster.process("worker", "worker"));
    pages_totals_and_facets_agree(&api).await;
}
