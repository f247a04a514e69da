//! What becomes of the answers of policies, and of the parts that they are asked with.

use std::sync::Mutex;

use super::*;
use crate::{
    Region,
    fakes::{FakeEmbedder, InMemoryIndex, InMemoryStore, PpmDecoder, RecordingJob, ScriptedLineup, ppm},
    policy::{Hit, Ranked, Ranking, Substitute},
    port::MediaError,
    retrieval::Retrieval,
    words::Known,
};

struct NoVideos;

#[async_trait::async_trait]
impl VideoDecoder for NoVideos {
    async fn probe(&self, _: &std::path::Path) -> Result<crate::VideoInfo, MediaError> {
        Err(MediaError::Empty)
    }

    async fn frames(&self, _: &VideoFile, _: crate::FramePlan) -> Result<Vec<crate::Frame>, MediaError> {
        Err(MediaError::Empty)
    }
}

fn search() -> Search {
    search_in(Arc::new(InMemoryStore::default())).0
}

fn search_in(store: Arc<InMemoryStore>) -> (Search, Arc<InMemoryStore>) {
    let embedder = Arc::new(FakeEmbedder::default());
    let index = Arc::new(InMemoryIndex::new(embedder.space().dimension));
    let catalogue = Arc::new(Retrieval::new(store.clone(), index));
    let (decoder, video) = (Arc::new(PpmDecoder), Arc::new(NoVideos));
    (Search { decoder, video, store: store.clone(), catalogue, embedder }, store)
}

fn query(content: RawContent, crop: Option<Region>) -> Query {
    Query {
        tenant: "shop".parse().unwrap(),
        parts: vec![RawPart { modality: "part".into(), content, crop, weight: 1.0 }],
        filter: Filter::everything(),
        sort: Vec::new(),
        facets: Vec::new(),
        group: false,
        tape: None,
    }
}

fn leg(name: &str, weight: f32, products: std::ops::Range<usize>) -> Leg {
    let hit = |n| Hit { product: format!("p{n}").parse().unwrap(), image: None, score: 0.5, at_ms: None };
    let hits = products.map(hit).collect();
    Leg { name: name.into(), modality: "part".into(), measure: Measure::Cosine, weight, hits }
}

/// Takes the products as they come, so many of them, each with its first match as evidence.
fn first(candidates: &Candidates, most: usize) -> Ranking {
    let ranked = |product: u32| {
        let evidence = candidates.matches.products.iter().position(|other| *other == product);
        Ranked { product, score: 1.0, evidence: evidence.map(|row| row as u32).into_iter().collect() }
    };
    let products = (0..candidates.product_count).take(most).map(ranked).collect();
    Ranking { products, notes: Vec::new() }
}

/// The result of a search that brings these legs, of which the ranking takes so many products.
async fn found(legs: Vec<Leg>, most: usize) -> ResultSet {
    let lineup = ScriptedLineup {
        search: Box::new(move |_| Ok(legs.clone())),
        rank: Box::new(move |candidates| Ok(first(candidates, most))),
        ..ScriptedLineup::default()
    };
    let job = Arc::new(RecordingJob::default());
    search().run(query(RawContent::Text("x".into()), None), &lineup, job).await.unwrap()
}

#[tokio::test]
async fn a_result_set_is_exact_unless_there_was_more_than_it_takes() {
    let limit = RESULT_SET as usize;
    for (brought, ranked, exact) in
        [(limit, limit, true), (limit + 1, limit, false), (limit + 1, limit + 1, false), (limit + 1, 9, true)]
    {
        let set = found(vec![leg("a", 1.0, 0..brought)], ranked).await;
        assert_eq!((set.exact, set.candidates as usize), (exact, brought), "{ranked} of {brought}");
        assert_eq!(set.found.len(), ranked.min(limit));
        let LeftOut { ranking, limit: beyond, deleted } = set.left_out;
        assert_eq!((ranking + beyond) as usize, brought - set.found.len());
        assert_eq!((ranking > 0, beyond > 0, deleted), (exact && ranked < brought, !exact, 0));
    }
    // What only counts against the others is no more that there would be.
    let against = leg("not", -1.0, limit / 2..2 * limit);
    assert!(found(vec![leg("a", 1.0, 0..limit), against], limit).await.exact);
}

#[tokio::test]
async fn an_order_by_a_field_is_of_more_than_an_order_by_relevance() {
    for (sort, limit) in [(vec![], RESULT_SET), (vec![Sort::parse("price").unwrap()], ORDERED_SET)] {
        let search = stocked(3).await;
        let lineup = ScriptedLineup {
            search: Box::new(|_| Ok(vec![leg("a", 1.0, 0..3)])),
            rank: Box::new(move |candidates| {
                assert_eq!(candidates.limit, limit);
                Ok(first(candidates, 9))
            }),
            ..ScriptedLineup::default()
        };
        let query = Query { sort, ..query(RawContent::Text("x".into()), None) };
        let set = search.run(query, &lineup, Arc::new(RecordingJob::default())).await.unwrap();
        let expected = if limit == RESULT_SET { ["p0", "p1", "p2"] } else { ["p2", "p1", "p0"] };
        assert_eq!(products(&set), expected);
    }
}

