//! Pictures for a product that is there. The shop says whose they are, so no policy is asked: each is added whose bytes no
//! product of the shop has.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::{
    AddProduct, AddStatus, Decoded, Execution, MAX_RACES, Receipt, blank_receipt, stop_if_cancelled,
};
use crate::{
    failure::Failure,
    id::{EffectKey, ProductId, TenantId},
    policy::{DropReason, Dropped, JobHandle},
    port::{Change, PortError, PortErrorKind},
};

/// The code of a failure for want of a product.
pub const GONE: &str = "product_gone";

/// Pictures to add to a product.
#[derive(Debug, Clone)]
pub struct MoreImages {
    /// Names this execution: the same key has its effects once, however often it runs.
    pub effect: EffectKey,
    /// The shop.
    pub tenant: TenantId,
    /// The product.
    pub product: ProductId,
    /// The bytes of the pictures, in the order of the request.
    pub images: Vec<Bytes>,
}

impl AddProduct {
    /// Adds pictures to a product. Safe to run again after a crash at any point.
    pub async fn add_images(&self, new: MoreImages, job: Arc<dyn JobHandle>) -> Result<Receipt, Failure> {
        if let Some(receipt) = self.receipt(&new.tenant, &new.effect).await? {
            return Ok(receipt);
        }
        job.progress(5, "decoding images");
        let decoded = self.decode(&new.images).await?;
        for _ in 0..MAX_RACES {
            stop_if_cancelled(job.as_ref())?;
            if self.store.product(&new.tenant, &new.product).await?.is_none() {
                return Err(Failure::client(GONE, format!("there is no product {}", new.product)));
            }
            match self.append(&new, &decoded, job.as_ref()).await {
                Err(error) if error.kind == PortErrorKind::Conflict => {
                    // Another job stored one of these pictures, the product went, or this very job ran elsewhere.
                    if let Some(receipt) = self.receipt(&new.tenant, &new.effect).await? {
                        return Ok(receipt);
                    }
                }
                other => return Ok(other?),
            }
        }
        Err(Failure::host("too_many_races", "other jobs kept storing the same pictures"))
    }

    async fn append(
        &self,
        new: &MoreImages,
        decoded: &Decoded,
        job: &dyn JobHandle,
    ) -> Result<Receipt, PortError> {
        let by = Execution { tenant: &new.tenant, effect: &new.effect };
        let dropped = self.known(&new.tenant, decoded).await?;
        let is_known = |place: &u32| dropped.iter().any(|dropped| dropped.index == *place);
        let keep: Vec<u32> =
            decoded.good.iter().map(|(place, _)| *place).filter(|place| !is_known(place)).collect();
        let mut receipt = blank_receipt(decoded, &dropped);
        self.measure(&new.tenant, decoded, &mut receipt.duplicate_details).await?;
        let change = if keep.is_empty() {
            let is_duplicate = !dropped.is_empty();
            receipt.status = if is_duplicate { AddStatus::Duplicate } else { AddStatus::Rejected };
            receipt.reason = (!is_duplicate).then(|| "no picture can be used".to_owned());
            Change::None
        } else {
            receipt.status = AddStatus::Merged;
            let images = self.prepare(by, &decoded.at(&keep), job).await?;
            Change::Merge { product: new.product.clone(), images }
        };
        self.commit(by, new.product.clone(), change, receipt).await
    }

    /// Pictures that a product of the shop has, or that came before in the request.
    async fn known(&self, tenant: &TenantId, decoded: &Decoded) -> Result<Vec<Dropped>, PortError> {
        let mut seen = HashSet::new();
        let mut known = Vec::new();
        for (index, picture) in &decoded.good {
            let Some(hash) = picture.hash else { continue };
            let stored = self.store.image(tenant, &hash).await?;
            let reason = match stored {
                Some(_) => DropReason::ExactDuplicate,
                None if !seen.insert(hash) => DropReason::Repeated,
                None => continue,
            };
            let product = stored.map(|stored| stored.product);
            known.push(Dropped { index: *index, reason, product, image: Some(hash) });
        }
        Ok(known)
    }
}
