//! What every vector index must do.

use std::{collections::HashSet, sync::Arc};

use super::{claims, product, shop, vector};
use crate::{
    id::{ImageHash, TenantId},
    port::{Neighbour, PortErrorKind, VectorIndex, VectorRow},
};

/// Runs every claim against an index of 3 components made by `make`.
///
/// # Panics
/// When the index breaks a claim.
pub async fn vector_index_suite<I: VectorIndex, G>(make: impl AsyncFn(usize) -> (I, G)) {
    claims![make(3);
        an_empty_index_finds_nothing,
        the_nearest_come_first_and_no_more_than_k,
        every_query_has_its_own_answer_in_order,
        equal_scores_are_ordered_by_image,
        only_allowed_products_are_found,
        a_product_with_many_images_takes_one_place,
        another_shop_sees_nothing,
        the_same_image_is_replaced_and_not_doubled,
        a_removed_product_is_gone_and_its_neighbours_stay,
        a_removed_picture_is_gone_and_the_products_others_stay,
        a_vector_of_another_dimension_is_refused,
        its_revision_tells_of_every_change,
    ];
}

fn row(tenant: &str, id: &str, image: &str, direction: [f32; 3]) -> VectorRow {
    VectorRow {
        tenant: shop(tenant),
        product: product(id),
        image: ImageHash::of(image.as_bytes()),
        embedding: vector(&direction),
    }
}

async fn fill(index: &impl VectorIndex) {
    let rows = vec![
        row("shop", "east", "e", [1.0, 0.0, 0.0]),
        row("shop", "north-east", "ne", [1.0, 1.0, 0.0]),
        row("shop", "north", "n", [0.0, 1.0, 0.0]),
        row("shop", "west", "w", [-1.0, 0.0, 0.0]),
    ];
    index.insert(rows).await.expect("rows are taken");
}

async fn nearest(index: &impl VectorIndex, tenant: &TenantId, to: [f32; 3], k: usize) -> Vec<Neighbour> {
    let mut lists = index.nearest(tenant, &[vector(&to)], None, k).await.expect("the index answers");
    assert_eq!(lists.len(), 1);
    lists.remove(0)
}

fn names(found: &[Neighbour]) -> Vec<&str> {
    found.iter().map(|neighbour| neighbour.product.as_str()).collect()
}

async fn an_empty_index_finds_nothing(index: &impl VectorIndex) {
    assert!(nearest(index, &shop("shop"), [1.0, 0.0, 0.0], 5).await.is_empty());
    assert!(index.nearest(&shop("shop"), &[], None, 5).await.expect("the index answers").is_empty());
    assert!(index.is_empty());
}

async fn the_nearest_come_first_and_no_more_than_k(index: &impl VectorIndex) {
    fill(index).await;
    let found = nearest(index, &shop("shop"), [1.0, 0.1, 0.0], 3).await;
    assert_eq!(names(&found), ["east", "north-east", "north"]);
    assert!((found[0].score - 0.995_037).abs() < 1e-5, "cosine was {}", found[0].score);
    assert_eq!(found[0].image, ImageHash::of(b"e"));
    assert_eq!(nearest(index, &shop("shop"), [1.0, 0.1, 0.0], 100).await.len(), 4);
    assert!(nearest(index, &shop("shop"), [1.0, 0.1, 0.0], 0).await.is_empty());
    assert!(index.memory_bytes() >= 4 * 3 * 4);
}

async fn every_query_has_its_own_answer_in_order(index: &impl VectorIndex) {
    fill(index).await;
    let queries = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.1]];
    let lists =
        index.nearest(&shop("shop"), &queries.map(|q| vector(&q)), None, 1).await.expect("the index answers");
    let first: Vec<_> = lists.iter().flat_map(|list| names(list)).collect();
    assert_eq!(first, ["east", "north", "west", "north-east", "north"]);
}

async fn equal_scores_are_ordered_by_image(index: &impl VectorIndex) {
    let mut hashes: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|name| ImageHash::of(name.as_bytes())).into();
    for name in ["a", "b", "c", "d", "e", "f"] {
        index.insert(vec![row("shop", "same", name, [0.6, 0.0, 0.8])]).await.expect("rows are taken");
    }
    hashes.sort();
    let found = nearest(index, &shop("shop"), [0.3, 0.2, 0.9], 4).await;
    assert_eq!(found.iter().map(|neighbour| neighbour.image).collect::<Vec<_>>(), hashes[..4]);
}

async fn only_allowed_products_are_found(index: &impl VectorIndex) {
    fill(index).await;
    let allowed = |ids: &[&str]| Some(Arc::new(ids.iter().map(|id| product(id)).collect::<HashSet<_>>()));
    let query = [vector(&[1.0, 0.0, 0.0])];
    let ask = async |among| index.nearest(&shop("shop"), &query, among, 9).await.expect("the index answers");
    assert_eq!(names(&ask(allowed(&["west", "north", "nobody"])).await[0]), ["north", "west"]);
    assert!(ask(allowed(&[])).await[0].is_empty());
}

