//! One plugin, compiled and ready to be called.

use std::sync::OnceLock;

use taja_catalog::policy::PluginRef;

use std::sync::Arc;

use crate::{
    bindings::{ingest::IngestPre, rank::RankPre, search::SearchPre},
    limits::{Kind, Limits},
    manifest::Manifest,
    metrics::CallMetrics,
    state::GuestState,
};

/// Who a plugin is.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) manifest: Manifest,
    /// SHA-256 of the component, lower-case hex.
    pub(crate) digest: String,
}

impl Identity {
    pub(crate) fn reference(&self) -> PluginRef {
        PluginRef {
            name: self.manifest.name.clone(),
            version: self.manifest.version.to_string(),
            digest: self.digest.clone(),
        }
    }
}

/// A plugin whose imports are linked; an instance is made of it for every call.
pub(crate) struct Plugin {
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Limits,
    /// JSON text for the guest.
    pub(crate) settings: String,
    pub(crate) entry: Entry,
    pub(crate) metrics: OnceLock<CallMetrics>,
}

/// The world a plugin is linked to.
pub(crate) enum Entry {
    Search(SearchPre<GuestState>),
    Ingest(IngestPre<GuestState>),
    Rank(RankPre<GuestState>),
}

impl Plugin {
    pub(crate) fn name(&self) -> &str {
        &self.identity.manifest.name
    }

    pub(crate) fn kind(&self) -> Kind {
        self.identity.manifest.kind
    }
}
