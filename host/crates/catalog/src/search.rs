//! The use case that answers a query: legs from the search policies, one order from the ranking policy.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    add_product::stop_if_cancelled,
    failure::Failure,
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    picture::VideoFile,
    policy::{
        Candidates, Columns, Content, Hit, JobHandle, Leg, LegInfo, Matches, Measure, Part, PluginRef,
        Policies, PolicyContext, Ranking,
    },
    port::{ImageDecoder, Store, VideoDecoder},
    product::Product,
    retrieval::Catalogue,
};

/// How many products a client can page through.
pub const RESULT_SET: u32 = 200;
/// Most values counted for one facet.
const MAX_FACET_VALUES: usize = 100;

/// What the use case acts through.
#[derive(Clone)]
pub struct Search {
    /// Turns bytes into pictures.
    pub decoder: Arc<dyn ImageDecoder>,
    /// Reads videos.
    pub video: Arc<dyn VideoDecoder>,
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Who decides.
    pub policies: Arc<dyn Policies>,
    /// What the policies may look up.
    pub catalogue: Arc<dyn Catalogue>,
}

/// What a part of a request holds before it is decoded.
#[derive(Debug, Clone)]
pub enum RawContent {
    /// Words.
    Text(String),
    /// The bytes of a picture.
    Image(Bytes),
    /// A file with a video in it.
    Video(PathBuf),
}

/// One part of a request.
#[derive(Debug, Clone)]
pub struct RawPart {
    /// `text`, `image`, `video`, or a new name that some plugin accepts.
    pub modality: String,
    /// What it holds.
    pub content: RawContent,
    /// How much it counts.
    pub weight: f32,
}

/// An order by a field instead of by relevance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// The field or attribute.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// A query.
#[derive(Debug, Clone)]
pub struct Query {
    /// The shop.
    pub tenant: TenantId,
    /// At least one.
    pub parts: Vec<RawPart>,
    /// Which products may be found at all.
    pub filter: Filter,
    /// The order; by relevance when empty.
    pub sort: Vec<Sort>,
    /// Fields to count the values of.
    pub facets: Vec<String>,
}

/// A match to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The leg it comes from, a place in [`ResultSet::legs`].
    pub leg: u32,
    /// Its rank in that leg among all matches, from 1.
    pub rank: u32,
    /// Cosine or relevance, as the leg measures.
    pub score: f32,
    /// The image that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageHash>,
    /// Where in the query's video, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u32>,
}

/// One found product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Which.
    pub product: ProductId,
    /// The ranking policy's score.
    pub score: f32,
    /// The matches the ranking policy chose to show, best first.
    pub evidence: Vec<Evidence>,
    /// The best match of each leg that found it.
    pub legs: Vec<Evidence>,
    /// What the ranking policy told about this place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A leg, as the answer names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegSummary {
    /// Its name.
    pub name: String,
    /// The modality of the part it answers.
    pub modality: String,
    /// What its scores are.
    pub measure: Measure,
    /// Its weight.
    pub weight: f32,
    /// Number of matches.
    pub hits: u32,
}

/// How often a value occurs in the result set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetCount {
    /// The value.
    pub value: Value,
    /// Number of products.
    pub count: u32,
}

/// The answer to a query: every page, total and facet is taken from this one list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultSet {
    /// Best first.
    pub found: Vec<Found>,
    /// Counts by field.
    #[serde(default)]
    pub facets: HashMap<String, Vec<FacetCount>>,
    /// Where the matches come from.
    pub legs: Vec<LegSummary>,
    /// The plugins that took part.
    pub plugins: Vec<PluginRef>,
}

impl Search {
    /// Answers a query.
    pub async fn run(&self, query: Query, job: Arc<dyn JobHandle>) -> Result<ResultSet, Failure> {
        job.progress(5, "reading the query");
        let parts = try_join_all(query.parts.into_iter().map(|part| self.decode(part))).await?;
        stop_if_cancelled(job.as_ref())?;
        let context =
            PolicyContext::new(query.tenant.clone(), self.catalogue.clone(), query.filter, job.clone());
        job.progress(20, "searching");
        let legs = self.policies.search(&context, parts, RESULT_SET).await?;
        stop_if_cancelled(job.as_ref())?;
        job.progress(80, "ranking");
        let joined = Joined::of(&legs);
        let columns = self.policies.ranking_columns(&query.tenant);
        let known = self.columns(&query.tenant, &joined.products, &columns).await?;
        let ranking = self.policies.rank(&context, joined.candidates(&legs, &known, &columns)).await?;
        let mut set = joined.result_set(&legs, ranking, context.used());
        set.found.truncate(RESULT_SET as usize);
        self.arrange(&query.tenant, &mut set, &query.sort, &query.facets).await?;
        Ok(set)
    }

