//! The model that serves, with all that belongs to it, and how another one takes its place while jobs run.

use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde_json::Value;
use taja_catalog::{
    Failure, Space,
    add_product::AddProduct,
    models::{Activate, Embed, Side},
    policy::{JobHandle, Policies, Unwatched},
    port::{Embedder, ImageDecoder, VectorIndex, VideoDecoder},
    retrieval::{Catalogue, Retrieval},
    search::Search,
    similar::Similar,
    words::Vocabularies,
};
use taja_clip::EmbeddingCache;
use taja_media::Media;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    backends::{self, Backends},
    indexes::LiveIndexes,
    model::{self, Installed, ModelReport},
    vector_file::VectorFile,
};
use crate::{
    config::Config,
    evaluation::Evaluate,
    import::{Hosted, Pictures},
    jobs::{ActivateJob, Models, UseCases},
    outbound::Guard,
    query_log::QueryLog,
    result_cache::ResultCache,
    word_rules::ShopWords,
};

/// How often vectors that changed are written while the service runs, so that a crash costs no more of them than that.
const SAVE_EVERY: Duration = Duration::from_secs(900);
/// How long a model that could not be loaded is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked whether the last job of a model that served has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longer than any transaction takes that began while another model served.
const LATE: Duration = Duration::from_secs(100);

/// The model that serves in this process.
pub(crate) struct Serving {
    /// What models are made to serve with.
    parts: Parts,
    /// What is told of it; the only thing there is where others run it.
    report: ArcSwap<ModelReport>,
    /// It, where jobs run.
    here: Option<ArcSwap<Generation>>,
    /// One that is about to take its place.
    ready: Mutex<Option<Arc<Generation>>>,
    /// Why what should serve does not, and since when.
    trouble: RwLock<Option<(String, Instant)>>,
}

/// What every model serves with.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) config: Config,
    /// What hosted images' addresses begin with.
    pub(super) image_base: String,
    pub(super) backends: Backends,
    pub(super) media: Arc<Media>,
    pub(super) policies: Arc<dyn Policies>,
    pub(super) indexes: Arc<LiveIndexes>,
    pub(super) log: QueryLog,
    pub(super) words: Arc<ShopWords>,
    /// Of the store, whichever model serves.
    pub(super) vocabularies: Arc<Vocabularies>,
}

/// A loaded model, and what is its own: the index of its vectors, and use cases that think in it. A job keeps the use cases
/// that it began with.
struct Generation {
    report: ModelReport,
    side: Side,
    /// The model for what nobody waits for.
    bulk: Arc<dyn Embedder>,
    vectors: Option<VectorFile>,
    cases: Arc<UseCases>,
}

