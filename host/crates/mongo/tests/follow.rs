//! An index that follows the store: it hears of every commit, over every failure.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::{
    Client,
    bson::{Document, doc},
};
use serde_json::json;
use taja_catalog::{
    Details, EffectKey, Embedding, ImageHash, PerceptualHash, PortResult, Product, ProductId, Space,
    StoredImage, TenantId,
    fakes::InMemoryIndex,
    port::{Change, Edit, Edited, Neighbour, NewImage, Store, VectorIndex, VectorRow},
};
use taja_mongo::{FollowOptions, FollowState, Follower, Mongo, MongoOptions, MongoStore, MongoStoreOptions};
use taja_testkit::MongoServer;
use tokio::time::{Instant, sleep};

/// Nothing here waits for longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn space() -> Space {
    Space { id: "test@0".into(), model: "test".into(), dimension: 2 }
}

fn shop(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn vector(x: f32, y: f32) -> Embedding {
    Embedding::normalised(vec![x, y], 2).unwrap()
}

/// A product with so many pictures, and its name for an effect.
fn creation(tenant: &TenantId, name: &str, images: usize) -> (EffectKey, Change) {
    let image = |number: usize| StoredImage {
        hash: ImageHash::of(format!("{name}-{number}").as_bytes()),
        perceptual: PerceptualHash(0),
        url: format!("/images/{name}-{number}.webp"),
        width: 64,
        height: 64,
    };
    let images: Vec<_> = (0..images)
        .map(|number| NewImage { image: image(number), embedding: vector(1.0, number as f32 / 100.0) })
        .collect();
    let details: Details = serde_json::from_value(json!({ "name": name, "price": 1.0 })).unwrap();
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let product = Product {
        tenant: tenant.clone(),
        id: name.parse().unwrap(),
        details,
        images: images.iter().map(|new| new.image.clone()).collect(),
        created_at: now,
        updated_at: now,
        offers: Vec::new(),
        revision: 1,
    };
    let change = Change::Create { product: Box::new(product), images, index_text: String::new() };
    (name.parse().unwrap(), change)
}

async fn commit(store: &MongoStore, tenant: &TenantId, name: &str, images: usize) -> u64 {
    let (effect, change) = creation(tenant, name, images);
    store.commit(tenant, &effect, &space(), change, &json!({})).await.unwrap();
    store.version(tenant).await.unwrap()
}

/// An index that counts how often one was made, and takes its time to take vectors.
struct Slow(InMemoryIndex);

#[async_trait]
impl VectorIndex for Slow {
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.0.nearest(tenant, queries, among, k).await
    }

    async fn insert(&self, rows: Vec<VectorRow>) -> PortResult<()> {
        sleep(Duration::from_millis(20)).await;
        self.0.insert(rows).await
    }

    async fn remove(&self, tenant: &TenantId, product: &ProductId) -> PortResult<()> {
        self.0.remove(tenant, product).await
    }

    async fn remove_images(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()> {
        self.0.remove_images(tenant, images).await
    }

    fn revision(&self, tenant: &TenantId) -> u64 {
        self.0.revision(tenant)
    }

    fn method(&self) -> &'static str {
        self.0.method()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

struct Room {
    server: MongoServer,
    store: Arc<MongoStore>,
}

impl Room {
    async fn open() -> Self {
        let server = MongoServer::start().await.unwrap();
        let mongo = Mongo::connect(&MongoOptions::new(server.uri(), "taja")).await.unwrap();
        let store = Arc::new(MongoStore::open(&mongo, MongoStoreOptions::default()).await.unwrap());
        Self { server, store }
    }

    /// A follower over a connection of its own, as another process has it.
    async fn follower(&self, made: &Arc<AtomicU32>) -> Follower {
        let mongo = Mongo::connect(&MongoOptions::new(self.server.uri(), "taja")).await.unwrap();
        let made = Arc::clone(made);
        let make = move || {
            made.fetch_add(1, Ordering::Relaxed);
            Arc::new(Slow(InMemoryIndex::new(2))) as Arc<dyn VectorIndex>
        };
        let options = FollowOptions { reach: PATIENCE, ..FollowOptions::default() };
        let source = Arc::clone(&self.store) as Arc<dyn Store>;
        Follower::start(&mongo, space(), make, source, options).await.unwrap()
    }

    /// Makes the server answer the next of these commands of the follower with an error.
    async fn fail_next(&self, commands: &[&str], code: i32) {
        let data = doc! { "failCommands": commands, "errorCode": code };
        self.server
            .admin(doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data })
            .await
            .unwrap();
    }
}

async fn found(index: &Follower, tenant: &TenantId) -> usize {
    index.nearest(tenant, &[vector(1.0, 0.0)], None, 1000).await.unwrap()[0].len()
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what} does not come about");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_anybody_commits_is_found_by_everybody() {
    let mut room = Room::open().await;
    let acme = shop("acme");
    commit(&room.store, &acme, "before", 3).await;
    let made = Arc::new(AtomicU32::new(0));
    let index = room.follower(&made).await;
    assert_eq!((found(&index, &acme).await, index.revision(&acme)), (3, 1));

    a_version_comes_after_its_vectors(&room, &index).await;
    other_spaces_and_own_insertions_change_nothing(&room, &index).await;
    what_is_edited_away_goes_and_may_come_again(&room, &index).await;
    a_failover_and_a_kill_are_survived(&mut room, &index).await;
    a_frozen_server_is_left_and_found_again(&room, &index).await;
    assert_eq!(index.rebuilds(), 0, "nothing of that needs a fresh index");
    assert_eq!(made.load(Ordering::Relaxed), 1);

    a_lost_history_is_read_anew_while_searches_go_on(&room, &index).await;
    what_is_taken_away_is_not_found(&room, &index).await;
    assert_eq!(u64::from(made.load(Ordering::Relaxed)), index.rebuilds() + 1);
    // One picture is of another space, and two lost their vectors.
    assert_eq!(index.len() as u64, room.store.counts().await.unwrap().images - 3);

    drop(index);
    until("the end of its task", async || Arc::strong_count(&made) == 1).await;
}

