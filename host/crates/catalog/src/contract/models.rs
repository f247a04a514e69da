//! What every keeper of the model that serves, and of the vectors of several, must do.

use jiff::Timestamp;
use serde_json::json;

use super::{claims, creation, effect, image, product, put, shoe, shop, space, vector};
use crate::{
    embedding::Space,
    id::ImageHash,
    models::{Chosen, ModelChoice, ModelStore},
    port::{Change, PortErrorKind, Store, VectorRow},
};

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn model_suite<S: Store + ModelStore, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        a_choice_comes_back_and_is_changed_from_what_is_stored,
        a_model_serves_when_every_picture_has_its_vector,
        pictures_that_cannot_be_embedded_may_be_left_behind,
        a_commit_with_vectors_of_a_model_that_does_not_serve_is_refused,
        pictures_without_a_vector_come_by_pages,
        a_vector_that_is_there_stays_and_one_of_a_lost_picture_is_left_out,
        vectors_of_another_dimension_are_refused,
        added_vectors_count_up_the_catalogue,
        vectors_nobody_needs_are_forgotten,
    ];
}

fn other() -> Space {
    Space { id: "other@0".into(), model: "other".into(), dimension: 3 }
}

fn choice(revision: u64, active: Space, next: Option<Space>) -> ModelChoice {
    let changed_at = Timestamp::from_second(1_700_000_000).expect("the suites use small times");
    ModelChoice { revision, active, before: None, next, changed_at }
}

async fn choose(store: &impl ModelStore, choice: ModelChoice, lacking: u64) -> Chosen {
    store.choose(&choice, lacking).await.expect("answers")
}

fn row(name: &str, of: &str) -> VectorRow {
    let (tenant, product, image) = (shop("shop"), product(of), ImageHash::of(name.as_bytes()));
    VectorRow { tenant, product, image, embedding: vector(&[0.0, 1.0, 0.0]) }
}

async fn two_pictures(store: &impl Store) {
    let images = vec![image("a", 1, &[1.0, 0.0]), image("b", 2, &[0.0, 1.0])];
    put(store, "shop", shoe(images)).await.expect("a new product is taken");
}

async fn without(store: &impl ModelStore) -> Vec<ImageHash> {
    let found = store.images_without(&other(), None, 99).await.expect("answers");
    found.into_iter().map(|(_, image)| image.image.hash).collect()
}

async fn a_choice_comes_back_and_is_changed_from_what_is_stored<S: Store + ModelStore>(store: &S) {
    assert_eq!(store.choice().await.expect("answers"), None);
    assert_eq!(choose(store, choice(2, space(), None), 0).await, Chosen::Changed);
    let first = choice(1, space(), Some(other()));
    assert_eq!(choose(store, first.clone(), 0).await, Chosen::Stored);
    assert_eq!(store.choice().await.expect("answers"), Some(first.clone()));
    assert_eq!(choose(store, first, 0).await, Chosen::Changed);
    let second = choice(2, space(), None);
    assert_eq!(choose(store, second.clone(), 0).await, Chosen::Stored);
    assert_eq!(store.choice().await.expect("answers"), Some(second));
}

async fn a_model_serves_when_every_picture_has_its_vector<S: Store + ModelStore>(store: &S) {
    two_pictures(store).await;
    assert_eq!(choose(store, choice(1, space(), Some(other())), 0).await, Chosen::Stored);
    store.add_vectors(&other(), vec![row("a", "shoe")]).await.expect("answers");
    let served = ModelChoice { before: Some(space()), ..choice(2, other(), None) };
    assert_eq!(choose(store, served.clone(), 0).await, Chosen::Incomplete);
    assert_eq!(store.choice().await.expect("answers"), Some(choice(1, space(), Some(other()))));
    store.add_vectors(&other(), vec![row("b", "shoe")]).await.expect("answers");
    assert_eq!(choose(store, served.clone(), 0).await, Chosen::Stored);
    assert_eq!(store.choice().await.expect("answers"), Some(served));
    // And back: the old vectors are all there.
    assert_eq!(choose(store, choice(3, space(), None), 0).await, Chosen::Stored);
}

async fn pictures_that_cannot_be_embedded_may_be_left_behind<S: Store + ModelStore>(store: &S) {
    two_pictures(store).await;
    assert_eq!(choose(store, choice(1, space(), Some(other())), 0).await, Chosen::Stored);
    assert_eq!(choose(store, choice(2, other(), None), 1).await, Chosen::Incomplete);
    assert_eq!(choose(store, choice(2, other(), None), 2).await, Chosen::Stored);
}

