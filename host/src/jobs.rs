//! Job kinds and the use cases they run: one match between the queue and the catalogue.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use taja_catalog::{
    Blame, Details, Failure, Filter, ImageHash, JudgementSetId, ProductId, Region, TenantId,
    add_product::{AddProduct, GONE, MoreImages, NewProduct},
    models::Conditions,
    plugins::{Choice, Slot},
    policy::{Chosen, JobHandle, Pins, Policies},
    recording::Tape,
    search::{Facet, Query, RawContent, RawPart, Search, Sort},
    similar::{Resemblance, Similar},
};
use taja_queue::{Handlers, JobContext, JobError, JsonText, Queue, Status};

use crate::{
    evaluation::Evaluate,
    import::{self, Pictures},
    query_log::QueryLog,
    recordings,
    result_cache::ResultCache,
    staging::Staging,
    word_rules::ShopWords,
};

/// The kind of a job that takes a product in.
pub const ADD_PRODUCT: &str = "add_product";
/// The kind of a job that adds pictures to a product.
pub const ADD_IMAGES: &str = "add_images";
/// The kind of a job that takes a file of products in.
pub const IMPORT: &str = "import";
/// The kind of a job that finds what looks like a product.
pub const SIMILAR: &str = "similar";
/// The kind of a job that finds pictures of other products that look like a product's own.
pub const RESEMBLING: &str = "resembling";
/// The kind of a job that answers a query.
pub const SEARCH: &str = "search";

/// The kind of a job that measures a version of a policy.
pub const EVALUATE: &str = "evaluate";

/// The kind of a job that lets another model serve.
pub const ACTIVATE_MODEL: &str = "activate_model";

/// The kind of a job that tells how another one ended.
pub const CALLBACK: &str = "callback";

/// Every kind.
pub const KINDS: &[&str] =
    &[ADD_PRODUCT, ADD_IMAGES, IMPORT, SEARCH, SIMILAR, RESEMBLING, EVALUATE, ACTIVATE_MODEL, CALLBACK];

/// Longest time from a handler's answer to the queue's record of it.
const RECORDED_WITHIN: Duration = Duration::from_secs(60);

/// What an [`ADD_PRODUCT`] job carries; the images lie in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddJob {
    /// What the shop says of the product.
    pub details: Details,
    /// Its images in the order of the request.
    pub images: Vec<ImageHash>,
    /// Where its end is posted to, as [`crate::outbound::Guard::read`] took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// The policies it is served by.
    #[serde(default)]
    pub pins: Pins,
}

/// What an [`ADD_IMAGES`] job carries; the images lie in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddImagesJob {
    /// The product.
    pub product: ProductId,
    /// The images in the order of the request.
    pub images: Vec<ImageHash>,
    /// Where its end is posted to, as [`crate::outbound::Guard::read`] took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// What a [`SIMILAR`] job carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimilarJob {
    /// The product.
    pub product: ProductId,
    /// In the filter language; null for none.
    pub filter: Value,
    /// Products to find, at most.
    pub limit: u32,
}

/// What a [`RESEMBLING`] job carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResemblingJob {
    /// The product.
    pub product: ProductId,
    /// From when on two pictures look alike.
    pub wanted: Resemblance,
    /// Pairs of pictures to find, at most.
    pub limit: u32,
}

/// What a part of a [`SEARCH`] job holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StagedContent {
    /// Words.
    Text(String),
    /// An image in staging.
    Image(ImageHash),
    /// A video in staging.
    Video(ImageHash),
}

/// One part of a [`SEARCH`] job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedPart {
    /// Its modality.
    pub modality: String,
    /// What it holds.
    pub content: StagedContent,
    /// The region of a picture that is meant, when it is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Region>,
    /// How much it counts; with the sign of a negative number where the results should be unlike it.
    pub weight: f32,
}

impl StagedPart {
    /// Whether the results should be unlike it.
    pub fn is_against(&self) -> bool {
        self.weight.is_sign_negative()
    }
}

