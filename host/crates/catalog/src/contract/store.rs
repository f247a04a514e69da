//! What every store must do.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    claims, creation, edits, effect, finding, finding::words, image, intents, product, put, shelve, shoe,
    shop, space, vector,
};
use crate::{
    embedding::Space,
    filter::Filter,
    id::ImageHash,
    picture::PerceptualHash,
    port::{Change, Counts, Edit, Edited, Noted, PortErrorKind, Store},
    product::{Details, Offer},
};

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn store_suite<S: Store, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        an_empty_store_has_nothing,
        a_product_comes_back_as_it_went_in,
        products_come_in_the_order_asked_for,
        another_shop_sees_nothing,
        the_same_names_live_side_by_side_in_two_shops,
        a_merge_puts_images_last_and_touches_the_product,
        a_merge_into_nothing_is_refused_and_leaves_no_trace,
        a_taken_image_is_a_conflict_and_nothing_is_written,
        the_same_image_twice_in_one_change_is_a_conflict,
        an_effect_happens_once,
        an_offer_joins_its_product_and_renews_one_of_the_same_article,
        a_product_is_found_by_its_offers_for_as_long_as_it_has_them,
        a_product_may_come_with_offers,
        receipts_are_found_by_the_products_that_they_name,
        a_receipt_can_stand_alone,
        a_vector_of_another_dimension_is_refused_and_nothing_is_written,
        vectors_come_in_a_stable_order_by_pages,
        vectors_of_another_space_stay_apart,
    ];
    intents::suite(&make).await;
    edits::suite(&make).await;
    finding::suite(make).await;
}

async fn an_empty_store_has_nothing(store: &impl Store) {
    let tenant = &shop("shop");
    assert_eq!(store.product(tenant, &product("shoe")).await.expect("answers"), None);
    assert_eq!(store.image(tenant, &ImageHash::of(b"a")).await.expect("answers"), None);
    assert_eq!(store.receipt(tenant, &effect("job")).await.expect("answers"), None);
    assert_eq!(store.counts().await.expect("answers"), Counts::default());
    assert!(
        store.keyword(tenant, &"shoe".into(), &Filter::everything(), 9).await.expect("answers").is_empty()
    );
    assert!(store.matching(tenant, &Filter::everything(), 9).await.expect("answers").is_empty());
    assert!(store.vectors(&space(), None, 9).await.expect("answers").is_empty());
    assert!(store.spaces().await.expect("answers").is_empty());
}

async fn a_product_comes_back_as_it_went_in(store: &impl Store) {
    let change = shoe(vec![image("b", 7, &[1.0, 0.0]), image("a", u64::MAX, &[0.0, 1.0])]);
    let Change::Create { product: given, .. } = change.clone() else { unreachable!("a shoe is a creation") };
    put(store, "shop", change).await.expect("a new product is taken");
    let stored = store.product(&shop("shop"), &product("shoe")).await.expect("answers");
    assert_eq!(stored, Some(*given));
    assert_eq!(store.counts().await.expect("answers"), Counts { products: 1, images: 2 });
    let known = store.image(&shop("shop"), &ImageHash::of(b"a")).await.expect("answers").expect("is there");
    assert_eq!((known.product, known.distance), (product("shoe"), 0));
    assert_eq!(
        store.receipt(&shop("shop"), &effect("shoe")).await.expect("answers"),
        Some(json!({"did": "shoe"}))
    );
}

async fn products_come_in_the_order_asked_for(store: &impl Store) {
    shelve(
        store,
        "shop",
        &[("a", json!({"name": "a"})), ("b", json!({"name": "b"})), ("c", json!({"name": "c"}))],
    )
    .await;
    let wanted = ["c", "gone", "a", "b"].map(product);
    let found = store.products(&shop("shop"), &wanted).await.expect("answers");
    assert_eq!(found.iter().map(|product| product.id.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
    assert!(store.products(&shop("shop"), &[]).await.expect("answers").is_empty());
}

async fn another_shop_sees_nothing(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 7, &[1.0, 0.0])])).await.expect("a new product is taken");
    let other = &shop("other");
    assert_eq!(store.product(other, &product("shoe")).await.expect("answers"), None);
    assert!(store.products(other, &[product("shoe")]).await.expect("answers").is_empty());
    assert_eq!(store.image(other, &ImageHash::of(b"a")).await.expect("answers"), None);
    assert!(store.images_like(other, PerceptualHash(7), 64, 9).await.expect("answers").is_empty());
    assert!(
        store.keyword(other, &"shoe".into(), &Filter::everything(), 9).await.expect("answers").is_empty()
    );
    assert!(store.matching(other, &Filter::everything(), 9).await.expect("answers").is_empty());
    assert_eq!(store.receipt(other, &effect("shoe")).await.expect("answers"), None);
    let merge = Change::Merge { product: product("shoe"), images: vec![image("z", 1, &[1.0, 0.0])] };
    put(store, "other", merge).await.expect_err("the product is another shop's");
}

