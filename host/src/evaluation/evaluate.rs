//! The use case that measures a version of a policy beside the one that serves, by judgements that the service keeps. It asks
//! as a search does that chooses its policies: nothing kept answers, and nothing is kept or counted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use taja_catalog::{
    Blame, Failure, JudgementSetId, ProductId, TenantId,
    access::AccessStore,
    judgements::JudgementSet,
    plugins::{Choice, Slot},
    policy::{Chosen, JobHandle, Lineup, PluginRef, Policies},
    port::VectorIndex,
    search::{Found, Query, RawContent, RawPart, ResultSet, Search},
};

use super::{
    bootstrap::Interval,
    figures::{Answer, Figure, PLACES, figures, samples, worse},
    judgements::{Judged, Judgements},
};
use crate::{
    http::text_search,
    jobs::{EvaluateJob, SearchJob, StagedContent, read_filter},
};

/// Products that all queries of a set may judge relevant, counted once for each query. All of them are in memory until the end.
const MOST_RELEVANT: usize = 50_000;
/// Failed queries that are told one by one.
const TOLD_FAILURES: usize = 5;

/// What the use case acts through.
pub struct Evaluate {
    /// Answers the queries, without haste.
    pub search: Search,
    /// Where it finds.
    pub index: Arc<dyn VectorIndex>,
    /// Who decides.
    pub policies: Arc<dyn Policies>,
    /// Who keeps the judgements.
    pub judgements: Arc<dyn AccessStore>,
}

/// Whether a version finds less than the one that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its nDCG is not lower beyond what chance explains.
    NoWorse,
    /// It is.
    Worse,
}

/// How a version did beside the one that serves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// Whether it finds less.
    pub verdict: Verdict,
    /// The slot that both would fill.
    pub slot: Slot,
    /// What it was measured by.
    pub judgements: JudgedBy,
    /// What served when it was asked for.
    pub live: Column,
    /// The version, with the differences of its figures to those.
    pub candidate: Column,
    /// Every policy that took part.
    pub plugins: Vec<PluginRef>,
    /// The space of the vectors that were compared.
    pub model: String,
    /// The version of the shop's catalogue when it began.
    pub catalogue_version: u64,
    /// When it began.
    pub began_at: Timestamp,
}

impl Evaluation {
    /// Why the version should not serve, for people.
    pub fn speaks_against(&self) -> Option<String> {
        let Interval { value, low, high } = worse(&self.candidate.figures)?;
        Some(format!(
            "its nDCG@{PLACES} is below that of what serves by {:.3} (95 % between {:.3} and {:.3})",
            -value, -high, -low
        ))
    }
}

/// The judgements of an evaluation.
#[derive(Debug, Serialize, Deserialize)]
pub struct JudgedBy {
    /// The set.
    pub set: JudgementSetId,
    /// SHA-256 of its lines.
    pub digest: String,
    /// Queries that were asked.
    pub queries: usize,
    /// Those that were not, because no product of the catalogue is relevant.
    pub left_out: usize,
}

/// One side of an evaluation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Column {
    /// The version and its settings; none where nothing fills the slot.
    pub choice: Option<Choice>,
    /// Queries that failed, or that somebody else answered in the place of the choice; they found nothing.
    pub failed: usize,
    /// Why, of the first of them.
    pub failures: Vec<String>,
    /// Answers in which somebody stood in for another policy.
    pub degraded: usize,
    /// nDCG first.
    pub figures: Vec<Figure>,
}

