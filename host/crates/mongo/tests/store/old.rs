//! Documents as the older service in Python wrote them: read, searched, merged into, and migrated.

use mongodb::bson::{Document, doc, oid::ObjectId};
use serde_json::json;
use taja_catalog::{
    Details, Filter, ImageHash, PerceptualHash, ProductId, Space,
    order::Sort,
    port::{Change, Counts, PortErrorKind, Store},
};
use taja_mongo::{Legacy, MongoStore};

use crate::support::{Server, commit, creation, image, named, put, shop, space, words};

const SHOE: &str = "65a000000000000000000001";
const HAT: &str = "65a000000000000000000002";
const POT: &str = "65a000000000000000000003";
const BROKEN: &str = "65a000000000000000000004";

fn id(hex: &str) -> ProductId {
    hex.parse().unwrap()
}

fn old_id(hex: &str) -> ObjectId {
    hex.parse().unwrap()
}

fn hash(name: &str) -> ImageHash {
    ImageHash::of(name.as_bytes())
}

/// What PyMongo makes of the service's dictionaries: no shop, whatever type a value had, fields missing.
fn written_by_python() -> Vec<Document> {
    vec![
        doc! {
            "_id": old_id(SHOE), "name": "Trail running shoe", "price": 49.9, "description": "For rain and mud",
            "category": "shoes", "color": "red", "weight_kg": 0.8, "sizes": ["41", 42], "key_features": ["light"],
            "image_urls": ["https://res.example/shoe-1.jpg", "https://res.example/shoe-2.jpg"],
            "image_hashes": [hash("shoe-1").to_string(), hash("shoe-2").to_string().to_uppercase()],
            "embeddings": [[1.0, 0.0], [0.0, 2.0]],
        },
        doc! {
            "_id": old_id(HAT), "name": "Sun hat", "price": "19", "description": "Straw",
            "image_urls": ["https://res.example/hat.jpg"], "image_hashes": [hash("hat").to_string()],
            "embeddings": [3, 4],
        },
        doc! {
            "_id": old_id(POT), "name": "Teapot", "price": 25,
            "image_urls": ["https://res.example/pot.jpg", "https://res.example/hat.jpg"],
            "image_hashes": [hash("pot").to_string(), hash("hat").to_string()],
            "embeddings": [[1.0, 0.0, 0.0], [1.0, 1.0]],
        },
        doc! { "_id": old_id(BROKEN), "name": "Umbrella", "price": "on request", "embeddings": [] },
    ]
}

async fn shop_of_old(server: &Server, space: Option<Space>) -> (MongoStore, String) {
    let name = server.name();
    let products = server.database(&name).await.collection("products");
    products.insert_many(written_by_python()).await.unwrap();
    (server.open(&name, Some(Legacy { tenant: shop(), space })).await, name)
}

async fn vectors(store: &MongoStore) -> Vec<(ProductId, ImageHash, Vec<f32>)> {
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let page = store.vectors(&space(), after.as_ref(), 2).await.unwrap();
        let Some((last, _)) = page.last() else { return all };
        after = Some(last.clone());
        all.extend(
            page.into_iter().map(|(_, row)| (row.product, row.image, row.embedding.as_slice().to_vec())),
        );
    }
}

async fn matching(store: &MongoStore, filter: serde_json::Value) -> Vec<ProductId> {
    store.matching(&shop(), &Filter::parse(&filter).unwrap(), 99).await.unwrap()
}

#[tokio::test]
async fn documents_of_the_older_service_are_served_as_they_are_and_migrated() {
    let server = Server::start().await;
    they_are_read_and_searched(&server).await;
    another_shop_and_a_store_without_them_see_nothing(&server).await;
    a_picture_of_theirs_is_taken(&server).await;
    pictures_join_them(&server).await;
    they_are_migrated_in_place(&server).await;
    without_a_space_their_vectors_stay_where_they_are(&server).await;
}

