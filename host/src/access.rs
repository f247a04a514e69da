//! The door: who a request speaks for, what it may do, and how often.

use std::{collections::BTreeSet, hash::Hash, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use jiff::Timestamp;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use taja_catalog::{
    PortError, TenantId,
    access::{AccessStore, ApiKey, KEY_BYTES, KeyId, Scope, ShownKey, Tenant},
};

/// How long what is known of a key or a shop is believed: a revoked key opens nothing after that, at any process.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys and shops that are remembered, of the latest.
const REMEMBERED: u64 = 10_000;
/// A key that was not used for so long has its whole allowance again.
const ALLOWANCE_IDLE: Duration = Duration::from_secs(120);

/// On whose behalf a request runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The shop.
    pub tenant: TenantId,
    /// What the caller may do there.
    pub scopes: BTreeSet<Scope>,
    /// The key that was shown; none of the operator.
    pub key: Option<KeyId>,
    /// Whether the request names the shop, rather than leaving it to whom the key or the operator speaks for.
    pub names_tenant: bool,
}

impl Caller {
    /// Whether it is who runs the service, and may act for every shop.
    pub fn is_operator(&self) -> bool {
        self.key.is_none()
    }

    /// Who it is, as a history tells it.
    pub fn name(&self) -> String {
        match &self.key {
            Some(key) => format!("key {key} of {}", self.tenant),
            None => "operator".to_owned(),
        }
    }
}

/// Why a request does not get in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No key was shown, and one is needed.
    #[error("send the header Authorization: Bearer KEY with a key of this service")]
    Missing,
    /// The key is none of ours, or not any more. Which of the two is nobody's business.
    #[error("this key opens nothing: it is unknown, revoked or expired")]
    Unknown,
    /// The request names another shop than its key.
    #[error("there is no such tenant")]
    OtherTenant,
    /// The key was used too often.
    #[error("this key may make {per_minute} requests per minute")]
    TooMany {
        /// Its allowance.
        per_minute: u32,
        /// When it is worthwhile to come back.
        retry_after: Duration,
    },
    /// Nobody can tell now.
    #[error(transparent)]
    Store(#[from] PortError),
}

/// How a service is opened.
#[derive(Debug, Clone)]
pub struct DoorConfig {
    /// The operator's key; without one everybody who reaches the service is the operator.
    pub operator_key: Option<SecretString>,
    /// The shop that the operator acts for unless another is named.
    pub tenant: TenantId,
    /// Requests per minute of a key that has no limit of its own; none without a limit.
    pub per_minute: Option<u32>,
}

struct Allowance {
    per_minute: u32,
    limiter: DefaultDirectRateLimiter,
}

/// Lets callers in.
pub struct Door {
    store: Arc<dyn AccessStore>,
    config: DoorConfig,
    keys: Cache<KeyId, Option<Arc<ApiKey>>>,
    tenants: Cache<TenantId, bool>,
    allowances: Cache<KeyId, Arc<Allowance>>,
}

impl Door {
    /// A door to the shops of a store. The operator's own shop is registered if it is not yet.
    pub async fn open(store: Arc<dyn AccessStore>, config: DoorConfig) -> Result<Self, PortError> {
        let name = config.tenant.to_string();
        store.add_tenant(&Tenant { id: config.tenant.clone(), name, created_at: Timestamp::now() }).await?;
        Ok(Self {
            store,
            config,
            keys: believed(),
            tenants: believed(),
            allowances: Cache::builder().max_capacity(REMEMBERED).time_to_idle(ALLOWANCE_IDLE).build(),
        })
    }

    /// The shops and keys behind it.
    pub fn store(&self) -> &dyn AccessStore {
        self.store.as_ref()
    }