/// A search in a shop of products, the later the cheaper; whoever asks a policy of it fails.
async fn stocked(count: usize) -> Search {
    let (search, store) = search_in(Arc::new(InMemoryStore::default()));
    let tenant: TenantId = "shop".parse().unwrap();
    for n in 0..count {
        let at = Timestamp::from_millisecond(n as i64).unwrap();
        let product = Product {
            tenant: tenant.clone(),
            id: format!("p{n}").parse().unwrap(),
            details: crate::Details { name: "x".into(), price: (count - n) as f64, ..Default::default() },
            images: Vec::new(),
            offers: Vec::new(),
            created_at: at,
            updated_at: at,
            revision: 1,
        };
        let change = crate::port::Change::Create {
            product: Box::new(product),
            images: Vec::new(),
            index_text: String::new(),
        };
        let effect = format!("job{n}").parse().unwrap();
        store.commit(&tenant, &effect, search.embedder.space(), change, &Value::Null).await.unwrap();
    }
    search
}

fn products(set: &ResultSet) -> Vec<&str> {
    set.found.iter().map(|found| found.product.as_str()).collect()
}

#[tokio::test]
async fn without_a_query_all_that_passes_the_filter_is_found_and_no_policy_is_asked() {
    let browse = async |search: &Search, filter: Value, sort: &[&str]| {
        let query = Query {
            parts: Vec::new(),
            filter: Filter::parse(&filter).unwrap(),
            sort: sort.iter().map(|sort| Sort::parse(sort).unwrap()).collect(),
            facets: vec![Facet::Values("price".into())],
            ..query(RawContent::Text(String::new()), None)
        };
        let job = Arc::new(RecordingJob::default());
        search.run(query, &ScriptedLineup::default(), job).await.unwrap()
    };
    let few = stocked(5).await;
    let set = browse(&few, serde_json::json!({"price": {"gt": 2}}), &[]).await;
    assert_eq!((products(&set), set.exact, set.facets["price"].len()), (vec!["p2", "p1", "p0"], true, 3));
    let set = browse(&few, serde_json::json!({}), &["price:asc"]).await;
    assert_eq!(products(&set), ["p4", "p3", "p2", "p1", "p0"]);
    let most = ORDERED_SET as usize;
    let many = stocked(most + 2).await;
    let whole = browse(&many, serde_json::json!({"price": {"gt": 2}}), &[]).await;
    assert_eq!((whole.found.len(), whole.exact), (most, true));
    // The newest are the cheapest: those that come first are none of the newest.
    let cut = browse(&many, serde_json::json!({}), &["-price"]).await;
    assert_eq!((cut.found.len(), cut.exact, products(&cut)[0]), (most, false, "p0"));
}

#[tokio::test]
async fn what_only_counts_against_others_is_neither_found_nor_shown_whoever_ranks() {
    let set = found(vec![leg("not", -1.0, 0..3), leg("a", 1.0, 2..5)], 9).await;
    let products: Vec<_> = set.found.iter().map(|found| found.product.as_str()).collect();
    assert_eq!(products, ["p2", "p3", "p4"]);
    assert_eq!((set.found[0].evidence.len(), set.found[0].legs.len()), (0, 2));
    let places: Vec<_> = set.found.iter().map(|found| (found.fused.place, found.ranked_place)).collect();
    assert_eq!(places, [(3, 1), (1, 2), (2, 3)]);
}

#[tokio::test]
async fn nobody_is_exact_who_was_stood_in_for() {
    let plugin = PluginRef { name: "rank".into(), version: "1.0.0".into(), digest: String::new() };
    let context = || {
        let Search { catalogue, embedder, .. } = search();
        let job = Arc::new(RecordingJob::default());
        PolicyContext::new("shop".parse().unwrap(), catalogue, embedder, Filter::everything(), job)
    };
    let legs = [leg("a", 1.0, 0..3)];
    let joined = Joined::of(&legs);
    let known = HashMap::new();
    let ranking = || first(&joined.candidates(&legs, &known, &Columns::default(), RESULT_SET), 9);
    let is_exact = |context: &PolicyContext| joined.result_set(&legs, ranking(), RESULT_SET, context).exact;
    assert!(is_exact(&context()));
    let degraded = context();
    degraded.note_degraded(Degraded { plugin, substitute: Substitute::Host, reason: String::new() });
    assert!(!is_exact(&degraded));
    let cut = context();
    assert_eq!(cut.known_words(), Known::Now);
    let exact_after = async |words: &str, k| {
        cut.catalogue.keyword(&cut.tenant, words, &cut.filter, k).await.unwrap();
        is_exact(&cut)
    };
    assert!(exact_after("shoe", 1).await, "nothing was there to be found");
    assert_eq!(cut.known_words(), Known::Lately);
    assert!(exact_after("shoe", 0).await, "that is known");
    assert!(!exact_after("boot", 0).await);
    assert!(!exact_after("coat", 1).await, "those are others");
    assert!(exact_after("boot", 1).await, "the same was asked for more of it");
}

#[tokio::test]
async fn policies_are_given_the_region_of_a_picture_that_is_meant() {
    let given: Arc<Mutex<Vec<Part>>> = Arc::default();
    let seen = given.clone();
    let lineup = ScriptedLineup {
        search: Box::new(move |parts| {
            seen.lock().unwrap().extend(parts.iter().cloned());
            Ok(Vec::new())
        }),
        rank: Box::new(|candidates| Ok(first(candidates, 0))),
        ..ScriptedLineup::default()
    };
    let picture = || RawContent::Image(ppm(8, 4, &[9; 96]));
    for crop in [None, Region::new([0.5, 0.0, 0.5, 1.0])] {
        let job = Arc::new(RecordingJob::default());
        search().run(query(picture(), crop), &lineup, job).await.unwrap();
    }
    let given = given.lock().unwrap();
    let sizes = given.iter().map(|part| match &part.content {
        Content::Image(picture) => (picture.raster.width(), picture.raster.height(), picture.hash.is_some()),
        other => panic!("{other:?}"),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [(8, 4, true), (4, 4, false)]);
}
