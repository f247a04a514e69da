//! The use case that answers a query: legs from the search policies, one order from the ranking policy.

mod arrange;
mod facet;
mod fold;
mod joined;

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{arrange::count_values, facet::count_ranges, joined::Joined};
pub use self::{
    facet::{Facet, FacetCount, MAX_RANGES, Range},
    joined::FUSION_K,
};
pub use crate::order::Sort;
use crate::{
    add_product::stop_if_cancelled,
    failure::Failure,
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    order::SortKey,
    picture::{Region, VideoFile},
    policy::{
        Candidates, Columns, Content, Degraded, JobHandle, Leg, Lineup, Measure, Part, PluginRef,
        PolicyContext,
    },
    port::{Embedder, ImageDecoder, Store, VideoDecoder},
    product::{Filterable, Product},
    recording::Tape,
    retrieval::Catalogue,
};

/// Whole days since 1970-01-01 UTC, as rankings are told.
pub fn today() -> u32 {
    // Before 1970 it is that day, and in the year 11,000,000 the last one.
    u32::try_from(Timestamp::now().as_second().max(0) / 86_400).unwrap_or(u32::MAX)
}

/// What a ranking policy gets of these legs: the distinct products by their numbers, and the candidates.
pub fn candidates(
    legs: &[Leg],
    known: &HashMap<ProductId, Product>,
    columns: &Columns,
) -> (Vec<ProductId>, Candidates) {
    let joined = Joined::of(legs);
    let candidates = joined.candidates(legs, known, columns, RESULT_SET);
    (joined.products.things().to_vec(), candidates)
}

/// How many products a client can page through, by relevance.
pub const RESULT_SET: u32 = 200;
/// How many in the order of fields, or of all that passes a filter: what comes after the first 200 is not less wanted there.
pub const ORDERED_SET: u32 = 1000;

/// What the use case acts through.
#[derive(Clone)]
pub struct Search {
    /// Turns bytes into pictures.
    pub decoder: Arc<dyn ImageDecoder>,
    /// Reads videos.
    pub video: Arc<dyn VideoDecoder>,
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What the policies may look up.
    pub catalogue: Arc<dyn Catalogue>,
    /// The model that the catalogue's vectors are of.
    pub embedder: Arc<dyn Embedder>,
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
    /// The region of a picture that is meant; all of it when there is none. Other parts have none.
    pub crop: Option<Region>,
    /// How much it counts; with the sign of a negative number where the results should be unlike it.
    pub weight: f32,
}

/// A query.
#[derive(Debug, Clone)]
pub struct Query {
    /// The shop.
    pub tenant: TenantId,
    /// What is looked for. Where there is nothing, all that passes the filter is found, and no policy is asked.
    pub parts: Vec<RawPart>,
    /// Which products may be found at all.
    pub filter: Filter,
    /// The order; when empty by relevance, or newest first where nothing is looked for.
    pub sort: Vec<Sort>,
    /// What to count.
    pub facets: Vec<Facet>,
    /// Whether products of one group (`item_group_id`) are one match: the best of them, with the others as its variants.
    pub group: bool,
    /// Records what the policies are given, ask and answer.
    pub tape: Option<Arc<Tape>>,
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
    /// The place that the ranking policy gave it, from 1; 0 in results that are older.
    #[serde(default)]
    pub ranked_place: u32,
    /// What the legs alone would give it; nothing in results that are older.
    #[serde(default)]
    pub fused: Fused,
    /// The matches the ranking policy chose to show, best first.
    pub evidence: Vec<Evidence>,
    /// The best match of each leg that found it.
    pub legs: Vec<Evidence>,
    /// What the ranking policy told about this place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Found products of the same group, best first and without this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<ProductId>,
}

impl Found {
    /// A product that nobody ranked.
    fn unranked(product: ProductId) -> Self {
        Self {
            product,
            score: 0.0,
            ranked_place: 0,
            fused: Fused::default(),
            evidence: Vec::new(),
            legs: Vec::new(),
            notes: Vec::new(),
            variants: Vec::new(),
        }
    }

    /// The product and its variants.
    fn products(&self) -> impl Iterator<Item = &ProductId> {
        std::iter::once(&self.product).chain(&self.variants)
    }
}

/// What a product would get of the legs alone, by reciprocal-rank fusion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Fused {
    /// Its place, from 1.
    pub place: u32,
    /// The sum over the legs of `weight / (k + rank)`, where `k` is [`FUSION_K`] and ranks count products.
    pub score: f64,
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
    /// Its weight; with the sign of a negative number where its matches count against a product.
    pub weight: f32,
    /// Number of matches.
    pub hits: u32,
}

/// Why products that legs brought are not in a result set: how many for each reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The ranking policy did not place them, for a threshold or a rule of its own.
    pub ranking: u32,
    /// The ranking filled all of the result set; which of them it would have left out anyway is not known.
    pub limit: u32,
    /// They were deleted while the search ran.
    pub deleted: u32,
}

/// The answer to a query: every page, total and facet is taken from this one list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultSet {
    /// Best first.
    pub found: Vec<Found>,
    /// Whether every product is in it that the query found: no look-up was cut at its length, nothing went beyond
    /// [`RESULT_SET`] or [`ORDERED_SET`], and nobody stood in for a policy.
    #[serde(default)]
    pub exact: bool,
    /// How many products there were to rank.
    #[serde(default)]
    pub candidates: u32,
    /// How many of those are not in it, and why.
    #[serde(default)]
    pub left_out: LeftOut,
    /// Counts by field.
    #[serde(default)]
    pub facets: HashMap<String, Vec<FacetCount>>,
    /// Fields with more values than are counted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capped_facets: BTreeSet<String>,
    /// Where the matches come from.
    pub legs: Vec<LegSummary>,
    /// The plugins that took part.
    pub plugins: Vec<PluginRef>,
    /// The settings that each of them saw, in the same order; nothing where the search is not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Value>,
    /// The space of the vectors that were compared.
    #[serde(default)]
    pub model: String,
    /// The words of the query as they were likely meant, where the shop does not have them as they were typed, and has those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// What it was recorded as, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// Policies that failed, and what was done instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// What a shopper typed of what the results should be like, when it is one text.