impl Evaluate {
    /// Asks each query of both sides, beginning with the other one every time. One that the client or a policy is to blame
    /// for counts as one that found nothing; of any other failure nothing is concluded.
    pub async fn run(
        &self,
        tenant: &TenantId,
        asked: EvaluateJob,
        job: Arc<dyn JobHandle>,
    ) -> Result<Evaluation, Failure> {
        let began_at = Timestamp::now();
        let (set, judgements) = self.judgements(tenant, &asked.judgements).await?;
        let catalogue_version = self.search.store.version(tenant).await?;
        self.index.reach(tenant, catalogue_version).await;
        let mut sides = [
            self.side(tenant, &asked.slot, asked.live).await?,
            self.side(tenant, &asked.slot, Some(asked.candidate)).await?,
        ];
        let mut relevant = Relevant::default();
        let (mut queries, total) = (0, judgements.queries.len());
        for (number, judged) in judgements.queries.iter().enumerate() {
            job.progress((number * 95 / total) as u8, &format!("{number} of {total} queries"));
            let grades = relevant.of(self, tenant, judged).await?;
            if grades.is_empty() {
                continue;
            }
            queries += 1;
            for place in 0..sides.len() {
                let side = &mut sides[(number + place) % 2];
                side.ask(&self.search, tenant, judged, grades.clone(), &job).await?;
            }
        }
        job.progress(95, "comparing");
        let [live, candidate] = sides;
        if !(live.found_any() || candidate.found_any()) {
            let first = candidate.failures.first().map(|failure| format!(": {failure}"));
            let why = format!("neither side found a relevant product{}", first.unwrap_or_default());
            return Err(Failure::client("nothing_measured", why));
        }
        let left_out = judgements.left_out + total - queries;
        let (live, candidate, plugins) = compared(live, candidate).await?;
        let verdict = if worse(&candidate.figures).is_some() { Verdict::Worse } else { Verdict::NoWorse };
        let model = self.search.embedder.space().id.clone();
        let judgements = JudgedBy { set: set.id, digest: set.digest, queries, left_out };
        let slot = asked.slot;
        Ok(Evaluation {
            verdict,
            slot,
            judgements,
            live,
            candidate,
            plugins,
            model,
            catalogue_version,
            began_at,
        })
    }

    async fn judgements(
        &self,
        tenant: &TenantId,
        id: &JudgementSetId,
    ) -> Result<(JudgementSet, Judgements), Failure> {
        let kept = self.judgements.judgement_lines(tenant, id).await?;
        let gone = || Failure::client("judgements_gone", format!("there are no judgements {id} any more"));
        let (set, lines) = kept.ok_or_else(gone)?;
        let judgements = Judgements::kept(id.to_string(), &lines);
        let judgements =
            judgements.map_err(|wrong| Failure::client("judgements_invalid", wrong.to_string()))?;
        Ok((set, judgements))
    }

    async fn side(&self, tenant: &TenantId, slot: &Slot, choice: Option<Choice>) -> Result<Side, Failure> {
        let chosen = Chosen(choice.iter().map(|choice| (slot.clone(), choice.clone())).collect());
        let lineup = self.policies.tried(tenant, &chosen).await?;
        Ok(Side {
            choice,
            lineup,
            answers: Vec::new(),
            failures: Vec::new(),
            degraded: 0,
            plugins: Vec::new(),
        })
    }
}

/// What is relevant to queries.
#[derive(Default)]
struct Relevant {
    /// Products by filter, which every query of a class has in common.
    filters: HashMap<String, BTreeSet<String>>,
    count: usize,
}

impl Relevant {
    async fn of(
        &mut self,
        case: &Evaluate,
        tenant: &TenantId,
        judged: &Judged,
    ) -> Result<BTreeMap<String, u8>, Failure> {
        for (filter, _) in &judged.relevant_where {
            if let Entry::Vacant(place) = self.filters.entry(filter.to_string()) {
                let filter = read_filter(filter)?;
                let products = case.search.store.matching(tenant, &filter, MOST_RELEVANT + 1).await?;
                place.insert(products.into_iter().map(Into::into).collect());
            }
        }
        let grades = judged.grades(&self.filters);
        self.count += grades.len();
        if self.count > MOST_RELEVANT {
            let why = format!("{}: more than {MOST_RELEVANT} products are relevant so far", judged.id);
            return Err(Failure::client("judgements_too_wide", why));
        }
        Ok(grades)
    }
}

/// Who answers, and how that went so far.
struct Side {
    choice: Option<Choice>,
    lineup: Arc<dyn Lineup>,
    answers: Vec<Answer>,
    failures: Vec<String>,
    degraded: usize,
    plugins: Vec<PluginRef>,
}

impl Side {
    async fn ask(
        &mut self,
        search: &Search,
        tenant: &TenantId,
        judged: &Judged,
        grades: BTreeMap<String, u8>,
        job: &Arc<dyn JobHandle>,
    ) -> Result<(), Failure> {
        if job.cancelled() {
            return Err(Failure::cancelled());
        }
        let answer = match self.found(search, tenant, judged, job).await {
            Ok(matches) => {
                let matches =
                    matches.iter().map(|one| one.iter().map(|names| names.iter().map(String::as_str)));
                Answer::graded(matches, grades)
            }
            Err(failure) if job.cancelled() || matches!(failure.blame, Blame::Host | Blame::Dependency) => {
                return Err(failure);
            }
            Err(failure) => {
                self.failures.push(format!("{}: {}", judged.id, failure.message));
                Answer { relevant: grades, ..Answer::default() }
            }
        };
        self.answers.push(answer);
        Ok(())
    }