    async fn decode(&self, part: RawPart) -> Result<Part, Failure> {
        let content = match part.content {
            RawContent::Text(text) => Content::Text(text),
            RawContent::Image(bytes) => Content::Image(Arc::new(self.decoder.decode(bytes).await?)),
            RawContent::Video(path) => {
                let info = self.video.probe(&path).await?;
                Content::Video(Arc::new(VideoFile { path, info }))
            }
        };
        Ok(Part { modality: part.modality, content, weight: part.weight })
    }

    async fn columns(
        &self,
        tenant: &TenantId,
        ids: &[ProductId],
        columns: &Columns,
    ) -> Result<HashMap<ProductId, Product>, Failure> {
        if columns.is_empty() || ids.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(self.by_id(tenant, ids).await?)
    }

    async fn by_id(
        &self,
        tenant: &TenantId,
        ids: &[ProductId],
    ) -> crate::PortResult<HashMap<ProductId, Product>> {
        let products = self.store.products(tenant, ids).await?;
        Ok(products.into_iter().map(|product| (product.id.clone(), product)).collect())
    }

    /// Sorts by fields and counts facets, when asked to.
    async fn arrange(
        &self,
        tenant: &TenantId,
        set: &mut ResultSet,
        sort: &[Sort],
        facets: &[String],
    ) -> Result<(), Failure> {
        if sort.is_empty() && facets.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = set.found.iter().map(|found| found.product.clone()).collect();
        let products = self.by_id(tenant, &ids).await?;
        // A product that was deleted meanwhile belongs to no page, total or facet.
        set.found.retain(|found| products.contains_key(&found.product));
        set.found.sort_by(|a, b| {
            let by_field = |sort: &Sort| {
                let value = |found: &Found| products[&found.product].details.field(&sort.field);
                compare_missing_last(value(a).as_ref(), value(b).as_ref(), sort.descending)
            };
            sort.iter().map(by_field).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        for field in facets {
            let values = set.found.iter().filter_map(|found| products[&found.product].details.field(field));
            set.facets.insert(field.clone(), count_values(values));
        }
        Ok(())
    }
}

fn compare_missing_last(a: Option<&Value>, b: Option<&Value>, descending: bool) -> std::cmp::Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none().cmp(&b.is_none());
    };
    let order = match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text_of(a).cmp(&text_of(b)),
    };
    if descending { order.reverse() } else { order }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Counts values, most frequent first; each entry of a list counts.
fn count_values(values: impl Iterator<Item = Value>) -> Vec<FacetCount> {
    let mut counts: HashMap<String, FacetCount> = HashMap::new();
    let scalars = values.flat_map(|value| match value {
        Value::Array(entries) => entries,
        scalar => vec![scalar],
    });
    for value in scalars {
        counts.entry(value.to_string()).or_insert(FacetCount { value, count: 0 }).count += 1;
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| text_of(&a.value).cmp(&text_of(&b.value))));
    counts.truncate(MAX_FACET_VALUES);
    counts
}

/// The legs of a query joined over their products.
struct Joined {
    products: Vec<ProductId>,
    matches: Matches,
    /// The rank of each match in its leg, from 1.
    ranks: Vec<u32>,
}

impl Joined {
    fn of(legs: &[Leg]) -> Self {
        let mut products = Numbered::default();
        let mut images = Numbered::default();
        let mut matches = Matches::default();
        let mut ranks = Vec::new();
        for (place, leg) in (0..).zip(legs) {
            for (rank, hit) in (1..).zip(&leg.hits) {
                matches.legs.push(place);
                matches.products.push(products.number(&hit.product));
                matches.images.push(hit.image.map_or(u32::MAX, |image| images.number(&image)));
                matches.scores.push(hit.score);
                ranks.push(rank);
            }
        }
        Self { products: products.items, matches, ranks }
    }

