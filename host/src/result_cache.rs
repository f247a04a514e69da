//! Finished searches, kept to answer the same search again.
//!
//! A search's key holds all that its outcome depends on: the shop, what is asked, the model, the policies in force, the
//! version of the catalogue and that of the vector index. Whatever changes, changes the key, so nothing stale is found.
//! What nobody can ask for any more runs out.

use std::{sync::Arc, time::Duration};

use redis::{AsyncCommands, aio::ConnectionManager};
use serde::Serialize;
use sha2::{Digest, Sha256};
use taja_catalog::{
    PortResult, TenantId,
    port::{Store, VectorIndex},
    search::today,
};
use taja_queue::JsonText;

use crate::jobs::SearchJob;

/// Memory for kept results, bytes.
const MEMORY_BYTES: u64 = 64 << 20;
/// Largest result that is kept, bytes.
const LARGEST: usize = 1 << 20;
/// Longest wait for Redis; searching again costs little more.
const PATIENCE: Duration = Duration::from_millis(250);

/// Where finished searches are kept: in this process, or in Redis for all.
#[derive(Clone)]
pub struct ResultCache {
    shelf: Shelf,
    lifetime: Duration,
    /// What a key is made of besides the search itself.
    space: String,
    store: Arc<dyn Store>,
    index: Arc<dyn VectorIndex>,
}

#[derive(Clone)]
enum Shelf {
    Nowhere,
    Memory(moka::sync::Cache<String, JsonText>),
    Redis { connection: ConnectionManager, prefix: String },
}

/// The state of the world that a search saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    catalogue: u64,
    index: u64,
    policies: String,
    words: String,
}

impl ResultCache {
    /// Keeps results for a time; for none, nothing is kept. `shared` is a connection to Redis and what keys there begin
    /// with; without one, results are kept in this process.
    pub fn new(
        lifetime: Duration,
        shared: Option<(ConnectionManager, String)>,
        space: String,
        store: Arc<dyn Store>,
        index: Arc<dyn VectorIndex>,
    ) -> Self {
        let shelf = match shared {
            _ if lifetime.is_zero() => Shelf::Nowhere,
            Some((connection, prefix)) => Shelf::Redis { connection, prefix },
            None => Shelf::Memory(
                moka::sync::Cache::builder()
                    .weigher(|key: &String, text: &JsonText| {
                        (key.len() + text.as_str().len()).try_into().unwrap_or(u32::MAX)
                    })
                    .max_capacity(MEMORY_BYTES)
                    .time_to_live(lifetime)
                    .build(),
            ),
        };
        Self { shelf, lifetime, space, store, index }
    }

    /// What a search of this shop that begins now, with these policies and words understood so, sees. First waits for an index that lags behind the store, so that
    /// what was added before the search is found by it.
    pub async fn moment(&self, tenant: &TenantId, policies: &str, words: &str) -> PortResult<Moment> {
        let catalogue = self.store.version(tenant).await?;
        self.index.reach(tenant, catalogue).await;
        Ok(Moment {
            catalogue,
            index: self.index.revision(tenant),
            policies: policies.to_owned(),
            words: words.to_owned(),
        })
    }

    /// The result of the same search at the same moment.
    pub async fn get(&self, tenant: &TenantId, search: &SearchJob, moment: &Moment) -> Option<JsonText> {
        let found = match &self.shelf {
            Shelf::Nowhere => return None,
            Shelf::Memory(cache) => cache.get(&self.key(tenant, search, moment)),
            Shelf::Redis { connection, prefix } => {
                let key = format!("{prefix}{}", self.key(tenant, search, moment));
                let mut connection = connection.clone();
                let get = connection.get::<_, Option<String>>(key);
                let found = tokio::time::timeout(PATIENCE, get).await;
                found.ok().and_then(Result::ok).flatten().and_then(|text| JsonText::from_text(text).ok())
            }
        };
        let outcome = if found.is_some() { "hit" } else { "miss" };
        let tenant = tenant.to_string();
        metrics::counter!("taja_result_cache_total", "outcome" => outcome, "tenant" => tenant).increment(1);
        found
    }

    /// Keeps a result, unless the world changed while it was made.
    pub async fn put(
        &self,
        tenant: &TenantId,
        search: &SearchJob,
        moment: &Moment,
        result: &JsonText,
    ) -> PortResult<()> {
        if matches!(self.shelf, Shelf::Nowhere)
            || self.moment(tenant, &moment.policies, &moment.words).await? != *moment
        {
            return Ok(());
        }
        if result.as_str().len() > LARGEST {
            return Ok(());
        }
        let key = self.key(tenant, search, moment);
        match &self.shelf {
            Shelf::Nowhere => {}
            Shelf::Memory(cache) => cache.insert(key, result.clone()),
            Shelf::Redis { connection, prefix } => {
                let mut connection = connection.clone();
                let set = connection.set_ex::<_, _, ()>(
                    format!("{prefix}{key}"),
                    result.as_str(),
                    self.lifetime.as_secs(),
                );
                // Not kept, it is searched again.
                let _ = tokio::time::timeout(PATIENCE, set).await;
            }
        }
        Ok(())
    }

