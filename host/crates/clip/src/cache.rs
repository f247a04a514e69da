//! Remembers vectors in front of any embedder: the same picture or words are computed once for one shop.
//!
//! A key is the SHA-256 of the shop, the space and the content: an upload's own digest, or the words with their white space
//! evened out. Whoever asks for what is being computed waits for that instead of computing it again; an error is told to
//! whoever caused it and remembered by nobody. Shops share nothing, not even the time an answer takes.
//!
//! It lives in memory alone. Vectors of products are kept by the store, which a durable copy here would only repeat; words
//! cost milliseconds, less than finding out from a disk whether an old vector still belongs to the model. Pictures
//! without a digest of their own, such as the frames of a film, are seldom seen twice and are not remembered.

mod flights;

use std::sync::Arc;

use async_trait::async_trait;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use taja_catalog::{
    Embedding, Picture, Space, TenantId,
    port::{Embedder, PortResult},
};

use crate::batcher::broken;
use flights::{Flights, Place};

/// SHA-256 of the shop, the space, the kind of content and the content.
type Key = [u8; 32];

/// What an entry takes beside its vector: the key, the counters and links of the cache.
const ENTRY_BYTES: usize = 160;

/// An embedder with a memory, bounded in bytes.
pub struct EmbeddingCache {
    inner: Arc<dyn Embedder>,
    known: Cache<Key, Embedding>,
    flights: Flights,
}

impl EmbeddingCache {
    /// Puts a memory of about `max_bytes` in front of `inner`.
    pub fn new(inner: Arc<dyn Embedder>, max_bytes: u64) -> Self {
        metrics::describe_counter!(
            "taja_embedding_cache_total",
            "vectors asked for: hit, miss, or shared with another call that was computing them"
        );
        let weigh = |_: &Key, embedding: &Embedding| (embedding.dimension() * 4 + ENTRY_BYTES) as u32;
        let known = Cache::builder().weigher(weigh).max_capacity(max_bytes).build();
        Self { inner, known, flights: Flights::default() }
    }

    /// The same memory in front of another way to the same model. Nobody waits there for what is computed here: who is in a
    /// hurry does not wait for who is not.
    #[must_use]
    pub fn beside(&self, inner: Arc<dyn Embedder>) -> Self {
        Self { inner, known: self.known.clone(), flights: Flights::default() }
    }

    fn key(&self, tenant: &TenantId, kind: &str, content: &[u8]) -> Key {
        let mut hasher = Sha256::new();
        for part in [tenant.as_str().as_bytes(), self.inner.space().id.as_bytes(), kind.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(content);
        hasher.finalize().into()
    }

    /// Looks up what is known, computes in one call what nobody computes yet, and waits for what others do.
    async fn complete<T: Clone, F>(
        &self,
        tenant: &TenantId,
        items: &[T],
        keys: &[Option<Key>],
        compute: impl Fn(Vec<T>) -> F,
    ) -> PortResult<Vec<Embedding>>
    where
        F: Future<Output = PortResult<Vec<Embedding>>>,
    {
        let mut found = vec![None; items.len()];
        let mut first_look = true;
        while found.contains(&None) {
            let open: Vec<usize> = (0..items.len()).filter(|place| found[*place].is_none()).collect();
            let mut mine = Vec::new();
            let mut others = Vec::new();
            let mut hits = 0;
            for place in open {
                let seat = keys[place]
                    .map_or(Place::Mine(None), |key| self.flights.join(key, || self.known.get(&key)));
                match seat {
                    Place::Known(embedding) => {
                        hits += 1;
                        found[place] = Some(embedding);
                    }
                    Place::Mine(flight) => mine.push((place, flight)),
                    Place::Another(flight) => others.push((place, flight)),
                }
            }
            if first_look {
                count(tenant, [("hit", hits), ("miss", mine.len()), ("shared", others.len())]);
                first_look = false;
            }
            if !mine.is_empty() {
                // An error drops the flights, and whoever waits for them computes for itself.
                let fresh = compute(mine.iter().map(|(place, _)| items[*place].clone()).collect()).await?;
                if fresh.len() != mine.len() {
                    return Err(broken(format!("{} vectors came for {} items", fresh.len(), mine.len())));
                }
                for ((place, flight), embedding) in mine.into_iter().zip(fresh) {
                    if let Some((key, flight)) = keys[place].zip(flight) {
                        self.known.insert(key, embedding.clone());
                        flight.land(&embedding);
                    }
                    found[place] = Some(embedding);
                }
            }
            for (place, flight) in others {
                found[place] = flight.landed().await;
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
}

fn count(tenant: &TenantId, outcomes: [(&'static str, usize); 3]) {
    for (outcome, count) in outcomes {
        let tenant = tenant.to_string();
        metrics::counter!("taja_embedding_cache_total", "outcome" => outcome, "tenant" => tenant)
            .increment(count as u64);
    }
}

/// Words with one space between them: both tokenizers take any white space for that.
fn evened(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl Embedder for EmbeddingCache {
    fn space(&self) -> &Space {
        self.inner.space()
    }

    async fn images(&self, tenant: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        let key =
            |picture: &Arc<Picture>| picture.hash.map(|hash| self.key(tenant, "image", hash.as_bytes()));
        let keys: Vec<_> = pictures.iter().map(key).collect();
        let compute = |missing: Vec<_>| async move { self.inner.images(tenant, &missing).await };
        self.complete(tenant, pictures, &keys, compute).await
    }

    async fn texts(&self, tenant: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        let key = |text: &String| Some(self.key(tenant, "text", evened(text).as_bytes()));
        let keys: Vec<_> = texts.iter().map(key).collect();
        let compute = |missing: Vec<_>| async move { self.inner.texts(tenant, &missing).await };
        self.complete(tenant, texts, &keys, compute).await
    }
}

#[cfg(test)]
mod tests;
