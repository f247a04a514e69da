//! Identifiers, each of its own type so that they cannot be swapped by mistake.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An identifier that does not have the form its kind asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is not valid: {rule}")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

fn name_rule(kind: &'static str, text: &str) -> Result<Arc<str>, InvalidId> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if fits {
        Ok(text.into())
    } else {
        let rule = "1 to 64 of a-z, 0-9, hyphen and underscore";
        Err(InvalidId { kind, text: text.chars().take(80).collect(), rule })
    }
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                name_rule($kind, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_id! {
    /// A shop. Every stored row, job and metric carries one.
    TenantId, "tenant"
}
name_id! {
    /// A product inside a tenant.
    ProductId, "product id"
}
name_id! {
    /// Names one execution of a use case, so that running it twice has its effects once. The job's identifier.
    EffectKey, "effect key"
}
name_id! {
    /// A set of judgements inside a tenant.
    JudgementSetId, "judgement set"
}

impl ProductId {
    /// The identifier of the product that `effect` creates: the same at every attempt.
    pub fn of_effect(effect: &EffectKey) -> Self {
        Self(effect.0.clone())
    }
}

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The hash of these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }

            /// The 32 bytes of the digest.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Takes a digest computed elsewhere, for instance while streaming.
            pub fn from_digest(digest: [u8; 32]) -> Self {
                Self(digest)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                digest_rule($kind, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(hash: $name) -> String {
                hash.to_string()
            }
        }
    };
}

fn digest_rule(kind: &'static str, text: &str) -> Result<[u8; 32], InvalidId> {
    let rule = "64 lower-case hex digits";
    let invalid = || InvalidId { kind, text: text.chars().take(80).collect(), rule };
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(invalid());
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| invalid())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
    }
    Ok(digest)
}

digest_id! {
    /// SHA-256 of a picture's bytes as they were uploaded. Written as 64 lower-case hex digits.
    ImageHash, "image hash"
}
digest_id! {
    /// SHA-256 of a plugin's component, which names its version. Written as 64 lower-case hex digits.
    PluginDigest, "plugin digest"
}
digest_id! {
    /// SHA-256 of an argument too large to be kept: of a picture's pixels or of a vector. 64 lower-case hex digits.
    ArgumentDigest, "argument digest"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text_form() {
        let hash = ImageHash::of(b"taja");
        assert_eq!(hash.to_string().parse::<ImageHash>().unwrap(), hash);
    }

    #[test]
    fn a_hash_in_upper_case_or_cut_short_is_refused() {
        let text = ImageHash::of(b"taja").to_string();
        assert!(text.to_uppercase().parse::<ImageHash>().is_err());
        assert!(text[..62].parse::<ImageHash>().is_err());
    }

    #[test]
    fn a_tenant_cannot_smuggle_a_path() {
        assert!("../etc".parse::<TenantId>().is_err());
        assert!("".parse::<TenantId>().is_err());
        assert!("shop-1".parse::<TenantId>().is_ok());
    }
}
