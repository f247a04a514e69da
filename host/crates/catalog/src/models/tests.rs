use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::{
    fakes::{FakeEmbedder, InMemoryImageHost, InMemoryIndex, InMemoryStore, PpmDecoder, RecordingJob, plain},
    id::ImageHash,
    picture::Picture,
    port::{
        Change, Embedder, ImageDecoder, ImageHost, NewImage, PortErrorKind, PortResult, Store, VectorIndex,
    },
    product::Product,
    retrieval,
};

/// A catalogue of products with two pictures of one colour each, which `old` embedded.
struct Shop {
    tenant: TenantId,
    store: Arc<InMemoryStore>,
    images: Arc<InMemoryImageHost>,
    old: Arc<FakeEmbedder>,
    old_index: Arc<InMemoryIndex>,
    new_index: Arc<InMemoryIndex>,
}

const COLOURS: [(&str, [u8; 3]); 4] =
    [("red", [220, 20, 20]), ("green", [20, 160, 40]), ("blue", [20, 40, 220]), ("black", [0, 0, 0])];

impl Shop {
    async fn with(products: u8) -> Self {
        let old = Arc::new(FakeEmbedder::default());
        let dimension = old.space().dimension;
        let shop = Self {
            tenant: "shop".parse().unwrap(),
            store: Arc::default(),
            images: Arc::default(),
            old,
            old_index: Arc::new(InMemoryIndex::new(dimension)),
            new_index: Arc::new(InMemoryIndex::new(dimension)),
        };
        for number in 0..products {
            shop.add(number, shop.old.as_ref()).await.unwrap();
        }
        retrieval::fill(shop.store.as_ref(), shop.old_index.as_ref(), shop.old.space()).await.unwrap();
        shop
    }

    async fn add(&self, number: u8, model: &FakeEmbedder) -> PortResult<()> {
        let (name, [red, green, blue]) = COLOURS[usize::from(number) % COLOURS.len()];
        let mut images = Vec::new();
        for side in [0, 1] {
            let file = plain([red, green, blue + side], number);
            let picture = PpmDecoder.decode(file).await.unwrap();
            let hash = picture.hash.unwrap();
            let url = self.images.put(&self.tenant, &hash, &picture).await.unwrap();
            let image = StoredImage { hash, perceptual: picture.perceptual, url, width: 16, height: 16 };
            let embedding = model.images(&self.tenant, &[Arc::new(picture)]).await.unwrap().remove(0);
            images.push(NewImage { image, embedding });
        }
        let now = Timestamp::now();
        let product = Product {
            tenant: self.tenant.clone(),
            id: format!("p{number}").parse().unwrap(),
            details: serde_json::from_value(json!({ "name": name })).unwrap(),
            images: images.iter().map(|new| new.image.clone()).collect(),
            created_at: now,
            updated_at: now,
            offers: Vec::new(),
            revision: 1,
        };
        let change = Change::Create { product: Box::new(product), images, index_text: String::new() };
        let effect = format!("job-{number}").parse().unwrap();
        self.store.commit(&self.tenant, &effect, model.space(), change, &Value::Null).await
    }

    fn activate(&self, new: Arc<dyn Embedder>) -> Activate {
        let index: Arc<dyn VectorIndex> = self.new_index.clone();
        Activate {
            store: self.store.clone(),
            models: self.store.clone(),
            before: Side { embedder: self.old.clone(), index: self.old_index.clone() },
            embed: Embed {
                store: self.store.clone(),
                catalogue: self.store.clone(),
                images: self.images.clone(),
                decoder: Arc::new(PpmDecoder),
                embedder: new.clone(),
                index: index.clone(),
            },
            after: Side { embedder: new, index },
        }
    }

    async fn run(
        &self,
        new: Arc<dyn Embedder>,
        conditions: Conditions,
    ) -> Result<Activation, crate::Failure> {
        self.activate(new).run(conditions, &RecordingJob::default()).await
    }

    async fn serving(&self) -> Option<String> {
        self.store.choice().await.unwrap().map(|choice| choice.active.model)
    }
}

