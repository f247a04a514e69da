//! Pages, totals and facets of one search agree, whatever is searched for, whoever ranks it, and whatever happens to the
//! products between the pages.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use reqwest::multipart::Form;
use serde_json::{Value, json};
use taja_catalog::{
    Filter, Product,
    order::{Sort, SortKey},
};

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
/// What each facet's counts add up to the total of, as each product has one category, one price and one date, and was added.
const FACETS: &str = r#"["category", {"field": "price", "ranges": [{"to": 20}, {"from": 20, "to": 60}, {"from": 60}]}, "price",
    "since", {"field": "since", "ranges": [{"to": "2026-03-02"}, {"from": "2026-03-02"}]},
    {"field": "created_at", "ranges": [{"to": "2020-01-01"}, {"from": "2020-01-01T00:00:00Z"}]}]"#;
/// Dates, of which some write one moment.
const DATES: &[&str] = &["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-02T02:00:00+02:00", "2026-03-02"];
const SORTS: &[&str] = &[
    "",
    "",
    "price",
    "-price",
    "color,-price",
    "created_at",
    "-updated_at",
    "since:desc,price:asc",
    "-nothing",
];

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
            .text("attributes", json!({ "since": self.of_these(DATES) }).to_string())
            .part("images", file(self.picture(), "picture"));
        let form = if self.one_in(3) { form } else { form.text("color", self.of_these(&["red", "blue"])) };
        if self.one_in(3) { form.text("item_group_id", self.of_these(&["a", "b"])) } else { form }
    }

    /// A condition; `moments` are some that products were added or changed at.
    fn condition(&mut self, moments: &[String]) -> Value {
        match self.below(10) {
            7 => json!({ "since": self.of_these(DATES) }),
            8 => json!({ "since": { "gt": self.of_these(DATES) } }),
            9 => {
                let (field, operator) =
                    (self.of_these(&["created_at", "updated_at"]), self.of_these(&["gte", "lt", "eq"]));
                json!({ field: { operator: moments[self.below(moments.len())] } })
            }
            0 => json!({ "category": self.of_these(CATEGORIES) }),
            1 => json!({ "category": { "in": [self.of_these(CATEGORIES), self.of_these(CATEGORIES)] } }),
            2 => json!({ "price": { "gte": self.price() } }),
            3 => json!({ "price": { "lt": self.price() } }),
            4 => json!({ "color": { "exists": self.one_in(2) } }),
            5 => json!({ "color": { "ne": self.of_these(&["red", "blue"]) } }),
            _ => json!({ "name": { "prefix": self.of_these(&["red", "le", "c"]) } }),
        }
    }

    fn filter(&mut self, depth: usize, moments: &[String]) -> Value {
        let several =
            |dice: &mut Self| -> Vec<_> { (0..2).map(|_| dice.filter(depth - 1, moments)).collect() };
        match self.below(6) {
            _ if depth == 0 => self.condition(moments),
            0 => json!({ "and": several(self) }),
            1 => json!({ "or": several(self) }),
            2 => json!({ "not": self.filter(depth - 1, moments) }),
            _ => self.condition(moments),
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
    sort: Vec<Sort>,
    /// Whether nothing is looked for.
    browses: bool,
}

impl Asked {
    fn by(dice: &mut Dice, moments: &[String]) -> Self {
        let filter = if dice.one_in(3) { json!({}) } else { dice.filter(DEPTH, moments) };
        let (policies, finds_all) = dice.ranking();
        let (sort, browses) = (dice.of_these(SORTS), dice.one_in(4));
        let (groups, limit) = (dice.one_in(4), 1 + dice.below(6));
        let mut form = Form::new()
            .text("filter", filter.to_string())
            .text("facets", FACETS)
            .text("group", groups.to_string())
            .text("limit", limit.to_string())
            .text("sort", sort);
        let filter = Filter::parse(&filter).unwrap();
        let sort: Vec<_> =
            sort.split(',').filter(|sort| !sort.is_empty()).map(|sort| Sort::parse(sort).unwrap()).collect();
        if browses {
            return Self { form, filter, finds_all: true, groups, sort, browses };
        }
        form = form.text("policies", policies.to_string());
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
        Self { form, filter, finds_all, groups, sort, browses }
    }
}

/// The products of the shop as they are now, by their ids; without their pictures.
async fn catalogue(server: &Server) -> BTreeMap<String, Product> {
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
            let moment = |name: &str| product[name].as_str().unwrap().parse().unwrap();
            let product = Product {
                tenant: "default".parse().unwrap(),
                id: id.parse().unwrap(),
                details: serde_json::from_value(details).unwrap(),
                images: Vec::new(),
                offers: Vec::new(),
                created_at: moment("created_at"),
                updated_at: moment("updated_at"),
                revision: 1,
            };
            products.insert(id, product);
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

/// Counts of a facet, all together: of the values, and of the ranges.
fn sums(page: &Value, facet: &str) -> [u64; 2] {
    let sum = |of_values: bool| {
        let counts = page["facets"][facet].as_array().unwrap().iter();
        let counts = counts.filter(|count| count.get("value").is_some() == of_values);
        counts.map(|count| count["count"].as_u64().unwrap()).sum()
    };
    [sum(true), sum(false)]
}

/// Searches, and reads page after page while things happen.
async fn search(server: &Server, case: u64) {
    let mut dice = Dice::of(case);
    let before = catalogue(server).await;
    let moments: Vec<_> =
        before.values().flat_map(|product| [product.created_at, product.updated_at]).collect();
    let moments: Vec<_> = moments.iter().map(ToString::to_string).collect();
    let Asked { form, filter, finds_all, groups, sort, browses } = Asked::by(&mut dice, &moments);
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
    let passing = || before.iter().filter(|(_, product)| filter.matches(*product)).map(|(id, _)| id);
    assert!(found.iter().all(|id| filter.matches(&before[id])), "case {case}: {filter:?}");
    if groups {
        assert!(sums(&first, "price")[1] >= found.len() as u64, "case {case}: {first}");
    } else {
        let total = found.len() as u64;
        for (facet, expected) in [
            ("category", [total, 0]),
            ("price", [total, total]),
            ("since", [total, total]),
            ("created_at", [0, total]),
        ] {
            assert_eq!(sums(&first, facet), expected, "case {case}: {facet}");
        }
        let cheap = found.iter().filter(|id| before[*id].details.price < 20.0).count();
        assert_eq!(first["facets"]["price"][0]["count"], cheap, "case {case}");
        let dates = first["facets"]["since"].as_array().unwrap().iter();
        let dates: BTreeMap<_, _> =
            dates.filter_map(|count| Some((count["value"].as_str()?, count))).collect();
        for (date, count) in dates {
            let same = Filter::parse(&json!({ "since": date })).unwrap();
            let same = found.iter().filter(|id| same.matches(&before[*id])).count();
            assert_eq!(count["count"], same, "case {case}: {date}");
        }
        let place = |id: &String| SortKey::of(&sort, &before[id]);
        assert!(order.is_sorted_by_key(place), "case {case}: {order:?} by {sort:?}");
        if browses {
            let newest = |id: &String| (place(id), Reverse((before[id].created_at, id.clone())));
            assert!(order.is_sorted_by_key(newest), "case {case}: {order:?} by {sort:?}");
        }
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
