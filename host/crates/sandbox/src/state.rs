//! What the host keeps for one call: handles, quotas, and on whose behalf it looks things up.

use std::{sync::Arc, time::Duration};

use taja_catalog::{
    Filter, TenantId,
    policy::{JobHandle, PolicyContext},
    port::{Embedder, VideoDecoder},
    retrieval::Catalogue,
};
use wasmtime::component::{Resource, ResourceTable};

use crate::{
    hits::Interner,
    host::{log::LogBook, wasi::Wasi},
    limits::{Kind, Limits},
    manifest::Capability,
    memory::MemoryCap,
    meter::Meter,
    plugin::Identity,
    refusal::{Answer, Refusal},
};

/// The parts of the host that answer host calls; the same for every call.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) video: Arc<dyn VideoDecoder>,
    pub(crate) timeout: Duration,
}

/// On whose behalf a call runs. A ranking has none: it imports nothing that would ask.
pub(crate) struct Session {
    pub(crate) tenant: TenantId,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) filter: Filter,
    pub(crate) job: Arc<dyn JobHandle>,
}

impl From<&PolicyContext> for Session {
    fn from(context: &PolicyContext) -> Self {
        Self {
            tenant: context.tenant.clone(),
            catalogue: Arc::clone(&context.catalogue),
            embedder: Arc::clone(&context.embedder),
            filter: context.filter.clone(),
            job: Arc::clone(&context.job),
        }
    }
}

/// What the host keeps for one call.
pub(crate) struct GuestState {
    pub(crate) meter: Arc<Meter>,
    pub(crate) memory: MemoryCap,
    pub(crate) log: LogBook,
    pub(crate) wasi: Wasi,
    pub(crate) interner: Interner,
    pub(crate) session: Option<Session>,
    pub(crate) ports: Ports,
    pub(crate) progress_left: u32,
    /// Whether the call is to go the same way when it is played again.
    pub(crate) exact: bool,
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Limits,
    table: ResourceTable,
    handles: usize,
    held_bytes: usize,
}

/// Something behind a handle of the guest.
pub(crate) trait Held: Send + 'static {
    /// Bytes the host keeps for it alone.
    fn held_bytes(&self) -> usize;
}

/// Progress reports of one call that reach the job; the rest are dropped.
const MAX_PROGRESS: u32 = 200;

impl GuestState {
    pub(crate) fn new(
        identity: Arc<Identity>,
        limits: Limits,
        ports: Ports,
        session: Option<Session>,
        exact: bool,
    ) -> Self {
        let log = LogBook::new(Arc::clone(&identity), limits.log_bytes);
        Self {
            meter: Arc::new(Meter::start(&limits)),
            memory: MemoryCap::new(limits.memory_bytes),
            wasi: Wasi::new(exact || identity.manifest.kind == Kind::Rank, log.clone()),
            log,
            interner: Interner::default(),
            session,
            ports,
            progress_left: MAX_PROGRESS,
            exact,
            identity,
            limits,
            table: ResourceTable::new(),
            handles: 0,
            held_bytes: 0,
        }
    }

    /// Whether the operator grants this, of what the manifest asks for.
    pub(crate) fn grants(&self, capability: Capability) -> bool {
        self.identity.granted.contains(&capability)
    }

    /// On whose behalf the call runs.
    pub(crate) fn session(&self) -> Answer<&Session> {
        self.session.as_ref().ok_or_else(|| Refusal::broken("the call runs on nobody's behalf"))
    }

    /// Whether `bytes` more may be held behind handles. Asked before anything of that size is made.
    pub(crate) fn room_for(&self, bytes: usize) -> Answer<()> {
        if self.held_bytes.saturating_add(bytes) > self.limits.memory_bytes {
            let limit = self.limits.memory_bytes;
            return Err(Refusal::quota(format!(
                "the host would hold more than {limit} bytes behind this call's handles (limits.memory_mib)"
            )));
        }
        Ok(())
    }

    /// Gives the guest a handle.
    pub(crate) fn give<T: Held>(&mut self, entry: T) -> Answer<Resource<T>> {
        if self.handles >= self.limits.handles {
            let limit = self.limits.handles;
            return Err(Refusal::quota(format!(
                "all {limit} handles of this call are held (limits.handles)"
            )));
        }
        let bytes = entry.held_bytes();
        self.room_for(bytes)?;
        let handle = self.table.push(entry)?;
        self.handles += 1;
        self.held_bytes += bytes;
        Ok(handle)
    }

    /// Gives the guest a handle for each, or none at all.
    pub(crate) fn give_all<T: Held>(&mut self, entries: Vec<T>) -> Answer<Vec<Resource<T>>> {
        let mut handles = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.give(entry) {
                Ok(handle) => handles.push(handle),
                Err(refusal) => {
                    handles.into_iter().try_for_each(|handle| self.take(handle).map(drop))?;
                    return Err(refusal);
                }
            }
        }
        Ok(handles)
    }

    /// What is behind a handle.
    pub(crate) fn get<T: Held>(&self, handle: &Resource<T>) -> Answer<&T> {
        Ok(self.table.get(handle)?)
    }

    /// Takes a handle back.
    pub(crate) fn take<T: Held>(&mut self, handle: Resource<T>) -> Answer<T> {
        let entry = self.table.delete(handle)?;
        self.handles -= 1;
        self.held_bytes -= entry.held_bytes();
        Ok(entry)
    }
}
