//! The pages of a search's result set: what a client sees of a finished search.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use taja_catalog::{
    Product,
    policy::Measure,
    port::Variant,
    search::{Evidence, FUSION_K, Found, ResultSet},
};
use taja_queue::{JobId, JobRecord};

use super::{Problem, Shared, jobs::ReadOptions, search::MAX_LIMIT};
use crate::jobs::SearchJob;

/// One page of a finished search, its products as they are now.
pub async fn render(app: &Shared, job: &JobRecord, options: &ReadOptions) -> Result<Value, Problem> {
    let query = SearchJob::deserialize(&job.payload).map_err(|error| Problem::internal(&error))?;
    let Some(result) = &job.result else { return Ok(Value::Null) };
    let set: ResultSet = result.read().map_err(|error| Problem::internal(&error))?;
    let limit = options.limit.unwrap_or(query.limit);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::field("limit", format!("is not a number from 1 to {MAX_LIMIT}")));
    }
    let start = options.cursor.as_deref().map_or(Ok(0), |cursor| read_cursor(cursor, job.id))?;
    let page: Vec<&Found> = set.found.iter().skip(start).take(limit as usize).collect();
    let ids = page.iter().flat_map(|found| std::iter::once(&found.product).chain(&found.variants));
    let ids: Vec<_> = ids.cloned().collect();
    let tenant = job.tenant.parse().map_err(|error| Problem::internal(&error))?;
    let products = app.store.products(&tenant, &ids).await?;
    let products: BTreeMap<_, _> = products.iter().map(|product| (&product.id, product)).collect();
    let one = |found: &&Found| {
        let mut row = one_match(app, products.get(&found.product)?, found, &set, query.explain);
        if query.group {
            let variants = found.variants.iter().filter_map(|id| products.get(id));
            row["variants"] = variants.map(|product| of_product(app, product)).collect();
        }
        Some(row)
    };
    let mut body = json!({
        "matches": page.iter().filter_map(one).collect::<Vec<_>>(),
        "total": set.found.len(),
        "counts": counts(&set),
        "plugins": set.plugins,
        "model": set.model,
    });
    if query.replayable {
        for (plugin, settings) in body["plugins"].as_array_mut().into_iter().flatten().zip(&set.settings) {
            plugin["settings"] = settings.clone();
        }
    }
    if !set.degraded.is_empty() {
        body["degraded"] = json!(set.degraded);
    }
    if let Some(meant) = &set.did_you_mean {
        body["did_you_mean"] = meant.as_str().into();
    }
    if let Some(recording) = &set.recording {
        body["recording"] = recording.as_str().into();
    }
    let gone: Vec<_> =
        page.iter().map(|found| &found.product).filter(|id| !products.contains_key(id)).collect();
    if !gone.is_empty() {
        body["gone"] = json!(gone);
    }
    let end = start + page.len();
    if end < set.found.len() {
        body["next"] = write_cursor(job.id, end).into();
    }
    if !query.facets.is_empty() {
        body["facets"] = json!(set.facets);
    }
    if query.explain {
        body["legs"] = json!(set.legs);
        body["explain"] = explained(&query, &set);
    }
    Ok(body)
}

/// Whether the total and each facet count everything that the query found, or what is left of it at some limit.
fn counts(set: &ResultSet) -> Value {
    let word = |exact: bool| if exact { "exact" } else { "capped" };
    let facet = |field: &String| word(set.exact && !set.capped_facets.contains(field));
    let facets: BTreeMap<_, _> = set.facets.keys().map(|field| (field, facet(field))).collect();
    json!({ "total": word(set.exact), "facets": facets })
}

/// How the result set came to be: what was asked, part by part, how many products there were to rank, how many of those are
/// not shown and why. `baseline` is what matches are compared with: the legs fused by the host in one fixed way, whichever
/// way the ranking has. The recording holds the rest, when there is one.
fn explained(query: &SearchJob, set: &ResultSet) -> Value {
    let shown: usize = set.found.iter().map(|found| 1 + found.variants.len()).sum();
    json!({
        "parts": query.parts,
        "filter": query.filter,
        "sort": query.sort,
        "candidates": set.candidates,
        "left_out": (set.candidates as usize).saturating_sub(shown),
        "left_out_by": set.left_out,
        "baseline": { "method": "reciprocal_rank", "k": FUSION_K },
    })
}

