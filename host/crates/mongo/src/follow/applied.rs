//! The versions of catalogues that an index holds.

use std::{collections::HashMap, time::Duration};

use parking_lot::RwLock;
use taja_catalog::TenantId;
use tokio::sync::watch;

/// The applied version of each shop, and a bell that rings when one grows.
#[derive(Debug, Default)]
pub(super) struct Applied {
    versions: RwLock<HashMap<TenantId, u64>>,
    bell: watch::Sender<()>,
}

impl Applied {
    /// A shop's version; 0 before the first.
    pub(super) fn version(&self, tenant: &TenantId) -> u64 {
        self.versions.read().get(tenant).copied().unwrap_or_default()
    }

    /// These are held now. A version never goes down: what is streamed a second time is old news.
    pub(super) fn publish(&self, newer: Vec<(TenantId, u64)>) {
        if newer.is_empty() {
            return;
        }
        let mut versions = self.versions.write();
        for (tenant, version) in newer {
            let held = versions.entry(tenant).or_default();
            *held = version.max(*held);
        }
        drop(versions);
        self.bell.send_replace(());
    }

    /// Waits until a shop has come to this version; whether it did within the limit.
    pub(super) async fn reach(&self, tenant: &TenantId, version: u64, limit: Duration) -> bool {
        let mut bell = self.bell.subscribe();
        let reached = async {
            while self.version(tenant) < version {
                if bell.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, reached).await.is_ok()
    }
}
