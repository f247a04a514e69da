//! Places for calls: so many in all, and no shop has more than half of them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use taja_catalog::{TenantId, policy::PolicyFault};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The places that a shop may have at one time. Calls of one shop share it, so it also tells shops apart.
pub(crate) type Shop = Arc<Semaphore>;

/// Shops that are known before those without a call are forgotten.
const KNOWN: usize = 1024;

/// Places for calls.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    each: usize,
    patience: Duration,
    shops: Mutex<HashMap<TenantId, Shop>>,
    nobody: Shop,
}

/// A place, free again when dropped.
pub(crate) struct Place {
    pub(crate) shop: Shop,
    _of_shop: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// So many in all, for which a call waits so long.
    pub(crate) fn new(all: usize, patience: Duration) -> Self {
        let each = all.div_ceil(2);
        let of = |places| Arc::new(Semaphore::new(places));
        Self { all: of(all), each, patience, shops: Mutex::default(), nobody: of(each) }
    }

    /// Waits for a place for a shop, or for what runs on nobody's behalf.
    pub(crate) async fn take(&self, tenant: Option<&TenantId>) -> Result<Place, PolicyFault> {
        let shop = tenant.map_or_else(|| Arc::clone(&self.nobody), |tenant| self.shop(tenant));
        // Whoever makes call after call lets others have the thread now and then.
        tokio::task::consume_budget().await;
        let of = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned();
        if let (Ok(_of_shop), Ok(_of_all)) = (of(&shop), of(&self.all)) {
            return Ok(Place { shop, _of_shop, _of_all });
        }
        let both = async {
            let of_shop = Arc::clone(&shop).acquire_owned().await?;
            Ok((of_shop, Arc::clone(&self.all).acquire_owned().await?))
        };
        let free = tokio::time::timeout(self.patience, both).await;
        let free = free.map_err(|_| PolicyFault::Busy(self.patience))?;
        let closed = |_: AcquireError| PolicyFault::Host("the sandbox is closing".into());
        let (_of_shop, _of_all) = free.map_err(closed)?;
        Ok(Place { shop, _of_shop, _of_all })
    }

    fn shop(&self, tenant: &TenantId) -> Shop {
        let mut shops = self.shops.lock();
        if let Some(shop) = shops.get(tenant) {
            return Arc::clone(shop);
        }
        if shops.len() >= KNOWN {
            shops.retain(|_, shop| Arc::strong_count(shop) > 1);
        }
        Arc::clone(shops.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(20);

    fn tenant(number: usize) -> TenantId {
        format!("shop-{number}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_shop_has_half_of_the_places_and_another_finds_the_rest() {
        let places = Places::new(5, PATIENCE);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.take(Some(&tenant(1))).await.unwrap());
        }
        assert!(matches!(places.take(Some(&tenant(1))).await, Err(PolicyFault::Busy(PATIENCE))));
        for _ in 0..2 {
            held.push(places.take(Some(&tenant(2))).await.unwrap());
        }
        assert!(matches!(places.take(Some(&tenant(3))).await, Err(PolicyFault::Busy(_))));
        held.clear();
        assert!(places.take(Some(&tenant(3))).await.is_ok());
    }

    #[tokio::test]
    async fn shops_without_a_call_are_forgotten() {
        let places = Places::new(4, PATIENCE);
        let _held = places.take(Some(&tenant(0))).await.unwrap();
        for number in 1..3 * KNOWN {
            places.take(Some(&tenant(number))).await.unwrap();
        }
        let shops = places.shops.lock();
        assert!(shops.len() <= KNOWN && shops.contains_key(&tenant(0)));
    }
}