async fn a_product_with_many_images_takes_one_place(index: &impl VectorIndex) {
    fill(index).await;
    let turned = |n: u8| row("shop", "east", &format!("east {n}"), [1.0, 0.001 * f32::from(n), 0.0]);
    index.insert((0..40).map(turned).collect()).await.expect("rows are taken");
    let ask = async |k| {
        let query = [vector(&[1.0, 0.0, 0.0])];
        index.nearest_products(&shop("shop"), &query, None, k).await.expect("the index answers").remove(0)
    };
    assert_eq!(names(&ask(3).await), ["east", "north-east", "north"]);
    assert_eq!(names(&ask(9).await), ["east", "north-east", "north", "west"]);
    assert!(ask(0).await.is_empty());
}

async fn another_shop_sees_nothing(index: &impl VectorIndex) {
    fill(index).await;
    assert!(nearest(index, &shop("other"), [1.0, 0.0, 0.0], 5).await.is_empty());
    index.insert(vec![row("other", "east", "e", [0.0, 0.0, 1.0])]).await.expect("rows are taken");
    assert_eq!(index.len(), 5);
    let found = nearest(index, &shop("other"), [1.0, 0.0, 1.0], 5).await;
    assert_eq!(found.len(), 1);
    index.remove(&shop("other"), &product("east")).await.expect("products can be removed");
    assert_eq!(nearest(index, &shop("shop"), [1.0, 0.0, 0.0], 5).await.len(), 4);
}

async fn the_same_image_is_replaced_and_not_doubled(index: &impl VectorIndex) {
    fill(index).await;
    index.insert(vec![row("shop", "up", "e", [0.0, 0.0, 1.0])]).await.expect("rows are taken");
    assert_eq!(index.len(), 4);
    let found = nearest(index, &shop("shop"), [0.0, 0.0, 1.0], 1).await;
    assert_eq!((names(&found), found[0].image), (vec!["up"], ImageHash::of(b"e")));
    index.remove(&shop("shop"), &product("east")).await.expect("products can be removed");
    assert_eq!(index.len(), 4, "the image belongs to another product now");
}

async fn a_removed_product_is_gone_and_its_neighbours_stay(index: &impl VectorIndex) {
    fill(index).await;
    index.insert(vec![row("shop", "east", "e2", [0.9, 0.1, 0.0])]).await.expect("rows are taken");
    index.remove(&shop("shop"), &product("east")).await.expect("products can be removed");
    index.remove(&shop("shop"), &product("nobody")).await.expect("removing nothing is no error");
    let found = nearest(index, &shop("shop"), [1.0, 0.0, 0.0], 9).await;
    assert_eq!(names(&found), ["north-east", "north", "west"]);
    assert_eq!(index.len(), 3);
    index.insert(vec![row("shop", "east", "e", [1.0, 0.0, 0.0])]).await.expect("it can come back");
    assert_eq!(names(&nearest(index, &shop("shop"), [1.0, 0.0, 0.0], 1).await), ["east"]);
}

async fn a_removed_picture_is_gone_and_the_products_others_stay(index: &impl VectorIndex) {
    fill(index).await;
    index.insert(vec![row("shop", "east", "e2", [0.9, 0.1, 0.0])]).await.expect("rows are taken");
    let hash = |name: &str| ImageHash::of(name.as_bytes());
    let before = index.revision(&shop("shop"));
    let gone = [hash("e"), hash("n"), hash("nobody's")];
    index.remove_images(&shop("shop"), &gone).await.expect("pictures can be removed");
    index.remove_images(&shop("other"), &[hash("w")]).await.expect("removing nothing is no error");
    assert_ne!(index.revision(&shop("shop")), before);
    let found = nearest(index, &shop("shop"), [1.0, 0.0, 0.0], 9).await;
    assert_eq!(names(&found), ["east", "north-east", "west"]);
    assert_eq!((found[0].image, index.len()), (hash("e2"), 3));
    index.remove(&shop("shop"), &product("east")).await.expect("products can be removed");
    assert_eq!(index.len(), 2);
}

async fn a_vector_of_another_dimension_is_refused(index: &impl VectorIndex) {
    let wrong = VectorRow { embedding: vector(&[1.0, 0.0]), ..row("shop", "flat", "f", [1.0, 0.0, 0.0]) };
    let rows = vec![row("shop", "east", "e", [1.0, 0.0, 0.0]), wrong];
    let refused = index.insert(rows).await.expect_err("two components are not three");
    assert_eq!(refused.kind, PortErrorKind::Invalid);
    assert_eq!(index.len(), 0, "a refused batch leaves nothing behind");
    let query = [vector(&[1.0, 0.0])];
    let refused =
        index.nearest(&shop("shop"), &query, None, 1).await.expect_err("two components are not three");
    assert_eq!(refused.kind, PortErrorKind::Invalid);
}

async fn its_revision_tells_of_every_change(index: &impl VectorIndex) {
    let empty = index.revision(&shop("shop"));
    fill(index).await;
    let filled = index.revision(&shop("shop"));
    assert_ne!(filled, empty);
    index.nearest(&shop("shop"), &[vector(&[1.0, 0.0, 0.0])], None, 1).await.expect("answers");
    assert_eq!(index.revision(&shop("shop")), filled);
    index.remove(&shop("shop"), &product("east")).await.expect("answers");
    assert_ne!(index.revision(&shop("shop")), filled);
}
