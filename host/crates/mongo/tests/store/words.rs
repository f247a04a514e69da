//! What a search by words finds.

use serde_json::json;
use taja_catalog::{Filter, ProductId, port::Store};

use crate::support::{Server, named, put, shop, words};

#[tokio::test]
async fn words_find_what_they_find_in_the_embedded_store() {
    let server = Server::start().await;
    words_are_found_without_case_accents_and_endings(&server).await;
    the_name_counts_more_than_the_text_and_a_rare_word_more_than_a_common_one(&server).await;
    scripts_without_spaces_are_searched_by_their_parts(&server).await;
    a_part_of_a_compound_is_found_when_no_word_is(&server).await;
    a_filter_as_large_as_can_be_is_answered(&server).await;
}

async fn words_are_found_without_case_accents_and_endings(server: &Server) {
    let store = server.fresh().await;
    put(&store, "cafe", named("Café crème Running Shoes"), "").await;
    put(&store, "other", named("teapot"), "").await;
    for query in ["cafe", "CAFÉ", "cafe\u{301}", "creme", "runs", "shoe", "runn"] {
        assert_eq!(words(&store, query).await, ["cafe"], "{query}");
    }
    assert!(words(&store, "tea").await.is_empty(), "three letters find only the whole word");
    assert_eq!(words(&store, "teap").await, ["other"], "four find what begins so");
}

async fn the_name_counts_more_than_the_text_and_a_rare_word_more_than_a_common_one(server: &Server) {
    let store = server.fresh().await;
    put(&store, "in-text", named("Bag"), "goes well with a kettle").await;
    put(&store, "in-name", named("Kettle"), "goes well with a bag now").await;
    for n in 0..5 {
        put(&store, &format!("filler{n}"), named("Lamp"), "a light for the table").await;
    }
    assert_eq!(words(&store, "kettle").await, ["in-name", "in-text"]);
    assert_eq!(
        words(&store, "the table kettle").await[0],
        "in-name",
        "a rare word in the name outweighs common ones"
    );
}

async fn scripts_without_spaces_are_searched_by_their_parts(server: &Server) {
    let store = server.fresh().await;
    put(&store, "backpack", named("防水登山背包"), "大容量防水登山背包，适合徒步").await;
    put(&store, "shirt", named("赤いTシャツ"), "綿100%の赤いTシャツ").await;
    put(&store, "korean", named("방수 등산화"), "가벼운 등산화").await;
    put(&store, "thai", named("รองเท้าวิ่งผู้ชาย"), "").await;
    put(&store, "hindi", named("नीली किताब"), "").await;
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
        assert_eq!(words(&store, query).await, [wanted], "{query}");
    }
    assert!(words(&store, "雨伞").await.is_empty());
}

async fn a_part_of_a_compound_is_found_when_no_word_is(server: &Server) {
    let store = server.fresh().await;
    put(&store, "compound", named("Laufschuhe"), "").await;
    assert_eq!(words(&store, "schuh").await, ["compound"]);
    put(&store, "word", named("Schuh"), "").await;
    assert_eq!(words(&store, "schuh").await, ["word"], "a word is better than a part");
    let filter = Filter::parse(&json!({"color": "red"})).unwrap();
    assert!(store.keyword(&shop(), "aufschu", &filter, 9).await.unwrap().is_empty());
}

async fn a_filter_as_large_as_can_be_is_answered(server: &Server) {
    let store = server.fresh().await;
    put(&store, "shoe", named("shoe"), "shoe").await;
    let list: Vec<_> = (0..200).map(|n| format!("x{n}")).collect();
    let conditions = vec![json!({"not": {"color": list}}); 200];
    let filter = Filter::parse(&json!({"and": conditions})).unwrap();
    let twice = filter.clone().and(filter);
    let shoe: ProductId = "shoe".parse().unwrap();
    assert_eq!(store.matching(&shop(), &twice, 9).await.unwrap(), [shoe]);
    let deepest = (0..16).fold(json!({"color": "red"}), |inner, _| json!({"not": inner}));
    assert!(store.matching(&shop(), &Filter::parse(&deepest).unwrap(), 9).await.unwrap().is_empty());
    let all = store.matching(&shop(), &Filter::everything(), usize::MAX).await.unwrap();
    let found = store.keyword(&shop(), "shoe", &Filter::everything(), usize::MAX).await.unwrap();
    assert_eq!((all.len(), found.len()), (1, 1), "a limit may be as large as can be, too");
    let empty = Filter::Any(vec![Filter::everything(); 20_000]);
    assert_eq!(store.matching(&shop(), &empty, 9).await.unwrap().len(), 1);
}
