//! What every store must do with products that change and go.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    claims, creation, effect, finding::words, image, product, put, shelve, shoe, shop, space, vector,
};
use crate::{
    embedding::Space,
    filter::Filter,
    id::{ImageHash, ProductId},
    order::ListOrder,
    port::{Change, Counts, Edit, Edited, Intent, PortErrorKind, Shelved, Store},
    product::{Details, Moment, Offer, Product},
};

pub(super) async fn suite<S: Store, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        described_anew_it_is_found_by_its_new_words_and_fields_only,
        a_price_changes_and_the_words_stay,
        an_edit_of_another_revision_changes_nothing,
        an_edit_of_nothing_is_told_apart,
        every_change_makes_another_revision,
        pictures_that_go_take_their_vectors_of_every_space_along,
        a_deleted_product_is_nowhere_and_its_receipt_stays,
        a_deleted_products_pictures_are_being_removed,
        a_picture_that_somebody_wants_is_not_removed,
        what_was_deleted_can_come_again_as_another,
        the_list_goes_on_after_a_place_whatever_happened_to_it,
        whatever_changes_a_product_tells_when,
        words_are_found_right_whatever_came_and_went,
        the_vectors_of_a_product_are_its_own,
    ];
}

async fn stored(store: &impl Store, id: &str) -> Option<Product> {
    store.product(&shop("shop"), &product(id)).await.expect("answers")
}

async fn edit(store: &impl Store, id: &str, edit: Edit) -> Edited {
    let revision = stored(store, id).await.expect("it is there").revision;
    store.edit(&shop("shop"), &product(id), revision, &edit).await.expect("answers")
}

fn described(details: Value, text: Option<&str>) -> Edit {
    let details: Details = serde_json::from_value(details).expect("the suites use valid details");
    Edit::Describe { details: Box::new(details), index_text: text.map(str::to_owned) }
}

fn hash(name: &str) -> ImageHash {
    ImageHash::of(name.as_bytes())
}

fn done(edited: &Edited) -> bool {
    matches!(edited, Edited::Done { .. })
}

async fn passing(store: &impl Store, filter: Value) -> Vec<ProductId> {
    let filter = Filter::parse(&filter).expect("a valid filter");
    store.matching(&shop("shop"), &filter, 99).await.expect("answers")
}

async fn described_anew_it_is_found_by_its_new_words_and_fields_only(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let before = stored(store, "shoe").await.expect("it is there");
    let details = json!({"name": "Rain boot", "price": 5, "sizes": ["43"], "color": "red",
        "attributes": {"since": "2026-03-01", "brand": "Bata"}, "item_group_id": "boots"});
    assert!(done(&edit(store, "shoe", described(details.clone(), Some("for puddles"))).await));
    let after = stored(store, "shoe").await.expect("it is there");
    assert_eq!(after.details, serde_json::from_value(details).expect("valid details"));
    assert_eq!((after.images, after.created_at), (before.images, before.created_at));
    assert!(after.updated_at > before.updated_at);
    for word in ["trail", "shoe", "tra", "rail"] {
        assert!(words(store, "shop", word).await.is_empty(), "{word}");
    }
    for word in ["boot", "puddles"] {
        assert_eq!(words(store, "shop", word).await, ["shoe"], "{word}");
    }
    for gone in [
        json!({"sizes": "41"}),
        json!({"currency": {"exists": true}}),
        json!({"waterproof": true}),
        json!({"stock": {"gte": 0}}),
        json!({"tags": {"exists": true}}),
        json!({"price": {"gt": 5}}),
    ] {
        assert!(passing(store, gone.clone()).await.is_empty(), "{gone}");
    }
    for new in [
        json!({"sizes": "43"}),
        json!({"price": 5, "brand": "Bata"}),
        json!({"since": {"gt": "2026-02-28T23:59:59.999Z", "lte": "2026-03-01"}}),
        json!({"item_group_id": "boots"}),
    ] {
        assert_eq!(passing(store, new.clone()).await, [product("shoe")], "{new}");
    }
    assert_eq!(store.vectors(&space(), None, 9).await.expect("answers").len(), 1);
}

