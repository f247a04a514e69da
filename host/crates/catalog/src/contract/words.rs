//! What a search by words finds, in stores that know languages.

use serde_json::json;

use super::{claims, creation, finding::words, product, put, shop};
use crate::{
    filter::Filter,
    id::ProductId,
    port::{Edit, Store},
    product::Details,
};

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn words_suite<S: Store, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        words_are_found_without_case_accents_and_endings,
        the_name_counts_more_than_the_text_and_a_rare_word_more_than_a_common_one,
        scripts_without_spaces_are_searched_by_their_parts,
        a_part_of_a_compound_is_found_when_no_word_is,
        a_part_of_a_compound_is_found_in_what_a_product_says_now,
        a_filter_as_large_as_can_be_is_answered,
    ];
}

async fn add(store: &impl Store, id: &str, name: &str, text: &str) {
    let change = creation(&shop("shop"), id, 0, json!({"name": name, "price": 0}), text, Vec::new());
    put(store, "shop", change).await.expect("a new product is taken");
}

async fn words_are_found_without_case_accents_and_endings(store: &impl Store) {
    add(store, "cafe", "Café crème Running Shoes", "").await;
    add(store, "other", "teapot", "").await;
    for query in ["cafe", "CAFÉ", "cafe\u{301}", "creme", "runs", "shoe", "runn"] {
        assert_eq!(words(store, "shop", query).await, ["cafe"], "{query}");
    }
    assert!(words(store, "shop", "run tea").await.contains(&"cafe".to_owned()));
    assert!(words(store, "shop", "tea").await.is_empty(), "three letters find only the whole word");
    assert_eq!(words(store, "shop", "teap").await, ["other"], "four find what begins so");
}

async fn the_name_counts_more_than_the_text_and_a_rare_word_more_than_a_common_one(store: &impl Store) {
    add(store, "in-text", "Bag", "goes well with a kettle").await;
    add(store, "in-name", "Kettle", "goes well with a bag now").await;
    for n in 0..5 {
        add(store, &format!("filler{n}"), "Lamp", "a light for the table").await;
    }
    assert_eq!(words(store, "shop", "kettle").await, ["in-name", "in-text"]);
    assert_eq!(
        words(store, "shop", "the table kettle").await[0],
        "in-name",
        "a rare word in the name outweighs common ones"
    );
}

async fn scripts_without_spaces_are_searched_by_their_parts(store: &impl Store) {
    add(store, "backpack", "防水登山背包", "大容量防水登山背包，适合徒步").await;
    add(store, "shirt", "赤いTシャツ", "綿100%の赤いTシャツ").await;
    add(store, "korean", "방수 등산화", "가벼운 등산화").await;
    add(store, "thai", "รองเท้าวิ่งผู้ชาย", "").await;
    add(store, "hindi", "नीली किताब", "").await;
    for (query, wanted) in [
        ("背包", "backpack"),
        ("包", "backpack"),
        ("防水", "backpack"),
        ("登山背包", "backpack"),
        ("シャツ", "shirt"),
        ("Tシャツ", "shirt"),
        ("등산화", "korean"),
        ("รองเท้า", "thai"),
        ("วิ่งผู้ชาย", "thai"),
        ("किताब", "hindi"),
    ] {
        assert_eq!(words(store, "shop", query).await, [wanted], "{query}");
    }
    assert!(words(store, "shop", "雨伞").await.is_empty());
}

async fn a_part_of_a_compound_is_found_when_no_word_is(store: &impl Store) {
    add(store, "compound", "Laufschuhe", "").await;
    assert_eq!(words(store, "shop", "schuh").await, ["compound"]);
    add(store, "word", "Schuh", "").await;
    assert_eq!(words(store, "shop", "schuh").await, ["word"], "a word is better than a part");
    let filter = Filter::parse(&json!({"color": "red"})).expect("answers");
    assert!(store.keyword(&shop("shop"), &"aufschu".into(), &filter, 9).await.expect("answers").is_empty());
}

async fn a_part_of_a_compound_is_found_in_what_a_product_says_now(store: &impl Store) {
    add(store, "thing", "Wanderschuhe", "").await;
    assert_eq!(words(store, "shop", "schuhe").await, ["thing"]);
    let details = Details { name: "Thing".into(), ..Details::default() };
    let edit = Edit::Describe { details: Box::new(details), index_text: Some("Regenjacke".into()) };
    store.edit(&shop("shop"), &product("thing"), 1, &edit).await.expect("answers");
    assert!(words(store, "shop", "schuhe").await.is_empty());
    assert_eq!(words(store, "shop", "jacke").await, ["thing"]);
    store.edit(&shop("shop"), &product("thing"), 2, &Edit::Delete).await.expect("answers");
    assert!(words(store, "shop", "jacke").await.is_empty());
}

async fn a_filter_as_large_as_can_be_is_answered(store: &impl Store) {
    add(store, "shoe", "shoe", "shoe").await;
    let list: Vec<_> = (0..200).map(|n| format!("x{n}")).collect();
    let conditions = vec![json!({"not": {"color": list}}); 200];
    let filter = Filter::parse(&json!({"and": conditions})).expect("answers");
    let twice = filter.clone().and(filter);
    let shoe: ProductId = "shoe".parse().expect("answers");
    assert_eq!(store.matching(&shop("shop"), &twice, 9).await.expect("answers"), [shoe]);
    let deepest = (0..16).fold(json!({"color": "red"}), |inner, _| json!({"not": inner}));
    assert!(
        store
            .matching(&shop("shop"), &Filter::parse(&deepest).expect("answers"), 9)
            .await
            .expect("answers")
            .is_empty()
    );
    let all = store.matching(&shop("shop"), &Filter::everything(), usize::MAX).await.expect("answers");
    let found = store
        .keyword(&shop("shop"), &"shoe".into(), &Filter::everything(), usize::MAX)
        .await
        .expect("answers");
    assert_eq!((all.len(), found.len()), (1, 1), "a limit may be as large as can be, too");
    let empty = Filter::Any(vec![Filter::everything(); 20_000]);
    assert_eq!(store.matching(&shop("shop"), &empty, 9).await.expect("answers").len(), 1);
}
