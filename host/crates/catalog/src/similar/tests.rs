use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    Embedding, PerceptualHash,
    fakes::{InMemoryIndex, InMemoryStore},
    port::{Change, NewImage},
    product::{Product, StoredImage},
    retrieval,
};

fn space() -> Space {
    Space { id: "test@0".into(), model: "test".into(), dimension: 2 }
}

fn tenant() -> TenantId {
    "shop".parse().unwrap()
}

/// Products by name and price, each with pictures that lie at these angles, in degrees.
async fn shop(products: &[(&str, u32, &[f32])]) -> Similar {
    let (store, index) = (Arc::new(InMemoryStore::default()), Arc::new(InMemoryIndex::new(2)));
    let similar = Similar { store, index, space: space() };
    for (name, price, angles) in products {
        put(&similar, name, *price, angles, PerceptualHash(0)).await;
    }
    similar
}

async fn put(similar: &Similar, name: &str, price: u32, angles: &[f32], look: PerceptualHash) {
    let image = |angle: &f32| {
        let image = StoredImage {
            hash: ImageHash::of(format!("{name}/{angle}").as_bytes()),
            perceptual: look,
            url: String::new(),
            width: 1,
            height: 1,
        };
        let (y, x) = angle.to_radians().sin_cos();
        NewImage { image, embedding: Embedding::normalised(vec![x, y], 2).unwrap() }
    };
    let images: Vec<_> = angles.iter().map(image).collect();
    let now = Timestamp::now();
    let product = Product {
        tenant: tenant(),
        id: name.parse().unwrap(),
        details: serde_json::from_value(json!({"name": name, "price": price})).unwrap(),
        images: images.iter().map(|new| new.image.clone()).collect(),
        offers: Vec::new(),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    let change = Change::Create { product: Box::new(product), images, index_text: String::new() };
    let effect = name.parse().unwrap();
    similar.store.commit(&tenant(), &effect, &space(), change, &Value::Null).await.unwrap();
    retrieval::fill(similar.store.as_ref(), similar.index.as_ref(), &space()).await.unwrap();
}

async fn like(similar: &Similar, id: &str, filter: Value, limit: usize) -> Vec<String> {
    let filter = Filter::parse(&filter).unwrap();
    let found = similar.run(&tenant(), &id.parse().unwrap(), &filter, limit).await.unwrap().unwrap();
    assert!(found.is_sorted_by(|one, next| one.score >= next.score));
    found.into_iter().map(|alike| alike.product.to_string()).collect()
}

#[tokio::test]
async fn the_nearest_by_any_picture_come_first_and_not_itself() {
    let similar = shop(&[
        ("a", 1, &[0.0, 90.0]),
        ("b", 1, &[100.0]),
        ("c", 2, &[5.0, 200.0]),
        ("d", 2, &[30.0]),
        ("none", 1, &[]),
    ])
    .await;
    assert_eq!(like(&similar, "a", json!({}), 9).await, ["c", "b", "d"]);
    assert_eq!(like(&similar, "a", json!({}), 1).await, ["c"]);
    assert_eq!(like(&similar, "a", json!({"price": 1}), 9).await, ["b"]);
    assert!(like(&similar, "none", json!({}), 9).await.is_empty());
    let nobody = similar.run(&tenant(), &"nobody".parse().unwrap(), &Filter::everything(), 9).await.unwrap();
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn pictures_of_others_resemble_by_vector_or_by_look() {
    let similar = shop(&[("a", 1, &[0.0, 90.0]), ("b", 1, &[100.0]), ("c", 2, &[3.0, 200.0])]).await;
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let mut wanted = Resemblance { max_distance: 0, min_cosine: 0.98 };
    let all = similar.resembling(&tenant(), &a, wanted, 99).await.unwrap().unwrap();
    assert_eq!(all.len(), 6, "every picture here has the same look: {all:?}");
    assert!(all.is_sorted_by(|one, next| one.cosine >= next.cosine));
    let hash = |name: &str| ImageHash::of(name.as_bytes());
    assert_eq!((all[0].image, all[0].other, all[0].distance), (hash("a/0"), hash("c/3"), 0));
    assert_eq!((all[1].image, all[1].other), (hash("a/90"), hash("b/100")));
    assert_eq!(similar.resembling(&tenant(), &b, wanted, 1).await.unwrap().unwrap()[0].product, a);

    let look = PerceptualHash(u64::MAX);
    let other = shop(&[("a", 1, &[0.0])]).await;
    put(&other, "near", 1, &[5.0], look).await;
    put(&other, "far", 1, &[60.0], look).await;
    let found = other.resembling(&tenant(), &a, wanted, 9).await.unwrap().unwrap();
    assert_eq!(
        found.iter().map(|pair| (pair.product.as_str(), pair.distance)).collect::<Vec<_>>(),
        [("near", 64)]
    );
    wanted.max_distance = 64;
    assert_eq!(other.resembling(&tenant(), &a, wanted, 9).await.unwrap().unwrap().len(), 2);
    assert_eq!(other.resembling(&tenant(), &"nobody".parse().unwrap(), wanted, 9).await.unwrap(), None);
}