/// A model to which every picture and every word is the same.
struct Blind(FakeEmbedder);

#[async_trait]
impl Embedder for Blind {
    fn space(&self) -> &Space {
        self.0.space()
    }

    async fn images(
        &self,
        tenant: &TenantId,
        pictures: &[Arc<Picture>],
    ) -> PortResult<Vec<crate::Embedding>> {
        self.0.texts(tenant, &vec!["white".into(); pictures.len()]).await
    }

    async fn texts(&self, tenant: &TenantId, texts: &[String]) -> PortResult<Vec<crate::Embedding>> {
        self.0.texts(tenant, &vec!["white".into(); texts.len()]).await
    }
}

fn new_model() -> Arc<FakeEmbedder> {
    Arc::new(FakeEmbedder::named("new"))
}

#[tokio::test]
async fn every_picture_gets_a_vector_and_the_model_serves() {
    let shop = Shop::with(8).await;
    let activation = shop.run(new_model(), Conditions::default()).await.unwrap();
    assert_eq!((activation.status.as_str(), activation.embedded, activation.lacking), ("active", 16, 0));
    let comparison = activation.comparison.unwrap();
    assert_eq!((comparison.pictures, comparison.overlap), (16, 1.0), "it is the same model by another name");
    assert_eq!((comparison.siblings.of, comparison.siblings.before), (16, comparison.siblings.after));
    let choice = shop.store.choice().await.unwrap().unwrap();
    assert_eq!((choice.active.model.as_str(), choice.before.unwrap().model.as_str()), ("new", "fake"));
    assert_eq!(choice.next, None);
    assert_eq!(shop.new_index.len(), 16);
    assert_eq!(shop.store.vectors(shop.old.space(), None, 99).await.unwrap().len(), 16, "to go back to");
}

#[tokio::test]
async fn going_back_embeds_only_what_was_added_since() {
    let shop = Shop::with(4).await;
    let new = new_model();
    shop.run(new.clone(), Conditions::default()).await.unwrap();
    shop.add(9, shop.old.as_ref()).await.unwrap_err();
    shop.add(9, new.as_ref()).await.unwrap();
    let mut back = shop.activate(shop.old.clone());
    back.before = Side { embedder: new, index: shop.new_index.clone() };
    back.after.index = shop.old_index.clone();
    let activation = back.run(Conditions::default(), &RecordingJob::default()).await.unwrap();
    assert_eq!((activation.embedded, shop.serving().await.unwrap().as_str()), (2, "fake"));
}

#[tokio::test]
async fn held_it_is_embedded_and_compared_and_the_old_one_serves() {
    let shop = Shop::with(4).await;
    let hold = Conditions { hold: true, ..Conditions::default() };
    assert_eq!(shop.run(new_model(), hold).await.unwrap().status, "ready");
    let choice = shop.store.choice().await.unwrap().unwrap();
    assert_eq!((choice.active.model.as_str(), choice.next), ("fake", None));
    let activation = shop.run(new_model(), Conditions::default()).await.unwrap();
    assert_eq!((activation.status.as_str(), activation.embedded), ("active", 0));
}

#[tokio::test]
async fn a_model_that_finds_less_does_not_serve_unless_asked_to() {
    let shop = Shop::with(24).await;
    let blind = || Arc::new(Blind(FakeEmbedder::named("blind")));
    let refused = shop.run(blind(), Conditions::default()).await.unwrap_err();
    assert_eq!(refused.code, "model_finds_less", "{refused}");
    assert_eq!(shop.serving().await.unwrap(), "fake");
    let anyway = Conditions { at_least: 0.0, ..Conditions::default() };
    let activation = shop.run(blind(), anyway).await.unwrap();
    let names = activation.comparison.unwrap().names;
    assert!(names.before > names.after, "{names:?}");
    assert_eq!(shop.serving().await.unwrap(), "blind");
}

