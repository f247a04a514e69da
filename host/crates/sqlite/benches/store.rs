//! How long the store takes. Run with `cargo bench -p taja-sqlite`; the folder is in the system's place for
//! temporary files unless `TMPDIR` says otherwise.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::time::{Duration, Instant};

use serde_json::json;
use taja_catalog::{
    Details, Embedding, Filter, ImageHash, PerceptualHash, Product, Space, StoredImage, TenantId,
    port::{Change, NewImage, Store},
};
use taja_sqlite::SqliteStore;

const DIMENSION: usize = 512;
const PRODUCTS: usize = 10_000;
/// Images of each product: 100,000 in all.
const IMAGES: usize = 10;
/// Words of the shop's language. The n-th is as frequent as 1/n, as in real ones.
const VOCABULARY: f64 = 5000.0;
const SYLLABLES: [&str; 20] = [
    "ka", "lo", "mi", "ren", "tu", "sha", "vo", "pel", "dri", "gan", "fe", "zu", "bor", "ny", "cha", "wi",
    "hol", "ta", "que", "jos",
];

/// The n-th word, of three syllables.
fn word(n: usize) -> String {
    [n % 20, n / 20 % 20, n / 400 % 20].map(|syllable| SYLLABLES[syllable]).concat()
}

/// Pseudo-random numbers (xorshift64*), the same at every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn words(&mut self, count: usize) -> String {
        let rank =
            |numbers: &mut Self| VOCABULARY.powf(numbers.below(1 << 20) as f64 / f64::from(1 << 20)) as usize;
        (0..count).map(|_| word(rank(self))).collect::<Vec<_>>().join(" ")
    }

    fn vector(&mut self) -> Embedding {
        let values = (0..DIMENSION).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect();
        Embedding::normalised(values, DIMENSION).expect("random vectors have a direction")
    }
}

fn creation(tenant: &TenantId, n: usize, numbers: &mut Numbers) -> Change {
    let image = |m: usize, numbers: &mut Numbers| NewImage {
        image: StoredImage {
            hash: ImageHash::of(format!("{n}/{m}").as_bytes()),
            perceptual: PerceptualHash(numbers.next()),
            url: format!("/images/shop/{n}-{m}.webp"),
            width: 800,
            height: 600,
        },
        embedding: numbers.vector(),
    };
    let images: Vec<_> = (0..IMAGES).map(|m| image(m, numbers)).collect();
    let attributes = json!({"brand": format!("brand {}", numbers.below(100)), "new": n.is_multiple_of(2)});
    let details = Details {
        name: numbers.words(4),
        price: numbers.below(10_000) as f64 / 100.0,
        category: Some(format!("category {}", numbers.below(20))),
        description: numbers.words(60),
        sizes: vec!["41".into(), "42".into()],
        attributes: attributes.as_object().expect("it is one").clone(),
        ..Details::default()
    };
    let now = jiff::Timestamp::from_millisecond(n as i64).expect("a small time");
    let index_text = format!("{} {}", details.name, details.description);
    let product = Product {
        tenant: tenant.clone(),
        id: format!("p{n}").parse().expect("a valid identifier"),
        details,
        images: images.iter().map(|new| new.image.clone()).collect(),
        created_at: now,
        updated_at: now,
        offers: Vec::new(),
        revision: 1,
    };
    Change::Create { product: Box::new(product), images, index_text }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what:<60} {:>9.2} ms median, {:>9.2} ms fastest, {:>9.2} ms p95", at(0.5), at(0.0), at(0.95));
}

async fn time<T>(what: &str, runs: usize, run: impl AsyncFn() -> T) -> T {
    let mut last = run().await;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let began = Instant::now();
        last = run().await;
        times.push(began.elapsed());
    }
    print(what, times);
    last
}

async fn fill(store: &SqliteStore, tenant: &TenantId, space: &Space) {
    let mut numbers = Numbers(42);
    let mut times = Vec::with_capacity(PRODUCTS);
    for n in 0..PRODUCTS {
        let change = creation(tenant, n, &mut numbers);
        let effect = format!("p{n}").parse().expect("a valid identifier");
        let began = Instant::now();
        store.commit(tenant, &effect, space, change, &json!({"product": n})).await.expect("a new product");
        times.push(began.elapsed());
    }
    print(&format!("commit: a product with {IMAGES} images"), times);
}

async fn rebuild(store: &SqliteStore, space: &Space) -> usize {
    let (mut after, mut count) = (None, 0);
    loop {
        let page = store.vectors(space, after.as_ref(), 2000).await.expect("answers");
        let Some((last, _)) = page.last() else { return count };
        after = Some(last.clone());
        count += page.len();
    }
}

async fn search(store: &SqliteStore, tenant: &TenantId) {
    let everything = Filter::everything();
    let cheap = Filter::parse(&json!({"price": {"lt": 50}, "new": true})).expect("a valid filter");
    let rare = Filter::parse(&json!({"brand": "brand 7"})).expect("a valid filter");
    for (name, filter) in [("none", &everything), ("a quarter", &cheap), ("1 %", &rare)] {
        let sentence = [1, 30, 100, 500, 3000].map(word).join(" ");
        for (kind, text) in [
            ("a frequent word", word(2)),
            ("a word", word(200)),
            ("five words", sentence),
            ("two characters", "雨伞".into()),
            ("a part of a word", word(4000)[1..].into()),
        ] {
            let what = format!("keyword, {kind}, filter {name}, 100 wanted");
            let search = async || {
                store.keyword(tenant, &text.as_str().into(), filter, 100).await.expect("answers").len()
            };
            let found = time(&what, 20, search).await;
            println!("  {found} found");
        }
        let what = format!("filter alone ({name}), all that pass");
        let count = time(&what, 20, async || {
            store.matching(tenant, filter, usize::MAX).await.expect("answers").len()
        });
        println!("  {} pass", count.await);
    }
    let ids = store.matching(tenant, &everything, 100).await.expect("answers");
    time("100 products by id", 20, async || store.products(tenant, &ids).await.expect("answers")).await;
    let look = PerceptualHash(0x0123_4567_89ab_cdef);
    time(&format!("images alike, of {}", PRODUCTS * IMAGES), 20, async || {
        store.images_like(tenant, look, 10, 10).await.expect("answers")
    })
    .await;
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a place for temporary files");
    let path = folder.path().join("taja.db");
    let store = SqliteStore::open(&path).expect("a new file");
    let tenant: TenantId = "shop".parse().expect("a valid identifier");
    let space = Space { id: "bench@0".into(), model: "bench".into(), dimension: DIMENSION };
    fill(&store, &tenant, &space).await;
    let what = format!("all {} vectors of {DIMENSION}, by pages of 2000", PRODUCTS * IMAGES);
    time(&what, 3, async || rebuild(&store, &space).await).await;
    search(&store, &tenant).await;
    time("check of the whole file", 2, async || store.check().await.expect("it is whole")).await;
    let began = Instant::now();
    store.close().await.expect("it closes");
    println!("close: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    let bytes = std::fs::metadata(&path).expect("it is there").len();
    let began = Instant::now();
    drop(SqliteStore::open(&path).expect("it opens"));
    println!(
        "open: {:.1} ms; the file has {:.0} MB",
        began.elapsed().as_secs_f64() * 1e3,
        bytes as f64 / 1e6
    );
}