async fn a_price_changes_and_the_words_stay(store: &impl Store) {
    put(store, "shop", shoe(Vec::new())).await.expect("a new product is taken");
    let details =
        Details { price: 1.0, stock: None, ..stored(store, "shoe").await.expect("it is there").details };
    let same_words = Edit::Describe { details: Box::new(details.clone()), index_text: None };
    assert!(done(&edit(store, "shoe", same_words).await));
    assert_eq!(stored(store, "shoe").await.expect("it is there").details, details);
    assert_eq!(words(store, "shop", "rain").await, ["shoe"]);
    assert_eq!(passing(store, json!({"price": 1})).await, [product("shoe")]);
    assert!(passing(store, json!({"stock": 3})).await.is_empty());
}

async fn an_edit_of_another_revision_changes_nothing(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let before = stored(store, "shoe").await.expect("it is there");
    let version = store.version(&shop("shop")).await.expect("answers");
    for late in
        [described(json!({"name": "late"}), Some("late")), Edit::RemoveImages(vec![hash("a")]), Edit::Delete]
    {
        let edited = store.edit(&shop("shop"), &product("shoe"), before.revision + 1, &late).await;
        assert_eq!(edited.expect("answers"), Edited::Changed);
    }
    assert_eq!(stored(store, "shoe").await, Some(before));
    assert_eq!(store.version(&shop("shop")).await.expect("answers"), version);
}

async fn an_edit_of_nothing_is_told_apart(store: &impl Store) {
    put(store, "shop", shoe(Vec::new())).await.expect("a new product is taken");
    let nothing = store.edit(&shop("shop"), &product("nobody"), 1, &Edit::Delete).await;
    assert_eq!(nothing.expect("answers"), Edited::Missing);
    let foreign = store.edit(&shop("other"), &product("shoe"), 1, &Edit::Delete).await;
    assert_eq!(foreign.expect("answers"), Edited::Missing);
    assert!(stored(store, "shoe").await.is_some());
    assert_eq!(store.version(&shop("other")).await.expect("answers"), 0);
}

async fn every_change_makes_another_revision(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let mut seen = BTreeSet::new();
    let mut note = async || {
        let revision = stored(store, "shoe").await.expect("it is there").revision;
        let version = store.version(&shop("shop")).await.expect("answers");
        assert!(seen.insert((version, revision)), "{revision} of {seen:?}");
        assert_eq!(seen.iter().map(|(_, revision)| revision).collect::<BTreeSet<_>>().len(), seen.len());
        assert_eq!(seen.iter().map(|(version, _)| version).collect::<BTreeSet<_>>().len(), seen.len());
    };
    note().await;
    let images = vec![image("b", 2, &[0.0, 1.0])];
    put(store, "shop", Change::Merge { product: product("shoe"), images }).await.expect("images may join");
    note().await;
    edit(store, "shoe", described(json!({"name": "shoe"}), None)).await;
    note().await;
    edit(store, "shoe", Edit::RemoveImages(vec![hash("a")])).await;
    note().await;
}

async fn pictures_that_go_take_their_vectors_of_every_space_along(store: &impl Store) {
    let images = ["a", "b", "c"].map(|name| image(name, 1, &[1.0, 0.0]));
    put(store, "shop", shoe(images.into())).await.expect("a new product is taken");
    let other = Space { id: "other@0".into(), model: "other".into(), dimension: 3 };
    let hat = vec![image("h", 2, &[1.0, 0.0, 0.0])];
    let hat = creation(&shop("shop"), "hat", 2, json!({"name": "hat"}), "hat", hat);
    store.commit(&shop("shop"), &effect("hat"), &other, hat, &json!({})).await.expect("is taken");
    let edited = edit(store, "shoe", Edit::RemoveImages(vec![hash("b"), hash("nobody's"), hash("h")])).await;
    let Edited::Done { gone, left_over, .. } = edited else { panic!("{edited:?}") };
    assert_eq!((gone, left_over), (vec![hash("b")], vec![hash("b")]));
    let left: Vec<_> = stored(store, "shoe")
        .await
        .expect("it is there")
        .images
        .into_iter()
        .map(|image| image.hash)
        .collect();
    assert_eq!(left, [hash("a"), hash("c")]);
    assert_eq!(store.image(&shop("shop"), &hash("b")).await.expect("answers"), None);
    assert_eq!(store.counts().await.expect("answers"), Counts { products: 2, images: 3 });
    let images: BTreeSet<_> = store
        .vectors(&space(), None, 9)
        .await
        .expect("answers")
        .into_iter()
        .map(|(_, row)| row.image)
        .collect();
    assert_eq!(images, BTreeSet::from([hash("a"), hash("c")]));
    assert!(done(&edit(store, "hat", Edit::RemoveImages(vec![hash("h")])).await));
    assert!(store.vectors(&other, None, 9).await.expect("answers").is_empty());
    store.removed(&shop("shop"), &hash("b")).await.expect("answers");
    let again = Change::Merge { product: product("shoe"), images: vec![image("b", 1, &[0.0, 1.0])] };
    put(store, "shop", again).await.expect("it may come again");
    let last = stored(store, "shoe").await.expect("it is there").images.pop();
    assert_eq!(last.map(|image| image.hash), Some(hash("b")));
}

