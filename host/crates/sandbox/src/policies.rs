//! The policies of every tenant: which plugin serves what, and how each is called.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures::future::try_join_all;
use sha2::{Digest, Sha256};
use taja_catalog::{
    TenantId,
    policy::{
        Candidates, Columns, Decision, Leg, Part, Policies, PolicyContext, PolicyError, PolicyFault, Ranking,
        Submission,
    },
    port::{Embedder, VideoDecoder},
};

use crate::{
    answer::{decision, legs, ranking},
    cache::Cache,
    config::SandboxConfig,
    engine,
    limits::Kind,
    load::{Loader, PluginState, PluginStatus, SandboxError, files},
    metrics::CallStats,
    plugin::{Entry, Plugin},
    refusal::Refusal,
    runner::{Runner, Visit},
    state::{Ports, Session},
    ticker::Ticker,
};

/// Plugins that are loaded, and the engine they run on.
pub struct Sandbox {
    runner: Runner,
    /// By the modality they accept.
    search: HashMap<String, Arc<Plugin>>,
    ingest: Option<Arc<Plugin>>,
    rank: Option<Arc<Plugin>>,
    report: Vec<PluginStatus>,
    /// SHA-256 of what decides how a search comes out.
    fingerprint: String,
    /// Joined when the sandbox is dropped.
    _ticker: Ticker,
}

/// An answer, and what it took to get it; the second is none when the call found no place to run in.
pub type Called<T> = (Result<T, PolicyError>, Option<CallStats>);

