//! The ingestion policy: finds duplicates, tidies the fields and writes the text for keyword search.

pub mod details;
pub mod outcome;
pub mod pictures;
pub mod settings;

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "taja:plugin/ingest", generate_all });
}

use bindings::{
    exports::taja::plugin::ingesting::{
        self as wit, Decision, Details, DropReason, Dropped, Guest, Submission,
    },
    taja::host::{
        catalogue::{self, StoredImage},
        embed,
        types::Error,
    },
};
use details::Texts;
use outcome::Outcome;
use pictures::{Reason, Shop, Stored, Upload};
use settings::Settings;

/// The component.
pub struct IngestProduct;

impl Guest for IngestProduct {
    fn decide(submission: Submission) -> Result<Decision, String> {
        let settings = Settings::parse(&submission.settings).map_err(|error| error.to_string())?;
        let uploads: Vec<Upload> = submission.uploads.iter().map(upload).collect();
        let reasons = pictures::sort_out(&uploads, &HostShop(&submission.uploads), &settings)?;
        let outcome = match outcome::decide(&uploads, &reasons, settings.on_partial, settings.min_side) {
            Outcome::Create(keep) => product(submission.details, keep, &settings)?,
            Outcome::Merge(product_id, keep) => wit::Outcome::Merge(wit::Merge { product_id, keep }),
            Outcome::Duplicate(product_id) => wit::Outcome::Duplicate(product_id),
            Outcome::Reject(reason) => wit::Outcome::Reject(reason),
        };
        let dropped = uploads.iter().zip(&reasons);
        let dropped = dropped.filter_map(|(upload, reason)| Some(dropped_as(upload.index, reason.as_ref()?)));
        Ok(Decision { outcome, dropped: dropped.collect() })
    }
}

fn upload(upload: &wit::Upload) -> Upload {
    Upload {
        index: upload.index,
        sha256: upload.image.sha256(),
        min_side: upload.image.width().min(upload.image.height()),
    }
}

fn dropped_as(index: u32, reason: &Reason) -> Dropped {
    let (product_id, sha256) =
        reason.stored().map_or_else(Default::default, |known| (known.product.clone(), known.sha256.clone()));
    let reason = match reason {
        Reason::Exact(_) => DropReason::ExactDuplicate,
        Reason::Near(_) => DropReason::NearDuplicate,
        Reason::Repeated => DropReason::Repeated,
        Reason::Unsuitable => DropReason::Unsuitable,
    };
    Dropped { index, reason, product_id, sha256 }
}

fn product(given: Details, keep: Vec<u32>, settings: &Settings) -> Result<wit::Outcome, String> {
    let texts = Texts {
        name: given.name,
        currency: given.currency,
        description: given.description,
        category: given.category,
        sku: given.sku,
        color: given.color,
        sizes: given.sizes,
        key_features: given.key_features,
    }
    .tidy();
    if texts.name.is_empty() {
        return Ok(wit::Outcome::Reject("name is empty".to_owned()));
    }
    let index_text = texts
        .index_text(&given.attributes, settings.name_repeats)
        .map_err(|error| format!("attributes {error}"))?;
    let details = Details {
        name: texts.name,
        price: given.price,
        currency: texts.currency,
        description: texts.description,
        category: texts.category,
        sku: texts.sku,
        stock: given.stock,
        weight_kg: given.weight_kg,
        color: texts.color,
        sizes: texts.sizes,
        key_features: texts.key_features,
        attributes: given.attributes,
    };
    Ok(wit::Outcome::Create(wit::Product { details, keep, index_text }))
}

/// Stored pictures per upload that are looked at for their cosine. More than shops keep alike versions of one picture;
/// each may cost a host call, of which there are 1,024.
const CLOSE_IMAGES: u32 = 20;

/// The tenant's catalogue, asked through the host.
struct HostShop<'a>(&'a [wit::Upload]);

impl Shop for HostShop<'_> {
    fn same_bytes(&self, sha256: &str) -> Result<Option<Stored>, String> {
        let known =
            catalogue::image_by_hash(sha256).map_err(|error| refused("catalogue.image-by-hash", &error))?;
        Ok(known.map(stored))
    }

    fn alike(&self, upload: usize, max_distance: u32) -> Result<Vec<Stored>, String> {
        let alike = catalogue::near_duplicates(&self.0[upload].image, max_distance)
            .map_err(|error| refused("catalogue.near-duplicates", &error))?;
        Ok(alike.into_iter().map(|found| stored(found.image)).collect())
    }

    fn close(&self, uploads: &[usize], min_cosine: f32) -> Result<Vec<(usize, Stored)>, String> {
        let images: Vec<_> = uploads.iter().map(|at| &self.0[*at].image).collect();
        let vectors = embed::images(&images).map_err(|error| refused("embed.images", &error))?;
        let hits = catalogue::nearest(&vectors, "", CLOSE_IMAGES)
            .map_err(|error| refused("catalogue.nearest", &error))?;
        let columns = hits.columns().map_err(|error| refused("catalogue.columns", &error))?;
        let mut close = Vec::new();
        for row in pictures::close_rows(&columns.scores, min_cosine) {
            let known = hits.identify(row).map_err(|error| refused("catalogue.identify", &error))?;
            let query = columns.query_rows.get(row as usize);
            let upload = query.and_then(|query| uploads.get(*query as usize));
            close.extend(upload.copied().zip(known.map(stored)));
        }
        Ok(close)
    }
}

fn stored(known: StoredImage) -> Stored {
    Stored { product: known.product_id, sha256: known.sha256 }
}

/// What the host refused, and why.
fn refused(call: &str, error: &Error) -> String {
    let (kind, text) = match error {
        Error::Denied(text) => ("denied", text),
        Error::Quota(text) => ("out of quota", text),
        Error::TooLarge(text) => ("too large", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Invalid(text) => ("invalid", text),
    };
    format!("{call} was refused ({kind}): {text}")
}

#[cfg(target_arch = "wasm32")]
bindings::export!(IngestProduct with_types_in bindings);
