//! The ports: where the outside world begins. Each names a need; adapters in other crates name the tools.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    embedding::{Embedding, Space},
    failure::{Blame, Failure},
    filter::Filter,
    id::{EffectKey, ImageHash, ProductId, TenantId},
    order::{ListOrder, Sort},
    picture::{Frame, FramePlan, PerceptualHash, Picture, Region, VideoFile, VideoInfo},
    product::{Details, Offer, Product, StoredImage},
    recording::exact,
    words::Wanted,
};

/// What every port answers with.
pub type PortResult<T> = Result<T, PortError>;

/// What a caller branches on when a port fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortErrorKind {
    /// It may work later: unreachable, busy, timed out.
    Unavailable,
    /// The request makes no sense to it, and never will.
    Invalid,
    /// A unique key is taken: somebody else was faster.
    Conflict,
    /// It broke: a bug, a damaged file.
    Broken,
}

/// A port that could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{part}: {message}")]
pub struct PortError {
    /// Which part of Taja: `store`, `index`, `model`, `images`, `video`.
    pub part: &'static str,
    /// What to do about it.
    pub kind: PortErrorKind,
    /// For people.
    pub message: String,
    /// What it came from.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error without a source.
    pub fn new(part: &'static str, kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self { part, kind, message: message.into(), source: None }
    }

    /// An error that keeps where it came from; the message is the source's.
    pub fn from_source(
        part: &'static str,
        kind: PortErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self { part, kind, message: source.to_string(), source: Some(source) }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        let (blame, retryable, what) = match error.kind {
            PortErrorKind::Unavailable => (Blame::Dependency, true, "unavailable"),
            PortErrorKind::Conflict => (Blame::Dependency, true, "conflict"),
            PortErrorKind::Invalid => (Blame::Client, false, "invalid"),
            PortErrorKind::Broken => (Blame::Host, false, "broken"),
        };
        Self { blame, retryable, code: format!("{}_{what}", error.part), message: error.to_string() }
    }
}

/// Turns pictures and words into vectors of one space, which are the same for every shop. Concurrent calls are fused into
/// batches behind it. It is told who asks, so that what is remembered for one shop is not found by another: how long an
/// answer takes would tell what a neighbour's shoppers look for.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The space of every vector it gives.
    fn space(&self) -> &Space;
    /// One vector per picture, in the order given.
    async fn images(&self, tenant: &TenantId, pictures: &[Arc<Picture>]) -> PortResult<Vec<Embedding>>;
    /// One vector per text, in the order given. Longer texts are cut at the model's context.
    async fn texts(&self, tenant: &TenantId, texts: &[String]) -> PortResult<Vec<Embedding>>;
}

/// Why bytes are no picture Taja takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MediaError {
    /// Not one byte.
    #[error("file is empty")]
    Empty,
    /// The content is of no type that is taken; holds what it looks like.
    #[error("{0} is not taken")]
    Unsupported(String),
    /// More pixels than allowed, known before decoding.
    #[error("{width} x {height} pixels are more than the {max_pixels} allowed")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit, pixels.
        max_pixels: u64,
    },
    /// Truncated or damaged.
    #[error("file cannot be decoded: {0}")]
    Corrupt(String),
    /// The host could not do it: a bug, or no decoder to be had.
    #[error("decoder failed: {0}")]
    Failed(String),
}

impl MediaError {
    /// A stable word for this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "media_empty",
            Self::Unsupported(_) => "media_type_unsupported",
            Self::TooLarge { .. } => "media_too_many_pixels",
            Self::Corrupt(_) => "media_undecodable",
            Self::Failed(_) => "media_decoder_failed",
        }
    }
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        let (blame, retryable) = match error {
            MediaError::Failed(_) => (Blame::Host, true),
            _ => (Blame::Client, false),
        };
        Self { blame, retryable, code: error.code().into(), message: error.to_string() }
    }
}

/// Decodes untrusted bytes into pictures, off the async threads.
#[async_trait]
pub trait ImageDecoder: Send + Sync {
    /// Checks limits, decodes the first frame, turns it upright, and hashes bytes and look.
    async fn decode(&self, bytes: Bytes) -> Result<Picture, MediaError>;
    /// What a region of a picture shows, as a picture of its own.
    async fn cut(&self, picture: Picture, region: Region) -> Result<Picture, MediaError>;
}

/// Reads untrusted video files.
#[async_trait]
pub trait VideoDecoder: Send + Sync {
    /// What the container says; refuses what is no video of a type that is taken.
    async fn probe(&self, path: &Path) -> Result<VideoInfo, MediaError>;
    /// Frames by plan, in the order of their timestamps.
    async fn frames(&self, video: &VideoFile, plan: FramePlan) -> Result<Vec<Frame>, MediaError>;
}

