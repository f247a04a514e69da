//! Searches by words with filters: whichever way what passes is found, it is what a search without the filter finds.

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use taja_catalog::{Details, Filter, ProductId, port::Store};
use taja_mongo::MongoStore;

use crate::support::{Server, named, put, shop};

const PRODUCTS: u32 = 300;

/// A shop in which what is red is never cheap.
async fn fill(store: &MongoStore) -> HashMap<ProductId, Details> {
    let mut all = HashMap::new();
    for n in 0..PRODUCTS {
        let (is_red, is_boot) = (n % 3 == 0, n % 7 == 0);
        let price = if is_red { 50 + n % 50 } else { n % 100 };
        let sizes = vec![(n % 5).to_string()];
        let stock = (n % 2 == 0).then_some(n % 20);
        let details = Details { price: price.into(), sizes, stock, ..named("Shoe") };
        let text = [("red", is_red), ("boot", is_boot)];
        let text: Vec<_> = text.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect();
        let id = format!("p{n:03}");
        put(store, &id, details.clone(), &text.join(" ")).await;
        all.insert(id.parse().unwrap(), details);
    }
    all
}

fn filter() -> impl Strategy<Value = Value> {
    let price = || 0_u32..101;
    prop_oneof![
        price().prop_map(|price| json!({"price": {"lt": price}})),
        (price(), 0_u32..9).prop_map(|(from, width)| json!({"price": {"gte": from, "lt": from + width}})),
        (price(), price()).prop_map(|(one, other)| json!({"or": [{"price": one}, {"price": other}]})),
        price().prop_map(|price| json!({"not": {"price": {"lt": price}}})),
        (price(), 0_u32..20).prop_map(|(price, stock)| json!({"price": {"gt": price}, "stock": stock})),
        (price(), 0_u32..6)
            .prop_map(|(price, size)| json!({"price": {"lt": price}, "sizes": size.to_string()})),
        Just(json!({"stock": {"exists": false}, "price": {"lte": 50}})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_takes_products_out_and_changes_no_order() {
    let server = Server::start().await;
    let name = server.name();
    let store = server.open(&name, None).await;
    let all = fill(&store).await;
    let database = server.database(&name).await;
    let large = doc! { "create": "system.profile", "capped": true, "size": 64 << 20 };
    database.run_command(large).await.unwrap();
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    let words = select(&["shoe", "red shoe", "boot", "boots red"][..]);
    let cases = (words, filter(), 1_usize..12);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    // The same cases in every run: that all ways are gone is not left to chance.
    let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new_with_rng(config, dice).run(&cases, |(words, filter, limit)| {
            runtime.block_on(async {
                let filter = Filter::parse(&filter).unwrap();
                let wanted = words.into();
                let everything = Filter::everything();
                let mut expected =
                    store.keyword(&shop(), &wanted, &everything, PRODUCTS as usize).await.unwrap();
                expected.retain(|(id, _)| filter.matches(&all[id]));
                expected.truncate(limit);
                let found = store.keyword(&shop(), &wanted, &filter, limit).await.unwrap();
                prop_assert_eq!(found, expected);
                Ok(())
            })
        })
    });
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let profile = database.collection::<Document>("system.profile");
    let asked = profile.find(doc! { "ns": format!("{name}.search") }).await.unwrap();
    let asked: Vec<Document> = asked.try_collect().await.unwrap();
    let asked: Vec<_> = asked.iter().filter_map(|asked| asked.get_document("command").ok()).collect();
    let ways = asked.iter().filter_map(|command| command.get_document("filter").ok()).map(|filter| {
        let filter = filter.to_string();
        match (filter.contains("\"$text\""), filter.contains("\"_id\"")) {
            (true, _) => "by words",
            (_, true) => "looked up",
            _ => "by fields",
        }
    });
    let ways: Vec<_> = ways.collect();
    for way in ["by words", "looked up", "by fields"] {
        let count = ways.iter().filter(|other| **other == way).count();
        assert!(count > 0, "nothing was asked {way}, in {} questions", ways.len());
    }
    let further = asked.iter().filter(|command| command.contains_key("getMore")).count();
    assert!(further > 0, "no guess was wrong");
}
