//! The use case that edits and deletes products: what the store did is told to the indexes, and pictures that nobody has any
//! more are taken from where shoppers saw them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    id::{ImageHash, ProductId, TenantId},
    port::{Edit, Edited, ImageHost, PortResult, Store},
    sweep,
};

/// Whatever finds pictures by their vectors in this process.
#[async_trait]
pub trait Indexes: Send + Sync {
    /// These pictures are not in the store any more.
    async fn forget(&self, tenant: &TenantId, images: &[ImageHash]) -> PortResult<()>;
}

/// What the use case acts through.
#[derive(Clone)]
pub struct EditProduct {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What is derived from it.
    pub indexes: Arc<dyn Indexes>,
    /// Where shoppers see the pictures.
    pub images: Arc<dyn ImageHost>,
}

impl EditProduct {
    /// Edits a product that is at this revision. What breaks off after the store has it is done by the sweep, or by the
    /// next start.
    pub async fn run(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        revision: u64,
        edit: &Edit,
    ) -> PortResult<Edited> {
        let edited = self.store.edit(tenant, product, revision, edit).await?;
        if let Edited::Done { gone, left_over, .. } = &edited {
            if !gone.is_empty()
                && let Err(error) = self.indexes.forget(tenant, gone).await
            {
                tracing::error!(%tenant, product.id = %product, %error, "vectors are removed but still indexed");
            }
            for image in left_over {
                let finished = sweep::finish(self.store.as_ref(), self.images.as_ref(), tenant, image);
                if let Err(error) = finished.await {
                    tracing::warn!(%tenant, image.hash = %image, %error, "hosted image is left to the sweep");
                }
            }
        }
        Ok(edited)
    }
}

#[cfg(test)]
mod tests;