/// No fresh index is needed for it.
async fn what_is_edited_away_goes_and_may_come_again(room: &Room, index: &Follower) {
    let (acme, id): (_, ProductId) = (shop("acme"), "edited".parse().unwrap());
    let before = found(index, &acme).await;
    let gone = ImageHash::of(b"edited-1");
    commit(&room.store, &acme, "edited", 4).await;
    for (edit, left) in [(Edit::RemoveImages(vec![gone]), 3), (Edit::Delete, 0)] {
        let revision = room.store.product(&acme, &id).await.unwrap().unwrap().revision;
        let edited = room.store.edit(&acme, &id, revision, &edit).await.unwrap();
        assert!(matches!(edited, Edited::Done { .. }), "{edited:?}");
        index.reach(&acme, room.store.version(&acme).await.unwrap()).await;
        assert_eq!(found(index, &acme).await, before + left);
    }
    for number in 0..4 {
        room.store.removed(&acme, &ImageHash::of(format!("edited-{number}").as_bytes())).await.unwrap();
    }
    let (_, change) = creation(&acme, "edited", 4);
    let effect = "edited-again".parse().unwrap();
    room.store.commit(&acme, &effect, &space(), change, &json!({})).await.unwrap();
    index.reach(&acme, room.store.version(&acme).await.unwrap()).await;
    assert_eq!(found(index, &acme).await, before + 4);
}

/// Commits by several at once, of more vectors than one batch has events, with the version first in each transaction.
async fn a_version_comes_after_its_vectors(room: &Room, index: &Follower) {
    let shops = ["one", "two", "three"].map(shop);
    let writers = shops.iter().map(async |tenant| {
        for round in 1..=4 {
            let version = commit(&room.store, tenant, &format!("{tenant}-{round}"), 120).await;
            assert_eq!(version, round);
        }
    });
    let readers = shops.iter().map(async |tenant| {
        loop {
            // What the revision says is there by then; more may be.
            let revision = index.revision(tenant);
            let there = found(index, tenant).await;
            assert!(there as u64 >= revision * 120, "version {revision} has {there} vectors");
            if revision == 4 {
                break;
            }
            tokio::task::yield_now().await;
        }
    });
    let both = futures::future::join(
        futures::future::join_all(writers),
        tokio::time::timeout(PATIENCE, futures::future::join_all(readers)),
    );
    both.await.1.expect("every version is applied");
    index.reach(&shops[0], 4).await;
    assert_eq!(found(index, &shops[0]).await, 480);
    assert_eq!(index.state(), FollowState::Following);
}

