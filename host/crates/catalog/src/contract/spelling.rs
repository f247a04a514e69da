//! What a search finds by words that are not written as the shop writes them, in any store.

use serde_json::json;

use super::{claims, creation, product, put, shop};
use crate::{
    filter::Filter,
    port::{Edit, Store},
    product::Details,
    words::{Known, Language, Synonyms, Vocabularies, WordSettings},
};

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn spelling_suite<S: Store, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        a_typing_error_finds_and_the_word_itself_finds_first,
        an_article_number_finds_itself_alone,
        forms_are_found_in_the_language_of_the_shop,
        a_beginning_finds_what_begins_so_and_is_no_error,
        text_without_spaces_is_found_by_its_parts_beside_an_error,
        synonyms_find_each_other,
        a_phrase_finds_what_has_all_words_of_another_one,
        words_are_known_as_soon_as_a_product_has_them,
        texts_come_in_the_order_in_which_they_changed,
        a_shop_knows_no_words_of_another_one,
    ];
}

async fn add_to(store: &impl Store, tenant: &str, id: &str, name: &str, text: &str) {
    let change = creation(&shop(tenant), id, 0, json!({"name": name, "price": 0}), text, Vec::new());
    put(store, tenant, change).await.expect("a new product is taken");
}

async fn add(store: &impl Store, id: &str, name: &str) {
    add_to(store, "shop", id, name, "").await;
}

/// What a shop finds, best first.
async fn found(store: &impl Store, words: &Vocabularies, settings: &WordSettings, text: &str) -> Vec<String> {
    let shop = shop("shop");
    let wanted = words.wanted(store, &shop, settings, text).await.expect("answers");
    let found = store.keyword(&shop, &wanted, &Filter::everything(), 20).await.expect("answers");
    found.into_iter().map(|(id, _)| id.to_string()).collect()
}

async fn found_by_default(store: &impl Store, text: &str) -> Vec<String> {
    found(store, &Vocabularies::default(), &WordSettings::default(), text).await
}

/// Without corrections, which would find some forms, too.
fn speaking(codes: &[&str]) -> WordSettings {
    let language = codes.iter().map(|code| code.parse::<Language>().expect("a language")).collect();
    WordSettings { language, typos: false, synonyms: Vec::new() }
}

async fn a_typing_error_finds_and_the_word_itself_finds_first(store: &impl Store) {
    add(store, "kettle", "Copper kettle").await;
    add(store, "lamp", "Table lamp").await;
    for typed in ["ketle", "kettel", "KETTTLE", "kattle"] {
        assert_eq!(found_by_default(store, typed).await, ["kettle"], "{typed}");
    }
    let literally = WordSettings { typos: false, ..WordSettings::default() };
    assert!(found(store, &Vocabularies::default(), &literally, "kattle").await.is_empty());
    add_to(store, "shop", "brand", "Bowl", "from Kattle, a maker of bowls, spoons and many other things")
        .await;
    assert_eq!(found_by_default(store, "kattle").await, ["brand"], "a word that is there is no error");
    for n in 0..20 {
        add(store, &format!("kettle{n}"), "Kettle").await;
    }
    let all = found_by_default(store, "kattle").await;
    assert_eq!(all[0], "brand", "a rare word still stands before a correction");
    assert_eq!(all.len(), 20);
}

async fn an_article_number_finds_itself_alone(store: &impl Store) {
    add(store, "one", "Screw AB12345").await;
    add(store, "other", "Screw AB12346").await;
    assert_eq!(found_by_default(store, "ab12345").await, ["one"]);
    assert!(found_by_default(store, "ab12347").await.is_empty());
    assert!(found_by_default(store, "ba12345").await.is_empty());
}

async fn forms_are_found_in_the_language_of_the_shop(store: &impl Store) {
    add(store, "lamp", "Lampe").await;
    add(store, "red", "Красный чайник").await;
    assert_eq!(found(store, &Vocabularies::default(), &speaking(&["de"]), "Lampen").await, ["lamp"]);
    assert_eq!(found(store, &Vocabularies::default(), &speaking(&["ru"]), "красная").await, ["red"]);
    let words = Vocabularies::default();
    let both = speaking(&["ru", "de"]);
    for (text, id) in [("Lampen", "lamp"), ("красная", "red")] {
        assert_eq!(found(store, &words, &both, text).await, [id], "of several languages");
    }
    assert!(found(store, &words, &speaking(&[]), "lampen").await.is_empty());
    assert_eq!(
        found(store, &words, &speaking(&["de"]), "lampen").await,
        ["lamp"],
        "the language can be changed"
    );
}

async fn a_beginning_finds_what_begins_so_and_is_no_error(store: &impl Store) {
    add(store, "sneaker", "Sneaker").await;
    add(store, "speak", "Speaker").await;
    assert_eq!(found_by_default(store, "snea").await, ["sneaker"]);
    assert_eq!(found_by_default(store, "speake").await, ["speak"]);
}

async fn text_without_spaces_is_found_by_its_parts_beside_an_error(store: &impl Store) {
    add(store, "backpack", "防水登山背包 Waterproof").await;
    add(store, "umbrella", "雨伞").await;
    assert_eq!(found_by_default(store, "背包").await, ["backpack"]);
    assert_eq!(found_by_default(store, "waterprof").await, ["backpack"]);
    assert_eq!(found_by_default(store, "雨伞 waterprof").await.len(), 2);
}

