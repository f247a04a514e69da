//! The use case that takes a product in: decode, ask the ingestion policy, then do what it decided, once.

mod evidence;
mod images;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    embedding::Embedding,
    failure::Failure,
    filter::Filter,
    id::{EffectKey, ImageHash, ProductId, TenantId},
    picture::Picture,
    policy::{
        Decision, Degraded, DropReason, Dropped, JobHandle, Lineup, Outcome, PluginRef, PolicyContext,
        Submission,
    },
    port::{
        Change, Embedder, ImageDecoder, ImageHost, MediaError, NewImage, PortError, PortErrorKind, Store,
        VectorIndex, VectorRow,
    },
    product::{Details, MAX_LIST_ENTRIES, Offer, Product, StoredImage},
    retrieval::{self, Catalogue},
    sweep,
};

pub use evidence::products_named;
pub use images::{GONE, MoreImages};

/// How often a decision is asked for anew when another job stored one of the same pictures in between.
const MAX_RACES: u32 = 4;

/// Pictures of one product that are decoded or hosted at once.
const AT_ONCE: usize = 2;
/// Most pixels of one product's pictures together: all are held decoded until it is stored, 3 bytes each.
const MAX_PIXELS: u64 = 200_000_000;

/// What the use case acts through.
#[derive(Clone)]
pub struct AddProduct {
    /// Turns bytes into pictures.
    pub decoder: Arc<dyn ImageDecoder>,
    /// Turns pictures into vectors.
    pub embedder: Arc<dyn Embedder>,
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What is derived from it.
    pub index: Arc<dyn VectorIndex>,
    /// Where shoppers see the pictures.
    pub images: Arc<dyn ImageHost>,
    /// What the policies may look up.
    pub catalogue: Arc<dyn Catalogue>,
}

/// A product to add.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// Names this execution: the same key has its effects once, however often it runs.
    pub effect: EffectKey,
    /// The shop.
    pub tenant: TenantId,
    /// What the shop says of it, checked.
    pub details: Details,
    /// The bytes of its pictures, in the order of the request.
    pub images: Vec<Bytes>,
    /// Other terms that it is sold on, checked; they come with a product that is new, and with no other.
    pub offers: Vec<Offer>,
}

impl NewProduct {
    fn execution(&self) -> Execution<'_> {
        Execution { tenant: &self.tenant, effect: &self.effect }
    }
}

/// Who writes: a shop's execution.
#[derive(Clone, Copy)]
struct Execution<'a> {
    tenant: &'a TenantId,
    effect: &'a EffectKey,
}

/// What became of a product, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddStatus {
    /// A new product is in the catalogue.
    Success,
    /// All of it was known.
    Duplicate,
    /// Its pictures joined a stored product.
    Merged,
    /// Its pictures were known, and its terms are another offer of the product that has them.
    Offer,
    /// The ingestion policy refused it.
    Rejected,
}

/// A picture that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageProblem {
    /// Its place in the request, from 0.
    pub index: u32,
    /// A stable word.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A picture that was known already, with what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownPicture {
    /// Its place in the request, from 0.
    pub index: u32,
    /// Why it was not kept.
    pub reason: DropReason,
    /// The product that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// The stored image it equals or resembles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_hash: Option<ImageHash>,
    /// Hamming distance of its perceptual hash to that image's, 0 to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<u32>,
    /// Cosine of its vector with that image's, -1 to 1, to six decimals. Of the same bytes nobody computes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
}

/// What was done. Stored with the change itself, so that a second execution finds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// In one word.
    pub status: AddStatus,
    /// Number of pictures stored.
    pub added: u32,
    /// Number of pictures that were known, here or earlier in the request.
    pub duplicates: u32,
    /// Number of pictures that could not be used.
    pub errors: u32,
    /// Why each of those could not.
    pub error_details: Vec<ImageProblem>,
    /// What each known picture is known as.
    pub duplicate_details: Vec<KnownPicture>,
    /// The product created, extended or duplicated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the shop said of it, unless that is a product now: whoever reviews the decision finds it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted: Option<Box<Details>>,
    /// The plugins that decided.
    pub plugins: Vec<PluginRef>,
    /// Policies that failed, and what was done instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// The pictures of a request, by their place in it.
