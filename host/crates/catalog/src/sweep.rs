//! The use case that clears up after jobs that ended half-way: hosted pictures that no product came to have.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    id::{EffectKey, ImageHash, TenantId},
    port::{ImageHost, PortResult, Store},
};

/// Intents looked at in one run.
const AT_MOST: usize = 1000;

/// What the use case acts through.
#[derive(Clone)]
pub struct Sweep {
    /// The truth, and what was intended.
    pub store: Arc<dyn Store>,
    /// Where left-over pictures are.
    pub images: Arc<dyn ImageHost>,
}

impl Sweep {
    /// Looks at the intents last touched before a moment. `is_over` says of an execution that it will never run again;
    /// what only such ones intended, and no product has, is removed from the image host. Answers how many pictures.
    pub async fn run<F>(
        &self,
        before: Timestamp,
        is_over: impl Fn(TenantId, EffectKey) -> F,
    ) -> PortResult<u32>
    where
        F: Future<Output = PortResult<bool>>,
    {
        let mut removed = 0;
        for intent in self.store.intents(before, AT_MOST).await? {
            // A removal that broke off has no effects.
            let mut left_over = intent.effects.is_empty();
            for effect in &intent.effects {
                if is_over(intent.tenant.clone(), effect.clone()).await? {
                    left_over |= self.store.withdraw(&intent.tenant, effect, &intent.image).await?;
                }
            }
            if left_over {
                finish(self.store.as_ref(), self.images.as_ref(), &intent.tenant, &intent.image).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Takes back an intent, and the picture with it when nobody else has or wants it.
pub(crate) async fn take_back(
    store: &dyn Store,
    images: &dyn ImageHost,
    tenant: &TenantId,
    effect: &EffectKey,
    image: &ImageHash,
) -> PortResult<()> {
    if store.withdraw(tenant, effect, image).await? {
        finish(store, images, tenant, image).await?;
    }
    Ok(())
}

/// Removes a picture that belongs to nobody from the image host, and says that it did.
pub(crate) async fn finish(
    store: &dyn Store,
    images: &dyn ImageHost,
    tenant: &TenantId,
    image: &ImageHash,
) -> PortResult<()> {
    images.remove(tenant, image).await?;
    store.removed(tenant, image).await
}