/// What a [`SEARCH`] job carries; files lie in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchJob {
    /// None where all that passes the filter is wanted.
    pub parts: Vec<StagedPart>,
    /// In the filter language; null for none.
    pub filter: Value,
    /// When empty by relevance, or newest first where nothing is looked for.
    pub sort: Vec<Sort>,
    /// What to count.
    pub facets: Vec<Facet>,
    /// Products on a page.
    pub limit: u32,
    /// Whether pages explain themselves.
    pub explain: bool,
    /// Whether products of one group are one match.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
    /// Whether it is recorded, to be played again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record: bool,
    /// Whether it is recorded where that is possible, since it explains itself to somebody who may have the recording.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayable: bool,
    /// Where its end is posted to, as [`crate::outbound::Guard::read`] took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// What it tries out, when it does: then nothing of it is kept, and nothing kept answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// The policies it is served by.
    #[serde(default)]
    pub pins: Pins,
}

impl SearchJob {
    fn has_files(&self) -> bool {
        !self.parts.iter().all(|part| matches!(part.content, StagedContent::Text(_)))
    }
}

/// What an [`EVALUATE`] job carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateJob {
    /// What it measures by.
    pub judgements: JudgementSetId,
    /// The slot that both would fill.
    pub slot: Slot,
    /// What served there when it was asked for.
    pub live: Option<Choice>,
    /// What is measured beside it.
    pub candidate: Choice,
    /// Where that is on trial, to be taken off it if it finds less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_trial: Option<OnTrial>,
    /// Where its end is posted to, as [`crate::outbound::Guard::read`] took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// Whose slot a choice is on trial in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnTrial {
    /// The shop; none for every shop that has nothing of its own there.
    pub owner: Option<TenantId>,
}

/// What an [`ACTIVATE_MODEL`] job carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivateJob {
    /// The model's name.
    pub model: String,
    /// What has to hold before it serves.
    pub conditions: Conditions,
    /// Where its end is posted to, as [`crate::outbound::Guard::read`] took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// The models of this process: the one that serves, and how another one comes to.
#[async_trait]
pub trait Models: Send + Sync {
    /// The use cases that think in the model that serves; nothing where none is loaded.
    fn cases(&self) -> Option<Arc<UseCases>>;
    /// Lets another one serve, and tells what that took.
    async fn activate(&self, asked: &ActivateJob, job: Arc<dyn JobHandle>) -> Result<Value, Failure>;
}

/// What the handlers act through.
pub struct UseCases {
    /// Takes products in.
    pub add_product: AddProduct,
    /// Answers queries.
    pub search: Search,
    /// Finds what looks like a product.
    pub similar: Similar,
    /// Measures versions of policies.
    pub evaluate: Evaluate,
    /// Who decides for them.
    pub policies: Arc<dyn Policies>,
    /// Where the pictures of imported products come from.
    pub pictures: Pictures,
    /// Where uploads wait.
    pub staging: Staging,
    /// What was found before.
    pub results: ResultCache,
    /// What was asked, where that is written down.
    pub log: QueryLog,
    /// How each shop's words are understood.
    pub words: Arc<ShopWords>,
    /// Who records how jobs end.
    pub queue: Arc<dyn Queue>,
}

