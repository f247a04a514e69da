//! One version of a plugin, compiled and ready to be called, and the settings it is called with.

use std::{collections::BTreeSet, sync::Arc};

use taja_catalog::{
    PluginDigest,
    plugins::{Choice, Slot},
    policy::PluginRef,
};

use crate::{
    bindings::{ingest::IngestPre, search::SearchPre},
    limits::{Kind, Limits},
    manifest::{Capability, Manifest},
    ranker::Ranker,
    siding::Habit,
    state::GuestState,
    watch::Pace,
};

/// Who a plugin is, and what it may do.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) manifest: Manifest,
    /// SHA-256 of the component.
    pub(crate) digest: PluginDigest,
    /// What the operator grants of what the manifest asks for.
    pub(crate) granted: BTreeSet<Capability>,
    /// How others name it.
    pub(crate) reference: Arc<PluginRef>,
}

impl Identity {
    pub(crate) fn new(manifest: Manifest, digest: PluginDigest, granted: BTreeSet<Capability>) -> Self {
        let reference = PluginRef {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            digest: digest.to_string(),
        };
        Self { manifest, digest, granted, reference: Arc::new(reference) }
    }
}

/// A plugin whose imports are linked; an instance is made of it for every call.
pub(crate) struct Plugin {
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Limits,
    pub(crate) entry: Entry,
}

/// The world a plugin is linked to.
#[derive(Clone)]
pub(crate) enum Entry {
    Search(SearchPre<GuestState>),
    Ingest(IngestPre<GuestState>),
    Rank(Ranker),
}

impl Plugin {
    pub(crate) fn name(&self) -> &str {
        &self.identity.manifest.name
    }

    pub(crate) fn kind(&self) -> Kind {
        self.identity.manifest.kind
    }

    pub(crate) fn slot(&self) -> Slot {
        self.identity.manifest.slot()
    }
}

/// A plugin with settings: what a slot is filled with.
pub(crate) struct Binding {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) choice: Choice,
    /// Names the choice.
    pub(crate) id: String,
    /// JSON text for the guest.
    pub(crate) settings: String,
    /// Of its calls where it serves, or served.
    pub(crate) pace: Pace,
    pub(crate) habit: Habit,
}

impl Binding {
    pub(crate) fn new(plugin: Arc<Plugin>, choice: Choice) -> Self {
        let settings = choice.settings.to_string();
        Self { plugin, id: choice.id(), settings, choice, pace: Pace::default(), habit: Habit::default() }
    }

    /// The modalities that it answers.
    pub(crate) fn accepts(&self) -> &[String] {
        &self.plugin.identity.manifest.accepts
    }

    pub(crate) fn accepts_all<'a>(&self, mut asked: impl Iterator<Item = &'a str>) -> bool {
        asked.all(|modality| self.accepts().iter().any(|known| known == modality))
    }
}
