//! What is written is all there or not at all, whatever happens to the server.

use std::sync::Arc;

use futures::future::join_all;
use mongodb::bson::{Document, doc};
use serde_json::json;
use taja_catalog::{
    EffectKey, Filter, ImageHash,
    port::{Change, Counts, PortErrorKind, Store},
};
use taja_mongo::MongoStore;

use crate::support::{Server, commit, creation, image, named, put, shop};

fn shoe(id: &str) -> Change {
    creation(id, named("shoe"), "shoe", vec![image(id)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_write_at_once() {
    let server = Server::start().await;
    commits_of_one_shop_at_once_are_all_written(&server).await;
    of_many_with_the_same_picture_one_is_written(&server).await;
    of_many_who_want_a_picture_all_are_noted(&server).await;
    of_a_withdrawal_and_a_commit_one_wins(&server).await;
    four_processes_open_one_database(&server).await;
}

#[tokio::test]
async fn what_was_stored_before_changes_were_noted_is_found_by_them_after_the_next_start() {
    let server = Server::start().await;
    let name = server.name();
    let store = server.open(&name, None).await;
    put(&store, "old", named("shoe"), "shoe").await;
    put(&store, "young", named("shoe"), "shoe").await;
    commit(&store, "more", Change::Merge { product: "young".parse().unwrap(), images: vec![image("more")] })
        .await
        .unwrap();
    let search = server.database(&name).await.collection::<Document>("search");
    search.update_many(doc! {}, doc! { "$unset": { "updated_at": "" } }).await.unwrap();
    let store = server.open(&name, None).await;
    for (filter, found) in [(json!({"gt": "2020-01-01"}), "young"), (json!({"lt": "2020-01-01"}), "old")] {
        let filter = Filter::parse(&json!({ "updated_at": filter })).unwrap();
        assert_eq!(store.matching(&shop(), &filter, 9).await.unwrap(), [found.parse().unwrap()]);
    }
}

async fn commits_of_one_shop_at_once_are_all_written(server: &Server) {
    let name = server.name();
    let stores = join_all((0..5).map(|_| server.open(&name, None))).await;
    let names: Vec<_> = (0..50).map(|n| format!("shoe-{n}")).collect();
    let commits =
        names.iter().zip(stores.iter().cycle()).map(|(name, store)| commit(store, name, shoe(name)));
    for result in join_all(commits).await {
        result.unwrap();
    }
    assert_eq!(stores[0].version(&shop()).await.unwrap(), 50);
    assert_eq!(stores[0].counts().await.unwrap(), Counts { products: 50, images: 50 });
}

async fn of_many_with_the_same_picture_one_is_written(server: &Server) {
    let store = server.fresh().await;
    let names: Vec<_> = (0..20).map(|n| format!("shoe-{n}")).collect();
    let commits = names.iter().map(|name| {
        commit(&store, name, creation(name, named("shoe"), "shoe", vec![image(name), image("same")]))
    });
    let results = join_all(commits).await;
    let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 19);
    assert!(refused.iter().all(|error| error.kind == PortErrorKind::Conflict), "{refused:?}");
    assert_eq!(store.counts().await.unwrap(), Counts { products: 1, images: 2 });
}

async fn of_many_who_want_a_picture_all_are_noted(server: &Server) {
    let store = server.fresh().await;
    let shop = shop();
    let effects: Vec<EffectKey> = (0..20).map(|n| format!("job-{n}").parse().unwrap()).collect();
    let pictures = [ImageHash::of(b"one"), ImageHash::of(b"two")];
    for result in join_all(effects.iter().map(|effect| store.intend(&shop, effect, &pictures))).await {
        result.unwrap();
    }
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let noted = store.intents(later, 9).await.unwrap();
    assert!(noted.iter().all(|intent| intent.effects.len() == 20), "{noted:?}");
    let withdrawals = effects.iter().map(|effect| store.withdraw(&shop, effect, &pictures[0]));
    let given_up: Vec<_> = join_all(withdrawals).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(given_up.iter().filter(|given_up| **given_up).count(), 1, "the last one gives it up");
}

/// A picture that a commit recorded is never given up, and a picture that was given up is never recorded.
async fn of_a_withdrawal_and_a_commit_one_wins(server: &Server) {
    let store = server.fresh().await;
    let (shop, late): (_, EffectKey) = (shop(), "late".parse().unwrap());
    for n in 0..40 {
        let name = format!("shoe-{n}");
        let picture = ImageHash::of(name.as_bytes());
        store.intend(&shop, &late, &[picture]).await.unwrap();
        let (committed, withdrawn) =
            tokio::join!(commit(&store, &name, shoe(&name)), store.withdraw(&shop, &late, &picture));
        let given_up = withdrawn.unwrap();
        match committed {
            Ok(()) => assert!(!given_up, "{name} was recorded and given up"),
            Err(error) => {
                assert_eq!(error.kind, PortErrorKind::Conflict);
                assert!(given_up, "{name} was refused for nothing");
            }
        }
    }
}

async fn four_processes_open_one_database(server: &Server) {
    let name = server.name();
    let stores = join_all((0..4).map(|_| server.open(&name, None))).await;
    put(&stores[0], "shoe", named("shoe"), "shoe").await;
    for store in &stores {
        assert_eq!(store.counts().await.unwrap().products, 1);
        assert_eq!(store.about().await.unwrap().details["keyword"], "text index");
    }
}

#[tokio::test]
async fn a_malformed_document_is_refused_and_rules_are_renewed() {
    let server = Server::start().await;
    let name = server.name();
    let database = server.database(&name).await;
    // As an earlier version might have left it.
    let old_rule = doc! { "create": "vectors", "validator": { "other": 1 } };
    database.run_command(old_rule).await.unwrap();
    let store = server.open(&name, None).await;
    commit(&store, "shoe", shoe("shoe")).await.unwrap();
    for (collection, field) in [
        ("products", "price"),
        ("search", "created_at"),
        ("images", "product"),
        ("vectors", "vector"),
        ("spaces", "dimension"),
        ("receipts", "receipt"),
        ("versions", "version"),
    ] {
        let documents = database.collection::<Document>(collection);
        let mut broken = documents.find_one(doc! {}).await.unwrap().unwrap();
        broken.remove(field);
        let refused = documents.insert_one(broken).await.unwrap_err().to_string();
        assert!(refused.contains("validation"), "{collection}: {refused}");
    }
    let nameless = doc! { "_id": { "t": "shop" }, "removing": false };
    let intents = database.collection::<Document>("intents");
    assert!(intents.insert_one(nameless).await.unwrap_err().to_string().contains("validation"));
}

async fn fail(server: &Server, times: i32, data: Document) {
    let point = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    server.mongod.admin(point).await.unwrap();
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_found_by_its_receipt() {
    let server = Server::start().await;
    let store = server.fresh().await;
    put(&store, "first", named("first"), "").await;

    // Begun anew as often as the server asks for it.
    let transient =
        doc! { "failCommands": ["insert"], "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
    fail(&server, 3, transient).await;
    commit(&store, "again", shoe("again")).await.unwrap();

    // Sent again when the connection breaks.
    fail(&server, 1, doc! { "failCommands": ["commitTransaction"], "closeConnection": true }).await;
    commit(&store, "broken", shoe("broken")).await.unwrap();

    // Nobody knows: it was written, and every answer says that it may not have been.
    let unknown = doc! { "failCommands": ["commitTransaction"],
    "writeConcernError": { "code": 64, "errmsg": "nobody knows", "errorLabels": ["UnknownTransactionCommitResult"] } };
    fail(&server, 1000, unknown).await;
    let error = commit(&store, "unknown", shoe("unknown")).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Unavailable, "{error}");
    fail_no_more(&server).await;
    assert!(receipt(&store, "unknown").await, "it was written");
    let again = commit(&store, "unknown", shoe("unknown")).await.unwrap_err();
    assert_eq!(again.kind, PortErrorKind::Conflict);

    // Never sent: every connection breaks before.
    fail(&server, 1000, doc! { "failCommands": ["commitTransaction"], "closeConnection": true }).await;
    let error = commit(&store, "never", shoe("never")).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Unavailable, "{error}");
    fail_no_more(&server).await;
    assert!(!receipt(&store, "never").await);
    assert_eq!(store.counts().await.unwrap(), Counts { products: 4, images: 3 });
}

async fn fail_no_more(server: &Server) {
    server.mongod.admin(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
}

async fn receipt(store: &MongoStore, effect: &str) -> bool {
    store.receipt(&shop(), &effect.parse().unwrap()).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_steps_down_loses_nothing_that_was_acknowledged() {
    let server = Server::start().await;
    let store = Arc::new(server.fresh().await);
    let writers = (0..4).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for n in 0..30 {
                let name = format!("shoe-{writer}-{n}");
                outcomes.push((name.clone(), commit(&store, &name, shoe(&name)).await));
            }
            outcomes
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..2 {
        server.mongod.step_down(1).await.unwrap();
        // The next step-down waits until somebody could write again.
        while store.intend(&shop(), &"probe".parse().unwrap(), &[ImageHash::of(b"probe")]).await.is_err() {}
    }
    let mut acknowledged = 0;
    for writer in writers {
        for (name, outcome) in writer.await.unwrap() {
            let found = store.product(&shop(), &name.parse().unwrap()).await.unwrap().is_some();
            assert_eq!(found, receipt(&store, &name).await, "{name}: product and receipt go together");
            match outcome {
                Ok(()) => {
                    assert!(found, "{name} was acknowledged and is lost");
                    acknowledged += 1;
                }
                Err(error) => assert_eq!(error.kind, PortErrorKind::Unavailable, "{error:?}"),
            }
        }
    }
    assert!(acknowledged > 0);
    let all = store.matching(&shop(), &Filter::everything(), 999).await.unwrap();
    assert_eq!(all.len() as u64, store.version(&shop()).await.unwrap(), "one version for each product");
}
