//! Components called without a service: with a host of the caller's, or with the one of a recording.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use taja_catalog::{
    Filter, TenantId,
    plugins::{Choice, Part},
    policy::{JobHandle, PluginRef, PolicyContext},
    port::{Embedder, VideoDecoder},
    recording::{Answer, Diff, Input, RecordedCall, Recording, Replay},
    retrieval::Catalogue,
};

use crate::{
    admission,
    answer::ranking::Asked,
    attempt::{Attempt, Called},
    binary::Binary,
    compile,
    config::SandboxConfig,
    limits::Limits,
    load::{Loader, Refused, Terms},
    manifest::{self, Capability, Manifest},
    plugin::{Binding, Plugin},
    policies::{SandboxError, machinery},
    runner::Runner,
    settings,
    state::Ports,
};

/// Most golden requests of one plugin.
const MAX_GOLDENS: usize = 32;

/// How a recorded call went when it was played again.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Who answered then.
    pub recorded: PluginRef,
    /// Who answered now.
    pub played: PluginRef,
    /// How the answers differ.
    pub diff: Diff,
    /// What was asked of the host, or for, that the recording does not hold.
    pub missing: Vec<String>,
}

/// Calls components without any part of the host but the sandbox.
pub struct Player {
    loader: Loader,
    runner: Runner,
    terms: Terms,
}

/// A component that is ready to be called, and serves nobody.
pub struct Subject {
    plugin: Arc<Plugin>,
    /// From its bytes to machine code.
    pub compiled_in: Duration,
    /// Whether the machine code came from the cache.
    pub cached: bool,
}

/// What answers a subject's host calls.
pub struct Host {
    /// The shop's products.
    pub catalogue: Arc<dyn Catalogue>,
    /// The request's filter.
    pub filter: Filter,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The video decoder.
    pub video: Arc<dyn VideoDecoder>,
    /// The job on whose behalf it runs.
    pub job: Arc<dyn JobHandle>,
}

impl Player {
    /// A sandbox with these limits. `video` is never asked: a call brings its own.
    pub fn open(config: &SandboxConfig, video: Arc<dyn VideoDecoder>) -> Result<Self, SandboxError> {
        let (loader, runner) = machinery(config, video)?;
        let terms = Terms { granted: Capability::ALL.into(), maximum: config.maximum };
        Ok(Self { loader, runner, terms })
    }

    /// Loads a component as a service would that grants it everything.
    pub async fn load(&self, component: Bytes) -> Result<Subject, Refused> {
        let component = Binary::taken(component).await;
        let loaded = admission::check(&self.loader, &self.runner, component, &self.terms).await?;
        Ok(Subject { plugin: loaded.plugin, compiled_in: loaded.compiled_in, cached: loaded.cached })
    }

    /// Calls a subject once. The error says what is wrong with the settings; how the call itself went is in [`Called`].
    pub async fn call(
        &self,
        subject: &Subject,
        input: &Input,
        host: Host,
        settings: &Value,
    ) -> Result<Called<Answer>, String> {
        call(&self.runner, &subject.plugin, input, host, settings).await
    }

    /// Plays a recorded call through a subject, with the recorded settings or others.
    pub async fn play(
        &self,
        subject: &Subject,
        recorded: &RecordedCall,
        settings: Option<&Value>,
    ) -> Result<Replayed, String> {
        play(&self.runner, &subject.plugin, recorded, settings).await
    }
}

impl Subject {
    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.plugin.identity.manifest
    }

    /// What one call of it may use up.
    pub fn limits(&self) -> &Limits {
        &self.plugin.limits
    }
}

