//! What speaks for a picture being known, measured by the host whatever the policy said: people judge decisions by it.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{AddProduct, Decoded, KnownPicture};
use crate::{
    id::{ProductId, TenantId},
    policy::DropReason,
    port::PortError,
    retrieval,
};

/// The products that a receipt names: the one that was created, extended or duplicated, and those that have its pictures.
pub fn products_named(receipt: &Value) -> BTreeSet<ProductId> {
    let of_pictures = receipt["duplicate_details"].as_array().into_iter().flatten();
    let named = std::iter::once(receipt).chain(of_pictures);
    named.filter_map(|named| named["product_id"].as_str()?.parse().ok()).collect()
}

fn six_decimals(cosine: f32) -> f64 {
    (f64::from(cosine) * 1e6).round() / 1e6
}

impl AddProduct {
    /// Adds distances and cosines to pictures that are known.
    pub(super) async fn measure(
        &self,
        tenant: &TenantId,
        decoded: &Decoded,
        known: &mut [KnownPicture],
    ) -> Result<(), PortError> {
        let mut resembling = Vec::new();
        for (at, picture) in known.iter_mut().enumerate() {
            match picture.reason {
                DropReason::ExactDuplicate => picture.distance = Some(0),
                DropReason::NearDuplicate => resembling.push(at),
                DropReason::Repeated | DropReason::Unsuitable => {}
            }
        }
        if resembling.is_empty() {
            return Ok(());
        }
        let products: BTreeSet<_> =
            resembling.iter().filter_map(|at| known[*at].product_id.clone()).collect();
        let products: Vec<_> = products.into_iter().collect();
        let mut stored = HashMap::new();
        for product in self.store.products(tenant, &products).await? {
            stored.extend(retrieval::looks(self.store.as_ref(), self.embedder.space(), &product).await?);
        }
        let places: Vec<u32> = resembling.iter().map(|at| known[*at].index).collect();
        let pictures = decoded.at(&places);
        // The policy had them embedded, so they are remembered.
        let embeddings = self.embedder.images(tenant, &pictures).await?;
        for ((at, picture), embedding) in resembling.into_iter().zip(&pictures).zip(&embeddings) {
            let Some((look, vector)) = known[at].image_hash.and_then(|hash| stored.get(&hash)) else {
                continue;
            };
            known[at].distance = Some(picture.perceptual.distance(*look));
            known[at].cosine = vector.as_ref().map(|vector| six_decimals(vector.cosine(embedding)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_names_its_product_and_those_of_its_pictures_once_each() {
        let receipt = json!({
            "product_id": "b",
            "duplicate_details": [{ "product_id": "a" }, { "index": 1 }, { "product_id": "b" }, { "product_id": "no id!" }],
        });
        let named: Vec<_> = products_named(&receipt).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["a", "b"]);
        assert!(products_named(&json!({ "did": "nothing" })).is_empty());
    }
}