impl Generation {
    async fn load(parts: &Parts, installed: Installed) -> Result<Self> {
        let Parts { config, image_base, backends, media, policies, indexes, log, words, vocabularies } =
            parts;
        let clip = Arc::new(model::load(config, installed).await.context("model")?);
        let report = ModelReport::from(clip.as_ref());
        let embedder = EmbeddingCache::new(clip.clone(), config.embedding_cache_bytes);
        let bulk: Arc<dyn Embedder> = Arc::new(embedder.beside(Arc::new(clip.bulk())));
        let embedder: Arc<dyn Embedder> = Arc::new(embedder);
        let space = embedder.space();
        let filling = indexes.fill();
        let (index, vectors) = backends.index(space).await.context("vector index")?;
        filling.done(&index).await.context("vector index")?;
        tracing::info!(vectors = index.len(), method = index.method(), space = %space.id, "index is built");
        let store = &backends.store;
        let catalogue = Retrieval::new(store.clone(), index.clone());
        let catalogue: Arc<dyn Catalogue> =
            Arc::new(catalogue.with_words(vocabularies.clone(), words.clone()));
        let hosted = backends.folder.clone().and_then(|folder| Hosted::new(image_base, folder));
        let guard = Guard::new(config.callback_networks.clone());
        let search = Search {
            decoder: media.clone(),
            video: media.clone() as Arc<dyn VideoDecoder>,
            store: store.clone(),
            catalogue: catalogue.clone(),
            embedder: embedder.clone(),
        };
        let cases = UseCases {
            add_product: AddProduct {
                decoder: media.clone(),
                embedder: bulk.clone(),
                store: store.clone(),
                index: index.clone(),
                images: backends.images.clone(),
                catalogue,
            },
            // Nobody waits for a measurement as a shopper waits for a search.
            evaluate: Evaluate {
                search: Search { embedder: bulk.clone(), ..search.clone() },
                index: index.clone(),
                policies: policies.clone(),
                judgements: backends.access.clone(),
            },
            search,
            similar: Similar { store: store.clone(), index: index.clone(), space: space.clone() },
            policies: policies.clone(),
            results: ResultCache::new(
                config.result_cache,
                backends::shared_results(config).await?,
                space.id.clone(),
                store.clone(),
                index.clone(),
            ),
            log: log.clone(),
            words: words.clone(),
            pictures: Pictures::new(guard, config.limits.clone(), hosted).context("import")?,
            staging: backends.staging.clone(),
            queue: backends.queue.clone(),
        };
        Ok(Self { report, side: Side { embedder, index }, bulk, vectors, cases: Arc::new(cases) })
    }

    fn space(&self) -> &Space {
        self.side.embedder.space()
    }

    fn embed(&self, parts: &Parts) -> Embed {
        Embed {
            store: parts.backends.models.clone(),
            catalogue: parts.backends.store.clone(),
            images: parts.backends.images.clone(),
            decoder: parts.media.clone() as Arc<dyn ImageDecoder>,
            embedder: self.bulk.clone(),
            index: self.side.index.clone(),
        }
    }

    async fn save(&self) {
        if let Some(vectors) = &self.vectors {
            vectors.save().await;
        }
    }
}

impl Serving {
    /// Finds out which model serves: what was activated, or, where nothing was, what is configured. Loads it where jobs run.
    pub(super) async fn open(parts: Parts) -> Result<Arc<Self>> {
        let choice = parts.backends.models.choice().await.context("product store")?;
        let config = &parts.config;
        let (mut trouble, mut here) = (None, None);
        let report = if config.role.works() {
            let installed = match choice.as_ref().map(|choice| model::named(config, &choice.active.model)) {
                Some(Ok(installed)) => installed,
                Some(Err(error)) => {
                    trouble = Some(format!("{error:#}"));
                    model::configured(config)?
                }
                None => model::configured(config)?,
            };
            let generation = Generation::load(&parts, installed).await?;
            if let Some(choice) = choice.as_ref().filter(|choice| choice.active != *generation.space()) {
                let why = trouble.unwrap_or_else(|| "its files, or what computes it, are others".into());
                trouble = Some(format!(
                    "{} was made to serve, and {} is loaded: {why}. New pictures are refused until one of them is activated, \
                     or the other one is back",
                    choice.active.id,
                    generation.space().id
                ));
            }
            let report = generation.report.clone();
            here = Some(ArcSwap::from_pointee(generation));
            report
        } else {
            match &choice {
                Some(choice) => told_of(config, &choice.active),
                None => model::configured(config)?.1.into(),
            }
        };
        if let Some(trouble) = &trouble {
            tracing::error!(trouble, "the model that should serve does not");
        }
        let serving = Arc::new(Self {
            parts,
            report: ArcSwap::from_pointee(report),
            here,
            ready: Mutex::default(),
            trouble: RwLock::new(trouble.map(|trouble| (trouble, Instant::now()))),
        });
        if serving.here.is_some() {
            let serving = serving.clone();
            tokio::spawn(async move {
                match choice {
                    // What served before may have ended between its last pictures and their vectors.
                    Some(_) => serving.catch_up(Weak::new()).await,
                    None => serving.warn_of_other_spaces().await,
                }
            });
        }
        Ok(serving)
    }

