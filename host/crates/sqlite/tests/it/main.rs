//! The store against its contract, against filters in memory, and against its own file.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use taja_catalog::{
    Details, EffectKey, Filter, Product, ProductId, Space, TenantId, contract,
    port::{Change, Edit, Edited, PortErrorKind, Store},
};
use taja_sqlite::{OpenError, SqliteStore};
use tempfile::TempDir;

mod kill;
mod words;

fn shop() -> TenantId {
    "shop".parse().unwrap()
}

fn space() -> Space {
    Space { id: "test@0".into(), model: "test".into(), dimension: 2 }
}

fn fresh() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(folder.path().join("taja.db")).unwrap(), folder)
}

/// A product without images.
fn creation(id: &str, details: Details, text: &str) -> Change {
    let product = Product {
        tenant: shop(),
        id: id.parse().unwrap(),
        details,
        images: Vec::new(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        updated_at: jiff::Timestamp::UNIX_EPOCH,
        offers: Vec::new(),
        revision: 1,
    };
    Change::Create { product: Box::new(product), images: Vec::new(), index_text: text.into() }
}

async fn put(store: &SqliteStore, id: &str, details: Details, text: &str) {
    let effect: EffectKey = id.parse().unwrap();
    let change = creation(id, details, text);
    store.commit(&shop(), &effect, &space(), change, &serde_json::json!({})).await.unwrap();
}

fn named(name: &str) -> Details {
    Details { name: name.into(), ..Details::default() }
}

async fn words(store: &SqliteStore, text: &str) -> Vec<String> {
    let found = store.keyword(&shop(), &text.into(), &Filter::everything(), 20).await.unwrap();
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}

#[tokio::test]
async fn the_file_keeps_the_contract() {
    contract::store_suite(async || fresh()).await;
}

#[tokio::test]
async fn the_file_keeps_the_model_that_serves() {
    contract::model_suite(async || fresh()).await;
}

#[tokio::test]
async fn the_file_keeps_shops_and_keys() {
    contract::access_suite(async || fresh()).await;
}

#[tokio::test]
async fn the_file_keeps_plugins() {
    contract::plugin_suite(async || fresh()).await;
}

#[tokio::test]
async fn words_are_found_as_in_every_store() {
    contract::words_suite(async || fresh()).await;
    contract::spelling_suite(async || fresh()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_passes_the_same_products_in_sql_and_in_memory() {
    tokio::task::block_in_place(|| contract::filter_suite(64, 40, async || fresh()));
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let (store, folder) = fresh();
    put(&store, "shoe", named("Shoe"), "shoe").await;
    store.close().await.unwrap();
    assert_eq!(store.about().await.unwrap_err().kind, PortErrorKind::Unavailable);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files, ["taja.db"], "the log is gone");
    let store = SqliteStore::open(folder.path().join("taja.db")).unwrap();
    assert_eq!(words(&store, "shoe").await, ["shoe"]);
    store.about().await.unwrap();
    store.check().await.unwrap();
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taja.db");
    drop(SqliteStore::open(&path).unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 99, .. }), "{refused}");
    assert!(refused.to_string().contains("use a newer one"));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taja.db");
    std::fs::write(&path, "not a database, but long enough to be looked at ".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(&path).unwrap_err(), OpenError::Sqlite(_)));
}

#[tokio::test]
async fn a_write_waits_for_another_connection_and_reads_do_not() {
    let (store, folder) = fresh();
    let mut other = rusqlite::Connection::open(folder.path().join("taja.db")).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let (effect, change) = ("shoe".parse().unwrap(), creation("shoe", named("Shoe"), "shoe"));
    let receipt = serde_json::json!({});
    let (tenant, space) = (shop(), space());
    let write = store.commit(&tenant, &effect, &space, change, &receipt);
    tokio::pin!(write);
    assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut write).await.is_err());
    assert_eq!(store.counts().await.unwrap().products, 0);
    held.commit().unwrap();
    write.await.unwrap();
    assert_eq!(store.counts().await.unwrap().products, 1);
}

/// The tables as they were when products could only be added.
const BEFORE_EDITS: [&str; 6] = [
    include_str!("../../src/schema/1.sql"),
    include_str!("../../src/schema/2.sql"),
    include_str!("../../src/schema/3.sql"),
    include_str!("../../src/schema/4.sql"),
    include_str!("../../src/schema/5.sql"),
    include_str!("../../src/schema/6.sql"),
];

#[tokio::test]
async fn products_of_a_file_from_before_can_be_edited_and_their_dates_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taja.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    BEFORE_EDITS.iter().for_each(|step| file.execute_batch(step).unwrap());
    let rows = r#"INSERT INTO products VALUES
            (1, 'shop', 'shoe', '{"name": "Shoe", "attributes": {"since": "2026-03-01"}}', 'rain', 1, 1);
        INSERT INTO fields VALUES ('shop', 'name', 'Shoe', 1), ('shop', 'attributes.since', '2026-03-01', 1);
        INSERT INTO words (rowid, tenant, name, text) VALUES (1, 'x73686f700', 'Shoe', 'rain');
        INSERT INTO pieces (rowid, text) VALUES (1, 'Shoe rain');"#;
    file.execute_batch(rows).unwrap();
    file.pragma_update(None, "user_version", 6).unwrap();
    drop(file);

    let store = SqliteStore::open(&path).unwrap();
    let id: ProductId = "shoe".parse().unwrap();
    assert_eq!(words(&store, "rain").await, ["shoe"]);
    let before_april = Filter::parse(&serde_json::json!({"since": {"lt": "2026-04-01"}})).unwrap();
    assert_eq!(store.matching(&shop(), &before_april, 9).await.unwrap(), std::slice::from_ref(&id));
    let revision = store.product(&shop(), &id).await.unwrap().unwrap().revision;
    let edit = Edit::Describe { details: Box::new(named("Boot")), index_text: Some("snow".into()) };
    let edited = store.edit(&shop(), &id, revision, &edit).await.unwrap();
    assert_eq!(edited, Edited::Done { revision: revision + 1, gone: vec![], left_over: vec![] });
    assert!(store.matching(&shop(), &before_april, 9).await.unwrap().is_empty());
    assert_eq!((words(&store, "rain").await, words(&store, "snow").await), (vec![], vec!["shoe".to_owned()]));
}

#[tokio::test]
async fn an_edit_leaves_nothing_of_what_was_behind() {
    let (store, folder) = fresh();
    let attributes =
        serde_json::json!({"since": "2026-03-01", "tags": ["a", "b"]}).as_object().unwrap().clone();
    put(&store, "shoe", Details { attributes, ..named("Shoe") }, "rain").await;
    let id = "shoe".parse().unwrap();
    let plain = Edit::Describe { details: Box::new(named("Shoe")), index_text: None };
    store.edit(&shop(), &id, 1, &plain).await.unwrap();
    let file = rusqlite::Connection::open(folder.path().join("taja.db")).unwrap();
    let count = |table: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    // Its name, price and description.
    assert_eq!(count("fields"), 3);
    store.edit(&shop(), &id, 2, &Edit::Delete).await.unwrap();
    for table in ["products", "fields", "images", "vectors"] {
        assert_eq!(count(table), 0, "{table}");
    }
    assert_eq!(count("receipts"), 1);
}
