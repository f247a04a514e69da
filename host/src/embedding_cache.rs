//! Remembers embeddings by shop and content, in front of any embedder: the same picture or words are not computed twice
//! for one shop.

use std::sync::Arc;

use async_trait::async_trait;
use moka::sync::Cache;
use taja_catalog::{Embedding, ImageHash, Picture, PortResult, Space, TenantId, port::Embedder};

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    content: Content,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Content {
    Image(ImageHash),
    Text(Arc<str>),
}

/// An embedder with a memory, bounded in bytes.
pub struct EmbeddingCache {
    inner: Arc<dyn Embedder>,
    known: Cache<Key, Embedding>,
}

impl EmbeddingCache {
    /// Puts a memory of about `max_bytes` in front of `inner`.
    pub fn new(inner: Arc<dyn Embedder>, max_bytes: u64) -> Self {
        let weigh = |key: &Key, embedding: &Embedding| {
            let content_bytes = match &key.content {
                Content::Image(_) => 32,
                Content::Text(text) => text.len(),
            };
            (content_bytes + key.tenant.as_str().len() + embedding.dimension() * 4 + 128) as u32
        };
        Self { inner, known: Cache::builder().weigher(weigh).max_capacity(max_bytes).build() }
    }

    /// Looks up what is known and computes the rest in one call.
    async fn complete<T: Clone, F>(
        &self,
        tenant: &TenantId,
        items: &[T],
        contents: Vec<Option<Content>>,
        compute: impl FnOnce(Vec<T>) -> F,
    ) -> PortResult<Vec<Embedding>>
    where
        F: Future<Output = PortResult<Vec<Embedding>>>,
    {
        let key = |content| Key { tenant: tenant.clone(), content };
        let keys: Vec<_> = contents.into_iter().map(|content| content.map(key)).collect();
        let found: Vec<Option<Embedding>> =
            keys.iter().map(|key| key.as_ref().and_then(|key| self.known.get(key))).collect();
        let hits = found.iter().flatten().count() as u64;
        for (outcome, count) in [("hit", hits), ("miss", items.len() as u64 - hits)] {
            let tenant = tenant.to_string();
            metrics::counter!("taja_embedding_cache_total", "outcome" => outcome, "tenant" => tenant)
                .increment(count);
        }
        let missing: Vec<T> = items
            .iter()
            .zip(&found)
            .filter(|(_, known)| known.is_none())
            .map(|(item, _)| item.clone())
            .collect();
        let mut fresh = if missing.is_empty() { Vec::new() } else { compute(missing).await? }.into_iter();
        let mut all = Vec::with_capacity(items.len());
        for (known, key) in found.into_iter().zip(keys) {
            if let Some(embedding) = known {
                all.push(embedding);
            } else if let Some(embedding) = fresh.next() {
                if let Some(key) = key {
                    self.known.insert(key, embedding.clone());
                }
                all.push(embedding);
            }
        }
        Ok(all)
    }
}

#[async_trait]
impl Embedder for EmbeddingCache {
    fn space(&self) -> &Space {
        self.inner.space()
    }

    async fn images(&self, tenant: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        let contents = pictures.iter().map(|picture| picture.hash.map(Content::Image)).collect();
        let compute = |missing: Vec<_>| async move { self.inner.images(tenant, &missing).await };
        self.complete(tenant, pictures, contents, compute).await
    }

    async fn texts(&self, tenant: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        let contents = texts.iter().map(|text| Some(Content::Text(text.as_str().into()))).collect();
        let compute = |missing: Vec<_>| async move { self.inner.texts(tenant, &missing).await };
        self.complete(tenant, texts, contents, compute).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Counting(Space, AtomicUsize);

    #[async_trait]
    impl Embedder for Counting {
        fn space(&self) -> &Space {
            &self.0
        }
        async fn images(&self, _: &TenantId, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
            unreachable!("only texts are asked for")
        }
        async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
            self.1.fetch_add(texts.len(), Ordering::SeqCst);
            let vector = |text: &String| Embedding::normalised(vec![text.len() as f32, 1.0], 2).unwrap();
            Ok(texts.iter().map(vector).collect())
        }
    }

    fn cache() -> (EmbeddingCache, Arc<Counting>) {
        let space = Space { id: "s".into(), model: "m".into(), dimension: 2 };
        let inner = Arc::new(Counting(space, AtomicUsize::new(0)));
        (EmbeddingCache::new(inner.clone(), 1 << 20), inner)
    }

    async fn ask(cache: &EmbeddingCache, shop: &str, words: &[&str]) -> Vec<Embedding> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        cache.texts(&shop.parse().unwrap(), &words).await.unwrap()
    }

    #[tokio::test]
    async fn only_what_is_unknown_is_computed_and_the_order_is_kept() {
        let (cache, inner) = cache();
        let first = ask(&cache, "shop", &["a", "bbb"]).await;
        let second = ask(&cache, "shop", &["cc", "bbb", "a"]).await;
        assert_eq!(inner.1.load(Ordering::SeqCst), 3);
        assert_eq!((&second[1], &second[2]), (&first[1], &first[0]));
    }

    #[tokio::test]
    async fn what_is_remembered_for_one_shop_is_computed_for_another() {
        let (cache, inner) = cache();
        for (shop, computed) in [("ours", 1), ("theirs", 2), ("ours", 2), ("theirs", 2)] {
            ask(&cache, shop, &["what a neighbour's shoppers look for"]).await;
            assert_eq!(inner.1.load(Ordering::SeqCst), computed, "{shop}");
        }
    }
}