async fn other_spaces_and_own_insertions_change_nothing(room: &Room, index: &Follower) {
    let acme = shop("acme");
    let before = index.len();
    let (effect, change) = creation(&acme, "elsewhere", 1);
    let other = Space { id: "other@1".into(), ..space() };
    room.store.commit(&acme, &effect, &other, change, &json!({})).await.unwrap();
    let row = VectorRow {
        tenant: acme.clone(),
        product: "mine".parse().unwrap(),
        image: ImageHash::of(b"mine"),
        embedding: vector(0.0, 1.0),
    };
    index.insert(vec![row]).await.unwrap();
    index.remove(&acme, &"before".parse().unwrap()).await.unwrap();
    index.reach(&acme, 2).await;
    assert_eq!((index.revision(&acme), index.len()), (2, before));
}

async fn a_failover_and_a_kill_are_survived(room: &mut Room, index: &Follower) {
    let acme = shop("acme");
    let before = found(index, &acme).await;
    room.server.step_down(1).await.unwrap();
    let version = commit(&room.store, &acme, "after-failover", 2).await;
    index.reach(&acme, version).await;
    assert_eq!(found(index, &acme).await, before + 2);

    room.server.kill();
    until("the loss", async || matches!(index.state(), FollowState::Disconnected { .. })).await;
    assert_eq!(found(index, &acme).await, before + 2, "it answers from what it has");
    room.server.restart().await.unwrap();
    let version = commit(&room.store, &acme, "after-kill", 2).await;
    index.reach(&acme, version).await;
    assert_eq!(found(index, &acme).await, before + 4);
    assert_eq!(index.state(), FollowState::Following);

    room.fail_next(&["getMore"], 43).await;
    let version = commit(&room.store, &acme, "after-cursor", 1).await;
    index.reach(&acme, version).await;
    assert_eq!(found(index, &acme).await, before + 5);
}

async fn a_frozen_server_is_left_and_found_again(room: &Room, index: &Follower) {
    let acme = shop("acme");
    let before = found(index, &acme).await;
    room.server.freeze().unwrap();
    until("the loss", async || matches!(index.state(), FollowState::Disconnected { .. })).await;
    room.server.thaw().unwrap();
    let version = commit(&room.store, &acme, "after-frost", 2).await;
    index.reach(&acme, version).await;
    assert_eq!(found(index, &acme).await, before + 2);
}

async fn a_lost_history_is_read_anew_while_searches_go_on(room: &Room, index: &Follower) {
    let acme = shop("acme");
    let (before, revision) = (found(index, &acme).await, index.revision(&acme));
    room.fail_next(&["getMore"], 286).await;
    until("a rebuild", async || {
        assert!(found(index, &acme).await >= before && index.revision(&acme) >= revision);
        index.rebuilds() == 1
    })
    .await;
    let version = commit(&room.store, &acme, "after-loss", 2).await;
    index.reach(&acme, version).await;
    assert_eq!(found(index, &acme).await, before + 2);
}

async fn what_is_taken_away_is_not_found(room: &Room, index: &Follower) {
    let acme = shop("acme");
    let before = found(index, &acme).await;
    let vectors = Client::with_uri_str(room.server.uri())
        .await
        .unwrap()
        .database("taja")
        .collection::<Document>("vectors");
    let gone = vectors.delete_many(doc! { "tenant": "acme", "product": "after-loss" }).await.unwrap();
    assert_eq!(gone.deleted_count, 2);
    until("its end", async || found(index, &acme).await == before - 2).await;
    let version = commit(&room.store, &acme, "after-removal", 2).await;
    index.reach(&acme, version).await;
    assert_eq!(found(index, &acme).await, before);
}