    /// Pages and explanations are made from a result when it is read, so they are not part of the key. The day is: it is
    /// told to rankings.
    fn key(&self, tenant: &TenantId, search: &SearchJob, moment: &Moment) -> String {
        let SearchJob {
            parts,
            filter,
            sort,
            facets,
            group,
            limit: _,
            explain: _,
            record: _,
            replayable: _,
            callback_url: _,
            chosen: _,
            pins: _,
        } = search;
        let whole =
            serde_json::json!([tenant, self.space, moment, today(), parts, filter, sort, facets, group]);
        Sha256::digest(whole.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use taja_catalog::{
        Embedding, ImageHash,
        fakes::{InMemoryIndex, InMemoryStore},
        policy::Pins,
        port::{Change, VectorRow},
    };

    use super::*;
    use crate::jobs::{StagedContent, StagedPart};

    struct House {
        cache: ResultCache,
        store: Arc<InMemoryStore>,
        index: Arc<InMemoryIndex>,
        shop: TenantId,
    }

    fn house(lifetime: Duration) -> House {
        let (store, index) = (Arc::new(InMemoryStore::default()), Arc::new(InMemoryIndex::new(2)));
        let cache = ResultCache::new(lifetime, None, "model".into(), store.clone(), index.clone());
        House { cache, store, index, shop: "shop".parse().unwrap() }
    }

    fn search(text: &str, limit: u32) -> SearchJob {
        let content = StagedContent::Text(text.into());
        let parts = vec![StagedPart { modality: "text".into(), content, crop: None, weight: 1.0 }];
        SearchJob {
            parts,
            filter: Value::Null,
            sort: vec![],
            facets: vec![],
            limit,
            explain: false,
            group: false,
            record: false,
            replayable: false,
            callback_url: None,
            chosen: None,
            pins: Pins::default(),
        }
    }

    impl House {
        async fn keep(&self) -> Moment {
            let moment = self.cache.moment(&self.shop, "policies", "").await.unwrap();
            self.cache.put(&self.shop, &search("shoe", 10), &moment, &json!("kept").into()).await.unwrap();
            moment
        }

        async fn ask(&self, text: &str) -> Option<JsonText> {
            let moment = self.cache.moment(&self.shop, "policies", "").await.unwrap();
            self.cache.get(&self.shop, &search(text, 5), &moment).await
        }
    }

    #[tokio::test]
    async fn the_same_search_is_answered_whatever_the_page_and_another_is_not() {
        let house = house(Duration::from_secs(60));
        house.keep().await;
        assert_eq!(house.ask("shoe").await, Some(json!("kept").into()));
        assert_eq!(house.ask("boot").await, None);
        let other: TenantId = "other".parse().unwrap();
        let moment = house.cache.moment(&other, "policies", "").await.unwrap();
        assert_eq!(house.cache.get(&other, &search("shoe", 5), &moment).await, None);
    }

    #[tokio::test]
    async fn a_changed_catalogue_and_a_changed_index_are_asked_anew() {
        let house = house(Duration::from_secs(60));
        house.keep().await;
        let image = ImageHash::of(b"a");
        let embedding = Embedding::normalised(vec![1.0, 0.0], 2).unwrap();
        let row = VectorRow { tenant: house.shop.clone(), product: "p".parse().unwrap(), image, embedding };
        house.index.insert(vec![row]).await.unwrap();
        assert_eq!(house.ask("shoe").await, None);
        let moment = house.keep().await;
        assert_eq!(house.ask("shoe").await, Some(json!("kept").into()));
        let details = serde_json::from_value(json!({"name": "hat"})).unwrap();
        let now = jiff::Timestamp::now();
        let product = taja_catalog::Product {
            tenant: house.shop.clone(),
            id: "hat".parse().unwrap(),
            details,
            images: Vec::new(),
            created_at: now,
            updated_at: now,
            offers: Vec::new(),
            revision: 1,
        };
        let space = taja_catalog::Space { id: "model".into(), model: "model".into(), dimension: 2 };
        let change =
            Change::Create { product: Box::new(product), images: Vec::new(), index_text: "hat".into() };
        house.store.commit(&house.shop, &"job".parse().unwrap(), &space, change, &Value::Null).await.unwrap();
        assert_eq!(house.ask("shoe").await, None);
        // What was found before the change is not kept after it.
        house.cache.put(&house.shop, &search("late", 10), &moment, &json!("stale").into()).await.unwrap();
        assert_eq!(house.cache.get(&house.shop, &search("late", 10), &moment).await, None);
    }

    #[tokio::test]
    async fn words_that_are_understood_in_another_way_are_asked_anew() {
        let house = house(Duration::from_secs(60));
        house.keep().await;
        let moment = house.cache.moment(&house.shop, "policies", "other").await.unwrap();
        assert_eq!(house.cache.get(&house.shop, &search("shoe", 5), &moment).await, None);
    }

    #[tokio::test]
    async fn no_lifetime_keeps_nothing() {
        let house = house(Duration::ZERO);
        house.keep().await;
        assert_eq!(house.ask("shoe").await, None);
    }
}
