//! The cache in front of an embedder that counts, waits and fails as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use taja_catalog::{ImageHash, PerceptualHash, Raster, port::PortErrorKind};
use tokio::sync::Semaphore;

use super::*;

struct Counting {
    space: Space,
    computed: AtomicUsize,
    /// Calls that may go on.
    gate: Semaphore,
}

impl Counting {
    async fn compute(&self, lengths: Vec<usize>) -> PortResult<Vec<Embedding>> {
        self.computed.fetch_add(lengths.len(), Ordering::SeqCst);
        self.gate.acquire().await.expect("it is never closed").forget();
        if lengths.contains(&0) {
            return Err(broken("nothing to see"));
        }
        let vector = |length: usize| Embedding::normalised(vec![length as f32, 1.0], 2).unwrap();
        Ok(lengths.into_iter().map(vector).collect())
    }
}

#[async_trait]
impl Embedder for Counting {
    fn space(&self) -> &Space {
        &self.space
    }
    async fn images(&self, _: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        self.compute(pictures.iter().map(|picture| picture.raster.width() as usize).collect()).await
    }
    async fn texts(&self, _: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>> {
        self.compute(texts.iter().map(String::len).collect()).await
    }
}

#[derive(Clone)]
struct Stage {
    cache: Arc<EmbeddingCache>,
    inner: Arc<Counting>,
}

/// `calls` may go on from the beginning.
fn stage(calls: usize, max_bytes: u64) -> Stage {
    let space = Space { id: "s".into(), model: "m".into(), dimension: 2 };
    let inner = Arc::new(Counting { space, computed: AtomicUsize::new(0), gate: Semaphore::new(calls) });
    Stage { cache: Arc::new(EmbeddingCache::new(inner.clone(), max_bytes)), inner }
}

impl Stage {
    async fn ask(&self, shop: &str, words: &[&str]) -> PortResult<Vec<Embedding>> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        self.cache.texts(&shop.parse().unwrap(), &words).await
    }

    fn asked(&self, words: &'static [&'static str]) -> tokio::task::JoinHandle<PortResult<Vec<Embedding>>> {
        let stage = self.clone();
        tokio::spawn(async move { stage.ask("shop", words).await })
    }

    fn computed(&self) -> usize {
        self.inner.computed.load(Ordering::SeqCst)
    }
}

/// Lets everything that can go on go on.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_what_is_unknown_is_computed_and_the_order_is_kept() {
    let stage = stage(10, 1 << 20);
    let first = stage.ask("shop", &["a", "bbb"]).await.unwrap();
    let second = stage.ask("shop", &["cc", " bbb\n", "a", "a"]).await.unwrap();
    assert_eq!(stage.computed(), 3);
    assert_eq!((&second[1], &second[2], &second[3]), (&first[1], &first[0], &first[0]));
}

#[tokio::test]
async fn one_call_with_the_same_words_twice_computes_them_once() {
    let stage = stage(10, 1 << 20);
    let both = stage.ask("shop", &["a", "a"]).await.unwrap();
    assert_eq!((both.len(), stage.computed()), (2, 1));
}

#[tokio::test]
async fn what_is_remembered_for_one_shop_is_computed_for_another() {
    let stage = stage(10, 1 << 20);
    for (shop, computed) in [("ours", 1), ("theirs", 2), ("ours", 2), ("theirs", 2)] {
        stage.ask(shop, &["what a neighbour's shoppers look for"]).await.unwrap();
        assert_eq!(stage.computed(), computed, "{shop}");
    }
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_computation() {
    let stage = stage(0, 1 << 20);
    let calls = [stage.asked(&["a", "bb"]), stage.asked(&["bb"]), stage.asked(&["bb", "a"])];
    settle().await;
    stage.inner.gate.add_permits(1);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((stage.computed(), stage.cache.flights.count()), (2, 0));
}

#[tokio::test]
async fn whoever_waited_for_a_call_that_was_given_up_computes_for_itself() {
    let stage = stage(0, 1 << 20);
    let first = stage.asked(&["a"]);
    settle().await;
    let second = stage.asked(&["a"]);
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    stage.inner.gate.add_permits(1);
    second.await.unwrap().unwrap();
    assert_eq!((stage.computed(), stage.cache.flights.count()), (2, 0));
}

#[tokio::test]
async fn an_error_is_not_remembered() {
    let stage = stage(10, 1 << 20);
    for computed in 1..3 {
        let error = stage.ask("shop", &[""]).await.unwrap_err();
        assert_eq!((error.kind, stage.computed()), (PortErrorKind::Broken, computed));
    }
    assert_eq!(stage.cache.flights.count(), 0);
}

#[tokio::test]
async fn the_memory_is_bounded() {
    let stage = stage(100, 10 * (ENTRY_BYTES as u64 + 8));
    for number in 0..100 {
        stage.ask("shop", &[&format!("word {number}")]).await.unwrap();
    }
    stage.cache.known.run_pending_tasks();
    assert!(stage.cache.known.entry_count() <= 10, "{} are kept", stage.cache.known.entry_count());
}

#[tokio::test]
async fn a_picture_is_known_by_its_digest_and_never_taken_for_words() {
    let stage = stage(10, 1 << 20);
    let picture = |hash| {
        let raster = Raster::new(1, 1, vec![0; 3]).unwrap();
        [Arc::new(Picture { hash, perceptual: PerceptualHash(0), raster })]
    };
    let shop = "shop".parse().unwrap();
    for (hash, computed) in [(Some(7), 1), (Some(7), 1), (Some(8), 2), (None, 3), (None, 4)] {
        let picture = picture(hash.map(|byte| ImageHash::from_digest([byte; 32])));
        stage.cache.images(&shop, &picture).await.unwrap();
        assert_eq!(stage.computed(), computed, "{hash:?}");
    }
}
