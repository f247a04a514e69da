//! The shop of a case: small, in memory, and with a model that knows colours and words.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, bail};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use taja_catalog::{
    Details, Embedding, Filter, ImageHash, PerceptualHash, Picture, Product, ProductId, Space, StoredImage,
    TenantId, VideoFile,
    fakes::{FakeEmbedder, InMemoryIndex, InMemoryStore, PpmDecoder, plain},
    policy::Content,
    port::{
        Change, Embedder, ImageDecoder, KnownImage, Neighbour, NewImage, PortError, PortErrorKind,
        PortResult, Store, VectorIndex, VectorRow, VideoDecoder,
    },
    retrieval::{Catalogue, Retrieval},
};
use taja_media::Media;

/// Products by identifier, each with the fields of `POST /add_product`, `images`, `created_at` and `updated_at`.
pub type Products = BTreeMap<String, Map<String, Value>>;

/// When a product was added unless the case says otherwise: 2026-01-01.
const ADDED: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Where something comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Words.
    Text(String),
    /// A file, relative to the case.
    File(String),
    /// A picture of one colour: red, green, blue.
    Plain([u8; 3]),
}

/// Parts of the host that fail, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostFaults {
    embed: Option<PortErrorKind>,
    catalogue: Option<PortErrorKind>,
}

/// A shop in memory.
pub struct Shop {
    products: BTreeMap<ProductId, Product>,
    catalogue: Arc<dyn Catalogue>,
    embedder: Arc<FakeEmbedder>,
}

impl Source {
    /// What a part of a query holds.
    pub async fn content(&self, folder: &Path, media: &Arc<Media>) -> anyhow::Result<Content> {
        let Self::File(name) = self else {
            return Ok(match self {
                Self::Text(text) => Content::Text(text.clone()),
                _ => Content::Image(self.picture(folder, media).await?),
            });
        };
        let path = folder.join(name);
        match media.probe(&path).await {
            Ok(info) => Ok(Content::Video(Arc::new(VideoFile { path, info }))),
            Err(_) => Ok(Content::Image(self.picture(folder, media).await?)),
        }
    }

    pub async fn picture(&self, folder: &Path, media: &Arc<Media>) -> anyhow::Result<Arc<Picture>> {
        let picture = match self {
            Self::Text(text) => bail!("the text {text:?} is no picture"),
            Self::Plain(colour) => PpmDecoder.decode(plain(*colour, 0)).await?,
            Self::File(name) => {
                let path = folder.join(name);
                let bytes =
                    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                media.decode(bytes.into()).await.with_context(|| path.display().to_string())?
            }
        };
        Ok(Arc::new(picture))
    }
}

impl Shop {
    pub fn empty() -> Self {
        let embedder = Arc::new(FakeEmbedder::default());
        let index = InMemoryIndex::new(embedder.space().dimension);
        Self::holding(BTreeMap::new(), InMemoryStore::default(), index, embedder)
    }

    fn holding(
        products: BTreeMap<ProductId, Product>,
        store: InMemoryStore,
        index: InMemoryIndex,
        embedder: Arc<FakeEmbedder>,
    ) -> Self {
        let catalogue = Arc::new(Retrieval::new(Arc::new(store), Arc::new(index)));
        Self { products, catalogue, embedder }
    }

    pub async fn open(products: &Products, folder: &Path, media: &Arc<Media>) -> anyhow::Result<Self> {
        let embedder = Arc::new(FakeEmbedder::default());
        let store = InMemoryStore::default();
        let index = InMemoryIndex::new(embedder.space().dimension);
        let tenant: TenantId = NOBODY.parse()?;
        let mut known = BTreeMap::new();
        for (id, fields) in products {
            let read = Given::read(id, fields.clone()).with_context(|| format!("product {id:?}"))?;
            let mut pictures = Vec::new();
            for source in &read.images {
                pictures.push(source.picture(folder, media).await?);
            }
            let vectors = embedder.images(&tenant, &pictures).await?;
            let images: Vec<NewImage> =
                pictures.iter().zip(vectors).map(|(picture, vector)| new_image(picture, vector)).collect();
            let product = read.product(&tenant, &images);
            let rows = images.iter().map(|new| VectorRow {
                tenant: tenant.clone(),
                product: product.id.clone(),
                image: new.image.hash,
                embedding: new.embedding.clone(),
            });
            index.insert(rows.collect()).await?;
            known.insert(product.id.clone(), product.clone());
            let index_text = format!(
                "{} {}",
                product.details.category.as_deref().unwrap_or(""),
                product.details.description
            );
            let effect = id.parse()?;
            let change = Change::Create { product: Box::new(product), images, index_text };
            let stored = store.commit(&tenant, &effect, embedder.space(), change, &Value::Null).await;
            stored.with_context(|| format!("product {id:?}"))?;
        }
        Ok(Self::holding(known, store, index, embedder))
    }