impl Sandbox {
    /// Loads every `*.wasm` of the plugin folder. A file that is no good is told in the report, not an error.
    pub async fn load(
        config: SandboxConfig,
        embedder: Arc<dyn Embedder>,
        video: Arc<dyn VideoDecoder>,
    ) -> Result<Self, SandboxError> {
        let engine = engine::build(&config).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine, config.tick).map_err(SandboxError::Ticker)?;
        let folder = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| SandboxError::Folder { path, source }
        };
        let cache =
            config.cache.as_deref().map(|path| Cache::open(path).map_err(folder(path))).transpose()?;
        let runner = Runner::new(
            engine.clone(),
            &config,
            Ports { embedder, video, timeout: config.host_call_timeout },
        );
        let files = files(&config.plugins).map_err(folder(&config.plugins))?;
        let loader = Loader { engine: &engine, config: &config, cache: cache.map(Arc::new), runner: &runner };
        let mut roster = Roster::default();
        for file in files {
            let (status, plugin) = loader.load(&file).await;
            roster.add(status, plugin);
        }
        Ok(Self {
            search: roster.search,
            ingest: roster.ingest.remove(&config.ingest),
            rank: roster.rank.remove(&config.rank),
            fingerprint: fingerprint(&roster.report, &config),
            report: roster.report,
            runner,
            _ticker: ticker,
        })
    }

    /// What became of each file, sorted by name.
    pub fn report(&self) -> &[PluginStatus] {
        &self.report
    }

    /// The kinds of plugin that requests need and that are not loaded.
    pub fn missing(&self) -> Vec<&'static str> {
        let absent = [
            (self.search.is_empty(), Kind::Search),
            (self.ingest.is_none(), Kind::Ingest),
            (self.rank.is_none(), Kind::Rank),
        ];
        absent.into_iter().filter(|(absent, _)| *absent).map(|(_, kind)| kind.name()).collect()
    }

    /// Asks the ranking policy; beside the answer what the call used.
    pub async fn rank_measured(&self, context: &PolicyContext, candidates: Candidates) -> Called<Ranking> {
        let Some((plugin, Entry::Rank(pre))) = self.rank.as_deref().map(|plugin| (plugin, &plugin.entry))
        else {
            return (Err(not_loaded(Kind::Rank)), None);
        };
        // A ranking runs on nobody's behalf: it imports nothing that would ask.
        let mut visit = match self.enter(plugin, context, None).await {
            Ok(visit) => visit,
            Err(busy) => return (Err(busy), None),
        };
        let candidates = ranking::candidates(candidates, plugin.settings.clone());
        let answer = visit.rank(pre, &candidates).await;
        let answer = answer
            .and_then(|ranked| ranking::ranking(ranked, &candidates).map_err(PolicyFault::InvalidAnswer));
        told(plugin, visit, answer)
    }

    /// Asks the ingestion policy; beside the answer what the call used.
    pub async fn ingest_measured(&self, context: &PolicyContext, submission: Submission) -> Called<Decision> {
        let Some((plugin, Entry::Ingest(pre))) = self.ingest.as_deref().map(|plugin| (plugin, &plugin.entry))
        else {
            return (Err(not_loaded(Kind::Ingest)), None);
        };
        let mut visit = match self.enter(plugin, context, Some(context.into())).await {
            Ok(visit) => visit,
            Err(busy) => return (Err(busy), None),
        };
        let places = submission.uploads.iter().map(|(index, _)| *index).collect();
        let answer = match decision::submission(visit.store.data_mut(), submission, plugin.settings.clone()) {
            Ok(submission) => visit.ingest(pre, &submission).await,
            Err(refusal) => Err(unhanded(refusal)),
        };
        let answer =
            answer.and_then(|answer| decision::decision(answer, &places).map_err(PolicyFault::InvalidAnswer));
        told(plugin, visit, answer)
    }

    /// Asks the search policies, all at the same time; with the legs what each call used.
    pub async fn search_measured(
        &self,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<(Vec<Leg>, Vec<CallStats>), PolicyError> {
        let calls = self.by_plugin(parts)?.into_iter().map(|(plugin, parts)| async move {
            let (legs, stats) = self.search_one(plugin, context, &parts, limit).await;
            legs.map(|legs| ((plugin.name().to_owned(), legs), stats))
        });
        let (answers, stats): (Vec<_>, Vec<_>) = try_join_all(calls).await?.into_iter().unzip();
        Ok((legs::joined(answers), stats.into_iter().flatten().collect()))
    }

    async fn search_one(
        &self,
        plugin: &Plugin,
        context: &PolicyContext,
        parts: &[Part],
        limit: u32,
    ) -> Called<Vec<Leg>> {
        let Entry::Search(pre) = &plugin.entry else { return (Err(not_loaded(Kind::Search)), None) };
        let mut visit = match self.enter(plugin, context, Some(context.into())).await {
            Ok(visit) => visit,
            Err(busy) => return (Err(busy), None),
        };
        let answer = match legs::query(visit.store.data_mut(), parts, limit, plugin.settings.clone()) {
            Ok(query) => visit.search(pre, &query).await,
            Err(refusal) => Err(unhanded(refusal)),
        };
        let answer = answer.and_then(|legs| {
            legs::legs(visit.store.data_mut(), legs, parts).map_err(PolicyFault::InvalidAnswer)
        });
        told(plugin, visit, answer)
    }

    /// The parts, grouped by the plugin that accepts their modality, in the order of the first part of each.
    fn by_plugin(&self, parts: Vec<Part>) -> Result<Vec<(&Plugin, Vec<Part>)>, PolicyError> {
        let mut groups: Vec<(&Plugin, Vec<Part>)> = Vec::new();
        for part in parts {
            let Some(plugin) = self.search.get(&part.modality) else {
                let fault =
                    PolicyFault::Host(format!("no plugin of kind search accepts {:?}", part.modality));
                return Err(PolicyError { plugin: Kind::Search.name().into(), fault });
            };
            match groups.iter_mut().find(|(known, _)| std::ptr::eq(*known, &raw const **plugin)) {
                Some((_, parts)) => parts.push(part),
                None => groups.push((plugin, vec![part])),
            }
        }
        Ok(groups)
    }

    async fn enter<'a>(
        &self,
        plugin: &'a Plugin,
        context: &PolicyContext,
        session: Option<Session>,
    ) -> Result<Visit<'a>, PolicyError> {
        context.note_use(plugin.identity.reference());
        self.runner.enter(plugin, session).await.map_err(|fault| error(plugin, fault))
    }
}

