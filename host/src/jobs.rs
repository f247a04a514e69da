//! Job kinds and the use cases they run: one match between the queue and the catalogue.

use std::{path::PathBuf, sync::Arc};

use futures::future::try_join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use taja_catalog::{
    Blame, Details, Failure, Filter, ImageHash,
    add_product::{AddProduct, NewProduct},
    policy::JobHandle,
    search::{Query, RawContent, RawPart, Search, Sort},
};
use taja_queue::{Handlers, JobContext, JobError};

use crate::staging::Staging;

/// The kind of a job that takes a product in.
pub const ADD_PRODUCT: &str = "add_product";
/// The kind of a job that answers a query.
pub const SEARCH: &str = "search";

/// Every kind.
pub const KINDS: &[&str] = &[ADD_PRODUCT, SEARCH];

/// What an [`ADD_PRODUCT`] job carries; the images lie in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddJob {
    /// What the shop says of the product.
    pub details: Details,
    /// Its images in the order of the request.
    pub images: Vec<ImageHash>,
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
    /// How much it counts.
    pub weight: f32,
}

/// What a [`SEARCH`] job carries; files lie in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchJob {
    /// At least one.
    pub parts: Vec<StagedPart>,
    /// In the filter language; null for none.
    pub filter: Value,
    /// By relevance when empty.
    pub sort: Vec<Sort>,
    /// Fields to count.
    pub facets: Vec<String>,
    /// Products on a page.
    pub limit: u32,
    /// Whether pages explain themselves.
    pub explain: bool,
}

/// What the handlers act through.
#[derive(Clone)]
pub struct UseCases {
    /// Takes products in.
    pub add_product: AddProduct,
    /// Answers queries.
    pub search: Search,
    /// Where uploads wait.
    pub staging: Staging,
}

/// The handler of every job kind.
pub fn handlers(cases: &UseCases) -> Handlers {
    let (adding, searching) = (cases.clone(), cases.clone());
    Handlers::new()
        .on(ADD_PRODUCT, move |job| {
            let cases = adding.clone();
            async move { settle(&cases, &job, cases.run_add_product(&job).await).await }
        })
        .on(SEARCH, move |job| {
            let cases = searching.clone();
            async move { settle(&cases, &job, cases.run_search(&job).await).await }
        })
}

/// Clears the job's uploads once nothing will ask for them again.
async fn settle(
    cases: &UseCases,
    job: &JobContext,
    outcome: Result<Value, Failure>,
) -> Result<Value, JobError> {
    let outcome = outcome.map_err(job_error);
    let runs_again = matches!(&outcome, Err(error) if error.retryable && !job.is_last_attempt());
    // After a lost acknowledgement the job runs once more and finds its receipt, for which it needs no files.
    if !runs_again && let Err(error) = cases.staging.clear(job.id()).await {
        tracing::warn!(job.id = %job.id(), %error, "uploads are left over until the next start");
    }
    outcome
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
    async fn run_add_product(&self, job: &JobContext) -> Result<Value, Failure> {
        let AddJob { details, images } = payload(job)?;
        let effect = job.id().to_string().parse().map_err(|_| unreadable("job id is no effect key"))?;
        let tenant = tenant(job)?;
        let images = try_join_all(images.iter().map(|hash| self.staged_bytes(job, hash))).await?;
        let new = NewProduct { effect, tenant, details, images };
        let receipt = self.add_product.run(new, handle(job)).await?;
        to_value(&receipt)
    }

    async fn run_search(&self, job: &JobContext) -> Result<Value, Failure> {
        let search: SearchJob = payload(job)?;
        let parts = try_join_all(search.parts.into_iter().map(|part| self.raw_part(job, part))).await?;
        let filter = match search.filter {
            Value::Null => Filter::everything(),
            filter => Filter::parse(&filter)
                .map_err(|error| Failure::client("filter_invalid", error.to_string()))?,
        };
        let query = Query { tenant: tenant(job)?, parts, filter, sort: search.sort, facets: search.facets };
        let set = self.search.run(query, handle(job)).await?;
        to_value(&set)
    }

    async fn raw_part(&self, job: &JobContext, part: StagedPart) -> Result<RawPart, Failure> {
        let content = match part.content {
            StagedContent::Text(text) => RawContent::Text(text),
            StagedContent::Image(hash) => RawContent::Image(self.staged_bytes(job, &hash).await?),
            StagedContent::Video(hash) => RawContent::Video(self.staged_path(job, &hash)),
        };
        Ok(RawPart { modality: part.modality, content, weight: part.weight })
    }

    fn staged_path(&self, job: &JobContext, hash: &ImageHash) -> PathBuf {
        self.staging.path(job.id(), hash)
    }

    async fn staged_bytes(&self, job: &JobContext, hash: &ImageHash) -> Result<bytes::Bytes, Failure> {
        match self.staging.read(job.id(), hash).await {
            Ok(bytes) => Ok(bytes),
            // A finished job that runs once more needs no files: it finds its receipt before it looks at them.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(bytes::Bytes::new()),
            Err(error) => Err(Failure::host("staging_unreadable", format!("uploaded file {hash}: {error}"))),
        }
    }
}

fn payload<T: DeserializeOwned>(job: &JobContext) -> Result<T, Failure> {
    T::deserialize(job.payload()).map_err(|error| unreadable(&error.to_string()))
}

fn tenant(job: &JobContext) -> Result<taja_catalog::TenantId, Failure> {
    job.tenant().parse().map_err(|_| unreadable("tenant is not a tenant name"))
}

fn unreadable(why: &str) -> Failure {
    Failure { retryable: false, ..Failure::host("job_unreadable", format!("stored job: {why}")) }
}

fn to_value(result: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(|error| Failure::host("result_unwritable", error.to_string()))
}

/// The use cases' view of a job in the queue.
struct Handle(JobContext);

fn handle(job: &JobContext) -> Arc<dyn JobHandle> {
    Arc::new(Handle(job.clone()))
}

impl JobHandle for Handle {
    fn progress(&self, percent: u8, message: &str) {
        self.0.progress(percent.min(100) as i8, message);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
