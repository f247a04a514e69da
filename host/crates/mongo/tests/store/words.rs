//! Searches by words through lists that are kept, while the catalogue changes under them.

use std::sync::Arc;

use futures::TryStreamExt;
use mongodb::{
    Database,
    bson::{Document, doc},
};
use serde_json::json;
use taja_catalog::{
    Filter, TenantId,
    port::{Change, Edit, Edited, Store},
};
use taja_mongo::MongoStore;

use crate::support::{Server, creation, named, put, shop, space, words};

async fn edit(store: &MongoStore, id: &str, edit: Edit) {
    let id = id.parse().unwrap();
    let revision = store.product(&shop(), &id).await.unwrap().unwrap().revision;
    let edited = store.edit(&shop(), &id, revision, &edit).await.unwrap();
    assert!(matches!(edited, Edited::Done { .. }), "{edited:?}");
}

async fn describe(store: &MongoStore, id: &str, name: &str, text: &str) {
    let (details, index_text) = (Box::new(named(name)), Some(text.to_owned()));
    edit(store, id, Edit::Describe { details, index_text }).await;
}

/// What the server was asked while `work` was done: questions to the text index, and others to the documents of words.
async fn asked(database: &Database, work: impl Future<Output = ()>) -> (u64, u64) {
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    work.await;
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    let profile = database.collection::<Document>("system.profile");
    let of_words = doc! { "ns": format!("{}.search", database.name()), "command.count": null };
    let of_words = profile.find(of_words).await.unwrap();
    let all: Vec<Document> = of_words.try_collect().await.unwrap();
    profile.drop().await.unwrap();
    let by_text = all.iter().filter(|asked| asked.to_string().contains("\"$text\": ")).count() as u64;
    (by_text, all.len() as u64 - by_text)
}

#[tokio::test]
async fn what_is_known_of_a_word_is_not_asked_for_again() {
    let server = Server::start().await;
    let name = server.name();
    let (store, other) = (server.open(&name, None).await, server.open(&name, None).await);
    let database = server.database(&name).await;
    put(&store, "a", named("Running shoe"), "").await;
    put(&store, "b", named("Hat"), "like a shoe").await;
    let first = asked(&database, async { assert_eq!(words(&store, "shoe hat").await, ["b", "a"]) });
    assert_eq!(first.await, (1, 0), "all lists are read at once");
    let again = asked(&database, async { assert_eq!(words(&store, "shoe").await, ["a", "b"]) });
    assert_eq!(again.await, (0, 0));
    put(&other, "c", named("Shoe"), "").await;
    let on = asked(&database, async { assert_eq!(words(&store, "shoe").await, ["c", "a", "b"]) });
    assert_eq!(on.await, (0, 1), "only what came is read");
    let on = asked(&database, async { assert_eq!(words(&store, "hat").await, ["b"]) });
    assert_eq!(on.await, (0, 1), "each list is read on when it is asked for");
    let details = Box::new(taja_catalog::Details { price: 3.0, ..named("Shoe") });
    edit(&other, "c", Edit::Describe { details, index_text: None }).await;
    let same = asked(&database, async { assert_eq!(words(&store, "shoe").await, ["c", "a", "b"]) });
    assert_eq!(same.await, (0, 0), "no words changed");
}

#[tokio::test]
async fn what_another_process_changes_is_found_as_it_is_now() {
    let server = Server::start().await;
    let name = server.name();
    let (store, other) = (server.open(&name, None).await, server.open(&name, None).await);
    for id in ["a", "b", "c"] {
        put(&other, id, named("Shoe"), "").await;
    }
    assert_eq!(words(&store, "shoe").await, ["c", "b", "a"]);
    assert!(words(&store, "boot").await.is_empty());
    describe(&other, "b", "Boot", "for snow").await;
    assert_eq!(words(&store, "boot").await, ["b"]);
    assert_eq!(words(&store, "shoe").await, ["c", "a"]);
    edit(&other, "c", Edit::Delete).await;
    assert_eq!(words(&store, "shoe").await, ["a"]);
    describe(&other, "b", "Boot", "goes with a shoe").await;
    assert_eq!(words(&store, "shoe").await, ["a", "b"]);
    put(&other, "d", named("Shoe"), "shoe").await;
    edit(&other, "a", Edit::Delete).await;
    assert_eq!(words(&store, "shoe boot").await, ["b", "d"]);
    assert_eq!(words(&store, "shoe boot").await, words(&server.open(&name, None).await, "shoe boot").await);
}

