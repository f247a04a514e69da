//! What the operator decides about plugins.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use taja_catalog::TenantId;

use crate::{
    clock::{Clock, SystemClock},
    compile::Compiler,
    limits::Limits,
    signature::TrustedKeys,
};

/// What the operator decides about plugins.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Folder whose `*.wasm` files are the plugins.
    pub plugins: PathBuf,
    /// Folder for compiled plugins, written and read by this host alone; without one every start compiles anew.
    pub cache: Option<PathBuf>,
    /// Compiles plugins in a process of its own; without one they are compiled in this process, with no limits.
    pub compiler: Option<Compiler>,
    /// Name of the plugin that ranks.
    pub rank: String,
    /// Name of the plugin that decides on uploads.
    pub ingest: String,
    /// Settings by plugin name, handed to the guest as JSON text; `{}` for a plugin without any.
    pub settings: HashMap<String, Value>,
    /// Whether the instructions of every call are counted, which makes calls slower.
    pub count_fuel: bool,
    /// Calls that run at one time; further ones wait.
    pub concurrency: u32,
    /// How long a call waits for a free place before it is given up as busy.
    pub queue_wait: Duration,
    /// How long one host call may take.
    pub host_call_timeout: Duration,
    /// Distance of the checks on a guest that computes: it yields, and is stopped when its time is used up.
    pub tick: Duration,
    /// Whose signatures components need; nobody's when there are none.
    pub trusted: TrustedKeys,
    /// The most that the operator's own plugins get, whatever their manifests ask for.
    pub maximum: Limits,
    /// The most that a plugin gets which a shop brought itself.
    pub tenant_maximum: Limits,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long what served is kept for the jobs that are pinned to it, beyond the choices that are always kept.
    pub drain: Duration,
    /// How long a choice that went live is watched, to go back by itself when it misbehaves.
    pub probation: Duration,
    /// Largest component file that is read, bytes.
    pub max_component_bytes: u64,
    /// Bytes of each linear memory that stay mapped between calls and are cleared by writing zeros:
    /// system calls and page faults cost more than that up to about a megabyte, and others wait for them.
    pub keep_resident_bytes: usize,
    /// Whether page-map scanning may be used where it is safe. It saves the zeros that large memories take, and waits for
    /// whoever else changes the memory map: a neighbour that grows its memory all the time holds calls up by milliseconds.
    pub pagemap_scan: PagemapScan,
}

/// Whether page-map scanning is used to reset memory between calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PagemapScan {
    /// Where swap is off and the kernel is 6.7 or newer.
    WhereSafe,
    /// Never.
    Off,
}

impl SandboxConfig {
    /// The most that a plugin of this owner gets: a shop, or nobody, which is the operator.
    pub fn maximum_of(&self, owner: Option<&TenantId>) -> Limits {
        if owner.is_some() { self.tenant_maximum } else { self.maximum }
    }

    /// The defaults, for the plugins of one folder.
    pub fn new(plugins: impl Into<PathBuf>) -> Self {
        Self {
            plugins: plugins.into(),
            cache: None,
            compiler: None,
            rank: "rank-default".into(),
            ingest: "ingest-product".into(),
            settings: HashMap::new(),
            count_fuel: false,
            concurrency: 32,
            queue_wait: Duration::from_secs(2),
            host_call_timeout: Duration::from_secs(30),
            tick: Duration::from_millis(5),
            trusted: TrustedKeys::default(),
            maximum: Limits::OPERATORS,
            tenant_maximum: Limits::SHOPS,
            clock: Arc::new(SystemClock),
            drain: Duration::from_secs(120),
            probation: Duration::from_secs(600),
            max_component_bytes: 64 << 20,
            keep_resident_bytes: 1 << 20,
            pagemap_scan: PagemapScan::Off,
        }
    }
}
