//! What every store must find: by look, by words and by filter.

use serde_json::json;

use super::{claims, creation, image, product, put, shelve, shoe, shop};
use crate::{
    filter::Filter,
    id::{ImageHash, ProductId},
    picture::PerceptualHash,
    port::Store,
    product::Details,
};

pub(super) async fn suite<S: Store, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        images_alike_come_nearest_first,
        any_word_finds_and_all_words_find_first,
        words_do_not_find_what_the_filter_forbids,
        words_are_plain_words_whatever_they_look_like,
        two_characters_find_a_text_written_without_spaces,
        matching_products_come_newest_first,
        filters_mean_in_the_store_what_they_mean_in_memory,
    ];
}

async fn images_alike_come_nearest_first(store: &impl Store) {
    let images = vec![
        image("far", 0xffff, &[1.0, 0.0]),
        image("near", 0b111, &[1.0, 0.0]),
        image("same", 0b11, &[1.0, 0.0]),
        image("top-bit", 1 << 63 | 0b11, &[1.0, 0.0]),
    ];
    put(store, "shop", shoe(images)).await.expect("a new product is taken");
    let ask = async |max, limit| {
        let alike =
            store.images_like(&shop("shop"), PerceptualHash(0b11), max, limit).await.expect("answers");
        alike.into_iter().map(|image| (image.hash, image.distance)).collect::<Vec<_>>()
    };
    let mut ones = [(ImageHash::of(b"near"), 1), (ImageHash::of(b"top-bit"), 1)];
    ones.sort();
    assert_eq!(ask(1, 9).await, [(ImageHash::of(b"same"), 0), ones[0], ones[1]]);
    assert_eq!(ask(1, 2).await.len(), 2);
    assert_eq!(ask(14, 9).await.last(), Some(&(ImageHash::of(b"far"), 14)));
    assert_eq!(ask(0, 9).await.len(), 1);
}

pub(super) async fn words(store: &impl Store, tenant: &str, text: &str) -> Vec<String> {
    let found = store.keyword(&shop(tenant), &text.into(), &Filter::everything(), 20).await.expect("answers");
    assert!(found.is_sorted_by(|one, next| one.1 >= next.1), "best first: {found:?}");
    assert!(found.iter().all(|(_, score)| score.is_finite()), "scores are numbers: {found:?}");
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}

async fn any_word_finds_and_all_words_find_first(store: &impl Store) {
    shelve(
        store,
        "shop",
        &[
            ("blue-shoe", json!({"name": "blue shoe"})),
            ("red-hat", json!({"name": "red hat"})),
            ("red-shoe", json!({"name": "Red SHOE"})),
            ("teapot", json!({"name": "teapot"})),
        ],
    )
    .await;
    let found = words(store, "shop", "a rED, shoe").await;
    assert_eq!(found[0], "red-shoe");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(words(store, "shop", "umbrella").await.is_empty());
    let limited =
        store.keyword(&shop("shop"), &"red shoe".into(), &Filter::everything(), 1).await.expect("answers");
    assert_eq!(limited[0].0, product("red-shoe"));
    assert_eq!(limited.len(), 1);
}

async fn words_do_not_find_what_the_filter_forbids(store: &impl Store) {
    let stock = [
        ("cheap", json!({"name": "shoe", "price": 5})),
        ("dear", json!({"name": "shoe", "price": 500})),
        ("none", json!({"name": "hat", "price": 5})),
    ];
    shelve(store, "shop", &stock).await;
    let filter = Filter::parse(&json!({"price": {"lt": 100}})).expect("a valid filter");
    let found = store.keyword(&shop("shop"), &"shoe".into(), &filter, 9).await.expect("answers");
    assert_eq!(found.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [product("cheap")]);
}

async fn words_are_plain_words_whatever_they_look_like(store: &impl Store) {
    shelve(store, "shop", &[("shoe", json!({"name": "shoe near the lake"}))]).await;
    for text in [
        "shoe\"",
        "\"shoe",
        "shoe*",
        "^shoe",
        "shoe AND",
        "NOT shoe",
        "NEAR(shoe lake)",
        "{name}: shoe",
        "-shoe",
        "shoe OR )(",
        "shoe' --",
        "shoe\0",
        "name:shoe",
        "shoe\u{301}\u{301}",
        "+shoe",
        "shoe \\",
    ] {
        assert_eq!(words(store, "shop", text).await, ["shoe"], "{text:?}");
    }
    for text in ["", "   ", "\"\"", "*", "()", "'", "\0", "\u{1f600}"] {
        assert!(words(store, "shop", text).await.is_empty(), "{text:?}");
    }
    assert_eq!(words(store, "shop", &"shoe ".repeat(5000)).await, ["shoe"]);
}

