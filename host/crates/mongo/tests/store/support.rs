//! A server that gives every store a database of its own, and small products.

use std::sync::atomic::{AtomicU32, Ordering};

use mongodb::{Client, Database};
use serde_json::json;
use taja_catalog::{
    Details, EffectKey, Embedding, Filter, ImageHash, PerceptualHash, PortResult, Product, Space,
    StoredImage, TenantId,
    port::{Change, NewImage, Store},
};
use taja_mongo::{Legacy, Mongo, MongoOptions, MongoStore, MongoStoreOptions};
use taja_testkit::MongoServer;

/// A real server.
pub(crate) struct Server {
    pub(crate) mongod: MongoServer,
    databases: AtomicU32,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self { mongod: MongoServer::start().await.unwrap(), databases: AtomicU32::new(0) }
    }

    /// A name that no other database has.
    pub(crate) fn name(&self) -> String {
        format!("taja{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    /// A store in a database of its own.
    pub(crate) async fn fresh(&self) -> MongoStore {
        self.open(&self.name(), None).await
    }

    /// A store in this database, over a connection of its own.
    pub(crate) async fn open(&self, database: &str, legacy: Option<Legacy>) -> MongoStore {
        let mongo = Mongo::connect(&MongoOptions::new(self.mongod.uri(), database)).await.unwrap();
        MongoStore::open(&mongo, MongoStoreOptions { legacy }).await.unwrap()
    }

    /// A database as somebody else sees it.
    pub(crate) async fn database(&self, name: &str) -> Database {
        Client::with_uri_str(self.mongod.uri()).await.unwrap().database(name)
    }
}

pub(crate) fn shop() -> TenantId {
    "shop".parse().unwrap()
}

pub(crate) fn space() -> Space {
    Space { id: "test@0".into(), model: "test".into(), dimension: 2 }
}

pub(crate) fn named(name: &str) -> Details {
    Details { name: name.into(), ..Details::default() }
}

/// A picture whose bytes are its name.
pub(crate) fn image(name: &str) -> NewImage {
    let image = StoredImage {
        hash: ImageHash::of(name.as_bytes()),
        perceptual: PerceptualHash(7),
        url: format!("/images/{name}.webp"),
        width: 640,
        height: 480,
    };
    NewImage { image, embedding: Embedding::normalised(vec![3.0, 4.0], 2).unwrap() }
}

/// A new product.
pub(crate) fn creation(id: &str, details: Details, text: &str, images: Vec<NewImage>) -> Change {
    let product = Product {
        tenant: shop(),
        id: id.parse().unwrap(),
        details,
        images: images.iter().map(|new| new.image.clone()).collect(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        updated_at: jiff::Timestamp::UNIX_EPOCH,
        offers: Vec::new(),
        revision: 1,
    };
    Change::Create { product: Box::new(product), images, index_text: text.into() }
}

/// Commits a change as the execution of this name, whose receipt says so.
pub(crate) async fn commit(store: &MongoStore, effect: &str, change: Change) -> PortResult<()> {
    let effect: EffectKey = effect.parse().unwrap();
    store.commit(&shop(), &effect, &space(), change, &json!({"did": effect.as_str()})).await
}

pub(crate) async fn put(store: &MongoStore, id: &str, details: Details, text: &str) {
    commit(store, id, creation(id, details, text, Vec::new())).await.unwrap();
}

pub(crate) async fn words(store: &MongoStore, text: &str) -> Vec<String> {
    let found = store.keyword(&shop(), &text.into(), &Filter::everything(), 20).await.unwrap();
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}