async fn they_are_read_and_searched(server: &Server) {
    let (store, _) = shop_of_old(server, Some(space())).await;
    put(&store, "boot", Details { price: 80.0, ..named("Rain boot") }, "for rain").await;
    let shoe = store.product(&shop(), &id(SHOE)).await.unwrap().unwrap();
    assert_eq!(shoe.details.sizes, ["41", "42"]);
    assert_eq!(shoe.images[1].hash, hash("shoe-2"));
    assert_eq!(shoe.images[1].url, "https://res.example/shoe-2.jpg");
    assert_eq!(shoe.created_at.as_second(), 0x65a0_0000);
    let several = store.products(&shop(), &[id("boot"), id(HAT), id("gone"), id(POT)]).await.unwrap();
    let prices: Vec<_> = several.iter().map(|product| product.details.price).collect();
    assert_eq!(prices, [80.0, 19.0, 25.0]);

    // The new product of the tests is as old as time itself.
    let all = [BROKEN, POT, HAT, SHOE, "boot"].map(id);
    assert_eq!(matching(&store, json!({})).await, all);
    assert_eq!(matching(&store, json!({"price": {"gte": 19, "lt": 50}})).await, [POT, HAT, SHOE].map(id));
    assert_eq!(matching(&store, json!({"sizes": "42"})).await, [id(SHOE)]);
    assert_eq!(
        matching(&store, json!({"color": {"exists": false}, "price": {"gt": 20}})).await,
        [POT, "boot"].map(id)
    );
    assert_eq!(store.matching(&shop(), &Filter::everything(), 2).await.unwrap(), [BROKEN, POT].map(id));
    assert_eq!(matching(&store, json!({"created_at": {"lt": "1970-01-02"}})).await, [id("boot")]);
    for (sort, first) in [("price", BROKEN), ("-price", "boot"), ("-updated_at", BROKEN)] {
        let sort = [Sort::parse(sort).unwrap()];
        let sorted = store.sorted(&shop(), &Filter::everything(), &sort, 1).await.unwrap();
        assert_eq!(sorted, [id(first)], "{sort:?}");
    }

    assert_eq!(words(&store, "runs").await, [SHOE]);
    assert_eq!(words(&store, "rain").await, ["boot", SHOE], "the name counts more");
    assert_eq!(words(&store, "rain shoe").await, [SHOE, "boot"], "all words count more");
    assert_eq!(words(&store, "eapo").await, [POT], "by pieces");
    let red = Filter::parse(&json!({"color": "red"})).unwrap();
    assert_eq!(store.keyword(&shop(), &"rain".into(), &red, 9).await.unwrap().len(), 1);

    let known = store.image(&shop(), &hash("shoe-2")).await.unwrap().unwrap();
    assert_eq!((known.product, known.distance), (id(SHOE), 0));
    assert_eq!(store.image(&shop(), &hash("nobody")).await.unwrap(), None);
    assert!(
        store.images_like(&shop(), PerceptualHash(0), 64, 9).await.unwrap().is_empty(),
        "they have no look"
    );
    assert_eq!(store.counts().await.unwrap(), Counts { products: 5, images: 5 });
    assert_eq!(store.spaces().await.unwrap(), [("test@0".to_owned(), 6)].into());

    commit(&store, "coat", creation("coat", named("coat"), "", vec![image("coat")])).await.unwrap();
    let found = vectors(&store).await;
    let of: Vec<_> = found.iter().map(|(product, _, _)| product.as_str()).collect();
    assert_eq!(of, [SHOE, SHOE, HAT, POT, "coat"], "one of the pot's is of another dimension");
    assert_eq!(found[1].2, [0.0, 1.0]);
    assert_eq!(found[2].2, [0.6, 0.8]);
}

async fn another_shop_and_a_store_without_them_see_nothing(server: &Server) {
    let (store, name) = shop_of_old(server, Some(space())).await;
    let other = "other".parse().unwrap();
    assert_eq!(store.product(&other, &id(SHOE)).await.unwrap(), None);
    assert_eq!(store.image(&other, &hash("hat")).await.unwrap(), None);
    assert!(store.matching(&other, &Filter::everything(), 9).await.unwrap().is_empty());
    assert!(store.keyword(&other, &"shoe".into(), &Filter::everything(), 9).await.unwrap().is_empty());
    let store = server.open(&name, None).await;
    assert_eq!(store.product(&shop(), &id(SHOE)).await.unwrap(), None);
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    assert!(vectors(&store).await.is_empty());
    assert_eq!(store.migrate(|_| {}).await.unwrap(), taja_mongo::MigrationReport::default());
}

