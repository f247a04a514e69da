//! Pages, totals and facets of one search agree, whatever is searched for, whoever ranks it, and whatever happens to the
//! products between the pages; in shops of which a result set holds everything, and in larger ones. The model is a small one,
//! since nothing of this hangs on what it finds alike.

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
    activation::Shelf,
    cluster::Cluster,
    component::fixture,
    import::{inline, mosaic},
    support::{Server, file},
};

/// Searches of one stock; then the shop gets another one.
const CASES_OF_STOCK: u64 = 6;
/// How few and how many products are in each stock. Of the third there are more than a result set holds by relevance, and
/// fewer than are looked up for that; of the last, more than any result set holds.
const STOCKS: [[usize; 2]; 4] = [[1, 18], [1, 18], [215, 249], [1010, 1040]];
/// From so many products on they come in one file, and more are read at once.
const MANY: usize = 100;
/// Products that are taken out of a shop at once.
const AT_ONCE: usize = 16;
/// Values that are told of a facet, at most.
const FACET_VALUES: usize = 100;
/// A filter that is refused for its depth would be another test's.
const DEPTH: usize = 3;

const WORDS: &[&str] = &["red", "blue", "cup", "jacket", "leather", "poster", "small", "cat"];
const CATEGORIES: &[&str] = &["clothes", "kitchen", "walls"];
/// What each facet's counts add up to the total of, as each product has one category, one price and one date, and was added.
const FACETS: &str = r#"["category", {"field": "price", "ranges": [{"to": 20}, {"from": 20, "to": 60}, {"from": 60}]}, "price",
    "since", {"field": "since", "ranges": [{"to": "2026-03-02"}, {"from": "2026-03-02"}]},
    {"field": "created_at", "ranges": [{"to": "2020-01-01"}, {"from": "2020-01-01T00:00:00Z"}]}]"#;
