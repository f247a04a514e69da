//! Words that are not written as the shop writes them, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    pictures::photograph,
    support::{Server, product, words},
    tenants::answer,
};

/// A shop of two products, and its key.
async fn shop() -> (Server, String) {
    let server = Server::with_shops(&["shop"]).await;
    let key = server.full_key("shop").await;
    for (name, picture) in [("Porcelain cup", "coffee"), ("Rocket AX2000", "rocket")] {
        server.done(&key, "/add_product", product(name, vec![photograph(picture)])).await;
    }
    (server, key)
}

impl Server {
    /// The products that words found, and what was likely meant.
    async fn found_by_words(&self, key: &str, text: &str) -> (Vec<String>, Value) {
        let done = self.done(key, "/search", words(text).text("explain", "true")).await;
        let result = &done["result"];
        // Everything looks like something: only the leg of words tells what words found.
        let is_by_words = |found: &&Value| {
            let legs = found["explain"]["legs"].as_array().unwrap();
            legs.iter().any(|leg| leg["leg"] == "text-keyword")
        };
        let found = result["matches"].as_array().unwrap().iter().filter(is_by_words);
        let found = found.map(|found| found["name"].as_str().unwrap().to_owned()).collect();
        (found, result["did_you_mean"].clone())
    }

    async fn say(&self, key: &str, said: &Value) -> (u16, Value) {
        let request = self.asked_with(key, Method::PUT, "/tenants/shop/words").json(said);
        answer(request.send().await.unwrap()).await
    }
}

fn only(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[tokio::test]
async fn a_typing_error_finds_what_was_meant_and_tells_it() {
    let (server, key) = shop().await;
    let meant = json!("a porcelain cup");
    assert_eq!(server.found_by_words(&key, "a porcelian cup").await, (only("Porcelain cup"), meant));
    assert_eq!(server.found_by_words(&key, "Porcelain").await, (only("Porcelain cup"), Value::Null));
    assert_eq!(server.found_by_words(&key, "ax2001").await, (vec![], Value::Null), "a number is no error");
    let filtered = words("porcelian").text("filter", r#"{"category": "nothing"}"#);
    let done = server.done(&key, "/search", filtered).await;
    assert_eq!(done["result"]["did_you_mean"], Value::Null, "what would find nothing is not told");
}

#[tokio::test]
async fn a_shop_says_how_its_words_are_understood() {
    let (server, key) = shop().await;
    let said =
        answer(server.asked_with(&key, Method::GET, "/tenants/shop/words").send().await.unwrap()).await;
    assert_eq!(said, (200, json!({"language": null, "typos": true, "synonyms": []})));
    assert_eq!(server.found_by_words(&key, "mug").await.0, [] as [&str; 0]);
    let german = json!({"language": "de", "typos": false, "synonyms": ["mug, cup", "spaceship => rocket", "moon shuttle => ax2000 rocket"]});
    assert_eq!(server.say(&key, &german).await, (200, german.clone()));
    assert_eq!(server.found_by_words(&key, "mug").await, (only("Porcelain cup"), Value::Null));
    assert_eq!(server.found_by_words(&key, "spaceships").await.0, only("Rocket AX2000"));
    assert_eq!(server.found_by_words(&key, "a moon shuttle").await, (only("Rocket AX2000"), Value::Null));
    assert_eq!(server.found_by_words(&key, "shuttle").await.0, [] as [&str; 0]);
    assert_eq!(server.found_by_words(&key, "porcelian").await, (vec![], Value::Null));
    let said =
        answer(server.asked_with(&key, Method::GET, "/tenants/shop/words").send().await.unwrap()).await;
    assert_eq!(said, (200, german));
    let several = json!({"language": ["de", "fr"], "typos": true, "synonyms": []});
    assert_eq!(server.say(&key, &several).await, (200, several.clone()));
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_its_place() {
    let (server, key) = shop().await;
    for (said, pointer) in [
        (json!({"language": "xx"}), "/language"),
        (json!({"synonyms": ["mug, cup", "alone"]}), "/synonyms/1"),
        (json!({"language": ["de", "xx"]}), "/language/1"),
        (json!({"language": ["de", "en", "fr", "it", "es"]}), "/language"),
        (json!({"synonyms": ["one two three four five, cup"]}), "/synonyms/0"),
        (json!({"synonyms": vec!["mug, cup"; 1001]}), "/synonyms"),
    ] {
        let (status, problem) = server.say(&key, &said).await;
        assert_eq!((status, &problem["code"]), (422, &json!("field_invalid")), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for said in [json!({"typos": "yes"}), json!({"spelling": true}), json!([]), json!(null)] {
        let (status, problem) = server.say(&key, &said).await;
        assert_eq!((status, &problem["code"]), (422, &json!("field_invalid")), "{problem}");
    }
}