async fn two_characters_find_a_text_written_without_spaces(store: &impl Store) {
    let stock = [
        ("backpack", json!({"name": "防水登山背包"})),
        ("shirt", json!({"name": "赤いTシャツ"})),
        ("shoe", json!({"name": "shoe"})),
    ];
    shelve(store, "shop", &stock).await;
    assert_eq!(words(store, "shop", "背包").await, ["backpack"]);
    assert_eq!(words(store, "shop", "シャツ").await, ["shirt"]);
    assert_eq!(words(store, "shop", "登山").await, ["backpack"]);
}

async fn matching(store: &impl Store, filter: &Filter, limit: usize) -> Vec<ProductId> {
    store.matching(&shop("shop"), filter, limit).await.expect("answers")
}

async fn matching_products_come_newest_first(store: &impl Store) {
    let stock = ["b", "c", "a"].map(|id| (id, json!({"name": id})));
    shelve(store, "shop", &stock).await;
    let twin = creation(&shop("shop"), "d", 3, json!({"name": "d"}), "d", Vec::new());
    put(store, "shop", twin).await.expect("a new product is taken");
    let all = Filter::everything();
    assert_eq!(
        matching(store, &all, 9).await,
        ["d", "a", "c", "b"].map(product),
        "equal times fall by identifier"
    );
    assert_eq!(matching(store, &all, 2).await, ["d", "a"].map(product));
    assert!(matching(store, &all, 0).await.is_empty());
}

async fn filters_mean_in_the_store_what_they_mean_in_memory(store: &impl Store) {
    let stock = [
        ("plain", json!({"name": "plain", "price": 0})),
        ("one", json!({"name": "one", "price": 1, "attributes": {"new": true, "rank": 1, "code": "1"}})),
        (
            "odd",
            json!({"name": "odd", "price": 1.5, "attributes": {"new": "true", "rank": "1", "name": "inner"}}),
        ),
        (
            "list",
            json!({"name": "list", "price": 2, "sizes": ["41", "42"], "attributes": {"tags": [], "rank": 0}}),
        ),
        ("big", json!({"name": "big", "price": 1e300, "attributes": {"rank": 9_007_199_254_740_993_u64}})),
        (
            "text",
            json!({"name": "100% \"cotton\" 'it''s'", "category": "ö/ä", "attributes": {"tags": ["a", "A"]}}),
        ),
    ];
    shelve(store, "shop", &stock).await;
    let filters = [
        json!({"new": true}),
        json!({"new": 1}),
        json!({"new": "true"}),
        json!({"new": {"ne": true}}),
        json!({"rank": 1}),
        json!({"rank": {"gte": 1}}),
        json!({"rank": {"lt": 1}}),
        json!({"rank": "1"}),
        json!({"rank": 9_007_199_254_740_992_u64}),
        json!({"rank": {"gt": 9_007_199_254_740_992_u64}}),
        json!({"tags": {"exists": true}}),
        json!({"tags": {"exists": false}}),
        json!({"tags": "a"}),
        json!({"tags": {"ne": "a"}}),
        json!({"sizes": ["42", "43"]}),
        json!({"sizes": {"exists": false}}),
        json!({"sizes": {"prefix": "4"}}),
        json!({"sizes": {"ne": "42"}}),
        json!({"name": {"prefix": "o"}}),
        json!({"name": {"prefix": "100%"}}),
        json!({"name": "100% \"cotton\" 'it''s'"}),
        json!({"name": {"gt": 0}}),
        json!({"attributes.name": "inner"}),
        json!({"attributes.price": {"exists": true}}),
        json!({"category": "ö/ä"}),
        json!({"category": {"prefix": "ö"}}),
        json!({"category": {"prefix": ""}}),
        json!({"price": {"lte": 1.5, "gt": 0}}),
        json!({"price": 1e300}),
        json!({"description": ""}),
        json!({"or": [{"code": "1"}, {"not": {"price": {"lt": 2}}}]}),
        json!({"or": []}),
        json!({"not": {"and": []}}),
        json!({"or": [{}, {"price": 7}]}),
        json!({"in": []}),
        json!({"new": []}),
        json!({"x' OR 1=1 --": 1}),
    ];
    for filter in filters {
        let parsed = Filter::parse(&filter).expect("a valid filter");
        let mut expected = Vec::new();
        for (id, details) in stock.iter().rev() {
            let details: Details = serde_json::from_value(details.clone()).expect("valid details");
            if parsed.matches(&details) {
                expected.push(product(id));
            }
        }
        assert_eq!(matching(store, &parsed, 99).await, expected, "{filter}");
    }
}