/// Dates, of which some write one moment.
const DATES: &[&str] = &["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-02T02:00:00+02:00", "2026-03-02"];
const SORTS: &[&str] =
    &["price", "-price", "color,-price", "created_at", "-updated_at", "since:desc,price:asc", "-nothing"];

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
        mosaic(self.0.next_u32().into())
    }

    fn price(&mut self) -> f64 {
        self.below(200) as f64 / 2.0
    }

    /// What a shop says of a product, but for its picture.
    fn details(&mut self) -> Value {
        let mut details = json!({
            "name": self.words(),
            "description": self.words(),
            "price": self.price(),
            "category": self.of_these(CATEGORIES),
            "attributes": { "since": self.of_these(DATES) },
        });
        if !self.one_in(3) {
            details["color"] = self.of_these(&["red", "blue"]).into();
        }
        if self.one_in(3) {
            details["item_group_id"] = self.of_these(&["a", "b"]).into();
        }
        details
    }

    fn product(&mut self) -> Form {
        let form = Form::new().part("images", file(self.picture(), "picture"));
        self.details().as_object().unwrap().iter().fold(form, |form, (name, value)| {
            form.text(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
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
        let least = self.of_these(&[-1.0, -1.0, 0.2, 0.5, 0.9]);
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

/// Products by their ids.
type Shop = BTreeMap<String, Product>;

/// What a search asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// The best by relevance.
    Best,
    /// What is alike, in the order of fields.
    Ordered,
    /// All that passes the filter; nothing is looked for.
    Passing,
}

impl Wanted {
    /// Products in the result set, at most.
    fn most(self) -> usize {
        match self {
            Self::Best => 200,
            Self::Ordered | Self::Passing => 1000,
        }
    }

    /// Whether so many products fill the look-ups of search policies, so that there may be more.
    fn cuts(self, products: usize) -> bool {
        match self {
            Self::Best => products >= 250,
            Self::Ordered => products >= 1000,
            Self::Passing => false,
        }
    }
}

/// A search, and what it must find.
struct Asked {
    wanted: Wanted,
    filter: Filter,
    sort: Vec<Sort>,
    groups: bool,
    /// Whether every product that policies get to see stays in.
    finds_all: bool,
}

impl Asked {
    fn by(dice: &mut Dice, before: &Shop) -> (Form, Self) {
        let moments = before.values().flat_map(|product| [product.created_at, product.updated_at]);
        let moments: Vec<_> = moments.map(|moment| moment.to_string()).collect();
        let filter = if dice.one_in(2) { json!({}) } else { dice.filter(DEPTH, &moments) };
        let (policies, finds_all) = dice.ranking();
        let sort = if dice.one_in(2) { "" } else { dice.of_these(SORTS) };
        let (browses, groups) = (dice.one_in(3), dice.one_in(4));
        let limit = if before.len() < MANY { 1 + dice.below(6) } else { 60 + dice.below(41) };
        let form = Form::new()
            .text("filter", filter.to_string())
            .text("facets", FACETS)
            .text("group", groups.to_string())
            .text("limit", limit.to_string())
            .text("sort", sort);
        let filter = Filter::parse(&filter).unwrap();
        let sort: Vec<_> =
            sort.split(',').filter(|sort| !sort.is_empty()).map(|sort| Sort::parse(sort).unwrap()).collect();
        if browses {
            return (form, Self { wanted: Wanted::Passing, filter, sort, groups, finds_all: true });
        }
        let mut form = form.text("policies", policies.to_string());
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
        let wanted = if sort.is_empty() { Wanted::Best } else { Wanted::Ordered };
        (form, Self { wanted, filter, sort, groups, finds_all })
    }

    /// The products that pass, in the order of the fields, and newest first.
    fn passing<'a>(&self, before: &'a Shop) -> Vec<&'a String> {
        let mut passing: Vec<_> =
            before.iter().filter(|(_, product)| self.filter.matches(*product)).map(|(id, _)| id).collect();
        passing.sort_by_cached_key(|id| {
            let product = &before[*id];
            (SortKey::of(&self.sort, product), Reverse((product.created_at, *id)))
        });
        passing
    }

    /// The first of each group, where products are grouped.
    fn matches<'a>(&self, products: &[&'a String], before: &Shop) -> Vec<&'a String> {
        let mut groups = BTreeSet::new();
        let is_first = |id: &&&String| {
            let group = before[**id].details.item_group_id.as_deref();
            !self.groups || group.is_none_or(|group| groups.insert(group))
        };
        products.iter().filter(is_first).copied().collect()
    }

    /// What was found of these, of which some are gone meanwhile.
    fn check_found(&self, order: &[String], gone: &BTreeSet<String>, before: &Shop, case: u64) {
        let passing = self.passing(before);
        let found = order.len() + gone.len();
        let distinct: BTreeSet<_> = order.iter().chain(gone).collect();
        assert_eq!(found, distinct.len(), "case {case}: a product stands twice");
        assert!(distinct.is_subset(&passing.iter().copied().collect()), "case {case}: {:?}", self.filter);
        let distinct: Vec<_> = distinct.into_iter().collect();
        assert_eq!(self.matches(&distinct, before).len(), found, "case {case}: a group stands twice");
        let most = self.wanted.most();
        if self.finds_all && (passing.len() <= most || !self.groups) {
            let all = self.matches(&passing, before).len().min(most);
            assert_eq!(found, all, "case {case}: {distinct:?} of {:?}", self.filter);
        }
        let place = |id: &String| SortKey::of(&self.sort, &before[id]);
        assert!(order.is_sorted_by_key(place), "case {case}: {order:?} by {:?}", self.sort);
        if self.wanted == Wanted::Passing {
            let mut first = self.matches(&passing[..passing.len().min(most)], before);
            first.retain(|id| !gone.contains(*id));
            assert!(order.iter().eq(first), "case {case}: {order:?} by {:?}", self.sort);
        }
    }

    /// What a page counts of these. Whether there may be more than was found.
    fn check_counts(&self, page: &Value, found: &[&Product], before: &Shop, case: u64) -> bool {
        let passing = self.passing(before).len();
        let (total, counts) = (found.len() as u64, &page["counts"]);
        assert_eq!(page["total"], total, "case {case}: {page}");
        let is_capped = counts["total"] == "capped";
        assert!(is_capped || counts["total"] == "exact", "case {case}: {counts}");
        let most = self.wanted.most();
        let is_full = passing > most && (self.finds_all || found.len() == most);
        // How full the set is cannot be seen once groups are folded in it.
        if !self.groups || self.finds_all || passing <= most || self.wanted.cuts(passing) {
            assert_eq!(is_capped, is_full || self.wanted.cuts(passing), "case {case}: {total} of {passing}");
        }
        for facet in ["category", "since", "created_at"] {
            assert_eq!(counts["facets"][facet], counts["total"], "case {case}: {facet}");
        }
        if self.groups {
            assert!(sums(page, "price")[1] >= total, "case {case}: {page}");
            return is_capped;
        }
        let mut prices: BTreeMap<_, u64> = BTreeMap::new();
        for product in found {
            *prices.entry(product.details.price.to_string()).or_default() += 1;
        }
        let mut prices: Vec<_> = prices.into_values().collect();
        prices.sort_by_key(|count| Reverse(*count));
        let is_cut = prices.len() > FACET_VALUES;
        assert_eq!(counts["facets"]["price"] == "capped", is_capped || is_cut, "case {case}: {counts}");
        for (facet, expected) in [
            ("category", [total, 0]),
            ("price", [prices.iter().take(FACET_VALUES).sum(), total]),
            ("since", [total, total]),
            ("created_at", [0, total]),
        ] {
            assert_eq!(sums(page, facet), expected, "case {case}: {facet}");
        }
        let cheap = found.iter().filter(|product| product.details.price < 20.0).count();
        assert_eq!(page["facets"]["price"][0]["count"], cheap, "case {case}");
        let dates = page["facets"]["since"].as_array().unwrap().iter();
        for (date, count) in dates.filter_map(|count| Some((count["value"].as_str()?, &count["count"]))) {
            let same = Filter::parse(&json!({ "since": date })).unwrap();
            let same = found.iter().filter(|product| same.matches(**product)).count();
            assert_eq!(*count, same, "case {case}: {date}");
        }
        is_capped
    }
}

