//! Remembers embeddings by content, in front of any embedder: the same picture or words are not computed twice.

use std::sync::Arc;

use async_trait::async_trait;
use moka::sync::Cache;
use taja_catalog::{Embedding, ImageHash, Picture, PortResult, Space, port::Embedder};

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
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
            let key_bytes = match key {
                Key::Image(_) => 32,
                Key::Text(text) => text.len(),
            };
            (key_bytes + embedding.dimension() * 4 + 128) as u32
        };
        Self { inner, known: Cache::builder().weigher(weigh).max_capacity(max_bytes).build() }
    }

    /// Looks up what is known and computes the rest in one call.
    async fn complete<T: Clone, F>(
        &self,
        items: &[T],
        keys: Vec<Option<Key>>,
        compute: impl FnOnce(Vec<T>) -> F,
    ) -> PortResult<Vec<Embedding>>
    where
        F: Future<Output = PortResult<Vec<Embedding>>>,
    {
        let found: Vec<Option<Embedding>> =
            keys.iter().map(|key| key.as_ref().and_then(|key| self.known.get(key))).collect();
        let hits = found.iter().flatten().count() as u64;
        metrics::counter!("taja_embedding_cache_total", "outcome" => "hit").increment(hits);
        metrics::counter!("taja_embedding_cache_total", "outcome" => "miss")
            .increment(items.len() as u64 - hits);
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

    async fn images(&self, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        let keys = pictures.iter().map(|picture| picture.hash.map(Key::Image)).collect();
        self.complete(pictures, keys, |missing| async move { self.inner.images(&missing).await }).await
    }

    async fn texts(&self, texts: &[String]) -> PortResult<Vec<Embedding>> {
        let keys = texts.iter().map(|text| Some(Key::Text(text.as_str().into()))).collect();
        self.complete(texts, keys, |missing| async move { self.inner.texts(&missing).await }).await
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
        async fn images(&self, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
            unreachable!("only texts are asked for")
        }
        async fn texts(&self, texts: &[String]) -> PortResult<Vec<Embedding>> {
            self.1.fetch_add(texts.len(), Ordering::SeqCst);
            let vector = |text: &String| Embedding::normalised(vec![text.len() as f32, 1.0], 2).unwrap();
            Ok(texts.iter().map(vector).collect())
        }
    }

    #[tokio::test]
    async fn only_what_is_unknown_is_computed_and_the_order_is_kept() {
        let inner = Arc::new(Counting(
            Space { id: "s".into(), model: "m".into(), dimension: 2 },
            AtomicUsize::new(0),
        ));
        let cache = EmbeddingCache::new(inner.clone(), 1 << 20);
        let texts = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<String>>();
        let first = cache.texts(&texts(&["a", "bbb"])).await.unwrap();
        let second = cache.texts(&texts(&["cc", "bbb", "a"])).await.unwrap();
        assert_eq!(inner.1.load(Ordering::SeqCst), 3);
        assert_eq!((&second[1], &second[2]), (&first[1], &first[0]));
    }
}