async fn a_deleted_product_is_nowhere_and_its_receipt_stays(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 7, &[1.0, 0.0])])).await.expect("a new product is taken");
    shelve(store, "shop", &[("hat", json!({"name": "rain hat"}))]).await;
    assert_eq!(words(store, "shop", "rain").await.len(), 2);
    assert!(done(&edit(store, "shoe", Edit::Delete).await));
    assert_eq!(stored(store, "shoe").await, None);
    assert_eq!(words(store, "shop", "rain").await, ["hat"]);
    assert!(words(store, "shop", "rail").await.is_empty(), "a piece of trail");
    assert_eq!(passing(store, json!({})).await, [product("hat")]);
    assert!(passing(store, json!({"brand": {"exists": true}})).await.is_empty());
    assert!(store.vectors(&space(), None, 9).await.expect("answers").is_empty());
    assert!(store.spaces().await.expect("answers").is_empty());
    assert_eq!(store.counts().await.expect("answers"), Counts { products: 1, images: 0 });
    assert_eq!(store.image(&shop("shop"), &hash("a")).await.expect("answers"), None);
    let alike = store.images_like(&shop("shop"), crate::PerceptualHash(7), 64, 9).await.expect("answers");
    assert!(alike.is_empty());
    let receipt = store.receipt(&shop("shop"), &effect("shoe")).await.expect("answers");
    assert_eq!(receipt, Some(json!({"did": "shoe"})));
    let again = put(store, "shop", shoe(Vec::new())).await.expect_err("the job did this already");
    assert_eq!(again.kind, PortErrorKind::Conflict);
    let late = Change::Merge { product: product("shoe"), images: vec![image("b", 1, &[1.0, 0.0])] };
    assert_eq!(put(store, "shop", late).await.expect_err("it is gone").kind, PortErrorKind::Conflict);
    let twice = store.edit(&shop("shop"), &product("shoe"), 1, &Edit::Delete).await;
    assert_eq!(twice.expect("answers"), Edited::Missing);
}

async fn a_deleted_products_pictures_are_being_removed(store: &impl Store) {
    let tenant = &shop("shop");
    put(store, "shop", shoe(vec![image("a", 7, &[1.0, 0.0])])).await.expect("a new product is taken");
    edit(store, "shoe", Edit::Delete).await;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let removing = Intent { tenant: tenant.clone(), image: hash("a"), effects: Vec::new() };
    assert_eq!(store.intents(later, 9).await.expect("answers"), [removing]);
    let early = store.intend(tenant, &effect("next"), &[hash("a")]).await;
    assert_eq!(early.expect_err("it is being removed").kind, PortErrorKind::Conflict);
    store.removed(tenant, &hash("a")).await.expect("answers");
    assert!(store.intents(later, 9).await.expect("answers").is_empty());
    store.intend(tenant, &effect("next"), &[hash("a")]).await.expect("it is gone now");
}

async fn a_picture_that_somebody_wants_is_not_removed(store: &impl Store) {
    let tenant = &shop("shop");
    put(store, "shop", shoe(vec![image("a", 7, &[1.0, 0.0])])).await.expect("a new product is taken");
    store.intend(tenant, &effect("hat"), &[hash("a")]).await.expect("is noted");
    let edited = edit(store, "shoe", Edit::Delete).await;
    let Edited::Done { gone, left_over, .. } = edited else { panic!("{edited:?}") };
    assert_eq!((gone, left_over), (vec![hash("a")], vec![]));
    let hat = vec![image("a", 7, &[1.0, 0.0])];
    let hat = creation(tenant, "hat", 2, json!({"name": "hat"}), "hat", hat);
    put(store, "shop", hat).await.expect("it has the picture now");
}

