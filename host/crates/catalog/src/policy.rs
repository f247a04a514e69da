//! What policies decide, in the host's words: the port that the sandbox implements.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    failure::{Blame, Failure},
    filter::Filter,
    id::{ImageHash, ProductId, TenantId},
    picture::{Picture, VideoFile},
    plugins::{Choice, Slot},
    port::{Embedder, PortResult},
    product::Details,
    recording::{Tape, exact, packed},
    retrieval::Catalogue,
    watched::Watched,
    words::Known,
};

/// Receives the progress of a job and knows whether it was cancelled.
pub trait JobHandle: Send + Sync {
    /// 0 to 100 of the whole job, and what is being done.
    fn progress(&self, percent: u8, message: &str);
    /// Whether the client gave up on the job.
    fn cancelled(&self) -> bool;
    /// The job got past everything that was under way when its last worker was lost, and need not do it again.
    fn got_on(&self) {}
}

/// A job that nobody follows, and nobody gives up on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl JobHandle for Unwatched {
    fn progress(&self, _percent: u8, _message: &str) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// A plugin that took part in a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// Its version, semver.
    pub version: String,
    /// SHA-256 of the component, lower-case hex.
    pub digest: String,
}

/// On whose behalf a policy runs, and what it may see.
pub struct PolicyContext {
    /// The shop.
    pub tenant: TenantId,
    /// The shop's products, read only.
    pub catalogue: Arc<dyn Catalogue>,
    /// The model whose vectors the catalogue is searched by: the same one from the beginning of a job to its end.
    pub embedder: Arc<dyn Embedder>,
    /// The request's filter, added to every look-up.
    pub filter: Filter,
    /// The job.
    pub job: Arc<dyn JobHandle>,
    /// Where each policy call is to be recorded, if at all.
    pub tape: Option<Arc<Tape>>,
    /// The plugins that took part so far, each with the settings it saw last where calls are recorded.
    used: Mutex<Vec<(PluginRef, Option<Value>)>>,
    /// The catalogue again: what is known of the look-ups.
    watched: Arc<Watched>,
    /// What was done in another way than the shop's policies would have.
    degraded: Mutex<Vec<Degraded>>,
}

/// Who answered in the place of a policy that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Substitute {
    /// What is live, in the place of what is on trial.
    Live,
    /// What was live before.
    Previous,
    /// What serves every shop that has nothing of its own, in the place of a shop's own.
    Everybody,
    /// The host itself, without any policy.
    Host,
}

/// A policy failed, and another way was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degraded {
    /// The policy that failed.
    pub plugin: PluginRef,
    /// Who answered in its place.
    pub substitute: Substitute,
    /// How it failed, for people.
    pub reason: String,
}

/// The choices that a job is served by, at every attempt: by slot the name of a choice ([`Choice::id`]).
///
/// [`Choice::id`]: crate::plugins::Choice::id
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(pub BTreeMap<Slot, String>);

/// Choices that one job tries out in the place of what is live, by slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chosen(pub BTreeMap<Slot, Choice>);

impl PolicyContext {
    /// A context in which no plugin ran yet.
    pub fn new(
        tenant: TenantId,
        catalogue: Arc<dyn Catalogue>,
        embedder: Arc<dyn Embedder>,
        filter: Filter,
        job: Arc<dyn JobHandle>,
    ) -> Self {
        let (used, degraded) = (Mutex::default(), Mutex::default());
        let watched = Arc::new(Watched::new(catalogue));
        let catalogue = Arc::clone(&watched) as Arc<dyn Catalogue>;
        Self { tenant, catalogue, embedder, filter, job, tape: None, used, watched, degraded }
    }

    /// The same context with every policy call recorded on a tape.
    pub fn with_tape(self, tape: Arc<Tape>) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// A context of its own for a policy that runs beside the one that serves: what it does shows nowhere.
    pub fn aside(&self, job: Arc<dyn JobHandle>) -> Self {
        let (catalogue, embedder) = (Arc::clone(&self.watched.real), Arc::clone(&self.embedder));
        Self::new(self.tenant.clone(), catalogue, embedder, self.filter.clone(), job)
    }

    /// Notes that a plugin took part, with these settings. Where one stands in for itself with others, the last ones count:
    /// those it answered with.
    pub fn note_use(&self, plugin: &PluginRef, settings: &Value) {
        let settings = self.tape.as_ref().map(|_| settings.clone());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.iter_mut().find(|(known, _)| known == plugin) {
            Some((_, known)) => *known = settings,
            None => used.push((plugin.clone(), settings)),
        }
    }

