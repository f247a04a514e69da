//! Who may ask for what: shops, and the keys that speak for them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    callback::{CallbackSecret, CallbackSecrets},
    id::{JudgementSetId, TenantId},
    judgements::JudgementSet,
    port::PortResult,
    words::WordSettings,
};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Finding products.
    Search,
    /// Taking products in and changing them.
    Catalogue,
    /// The shop's plugins and keys.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Search, Self::Catalogue, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Catalogue => "catalogue",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: it is one of search, catalogue, admin")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == word);
        known.ok_or_else(|| UnknownScope(word.chars().take(80).collect()))
    }
}

/// A shop, as it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name in every row, job and metric.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// What a key's text begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "taja";
/// Bytes of the part that names a key, and of the part that proves it.
const NAME_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// All the bytes that a new key is drawn from.
pub const KEY_BYTES: usize = NAME_BYTES + SECRET_BYTES;

/// The public part of a key: 16 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is 16 of 0-9 and a-f")]
pub struct InvalidKeyId;

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        if is_hex(text, NAME_BYTES) { Ok(Self(text.to_owned())) } else { Err(InvalidKeyId) }
    }
}

fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key as its owner shows it: `taja_NAME_SECRET`. It is never written to a log, and nowhere kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownKey {
    id: KeyId,
    text: String,
}

impl ShownKey {
    /// The key made of so many random bytes.
    pub fn of_random(bytes: &[u8; KEY_BYTES]) -> Self {
        let (name, secret) = bytes.split_at(NAME_BYTES);
        let id = hex(name);
        Self { text: format!("{PREFIX}_{id}_{}", hex(secret)), id: KeyId(id) }
    }

    /// Which key it claims to be.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The text, to be told its owner once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored of it. The secret is 256 random bits, so a plain hash gives nothing away.
    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }
}

impl fmt::Debug for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}_{}_...", self.id)
    }
}

/// The text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key looks like taja_0123456789abcdef_ and 64 more hex digits")]
pub struct InvalidKey;

