//! The use case that lets another model's vectors serve.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Chosen, Comparison, Embed, Embedded, Lacking, ModelChoice, ModelStore, compare};
use crate::{
    embedding::Space,
    failure::Failure,
    policy::JobHandle,
    port::{Embedder, Store, VectorIndex},
};

/// How often pictures that were added meanwhile are caught up with before it is said that they come too fast.
const MAX_ROUNDS: usize = 50;
/// Pictures without a vector that are named in the answer.
const NAMED: usize = 20;

/// A model with the index of its vectors.
#[derive(Clone)]
pub struct Side {
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The index.
    pub index: Arc<dyn VectorIndex>,
}

/// What has to hold before another model serves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Embed and compare, and let the old one go on serving.
    pub hold: bool,
    /// The least share of what the old model finds (see [`Comparison`]) that the new one has to find, 0 to 1.
    pub at_least: f64,
    /// Whether pictures that cannot be fetched or decoded any more may be left behind.
    pub allow_lacking: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { hold: false, at_least: 0.8, allow_lacking: false }
    }
}

/// What an activation did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// `active`, or `ready` when it was to be held.
    pub status: String,
    /// The space of the model.
    pub space: String,
    /// The space that served when it began.
    pub before: String,
    /// Vectors that were made.
    pub embedded: u64,
    /// Pictures that have none.
    pub lacking: u64,
    /// Some of them, and why.
    pub lacking_details: Vec<Lacking>,
    /// What both find; nothing where no other model is loaded to be compared with.
    pub comparison: Option<Comparison>,
}

/// What makes a model's vectors, compares them, and lets them serve.
pub struct Activate {
    /// The catalogue.
    pub store: Arc<dyn Store>,
    /// Which model serves.
    pub models: Arc<dyn ModelStore>,
    /// What serves.
    pub before: Side,
    /// What makes the vectors of the one that is to.
    pub embed: Embed,
    /// The one that is to.
    pub after: Side,
}

impl Activate {
    /// Makes the model serve; one that serves already gets the vectors it lacks. Safe to run again after a crash at any
    /// point: what is embedded stays so. Afterwards pictures whose jobs had begun before may lack a vector for a moment: the
    /// caller runs [`Embed`] once more when they ended.
    pub async fn run(&self, conditions: Conditions, job: &dyn JobHandle) -> Result<Activation, Failure> {
        let new = self.after.embedder.space();
        let stored = self.models.choice().await?;
        let old = stored.map_or_else(|| self.before.embedder.space().clone(), |choice| choice.active);
        if old == *new {
            let embedded = self.embed(conditions, job).await?;
            return Ok(activation("active", &old, new, &embedded, None));
        }
        self.announce(&old, Some(new)).await?;
        let outcome = self.bring(&old, conditions, job).await;
        match outcome {
            Ok(activation) if activation.status == "active" => Ok(activation),
            // What is not to serve is needed by nobody, for whatever reason.
            outcome => {
                if let Err(error) = self.announce(&old, None).await {
                    tracing::warn!(%error, from = %old.id, to = %new.id, "the model that was given up is still announced");
                }
                outcome
            }
        }
    }

    async fn bring(
        &self,
        old: &Space,
        conditions: Conditions,
        job: &dyn JobHandle,
    ) -> Result<Activation, Failure> {
        let new = self.after.embedder.space();
        let mut embedded = self.embed(conditions, job).await?;
        job.progress(92, "comparing both models");
        let mut comparison = None;
        if self.before.embedder.space() != new {
            let found = compare(self.store.as_ref(), &self.before, &self.after).await?;
            if let Some(objection) = found.objection(conditions.at_least) {
                let message = format!("{} stays: with {}, {objection}", old.model, new.model);
                return Err(Failure::client("model_finds_less", message));
            }
            comparison = Some(found);
        }
        if conditions.hold {
            return Ok(activation("ready", old, new, &embedded, comparison));
        }
        job.progress(97, "changing models");
        self.flip(old, &mut embedded, job).await?;
        Ok(activation("active", old, new, &embedded, comparison))
    }