async fn a_commit_with_vectors_of_a_model_that_does_not_serve_is_refused<S: Store + ModelStore>(store: &S) {
    assert_eq!(choose(store, choice(1, other(), None), 0).await, Chosen::Stored);
    let refused = put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await;
    assert_eq!(refused.expect_err("another model serves").kind, PortErrorKind::Unavailable);
    assert_eq!(store.product(&shop("shop"), &product("shoe")).await.expect("answers"), None);
    assert_eq!(store.receipt(&shop("shop"), &effect("shoe")).await.expect("answers"), None);
    let hat = vec![image("h", 2, &[1.0, 0.0, 0.0])];
    let hat = creation(&shop("shop"), "hat", 2, json!({"name": "hat"}), "hat", hat);
    let taken = store.commit(&shop("shop"), &effect("hat"), &other(), hat, &json!({})).await;
    taken.expect("its model serves");
    // A receipt that stands alone has no vectors.
    let none = store.commit(&shop("shop"), &effect("none"), &space(), Change::None, &json!({})).await;
    none.expect("there is nothing to refuse");
}

async fn pictures_without_a_vector_come_by_pages<S: Store + ModelStore>(store: &S) {
    two_pictures(store).await;
    let hat =
        creation(&shop("hats"), "hat", 2, json!({"name": "hat"}), "hat", vec![image("a", 2, &[1.0, 0.0])]);
    put(store, "hats", hat.clone()).await.expect("a new product is taken");
    let (mut met, mut after) = (Vec::new(), None);
    while let Some((place, image)) =
        store.images_without(&other(), after.as_ref(), 1).await.expect("answers").pop()
    {
        after = Some(place);
        met.push(image);
    }
    assert_eq!(met.len(), 3, "each once: {met:?}");
    let hat_met = met.iter().find(|image| image.tenant == shop("hats")).expect("the hat is met");
    let Change::Create { product: given, .. } = hat else { unreachable!("a hat is a creation") };
    assert_eq!((&hat_met.product, &hat_met.image), (&given.id, &given.images[0]));
    assert!(store.images_without(&space(), None, 9).await.expect("answers").is_empty());
    store.add_vectors(&other(), vec![row("a", "shoe")]).await.expect("answers");
    let left = store.images_without(&other(), None, 9).await.expect("answers");
    let mut left: Vec<_> = left.into_iter().map(|(_, image)| (image.tenant, image.image.hash)).collect();
    left.sort();
    assert_eq!(left, [(shop("hats"), ImageHash::of(b"a")), (shop("shop"), ImageHash::of(b"b"))]);
}

async fn a_vector_that_is_there_stays_and_one_of_a_lost_picture_is_left_out<S: Store + ModelStore>(
    store: &S,
) {
    two_pictures(store).await;
    store.add_vectors(&other(), vec![row("a", "shoe"), row("gone", "shoe")]).await.expect("answers");
    let again = VectorRow { embedding: vector(&[1.0, 0.0, 0.0]), ..row("a", "shoe") };
    store.add_vectors(&other(), vec![again, row("b", "shoe")]).await.expect("answers");
    let stored = store.vectors(&other(), None, 9).await.expect("answers");
    let stored: Vec<_> = stored.into_iter().map(|(_, row)| (row.product, row.image, row.embedding)).collect();
    let wanted = ["a", "b"].map(|name| row(name, "shoe")).map(|row| (row.product, row.image, row.embedding));
    assert_eq!(stored, wanted);
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 2);
    assert!(without(store).await.is_empty());
}

async fn vectors_of_another_dimension_are_refused<S: Store + ModelStore>(store: &S) {
    two_pictures(store).await;
    let flat = VectorRow { embedding: vector(&[1.0, 0.0]), ..row("b", "shoe") };
    let refused = store.add_vectors(&other(), vec![row("a", "shoe"), flat]).await;
    assert_eq!(refused.expect_err("the space has three").kind, PortErrorKind::Invalid);
    assert_eq!(without(store).await.len(), 2);
}

async fn added_vectors_count_up_the_catalogue<S: Store + ModelStore>(store: &S) {
    two_pictures(store).await;
    let before = store.version(&shop("shop")).await.expect("answers");
    store.add_vectors(&other(), vec![row("a", "shoe")]).await.expect("answers");
    assert!(store.version(&shop("shop")).await.expect("answers") > before);
    store.add_vectors(&other(), Vec::new()).await.expect("nothing to add is no error");
}

async fn vectors_nobody_needs_are_forgotten<S: Store + ModelStore>(store: &S) {
    two_pictures(store).await;
    assert_eq!(choose(store, choice(1, space(), Some(other())), 0).await, Chosen::Stored);
    store.add_vectors(&other(), vec![row("a", "shoe"), row("b", "shoe")]).await.expect("answers");
    for needed in [space(), other()] {
        let refused = store.forget_vectors(&needed.id, 9).await;
        assert_eq!(refused.expect_err("it is needed").kind, PortErrorKind::Conflict);
    }
    assert_eq!(choose(store, choice(2, space(), None), 0).await, Chosen::Stored);
    assert_eq!(store.forget_vectors(&other().id, 1).await.expect("answers"), 1);
    assert_eq!(store.forget_vectors(&other().id, 9).await.expect("answers"), 1);
    assert_eq!(store.forget_vectors(&other().id, 9).await.expect("answers"), 0);
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 2);
}