struct Decoded {
    good: Vec<(u32, Arc<Picture>)>,
    bad: Vec<ImageProblem>,
}

impl Decoded {
    /// The pictures at these places, in their order.
    fn at(&self, places: &[u32]) -> Vec<Arc<Picture>> {
        let by_index: HashMap<u32, &Arc<Picture>> = self.good.iter().map(|(i, p)| (*i, p)).collect();
        places.iter().filter_map(|place| by_index.get(place)).map(|picture| Arc::clone(picture)).collect()
    }
}

impl AddProduct {
    /// Takes one product in with the policies of this lineup. Safe to run again after a crash at any point.
    pub async fn run(
        &self,
        new: NewProduct,
        lineup: &dyn Lineup,
        job: Arc<dyn JobHandle>,
    ) -> Result<Receipt, Failure> {
        if let Some(receipt) = self.receipt(&new.tenant, &new.effect).await? {
            return Ok(receipt);
        }
        job.progress(5, "decoding images");
        let decoded = self.decode(&new.images).await?;
        for _ in 0..MAX_RACES {
            stop_if_cancelled(job.as_ref())?;
            job.progress(30, "asking the ingestion policy");
            let context = PolicyContext::new(
                new.tenant.clone(),
                self.catalogue.clone(),
                self.embedder.clone(),
                Filter::everything(),
                job.clone(),
            );
            let submission = Submission { details: new.details.clone(), uploads: decoded.good.clone() };
            let decision = lineup.ingest(&context, submission).await?;
            stop_if_cancelled(job.as_ref())?;
            match self.execute(&new, &decoded, decision, &context, job.as_ref()).await {
                Err(error) if error.kind == PortErrorKind::Conflict => {
                    // Another job stored one of these pictures, or this very job ran elsewhere: look again.
                    if let Some(receipt) = self.receipt(&new.tenant, &new.effect).await? {
                        return Ok(receipt);
                    }
                }
                other => return Ok(other?),
            }
        }
        Err(Failure::host("too_many_races", "other jobs kept storing the same pictures"))
    }

    /// What an earlier run of the same execution left, if it came to its end.
    pub async fn receipt(&self, tenant: &TenantId, effect: &EffectKey) -> Result<Option<Receipt>, Failure> {
        let Some(receipt) = self.store.receipt(tenant, effect).await? else {
            return Ok(None);
        };
        let receipt = serde_json::from_value(receipt)
            .map_err(|error| Failure::host("receipt_unreadable", format!("stored receipt: {error}")))?;
        Ok(Some(receipt))
    }

    async fn decode(&self, images: &[Bytes]) -> Result<Decoded, Failure> {
        let mut decoded = Decoded { good: Vec::new(), bad: Vec::new() };
        let mut room = MAX_PIXELS;
        let mut index = 0;
        for few in images.chunks(AT_ONCE) {
            for picture in join_all(few.iter().map(|bytes| self.decoder.decode(bytes.clone()))).await {
                match picture.and_then(|picture| within(&mut room, picture)) {
                    Ok(picture) => decoded.good.push((index, Arc::new(picture))),
                    Err(error) => decoded.bad.push(problem(index, error)?),
                }
                index += 1;
            }
        }
        Ok(decoded)
    }

