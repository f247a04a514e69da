//! The ingestion policy: finds duplicates, tidies the fields and writes the text for keyword search.

pub mod details;
pub mod outcome;
pub mod pictures;
pub mod settings;

use details::Texts;
use outcome::Outcome;
use pictures::{Reason, Shop, Stored, Upload};
use settings::Settings;
use taja_plugin::{
    host::{
        Named,
        catalogue::{self, StoredImage},
        embed,
    },
    ingest::{self as wit, Decision, Details, DropReason, Dropped, Guest, Submission},
};

/// The component.
pub struct IngestProduct;

impl Guest for IngestProduct {
    fn decide(submission: Submission) -> Result<Decision, String> {
        let settings = Settings::parse(&submission.settings).map_err(|error| error.to_string())?;
        let uploads: Vec<Upload> = submission.uploads.iter().map(upload).collect();
        let reasons = pictures::sort_out(&uploads, &HostShop(&submission.uploads), &settings)?;
        let outcome = match outcome::decide(&uploads, &reasons, &settings) {
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
        let known = catalogue::image_by_hash(sha256).named("catalogue.image-by-hash")?;
        Ok(known.map(stored))
    }

    fn alike(&self, upload: usize, max_distance: u32) -> Result<Vec<Stored>, String> {
        let alike = catalogue::near_duplicates(&self.0[upload].image, max_distance)
            .named("catalogue.near-duplicates")?;
        Ok(alike.into_iter().map(|found| stored(found.image)).collect())
    }

    fn close(&self, uploads: &[usize], min_cosine: f32) -> Result<Vec<(usize, Stored)>, String> {
        let images: Vec<_> = uploads.iter().map(|at| &self.0[*at].image).collect();
        let vectors = embed::images(&images).named("embed.images")?;
        let hits = catalogue::nearest(&vectors, "", CLOSE_IMAGES).named("catalogue.nearest")?;
        let columns = hits.columns().named("catalogue.columns")?;
        let mut close = Vec::new();
        for row in pictures::close_rows(&columns.scores, min_cosine) {
            let known = hits.identify(row).named("catalogue.identify")?;
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

wit::export!(IngestProduct);
