//! What the server lets pass is what memory lets pass.

use std::collections::HashSet;

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};
use taja_catalog::{
    Details, Filter, ProductId,
    filter::{Operand, Test},
    port::Store,
};

use crate::support::{Server, put, shop};

/// Databases that are filled, and filters asked of each.
const SHOPS: u32 = 12;
const FILTERS: usize = 60;

/// Few values, so that they meet; chosen so that a wrong type, a rounding or a prefix shows.
fn text() -> impl Strategy<Value = String> {
    const ODD: [&str; 18] = [
        "",
        "1",
        "1.0",
        "true",
        "a",
        "ab",
        "abc",
        "b",
        "ä",
        "A",
        ".*",
        "a_c",
        "$a",
        "\n",
        "\\",
        "\u{10ffff}",
        "a\u{10ffff}b",
        "a\u{d7ff}",
    ];
    prop_oneof![4 => prop::sample::select(&ODD[..]).prop_map(String::from), 1 => ".{0,3}"]
        .prop_map(|text| text.replace('\0', ""))
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            json!(0),
            json!(-0.0),
            json!(1),
            json!(1.0),
            json!(0.1),
            json!(0.30000000000000004),
            json!(-1),
            json!(1e300),
            json!(5e-324),
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(i64::MIN),
        ]),
        any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(Value::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::from), number(), any::<bool>().prop_map(Value::from)]
}

const NAMES: [&str; 9] = ["x", "$x", "$ref", "name", "price", "sizes", "attributes", "k", "v"];

fn attributes() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![3 => scalar(), 1 => prop::collection::vec(text(), 0..3).prop_map(Value::from)];
    let name = prop::sample::select(&NAMES[..]).prop_map(String::from);
    prop::collection::vec((name, value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

prop_compose! {
    fn details()(
        name in text(), price in prop_oneof![Just(0.0), Just(1.0), Just(0.1), 0.0..1e6],
        color in prop::option::of(text()), stock in prop::option::of(0_u32..3),
        sizes in prop::collection::vec(text(), 0..3), attributes in attributes(),
    ) -> Details {
        // A product has a name.
        Details { name: format!("n{name}"), price, color, stock, sizes, attributes, ..Details::default() }
    }
}

fn field_name() -> impl Strategy<Value = String> {
    let more = [
        "color",
        "stock",
        "attributes.x",
        "attributes.$x",
        "attributes.name",
        "attributes.price",
        "x.y",
        "attributes.attributes",
        "nothing",
        "description",
        "currency",
        "$where",
        "tenant",
        "fields.k",
        "_id",
    ];
    prop::sample::select([&NAMES[..], &more[..]].concat()).prop_map(String::from)
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        text().prop_map(Operand::Text),
        number().prop_map(|n| Operand::Number(n.as_f64().unwrap())),
        Just(Operand::Number(f64::NAN)),
        any::<bool>().prop_map(Operand::Bool),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let bound = || prop_oneof![4 => number().prop_map(|n| n.as_f64().unwrap()), 1 => any::<f64>()];
    prop_oneof![
        3 => prop::collection::vec(operand(), 0..3).prop_map(Test::In),
        1 => bound().prop_map(Test::AtLeast),
        1 => bound().prop_map(Test::Above),
        1 => bound().prop_map(Test::AtMost),
        1 => bound().prop_map(Test::Below),
        1 => text().prop_map(Test::Prefix),
        1 => any::<bool>().prop_map(Test::Exists),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let field = (field_name(), test()).prop_map(|(name, test)| Filter::Field { name, test });
    field.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

#[test]
fn a_filter_passes_the_same_products_on_the_server_and_in_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start());
    let config = ProptestConfig {
        cases: SHOPS,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Default::default()
    };
    let cases = (prop::collection::vec(details(), 1..12), prop::collection::vec(filter(), FILTERS));
    let outcome = TestRunner::new(config).run(&cases, |(products, filters)| {
        runtime.block_on(async {
            let store = server.fresh().await;
            for (n, details) in products.iter().enumerate() {
                put(&store, &format!("p{n}"), details.clone(), "word").await;
                let stored =
                    store.product(&shop(), &format!("p{n}").parse().unwrap()).await.unwrap().unwrap();
                prop_assert_eq!(&stored.details, details);
            }
            for filter in &filters {
                let expected: HashSet<ProductId> = (0..)
                    .zip(&products)
                    .filter(|(_, details)| filter.matches(details))
                    .map(|(n, _): (usize, _)| format!("p{n}").parse().unwrap())
                    .collect();
                let found: HashSet<_> =
                    store.matching(&shop(), filter, 99).await.unwrap().into_iter().collect();
                prop_assert_eq!(&found, &expected, "matching {:?}", filter);
                let by_word = store.keyword(&shop(), "word", filter, 99).await.unwrap();
                let by_word: HashSet<_> = by_word.into_iter().map(|(id, _)| id).collect();
                prop_assert_eq!(&by_word, &expected, "keyword {:?}", filter);
            }
            Ok(())
        })
    });
    outcome.unwrap();
}