/// Plays the golden requests that a component carries: what it answered its author, it must answer here.
pub(crate) async fn check_goldens(
    runner: &Runner,
    plugin: &Arc<Plugin>,
    component: Bytes,
) -> Result<(), String> {
    let Some(recording) = compile::blocking(move || goldens(&component)).await? else { return Ok(()) };
    if recording.calls.len() > MAX_GOLDENS {
        return Err(format!(
            "{} golden requests are more than {MAX_GOLDENS}: keep those that tell most",
            recording.calls.len()
        ));
    }
    for (place, call) in (1..).zip(&recording.calls) {
        let played = play(runner, plugin, call, None).await;
        let played = played.map_err(|reason| format!("golden request {place}: {reason}: record it anew"))?;
        if !played.missing.is_empty() {
            let missing = played.missing.join("; ");
            return Err(format!(
                "golden request {place} asks for what it does not hold: {missing}: record it anew with this version"
            ));
        }
        if !played.diff.identical {
            return Err(format!(
                "golden request {place} is answered otherwise than recorded; record it anew if that is meant:\n{}",
                played.diff
            ));
        }
    }
    Ok(())
}

fn goldens(component: &[u8]) -> Result<Option<Recording>, String> {
    let section = manifest::goldens(component).map_err(|error| error.to_string())?;
    let recording = section.map(Recording::from_json).transpose();
    recording.map_err(|error| {
        format!("the golden requests cannot be read: {error}: record them anew with `taja plugin record` and pack them again")
    })
}

async fn play(
    runner: &Runner,
    plugin: &Arc<Plugin>,
    recorded: &RecordedCall,
    settings: Option<&Value>,
) -> Result<Replayed, String> {
    let replay = Replay::of(recorded);
    let host = Host {
        catalogue: replay.clone(),
        filter: recorded.filter.clone(),
        embedder: replay.clone(),
        video: replay.clone(),
        job: replay.job(),
    };
    let settings = settings.unwrap_or(&recorded.settings);
    let (answer, _) = call(runner, plugin, &recorded.input, host, settings).await?;
    let answer = answer.unwrap_or_else(|error| Answer::Fault(error.fault.to_string()));
    let mut missing = replay.missing();
    if let Input::Rank(candidates) = &recorded.input {
        let columns = &plugin.identity.manifest.columns;
        let numbers =
            columns.numbers.iter().filter(|name| !candidates.numbers.iter().any(|(n, _)| n == *name));
        let texts = columns.texts.iter().filter(|name| !candidates.texts.iter().any(|(n, _)| n == *name));
        missing.extend(numbers.chain(texts).map(|name| format!("the column {name}")));
    }
    Ok(Replayed {
        recorded: recorded.plugin.clone(),
        played: plugin.identity.reference.as_ref().clone(),
        diff: Diff::between(&recorded.answer, &answer),
        missing,
    })
}

/// Calls a plugin that serves nobody.
async fn call(
    runner: &Runner,
    plugin: &Arc<Plugin>,
    input: &Input,
    host: Host,
    settings: &Value,
) -> Result<Called<Answer>, String> {
    let identity = &plugin.identity;
    let choice = Choice {
        digest: identity.digest,
        name: identity.manifest.name.clone(),
        version: identity.manifest.version.to_string(),
        settings: settings::checked(&identity.manifest, Some(settings))?,
    };
    let binding = Binding::new(Arc::clone(plugin), choice);
    // Whose shop it is shows nowhere.
    let tenant: TenantId = "nobody".parse().map_err(|error| format!("{error}"))?;
    let ports = Ports { video: host.video, timeout: runner.ports().timeout };
    let context = PolicyContext::new(tenant.clone(), host.catalogue, host.embedder, host.filter, host.job);
    let attempt = Attempt {
        runner,
        tenant: &tenant,
        binding: &binding,
        role: Part::Shadow,
        record: None,
        ports: Some(ports),
    };
    let (answer, stats) = match input {
        Input::Search { parts, limit } => {
            as_answer(attempt.search(&context, parts, *limit).await, Answer::Legs)
        }
        Input::Rank(candidates) => {
            let mut asked = Asked::new(candidates.clone(), false);
            as_answer(attempt.rank(&context, &mut asked).await, Answer::Ranking)
        }
        Input::Ingest(submission) => as_answer(attempt.ingest(&context, submission).await, Answer::Decision),
    };
    Ok((answer, stats))
}

fn as_answer<T>((answer, stats): Called<T>, as_answer: fn(T) -> Answer) -> Called<Answer> {
    (answer.map(as_answer), stats)
}