/// The handler of every job kind. A job goes on to its end with the model that served when it began.
pub fn handlers(models: &Arc<dyn Models>) -> Handlers {
    let (adding, adding_images, importing) = (models.clone(), models.clone(), models.clone());
    let (activating, evaluating) = (models.clone(), models.clone());
    let (searching, comparing, reviewing) = (models.clone(), models.clone(), models.clone());
    Handlers::new()
        .on(ADD_PRODUCT, move |job| {
            let cases = adding.cases();
            async move {
                let cases = cases.ok_or_else(no_model)?;
                settle(&cases, &job, cases.run_add_product(&job).await)
            }
        })
        .on(ADD_IMAGES, move |job| {
            let cases = adding_images.cases();
            async move {
                let cases = cases.ok_or_else(no_model)?;
                settle(&cases, &job, cases.run_add_images(&job).await)
            }
        })
        .on(IMPORT, move |job| {
            let cases = importing.cases();
            async move {
                let cases = cases.ok_or_else(no_model)?;
                let outcome = import::run(cases.clone(), &job).await;
                settle(&cases, &job, outcome)
            }
        })
        .on(SIMILAR, move |job| {
            let cases = comparing.cases();
            async move { cases.ok_or_else(no_model)?.run_similar(&job).await.map_err(job_error) }
        })
        .on(RESEMBLING, move |job| {
            let cases = reviewing.cases();
            async move { cases.ok_or_else(no_model)?.run_resembling(&job).await.map_err(job_error) }
        })
        .on(SEARCH, move |job| {
            let cases = searching.cases();
            async move {
                let cases = cases.ok_or_else(no_model)?;
                let search: SearchJob = payload(&job).map_err(job_error)?;
                let outcome = cases.run_search(&job, &search).await;
                cases.note_search(&job, &search, &outcome).await;
                if search.has_files() { settle(&cases, &job, outcome) } else { outcome.map_err(job_error) }
            }
        })
        .on(EVALUATE, move |job| {
            let cases = evaluating.cases();
            async move { cases.ok_or_else(no_model)?.run_evaluate(&job).await.map_err(job_error) }
        })
        .on(ACTIVATE_MODEL, move |job| {
            let models = activating.clone();
            async move {
                let asked = payload(&job).map_err(job_error)?;
                models.activate(&asked, handle(&job)).await.map_err(job_error)
            }
        })
}

fn gone(product: &ProductId) -> Failure {
    Failure::client(GONE, format!("there is no product {product}"))
}

fn no_model() -> JobError {
    job_error(Failure::host("no_model", "this process runs no model"))
}

/// Hands the outcome to the queue, and clears the job's uploads when the queue has recorded the end: a job that is killed
/// before that runs again, and needs them again. So does a failed one that is started anew.
fn settle(
    cases: &UseCases,
    job: &JobContext,
    outcome: Result<JsonText, Failure>,
) -> Result<JsonText, JobError> {
    let (queue, staging) = (cases.queue.clone(), cases.staging.clone());
    let (tenant, id) = (job.tenant().to_owned(), job.id());
    tokio::spawn(async move {
        let ended = queue.wait(&tenant, id, RECORDED_WITHIN).await;
        let cleared = match ended {
            Ok(Some(job)) if matches!(job.status, Status::Completed | Status::Cancelled) => {
                staging.clear(id).await
            }
            Ok(Some(job)) if job.status == Status::Failed => staging.leave(id).await,
            _ => Ok(()),
        };
        if let Err(error) = cleared {
            tracing::warn!(job.id = %id, %error, "uploads are left over until the next sweep");
        }
    });
    outcome.map_err(job_error)
}

fn job_error(failure: Failure) -> JobError {
    let blame = match failure.blame {
        Blame::Client => taja_queue::Blame::Client,
        Blame::Plugin => taja_queue::Blame::Plugin,
        Blame::Host => taja_queue::Blame::Host,
        Blame::Dependency => taja_queue::Blame::Dependency,
    };
    JobError { blame, retryable: failure.retryable, code: failure.code, message: failure.message }
}

impl UseCases {
    async fn run_add_product(&self, job: &JobContext) -> Result<JsonText, Failure> {
        let AddJob { details, images, pins, callback_url: _ } = payload(job)?;
        let effect = job.id().to_string().parse().map_err(|_| unreadable("job id is no effect key"))?;
        let tenant = tenant(job)?;
        if let Some(receipt) = self.add_product.receipt(&tenant, &effect).await? {
            return written(&receipt);
        }
        let images = try_join_all(images.iter().map(|hash| self.staged_bytes(job, hash))).await?;
        let new = NewProduct { effect, tenant, details, images, offers: Vec::new() };
        let lineup = self.policies.lineup(&new.tenant, &pins).await?;
        let receipt = self.add_product.run(new, lineup.as_ref(), handle(job)).await?;
        written(&receipt)
    }