/// A smaller version of a hosted picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// For a list: 200 pixels square, cropped.
    Thumbnail,
    /// For a chat message: fits into 800 x 800 pixels.
    Card,
}

/// Puts pictures where shoppers can see them. Addresses are content-addressed: a retry is the same upload.
#[async_trait]
pub trait ImageHost: Send + Sync {
    /// Re-encodes and hosts a picture under its hash; the address it is served at.
    async fn put(&self, tenant: &TenantId, hash: &ImageHash, picture: &Picture) -> PortResult<String>;
    /// The bytes of a hosted picture; none when it is not there.
    async fn fetch(&self, tenant: &TenantId, image: &StoredImage) -> PortResult<Option<Bytes>>;
    /// Takes a picture away; nothing happens when it is not there.
    async fn remove(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<()>;
    /// The address of a smaller version of a picture that is served at `url`; none from a host that makes none, or of
    /// an address that is not this host's.
    fn variant(&self, _url: &str, _variant: Variant) -> Option<String> {
        None
    }
    /// Whether it can be reached: the reason why not.
    async fn check(&self) -> PortResult<()>;
}

/// Keeps uploaded files, under the name of the execution that needs them, where every process can get them.
#[async_trait]
pub trait UploadStore: Send + Sync {
    /// Keeps a file; it is there durably when this answers. A file that is there already stays.
    async fn put(&self, effect: &EffectKey, hash: &ImageHash, file: &Path) -> PortResult<()>;
    /// Writes a kept file to a path that nothing is at yet; false when it is not kept.
    async fn fetch(&self, effect: &EffectKey, hash: &ImageHash, to: &Path) -> PortResult<bool>;
    /// As `put`, of a file whose name says nothing of its content.
    async fn note(&self, effect: &EffectKey, name: &ImageHash, file: &Path) -> PortResult<()>;
    /// As `fetch`, of such a file.
    async fn noted(&self, effect: &EffectKey, name: &ImageHash, to: &Path) -> PortResult<bool>;
    /// Forgets the files of an execution.
    async fn clear(&self, effect: &EffectKey) -> PortResult<()>;
    /// The executions that have files, and none since a moment, those first that have had none for the longest. Whoever still
    /// brings some is at work.
    async fn older_than(&self, before: Timestamp, limit: usize) -> PortResult<Vec<EffectKey>>;
}

/// One stored vector: enough to rebuild the index from.
#[derive(Debug, Clone)]
pub struct VectorRow {
    /// The shop.
    pub tenant: TenantId,
    /// The product.
    pub product: ProductId,
    /// The image the vector was made from.
    pub image: ImageHash,
    /// The vector.
    pub embedding: Embedding,
}

/// A stored picture that looks like, or is, a given one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownImage {
    /// The product it belongs to.
    pub product: ProductId,
    /// SHA-256 of its bytes.
    pub hash: ImageHash,
    /// Hamming distance of the perceptual hashes; 0 for the same bytes.
    pub distance: u32,
}

/// A picture on its way into the store.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// What is stored of it.
    pub image: StoredImage,
    /// Its vector.
    pub embedding: Embedding,
}

/// What one execution of a use case writes, in one transaction.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new product with its pictures and the text that finds it.
    Create {
        /// The product; its `images` are those of `images` below.
        product: Box<Product>,
        /// Its pictures and their vectors.
        images: Vec<NewImage>,
        /// The text by which keyword search finds it.
        index_text: String,
    },
    /// Pictures that join a stored product.
    Merge {
        /// The product they join.
        product: ProductId,
        /// The pictures and their vectors.
        images: Vec<NewImage>,
    },
    /// Other terms for a stored product. See [`crate::product::add_offer`].
    Offer {
        /// The product.
        product: ProductId,
        /// The terms.
        offer: Box<Offer>,
    },
    /// Nothing but the receipt.
    None,
}

/// A change of a stored product that asks no model for anything.
#[derive(Debug, Clone)]
pub enum Edit {
    /// It is described so from now on.
    Describe {
        /// All of its details.
        details: Box<Details>,
        /// The text by which keyword search finds it; none when that stays.
        index_text: Option<String>,
    },
    /// These of its pictures go, with their vectors of every space.
    RemoveImages(Vec<ImageHash>),
    /// This one of its offers goes.
    RemoveOffer(ProductId),
    /// It goes, with all of its pictures. Receipts stay: what was done once is not done again.
    Delete,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// It was done.
    Done {
        /// The product's revision now; of one that was deleted, its last.
        revision: u64,
        /// The pictures that went with it.
        gone: Vec<ImageHash>,
        /// Those of them that belong to nobody now. Nobody can intend them until [`Store::removed`] is called, and the
        /// caller removes them from the image host; if it does not, the sweep does.
        left_over: Vec<ImageHash>,
    },
    /// The product is at another revision; nothing was done.
    Changed,
    /// There is no such product.
    Missing,
}