impl FromStr for ShownKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text.split('_');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(PREFIX), Some(id), Some(secret), None) if is_hex(secret, SECRET_BYTES) => {
                Ok(Self { id: id.parse().map_err(|_| InvalidKey)?, text: text.to_owned() })
            }
            _ => Err(InvalidKey),
        }
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public part.
    pub id: KeyId,
    /// SHA-256 of its text, lower-case hex.
    pub digest: String,
    /// The shop it speaks for.
    pub tenant: TenantId,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// What it is for, in its owner's words.
    pub label: String,
    /// Requests per minute it may make at each process; the service's own limit when none is given.
    pub per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// What is stored of a key that was just drawn.
    pub fn new(
        shown: &ShownKey,
        tenant: TenantId,
        scopes: BTreeSet<Scope>,
        label: String,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id: shown.id.clone(),
            digest: hex(&shown.digest()),
            tenant,
            scopes,
            label,
            per_minute: None,
            created_at,
            expires_at: None,
            revoked_at: None,
        }
    }

    /// Whether the shown key is this one and still good. Digests are compared, and all of their bytes, so that the time
    /// it takes tells nothing.
    pub fn is_opened_by(&self, shown: &ShownKey, now: Timestamp) -> bool {
        let same = hex(&shown.digest()).bytes().zip(self.digest.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        same == 0 && self.digest.len() == 64 && self.is_good(now)
    }

    /// Whether it is neither revoked nor expired.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Keeps shops and their keys.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// Registers a shop; false when it is there already, and then nothing changes.
    async fn add_tenant(&self, tenant: &Tenant) -> PortResult<bool>;
    /// A registered shop.
    async fn tenant(&self, id: &TenantId) -> PortResult<Option<Tenant>>;
    /// Every registered shop, by id.
    async fn tenants(&self) -> PortResult<Vec<Tenant>>;
    /// Keeps a new key. `Conflict` when there is one of that id.
    async fn add_key(&self, key: &ApiKey) -> PortResult<()>;
    /// A key, whatever became of it.
    async fn key(&self, id: &KeyId) -> PortResult<Option<ApiKey>>;
    /// A shop's keys, oldest first, revoked and expired ones too.
    async fn keys(&self, tenant: &TenantId) -> PortResult<Vec<ApiKey>>;
    /// Revokes a shop's key; false when the shop has no such key. One that is revoked stays as it is.
    async fn revoke_key(&self, tenant: &TenantId, id: &KeyId, at: Timestamp) -> PortResult<bool>;
    /// What a shop says of its words, once it did.
    async fn word_settings(&self, tenant: &TenantId) -> PortResult<Option<WordSettings>>;
    /// Keeps what a shop says of its words; false when there is no such shop.
    async fn set_word_settings(&self, tenant: &TenantId, settings: &WordSettings) -> PortResult<bool>;
    /// A shop's sets of judgements, by name.
    async fn judgements(&self, tenant: &TenantId) -> PortResult<Vec<JudgementSet>>;
    /// A set with its lines.
    async fn judgement_lines(
        &self,
        tenant: &TenantId,
        id: &JudgementSetId,
    ) -> PortResult<Option<(JudgementSet, String)>>;
    /// Keeps a set and its lines, in the place of one of its name; false when there is no such shop.
    async fn keep_judgements(&self, tenant: &TenantId, set: &JudgementSet, lines: &str) -> PortResult<bool>;
    /// Forgets a set; false when the shop has none of that name.
    async fn forget_judgements(&self, tenant: &TenantId, id: &JudgementSetId) -> PortResult<bool>;
    /// What a registered shop's callbacks are signed with, once something was.
    async fn callback_secrets(&self, tenant: &TenantId) -> PortResult<Option<CallbackSecrets>>;
    /// Keeps a registered shop's secrets in the place of those with this current one, or of none; false when others took
    /// their place meanwhile, or when there is no such shop.
    async fn replace_callback_secrets(
        &self,
        tenant: &TenantId,
        current: Option<&CallbackSecret>,
        secrets: &CallbackSecrets,
    ) -> PortResult<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(byte: u8) -> ShownKey {
        ShownKey::of_random(&[byte; KEY_BYTES])
    }

    fn stored(shown: &ShownKey) -> ApiKey {
        let scopes = BTreeSet::from([Scope::Search]);
        ApiKey::new(shown, "shop".parse().unwrap(), scopes, "web".into(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_key_opens_what_was_made_of_it_and_nothing_else() {
        let key = shown(7);
        assert_eq!(key.expose().parse::<ShownKey>().as_ref(), Ok(&key));
        assert_eq!(key.expose().len(), 4 + 1 + 16 + 1 + 64);
        let now = Timestamp::now();
        assert!(stored(&key).is_opened_by(&key, now));
        let mut other = key.expose().to_owned();
        other.replace_range(other.len() - 1.., "0");
        assert!(!stored(&key).is_opened_by(&other.parse().unwrap(), now));
        assert!(!stored(&key).is_opened_by(&shown(8), now));
    }

    #[test]
    fn a_revoked_or_expired_key_opens_nothing() {
        let (key, now) = (shown(1), Timestamp::now());
        let revoked = ApiKey { revoked_at: Some(now), ..stored(&key) };
        let expired = ApiKey { expires_at: Some(now), ..stored(&key) };
        assert!(!revoked.is_opened_by(&key, now) && !expired.is_opened_by(&key, now));
        assert!(expired.is_opened_by(&key, now - jiff::SignedDuration::from_secs(1)));
    }

    #[test]
    fn what_is_no_key_is_refused_and_no_secret_is_shown() {
        let good = shown(2);
        let upper = good.expose().to_uppercase();
        for text in ["", "taja", "taja__", &good.expose()[1..], &upper, &format!("{}_", good.expose())] {
            assert_eq!(text.parse::<ShownKey>(), Err(InvalidKey), "{text}");
        }
        assert_eq!(format!("{good:?}"), "taja_0202020202020202_...");
        assert!(!serde_json::to_string(&stored(&good)).unwrap().contains(&good.expose()[22..]));
    }
}
