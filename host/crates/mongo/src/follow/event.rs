//! What a change event says.

use std::time::Duration;

use jiff::Timestamp;
use mongodb::bson::{Bson, Document};
use taja_catalog::{ImageHash, PortResult, Space, TenantId, port::VectorRow};

use super::{VECTORS, VERSIONS};
use crate::removed;

/// A change.
pub(super) struct Event {
    /// The transaction that it is part of.
    pub(super) transaction: Option<Transaction>,
    /// When it was written, in milliseconds since 1970, by the server's clock.
    at_ms: Option<i64>,
    pub(super) news: News,
}

/// What tells one transaction from another: its session and its number there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Transaction {
    session: Document,
    number: i64,
}

/// What changed.
pub(super) enum News {
    /// A vector was stored.
    Vector(VectorRow),
    /// A shop's catalogue came to this version, and these pictures are not in it any more.
    Version(TenantId, u64, Vec<ImageHash>),
    /// A vector was deleted; the event does not say whose.
    Deleted,
    /// Vectors changed, or all of them went.
    Lost(&'static str),
    /// Nothing that matters.
    Other,
}

impl Event {
    /// Reads an event about vectors of a space.
    ///
    /// # Errors
    /// When the document that it is about cannot be read.
    pub(super) fn read(event: &Document, space: &Space) -> PortResult<Self> {
        let session = event.get_document("lsid").ok().cloned();
        let transaction = session
            .zip(event.get_i64("txnNumber").ok())
            .map(|(session, number)| Transaction { session, number });
        Ok(Self { transaction, at_ms: at_ms(event), news: news(event, space)? })
    }

    /// How long ago it was written, if the two clocks agree.
    pub(super) fn age(&self) -> Option<Duration> {
        let age_ms = Timestamp::now().as_millisecond().saturating_sub(self.at_ms?);
        Some(Duration::from_millis(u64::try_from(age_ms).unwrap_or_default()))
    }
}

fn at_ms(event: &Document) -> Option<i64> {
    // Servers before 6.0 tell whole seconds only.
    let seconds = || event.get_timestamp("clusterTime").ok().map(|time| i64::from(time.time) * 1000);
    event.get_datetime("wallTime").ok().map(|time| time.timestamp_millis()).or_else(seconds)
}

fn news(event: &Document, space: &Space) -> PortResult<News> {
    let collection = event.get_document("ns").and_then(|ns| ns.get_str("coll")).unwrap_or_default();
    let stored = event.get_document("fullDocument").ok();
    Ok(match (event.get_str("operationType").unwrap_or_default(), collection) {
        ("insert" | "replace", VECTORS) => match stored {
            Some(stored) if stored.get_str("space").is_ok_and(|of| of == space.id) => {
                News::Vector(crate::vectors::row(stored, space)?)
            }
            _ => News::Other,
        },
        ("insert" | "replace", VERSIONS) => version(stored, stored),
        ("update", VERSIONS) => {
            let updated =
                event.get_document("updateDescription").and_then(|of| of.get_document("updatedFields"));
            version(event.get_document("documentKey").ok(), updated.ok())
        }
        ("delete", VECTORS) => News::Deleted,
        ("update", VECTORS) => News::Lost("a vector was changed"),
        ("drop" | "rename", VECTORS | VERSIONS) => News::Lost("a collection is gone"),
        ("dropDatabase" | "invalidate", _) => News::Lost("the database is gone"),
        _ => News::Other,
    })
}

/// A shop's version, from what names the shop and what has the number.
fn version(shop: Option<&Document>, number: Option<&Document>) -> News {
    let shop = shop.and_then(|shop| shop.get_str("_id").ok()?.parse().ok());
    let gone = number.and_then(|number| removed::read(number.get_binary_generic("removed").ok()?));
    let number = number.and_then(|number| number.get("version").and_then(Bson::as_i64));
    match shop.zip(number) {
        Some((shop, number)) => News::Version(shop, number.unsigned_abs(), gone.unwrap_or_default()),
        None => News::Other,
    }
}
