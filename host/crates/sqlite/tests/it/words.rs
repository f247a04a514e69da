//! Search by words: the order is the one that FTS5 gives by itself, and what is kept in memory never hides a product.

use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, OpenFlags};
use taja_catalog::{
    Details, Filter, Product, ProductId, TenantId,
    port::{Change, Store},
};
use taja_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::{fresh, named, put, shop, space, words};

/// What texts are made of. Some begin others, some are met far more often, and one falls into two for the index.
const WORDS: [&str; 12] = [
    "shoe",
    "shoes",
    "shoelace",
    "red",
    "redder",
    "bag",
    "baggage",
    "a\u{2122}b",
    "lamp",
    "kettle",
    "tea",
    "shoe",
];
const PRODUCTS: u64 = 300;

/// Words drawn by a number, the low ones more often.
fn text(mut seed: u64, count: u64) -> String {
    let mut text = Vec::new();
    for _ in 0..count {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (seed >> 33) % 144;
        text.push(WORDS[(draw as f64).sqrt() as usize]);
    }
    text.join(" ")
}

async fn add(store: &SqliteStore, tenant: &TenantId, n: u64) {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let details = Details { price: n as f64, ..named(&text(n, 1 + n % 3)) };
    let id: ProductId = format!("p{n}").parse().unwrap();
    let product = Product {
        tenant: tenant.clone(),
        id,
        details,
        images: vec![],
        created_at: now,
        updated_at: now,
        offers: Vec::new(),
        revision: 1,
    };
    let change =
        Change::Create { product: Box::new(product), images: vec![], index_text: text(n + 1000, n * 7 % 23) };
    let effect = format!("e{n}").parse().unwrap();
    store.commit(tenant, &effect, &space(), change, &serde_json::json!({})).await.unwrap();
}

/// Products of three shops: most of them of one, a few of the others.
async fn shops() -> (SqliteStore, TempDir, [TenantId; 3]) {
    let (store, folder) = fresh();
    let shops = ["large", "small", "empty"].map(|name| name.parse().unwrap());
    for n in 0..PRODUCTS {
        add(&store, &shops[usize::from(n % 10 == 0)], n).await;
    }
    (store, folder, shops)
}