    /// Who a request speaks for that shows this bearer token and names this shop.
    pub async fn admit(&self, bearer: Option<&str>, tenant: Option<&str>) -> Result<Caller, Refusal> {
        // Whoever shows a shop's key is that shop, on a service without a key of its own too.
        if let Some(shown) = bearer.and_then(|shown| shown.parse().ok()) {
            return self.admit_key(&shown, tenant).await;
        }
        match (bearer, &self.config.operator_key) {
            (_, None) => self.admit_operator(tenant).await,
            (Some(shown), Some(key)) if same(shown, key.expose_secret()) => self.admit_operator(tenant).await,
            (Some(_), Some(_)) => Err(Refusal::Unknown),
            (None, Some(_)) => Err(Refusal::Missing),
        }
    }

    async fn admit_key(&self, shown: &ShownKey, tenant: Option<&str>) -> Result<Caller, Refusal> {
        let key = self.key(shown.id()).await?.filter(|key| key.is_opened_by(shown, Timestamp::now()));
        let key = key.ok_or(Refusal::Unknown)?;
        if tenant.is_some_and(|tenant| tenant != key.tenant.as_str()) {
            return Err(Refusal::OtherTenant);
        }
        self.spend(&key)?;
        let names_tenant = tenant.is_some();
        let ApiKey { tenant, scopes, id, .. } = key.as_ref();
        Ok(Caller { tenant: tenant.clone(), scopes: scopes.clone(), key: Some(id.clone()), names_tenant })
    }

    async fn admit_operator(&self, tenant: Option<&str>) -> Result<Caller, Refusal> {
        let names_tenant = tenant.is_some();
        let tenant = match tenant {
            None => self.config.tenant.clone(),
            Some(name) => self.registered(name).await?.ok_or(Refusal::OtherTenant)?,
        };
        Ok(Caller { tenant, scopes: Scope::ALL.into(), key: None, names_tenant })
    }

    async fn registered(&self, name: &str) -> Result<Option<TenantId>, PortError> {
        let Ok(id) = name.parse::<TenantId>() else { return Ok(None) };
        let known = match self.tenants.get(&id) {
            Some(known) => known,
            None => {
                let known = self.store.tenant(&id).await?.is_some();
                self.tenants.insert(id.clone(), known);
                known
            }
        };
        Ok(known.then_some(id))
    }

    async fn key(&self, id: &KeyId) -> Result<Option<Arc<ApiKey>>, PortError> {
        if let Some(known) = self.keys.get(id) {
            return Ok(known);
        }
        let found = self.store.key(id).await?.map(Arc::new);
        self.keys.insert(id.clone(), found.clone());
        Ok(found)
    }

    /// What is remembered of a key is forgotten, so that a change to it holds here at once.
    pub fn forget(&self, id: &KeyId) {
        self.keys.invalidate(id);
    }

    /// What is remembered of a shop is forgotten.
    pub fn forget_tenant(&self, id: &TenantId) {
        self.tenants.invalidate(id);
    }

    /// Takes one request off the key's allowance.
    fn spend(&self, key: &ApiKey) -> Result<(), Refusal> {
        let Some(per_minute) = key.per_minute.or(self.config.per_minute).and_then(NonZeroU32::new) else {
            return Ok(());
        };
        let fresh = || {
            let limiter = RateLimiter::direct(Quota::per_minute(per_minute));
            Arc::new(Allowance { per_minute: per_minute.get(), limiter })
        };
        let mut allowance = self.allowances.get_with_by_ref(&key.id, fresh);
        if allowance.per_minute != per_minute.get() {
            allowance = fresh();
            self.allowances.insert(key.id.clone(), Arc::clone(&allowance));
        }
        allowance.limiter.check().map_err(|not_until| Refusal::TooMany {
            per_minute: per_minute.get(),
            retry_after: not_until.wait_time_from(DefaultClock::default().now()),
        })
    }
}

/// Remembers what it is told for as long as it is believed.
fn believed<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
    Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEVED).build()
}

/// Digests are compared, so that the time it takes tells nothing of the key.
fn same(shown: &str, key: &str) -> bool {
    Sha256::digest(shown) == Sha256::digest(key)
}

/// Draws a new key.
///
/// # Errors
/// When the system has no randomness to give.
pub fn draw_key() -> std::io::Result<ShownKey> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(ShownKey::of_random(&bytes))
}