    async fn execute(
        &self,
        new: &NewProduct,
        decoded: &Decoded,
        decision: Decision,
        context: &PolicyContext,
        job: &dyn JobHandle,
    ) -> Result<Receipt, PortError> {
        let by = new.execution();
        let mut receipt = Receipt {
            plugins: context.used(),
            degraded: context.degraded(),
            ..blank_receipt(decoded, &decision.dropped)
        };
        self.measure(by.tenant, decoded, &mut receipt.duplicate_details).await?;
        if !matches!(decision.outcome, Outcome::Create { .. }) {
            receipt.submitted = Some(Box::new(new.details.clone()));
        }
        let kept = |places: &[u32]| decoded.at(places);
        match decision.outcome {
            Outcome::Create { mut details, keep, index_text } => {
                // Policies know of no groups.
                details.item_group_id.clone_from(&new.details.item_group_id);
                let product = ProductId::of_effect(&new.effect);
                receipt.status = AddStatus::Success;
                let images = self.prepare(by, &kept(&keep), job).await?;
                let change = creation(new, product.clone(), *details, images, index_text);
                self.commit(by, product, change, receipt).await
            }
            Outcome::Merge { product, keep } if keep.is_empty() => self.offer(new, product, receipt).await,
            Outcome::Merge { product, keep } => {
                receipt.status = AddStatus::Merged;
                let images = self.prepare(by, &kept(&keep), job).await?;
                let change = Change::Merge { product: product.clone(), images };
                self.commit(by, product, change, receipt).await
            }
            Outcome::Duplicate { of } => {
                receipt.status = AddStatus::Duplicate;
                self.commit(by, of, Change::None, receipt).await
            }
            Outcome::Reject { reason } => {
                receipt.reason = Some(reason);
                self.write(by, Change::None, &receipt).await?;
                Ok(receipt)
            }
        }
    }

    /// Adds the terms to a stored product's offers, unless it is sold so already: then nothing is new.
    async fn offer(
        &self,
        new: &NewProduct,
        product: ProductId,
        mut receipt: Receipt,
    ) -> Result<Receipt, PortError> {
        let by = new.execution();
        let stored = self.store.product(by.tenant, &product).await?.ok_or_else(|| {
            PortError::new("store", PortErrorKind::Conflict, format!("product {product} is not there"))
        })?;
        let offer = Offer::of(ProductId::of_effect(by.effect), &new.details, Timestamp::now());
        let change = if stored.is_sold_so(&offer) {
            receipt.status = AddStatus::Duplicate;
            Change::None
        } else if !stored.has_room_for(&offer) {
            receipt.reason = Some(format!("the product has {MAX_LIST_ENTRIES} offers already"));
            Change::None
        } else {
            receipt.status = AddStatus::Offer;
            Change::Offer { product: product.clone(), offer: Box::new(offer) }
        };
        self.commit(by, product, change, receipt).await
    }

    /// Embeds and hosts the pictures that are kept.
    async fn prepare(
        &self,
        by: Execution<'_>,
        kept: &[Arc<Picture>],
        job: &dyn JobHandle,
    ) -> Result<Vec<NewImage>, PortError> {
        job.progress(50, "embedding images");
        let embeddings = self.embedder.images(by.tenant, kept).await?;
        job.progress(75, "hosting images");
        let hashes: Vec<_> = kept.iter().filter_map(|picture| picture.hash).collect();
        self.store.intend(by.tenant, by.effect, &hashes).await?;
        let mut images = Vec::with_capacity(kept.len());
        for (few, embeddings) in kept.chunks(AT_ONCE).zip(embeddings.chunks(AT_ONCE)) {
            let hosted =
                few.iter().zip(embeddings).map(|(picture, embedding)| self.host(by, picture, embedding));
            images.extend(try_join_all(hosted).await?);
        }
        Ok(images)
    }

    async fn host(
        &self,
        by: Execution<'_>,
        picture: &Picture,
        embedding: &Embedding,
    ) -> Result<NewImage, PortError> {
        let hash = picture.hash.ok_or_else(|| {
            PortError::new("images", PortErrorKind::Broken, "an uploaded picture has no hash of its bytes")
        })?;
        let url = self.images.put(by.tenant, &hash, picture).await?;
        let (width, height) = (picture.raster.width(), picture.raster.height());
        let image = StoredImage { hash, perceptual: picture.perceptual, url, width, height };
        Ok(NewImage { image, embedding: embedding.clone() })
    }

