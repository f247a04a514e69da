//! What a shop's callbacks are signed with, as the Standard Webhooks specification has it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the text of a secret begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "whsec_";
/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// A secret that callbacks are signed with: `whsec_` and the base64 of its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallbackSecret(String);

impl CallbackSecret {
    /// The secret made of so many random bytes.
    pub fn of_random(bytes: &[u8; SECRET_BYTES]) -> Self {
        Self(format!("{PREFIX}{}", STANDARD.encode(bytes)))
    }

    /// The text, for its owner and for the store.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of the signature.
    pub fn key(&self) -> Vec<u8> {
        key_of(&self.0).expect("a secret is only made of what can be read")
    }
}

fn key_of(text: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
    (key.len() == SECRET_BYTES).then_some(key)
}

impl fmt::Debug for CallbackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}...")
    }
}

/// The text is not a secret of callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of callbacks is {PREFIX} and the base64 of {SECRET_BYTES} bytes")]
pub struct InvalidSecret;

impl FromStr for CallbackSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        key_of(text).map(|_| Self(text.to_owned())).ok_or(InvalidSecret)
    }
}

impl TryFrom<String> for CallbackSecret {
    type Error = InvalidSecret;

    fn try_from(text: String) -> Result<Self, InvalidSecret> {
        text.parse()
    }
}

impl From<CallbackSecret> for String {
    fn from(secret: CallbackSecret) -> Self {
        secret.0
    }
}

/// The secrets of a shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackSecrets {
    /// The one that counts.
    pub current: CallbackSecret,
    /// Since when.
    pub since: Timestamp,
    /// The one before, which callbacks are signed with as well until its receivers know the new one.
    pub previous: Option<RetiringSecret>,
}

/// A secret that is on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiringSecret {
    /// The secret.
    pub secret: CallbackSecret,
    /// From when on nothing is signed with it.
    pub until: Timestamp,
}

impl CallbackSecrets {
    /// A shop's first secret.
    pub fn first(secret: CallbackSecret, now: Timestamp) -> Self {
        Self { current: secret, since: now, previous: None }
    }

    /// Another secret takes over; the present one is signed with besides until `until`.
    #[must_use]
    pub fn rotated(&self, secret: CallbackSecret, now: Timestamp, until: Timestamp) -> Self {
        let previous = RetiringSecret { secret: self.current.clone(), until };
        Self { current: secret, since: now, previous: Some(previous) }
    }

    /// What a callback that is sent now is signed with, the secret that counts first.
    pub fn signing(&self, now: Timestamp) -> impl Iterator<Item = &CallbackSecret> {
        let retiring = self.previous.iter().filter(move |previous| now < previous.until);
        std::iter::once(&self.current).chain(retiring.map(|previous| &previous.secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> CallbackSecret {
        CallbackSecret::of_random(&[byte; SECRET_BYTES])
    }

    #[test]
    fn a_secret_survives_text_and_is_not_shown() {
        assert_eq!(secret(7).expose().parse(), Ok(secret(7)));
        assert_eq!(secret(7).key(), [7; SECRET_BYTES]);
        assert_eq!(format!("{:?}", secret(7)), "whsec_...");
        for text in ["", "whsec_", "whsec_AAAA", "AAAA", "whsec_!"] {
            assert_eq!(text.parse::<CallbackSecret>(), Err(InvalidSecret), "{text}");
        }
    }

    #[test]
    fn a_rotated_secret_signs_until_its_time_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let secrets = CallbackSecrets::first(secret(1), at(0)).rotated(secret(2), at(10), at(20));
        assert_eq!(secrets.signing(at(19)).collect::<Vec<_>>(), [&secret(2), &secret(1)]);
        assert_eq!(secrets.signing(at(20)).collect::<Vec<_>>(), [&secret(2)]);
    }
}