    pub fn product(&self, id: &ProductId) -> Option<&Product> {
        self.products.get(id)
    }

    pub fn catalogue(&self, faults: &HostFaults) -> Arc<dyn Catalogue> {
        let own = Arc::clone(&self.catalogue);
        faults.catalogue.map_or(own, |kind| {
            Arc::new(Failing { part: "store", kind, space: self.embedder.space().clone() })
        })
    }

    pub fn embedder(&self, faults: &HostFaults) -> Arc<dyn Embedder> {
        let own: Arc<dyn Embedder> = self.embedder.clone();
        faults.embed.map_or(own, |kind| {
            Arc::new(Failing { part: "model", kind, space: self.embedder.space().clone() })
        })
    }
}

/// The shop that components outside a service are called for.
const NOBODY: &str = "nobody";

/// A product as a case describes it.
struct Given {
    id: ProductId,
    details: Details,
    images: Vec<Source>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Given {
    fn read(id: &str, mut fields: Map<String, Value>) -> anyhow::Result<Self> {
        let images = fields.remove("images").map(serde_json::from_value).transpose().context("images")?;
        let time = |value: Option<Value>| value.map(serde_json::from_value::<Timestamp>).transpose();
        let created_at = time(fields.remove("created_at")).context("created_at")?.unwrap_or(ADDED);
        let updated_at = time(fields.remove("updated_at")).context("updated_at")?.unwrap_or(created_at);
        fields.entry("name").or_insert_with(|| id.into());
        let details: Details = serde_json::from_value(fields.into())?;
        details.check()?;
        Ok(Self { id: id.parse()?, details, images: images.unwrap_or_default(), created_at, updated_at })
    }

    fn product(&self, tenant: &TenantId, images: &[NewImage]) -> Product {
        Product {
            tenant: tenant.clone(),
            id: self.id.clone(),
            details: self.details.clone(),
            images: images.iter().map(|new| new.image.clone()).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            offers: Vec::new(),
            revision: 1,
        }
    }
}

fn new_image(picture: &Picture, embedding: Embedding) -> NewImage {
    // Pictures of a case are whole files, or stand for one.
    let hash = picture.hash.unwrap_or_else(|| ImageHash::of(picture.raster.rgb()));
    let (width, height) = (picture.raster.width(), picture.raster.height());
    let image =
        StoredImage { hash, perceptual: picture.perceptual, url: format!("/images/{hash}"), width, height };
    NewImage { image, embedding }
}

/// A part of the host that does not serve.
struct Failing {
    part: &'static str,
    kind: PortErrorKind,
    space: Space,
}

impl Failing {
    fn fail<T>(&self) -> PortResult<T> {
        Err(PortError::new(self.part, self.kind, "the case says that it fails"))
    }
}

#[async_trait]
impl Embedder for Failing {
    fn space(&self) -> &Space {
        &self.space
    }

    async fn images(&self, _: &TenantId, _: &[Arc<Picture>]) -> PortResult<Vec<Embedding>> {
        self.fail()
    }

    async fn texts(&self, _: &TenantId, _: &[String]) -> PortResult<Vec<Embedding>> {
        self.fail()
    }
}

#[async_trait]
impl Catalogue for Failing {
    async fn nearest(
        &self,
        _: &TenantId,
        _: &[Embedding],
        _: &Filter,
        _: usize,
    ) -> PortResult<Vec<Vec<Neighbour>>> {
        self.fail()
    }

    async fn keyword(
        &self,
        _: &TenantId,
        _: &str,
        _: &Filter,
        _: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        self.fail()
    }

    async fn matching(&self, _: &TenantId, _: &Filter, _: usize) -> PortResult<Vec<ProductId>> {
        self.fail()
    }

    async fn image_by_hash(&self, _: &TenantId, _: &ImageHash) -> PortResult<Option<KnownImage>> {
        self.fail()
    }

    async fn near_duplicates(
        &self,
        _: &TenantId,
        _: PerceptualHash,
        _: u32,
        _: usize,
    ) -> PortResult<Vec<KnownImage>> {
        self.fail()
    }
}