    async fn run_add_images(&self, job: &JobContext) -> Result<JsonText, Failure> {
        let AddImagesJob { product, images, callback_url: _ } = payload(job)?;
        let effect = job.id().to_string().parse().map_err(|_| unreadable("job id is no effect key"))?;
        let tenant = tenant(job)?;
        if let Some(receipt) = self.add_product.receipt(&tenant, &effect).await? {
            return written(&receipt);
        }
        let images = try_join_all(images.iter().map(|hash| self.staged_bytes(job, hash))).await?;
        let more = MoreImages { effect, tenant, product, images };
        written(&self.add_product.add_images(more, handle(job)).await?)
    }

    async fn run_similar(&self, job: &JobContext) -> Result<JsonText, Failure> {
        let SimilarJob { product, filter, limit } = payload(job)?;
        let filter = read_filter(&filter)?;
        let found = self.similar.run(&tenant(job)?, &product, &filter, limit as usize).await?;
        written(&found.ok_or_else(|| gone(&product))?)
    }

    async fn run_resembling(&self, job: &JobContext) -> Result<JsonText, Failure> {
        let ResemblingJob { product, wanted, limit } = payload(job)?;
        let found = self.similar.resembling(&tenant(job)?, &product, wanted, limit as usize).await?;
        written(&found.ok_or_else(|| gone(&product))?)
    }

    async fn run_evaluate(&self, job: &JobContext) -> Result<JsonText, Failure> {
        let asked: EvaluateJob = payload(job)?;
        let on_trial = asked.on_trial.clone();
        let evaluation = self.evaluate.run(&tenant(job)?, asked, handle(job)).await?;
        if let (Some(OnTrial { owner }), Some(candidate), Some(why)) =
            (on_trial, &evaluation.candidate.choice, evaluation.speaks_against())
        {
            let reason = format!("measured again, {why}: evaluation {}", job.id());
            self.policies.end_trial(owner.as_ref(), &evaluation.slot, candidate, reason);
        }
        written(&evaluation)
    }

    async fn run_search(&self, job: &JobContext, search: &SearchJob) -> Result<JsonText, Failure> {
        let tenant = tenant(job)?;
        let lineup = match &search.chosen {
            Some(chosen) => self.policies.tried(&tenant, chosen).await?,
            None => self.policies.lineup(&tenant, &search.pins).await?,
        };
        let words = self.words.fingerprint(&tenant).await?;
        let moment = self.results.moment(&tenant, lineup.fingerprint(), &words).await?;
        // What is kept cannot be recorded: nobody is asked.
        let is_recorded = search.record || search.replayable;
        if !is_recorded
            && search.chosen.is_none()
            && let Some(result) = self.results.get(&tenant, search, &moment).await
        {
            return Ok(result);
        }
        let tape = is_recorded.then(Arc::<Tape>::default);
        let parts = try_join_all(search.parts.iter().map(|part| self.raw_part(job, part.clone()))).await?;
        let filter = read_filter(&search.filter)?;
        let query = Query {
            tenant: tenant.clone(),
            parts,
            filter,
            sort: search.sort.clone(),
            facets: search.facets.clone(),
            group: search.group,
            tape: tape.clone(),
        };
        let mut set = self.search.run(query, lineup.as_ref(), handle(job)).await?;
        if let Some(tape) = tape {
            set.recording = match recordings::keep(&self.staging, &tape, tenant).await {
                Ok(id) => Some(id),
                Err(failure) if search.record => return Err(failure),
                Err(failure) => {
                    tracing::debug!(
                        error = failure.message,
                        "a search that explains itself was not recorded"
                    );
                    None
                }
            };
            return written(&set);
        }
        let result = written(&set)?;
        // What somebody stood in for is not the answer to the next one who asks, nor what was understood in another way.
        if set.degraded.is_empty()
            && search.chosen.is_none()
            && self.words.fingerprint(&tenant).await? == words
            && let Err(error) = self.results.put(&tenant, search, &moment, &result).await
        {
            tracing::debug!(%error, "a result was not kept");
        }
        Ok(result)
    }

