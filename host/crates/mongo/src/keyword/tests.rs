//! What two processes find, one of them through lists that it read long ago, against the same calculated from all products.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use taja_catalog::{
    Details, Product, ProductId, Space, TenantId,
    port::{Change, Edit, Edited, Store},
    words::{Instead, Wanted},
};
use taja_testkit::MongoServer;

use super::*;
use crate::{Mongo, MongoOptions, MongoStore, MongoStoreOptions, ranked::best, terms::asked};

/// Forms, beginnings and parts of each other, and scripts without spaces.
const WORDS: [&str; 14] = [
    "shoe",
    "shoes",
    "shoelace",
    "boot",
    "boots",
    "snowboot",
    "red",
    "redder",
    "teapot",
    "teap",
    "Café",
    "cafe",
    "登山背包",
    "背包",
];

/// What happens to the shop.
#[derive(Debug, Clone)]
enum Step {
    /// A product comes.
    Add { name: Vec<&'static str>, text: Vec<&'static str>, price: u8 },
    /// One says something else.
    Edit { which: Index, name: Vec<&'static str>, text: Vec<&'static str>, price: u8 },
    /// One costs something else.
    Price { which: Index, price: u8 },
    /// One goes.
    Delete { which: Index },
    /// Somebody searches.
    Search {
        words: Vec<&'static str>,
        instead: Option<&'static str>,
        filter: Option<(u8, bool)>,
        limit: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let words = |most: usize| prop::collection::vec(select(&WORDS[..]), 1..=most);
    let price = || 0_u8..10;
    let filter = prop::option::of((price(), any::<bool>()));
    let instead = prop::option::of(select(&WORDS[..]));
    prop_oneof![
        4 => (words(3), words(5), price()).prop_map(|(name, text, price)| Step::Add { name, text, price }),
        2 => (any::<Index>(), words(3), words(5), price())
            .prop_map(|(which, name, text, price)| Step::Edit { which, name, text, price }),
        1 => (any::<Index>(), price()).prop_map(|(which, price)| Step::Price { which, price }),
        1 => any::<Index>().prop_map(|which| Step::Delete { which }),
        6 => (words(4), instead, filter, 1_usize..6)
            .prop_map(|(words, instead, filter, limit)| Step::Search { words, instead, filter, limit }),
    ]
}

/// A product as it should be.
#[derive(Debug)]
struct Known {
    details: Details,
    text: String,
    created_at: Timestamp,
    revision: u64,
}

struct Shop {
    tenant: TenantId,
    products: BTreeMap<ProductId, Known>,
    /// Products that there ever were.
    count: usize,
}

impl Shop {
    fn which(&self, which: Index) -> Option<ProductId> {
        let ids: Vec<_> = self.products.keys().cloned().collect();
        (!ids.is_empty()).then(|| which.get(&ids).clone())
    }

    async fn add(&mut self, store: &MongoStore, details: Details, text: String) {
        self.count += 1;
        // Two of the same time, always.
        let created_at = Timestamp::from_second(self.count as i64 / 2).unwrap();
        let id: ProductId = format!("p{}", self.count).parse().unwrap();
        let product = Product {
            tenant: self.tenant.clone(),
            id: id.clone(),
            details: details.clone(),
            images: Vec::new(),
            created_at,
            updated_at: created_at,
            offers: Vec::new(),
            revision: 1,
        };
        let change =
            Change::Create { product: Box::new(product), images: Vec::new(), index_text: text.clone() };
        let space = Space { id: "test@0".into(), model: "test".into(), dimension: 2 };
        let effect = id.as_str().parse().unwrap();
        store.commit(&self.tenant, &effect, &space, change, &Value::Null).await.unwrap();
        self.products.insert(id, Known { details, text, created_at, revision: 1 });
    }

    async fn edit(&mut self, store: &MongoStore, id: &ProductId, edit: Edit) {
        let known = self.products.get_mut(id).unwrap();
        let edited = store.edit(&self.tenant, id, known.revision, &edit).await.unwrap();
        assert!(matches!(edited, Edited::Done { .. }), "{edited:?}");
        match edit {
            Edit::Describe { details, index_text } => {
                known.details = *details;
                known.text = index_text.unwrap_or(known.text.clone());
                known.revision += 1;
            }
            _ => drop(self.products.remove(id)),
        }
    }

    /// The same as the stores should find. There are `all` products, of other shops too.
    fn found(&self, wanted: &Wanted, filter: &Filter, limit: usize, all: u64) -> Vec<(ProductId, f32)> {
        let asked = asked(wanted);
        let terms = |known: &Known| Terms::of(&known.details.name, &known.text);
        let found: Vec<_> =
            self.products.iter().map(|(id, known)| (id, known, find_in(&terms(known), &asked))).collect();
        let mut occurrences = Occurrences::none(asked.len());
        if asked.len() > 1 {
            found.iter().for_each(|(_, _, words)| occurrences.count(words));
            occurrences.products = all as f64;
        }
        let placed = |id: &ProductId, known: &Known, score| Placed {
            score,
            created_at: known.created_at,
            product: id.clone(),
        };
        let passing = || found.iter().filter(|(_, known, _)| filter.matches(&known.details));
        let by_words = passing().filter(|(_, _, words)| words.iter().any(|word| *word > 0.0));
        let by_words: Vec<_> =
            by_words.map(|(id, known, words)| placed(id, known, occurrences.score(words))).collect();
        let all = if by_words.is_empty() {
            let relevance = |(id, known, _): &(&ProductId, &Known, Vec<f64>)| {
                Some(placed(id, known, has_pieces(&terms(known), &asked)?))
            };
            passing().filter_map(relevance).collect()
        } else {
            by_words
        };
        best([all], limit).into_iter().map(|placed| (placed.product, placed.score as f32)).collect()
    }