async fn a_picture_of_theirs_is_taken(server: &Server) {
    let (store, _) = shop_of_old(server, Some(space())).await;
    for name in ["hat", "shoe-2"] {
        let late = creation("late", named("late"), "", vec![image("fresh"), image(name)]);
        let refused = commit(&store, "late", late).await.unwrap_err();
        assert_eq!(refused.kind, PortErrorKind::Conflict, "{name}");
    }
    assert_eq!(store.image(&shop(), &hash("fresh")).await.unwrap(), None);
    let effect = "late".parse().unwrap();
    store.intend(&shop(), &effect, &[hash("shoe-2")]).await.unwrap();
    assert!(!store.withdraw(&shop(), &effect, &hash("shoe-2")).await.unwrap(), "a product has it");
}

async fn pictures_join_them(server: &Server) {
    let (store, _) = shop_of_old(server, Some(space())).await;
    let merge = |hex| Change::Merge { product: id(hex), images: vec![image("extra")] };
    let refused = commit(&store, "broken", merge(BROKEN)).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Invalid);
    assert!(refused.to_string().contains("price is not a number"), "{refused}");
    let before = store.product(&shop(), &id(SHOE)).await.unwrap().unwrap();
    commit(&store, "merge", merge(SHOE)).await.unwrap();
    let after = store.product(&shop(), &id(SHOE)).await.unwrap().unwrap();
    assert_eq!(after.details, before.details);
    assert_eq!(after.images[..2], before.images);
    assert_eq!(after.images[2].hash, hash("extra"));
    assert_eq!(after.created_at, before.created_at);
    assert!(after.updated_at > before.updated_at);
    assert_eq!(matching(&store, json!({})).await, [BROKEN, POT, HAT, SHOE].map(id));
    assert_eq!(words(&store, "mud").await, [SHOE]);
    assert_eq!(vectors(&store).await.len(), 5);
    let twice = creation("late", named("late"), "", vec![image("shoe-1")]);
    assert_eq!(commit(&store, "late", twice).await.unwrap_err().kind, PortErrorKind::Conflict);
}

async fn they_are_migrated_in_place(server: &Server) {
    let (store, name) = shop_of_old(server, Some(space())).await;
    let shoe = store.product(&shop(), &id(SHOE)).await.unwrap();
    let mut heard = Vec::new();
    let report = store.migrate(|report| heard.push(report.migrated)).await.unwrap();
    assert_eq!(heard, [1, 2, 3, 3], "every document is told of");
    assert_eq!((report.migrated, report.images, report.vectors), (3, 4, 3));
    assert_eq!(report.images_taken, 1, "the pot has the hat's picture too");
    assert_eq!(report.vectors_left_out, 1);
    assert_eq!(report.skipped, [("price is not a number".to_owned(), 1)].into());
    assert_eq!(store.product(&shop(), &id(SHOE)).await.unwrap(), shoe, "nothing of it changed");
    assert_eq!(matching(&store, json!({"price": {"lt": 20}})).await, [BROKEN, HAT].map(id));
    assert_eq!(words(&store, "runs").await, [SHOE]);
    assert_eq!(store.counts().await.unwrap(), Counts { products: 4, images: 4 });
    assert_eq!(vectors(&store).await.len(), 3);
    assert!(
        store.images_like(&shop(), PerceptualHash(0), 64, 9).await.unwrap().is_empty(),
        "they have no look"
    );
    assert_eq!(store.version(&shop()).await.unwrap(), 3);
    let products = server.database(&name).await.collection::<Document>("products");
    let stored = products.find_one(doc! { "_id": old_id(SHOE) }).await.unwrap().unwrap();
    assert!(!stored.contains_key("embeddings"));
    let again = store.migrate(|_| {}).await.unwrap();
    assert_eq!((again.migrated, again.skipped.len()), (0, 1));
    // A store that does not look for the older service's documents sees those that were migrated.
    let store = server.open(&name, None).await;
    assert_eq!(store.product(&shop(), &id(SHOE)).await.unwrap(), shoe);
}

async fn without_a_space_their_vectors_stay_where_they_are(server: &Server) {
    let (store, name) = shop_of_old(server, None).await;
    assert!(vectors(&store).await.is_empty());
    assert!(store.spaces().await.unwrap().is_empty());
    let report = store.migrate(|_| {}).await.unwrap();
    assert_eq!((report.migrated, report.vectors, report.vectors_left_out), (3, 0, 5));
    let products = server.database(&name).await.collection::<Document>("products");
    let stored = products.find_one(doc! { "_id": old_id(SHOE) }).await.unwrap().unwrap();
    assert_eq!(stored.get_array("embeddings").unwrap().len(), 2);
}