    /// Writes a search down that a shopper made: one that tries something out is nobody's question, and one that looks for nothing
    /// is none.
    async fn note_search(&self, job: &JobContext, search: &SearchJob, outcome: &Result<JsonText, Failure>) {
        if search.parts.is_empty() {
            return;
        }
        if let (Ok(result), None, Ok(tenant)) = (outcome, &search.chosen, tenant(job)) {
            self.log.note(&tenant, search, result).await;
        }
    }

    async fn raw_part(&self, job: &JobContext, part: StagedPart) -> Result<RawPart, Failure> {
        let content = match part.content {
            StagedContent::Text(text) => RawContent::Text(text),
            StagedContent::Image(hash) => RawContent::Image(self.staged_bytes(job, &hash).await?),
            StagedContent::Video(hash) => RawContent::Video(self.staging.path(job.id(), &hash).await?),
        };
        Ok(RawPart { modality: part.modality, content, crop: part.crop, weight: part.weight })
    }

    async fn staged_bytes(&self, job: &JobContext, hash: &ImageHash) -> Result<bytes::Bytes, Failure> {
        Ok(self.staging.read(job.id(), hash).await?)
    }
}

/// The filter of a job; null for none.
pub fn read_filter(filter: &Value) -> Result<Filter, Failure> {
    match filter {
        Value::Null => Ok(Filter::everything()),
        filter => Filter::parse(filter).map_err(|error| Failure::client("filter_invalid", error.to_string())),
    }
}

/// What a job carries.
pub fn payload<T: DeserializeOwned>(job: &JobContext) -> Result<T, Failure> {
    T::deserialize(job.payload()).map_err(|error| unreadable(&error.to_string()))
}

/// The shop of a job.
pub fn tenant(job: &JobContext) -> Result<TenantId, Failure> {
    job.tenant().parse().map_err(|_| unreadable("tenant is not a tenant name"))
}

/// What the host pushed and cannot read.
pub fn unreadable(why: &str) -> Failure {
    Failure { retryable: false, ..Failure::host("job_unreadable", format!("stored job: {why}")) }
}

/// A result as the queue keeps it.
pub fn written(result: &impl Serialize) -> Result<JsonText, Failure> {
    JsonText::of(result).map_err(|error| Failure::host("result_unwritable", error.to_string()))
}

/// The stages that are timed; what plugins report as progress is not among them.
const STAGES: &[&str] = &[
    "decoding images",
    "asking the ingestion policy",
    "embedding images",
    "hosting images",
    "reading the query",
    "searching",
    "ranking",
];

/// The use cases' view of a job in the queue. Times its stages: `taja_job_stage_seconds`.
struct Handle {
    job: JobContext,
    stage: Mutex<Option<(&'static str, Instant)>>,
}

fn handle(job: &JobContext) -> Arc<dyn JobHandle> {
    Arc::new(Handle { job: job.clone(), stage: Mutex::default() })
}

impl Handle {
    fn enter(&self, stage: Option<&'static str>) {
        let next = stage.map(|stage| (stage, Instant::now()));
        let before = std::mem::replace(&mut *self.stage.lock().unwrap_or_else(PoisonError::into_inner), next);
        if let Some((stage, began)) = before {
            let kind = self.job.kind().to_owned();
            metrics::histogram!("taja_job_stage_seconds", "kind" => kind, "stage" => stage)
                .record(began.elapsed());
        }
    }
}

impl JobHandle for Handle {
    fn progress(&self, percent: u8, message: &str) {
        if let Some(stage) = STAGES.iter().find(|stage| **stage == message) {
            self.enter(Some(stage));
        }
        self.job.progress(percent.min(100) as i8, message);
    }

    fn cancelled(&self) -> bool {
        self.job.cancelled()
    }

    fn got_on(&self) {
        self.job.got_on();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.enter(None);
    }
}