/// SHA-256 over the components that can be called, who ranks, and the operator's settings.
fn fingerprint(report: &[PluginStatus], config: &SandboxConfig) -> String {
    let ready = report.iter().filter(|plugin| plugin.state == PluginState::Ready);
    let mut parts: Vec<_> = ready.filter_map(|plugin| plugin.digest.clone()).collect();
    let mut settings: Vec<_> =
        config.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    settings.sort();
    parts.push(config.rank.clone());
    parts.append(&mut settings);
    Sha256::digest(parts.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[async_trait]
impl Policies for Sandbox {
    fn modalities(&self) -> HashSet<String> {
        self.search.keys().cloned().collect()
    }

    async fn search(
        &self,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<Vec<Leg>, PolicyError> {
        Ok(self.search_measured(context, parts, limit).await?.0)
    }

    async fn ingest(&self, context: &PolicyContext, submission: Submission) -> Result<Decision, PolicyError> {
        self.ingest_measured(context, submission).await.0
    }

    fn fingerprint(&self, _tenant: &TenantId) -> String {
        self.fingerprint.clone()
    }

    fn ranking_columns(&self, _tenant: &TenantId) -> Columns {
        self.rank.as_ref().map(|plugin| (&plugin.identity.manifest.columns).into()).unwrap_or_default()
    }

    async fn rank(&self, context: &PolicyContext, candidates: Candidates) -> Result<Ranking, PolicyError> {
        self.rank_measured(context, candidates).await.0
    }
}

/// Plugins as they are found, file by file.
#[derive(Default)]
struct Roster {
    names: HashMap<String, String>,
    search: HashMap<String, Arc<Plugin>>,
    ingest: HashMap<String, Arc<Plugin>>,
    rank: HashMap<String, Arc<Plugin>>,
    report: Vec<PluginStatus>,
}

impl Roster {
    fn add(&mut self, mut status: PluginStatus, plugin: Option<Plugin>) {
        if let Some(plugin) = plugin {
            match self.clash(&plugin) {
                Some(reason) => status.state = PluginState::Refused(reason),
                None => self.take(&status.file, Arc::new(plugin)),
            }
        }
        match &status.state {
            PluginState::Ready => tracing::info!(file = status.file, digest = status.digest, "plugin ready"),
            PluginState::Refused(reason) => tracing::warn!(file = status.file, reason, "plugin refused"),
        }
        self.report.push(status);
    }

    /// Why a plugin cannot stand beside those before it.
    fn clash(&self, plugin: &Plugin) -> Option<String> {
        if let Some(file) = self.names.get(plugin.name()) {
            return Some(format!("the name {:?} is taken by {file}", plugin.name()));
        }
        let accepts = &plugin.identity.manifest.accepts;
        let taken = accepts.iter().find_map(|modality| Some((modality, self.search.get(modality)?)));
        taken
            .map(|(modality, by)| format!("the modality {modality:?} is taken by the plugin {:?}", by.name()))
    }

    fn take(&mut self, file: &str, plugin: Arc<Plugin>) {
        let name = plugin.name().to_owned();
        self.names.insert(name.clone(), file.to_owned());
        match plugin.kind() {
            Kind::Search => {
                let accepts = plugin.identity.manifest.accepts.clone();
                self.search.extend(accepts.into_iter().map(|modality| (modality, Arc::clone(&plugin))));
            }
            Kind::Ingest => _ = self.ingest.insert(name, plugin),
            Kind::Rank => _ = self.rank.insert(name, plugin),
        }
    }
}

fn told<T>(plugin: &Plugin, visit: Visit<'_>, answer: Result<T, PolicyFault>) -> Called<T> {
    let stats = visit.tell(&answer);
    (answer.map_err(|fault| error(plugin, fault)), Some(stats))
}

fn error(plugin: &Plugin, fault: PolicyFault) -> PolicyError {
    PolicyError { plugin: plugin.name().to_owned(), fault }
}

fn not_loaded(kind: Kind) -> PolicyError {
    let fault = PolicyFault::Host(format!("no plugin of kind {kind} is loaded under the configured name"));
    PolicyError { plugin: kind.name().into(), fault }
}

/// The request's own media found no room behind the plugin's handles.
fn unhanded(refusal: Refusal) -> PolicyFault {
    PolicyFault::Host(format!("the request cannot be handed over: {:#}", refusal.into_error()))
}
