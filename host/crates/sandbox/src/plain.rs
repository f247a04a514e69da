//! What the host does when no policy can: the plainest search and the plainest order.

use std::{collections::HashMap, sync::Arc};

use taja_catalog::{
    Embedding, FramePlan,
    policy::{Candidates, Content, Hit, Leg, Measure, Part, Ranked, Ranking},
};

use crate::{
    answer::ranking::Asked,
    bindings::rank::exports::taja::plugin::ranking as guest,
    state::{Ports, Session},
};

/// The constant of reciprocal-rank fusion (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009).
const K: f32 = 60.0;
/// Frames that a video is searched by.
const FRAMES: u32 = 8;
/// Half each, so that words count as much as a picture.
const LEG_OF_TEXT: f32 = 0.5;

/// The order without any policy: product numbers, best first.
pub fn plain_order(candidates: &Candidates) -> Vec<u32> {
    let asked = Asked::new(candidates.clone(), false);
    ranking(&asked.guest).products.iter().map(|ranked| ranked.product).collect()
}

/// Reciprocal-rank fusion of the legs by their weights. Products keep the order of their numbers where they tie.
pub(crate) fn ranking(candidates: &guest::Candidates) -> Ranking {
    let count = candidates.product_count as usize;
    let mut ranked: Vec<Ranked> = (0..candidates.product_count)
        .map(|product| Ranked { product, score: 0.0, evidence: Vec::new() })
        .collect();
    // The places that each leg has given away, and the last leg that ranked each product.
    let mut places: HashMap<u32, u32> = HashMap::new();
    let mut counted = vec![u32::MAX; count];
    let matches = &candidates.matches;
    for (row, (&leg, &product)) in (0..).zip(matches.legs.iter().zip(&matches.products)) {
        let of_product = &mut ranked[product as usize];
        of_product.evidence.push(row);
        if counted[product as usize] == leg {
            continue;
        }
        counted[product as usize] = leg;
        let place = places.entry(leg).or_default();
        *place += 1;
        let weight = candidates.legs.get(leg as usize).map_or(1.0, |leg| leg.weight);
        of_product.score += weight / (K + *place as f32);
    }
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ranking { products: ranked, notes: Vec::new() }
}

/// Nearest images for what can be embedded, and keywords for words. None when some part is of a kind that only its
/// policy knows, or the host cannot look.
pub(crate) async fn legs(session: &Session, ports: &Ports, parts: &[Part], limit: u32) -> Option<Vec<Leg>> {
    let mut legs = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let leg = |what: &str, measure, weight: f32, hits| Leg {
            name: format!("plain-{what}-{place}"),
            modality: part.modality.clone(),
            measure,
            weight: part.weight * weight,
            hits,
        };
        match &part.content {
            Content::Text(text) if part.modality == "text" => {
                let vectors =
                    session.embedder.texts(&session.tenant, std::slice::from_ref(text)).await.ok()?;
                let nearest = nearest(session, &vectors, &[None], limit).await?;
                legs.push(leg("vector", Measure::Cosine, LEG_OF_TEXT, nearest));
                let found = session.catalogue.keyword(&session.tenant, text, &session.filter, limit as usize);
                let hit = |(product, score)| Hit { product, image: None, score, at_ms: None };
                let words = found.await.ok()?.into_iter().map(hit).collect();
                legs.push(leg("keyword", Measure::Relevance, LEG_OF_TEXT, words));
            }
            Content::Image(picture) => {
                let vectors = session.embedder.images(&session.tenant, &[Arc::clone(picture)]).await.ok()?;
                let nearest = nearest(session, &vectors, &[None], limit).await?;
                legs.push(leg("vector", Measure::Cosine, 1.0, nearest));
            }
            Content::Video(video) => {
                let frames = ports.video.frames(video, FramePlan::Uniform { frames: FRAMES }).await.ok()?;
                let times: Vec<_> = frames.iter().map(|frame| Some(frame.timestamp_ms)).collect();
                let pictures: Vec<_> = frames.into_iter().map(|frame| Arc::new(frame.picture)).collect();
                let vectors = session.embedder.images(&session.tenant, &pictures).await.ok()?;
                let nearest = nearest(session, &vectors, &times, limit).await?;
                legs.push(leg("vector", Measure::Cosine, 1.0, nearest));
            }
            Content::Text(_) => return None,
        }
    }
    Some(legs)
}

async fn nearest(
    session: &Session,
    vectors: &[Embedding],
    times: &[Option<u32>],
    limit: u32,
) -> Option<Vec<Hit>> {
    let found =
        session.catalogue.nearest(&session.tenant, vectors, &session.filter, limit as usize).await.ok()?;
    let of_query = |(neighbours, at_ms): (Vec<taja_catalog::port::Neighbour>, &Option<u32>)| {
        let at_ms = *at_ms;
        neighbours.into_iter().map(move |neighbour| Hit {
            product: neighbour.product,
            image: Some(neighbour.image),
            score: neighbour.score,
            at_ms,
        })
    };
    let mut hits: Vec<Hit> = found.into_iter().zip(times).flat_map(of_query).collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    hits.truncate(limit as usize);
    Some(hits)
}