    fn candidates(&self, legs: &[Leg], known: &HashMap<ProductId, Product>, columns: &Columns) -> Candidates {
        let field =
            |id: &ProductId, name: &str| known.get(id).and_then(|product| product.details.field(name));
        let number = |name: &String| {
            let value = |id| field(id, name).and_then(|value| value.as_f64()).unwrap_or(f64::NAN);
            (name.clone(), self.products.iter().map(value).collect())
        };
        let text = |name: &String| {
            let value = |id| field(id, name).map(|value| text_of(&value));
            (name.clone(), self.products.iter().map(value).collect())
        };
        let leg = |leg: &Leg| LegInfo {
            name: leg.name.clone(),
            modality: leg.modality.clone(),
            measure: leg.measure,
            weight: leg.weight,
        };
        Candidates {
            legs: legs.iter().map(leg).collect(),
            product_count: self.products.len() as u32,
            matches: self.matches.clone(),
            numbers: columns.numbers.iter().map(number).collect(),
            texts: columns.texts.iter().map(text).collect(),
            limit: RESULT_SET,
        }
    }

    fn result_set(&self, legs: &[Leg], ranking: Ranking, plugins: Vec<PluginRef>) -> ResultSet {
        let hits: Vec<&Hit> = legs.iter().flat_map(|leg| &leg.hits).collect();
        let evidence = |place: usize| Evidence {
            leg: self.matches.legs[place],
            rank: self.ranks[place],
            score: hits[place].score,
            image: hits[place].image,
            at_ms: hits[place].at_ms,
        };
        let mut best: HashMap<u32, Vec<Evidence>> = HashMap::new();
        for place in 0..hits.len() {
            let of_product = best.entry(self.matches.products[place]).or_default();
            // Matches come leg by leg and best first: the first of a leg is its best.
            if of_product.last().is_none_or(|last| last.leg != self.matches.legs[place]) {
                of_product.push(evidence(place));
            }
        }
        let mut notes: HashMap<u32, Vec<String>> = HashMap::new();
        for (place, note) in ranking.notes {
            notes.entry(place).or_default().push(note);
        }
        let found = (0..).zip(ranking.products).map(|(place, ranked)| Found {
            product: self.products[ranked.product as usize].clone(),
            score: ranked.score,
            evidence: ranked.evidence.iter().map(|place| evidence(*place as usize)).collect(),
            legs: best.remove(&ranked.product).unwrap_or_default(),
            notes: notes.remove(&place).unwrap_or_default(),
        });
        let summary = |leg: &Leg| LegSummary {
            name: leg.name.clone(),
            modality: leg.modality.clone(),
            measure: leg.measure,
            weight: leg.weight,
            hits: leg.hits.len() as u32,
        };
        ResultSet {
            found: found.collect(),
            facets: HashMap::new(),
            legs: legs.iter().map(summary).collect(),
            plugins,
        }
    }
}

/// Numbers distinct things in the order of their first appearance.
struct Numbered<T> {
    numbers: HashMap<T, u32>,
    items: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), items: Vec::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    fn number(&mut self, item: &T) -> u32 {
        if let Some(number) = self.numbers.get(item) {
            return *number;
        }
        let number = self.items.len() as u32;
        self.numbers.insert(item.clone(), number);
        self.items.push(item.clone());
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(name: &str, products: &[&str]) -> Leg {
        let hit = |id: &&str| Hit { product: id.parse().unwrap(), image: None, score: 0.5, at_ms: None };
        Leg {
            name: name.into(),
            modality: "text".into(),
            measure: Measure::Cosine,
            weight: 1.0,
            hits: products.iter().map(hit).collect(),
        }
    }

    #[test]
    fn legs_are_joined_over_their_products() {
        let joined = Joined::of(&[leg("a", &["p1", "p2", "p1"]), leg("b", &["p2", "p3"])]);
        assert_eq!(joined.matches.products, [0, 1, 0, 1, 2]);
        assert_eq!(joined.matches.legs, [0, 0, 0, 1, 1]);
        assert_eq!(joined.ranks, [1, 2, 3, 1, 2]);
        assert_eq!(joined.products.len(), 3);
    }

    #[test]
    fn a_product_without_the_sorted_field_comes_last_in_both_directions() {
        let (two, ten) = (Value::from(2), Value::from(10));
        assert!(compare_missing_last(Some(&two), None, true).is_lt());
        assert!(compare_missing_last(None, Some(&two), false).is_gt());
        assert!(compare_missing_last(Some(&two), Some(&ten), true).is_gt());
    }

    #[test]
    fn each_entry_of_a_list_counts_in_a_facet() {
        let counts = count_values([serde_json::json!(["41", "42"]), serde_json::json!("42")].into_iter());
        assert_eq!(counts[0], FacetCount { value: "42".into(), count: 2 });
        assert_eq!(counts.len(), 2);
    }
}