async fn what_was_deleted_can_come_again_as_another(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 7, &[1.0, 0.0])])).await.expect("a new product is taken");
    edit(store, "shoe", Edit::Delete).await;
    store.removed(&shop("shop"), &hash("a")).await.expect("answers");
    let images = vec![image("a", 7, &[0.0, 1.0])];
    let next = creation(&shop("shop"), "next", 5, json!({"name": "Trail shoe"}), "rain", images);
    put(store, "shop", next).await.expect("a new product is taken");
    assert_eq!(words(store, "shop", "trail rain").await, ["next"]);
    let rows = store.vectors(&space(), None, 9).await.expect("answers");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1.product, product("next"));
}

async fn the_list_goes_on_after_a_place_whatever_happened_to_it(store: &impl Store) {
    let stock = ["a", "b", "c", "d", "e"].map(|id| (id, json!({"name": id, "price": 1})));
    shelve(store, "shop", &stock).await;
    let twin = creation(&shop("shop"), "twin", 3, json!({"name": "twin", "price": 2}), "twin", Vec::new());
    put(store, "shop", twin).await.expect("a new product is taken");
    shelve(store, "other", &[("foreign", json!({"name": "foreign"}))]).await;
    let page = async |filter: &Filter, after: Option<&Shelved>| {
        let newest = ListOrder::NEWEST;
        let found = store.listed(&shop("shop"), filter, newest, after, 2).await.expect("answers");
        found.iter().map(|place| place.id.to_string()).collect::<Vec<_>>()
    };
    let place = |product: &Product| Shelved { at: product.created_at, id: product.id.clone() };
    let all = Filter::everything();
    assert_eq!(page(&all, None).await, ["e", "d"]);
    let after_d = place(&stored(store, "d").await.expect("it is there"));
    assert_eq!(page(&all, Some(&after_d)).await, ["twin", "c"]);
    let after_twin = place(&stored(store, "twin").await.expect("it is there"));
    assert_eq!(page(&all, Some(&after_twin)).await, ["c", "b"]);
    let cheap = Filter::parse(&json!({"price": 1})).expect("a valid filter");
    assert_eq!(page(&cheap, Some(&after_d)).await, ["c", "b"]);
    edit(store, "d", Edit::Delete).await;
    edit(store, "a", described(json!({"name": "a", "price": 1}), None)).await;
    assert_eq!(page(&all, Some(&after_d)).await, ["twin", "c"]);
    let after_a = place(&stored(store, "a").await.expect("it is there"));
    assert!(page(&all, Some(&after_a)).await.is_empty());
    let listed = store.listed(&shop("shop"), &all, ListOrder::NEWEST, None, 2).await.expect("answers");
    assert_eq!(listed[1], place(&stored(store, "twin").await.expect("it is there")));
    // All that was told is gone before it is read.
    for told in &listed {
        edit(store, told.id.as_str(), Edit::Delete).await;
    }
    assert_eq!(page(&all, listed.last()).await, ["c", "b"]);
}