/// A place in a list of a shop's products. The product need not be there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// The moment that the list goes by.
    pub at: Timestamp,
    /// The product.
    pub id: ProductId,
}

/// A place in the order of the receipts that name a product, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// When the receipt was written.
    pub at: Timestamp,
    /// Whose it is.
    pub effect: EffectKey,
}

/// A place in the order of stored vectors, or of texts. Only the store it came from can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub String);

/// A picture that executions said they would host, and that no commit has recorded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The shop.
    pub tenant: TenantId,
    /// The picture.
    pub image: ImageHash,
    /// Who said so; nobody while the picture is being removed.
    pub effects: Vec<EffectKey>,
}

/// What a store is, for people who look after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The engine, such as `sqlite`.
    pub backend: &'static str,
    /// Whatever else is worth knowing: the engine's version, what it can do.
    pub details: BTreeMap<&'static str, String>,
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Products of all tenants.
    pub products: u64,
    /// Images of all tenants.
    pub images: u64,
}

/// The one truth: products, their images, their vectors, and the receipts of what was done.
#[async_trait]
pub trait Store: Send + Sync {
    /// One product.
    async fn product(&self, tenant: &TenantId, id: &ProductId) -> PortResult<Option<Product>>;
    /// Several, in the order asked for; those that are gone are left out.
    async fn products(&self, tenant: &TenantId, ids: &[ProductId]) -> PortResult<Vec<Product>>;
    /// The image with these very bytes.
    async fn image(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>>;
    /// Images that look alike, nearest first.
    async fn images_like(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        limit: usize,
    ) -> PortResult<Vec<KnownImage>>;
    /// Products whose text has any word that is wanted, best first, with a relevance that is higher for better.
    async fn keyword(
        &self,
        tenant: &TenantId,
        wanted: &Wanted,
        filter: &Filter,
        limit: usize,
    ) -> PortResult<Vec<(ProductId, f32)>>;
    /// The texts by which words find a shop's products, names first, in the order in which they last changed, after a place in
    /// that order. A text that changes again comes again, at the end; of what went nothing is told.
    async fn texts(
        &self,
        tenant: &TenantId,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, String)>>;
    /// Where the products stand that pass the filter, after a place in that order. Whoever goes on after the last of them passes
    /// over none, even if all of them are deleted meanwhile; one that changes goes to where the latest change is.
    async fn listed(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        order: ListOrder,
        after: Option<&Shelved>,
        limit: usize,
    ) -> PortResult<Vec<Shelved>>;
    /// Products that pass the filter, newest first.
    async fn matching(&self, tenant: &TenantId, filter: &Filter, limit: usize) -> PortResult<Vec<ProductId>> {
        let listed = self.listed(tenant, filter, ListOrder::NEWEST, None, limit).await?;
        Ok(listed.into_iter().map(|place| place.id).collect())
    }
    /// The first products in the order of fields (see [`crate::order`]) that pass the filter; equals newest first.
    async fn sorted(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        sort: &[Sort],
        limit: usize,
    ) -> PortResult<Vec<ProductId>>;
    /// Edits a product that is at this revision, in one transaction.
    async fn edit(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        revision: u64,
        edit: &Edit,
    ) -> PortResult<Edited>;
    /// Writes a change and the receipt of `effect` in one transaction. A unique key that is taken (an image of the
    /// tenant, the receipt), or a picture that is being removed (see `withdraw`), is `Conflict`, and nothing was written.
    async fn commit(
        &self,
        tenant: &TenantId,
        effect: &EffectKey,
        space: &Space,
        change: Change,
        receipt: &Value,
    ) -> PortResult<()>;
    /// What an execution left behind when it finished before.
    async fn receipt(&self, tenant: &TenantId, effect: &EffectKey) -> PortResult<Option<Value>>;
    /// Receipts that name a product (see [`crate::add_product::products_named`]), newest first, after a place in that order.
    /// They stay when the product goes.
    async fn receipts_about(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        after: Option<&Noted>,
        limit: usize,
    ) -> PortResult<Vec<(Noted, Value)>>;
    /// Vectors of one space in a stable order, after the given position; the position of each comes with it.
    async fn vectors(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, VectorRow)>>;
    /// The vectors of a product's pictures in one space, in no order.
    async fn vectors_of(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        space: &Space,
    ) -> PortResult<Vec<VectorRow>>;
    /// The version of a shop's catalogue: greater after every commit that changed a product, 0 before the first.
    async fn version(&self, tenant: &TenantId) -> PortResult<u64>;

    /// Notes that an execution is about to host these pictures, so that what it leaves behind can be found. Its
    /// commit takes back the intents of the pictures that are in the change. Doing it again changes nothing.
    /// `Conflict` while one of the pictures is being removed (see `withdraw`); then nothing is noted.
    async fn intend(&self, tenant: &TenantId, effect: &EffectKey, images: &[ImageHash]) -> PortResult<()>;
    /// Intents last touched before a moment, oldest first.
    async fn intents(&self, before: Timestamp, limit: usize) -> PortResult<Vec<Intent>>;
    /// Takes back what an execution intended for one picture. True when that was the last intent, and no product has
    /// the picture: it belongs to nobody, nobody can intend it until `removed` is called, and the caller removes it from
    /// the image host. Also true for a picture that is being removed already.
    async fn withdraw(&self, tenant: &TenantId, effect: &EffectKey, image: &ImageHash) -> PortResult<bool>;
    /// The picture that `withdraw` gave up is gone from the image host.
    async fn removed(&self, tenant: &TenantId, image: &ImageHash) -> PortResult<()>;

    /// What it is, found out by a round trip: an error when it does not serve.
    async fn about(&self) -> PortResult<About>;
    /// How much there is.
    async fn counts(&self) -> PortResult<Counts>;
    /// How many vectors there are of each space, by its id.
    async fn spaces(&self) -> PortResult<BTreeMap<String, u64>>;
}

/// A stored image near a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// The product.
    pub product: ProductId,
    /// Its image.
    pub image: ImageHash,
    /// Cosine, -1 to 1.
    #[serde(with = "exact")]
    pub score: f32,
}