    /// The first matches: the products of each, and the names that judgements may know a product by.
    async fn found(
        &mut self,
        search: &Search,
        tenant: &TenantId,
        judged: &Judged,
        job: &Arc<dyn JobHandle>,
    ) -> Result<Vec<Vec<Vec<String>>>, Failure> {
        let asked = text_search(judged.query.fields(), None);
        let asked = asked.map_err(|problem| Failure::client(&problem.code, problem.detail))?;
        if let Some(part) = asked.parts.iter().find(|part| !self.lineup.accepts(&part.modality)) {
            let why = format!("no policy accepts {:?}", part.modality);
            return Err(Failure::client("modality_unknown", why));
        }
        let query = query(tenant.clone(), asked)?;
        let mut set = search.run(query, self.lineup.as_ref(), Arc::new(OneOfMany(job.clone()))).await?;
        self.note(&set)?;
        set.found.truncate(PLACES);
        let products = |found: &Found| {
            std::iter::once(found.product.clone()).chain(found.variants.clone()).collect::<Vec<_>>()
        };
        let matches: Vec<Vec<_>> = set.found.iter().map(products).collect();
        let known = search.store.products(tenant, &matches.concat()).await?;
        let names = |id: ProductId| {
            let product = known.iter().find(|product| product.id == id)?;
            Some(std::iter::once(id.into()).chain(product.details.sku.clone()).collect())
        };
        let matches = matches.into_iter().map(|one| one.into_iter().filter_map(names).collect::<Vec<_>>());
        Ok(matches.filter(|one| !one.is_empty()).collect())
    }

    /// Notes who answered. An error when that was somebody else in the place of the choice.
    fn note(&mut self, set: &ResultSet) -> Result<(), Failure> {
        let new = set.plugins.iter().filter(|plugin| !self.plugins.contains(plugin)).cloned();
        let new: Vec<_> = new.collect();
        self.plugins.extend(new);
        let own = self.choice.as_ref().map(|choice| choice.digest.to_string());
        let own = set.degraded.iter().find(|degraded| own.as_ref() == Some(&degraded.plugin.digest));
        if let Some(degraded) = own {
            return Err(Failure::client("degraded", format!("somebody stood in: {}", degraded.reason)));
        }
        self.degraded += usize::from(!set.degraded.is_empty());
        Ok(())
    }

    fn found_any(&self) -> bool {
        self.answers.iter().any(|answer| !answer.hits.is_empty())
    }

    fn column(self, figures: Vec<Figure>) -> Column {
        let failed = self.failures.len();
        let failures = self.failures.into_iter().take(TOLD_FAILURES).collect();
        Column { choice: self.choice, failed, failures, degraded: self.degraded, figures }
    }
}

fn query(tenant: TenantId, asked: SearchJob) -> Result<Query, Failure> {
    let parts = asked.parts.into_iter().filter_map(|part| match part.content {
        StagedContent::Text(text) => {
            let content = RawContent::Text(text);
            Some(RawPart { modality: part.modality, content, crop: None, weight: part.weight })
        }
        // Judgements that are kept name no files.
        StagedContent::Image(_) | StagedContent::Video(_) => None,
    });
    Ok(Query {
        tenant,
        parts: parts.collect(),
        filter: read_filter(&asked.filter)?,
        sort: asked.sort,
        facets: Vec::new(),
        group: asked.group,
        tape: None,
    })
}

/// Both columns, and every plugin that took part. Computing takes up to seconds.
async fn compared(live: Side, candidate: Side) -> Result<(Column, Column, Vec<PluginRef>), Failure> {
    let computing = tokio::task::spawn_blocking(move || {
        let [of_live, of_candidate] = [&live, &candidate].map(|side| samples(&side.answers, PLACES));
        let mut plugins = live.plugins.clone();
        plugins.extend(candidate.plugins.iter().filter(|plugin| !live.plugins.contains(plugin)).cloned());
        let live = live.column(figures(&of_live, None));
        (live, candidate.column(figures(&of_candidate, Some(&of_live))), plugins)
    });
    computing.await.map_err(|error| Failure::host("evaluation_broke_off", error.to_string()))
}

/// One search of many: how far it is is nobody's concern, but it ends with its job.
struct OneOfMany(Arc<dyn JobHandle>);

impl JobHandle for OneOfMany {
    fn progress(&self, _percent: u8, _message: &str) {}

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