fn typed(parts: &[RawPart]) -> Option<&str> {
    let wanted = parts.iter().filter(|part| !part.weight.is_sign_negative());
    let mut texts = wanted.filter_map(|part| match &part.content {
        RawContent::Text(text) if part.modality == "text" => Some(text.as_str()),
        _ => None,
    });
    texts.next().filter(|_| texts.next().is_none())
}

impl Search {
    /// Answers a query with the policies of this lineup.
    pub async fn run(
        &self,
        query: Query,
        lineup: &dyn Lineup,
        job: Arc<dyn JobHandle>,
    ) -> Result<ResultSet, Failure> {
        job.progress(5, "reading the query");
        if query.parts.is_empty() {
            return self.browse(query, job.as_ref()).await;
        }
        let limit = if query.sort.is_empty() { RESULT_SET } else { ORDERED_SET };
        let typed = typed(&query.parts).map(ToOwned::to_owned);
        let parts = try_join_all(query.parts.into_iter().map(|part| self.decode(part))).await?;
        stop_if_cancelled(job.as_ref())?;
        let (catalogue, embedder) = (self.catalogue.clone(), self.embedder.clone());
        let mut context =
            PolicyContext::new(query.tenant.clone(), catalogue, embedder, query.filter, job.clone());
        context.tape = query.tape;
        job.progress(20, "searching");
        let legs = lineup.search(&context, parts, limit).await?;
        stop_if_cancelled(job.as_ref())?;
        job.progress(80, "ranking");
        let joined = Joined::of(&legs);
        let columns = lineup.ranking_columns();
        let known = self.columns(&query.tenant, joined.products.things(), &columns).await?;
        let candidates = joined.candidates(&legs, &known, &columns, limit);
        let ranking = lineup.rank(&context, candidates).await?;
        let mut set = joined.result_set(&legs, ranking, limit, &context);
        if let Some(typed) = typed {
            let (filter, known) = (&context.filter, context.known_words());
            set.did_you_mean = self.catalogue.respelled(&query.tenant, &typed, filter, known).await?;
        }
        self.arrange(&query.tenant, &mut set, &query.sort, &query.facets, query.group).await?;
        Ok(set)
    }

    /// Answers with what passes the filter. The first that come are asked for by the filter alone, which an index leads to where
    /// few pass; only of more than a result set holds the store has to find those that come first.
    async fn browse(&self, query: Query, job: &dyn JobHandle) -> Result<ResultSet, Failure> {
        let Query { tenant, filter, sort, facets, group, .. } = query;
        let most = ORDERED_SET as usize;
        job.progress(20, "searching");
        let mut products = self.store.matching(&tenant, &filter, most + 1).await?;
        let exact = products.len() <= most;
        stop_if_cancelled(job)?;
        if !exact && !sort.is_empty() {
            products = self.store.sorted(&tenant, &filter, &sort, most).await?;
        }
        products.truncate(most);
        let candidates = products.len() as u32;
        let found = products.into_iter().map(Found::unranked).collect();
        let model = self.embedder.space().id.clone();
        let mut set = ResultSet { found, exact, candidates, model, ..ResultSet::default() };
        self.arrange(&tenant, &mut set, &sort, &facets, group).await?;
        Ok(set)
    }

    async fn decode(&self, part: RawPart) -> Result<Part, Failure> {
        let content = match part.content {
            RawContent::Text(text) => Content::Text(text),
            RawContent::Image(bytes) => {
                let picture = self.decoder.decode(bytes).await?;
                Content::Image(Arc::new(match part.crop {
                    Some(region) => self.decoder.cut(picture, region).await?,
                    None => picture,
                }))
            }
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

    /// Sorts by fields, folds groups and counts facets, when asked to.
    async fn arrange(
        &self,
        tenant: &TenantId,
        set: &mut ResultSet,
        sort: &[Sort],
        facets: &[Facet],
        group: bool,
    ) -> Result<(), Failure> {
        if sort.is_empty() && facets.is_empty() && !group {
            return Ok(());
        }
        let ids: Vec<_> = set.found.iter().map(|found| found.product.clone()).collect();
        let products = self.by_id(tenant, &ids).await?;
        // A product that was deleted meanwhile belongs to no page, total or facet.
        set.found.retain(|found| products.contains_key(&found.product));
        set.left_out.deleted = (ids.len() - set.found.len()) as u32;
        if !sort.is_empty() {
            set.found.sort_by_cached_key(|found| SortKey::of(sort, &products[&found.product]));
        }
        if group {
            fold::groups(&mut set.found, |id| products[id].details.item_group_id.as_deref());
        }
        for facet in facets {
            let field = facet.field().to_owned();
            let value = |id: &ProductId| Filterable::from(&products[id]).field(&field);
            let values = set.found.iter().map(|found| found.products().filter_map(value));
            let (counts, is_whole) = match facet {
                Facet::Values(_) => count_values(values),
                Facet::Ranges { ranges, .. } => (count_ranges(ranges, values), true),
            };
            if !is_whole {
                set.capped_facets.insert(field.clone());
            }
            set.facets.entry(field).or_default().extend(counts);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