    /// Embeds all there is.
    async fn embed(&self, conditions: Conditions, job: &dyn JobHandle) -> Result<Embedded, Failure> {
        let missing = self.missing(self.after.embedder.space()).await?;
        let embedded = self.embed.run(missing, (1, 90), job).await?;
        match embedded.lacking.first().filter(|_| !conditions.allow_lacking) {
            None => Ok(embedded),
            Some(Lacking { picture, reason }) => {
                let message = format!(
                    "{} pictures cannot be embedded, such as {picture}: {reason}; where that is allowed they are found by words only",
                    embedded.lacking.len(),
                );
                Err(Failure::client("pictures_lacking", message))
            }
        }
    }

    /// Pictures without a vector of this space.
    async fn missing(&self, space: &Space) -> Result<u64, Failure> {
        let (counts, spaces) = (self.store.counts().await?, self.store.spaces().await?);
        Ok(counts.images.saturating_sub(spaces.get(&space.id).copied().unwrap_or(0)))
    }

    /// Lets the model serve, as soon as every picture that was added meanwhile has its vector too.
    async fn flip(&self, old: &Space, embedded: &mut Embedded, job: &dyn JobHandle) -> Result<(), Failure> {
        let new = self.after.embedder.space();
        let serve = |choice: &mut ModelChoice| {
            choice.before = Some(std::mem::replace(&mut choice.active, new.clone()));
            choice.next = None;
        };
        for _ in 0..MAX_ROUNDS {
            match self.change(old, embedded.lacking.len() as u64, serve).await? {
                Chosen::Incomplete => {
                    let more = self.embed.run(self.missing(new).await?, (97, 97), job).await?;
                    embedded.added += more.added;
                    embedded.lacking = more.lacking;
                }
                Chosen::Stored => return Ok(()),
                Chosen::Changed => {}
            }
        }
        let message = "pictures are added faster than the model embeds them: try again in a quieter hour";
        Err(Failure::host("model_outrun", message))
    }

    /// Tells other processes to make a model ready, or that none is to be.
    async fn announce(&self, old: &Space, next: Option<&Space>) -> Result<(), Failure> {
        for _ in 0..MAX_ROUNDS {
            let change = |choice: &mut ModelChoice| choice.next = next.cloned();
            if self.change(old, 0, change).await? != Chosen::Changed {
                return Ok(());
            }
        }
        Err(Failure::host("model_contended", "the choice of a model is changed all the time"))
    }

    /// Changes the choice as it is stored, as long as `old` serves; the first one is made here.
    async fn change(
        &self,
        old: &Space,
        lacking: u64,
        change: impl Fn(&mut ModelChoice),
    ) -> Result<Chosen, Failure> {
        let stored = self.models.choice().await?;
        if let Some(choice) = stored.as_ref().filter(|choice| choice.active != *old) {
            let message = format!("{} was made to serve meanwhile", choice.active.model);
            return Err(Failure::client("model_superseded", message));
        }
        let first = || ModelChoice {
            revision: 0,
            active: old.clone(),
            before: None,
            next: None,
            changed_at: Timestamp::now(),
        };
        let mut choice = stored.unwrap_or_else(first);
        choice.revision += 1;
        choice.changed_at = Timestamp::now();
        change(&mut choice);
        Ok(self.models.choose(&choice, lacking).await?)
    }
}

fn activation(
    status: &str,
    old: &Space,
    new: &Space,
    embedded: &Embedded,
    comparison: Option<Comparison>,
) -> Activation {
    Activation {
        status: status.into(),
        space: new.id.clone(),
        before: old.id.clone(),
        embedded: embedded.added,
        lacking: embedded.lacking.len() as u64,
        lacking_details: embedded.lacking.iter().take(NAMED).cloned().collect(),
        comparison,
    }
}