    /// The plugins that took part, in the order of their first call.
    pub fn used(&self) -> Vec<PluginRef> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().map(|(plugin, _)| plugin.clone()).collect()
    }

    /// The settings that each of those saw, in the same order; nothing where calls are not recorded. They may tell what a
    /// shop makes of its products, so they go where the recording goes.
    pub fn settings(&self) -> Vec<Value> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().filter_map(|(_, settings)| settings.clone()).collect()
    }

    /// Whether some look-up was answered with as much as it asked for, so that there may have been more.
    pub fn may_have_left_out(&self) -> bool {
        self.watched.was_filled()
    }

    /// Which words of the shop need not be asked for any more.
    pub fn known_words(&self) -> Known {
        self.watched.known()
    }

    /// Notes that another way was found than the shop's policy.
    pub fn note_degraded(&self, degraded: Degraded) {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner).push(degraded);
    }

    /// What was done in another way than the shop's policies would have.
    pub fn degraded(&self) -> Vec<Degraded> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What one part of a query holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Words, or the text of a part of a new kind.
    Text(String),
    /// A picture.
    Image(#[serde(with = "packed::shared")] Arc<Picture>),
    /// A video.
    Video(#[serde(with = "packed::shared")] Arc<VideoFile>),
}

/// One part of a query.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `text`, `image`, `video`, or a new name that some plugin accepts.
    pub modality: String,
    /// What it holds.
    pub content: Content,
    /// How much it counts; 1 unless the client says otherwise. Below 0 in a part that the results should be unlike.
    #[serde(with = "exact")]
    pub weight: f32,
}

/// A match, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hit {
    /// The product.
    pub product: ProductId,
    /// The image that matched, if it was by an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageHash>,
    /// Cosine or relevance.
    #[serde(with = "exact")]
    pub score: f32,
    /// Where in the query's video the matching frame lies, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u32>,
}

/// What the scores of a leg mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Cosine of unit vectors.
    Cosine,
    /// Relevance without a fixed scale.
    Relevance,
}

/// A named, ranked list of matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Unique inside a query.
    pub name: String,
    /// The modality of the part it answers.
    pub modality: String,
    /// What its scores are.
    pub measure: Measure,
    /// How much it should count; with the sign of a negative number where its matches count against a product.
    #[serde(with = "exact")]
    pub weight: f32,
    /// Best first.
    pub hits: Vec<Hit>,
}

impl Leg {
    /// Whether its matches are what the results should be unlike.
    pub fn is_against(&self) -> bool {
        self.weight.is_sign_negative()
    }
}

/// A product on its way in, for the ingestion policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// What the client said.
    pub details: Details,
    /// Decoded pictures with their place in the request.
    #[serde(with = "packed::uploads")]
    pub uploads: Vec<(u32, Arc<Picture>)>,
}

/// Why a picture is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// The shop has these very bytes.
    ExactDuplicate,
    /// The shop has a picture that looks the same.
    NearDuplicate,
    /// It stands earlier in the same request.
    Repeated,
    /// The policy does not want it.
    Unsuitable,
}

/// A picture that is not kept, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Its place in the request.
    pub index: u32,
    /// Why.
    pub reason: DropReason,
    /// The product that has it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// The stored image it equals or resembles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageHash>,
}

/// What becomes of a submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// A new product.
    Create {
        /// Normalised details.
        details: Box<Details>,
        /// Places in the request, in display order.
        keep: Vec<u32>,
        /// The text by which keyword search finds it.
        index_text: String,
    },
    /// Pictures join a stored product.
    Merge {
        /// The product.
        product: ProductId,
        /// Places in the request.
        keep: Vec<u32>,
    },
    /// Everything is known already.
    Duplicate {
        /// The product it duplicates.
        of: ProductId,
    },
    /// Refused, and why.
    Reject {
        /// For the client.
        reason: String,
    },
}

/// An ingestion policy's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What is to happen.
    pub outcome: Outcome,
    /// The pictures that are not kept.
    pub dropped: Vec<Dropped>,
}

/// The product attributes a ranking policy asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Numeric ones.
    pub numbers: Vec<String>,
    /// Text ones.
    pub texts: Vec<String>,
}

impl Columns {
    /// Whether none are asked for.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.texts.is_empty()
    }
}

/// One leg, as the ranking policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegInfo {
    /// Unique inside the query.
    pub name: String,
    /// The modality of the part it answers.
    pub modality: String,
    /// What its scores are.
    pub measure: Measure,
    /// Its weight.
    #[serde(with = "exact")]
    pub weight: f32,
}

/// Every match of every leg, in columns of equal length: leg by leg, best first inside a leg.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matches {
    /// Place in `Candidates::legs`.
    pub legs: Vec<u32>,
    /// Place in `Candidates::products`.
    pub products: Vec<u32>,
    /// Equal numbers for equal images; `u32::MAX` where the match is not by an image.
    pub images: Vec<u32>,
    /// The leg's score.
    #[serde(with = "exact::list")]
    pub scores: Vec<f32>,
}

/// What there is to rank.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    /// The legs.
    pub legs: Vec<LegInfo>,
    /// The distinct products; the policy sees only their number.
    pub product_count: u32,
    /// All matches.
    pub matches: Matches,
    /// Numeric attributes by name, one value per product; NaN where missing.
    #[serde(with = "exact::columns")]
    pub numbers: Vec<(String, Vec<f64>)>,
    /// Text attributes by name, one value per product.
    pub texts: Vec<(String, Vec<Option<String>>)>,
    /// How many products the client can page through.
    pub limit: u32,
    /// When the search came in: whole days since 1970-01-01 UTC.
    #[serde(default)]
    pub day: u32,
}

