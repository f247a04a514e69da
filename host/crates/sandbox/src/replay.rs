//! Recorded calls, played again: offline, through the version that was recorded or through another one.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use taja_catalog::{
    TenantId,
    plugins::{Choice, Part},
    policy::{PluginRef, PolicyContext},
    port::{Embedder, VideoDecoder},
    recording::{Answer, Diff, Input, RecordedCall, Recording, Replay},
};

use crate::{
    admission,
    answer::ranking::Asked,
    attempt::Attempt,
    config::SandboxConfig,
    load::{Loader, Refused},
    manifest::{self, Capability},
    plugin::{Binding, Plugin},
    policies::{SandboxError, machinery},
    runner::Runner,
    settings,
    state::Ports,
    ticker::Ticker,
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

/// Plays recordings without any part of the host but the sandbox.
pub struct Player {
    loader: Loader,
    runner: Runner,
    _ticker: Ticker,
}

impl Player {
    /// A sandbox with these limits. `embedder` and `video` are never asked: what was recorded answers in their place.
    pub fn open(
        config: &SandboxConfig,
        embedder: Arc<dyn Embedder>,
        video: Arc<dyn VideoDecoder>,
    ) -> Result<Self, SandboxError> {
        let (loader, runner, ticker) = machinery(config, embedder, video)?;
        Ok(Self { loader, runner, _ticker: ticker })
    }

    /// Plays a call through a component, with the recorded settings or others.
    pub async fn play(
        &self,
        component: Bytes,
        call: &RecordedCall,
        settings: Option<Value>,
    ) -> Result<Replayed, Refused> {
        let loaded = admission::check(&self.loader, &self.runner, component, &Capability::ALL.into()).await?;
        play(&self.runner, loaded.plugin, call, settings).await.map_err(Refused::at("replay"))
    }
}

/// Plays the golden requests that a component carries: what it answered its author, it must answer here.
pub(crate) async fn check_goldens(
    runner: &Runner,
    plugin: &Arc<Plugin>,
    component: &[u8],
) -> Result<(), String> {
    let section = manifest::goldens(component).map_err(|error| error.to_string())?;
    let Some(section) = section else { return Ok(()) };
    let recording = Recording::from_json(section)
        .map_err(|error| format!("the golden requests cannot be read: {error}"))?;
    if recording.calls.len() > MAX_GOLDENS {
        return Err(format!("{} golden requests are more than {MAX_GOLDENS}", recording.calls.len()));
    }
    for (place, call) in (1..).zip(&recording.calls) {
        let played = play(runner, Arc::clone(plugin), call, None).await;
        let played = played.map_err(|reason| format!("golden request {place}: {reason}"))?;
        if !played.missing.is_empty() {
            let missing = played.missing.join("; ");
            return Err(format!("golden request {place} asks for what it does not hold: {missing}"));
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

async fn play(
    runner: &Runner,
    plugin: Arc<Plugin>,
    call: &RecordedCall,
    settings: Option<Value>,
) -> Result<Replayed, String> {
    let identity = Arc::clone(&plugin.identity);
    let settings = settings.unwrap_or_else(|| call.settings.clone());
    let settings = settings::checked(&identity.manifest, Some(&settings))?;
    let choice = Choice {
        digest: identity.digest,
        name: identity.manifest.name.clone(),
        version: identity.manifest.version.to_string(),
        settings,
    };
    let binding = Binding::new(plugin, choice);
    let replay = Replay::of(call);
    // Whose shop it was is not part of what a recorded host is asked.
    let tenant: TenantId = "recorded".parse().map_err(|error| format!("{error}"))?;
    let ports = Ports { embedder: replay.clone(), video: replay.clone(), timeout: runner.ports().timeout };
    let context = PolicyContext::new(tenant.clone(), replay.clone(), call.filter.clone(), replay.job());
    let attempt = Attempt {
        runner,
        tenant: &tenant,
        binding: &binding,
        role: Part::Shadow,
        record: None,
        ports: Some(ports),
    };
    let answer = match &call.input {
        Input::Search { parts, limit } => attempt.search(&context, parts, *limit).await.0.map(Answer::Legs),
        Input::Rank(candidates) => {
            attempt.rank(&context, &mut Asked::new(candidates.clone(), false)).await.0.map(Answer::Ranking)
        }
        Input::Ingest(submission) => attempt.ingest(&context, submission).await.0.map(Answer::Decision),
    };
    let answer = answer.unwrap_or_else(|error| Answer::Fault(error.fault.to_string()));
    let mut missing = replay.missing();
    if let Input::Rank(candidates) = &call.input {
        let columns = &identity.manifest.columns;
        let numbers =
            columns.numbers.iter().filter(|name| !candidates.numbers.iter().any(|(n, _)| n == *name));
        let texts = columns.texts.iter().filter(|name| !candidates.texts.iter().any(|(n, _)| n == *name));
        missing.extend(numbers.chain(texts).map(|name| format!("the column {name}")));
    }
    Ok(Replayed {
        recorded: call.plugin.clone(),
        played: identity.reference(),
        diff: Diff::between(&call.answer, &answer),
        missing,
    })
}