async fn the_same_names_live_side_by_side_in_two_shops(store: &impl Store) {
    for tenant in ["shop", "other"] {
        let change = creation(
            &shop(tenant),
            "shoe",
            1,
            json!({"name": tenant}),
            "shoe",
            vec![image("a", 7, &[1.0, 0.0])],
        );
        put(store, tenant, change).await.expect("a new product is taken");
    }
    for tenant in ["shop", "other"] {
        let stored =
            store.product(&shop(tenant), &product("shoe")).await.expect("answers").expect("is there");
        assert_eq!(stored.details.name, tenant);
        assert_eq!(words(store, tenant, "shoe").await, ["shoe"]);
    }
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 2);
}

async fn a_merge_puts_images_last_and_touches_the_product(store: &impl Store) {
    put(store, "shop", shoe(vec![image("b", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let images = vec![image("c", 2, &[0.0, 1.0]), image("a", 3, &[1.0, 1.0])];
    put(store, "shop", Change::Merge { product: product("shoe"), images }).await.expect("images may join");
    let stored = store.product(&shop("shop"), &product("shoe")).await.expect("answers").expect("is there");
    let order: Vec<_> = stored.images.iter().map(|image| image.hash).collect();
    assert_eq!(order, ["b", "c", "a"].map(|name| ImageHash::of(name.as_bytes())));
    assert!(stored.updated_at > stored.created_at);
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 3);
}

async fn a_merge_into_nothing_is_refused_and_leaves_no_trace(store: &impl Store) {
    let merge = Change::Merge { product: product("nobody"), images: vec![image("a", 1, &[1.0, 0.0])] };
    let refused = put(store, "shop", merge).await.expect_err("there is no such product");
    assert_eq!(refused.kind, PortErrorKind::Conflict);
    an_empty_store_has_nothing(store).await;
    assert_eq!(store.receipt(&shop("shop"), &effect("merge-nobody-1")).await.expect("answers"), None);
}

async fn a_taken_image_is_a_conflict_and_nothing_is_written(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let late = creation(
        &shop("shop"),
        "boot",
        2,
        json!({"name": "boot"}),
        "boot",
        vec![image("fresh", 2, &[1.0, 0.0]), image("a", 1, &[1.0, 0.0])],
    );
    let refused = put(store, "shop", late).await.expect_err("the image is taken");
    assert_eq!(refused.kind, PortErrorKind::Conflict);
    assert_eq!(store.counts().await.expect("answers"), Counts { products: 1, images: 1 });
    assert_eq!(store.product(&shop("shop"), &product("boot")).await.expect("answers"), None);
    assert_eq!(store.image(&shop("shop"), &ImageHash::of(b"fresh")).await.expect("answers"), None);
    assert_eq!(store.receipt(&shop("shop"), &effect("boot")).await.expect("answers"), None);
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 1);
    assert!(words(store, "shop", "boot").await.is_empty());
}

async fn the_same_image_twice_in_one_change_is_a_conflict(store: &impl Store) {
    let twice = shoe(vec![image("a", 1, &[1.0, 0.0]), image("a", 1, &[1.0, 0.0])]);
    assert_eq!(put(store, "shop", twice).await.expect_err("twice the same").kind, PortErrorKind::Conflict);
    an_empty_store_has_nothing(store).await;
}

async fn an_effect_happens_once(store: &impl Store) {
    put(store, "shop", shoe(Vec::new())).await.expect("a new product is taken");
    let again = creation(&shop("shop"), "copy", 2, json!({"name": "copy"}), "copy", Vec::new());
    let receipt = json!({"did": "copy"});
    let second = store.commit(&shop("shop"), &effect("shoe"), &space(), again, &receipt).await;
    assert_eq!(second.expect_err("the receipt is there").kind, PortErrorKind::Conflict);
    assert_eq!(store.product(&shop("shop"), &product("copy")).await.expect("answers"), None);
    assert_eq!(
        store.receipt(&shop("shop"), &effect("shoe")).await.expect("answers"),
        Some(json!({"did": "shoe"}))
    );
    let other_effect =
        store.commit(&shop("shop"), &effect("other"), &space(), shoe(Vec::new()), &receipt).await;
    assert_eq!(other_effect.expect_err("the product is there").kind, PortErrorKind::Conflict);
}

/// Whole milliseconds, which every store keeps.
fn at() -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000).expect("is in range")
}