    async fn commit(
        &self,
        by: Execution<'_>,
        product: ProductId,
        change: Change,
        mut receipt: Receipt,
    ) -> Result<Receipt, PortError> {
        let images = match &change {
            Change::Create { images, .. } | Change::Merge { images, .. } => images.clone(),
            Change::Offer { .. } | Change::None => Vec::new(),
        };
        receipt.added = images.len() as u32;
        receipt.product_id = Some(product.clone());
        if let Err(error) = self.write(by, change, &receipt).await {
            // After a conflict another job has, or is about to have, one of these pictures.
            if error.kind != PortErrorKind::Conflict {
                self.take_back(by, &images).await;
            }
            return Err(error);
        }
        let row = |image: NewImage| VectorRow {
            tenant: by.tenant.clone(),
            product: product.clone(),
            image: image.image.hash,
            embedding: image.embedding,
        };
        let rows = images.into_iter().map(row).collect();
        if let Err(error) = retrieval::add(self.store.as_ref(), self.index.as_ref(), rows).await {
            // The store has it: the index catches up when it is rebuilt.
            tracing::error!(tenant = %by.tenant, product.id = %product, %error, "vectors are stored but not indexed");
        }
        Ok(receipt)
    }

    async fn write(&self, by: Execution<'_>, change: Change, receipt: &Receipt) -> Result<(), PortError> {
        let receipt = serde_json::to_value(receipt)
            .map_err(|error| PortError::from_source("store", PortErrorKind::Broken, error))?;
        self.store.commit(by.tenant, by.effect, self.embedder.space(), change, &receipt).await
    }

    /// Un-hosts pictures that no product came to have. What cannot be done now is swept later.
    async fn take_back(&self, by: Execution<'_>, images: &[NewImage]) {
        let (store, host) = (self.store.as_ref(), self.images.as_ref());
        for NewImage { image, .. } in images {
            if let Err(error) = sweep::take_back(store, host, by.tenant, by.effect, &image.hash).await {
                tracing::warn!(tenant = %by.tenant, image.hash = %image.hash, %error, "hosted image is left over");
            }
        }
    }
}

/// A picture that cannot be used; or the whole job's failure, when it is not the picture's fault.
fn problem(index: u32, error: MediaError) -> Result<ImageProblem, Failure> {
    let (code, message) = (error.code().to_owned(), error.to_string());
    let failure = Failure::from(error);
    if failure.retryable { Err(failure) } else { Ok(ImageProblem { index, code, message }) }
}

/// Takes a picture's pixels out of what the product may still hold.
fn within(room: &mut u64, picture: Picture) -> Result<Picture, MediaError> {
    let (width, height) = (picture.raster.width(), picture.raster.height());
    match room.checked_sub(u64::from(width) * u64::from(height)) {
        Some(left) => *room = left,
        None => return Err(MediaError::TooLarge { width, height, max_pixels: *room }),
    }
    Ok(picture)
}

fn creation(
    new: &NewProduct,
    id: ProductId,
    details: Details,
    images: Vec<NewImage>,
    index_text: String,
) -> Change {
    let now = Timestamp::now();
    let stored = images.iter().map(|image| image.image.clone()).collect();
    let tenant = new.tenant.clone();
    let product = Product {
        tenant,
        id,
        details,
        images: stored,
        offers: new.offers.clone(),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    Change::Create { product: Box::new(product), images, index_text }
}

fn blank_receipt(decoded: &Decoded, dropped: &[Dropped]) -> Receipt {
    let mut error_details = decoded.bad.clone();
    let mut duplicate_details = Vec::new();
    for dropped in dropped {
        if dropped.reason == DropReason::Unsuitable {
            let message = "the ingestion policy does not want this picture".to_owned();
            error_details.push(ImageProblem {
                index: dropped.index,
                code: "image_unsuitable".into(),
                message,
            });
        } else {
            duplicate_details.push(KnownPicture {
                index: dropped.index,
                reason: dropped.reason,
                product_id: dropped.product.clone(),
                image_hash: dropped.image,
                distance: None,
                cosine: None,
            });
        }
    }
    error_details.sort_by_key(|problem| problem.index);
    Receipt {
        status: AddStatus::Rejected,
        added: 0,
        duplicates: duplicate_details.len() as u32,
        errors: error_details.len() as u32,
        error_details,
        duplicate_details,
        product_id: None,
        reason: None,
        submitted: None,
        plugins: Vec::new(),
        degraded: Vec::new(),
    }
}

pub(crate) fn stop_if_cancelled(job: &dyn JobHandle) -> Result<(), Failure> {
    if job.cancelled() { Err(Failure::cancelled()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
