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
    for (name, price, angles) in products {
        let image = |angle: &f32| {
            let image = StoredImage {
                hash: ImageHash::of(format!("{name}/{angle}").as_bytes()),
                perceptual: PerceptualHash(0),
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
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let change = Change::Create { product: Box::new(product), images, index_text: String::new() };
        store.commit(&tenant(), &name.parse().unwrap(), &space(), change, &Value::Null).await.unwrap();
    }
    retrieval::fill(store.as_ref(), index.as_ref(), &space()).await.unwrap();
    Similar { store, index, space: space() }
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