/// FTS5's own order: any of the words, every word for the bonus.
fn order_of_fts5(folder: &TempDir, tenant: &TenantId, words: &[&str]) -> Vec<(String, f32)> {
    let file = folder.path().join("taja.db");
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let phrase = |word: &&str| {
        if word.chars().count() < 4 { format!("\"{word}\"") } else { format!("(\"{word}\" OR \"{word}\"*)") }
    };
    let token: String = tenant.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
    let expression = |join: &str| {
        let phrases: Vec<_> = words.iter().map(phrase).collect();
        format!("tenant : x{token}0 AND ({{name text}} : ({}))", phrases.join(join))
    };
    let bonus = if words.len() > 1 { 2 } else { 0 };
    let sql = format!(
        "SELECT p.id, -bm25(words, 0.0, 3.0, 1.0)
             + {bonus} * (w.rowid IN (SELECT rowid FROM words WHERE words MATCH ?2)) AS score
         FROM words w JOIN products p ON p.seq = w.rowid
         WHERE w.words MATCH ?1 ORDER BY score DESC, p.seq DESC"
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let rows =
        statement.query_map((expression(" OR "), expression(" AND ")), |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

async fn order(store: &SqliteStore, tenant: &TenantId, text: &str, limit: usize) -> Vec<(String, f32)> {
    let found = store.keyword(tenant, &text.into(), &Filter::everything(), limit).await.unwrap();
    found.into_iter().map(|(id, score)| (id.to_string(), score)).collect()
}

#[tokio::test]
async fn the_order_and_the_scores_are_those_of_fts5() {
    let (store, folder, shops) = shops().await;
    for query in [
        &["shoe"][..],
        &["red"],
        &["shoe", "red"],
        &["bagg", "lamp", "tea"],
        &["a\u{2122}b", "kettle"],
        &["shoe", "nothing"],
        // A letter to us, and nothing to the index.
        &["shoe", "\u{24d0}"],
        &["lamp", "kettle", "shoe", "bag", "red"],
    ] {
        // The second time from memory.
        for _ in 0..2 {
            for tenant in &shops {
                let expected = order_of_fts5(&folder, tenant, query);
                let found = order(&store, tenant, &query.join(" "), usize::MAX).await;
                assert_eq!(found, expected, "{query:?} in {tenant}");
                let few = order(&store, tenant, &query.join(" "), 7).await;
                assert_eq!(few, expected[..few.len()], "{query:?} in {tenant}");
                assert_eq!(few.len(), expected.len().min(7));
            }
        }
    }
}

#[tokio::test]
async fn a_product_is_found_as_soon_as_it_is_there_whoever_wrote_it() {
    let (store, folder) = fresh();
    let other = SqliteStore::open(folder.path().join("taja.db")).unwrap();
    assert!(words(&store, "shoe").await.is_empty());
    let mut expected = Vec::new();
    for n in 0..10 {
        let id = format!("p{n}");
        put(if n % 2 == 0 { &store } else { &other }, &id, named("shoe"), "").await;
        expected.insert(0, id);
        assert_eq!(words(&store, "shoe").await, expected);
        assert_eq!(words(&other, "shoe").await, expected);
    }
}

/// Searches until all are found; each must find what was acknowledged before it began.
async fn search_beside(store: &SqliteStore, acknowledged: &AtomicUsize, all: usize) {
    let mut found = 0;
    while found < all {
        let before = acknowledged.load(Ordering::SeqCst);
        found = order(store, &shop(), "shoe", usize::MAX).await.len();
        assert!(found >= before, "{before} were acknowledged, {found} are found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_beside_commits_find_what_was_acknowledged() {
    let (store, folder) = fresh();
    let other = SqliteStore::open(folder.path().join("taja.db")).unwrap();
    let (acknowledged, all) = (AtomicUsize::new(0), 60);
    let write = async {
        for n in 0..all {
            put(if n % 3 == 0 { &other } else { &store }, &format!("p{n}"), named("shoe"), "").await;
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    };
    let search = |store| search_beside(store, &acknowledged, all);
    tokio::join!(write, search(&store), search(&store), search(&store), search(&other));
}

#[tokio::test]
async fn a_shop_is_not_shown_what_another_one_has() {
    let (store, _folder, [large, small, empty]) = shops().await;
    let all = order(&store, &large, "shoe lamp red", usize::MAX).await;
    let few = order(&store, &small, "shoe lamp red", usize::MAX).await;
    assert!(all.len() > few.len() && !few.is_empty());
    assert!(few.iter().all(|(id, _)| id.ends_with('0')), "{few:?}");
    assert!(all.iter().all(|(id, _)| !id.ends_with('0')), "{all:?}");
    assert!(order(&store, &empty, "shoe lamp red", usize::MAX).await.is_empty());
}

#[tokio::test]
async fn the_filter_is_asked_until_enough_pass() {
    let (store, _folder, [large, ..]) = shops().await;
    let all = order(&store, &large, "shoe", usize::MAX).await;
    for (least, limit) in [(0, 5), (150, 5), (150, usize::MAX), (290, 2), (1000, 5)] {
        let filter = Filter::parse(&serde_json::json!({"price": {"gte": least}})).unwrap();
        let passes = |id: &str| id[1..].parse::<u64>().unwrap() >= least;
        let expected: Vec<_> = all.iter().filter(|(id, _)| passes(id)).take(limit).cloned().collect();
        let found = store.keyword(&large, &"shoe".into(), &filter, limit).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(id, score)| (id.to_string(), score)).collect();
        // Where none passes, parts of words are looked for, and those must pass, too.
        assert_eq!(found, expected, "at least {least}, {limit} wanted");
    }
}

#[tokio::test]
async fn a_shop_that_comes_later_does_not_mix_with_the_first() {
    let (store, _folder) = fresh();
    put(&store, "first", named("shoe"), "").await;
    assert_eq!(words(&store, "shoe").await, ["first"]);
    let other: TenantId = "other".parse().unwrap();
    add(&store, &other, 1).await;
    assert_eq!(words(&store, "shoe").await, ["first"]);
    assert_eq!(order(&store, &shop(), "shoe", 9).await.len(), 1);
}