    /// Products that another model embedded are found by words only.
    async fn warn_of_other_spaces(&self) {
        let Some(current) = self.current() else { return };
        let space = current.space();
        match self.parts.backends.store.spaces().await {
            Ok(spaces) => {
                let others: Vec<_> = spaces.into_keys().filter(|id| *id != space.id).collect();
                if !others.is_empty() {
                    tracing::warn!(model.space = %space.id, others = ?others,
                        "products were embedded with another model: they are found by words, not by pictures, until \
                         `taja model activate` embeds them with this one");
                }
            }
            Err(error) => tracing::warn!(%error, "whether another model embedded products is not known"),
        }
    }

    /// What is told of the model.
    pub(crate) fn report(&self) -> Arc<ModelReport> {
        self.report.load_full()
    }

    /// The index of its vectors, in a process that runs jobs.
    pub(crate) fn index(&self) -> Option<Arc<dyn VectorIndex>> {
        self.current().map(|generation| generation.side.index.clone())
    }

    /// Why what should serve does not, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.read().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(|(why, _)| why.clone())
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut place = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        *place = trouble.map(|why| (why, Instant::now()));
    }

    fn current(&self) -> Option<Arc<Generation>> {
        self.here.as_ref().map(ArcSwap::load_full)
    }

    /// Writes what the index needs for the next start.
    pub(super) async fn save(&self) {
        if let Some(generation) = self.current() {
            generation.save().await;
        }
    }

    /// Writes what changed now and then, until told to stop.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        while stop.run_until_cancelled(tokio::time::sleep(SAVE_EVERY)).await.is_some() {
            if let Some(vectors) = self.current().and_then(|generation| generation.vectors.clone()) {
                vectors.save_changes().await;
            }
        }
        Ok(())
    }

    /// Does what the choice in the store says: makes the next model ready, and lets the active one serve.
    pub(super) async fn follow(self: &Arc<Self>) {
        let choice = match self.parts.backends.models.choice().await {
            Ok(Some(choice)) => choice,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "which model serves cannot be read: it stays"),
        };
        let Some(current) = self.current() else {
            if self.report().name != choice.active.model {
                self.report.store(Arc::new(told_of(&self.parts.config, &choice.active)));
            }
            return;
        };
        let wanted = match &choice.next {
            _ if choice.active != *current.space() => &choice.active,
            Some(next) => next,
            None => {
                // An activation that was called off, or has yet to be announced, holds its own.
                self.ready.lock().await.take_if(|ready| Arc::strong_count(ready) == 1);
                return self.set_trouble(None);
            }
        };
        let recent = |(_, at): &(String, Instant)| at.elapsed() < RETRY_AFTER;
        if self.trouble.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(recent) {
            return;
        }
        match self.prepare(&wanted.model).await {
            Ok(ready) if *ready.space() != *wanted => {
                let why = format!(
                    "{} should serve, and its files here are those of {}",
                    wanted.id,
                    ready.space().id
                );
                tracing::error!(why, "the model that should serve does not");
                self.set_trouble(Some(why));
            }
            Ok(ready) if choice.active == *wanted => self.install(ready),
            Ok(_) => {}
            Err(error) => {
                let why = format!("{} should serve: {error:#}", wanted.id);
                tracing::error!(why, "a model cannot be made ready");
                self.set_trouble(Some(why));
            }
        }
    }

    /// The model of a name, loaded, with all the vectors that it has.
    async fn prepare(&self, name: &str) -> Result<Arc<Generation>> {
        let (folder, manifest) = model::named(&self.parts.config, name)?;
        let mut place = self.ready.lock().await;
        if let Some(ready) = place.as_ref().filter(|ready| ready.report.name == manifest.name) {
            return Ok(ready.clone());
        }
        tracing::info!(model.name = %manifest.name, "a model is made ready");
        // The room of another one first.
        *place = None;
        let ready = Arc::new(Generation::load(&self.parts, (folder, manifest)).await?);
        *place = Some(ready.clone());
        Ok(ready)
    }

    /// Whether the model of a name is the one that is loaded: of the same name, and of the same files.
    async fn is_current(&self, current: &Generation, name: &str) -> Result<bool> {
        let installed = model::named(&self.parts.config, name)?;
        if installed.1.name != current.report.name {
            return Ok(false);
        }
        let files = model::space(installed, Some(model::memory(&self.parts.config))).await?.id;
        // What computes it inexactly has the space's id end with its name.
        let rest = current.space().id.strip_prefix(&files);
        Ok(rest.is_some_and(|backend| backend.is_empty() || backend.starts_with('-')))
    }

    /// Lets a model serve every job that begins from now on.
    fn install(self: &Arc<Self>, generation: Arc<Generation>) {
        let Some(here) = &self.here else { return };
        self.report.store(Arc::new(generation.report.clone()));
        let old = here.swap(generation.clone());
        if Arc::ptr_eq(&old, &generation) {
            return;
        }
        self.set_trouble(None);
        tracing::info!(from = %old.space().id, to = %generation.space().id, "another model serves");
        let serving = self.clone();
        tokio::spawn(async move {
            serving.ready.lock().await.take_if(|ready| Arc::ptr_eq(ready, &generation));
            let jobs = Arc::downgrade(&old.cases);
            old.save().await;
            drop(old);
            serving.catch_up(jobs).await;
        });
    }

    /// Gives pictures their vectors that were added by jobs which had begun with another model.
    async fn catch_up(self: Arc<Self>, jobs: Weak<UseCases>) {
        while jobs.strong_count() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // An embedded store lets no such job in. Of others, those count that are under way in other processes.
        let rounds = if self.parts.config.mongo.is_some() { 2 } else { 1 };
        for round in 0..rounds {
            if round > 0 {
                tokio::time::sleep(LATE).await;
            }
            let Some(current) = self.current() else { return };
            match current.embed(&self.parts).run(0, (0, 0), &Unwatched).await {
                Ok(done) if done.added > 0 => {
                    tracing::info!(pictures = done.added, "pictures were caught up with");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "pictures were not caught up with"),
            }
        }
    }
}