async fn synonyms_find_each_other(store: &impl Store) {
    add(store, "trainer", "Trainer").await;
    add(store, "phone", "Phone").await;
    let rules = ["sneaker, trainer", "handy => phone"];
    let synonyms = rules.map(|rule| Synonyms::parse(rule).expect("a rule")).to_vec();
    let settings = WordSettings { synonyms, ..WordSettings::default() };
    let words = Vocabularies::default();
    assert_eq!(found(store, &words, &settings, "sneaker").await, ["trainer"]);
    assert_eq!(found(store, &words, &settings, "handy").await, ["phone"]);
    add(store, "handy", "Handy").await;
    assert_eq!(found(store, &words, &settings, "handy").await, ["handy", "phone"]);
    assert_eq!(found(store, &words, &settings, "phone").await, ["phone"]);
}

async fn a_phrase_finds_what_has_all_words_of_another_one(store: &impl Store) {
    add(store, "tee", "Red tee").await;
    add(store, "shirt", "Shirt").await;
    add_to(store, "shop", "gown", "Gown", "made for a bridal suite").await;
    add(store, "robe", "Evening gown").await;
    add(store, "dress", "Wedding dress").await;
    let rules = ["t shirt, tee", "wedding dress, bridal gown"];
    let synonyms = rules.map(|rule| Synonyms::parse(rule).expect("a rule")).to_vec();
    let settings = WordSettings { synonyms, ..WordSettings::default() };
    let words = Vocabularies::default();
    let ask = async |text: &str| found(store, &words, &settings, text).await;
    assert_eq!(ask("shirt").await, ["shirt"], "a word of a phrase is not the phrase");
    assert_eq!(ask("dress").await, ["dress"]);
    let mut shirts = ask("T-Shirt").await;
    shirts.sort();
    assert_eq!(shirts, ["shirt", "tee"]);
    assert_eq!(ask("red t-shirt").await[0], "tee", "it has all that was asked for");
    assert_eq!(ask("wedding dress").await, ["dress", "gown"], "one of two words is not the phrase");
    assert!(!ask("tee").await.contains(&"shirt".to_owned()), "one of two words is not the phrase");
    assert_eq!(ask("bridal gown").await.len(), 3);
}

async fn words_are_known_as_soon_as_a_product_has_them(store: &impl Store) {
    let (words, settings) = (Vocabularies::default(), WordSettings::default());
    assert!(found(store, &words, &settings, "ketle").await.is_empty());
    add(store, "thing", "Kettle").await;
    assert_eq!(found(store, &words, &settings, "ketle").await, ["thing"]);
    let details = Details { name: "Lantern".into(), ..Details::default() };
    let edit = Edit::Describe { details: Box::new(details), index_text: Some(String::new()) };
    store.edit(&shop("shop"), &product("thing"), 1, &edit).await.expect("answers");
    assert_eq!(found(store, &words, &settings, "lantren").await, ["thing"]);
    let respelled =
        words.respelled(store, &shop("shop"), &settings, "a lantren", Known::Now).await.expect("answers");
    assert_eq!(respelled.as_deref(), Some("a lantern"));
    add(store, "other", "Umbrella").await;
    for (known, knows) in [(Known::Lately, None), (Known::Now, Some("umbrella"))] {
        let respelled = words.respelled(store, &shop("shop"), &settings, "umbrela", known).await;
        assert_eq!(respelled.expect("answers").as_deref(), knows);
    }
}

async fn texts_come_in_the_order_in_which_they_changed(store: &impl Store) {
    for id in ["b", "a", "c"] {
        add(store, id, id).await;
    }
    let details = Details { name: "b".into(), ..Details::default() };
    let edit = Edit::Describe { details: Box::new(details), index_text: Some("again".into()) };
    store.edit(&shop("shop"), &product("b"), 1, &edit).await.expect("answers");
    let all = store.texts(&shop("shop"), None, 9).await.expect("answers");
    let texts: Vec<_> = all.iter().map(|(_, text)| text.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(texts, [vec!["a"], vec!["c"], vec!["b", "again"]]);
    let mut after = None;
    for (position, text) in &all {
        let next = store.texts(&shop("shop"), after, 1).await.expect("answers");
        assert_eq!(next, [(position.clone(), text.clone())]);
        after = Some(position);
    }
    assert!(store.texts(&shop("shop"), after, 9).await.expect("answers").is_empty());
    let gone = store.edit(&shop("shop"), &product("a"), 1, &Edit::Delete).await;
    gone.expect("answers");
    assert_eq!(store.texts(&shop("shop"), None, 9).await.expect("answers").len(), 2);
    add(store, "d", "d").await;
    let next = store.texts(&shop("shop"), after, 9).await.expect("answers");
    assert_eq!(next.iter().map(|(_, text)| text.trim()).collect::<Vec<_>>(), ["d"]);
}

async fn a_shop_knows_no_words_of_another_one(store: &impl Store) {
    add_to(store, "other", "kettle", "Kettle", "").await;
    add(store, "lamp", "Lamp").await;
    let (words, settings) = (Vocabularies::default(), WordSettings::default());
    assert_eq!(store.texts(&shop("shop"), None, 9).await.expect("answers").len(), 1);
    let respelled =
        words.respelled(store, &shop("shop"), &settings, "ketle", Known::Now).await.expect("answers");
    assert_eq!(respelled, None);
    let respelled =
        words.respelled(store, &shop("other"), &settings, "ketle", Known::Now).await.expect("answers");
    assert_eq!(respelled.as_deref(), Some("kettle"));
}