fn one_match(app: &Shared, product: &Product, found: &Found, set: &ResultSet, explain: bool) -> Value {
    let evidence = |evidence: &Evidence| matched_image(app, product, evidence, set);
    let mut row = of_product(app, product);
    row["matched_images"] = found.evidence.iter().filter_map(evidence).collect();
    row["score"] = json!(found.score);
    if explain {
        let leg = |evidence: &Evidence| {
            json!({
                "leg": set.legs[evidence.leg as usize].name,
                "rank": evidence.rank,
                "score": evidence.score,
                "image_hash": evidence.image,
                "timestamp_ms": evidence.at_ms,
            })
        };
        row["explain"] = json!({
            "legs": found.legs.iter().map(leg).collect::<Vec<_>>(),
            "shown": found.evidence.iter().map(leg).collect::<Vec<_>>(),
            "ranked_place": found.ranked_place,
            "ranked_score": found.score,
            "baseline_place": found.fused.place,
            "baseline_score": found.fused.score,
            "notes": found.notes,
        });
    }
    row
}

/// A product as every answer shows it: what its shop says of it, and where its pictures are.
pub fn of_product(app: &Shared, product: &Product) -> Value {
    let images = || product.images.iter();
    let mut row = serde_json::to_value(&product.details).unwrap_or_default();
    row["product_id"] = json!(product.id);
    row["category"] = json!(product.details.category);
    row["thumbnail_urls"] = images().map(|image| smaller(app, &image.url, Variant::Thumbnail)).collect();
    row["card_urls"] = images().map(|image| smaller(app, &image.url, Variant::Card)).collect();
    if !product.offers.is_empty() {
        row["offers"] = json!(product.offers);
    }
    row["image_urls"] = images().map(|image| Value::from(app.absolute_url(&image.url))).collect();
    row
}

/// The address of a smaller version, or of the picture itself where the image host makes none.
pub fn smaller(app: &Shared, url: &str, variant: Variant) -> Value {
    app.images.variant(url, variant).unwrap_or_else(|| app.absolute_url(url)).into()
}

/// An image that matched, with the cosine; keyword matches show no image.
fn matched_image(app: &Shared, product: &Product, evidence: &Evidence, set: &ResultSet) -> Option<Value> {
    let hash = evidence.image?;
    let leg = set.legs.get(evidence.leg as usize).filter(|leg| leg.measure == Measure::Cosine)?;
    let image = product.images.iter().find(|image| image.hash == hash)?;
    let mut row = json!({
        "image_url": app.absolute_url(&image.url),
        "image_hash": hash,
        "similarity": evidence.score,
        "modality": leg.modality,
    });
    if let Some(at_ms) = evidence.at_ms {
        row["timestamp_ms"] = at_ms.into();
    }
    Some(row)
}

/// A cursor is bound to its result set: the job, and the place in it.
fn write_cursor(job: JobId, place: usize) -> String {
    format!("{}{place:x}", job.to_string().replace('-', ""))
}

pub(super) fn read_cursor(cursor: &str, job: JobId) -> Result<usize, Problem> {
    let place = cursor.strip_prefix(&job.to_string().replace('-', ""));
    place
        .and_then(|place| usize::from_str_radix(place, 16).ok())
        .ok_or_else(|| Problem::field("cursor", "does not belong to this result"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_result_is_refused() {
        let (job, other) = (JobId::new(), JobId::new());
        assert_eq!(read_cursor(&write_cursor(job, 30), job).unwrap(), 30);
        assert!(read_cursor(&write_cursor(job, 30), other).is_err());
        assert!(read_cursor("", job).is_err());
    }
}
