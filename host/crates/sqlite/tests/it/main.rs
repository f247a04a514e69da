//! The store against its contract, against filters in memory, and against its own file.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use taja_catalog::{
    Details, EffectKey, Filter, Product, ProductId, Space, TenantId,
    port::{Change, PortErrorKind, Store},
};
use taja_sqlite::{OpenError, SqliteStore};
use tempfile::TempDir;

mod filters;
mod kill;

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
    let found = store.keyword(&shop(), text, &Filter::everything(), 20).await.unwrap();
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}

#[tokio::test]
async fn the_file_keeps_the_contract() {
    taja_catalog::contract::store_suite(async || fresh()).await;
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

#[tokio::test]
async fn words_are_found_without_case_accents_and_endings() {
    let (store, _folder) = fresh();
    put(&store, "cafe", named("Café crème Running Shoes"), "").await;
    put(&store, "other", named("teapot"), "").await;
    for query in ["cafe", "CAFÉ", "cafe\u{301}", "creme", "runs", "shoe", "runn"] {
        let found = words(&store, query).await;
        if query == "runn" {
            assert_eq!(found, ["cafe"], "a beginning of four letters finds the word");
        } else {
            assert_eq!(found, ["cafe"], "{query}");
        }
    }
    assert!(words(&store, "run tea").await.contains(&"cafe".to_owned()));
    assert!(words(&store, "tea").await.is_empty(), "three letters find only the whole word");
}

#[tokio::test]
async fn the_name_counts_more_than_the_text() {
    let (store, _folder) = fresh();
    put(&store, "in-text", named("Bag"), "goes well with a kettle").await;
    put(&store, "in-name", named("Kettle"), "goes well with a bag now").await;
    for n in 0..5 {
        put(&store, &format!("filler{n}"), named("Lamp"), "a light for the table").await;
    }
    assert_eq!(words(&store, "kettle").await, ["in-name", "in-text"]);
}

#[tokio::test]
async fn scripts_without_spaces_are_searched_by_their_parts() {
    let (store, _folder) = fresh();
    put(&store, "backpack", named("防水登山背包"), "大容量防水登山背包，适合徒步").await;
    put(&store, "shirt", named("赤いTシャツ"), "綿100%の赤いTシャツ").await;
    put(&store, "korean", named("방수 등산화"), "가벼운 등산화").await;
    put(&store, "thai", named("รองเท้าวิ่งผู้ชาย"), "").await;
    put(&store, "hindi", named("नीली किताब"), "").await;
    for (query, wanted) in [
        ("背包", "backpack"),
        ("包", "backpack"),
        ("防水", "backpack"),
        ("登山背包", "backpack"),
        ("シャツ", "shirt"),
        ("Tシャツ", "shirt"),
        ("등산화", "korean"),
        ("รองเท้า", "thai"),
        ("วิ่งผู้ชาย", "thai"),
        ("किताब", "hindi"),
    ] {
        assert_eq!(words(&store, query).await, [wanted], "{query}");
    }
    assert!(words(&store, "雨伞").await.is_empty());
}

#[tokio::test]
async fn a_part_of_a_compound_is_found_when_no_word_is() {
    let (store, _folder) = fresh();
    put(&store, "compound", named("Laufschuhe"), "").await;
    assert_eq!(words(&store, "schuh").await, ["compound"]);
    put(&store, "word", named("Schuh"), "").await;
    assert_eq!(words(&store, "schuh").await, ["word"], "a word is better than a part");
    let filter = Filter::parse(&serde_json::json!({"color": "red"})).unwrap();
    assert!(store.keyword(&shop(), "aufschu", &filter, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_filter_as_large_as_can_be_is_answered() {
    let (store, _folder) = fresh();
    put(&store, "shoe", named("shoe"), "shoe").await;
    let list: Vec<_> = (0..200).map(|n| format!("x{n}")).collect();
    let conditions = vec![serde_json::json!({"not": {"color": list}}); 200];
    let filter = Filter::parse(&serde_json::json!({"and": conditions})).unwrap();
    let twice = filter.clone().and(filter);
    let shoe: ProductId = "shoe".parse().unwrap();
    assert_eq!(store.matching(&shop(), &twice, 9).await.unwrap(), [shoe]);
    let empty = Filter::Any(vec![Filter::everything(); 20_000]);
    assert_eq!(store.matching(&shop(), &empty, 9).await.unwrap().len(), 1);
}