/// The products of the shop as they are now, by their ids; without their pictures.
async fn catalogue(server: &Server) -> Shop {
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

/// Something happens to the shop: a product comes, or one of these goes or is another one from now on.
async fn happen(server: &Server, dice: &mut Dice, products: &mut Vec<String>) {
    let one = dice.below(products.len());
    let url = server.url(&format!("/products/{}", products[one]));
    match dice.below(3) {
        0 => drop(server.result("/add_product", dice.product()).await),
        1 if products.len() > 1 => {
            assert_eq!(server.http.delete(url).send().await.unwrap().status(), 204);
            products.swap_remove(one);
        }
        _ => {
            let change = json!({ "price": dice.price(), "category": dice.of_these(CATEGORIES) });
            assert_eq!(server.http.patch(url).json(&change).send().await.unwrap().status(), 200);
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

/// Searches, and reads page after page while things happen. What was asked for, and whether there may be more than was found.
async fn search(server: &Server, case: u64) -> (Wanted, bool) {
    let mut dice = Dice::of(case);
    let before = catalogue(server).await;
    let (form, asked) = Asked::by(&mut dice, &before);
    let (status, accepted) = server.post("/search", form).await;
    assert_eq!(status, 202, "case {case}: {accepted}");
    let id = accepted["job_id"].as_str().unwrap();
    let job = server.job("/search", id).await;
    assert_eq!(job["status"], "completed", "case {case}: {job}");
    let first = job["result"].clone();
    assert!(first["degraded"].is_null(), "case {case}: {first}");
    let (mut order, mut gone) = products(&first);
    let mut page = first.clone();
    let mut there: Vec<_> = before.keys().cloned().collect();
    while let Some(next) = page["next"].as_str() {
        happen(server, &mut dice, &mut there).await;
        page = server.get(&format!("/search/job/{id}?cursor={next}")).await.1["result"].clone();
        let (here, gone_here) = products(&page);
        order.extend(here);
        gone.extend(gone_here);
        for same in ["total", "facets", "counts"] {
            assert_eq!(page[same], first[same], "case {case}: {same}");
        }
    }
    asked.check_found(&order, &gone, &before, case);
    let found: Vec<_> = order.iter().chain(&gone).map(|id| &before[id]).collect();
    let is_capped = asked.check_counts(&first, &found, &before, case);
    // In large pages, later: the same, without what went meanwhile.
    let (mut whole, mut missing) = (Vec::new(), BTreeSet::new());
    let mut next = Some(String::new());
    while let Some(from) = next {
        let page = server.get(&format!("/search/job/{id}?limit=100{from}")).await.1["result"].clone();
        let (here, gone_here) = products(&page);
        whole.extend(here);
        missing.extend(gone_here);
        next = page["next"].as_str().map(|cursor| format!("&cursor={cursor}"));
    }
    assert!(missing.is_superset(&gone), "case {case}");
    order.retain(|id| !missing.contains(id));
    assert_eq!(whole, order, "case {case}");
    (asked.wanted, is_capped)
}

/// Takes everything out of a shop, and fills it anew.
async fn restock(server: &Server, dice: &mut Dice, [least, most]: [usize; 2]) {
    let products: Vec<_> = catalogue(server).await.into_keys().collect();
    for some in products.chunks(AT_ONCE) {
        let delete = |id: &String| server.http.delete(server.url(&format!("/products/{id}"))).send();
        for deleted in futures::future::join_all(some.iter().map(delete)).await {
            assert_eq!(deleted.unwrap().status(), 204);
        }
    }
    let count = least + dice.below(most - least + 1);
    if count < MANY {
        let stock: Vec<_> = (0..count).map(|_| dice.product()).collect();
        futures::future::join_all(stock.into_iter().map(|form| server.result("/add_product", form))).await;
    } else {
        let rows = (0..count).map(|_| {
            let mut row = dice.details();
            row["images"] = json!([inline(&dice.picture())]);
            row.to_string()
        });
        let id = server.importing("application/x-ndjson", rows.collect::<Vec<_>>().join("\n")).await;
        let job = server.imported(&id).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
    assert_eq!(catalogue(server).await.len(), count);
}

/// Searches a shop, and now and then gives it other products: of this many stocks, unless `TAJA_TEST_SEARCHES` says how many
/// searches there are.
async fn pages_totals_and_facets_agree(server: &Server, stocks: usize) {
    let manifest = "name = \"rank-fixture\"\nversion = \"1.0.0\"\nkind = \"rank\"\n";
    let ranker = taja_sandbox::manifest::embed(&fixture("rank"), manifest).unwrap();
    server.uploaded("", "", ranker).await;
    let cases = std::env::var("TAJA_TEST_SEARCHES");
    let cases = cases.map_or(CASES_OF_STOCK * stocks as u64, |cases| cases.parse().unwrap());
    let mut seen = BTreeSet::new();
    for case in 0..cases {
        if case % CASES_OF_STOCK == 0 {
            let stock = STOCKS[(case / CASES_OF_STOCK) as usize % STOCKS.len()];
            restock(server, &mut Dice::of(u64::MAX - case), stock).await;
        }
        seen.insert(search(server, case).await);
    }
    // Each kind of search found all that there is; and less than that, where a stock is large enough for it.
    let kinds = [0, 0, 0, 4, 6];
    let stocks = (cases / CASES_OF_STOCK) as usize;
    assert!(seen.len() >= kinds[stocks.min(STOCKS.len())], "{seen:?}");
}

/// A small model, and every picture a product of its own: to this model they look alike.
fn settings(shelf: &Shelf) -> [(&'static str, String); 2] {
    let ingest = json!({ "ingest-product": { "near_duplicates": false, "on_known": "duplicate" } });
    [("model", shelf.model("clip")), ("plugin-settings", ingest.to_string())]
}

#[tokio::test]
async fn pages_totals_and_facets_agree_while_products_change_in_sqlite() {
    let shelf = Shelf::new();
    let settings = settings(&shelf);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    pages_totals_and_facets_agree(&Server::start_with(&settings).await, STOCKS.len()).await;
}

#[tokio::test]
async fn pages_totals_and_facets_agree_while_products_change_in_mongodb() {
    let (shelf, cluster) = (Shelf::new(), Cluster::start().await);
    let settings = settings(&shelf);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (api, _worker) = tokio::join!(
        cluster.process_with("api", "api", &settings),
        cluster.process_with("worker", "worker", &settings)
    );
    // Filling the largest shop takes this cluster longer than all else.
    pages_totals_and_facets_agree(&api, STOCKS.len() - 1).await;
}
