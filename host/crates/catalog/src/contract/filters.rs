//! What a store lets pass is what memory lets pass, in the order that memory gives it.

use std::{cmp::Reverse, collections::HashSet};

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::{creation, put, shop};
use crate::{
    filter::{Bound, Filter, Operand, Test},
    id::ProductId,
    order::{Sort, SortKey},
    port::Store,
    product::Details,
};

/// Fills so many stores made by `make`, and asks each so many filters of every shape, and some orders. It blocks, so it is called where
/// a multi-threaded runtime lets it.
///
/// # Panics
/// When the store and [`Filter::matches`] differ.
pub fn filter_suite<S: Store, G>(stores: u32, filters: usize, make: impl AsyncFn() -> (S, G)) {
    let config = ProptestConfig {
        cases: stores,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Default::default()
    };
    let cases = (
        prop::collection::vec(details(), 1..12),
        prop::collection::vec(filter(), filters),
        prop::collection::vec(sort(), 3),
    );
    let outcome = TestRunner::new(config).run(&cases, |(products, filters, sorts)| {
        futures::executor::block_on(async {
            let (store, _guard) = make().await;
            passes_the_same(&store, &products, &filters, &sorts).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn passes_the_same(
    store: &impl Store,
    products: &[Details],
    filters: &[Filter],
    sorts: &[Vec<Sort>],
) -> Result<(), TestCaseError> {
    let shop = &shop("shop");
    let id = |n: usize| -> ProductId { format!("p{n}").parse().expect("the suites use valid names") };
    let mut kept = Vec::new();
    for (n, details) in products.iter().enumerate() {
        let given = serde_json::to_value(details).expect("details are JSON");
        // Two of a time are of one age.
        let change = creation(shop, id(n).as_str(), n as i64 / 2, given, "word", Vec::new());
        put(store, "shop", change).await.expect("a new product is taken");
        let stored = store.product(shop, &id(n)).await.expect("answers").expect("it is there");
        prop_assert_eq!(&stored.details, details);
        kept.push(stored);
    }
    for sort in sorts {
        let mut expected: Vec<_> = kept.iter().collect();
        expected.sort_by_key(|product| {
            (SortKey::of(sort, product), Reverse((product.created_at, product.id.clone())))
        });
        let expected: Vec<_> = expected.into_iter().map(|product| product.id.clone()).collect();
        for limit in [99, 3] {
            let sorted = store.sorted(shop, &Filter::everything(), sort, limit).await.expect("answers");
            prop_assert_eq!(&sorted, &expected[..limit.min(expected.len())], "sorted by {:?}", sort);
        }
    }
    for filter in filters {
        let passing = kept.iter().filter(|product| filter.matches(*product));
        let expected: HashSet<ProductId> = passing.map(|product| product.id.clone()).collect();
        let found = store.matching(shop, filter, 99).await.expect("answers");
        prop_assert_eq!(&found.into_iter().collect::<HashSet<_>>(), &expected, "matching {:?}", filter);
        let by_word = store.keyword(shop, &"word".into(), filter, 99).await.expect("answers");
        let by_word: HashSet<_> = by_word.into_iter().map(|(id, _)| id).collect();
        prop_assert_eq!(&by_word, &expected, "keyword {:?}", filter);
    }
    Ok(())
}

/// Few values, so that they meet; chosen so that a wrong type, a rounding or a prefix shows.
fn text() -> impl Strategy<Value = String> {
    const ODD: [&str; 28] = [
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
        "%",
        "'",
        "\"",
        "a_c",
        "$a",
        "\n",
        "\\",
        "\u{10ffff}",
        "a\u{10ffff}b",
        "a\u{d7ff}",
        "1969-12-31",
        "1970-01-01",
        "1970-01-01T00:00:00Z",
        "1970-01-01T01:00:00.0009+01:00",
        "1970-01-01T00:00:00.001Z",
        "1970-01-01T00:00:00",
        "0000-01-01",
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

const NAMES: [&str; 10] = ["x", "$x", "$ref", "name", "price", "sizes", "attributes", "k", "v", "created_at"];

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
        "x' OR 1=1",
        "created_at",
        "updated_at",
        "attributes.created_at",
        "tenant",
        "fields.k",
        "_id",
    ];
    prop::sample::select([&NAMES[..], &more[..]].concat()).prop_map(String::from)
}

fn sort() -> impl Strategy<Value = Vec<Sort>> {
    let sort = (field_name(), any::<bool>()).prop_map(|(field, descending)| Sort { field, descending });
    prop::collection::vec(sort, 1..4)
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        text().prop_map(Operand::Text),
        number().prop_map(|n| Operand::Number(n.as_f64().expect("a number of JSON is one"))),
        Just(Operand::Number(f64::NAN)),
        any::<bool>().prop_map(Operand::Bool),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let bound = || {
        prop_oneof![
            4 => number().prop_map(|n| Bound::Number(n.as_f64().expect("a number of JSON is one"))),
            1 => any::<f64>().prop_map(Bound::Number),
            2 => prop::sample::select(vec![-86_400_000, -1, 0, 1, -62_167_219_200_000, i64::MIN, i64::MAX])
                .prop_map(Bound::Date),
        ]
    };
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
