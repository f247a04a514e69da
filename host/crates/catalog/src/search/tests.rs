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
    let store = Arc::new(InMemoryStore::default());
    let embedder = Arc::new(FakeEmbedder::default());
    let index = Arc::new(InMemoryIndex::new(embedder.space().dimension));
    let catalogue = Arc::new(Retrieval::new(store.clone(), index));
    Search { decoder: Arc::new(PpmDecoder), video: Arc::new(NoVideos), store, catalogue, embedder }
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
    let ranking = || first(&joined.candidates(&legs, &HashMap::new(), &Columns::default()), 9);
    assert!(joined.result_set(&legs, ranking(), &context()).exact);
    let degraded = context();
    degraded.note_degraded(Degraded { plugin, substitute: Substitute::Host, reason: String::new() });
    assert!(!joined.result_set(&legs, ranking(), &degraded).exact);
    let cut = context();
    assert_eq!(cut.known_words(), Known::Now);
    let exact_after = async |words: &str, k| {
        cut.catalogue.keyword(&cut.tenant, words, &cut.filter, k).await.unwrap();
        joined.result_set(&legs, ranking(), &cut).exact
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
