//! The key of an installation, and the hashes that nobody makes without it.

use std::{fs, io, io::Write, path::Path};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use taja_catalog::TenantId;

use super::{private, signed_modality};
use crate::jobs::{StagedContent, StagedPart};

/// The file of the key, in the folder of the log.
pub const FILE: &str = "key";
/// Its length, bytes.
const LENGTH: usize = 32;

/// Makes hashes under the key of an installation.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// The key of a log, if it has one.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(bytes) if bytes.len() == LENGTH => Self::of(&bytes).map(Some),
            Ok(_) => Err(io::Error::other(format!("{} holds no key", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The key of a log, drawn when it has none yet.
    pub fn read_or_draw(folder: &Path) -> io::Result<Self> {
        if let Some(key) = Self::read(folder)? {
            return Ok(key);
        }
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        private(&folder.join(FILE))?.write_all(&bytes)?;
        Self::of(&bytes)
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        Hmac::new_from_slice(bytes).map(Self).map_err(io::Error::other)
    }

    /// The hash of a query: the same for the same query of the same shop, however its words are spaced and in whatever order
    /// its parts come.
    pub fn query(&self, tenant: &TenantId, parts: &[StagedPart], filter: &Value) -> String {
        let mut parts: Vec<_> = parts.iter().map(hashed).collect();
        parts.sort();
        let told = |(modality, content, more): Hashed| match more {
            None => json!([modality, content]),
            Some(more) => json!([modality, content, more]),
        };
        let parts: Vec<_> = parts.into_iter().map(told).collect();
        let mut mac = self.0.clone();
        mac.update(json!([tenant, parts, filter]).to_string().as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The hash of what a part holds, which is that of a search for it alone.
    pub fn content(&self, tenant: &TenantId, modality: &str, content: &StagedContent) -> String {
        let modality = modality.to_owned();
        let part = StagedPart { modality, content: content.clone(), crop: None, weight: 1.0 };
        self.query(tenant, &[part], &Value::Null)
    }
}

/// The modality of a part, the kind of what it holds and that, and how it is meant where that is said.
type Hashed = (String, (&'static str, String), Option<String>);

/// A part as it is hashed; how much it counts and which region is meant only where that is said.
fn hashed(part: &StagedPart) -> Hashed {
    let content = match &part.content {
        StagedContent::Text(text) => ("text", tidy(text)),
        StagedContent::Image(hash) => ("image", hash.to_string()),
        StagedContent::Video(hash) => ("video", hash.to_string()),
    };
    let weight = part.weight.abs();
    let is_plain = weight == 1.0 && part.crop.is_none();
    let more = (!is_plain).then(|| json!([weight, part.crop]).to_string());
    (signed_modality(part), content, more)
}

fn tidy(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