/// The first of each product, of `k` products at most.
fn one_of_each_product(found: Vec<Neighbour>, k: usize) -> Vec<Neighbour> {
    let mut seen = HashSet::new();
    found.into_iter().filter(|neighbour| seen.insert(neighbour.product.clone())).take(k).collect()
}

/// The vectors of one space, searchable. Derived from the store: it can be rebuilt at any time.
#[async_trait]
pub trait VectorIndex: Send + Sync {
    /// The `k` nearest images of a tenant for every query, best first; only images of `among` when it is given.
    async fn nearest(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>>;
    /// The `k` nearest products of a tenant for every query, best first, each by its nearest image: however many images
    /// one product has, it takes one place. There are fewer only when fewer products are asked for or there.
    async fn nearest_products(
        &self,
        tenant: &TenantId,
        queries: &[Embedding],
        among: Option<Arc<HashSet<ProductId>>>,
        k: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        // Two images of a product are usual; where they do not suffice, few rounds should.
        let mut images = k.saturating_mul(2);
        loop {
            let found = self.nearest(tenant, queries, among.clone(), images).await?;
            let all = found.iter().all(|list| list.len() < images);
            let folded: Vec<_> = found.into_iter().map(|list| one_of_each_product(list, k)).collect();
            if all || folded.iter().all(|list| list.len() == k) {
                return Ok(folded);
            }
            images = images.saturating_mul(4);
        }
    }
    /// Adds vectors; one that is there already (same tenant and image) is replaced.
    async fn insert(&self, rows: Vec<VectorRow>) -> PortResult<()>;
    /// Removes every vector of a product.
    async fn remove(&self, tenant: &TenantId, product: &ProductId) -> PortResult<()>;
    /// Removes the vectors of pictures, whosever they are.
    async fn remove_images(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()>;
    /// Waits until it holds what a shop's catalogue held at this version, for a moment at most. An index that is told
    /// of every commit by `insert` has nothing to wait for.
    async fn reach(&self, _tenant: &TenantId, _version: u64) {}
    /// A number that is another one whenever a shop's vectors are others.
    fn revision(&self, tenant: &TenantId) -> u64;
    /// Where it stands, in a word or two: `ready`, or why it may lag behind the store.
    fn state(&self) -> String {
        "ready".into()
    }
    /// How it finds neighbours, such as `exact`.
    fn method(&self) -> &'static str;
    /// Number of vectors.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes of memory the vectors take.
    fn memory_bytes(&self) -> usize;
}