#[tokio::test]
async fn lost_pictures_stop_it_unless_they_may_be_left_behind() {
    let shop = Shop::with(3).await;
    let lost: ImageHash = shop.images.hosted(&shop.tenant)[0];
    shop.images.remove(&shop.tenant, &lost).await.unwrap();
    let refused = shop.run(new_model(), Conditions::default()).await.unwrap_err();
    assert!(refused.code == "pictures_lacking" && refused.message.contains(&lost.to_string()), "{refused}");
    let left = Conditions { allow_lacking: true, ..Conditions::default() };
    let activation = shop.run(new_model(), left).await.unwrap();
    assert_eq!((activation.embedded, activation.lacking), (0, 1), "the others were kept from the first time");
    assert_eq!(shop.serving().await.unwrap(), "new");
}

#[tokio::test]
async fn what_may_work_later_fails_the_walk_and_keeps_what_was_done() {
    let shop = Shop::with(2).await;
    shop.images.fail_next(PortErrorKind::Unavailable);
    let failure = shop.run(new_model(), Conditions::default()).await.unwrap_err();
    assert!(failure.retryable, "{failure}");
    assert_eq!(shop.store.choice().await.unwrap().unwrap().next, None, "nobody need keep it ready");
    assert_eq!(shop.run(new_model(), Conditions::default()).await.unwrap().embedded, 4);
}

#[tokio::test]
async fn a_cancelled_activation_changes_nothing() {
    let shop = Shop::with(2).await;
    let job = RecordingJob::default();
    job.cancel();
    let failure = shop.activate(new_model()).run(Conditions::default(), &job).await.unwrap_err();
    assert_eq!((failure.code.as_str(), shop.serving().await.unwrap().as_str()), ("cancelled", "fake"));
}

#[tokio::test]
async fn what_serves_already_gets_the_vectors_it_lacks() {
    let shop = Shop::with(2).await;
    // Another model was configured, and nobody activated it.
    let new = new_model();
    let mut again = shop.activate(new.clone());
    again.before = again.after.clone();
    let activation = again.run(Conditions::default(), &RecordingJob::default()).await.unwrap();
    assert_eq!((activation.status.as_str(), activation.embedded), ("active", 4));
    assert_eq!((activation.comparison, shop.serving().await), (None, None));
}

#[tokio::test]
async fn a_model_that_was_lost_is_replaced_without_a_comparison() {
    let shop = Shop::with(2).await;
    shop.run(new_model(), Conditions::default()).await.unwrap();
    // Its files are gone: the process runs what it is configured with.
    let mut back = shop.activate(shop.old.clone());
    back.before = back.after.clone();
    let activation = back.run(Conditions::default(), &RecordingJob::default()).await.unwrap();
    assert_eq!((activation.embedded, activation.comparison), (0, None));
    assert_eq!(shop.serving().await.unwrap(), "fake");
}

/// Lets another model serve in the middle of an activation.
struct Meddling(FakeEmbedder, Arc<InMemoryStore>);

#[async_trait]
impl Embedder for Meddling {
    fn space(&self) -> &Space {
        self.0.space()
    }

    async fn images(
        &self,
        tenant: &TenantId,
        pictures: &[Arc<Picture>],
    ) -> PortResult<Vec<crate::Embedding>> {
        let mut choice = self.1.choice().await?.unwrap();
        if choice.active.model == "fake" {
            choice.revision += 1;
            choice.active = Space { id: "third@0".into(), ..choice.active };
            self.1.choose(&choice, 99).await?;
        }
        self.0.images(tenant, pictures).await
    }

    async fn texts(&self, tenant: &TenantId, texts: &[String]) -> PortResult<Vec<crate::Embedding>> {
        self.0.texts(tenant, texts).await
    }
}

#[tokio::test]
async fn of_two_that_change_models_one_is_told_so() {
    let shop = Shop::with(2).await;
    let late = Arc::new(Meddling(FakeEmbedder::named("late"), shop.store.clone()));
    let late = shop.run(late, Conditions::default()).await.unwrap_err();
    assert_eq!(late.code, "model_superseded", "{late}");
    assert_eq!(shop.store.choice().await.unwrap().unwrap().active.id, "third@0");
}
