//! The lines of the log, and reading them.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taja_catalog::{ProductId, Region, TenantId};

use super::FILES;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The shop.
    pub tenant: TenantId,
    /// The hash of all of it: shop, parts and filter.
    pub query: String,
    /// Its words, in lines of earlier versions that held them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// What it was made of.
    pub modalities: Vec<String>,
    /// Its parts in the order of the request; none in lines of earlier versions.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// In the filter language; null for none.
    #[serde(default)]
    pub filter: Value,
}

/// A part of what was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its modality, with `not_` in front where the results should be unlike it.
    pub modality: String,
    /// The hash of what it holds: that of a search for it alone.
    pub hash: String,
    /// Its text, where the log holds words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How much it counted.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f32,
    /// The region of the picture that was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Region>,
}

fn one() -> f32 {
    1.0
}

fn is_one(weight: &f32) -> bool {
    *weight == 1.0
}

/// A finished search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it finished.
    pub at: Timestamp,
    /// What was asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// The first products found.
    pub found: Vec<ProductId>,
    /// How many there were.
    pub total: usize,
    /// The policies that answered, with their versions.
    pub plugins: Vec<String>,
}

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When that was told.
    pub at: Timestamp,
    /// What was asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// What was done.
    pub outcome: OutcomeKind,
    /// With which product.
    pub product: ProductId,
    /// At which place the search had found it, from 1.
    pub place: usize,
}

/// What a shopper did with a product that a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeKind {
    /// Looked at it.
    Viewed,
    /// Ordered it.
    Ordered,
}

/// All lines of a log, oldest first.
#[derive(Debug, Default)]
pub struct Log {
    /// Finished searches.
    pub searches: Vec<Entry>,
    /// What came of them.
    pub outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Outcome(Outcome),
    Search(Entry),
}

/// Everything that a log holds. A line that was cut off by a crash is passed over.
pub fn read(folder: &Path) -> io::Result<Log> {
    let mut log = Log::default();
    for name in FILES.iter().rev() {
        let text = match fs::read_to_string(folder.join(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            match line {
                Line::Search(entry) => {
                    log.searches.push(Entry { asked: entry.asked.with_parts(), ..entry });
                }
                Line::Outcome(outcome) => log.outcomes.push(outcome),
            }
        }
    }
    Ok(log)
}

impl Asked {
    /// What was asked, by its parts.
    pub(super) fn new(
        tenant: TenantId,
        query: String,
        modalities: Vec<String>,
        parts: Vec<Part>,
        filter: Value,
    ) -> Self {
        Self { tenant, query, text: None, modalities, parts, filter }
    }

    /// The part of an earlier version's line, where that can be told: it had words that were written down, or one part alone.
    fn with_parts(self) -> Self {
        let Self { modalities, filter, text, .. } = &self;
        match &modalities[..] {
            [modality] if self.parts.is_empty() && (text.is_some() || filter.is_null()) => {
                let (modality, hash, text) = (modality.clone(), self.query.clone(), text.clone());
                let part = Part { modality, hash, text, weight: 1.0, crop: None };
                Self { parts: vec![part], text: None, ..self }
            }
            _ => self,
        }
    }
}