    async fn take(
        &mut self,
        stores: &[MongoStore; 2],
        writer: usize,
        step: Step,
    ) -> Result<(), TestCaseError> {
        let store = &stores[writer];
        let details = |name: &[&str], price: u8| Details {
            name: name.join(" "),
            price: price.into(),
            ..Details::default()
        };
        match step {
            Step::Add { name, text, price } => self.add(store, details(&name, price), text.join(" ")).await,
            Step::Edit { which, name, text, price } => {
                if let Some(id) = self.which(which) {
                    let details = Box::new(details(&name, price));
                    let edit = Edit::Describe { details, index_text: Some(text.join(" ")) };
                    self.edit(store, &id, edit).await;
                }
            }
            Step::Price { which, price } => {
                if let Some(id) = self.which(which) {
                    let details = Details { price: price.into(), ..self.products[&id].details.clone() };
                    self.edit(store, &id, Edit::Describe { details: Box::new(details), index_text: None })
                        .await;
                }
            }
            Step::Delete { which } => {
                if let Some(id) = self.which(which) {
                    self.edit(store, &id, Edit::Delete).await;
                }
            }
            Step::Search { words, instead, filter, limit } => {
                let mut wanted = Wanted::new(words.join(" "));
                let other = |word: &str| Instead { word: taja_catalog::words::fold(word), weight: 0.5 };
                wanted.allow(words[0], instead.map(other).into_iter().collect());
                let filter = filter
                    .map(|(price, below)| json!({"price": {(if below { "lt" } else { "gte" }): price}}));
                let filter = filter.map_or(Filter::everything(), |filter| Filter::parse(&filter).unwrap());
                let all = store.counts().await.unwrap().products;
                let expected = self.found(&wanted, &filter, limit, all);
                for store in stores {
                    let found = store.keyword(&self.tenant, &wanted, &filter, limit).await.unwrap();
                    prop_assert_eq!(&found, &expected, "{:?} {:?}", wanted, filter);
                }
            }
        }
        Ok(())
    }
}

#[test]
fn lists_find_what_is_found_by_looking_at_every_product() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(MongoServer::start()).unwrap();
    let open = async || {
        let mongo = Mongo::connect(&MongoOptions::new(server.uri(), "taja")).await.unwrap();
        MongoStore::open(&mongo, MongoStoreOptions::default()).await.unwrap()
    };
    let stores = runtime.block_on(async { [open().await, open().await] });
    let config =
        ProptestConfig { cases: 24, max_shrink_iters: 60, failure_persistence: None, ..Default::default() };
    let steps = prop::collection::vec((0_usize..2, step()), 20..60);
    let shops = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        shops.set(shops.get() + 1);
        let tenant = format!("shop{}", shops.get()).parse().unwrap();
        let mut shop = Shop { tenant, products: BTreeMap::new(), count: 0 };
        runtime.block_on(async {
            for (writer, step) in steps {
                shop.take(&stores, writer, step).await?;
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[tokio::test]
async fn common_words_are_known_before_they_are_asked_for() {
    let server = MongoServer::start().await.unwrap();
    let mongo = Mongo::connect(&MongoOptions::new(server.uri(), "taja")).await.unwrap();
    let store = MongoStore::open(&mongo, MongoStoreOptions::default()).await.unwrap();
    let collections = crate::collections::Collections::of(&mongo).unwrap();
    let tenant: TenantId = "shop".parse().unwrap();
    let mut shop = Shop { tenant: tenant.clone(), products: BTreeMap::new(), count: 0 };
    let word = |n: usize| WORDS[n % WORDS.len()];
    let details = |n: usize| Details { name: word(n).into(), ..Details::default() };
    for n in 0..60 {
        shop.add(&store, details(n), [word(n), word(n + 1), word(3 * n)].join(" ")).await;
    }
    let (lists, filter) = (Lists::default(), Filter::everything());
    let kept = lists.of(&tenant, 0);
    common::fetch(&collections, &tenant, &Arc::downgrade(&kept)).await.unwrap();
    assert_eq!(kept.shop.read().size().0, 60);
    for change in 0..3 {
        match change {
            0 => {}
            1 => shop.add(&store, details(0), "shoe".into()).await,
            _ => shop.edit(&store, &"p1".parse().unwrap(), Edit::Delete).await,
        }
        let texts = ["shoe", "boot red", "背包", "shoes boot", "redder", "cafe red"];
        for (text, is_known) in std::iter::zip(texts, [true, true, true, false, false, false]) {
            let asked = asked(&text.into());
            let found = async |lists: &Lists| {
                let (collections, tenant, asked, filter) = (&collections, &tenant, &asked[..], &filter);
                let search = Search { collections, lists, tenant, asked, filter, limit: 99 };
                let found = search.run(&Occurrences::none(asked.len())).await.unwrap();
                let found = search.passing(found).await.unwrap();
                found.into_iter().map(|placed| (placed.product, placed.score)).collect::<Vec<_>>()
            };
            let before = kept.shop.read().size();
            assert_eq!(found(&lists).await, found(&Lists::default()).await, "{text} after {change}");
            if is_known && change == 0 {
                assert_eq!(kept.shop.read().size(), before, "{text} was not read again");
            }
        }
    }
}
