//! Signatures over components: detached, ed25519, checked when the operator lists keys that are trusted.
//!
//! What is signed is not the component itself but the bytes `taja-plugin-v1`, a zero byte, and the 32 bytes of the
//! component's SHA-256: a signature made for anything else is never one for a plugin.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    str::FromStr,
};

use ed25519_dalek::{PUBLIC_KEY_LENGTH, SECRET_KEY_LENGTH, SIGNATURE_LENGTH, Signer, VerifyingKey};
use taja_catalog::PluginDigest;

/// Told apart from whatever else a key signs.
const PURPOSE: &[u8] = b"taja-plugin-v1\0";
/// Digits of a key that stand for it where it has no name.
const SHORT_NAME: usize = 16;
/// More than any key file holds.
const MAX_KEY_FILE_BYTES: u64 = 1024;

/// A detached signature; as text 128 hexadecimal digits, lower case when printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LENGTH]);

impl FromStr for Signature {
    type Err = String;

    /// Reads 128 hexadecimal digits; white space around them does not count.
    fn from_str(text: &str) -> Result<Self, String> {
        from_hex(text.trim()).map(Self).ok_or_else(|| {
            "signature is not 128 hexadecimal digits: bring what `taja plugin sign` wrote".into()
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// The keys whose plugins are let in. Without any, every plugin is.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<TrustedKey>);

#[derive(Debug, Clone)]
struct TrustedKey {
    name: String,
    key: VerifyingKey,
}

impl TrustedKeys {
    /// Reads public keys, each `NAME=` and 64 hexadecimal digits or the digits alone, whose first 16 are then its
    /// name. A name is 1 to 64 letters, digits and `.`, `_`, `@`, `-`. All mistakes come together.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let mut keys: Vec<TrustedKey> = Vec::new();
        let mut mistakes = Vec::new();
        for text in texts {
            match TrustedKey::parse(text.as_ref().trim()) {
                Ok(new) if keys.iter().any(|old| old.name == new.name) => {
                    mistakes.push(format!("the name {:?} is there twice", new.name));
                }
                Ok(new) if keys.iter().any(|old| old.key == new.key) => {
                    mistakes.push(format!("the key {:?} is there twice", new.name));
                }
                Ok(new) => keys.push(new),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            Ok(Self(keys))
        } else {
            Err(format!("trusted keys cannot be used: {}", mistakes.join("; ")))
        }
    }

    /// Whether there is none, so that nothing has to be signed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who signed the component: the name of the key. Without trusted keys every component is accepted, nobody is
    /// named, and a signature that is given is not looked at. With them, what none of them signed is refused.
    pub fn verify(
        &self,
        digest: &PluginDigest,
        signature: Option<&Signature>,
    ) -> Result<Option<String>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let signature = signature.ok_or(
            "is not signed, and only signed plugins are accepted: \
             sign it with `taja plugin sign COMPONENT --key FILE`, the key being one that is trusted here",
        )?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let message = message(digest);
        let signer = self.0.iter().find(|trusted| trusted.key.verify_strict(&message, &signature).is_ok());
        signer.map(|trusted| Some(trusted.name.clone())).ok_or_else(|| {
            let names: Vec<_> = self.0.iter().map(|trusted| trusted.name.as_str()).collect();
            format!(
                "is not signed, as it stands, by a key that is trusted here ({}): sign this very file with one of them, \
                 `taja plugin sign COMPONENT --key FILE`, or ask the operator to trust its maker's",
                names.join(", ")
            )
        })
    }
}

impl TrustedKey {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, digits) = text.split_once('=').map_or((None, text), |(name, digits)| (Some(name), digits));
        let name =
            name.map_or_else(|| digits.chars().take(SHORT_NAME).collect(), |name| name.trim().to_owned());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_@".contains(&b);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(format!("{text:?} is not NAME=KEY with a name of letters, digits and . _ @ -"));
        }
        let bytes: [u8; PUBLIC_KEY_LENGTH] = from_hex(digits.trim())
            .ok_or_else(|| format!("the key {name:?} is not 64 hexadecimal digits"))?;
        let key = VerifyingKey::from_bytes(&bytes).ok();
        // Anybody can make signatures that fit one of the few keys of small order.
        let key = key.filter(|key| !key.is_weak());
        key.map(|key| Self { name: name.clone(), key })
            .ok_or_else(|| format!("the key {name:?} is not a public key of ed25519"))
    }
}

/// The secret half of a key.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Nothing of the secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public())
    }
}

impl SigningKey {
    /// A new key from the system's randomness.
    pub fn generate() -> io::Result<Self> {
        let mut seed = [0; SECRET_KEY_LENGTH];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a key file: the 64 hexadecimal digits of the seed, and a new line.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        fs::File::open(path)?.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text)?;
        let seed = from_hex(text.trim()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "a key file holds 64 hexadecimal digits and nothing else",
            )
        })?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Writes a key file that its owner alone can read. One that is there already is never overwritten.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let written = writeln!(file, "{}", to_hex(self.0.as_bytes())).and_then(|()| file.sync_all());
        written.inspect_err(|_| _ = fs::remove_file(path))
    }

    /// The public half, 64 hexadecimal digits: what [`TrustedKeys::parse`] reads.
    pub fn public(&self) -> String {
        to_hex(self.0.verifying_key().as_bytes())
    }

    /// The signature over a component, 128 hexadecimal digits: what [`Signature`] is read from.
    pub fn sign(&self, component: &[u8]) -> String {
        to_hex(&self.0.sign(&message(&PluginDigest::of(component))).to_bytes())
    }
}

fn message(digest: &PluginDigest) -> Vec<u8> {
    [PURPOSE, digest.as_bytes().as_slice()].concat()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
        _ => None,
    });
    // Longer texts are not turned into bytes first: only one byte too many is looked at.
    pairs.take(N + 1).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests;