#[tokio::test]
async fn a_product_that_comes_again_under_its_name_is_found_again() {
    let server = Server::start().await;
    let store = server.fresh().await;
    put(&store, "a", named("Shoe"), "").await;
    put(&store, "b", named("Shoe"), "").await;
    assert_eq!(words(&store, "shoe").await, ["b", "a"]);
    edit(&store, "a", Edit::Delete).await;
    assert_eq!(words(&store, "shoe").await, ["b"]);
    let again = creation("a", named("Hat"), "", Vec::new());
    crate::support::commit(&store, "again", again).await.unwrap();
    assert_eq!(words(&store, "shoe").await, ["b"]);
    assert_eq!(words(&store, "hat").await, ["a"]);
}

#[tokio::test]
async fn more_deletions_than_are_told_are_not_overlooked() {
    let server = Server::start().await;
    let name = server.name();
    let (store, other) = (server.open(&name, None).await, server.open(&name, None).await);
    for n in 0..40 {
        put(&other, &format!("shoe{n:02}"), named("Shoe"), "").await;
    }
    assert_eq!(words(&store, "shoe").await.len(), 20);
    for n in 1..40 {
        edit(&other, &format!("shoe{n:02}"), Edit::Delete).await;
    }
    assert_eq!(words(&store, "shoe").await, ["shoe00"]);
}

#[tokio::test]
async fn a_filter_that_few_pass_finds_them_all_in_order() {
    let server = Server::start().await;
    let store = server.fresh().await;
    for n in 0..30 {
        let price = if n % 10 == 0 { 1.0 } else { 9.0 };
        let details = taja_catalog::Details { price, ..named("Shoe") };
        put(&store, &format!("shoe{n:02}"), details, if n == 10 { "shoe red" } else { "shoe" }).await;
    }
    let cheap = Filter::parse(&json!({"price": {"lt": 5}})).unwrap();
    let found = async |limit| {
        let found = store.keyword(&shop(), &"red shoe".into(), &cheap, limit).await.unwrap();
        found.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(1).await, ["shoe10"]);
    assert_eq!(found(2).await, ["shoe10", "shoe20"], "the best eight have one of them");
    assert_eq!(found(9).await, ["shoe10", "shoe20", "shoe00"]);
    let none = Filter::parse(&json!({"price": {"lt": 0}})).unwrap();
    assert!(store.keyword(&shop(), &"shoe".into(), &none, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn shops_have_lists_of_their_own() {
    let server = Server::start().await;
    let store = server.fresh().await;
    let other: TenantId = "other".parse().unwrap();
    put(&store, "mine", named("Shoe"), "").await;
    let Change::Create { mut product, images, index_text } =
        creation("theirs", named("Shoe"), "", Vec::new())
    else {
        unreachable!("a creation creates")
    };
    product.tenant = other.clone();
    let change = Change::Create { product, images, index_text };
    store.commit(&other, &"theirs".parse().unwrap(), &space(), change, &json!({})).await.unwrap();
    let theirs = async || {
        let found = store.keyword(&other, &"shoe".into(), &Filter::everything(), 9).await.unwrap();
        found.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((words(&store, "shoe").await, theirs().await), (vec!["mine".into()], vec!["theirs".into()]));
    edit(&store, "mine", Edit::Delete).await;
    assert_eq!((words(&store, "shoe").await, theirs().await), (vec![], vec!["theirs".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn searches_see_what_was_committed_before_they_began_whoever_writes_meanwhile() {
    let server = Server::start().await;
    let name = server.name();
    let store = Arc::new(server.open(&name, None).await);
    put(&store, "first", named("Shoe"), "").await;
    let writers = (0..3).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..20 {
                let id = format!("w{writer}-{n}");
                put(&store, &id, named("Shoe"), "").await;
                assert!(all(&store, "shoe").await.contains(&id), "{id} came");
                if n % 3 == 0 {
                    describe(&store, &id, "Boot", "").await;
                    assert!(!all(&store, "shoe").await.contains(&id), "{id} is no shoe any more");
                    assert!(all(&store, "boot").await.contains(&id), "{id} is a boot");
                }
                if n % 4 == 0 {
                    edit(&store, &id, Edit::Delete).await;
                    assert!(!all(&store, "boot shoe").await.contains(&id), "{id} is gone");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let fresh = server.open(&name, None).await;
    for text in ["shoe", "boot", "boot shoe"] {
        assert_eq!(all(&store, text).await, all(&fresh, text).await, "{text}");
    }
}

async fn all(store: &MongoStore, text: &str) -> Vec<String> {
    let found = store.keyword(&shop(), &text.into(), &Filter::everything(), 999).await.unwrap();
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}
