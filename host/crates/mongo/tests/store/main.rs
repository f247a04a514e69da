//! The store against its contract, against filters in memory, and against a server that fails.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod filtered;
mod old;
mod plans;
mod plugins;
mod support;
mod words;
mod writes;

use mongodb::bson::{Document, doc};
use support::{Server, named, put};
use taja_catalog::{contract, port::PortErrorKind};
use taja_mongo::{Mongo, MongoOptions, MongoStore, MongoStoreOptions};

#[tokio::test]
async fn a_database_keeps_the_contract() {
    let server = Server::start().await;
    contract::store_suite(async || (server.fresh().await, ())).await;
}

#[tokio::test]
async fn a_database_keeps_shops_and_keys() {
    let server = Server::start().await;
    contract::access_suite(async || (server.fresh().await, ())).await;
}

#[tokio::test]
async fn a_database_keeps_plugins() {
    let server = Server::start().await;
    contract::plugin_suite(async || (server.fresh().await, ())).await;
}

#[tokio::test]
async fn a_database_keeps_the_model_that_serves() {
    let server = Server::start().await;
    contract::model_suite(async || (server.fresh().await, ())).await;
}

#[tokio::test]
async fn words_find_what_they_find_in_the_embedded_store() {
    let server = Server::start().await;
    contract::words_suite(async || (server.fresh().await, ())).await;
    contract::spelling_suite(async || (server.fresh().await, ())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_passes_the_same_products_on_the_server_and_in_memory() {
    let server = Server::start().await;
    tokio::task::block_in_place(|| contract::filter_suite(12, 60, async || (server.fresh().await, ())));
}

#[tokio::test]
async fn products_cannot_lie_where_something_else_does() {
    let server = Server::start().await;
    let options =
        MongoOptions { products: "vectors".into(), ..MongoOptions::new(server.mongod.uri(), "taja") };
    let mongo = Mongo::connect(&options).await.unwrap();
    let refused = MongoStore::open(&mongo, MongoStoreOptions::default()).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Invalid);
    let options = MongoOptions { products: "goods".into(), ..options };
    let mongo = Mongo::connect(&options).await.unwrap();
    let store = MongoStore::open(&mongo, MongoStoreOptions::default()).await.unwrap();
    put(&store, "shoe", named("shoe"), "shoe").await;
    let goods = server.database("taja").await.collection::<Document>("goods");
    let stored = goods.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(stored.get_str("name").unwrap(), "shoe");
}