/// What is told of a model where others run it: what its manifest says, if that is here.
fn told_of(config: &Config, space: &Space) -> ModelReport {
    match model::named(config, &space.model) {
        Ok((_, manifest)) => manifest.into(),
        Err(_) => ModelReport {
            name: space.model.clone(),
            title: space.model.clone(),
            dimension: space.dimension,
            notice: None,
            backends: None,
            space: None,
        },
    }
}

#[async_trait]
impl Models for Arc<Serving> {
    fn cases(&self) -> Option<Arc<UseCases>> {
        self.current().map(|generation| generation.cases.clone())
    }

    async fn activate(&self, asked: &ActivateJob, job: Arc<dyn JobHandle>) -> Result<Value, Failure> {
        let unusable = |error: anyhow::Error| Failure::client("model_unusable", format!("{error:#}"));
        let current =
            self.current().ok_or_else(|| Failure::host("no_model", "this process runs no model"))?;
        job.progress(0, "loading the model");
        let is_current = self.is_current(&current, &asked.model).await.map_err(unusable)?;
        let next =
            if is_current { current.clone() } else { self.prepare(&asked.model).await.map_err(unusable)? };
        let activate = Activate {
            store: self.parts.backends.store.clone(),
            models: self.parts.backends.models.clone(),
            before: current.side.clone(),
            embed: next.embed(&self.parts),
            after: next.side.clone(),
        };
        let activation = activate.run(asked.conditions, job.as_ref()).await?;
        self.follow().await;
        serde_json::to_value(activation)
            .map_err(|error| Failure::host("result_unwritable", error.to_string()))
    }
}
