//! What shops say of their words, remembered for some seconds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use taja_catalog::{
    PortResult, TenantId,
    access::AccessStore,
    words::{WordRules, WordSettings},
};

/// How long what a shop said is believed: what is said at another process counts here after that.
const BELIEVED: Duration = Duration::from_secs(5);
/// Shops that are remembered, of the latest.
const REMEMBERED: u64 = 10_000;

/// The word settings of every shop.
pub struct ShopWords {
    store: Arc<dyn AccessStore>,
    known: Cache<TenantId, Known>,
}

#[derive(Clone)]
struct Known {
    settings: Arc<WordSettings>,
    fingerprint: Arc<str>,
}

impl ShopWords {
    /// Those that a store keeps.
    pub fn new(store: Arc<dyn AccessStore>) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEVED).build();
        Self { store, known }
    }

    /// Keeps what a shop says from now on; false when there is no such shop.
    pub async fn set(&self, tenant: &TenantId, settings: &WordSettings) -> PortResult<bool> {
        let is_set = self.store.set_word_settings(tenant, settings).await?;
        self.known.invalidate(tenant);
        Ok(is_set)
    }

    /// Names what a shop says: another one whenever it says something else.
    pub async fn fingerprint(&self, tenant: &TenantId) -> PortResult<Arc<str>> {
        Ok(self.known(tenant).await?.fingerprint)
    }

    async fn known(&self, tenant: &TenantId) -> PortResult<Known> {
        if let Some(known) = self.known.get(tenant) {
            return Ok(known);
        }
        let settings = self.store.word_settings(tenant).await?.unwrap_or_default();
        let text = serde_json::to_string(&settings).unwrap_or_default();
        let fingerprint: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = Known { settings: Arc::new(settings), fingerprint: fingerprint.into() };
        self.known.insert(tenant.clone(), known.clone());
        Ok(known)
    }
}

#[async_trait]
impl WordRules for ShopWords {
    async fn of(&self, tenant: &TenantId) -> PortResult<Arc<WordSettings>> {
        Ok(self.known(tenant).await?.settings)
    }
}