async fn an_offer_joins_its_product_and_renews_one_of_the_same_article(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let offer = |id: &str, price: f64| {
        let details = Details { name: "shoe".into(), price, sku: Some("s-1".into()), ..Details::default() };
        let made =
            Offer { stock: Some(3), sizes: vec!["41".into()], ..Offer::of(product(id), &details, at()) };
        Change::Offer { product: product("shoe"), offer: Box::new(made) }
    };
    put(store, "shop", offer("first", 12.5)).await.expect("an offer is taken");
    let version = store.version(&shop("shop")).await.expect("answers");
    put(store, "shop", offer("second", 11.0)).await.expect("an offer is taken");
    assert!(store.version(&shop("shop")).await.expect("answers") > version);
    let stored = store.product(&shop("shop"), &product("shoe")).await.expect("answers").expect("is there");
    let [offer_now] = stored.offers.as_slice() else { panic!("one of an article: {:?}", stored.offers) };
    assert_eq!((offer_now.id.as_str(), offer_now.price, offer_now.stock), ("second", 11.0, Some(3)));
    assert_eq!((offer_now.sku.as_deref(), offer_now.sizes.len()), (Some("s-1"), 1));
    assert_eq!((stored.revision, stored.images.len()), (3, 1));
    assert!(stored.updated_at > stored.created_at);
    let removal = Edit::RemoveOffer(offer_now.id.clone());
    let removed = store.edit(&shop("shop"), &product("shoe"), 3, &removal).await.expect("answers");
    assert!(matches!(removed, Edited::Done { revision: 4, .. }), "{removed:?}");
    let stored = store.product(&shop("shop"), &product("shoe")).await.expect("answers").expect("is there");
    assert!(stored.offers.is_empty());
    let details = Details { name: "hat".into(), ..Details::default() };
    let lost = Change::Offer {
        product: product("nobody"),
        offer: Box::new(Offer::of(product("x"), &details, at())),
    };
    assert_eq!(put(store, "shop", lost).await.expect_err("nobody is there").kind, PortErrorKind::Conflict);
}

async fn a_product_is_found_by_its_offers_for_as_long_as_it_has_them(store: &impl Store) {
    let own = Details { name: "shoe".into(), sizes: vec!["40".into()], ..Details::default() };
    let sold = |id: &str, size: &str| {
        let (sku, color) = (Some(format!("article-{size}")), Some("red".into()));
        let details = Details { sku, color, sizes: vec![size.into()], ..own.clone() };
        Offer::of(product(id), &details, at())
    };
    let mut change = shoe(Vec::new());
    let Change::Create { product: made, .. } = &mut change else { panic!("a shoe is a new product") };
    (made.details, made.offers) = (own.clone(), vec![sold("first", "41")]);
    put(store, "shop", change).await.expect("a new product is taken");
    let second = Change::Offer { product: product("shoe"), offer: Box::new(sold("second", "42")) };
    put(store, "shop", second).await.expect("an offer is taken");
    let finds = async |filter: serde_json::Value| {
        let filter = Filter::parse(&filter).expect("a valid filter");
        !store.matching(&shop("shop"), &filter, 9).await.expect("answers").is_empty()
    };
    let sizes = async || {
        let mut found = Vec::new();
        for size in ["40", "41", "42", "43"] {
            if finds(json!({ "sizes": size })).await {
                found.push(size);
            }
        }
        found
    };
    assert_eq!(sizes().await, ["40", "41", "42"]);
    assert!(finds(json!({ "sku": "article-41", "color": "red" })).await);
    let described = Details { sizes: vec!["41".into(), "43".into()], ..own };
    let edits = [
        (Edit::Describe { details: Box::new(described), index_text: None }, &["41", "42", "43"][..]),
        (Edit::RemoveOffer(product("first")), &["41", "42", "43"]),
        (Edit::RemoveOffer(product("second")), &["41", "43"]),
        (Edit::Delete, &[]),
    ];
    for (revision, (edit, left)) in (2..).zip(edits) {
        let edited = store.edit(&shop("shop"), &product("shoe"), revision, &edit).await.expect("answers");
        assert!(matches!(edited, Edited::Done { .. }), "{edited:?}");
        assert_eq!(sizes().await, left);
    }
    assert!(!finds(json!({ "color": "red" })).await);
}

async fn a_product_may_come_with_offers(store: &impl Store) {
    let mut change = shoe(Vec::new());
    let Change::Create { product: made, .. } = &mut change else { panic!("a shoe is a new product") };
    let offer = |(id, name): (&str, &str)| {
        let details = Details { name: name.into(), price: 2.5, stock: Some(1), ..Details::default() };
        Offer::of(product(id), &details, at())
    };
    made.offers = [("first", "Trail shoe, used"), ("second", "Trail shoe, worn")].map(offer).into();
    let offers = made.offers.clone();
    put(store, "shop", change).await.expect("a new product is taken");
    let stored = store.product(&shop("shop"), &product("shoe")).await.expect("answers").expect("is there");
    assert_eq!(stored.offers, offers);
}