/// One ranked product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranked {
    /// Product number.
    pub product: u32,
    /// Finite; never rises from one place to the next.
    #[serde(with = "exact")]
    pub score: f32,
    /// Places in the matches to show, best first.
    pub evidence: Vec<u32>,
}

/// A ranking policy's answer, checked: known products only, each once, finite falling scores, own evidence only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// Best first.
    pub products: Vec<Ranked>,
    /// Place and text of what was worth telling.
    pub notes: Vec<(u32, String)>,
}

/// How a plugin call failed. The four causes stay apart all the way to the job's error and the metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// The plugin answered with an error: its right.
    #[error("answered with an error: {0}")]
    Guest(String),
    /// The plugin's run ended abnormally, by itself or at a memory limit.
    #[error("trapped: {0}")]
    Trap(String),
    /// The plugin used up its time.
    #[error("ran longer than its {limit:?} of {what} time")]
    Timeout {
        /// `cpu` or `wall`.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The plugin answered with something that cannot be: an unknown product, a NaN score.
    #[error("gave an answer that cannot be: {0}")]
    InvalidAnswer(String),
    /// The host could not run it: nothing the plugin did.
    #[error("could not be run: {0}")]
    Host(String),
    /// All places to run in stayed busy until the deadline.
    #[error("found no free place to run in within {0:?}")]
    Busy(Duration),
}

/// A plugin call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin} {fault}")]
pub struct PolicyError {
    /// The plugin's name, or the kind when there is none of it.
    pub plugin: String,
    /// How.
    pub fault: PolicyFault,
}

impl PolicyFault {
    /// The outcome's name in metrics and error codes.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Guest(_) => "guest_error",
            Self::Trap(_) => "trap",
            Self::Timeout { .. } => "timeout",
            Self::InvalidAnswer(_) => "invalid_answer",
            Self::Host(_) => "host_failure",
            Self::Busy(_) => "busy",
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let (blame, retryable) = match &error.fault {
            PolicyFault::Guest(_) | PolicyFault::InvalidAnswer(_) => (Blame::Plugin, false),
            PolicyFault::Trap(_) | PolicyFault::Timeout { .. } => (Blame::Plugin, true),
            PolicyFault::Host(_) | PolicyFault::Busy(_) => (Blame::Host, true),
        };
        let code = format!("plugin_{}", error.fault.outcome());
        Self { blame, retryable, code, message: error.to_string() }
    }
}

/// The policies of every shop, as they change while the service runs.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Every modality that some search policy of a shop accepts.
    fn modalities(&self, tenant: &TenantId) -> HashSet<String>;
    /// The choices in force for a search of these modalities that comes in now. `session` names the conversation it is
    /// part of: all of a session is on the same side of a trial.
    fn pin_search(&self, tenant: &TenantId, modalities: &[&str], session: &str) -> Pins;
    /// The choice in force for a submission that comes in now.
    fn pin_ingest(&self, tenant: &TenantId, session: &str) -> Pins;
    /// Who serves a job that is pinned so, from its beginning to its end. Where a pinned choice is gone, none of the pins
    /// hold: a job never mixes what was never in force together.
    async fn lineup(&self, tenant: &TenantId, pins: &Pins) -> PortResult<Arc<dyn Lineup>>;
    /// Who serves a job that tries these choices out: they go before what is live, in their slots and for their
    /// modalities. Its calls are not counted, compared or judged, and nothing that is on trial takes part.
    async fn tried(&self, tenant: &TenantId, chosen: &Chosen) -> PortResult<Arc<dyn Lineup>>;
    /// Takes a choice off its trial in this slot of a shop, or in everybody's, and writes down why; soon, and if it is still
    /// on it by then.
    fn end_trial(&self, tenant: Option<&TenantId>, slot: &Slot, choice: &Choice, reason: String);
}

/// The policies that serve one job.
#[async_trait]
pub trait Lineup: Send + Sync {
    /// Names the policies and settings: another one whenever those are others.
    fn fingerprint(&self) -> &str;
    /// Whether some search policy accepts parts of this modality.
    fn accepts(&self, modality: &str) -> bool;
    /// Hands each part to the search policy that accepts its modality; all their legs.
    async fn search(
        &self,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<Vec<Leg>, PolicyError>;
    /// Asks the ingestion policy.
    async fn ingest(&self, context: &PolicyContext, submission: Submission) -> Result<Decision, PolicyError>;
    /// The product attributes that the ranking policy asks for.
    fn ranking_columns(&self) -> Columns;
    /// Asks the ranking policy. The answer is checked against the candidates.
    async fn rank(&self, context: &PolicyContext, candidates: Candidates) -> Result<Ranking, PolicyError>;
}
