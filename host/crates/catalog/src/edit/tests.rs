use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::{
    Embedding, PerceptualHash, Space,
    fakes::{InMemoryImageHost, InMemoryIndex, InMemoryStore, PpmDecoder, plain},
    port::{Change, ImageDecoder, NewImage, PortErrorKind, VectorIndex, VectorRow},
    product::{Product, StoredImage},
    retrieval,
    sweep::Sweep,
};

#[async_trait]
impl Indexes for InMemoryIndex {
    async fn forget(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()> {
        self.remove_images(tenant, images).await
    }
}

struct House {
    store: Arc<InMemoryStore>,
    index: Arc<InMemoryIndex>,
    images: Arc<InMemoryImageHost>,
    edit: EditProduct,
    tenant: TenantId,
    id: ProductId,
}

/// A shop with one product of one hosted picture.
async fn house() -> House {
    let (store, images) = (Arc::new(InMemoryStore::default()), Arc::new(InMemoryImageHost::default()));
    let index = Arc::new(InMemoryIndex::new(2));
    let edit = EditProduct { store: store.clone(), indexes: index.clone(), images: images.clone() };
    let (tenant, id): (TenantId, ProductId) = ("shop".parse().unwrap(), "shoe".parse().unwrap());
    let picture = PpmDecoder.decode(plain([200, 10, 10], 1)).await.unwrap();
    let hash = picture.hash.unwrap();
    let url = images.put(&tenant, &hash, &picture).await.unwrap();
    let image = StoredImage { hash, perceptual: PerceptualHash(0), url, width: 16, height: 16 };
    let now = Timestamp::now();
    let product = Product {
        tenant: tenant.clone(),
        id: id.clone(),
        details: serde_json::from_value(json!({"name": "shoe"})).unwrap(),
        images: vec![image.clone()],
        created_at: now,
        updated_at: now,
        offers: Vec::new(),
        revision: 1,
    };
    let embedding = Embedding::normalised(vec![1.0, 0.0], 2).unwrap();
    let images_of = vec![NewImage { image, embedding }];
    let change = Change::Create { product: Box::new(product), images: images_of, index_text: "shoe".into() };
    let space = Space { id: "test@0".into(), model: "test".into(), dimension: 2 };
    store.commit(&tenant, &"job".parse().unwrap(), &space, change, &json!({})).await.unwrap();
    retrieval::fill(store.as_ref(), index.as_ref(), &space).await.unwrap();
    House { store, index, images, edit, tenant, id }
}

#[tokio::test]
async fn a_deleted_product_is_not_indexed_and_its_pictures_are_not_hosted() {
    let house = house().await;
    house.edit.run(&house.tenant, &house.id, 1, &Edit::Delete).await.unwrap();
    assert_eq!(house.index.len(), 0);
    assert!(house.images.hosted(&house.tenant).is_empty());
    let later = Timestamp::now() + SignedDuration::from_secs(60);
    assert!(house.store.intents(later, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_picture_that_cannot_be_removed_now_is_swept() {
    let house = house().await;
    house.images.fail_next(PortErrorKind::Unavailable);
    let edited = house.edit.run(&house.tenant, &house.id, 1, &Edit::Delete).await.unwrap();
    assert!(matches!(edited, Edited::Done { .. }), "the product is gone whatever its pictures do");
    assert_eq!(house.images.hosted(&house.tenant).len(), 1);
    let sweep = Sweep { store: house.store.clone(), images: house.images.clone() };
    let later = Timestamp::now() + SignedDuration::from_secs(60);
    assert_eq!(sweep.run(later, async |_, _| Ok(true)).await.unwrap(), 1);
    assert!(house.images.hosted(&house.tenant).is_empty());
}

#[tokio::test]
async fn vectors_that_come_after_their_picture_went_are_not_indexed() {
    let house = house().await;
    let space = Space { id: "test@0".into(), model: "test".into(), dimension: 2 };
    let rows: Vec<VectorRow> = house.store.vectors_of(&house.tenant, &house.id, &space).await.unwrap();
    house.edit.run(&house.tenant, &house.id, 1, &Edit::Delete).await.unwrap();
    retrieval::add(house.store.as_ref(), house.index.as_ref(), rows).await.unwrap();
    assert_eq!(house.index.len(), 0);
}
