//! Pictures of other products that look like a product's own, however they were taken for: what people compare who review
//! duplicates.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{MAX_IMAGES, Similar};
use crate::{
    embedding::Embedding,
    id::{ImageHash, ProductId, TenantId},
    picture::PerceptualHash,
    port::PortResult,
    product::Product,
    recording::exact,
    retrieval,
};

/// Pictures that are looked at for each of the product's, by look and by vector.
const NEAREST: usize = 20;

/// How a picture looks, in bits and as a vector.
type Look = (PerceptualHash, Embedding);

/// From when on two pictures look alike: either suffices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resemblance {
    /// Most differing bits of the perceptual hashes, 0 to 64.
    pub max_distance: u32,
    /// Least cosine of the vectors, -1 to 1.
    #[serde(with = "exact")]
    pub min_cosine: f32,
}

/// Two pictures that look alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resembling {
    /// The product's own.
    pub image: ImageHash,
    /// The other one's product.
    pub product: ProductId,
    /// The other one.
    pub other: ImageHash,
    /// Hamming distance of the perceptual hashes, 0 to 64.
    pub distance: u32,
    /// Cosine of the vectors.
    #[serde(with = "exact")]
    pub cosine: f32,
}

impl Similar {
    /// Pictures of other products that resemble one of this product's, the most similar first by cosine. None when there is no
    /// such product. Only pictures with a vector in the space are compared.
    pub async fn resembling(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        wanted: Resemblance,
        limit: usize,
    ) -> PortResult<Option<Vec<Resembling>>> {
        let version = self.store.version(tenant).await?;
        let Some(stored) = self.store.product(tenant, product).await? else { return Ok(None) };
        self.index.reach(tenant, version).await;
        let own = self.looks(&stored).await?;
        let suspects = self.suspects(&stored, &own, wanted.max_distance).await?;
        let suspects: Vec<_> = suspects.into_iter().collect();
        let mut found = Vec::new();
        for other in self.store.products(tenant, &suspects).await? {
            let theirs = self.looks(&other).await?;
            for (image, (look, vector)) in &own {
                found.extend(theirs.iter().map(|(hash, (their_look, their_vector))| Resembling {
                    image: *image,
                    product: other.id.clone(),
                    other: *hash,
                    distance: look.distance(*their_look),
                    cosine: vector.cosine(their_vector),
                }));
            }
        }
        found.retain(|pair| pair.distance <= wanted.max_distance || pair.cosine >= wanted.min_cosine);
        found.sort_by(|a, b| {
            b.cosine.total_cmp(&a.cosine).then_with(|| (a.image, a.other).cmp(&(b.image, b.other)))
        });
        found.truncate(limit);
        Ok(Some(found))
    }

    /// The first pictures of a product, those that have vectors.
    async fn looks(&self, product: &Product) -> PortResult<BTreeMap<ImageHash, Look>> {
        let looks = retrieval::looks(self.store.as_ref(), &self.space, product).await?;
        let first = looks.into_iter().take(MAX_IMAGES);
        Ok(first.filter_map(|(hash, (look, vector))| Some((hash, (look, vector?)))).collect())
    }

    /// Other products that have a picture near one of these.
    async fn suspects(
        &self,
        product: &Product,
        own: &BTreeMap<ImageHash, Look>,
        max_distance: u32,
    ) -> PortResult<BTreeSet<ProductId>> {
        let mut suspects = BTreeSet::new();
        for (look, _) in own.values() {
            let alike = self.store.images_like(&product.tenant, *look, max_distance, NEAREST).await?;
            suspects.extend(alike.into_iter().map(|known| known.product));
        }
        let vectors: Vec<_> = own.values().map(|(_, vector)| vector.clone()).collect();
        let near = self.index.nearest(&product.tenant, &vectors, None, NEAREST).await?;
        suspects.extend(near.into_iter().flatten().map(|near| near.product));
        suspects.remove(&product.id);
        Ok(suspects)
    }
}