async fn whatever_changes_a_product_tells_when(store: &impl Store) {
    let stock = ["a", "b", "c", "d"].map(|id| (id, json!({"name": id, "price": 1})));
    shelve(store, "shop", &stock).await;
    put(store, "shop", shoe(vec![image("shoe", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let listed = async |descending, after: Option<&Shelved>| {
        let order = ListOrder { by: Moment::Updated, descending };
        store.listed(&shop("shop"), &Filter::everything(), order, after, 3).await.expect("answers")
    };
    let ids = |places: &[Shelved]| places.iter().map(|place| place.id.to_string()).collect::<Vec<_>>();
    let oldest = listed(false, None).await;
    assert_eq!(ids(&oldest), ["a", "b", "c"]);
    assert_eq!(ids(&listed(false, oldest.last()).await), ["d", "shoe"]);
    let pause = async || {
        let before = Timestamp::now().as_millisecond();
        while Timestamp::now().as_millisecond() <= before {
            std::hint::spin_loop();
        }
    };
    // Each of these is a change of its own kind.
    let more = Change::Merge { product: product("b"), images: vec![image("b", 2, &[1.0, 0.0])] };
    put(store, "shop", more).await.expect("pictures join it");
    pause().await;
    let details = Details { name: "c".into(), price: 9.0, ..Details::default() };
    let offer = Offer::of(product("terms"), &details, Timestamp::now());
    let offer = Change::Offer { product: product("c"), offer: Box::new(offer) };
    put(store, "shop", offer).await.expect("an offer joins it");
    pause().await;
    edit(store, "a", described(json!({"name": "a", "price": 2}), None)).await;
    pause().await;
    edit(store, "d", described(json!({"name": "d"}), Some("other words"))).await;
    let latest = listed(true, None).await;
    assert_eq!(ids(&latest), ["d", "a", "c"]);
    assert_eq!(ids(&listed(true, latest.last()).await), ["b", "shoe"]);
    pause().await;
    edit(store, "shoe", Edit::RemoveImages(vec![hash("shoe")])).await;
    let last = stored(store, "shoe").await.expect("it is there").updated_at;
    let since = json!({"updated_at": {"gte": last.to_string()}});
    assert_eq!(passing(store, since).await, [product("shoe")]);
    pause().await;
    edit(store, "c", Edit::RemoveOffer(product("terms"))).await;
    assert_eq!(ids(&listed(true, None).await), ["c", "shoe", "d"]);
    let young = json!({"created_at": {"lt": "1970-01-01T00:00:00.003Z"}, "updated_at": {"gt": "2020-01-01"}});
    assert_eq!(passing(store, young).await, ["b", "a"].map(product));
}

/// What is kept of earlier searches must not be seen in later ones.
async fn words_are_found_right_whatever_came_and_went(store: &impl Store) {
    let named = |n: usize| format!("p{n}");
    let word = |n: usize| ["red shoe", "blue shoe", "red hat"][n % 3];
    let ask = async |text: &str| {
        let mut found = words(store, "shop", text).await;
        found.sort();
        found
    };
    let mut texts: Vec<Option<&str>> = Vec::new();
    for n in 0..15 {
        let age = i64::try_from(n).expect("small");
        let change = creation(&shop("shop"), &named(n), age, json!({"name": "thing"}), word(n), Vec::new());
        put(store, "shop", change).await.expect("a new product is taken");
        texts.push(Some(word(n)));
        if n % 4 == 3 {
            // The newest, whose number may be given again.
            edit(store, &named(n), Edit::Delete).await;
            texts[n] = None;
        }
        if n % 5 == 2 {
            edit(store, &named(n - 2), described(json!({"name": "thing"}), Some("green shoe"))).await;
            texts[n - 2] = texts[n - 2].map(|_| "green shoe");
        }
        for asked in ["red", "shoe", "hat", "green", "blue"] {
            let has = |n: &usize| texts[*n].is_some_and(|text| text.contains(asked));
            let mut expected: Vec<_> = (0..texts.len()).filter(has).map(named).collect();
            expected.sort();
            assert_eq!(ask(asked).await, expected, "{asked} after {n}");
        }
    }
}

async fn the_vectors_of_a_product_are_its_own(store: &impl Store) {
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0]), image("b", 2, &[0.0, 1.0])]))
        .await
        .expect("is taken");
    let hat = vec![image("h", 3, &[1.0, 1.0])];
    put(store, "shop", creation(&shop("shop"), "hat", 2, json!({"name": "hat"}), "hat", hat))
        .await
        .expect("is taken");
    let own = async |tenant: &str, id: &str, space: &Space| {
        store.vectors_of(&shop(tenant), &product(id), space).await.expect("answers")
    };
    let mut rows = own("shop", "shoe", &space()).await;
    rows.sort_by_key(|row| row.image != hash("a"));
    assert_eq!(rows.iter().map(|row| row.image).collect::<Vec<_>>(), [hash("a"), hash("b")]);
    assert!(rows.iter().all(|row| row.product == product("shoe") && row.tenant == shop("shop")));
    assert!(rows[1].embedding.cosine(&vector(&[0.0, 1.0])) > 0.999_999);
    assert!(own("other", "shoe", &space()).await.is_empty());
    assert!(own("shop", "nobody", &space()).await.is_empty());
    let other = Space { id: "other@0".into(), model: "other".into(), dimension: 2 };
    assert!(own("shop", "shoe", &other).await.is_empty());
}