async fn receipts_are_found_by_the_products_that_they_name(store: &impl Store) {
    let told = [
        ("first", json!({ "product_id": "shoe", "n": 1 })),
        ("second", json!({ "product_id": "hat", "duplicate_details": [{ "product_id": "shoe" }], "n": 2 })),
        ("third", json!({ "product_id": "hat", "n": 3 })),
        ("fourth", json!({ "product_id": "shoe", "duplicate_details": [{ "product_id": "shoe" }], "n": 4 })),
    ];
    for (name, receipt) in &told {
        let stored = store.commit(&shop("shop"), &effect(name), &space(), Change::None, receipt).await;
        stored.expect("a receipt is taken");
    }
    let about = async |id: &str, after: Option<&Noted>, limit| {
        store.receipts_about(&shop("shop"), &product(id), after, limit).await.expect("answers")
    };
    let numbers = |found: &[(Noted, Value)]| {
        found.iter().filter_map(|(_, told)| told["n"].as_u64()).collect::<BTreeSet<_>>()
    };
    let all = about("shoe", None, 9).await;
    assert_eq!((all.len(), numbers(&all)), (3, BTreeSet::from([1, 2, 4])));
    assert!(all.is_sorted_by(|(one, _), (next, _)| (one.at, &one.effect) > (next.at, &next.effect)));
    let mut paged = Vec::new();
    while let page @ [_, ..] = about("shoe", paged.last().map(|(noted, _)| noted), 1).await.as_slice() {
        paged.extend_from_slice(page);
    }
    assert_eq!(paged, all);
    assert_eq!(numbers(&about("hat", None, 9).await), BTreeSet::from([2, 3]));
    assert!(about("hat", None, 0).await.is_empty());
    let elsewhere = store.receipts_about(&shop("other"), &product("shoe"), None, 9).await.expect("answers");
    assert!(elsewhere.is_empty());
}

async fn a_receipt_can_stand_alone(store: &impl Store) {
    put(store, "shop", Change::None).await.expect("a receipt alone is taken");
    assert_eq!(
        store.receipt(&shop("shop"), &effect("none")).await.expect("answers"),
        Some(json!({"did": "none"}))
    );
    assert_eq!(store.counts().await.expect("answers"), Counts::default());
}

async fn a_vector_of_another_dimension_is_refused_and_nothing_is_written(store: &impl Store) {
    let refused = put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0, 0.0])])).await;
    assert_eq!(refused.expect_err("three components are not two").kind, PortErrorKind::Invalid);
    an_empty_store_has_nothing(store).await;
}

async fn vectors_come_in_a_stable_order_by_pages(store: &impl Store) {
    let images = (0..5).map(|n| image(&n.to_string(), n, &[1.0, n as f32])).collect();
    put(store, "shop", shoe(images)).await.expect("a new product is taken");
    let all = store.vectors(&space(), None, 99).await.expect("answers");
    assert_eq!(all.len(), 5);
    let (_, row) = &all[3];
    assert_eq!(
        (&row.tenant, &row.product, row.image),
        (&shop("shop"), &product("shoe"), ImageHash::of(b"3"))
    );
    assert!(row.embedding.cosine(&vector(&[1.0, 3.0])) > 0.999_999);
    let mut after = None;
    let mut paged = Vec::new();
    loop {
        let page = store.vectors(&space(), after.as_ref(), 2).await.expect("answers");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        paged.extend(page.into_iter().map(|(position, row)| (position, row.image)));
    }
    assert_eq!(paged, all.into_iter().map(|(position, row)| (position, row.image)).collect::<Vec<_>>());
}

async fn vectors_of_another_space_stay_apart(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let other = Space { id: "other@0".into(), model: "other".into(), dimension: 3 };
    let hat = creation(
        &shop("shop"),
        "hat",
        2,
        json!({"name": "hat"}),
        "hat",
        vec![image("h", 2, &[1.0, 0.0, 0.0])],
    );
    let stored = store.commit(&shop("shop"), &effect("hat"), &other, hat, &json!({})).await;
    stored.expect("a store holds several spaces");
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 1);
    assert_eq!(store.vectors(&other, None, 9).await.expect("answers").len(), 1);
    let spaces = store.spaces().await.expect("answers");
    assert_eq!(spaces.into_iter().collect::<Vec<_>>(), [("other@0".to_owned(), 1), ("test@0".to_owned(), 1)]);
}
