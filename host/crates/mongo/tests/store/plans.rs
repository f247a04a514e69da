//! Every question has an index that answers it.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde_json::json;
use taja_catalog::{
    Embedding, Filter, ImageHash, Moment, PerceptualHash, Space,
    access::{AccessStore, Tenant},
    judgements::JudgementSet,
    models::{CatalogueImage, Chosen, ModelChoice, ModelStore},
    order::{ListOrder, Sort},
    port::{Change, Position, Store, VectorRow},
};
use taja_mongo::{Legacy, MongoStore};

use crate::{
    plugins,
    support::{Server, commit, creation, image, named, shop, space},
};

#[tokio::test]
async fn no_question_reads_a_whole_collection() {
    let server = Server::start().await;
    let name = server.name();
    let store = server.open(&name, Some(Legacy { tenant: shop(), space: Some(space()) })).await;
    let database = server.database(&name).await;
    let old = doc! { "name": "old", "price": 1, "image_hashes": ["x"], "embeddings": [[1.0, 0.0]] };
    database.collection::<Document>("products").insert_one(old).await.unwrap();
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    ask_everything(&store).await;
    plugins::ask_everything(&store).await;
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    let profile = database.collection::<Document>("system.profile");
    let asked = profile.count_documents(doc! {}).await.unwrap();
    assert!(asked > 30, "only {asked} operations were seen");
    let whole =
        doc! { "planSummary": { "$regex": "COLLSCAN" }, "ns": { "$not": { "$regex": "system.profile" } } };
    let whole: Vec<_> = profile.find(whole).await.unwrap().try_collect().await.unwrap();
    let commands: Vec<_> = whole.iter().map(|seen| seen.get("command")).collect();
    assert!(whole.is_empty(), "{commands:#?}");
    // What compares a picture with every other reads keys alone.
    let covered =
        doc! { "ns": format!("{name}.images"), "planSummary": { "$regex": "look" }, "docsExamined": 0 };
    assert_eq!(profile.count_documents(covered).await.unwrap(), 1);
}

fn vector() -> Embedding {
    Embedding::normalised(vec![1.0, 0.0], 2).unwrap()
}

async fn ask_everything(store: &MongoStore) {
    let (shop, effect) = (shop(), "late".parse().unwrap());
    let picture = ImageHash::of(b"shoe");
    store.intend(&shop, &effect, &[picture]).await.unwrap();
    commit(store, "shoe", creation("shoe", named("Running shoe"), "shoe", vec![image("shoe")]))
        .await
        .unwrap();
    let merge = Change::Merge { product: "shoe".parse().unwrap(), images: vec![image("more")] };
    commit(store, "merge", merge).await.unwrap();
    store.withdraw(&shop, &effect, &picture).await.unwrap();
    store.removed(&shop, &picture).await.unwrap();
    store.intents(jiff::Timestamp::now(), 9).await.unwrap();
    let shoe = "shoe".parse().unwrap();
    store.product(&shop, &shoe).await.unwrap();
    store.products(&shop, &[shoe, "gone".parse().unwrap()]).await.unwrap();
    store.image(&shop, &picture).await.unwrap();
    store.image(&shop, &ImageHash::of(b"nobody")).await.unwrap();
    for distance in [4, 20] {
        let alike = store.images_like(&shop, PerceptualHash(7), distance, 9).await.unwrap();
        assert_eq!(alike.len(), 2);
    }
    let filter = Filter::parse(&json!({"price": {"lt": 100}, "sizes": {"exists": false}})).unwrap();
    for filter in [Filter::everything(), filter] {
        store.matching(&shop, &filter, 9).await.unwrap();
        let order = ListOrder { by: Moment::Updated, descending: false };
        assert!(!store.listed(&shop, &filter, order, None, 9).await.unwrap().is_empty());
        let sort = ["-price", "created_at"].map(|sort| Sort::parse(sort).unwrap());
        assert!(!store.sorted(&shop, &filter, &sort, 9).await.unwrap().is_empty());
        for words in ["running shoe", "shoe", "unnin"] {
            let found = store.keyword(&shop, &words.into(), &filter, 9).await.unwrap();
            assert_eq!(found.len(), 1, "{words}");
        }
    }
    let texts = store.texts(&shop, None, 9).await.unwrap();
    assert_eq!(texts.len(), 1);
    assert!(store.texts(&shop, Some(&texts[0].0), 9).await.unwrap().is_empty());
    assert_eq!(store.texts(&shop, Some(&Position("0:a".into())), 9).await.unwrap().len(), 1);
    store.receipt(&shop, &"shoe".parse().unwrap()).await.unwrap();
    assert_eq!(store.vectors(&space(), None, 9).await.unwrap().len(), 3);
    store.version(&shop).await.unwrap();
    store.counts().await.unwrap();
    store.spaces().await.unwrap();
    let other = Space { id: "other@0".into(), ..space() };
    let next = Some(other.clone());
    let mut choice =
        ModelChoice { revision: 1, active: space(), before: None, next, changed_at: jiff::Timestamp::now() };
    assert_eq!(store.choose(&choice, 0).await.unwrap(), Chosen::Stored);
    let start = Position("0".repeat(24));
    let without = store.images_without(&other, Some(&start), 9).await.unwrap();
    assert_eq!(without.len(), 2);
    let rows = without.into_iter().map(|(_, CatalogueImage { tenant, product, image })| VectorRow {
        tenant,
        product,
        image: image.hash,
        embedding: vector(),
    });
    store.add_vectors(&other, rows.collect()).await.unwrap();
    assert!(store.images_without(&other, Some(&start), 1).await.unwrap().is_empty());
    choice = ModelChoice { revision: 2, active: other, next: None, ..choice };
    assert_eq!(store.choose(&choice, 0).await.unwrap(), Chosen::Stored);
    store.forget_vectors(&space().id, 1).await.unwrap();
    store.migrate(|_| {}).await.unwrap();
    ask_of_judgements(store).await;
}

async fn ask_of_judgements(store: &MongoStore) {
    let (shop, at) = (shop(), jiff::Timestamp::UNIX_EPOCH);
    let set = JudgementSet::of("shoes".parse().unwrap(), "{}", 1, at);
    store.add_tenant(&Tenant { id: shop.clone(), name: "Shop".into(), created_at: at }).await.unwrap();
    assert!(store.keep_judgements(&shop, &set, "{}").await.unwrap());
    assert_eq!(store.judgements(&shop).await.unwrap(), std::slice::from_ref(&set));
    assert!(store.judgement_lines(&shop, &set.id).await.unwrap().is_some());
    assert!(store.forget_judgements(&shop, &set.id).await.unwrap());
}
