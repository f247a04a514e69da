//! Places for calls: so many in all, and no shop has more than half of them. Some are kept for whoever is waited for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use taja_catalog::{TenantId, policy::PolicyFault};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The places that a shop may have at one time. Calls of one shop share it, so it also tells shops apart.
pub(crate) type Shop = Arc<Semaphore>;

/// Shops that are known before those without a call are forgotten.
const KNOWN: usize = 1024;

/// Who waits for a call's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Somebody, who is told when there is no place for it.
    Somebody,
    /// Nobody: it waits until there is one, and leaves a quarter of the places to the others.
    Nobody,
}

/// Places for calls.
pub(crate) struct Places {
    every: Shared,
    /// Those of [`Waits::Nobody`], each of which takes one of all as well.
    bulk: Shared,
    patience: Duration,
}

/// A place, free again when dropped.
pub(crate) struct Place {
    pub(crate) shop: Shop,
    _bulk: Option<Taken>,
    _taken: Taken,
}

impl Places {
    /// So many in all, for which somebody waits so long.
    pub(crate) fn new(all: usize, patience: Duration) -> Self {
        Self { every: Shared::new(all), bulk: Shared::new((all * 3).div_ceil(4)), patience }
    }

    /// Waits for a place for a shop, or for what runs on nobody's behalf.
    pub(crate) async fn take(&self, tenant: Option<&TenantId>, waits: Waits) -> Result<Place, PolicyFault> {
        // Whoever makes call after call lets others have the thread now and then.
        tokio::task::consume_budget().await;
        let shop = self.every.shop(tenant);
        let closed = |_: AcquireError| PolicyFault::Host("the sandbox is closing".into());
        let waiting = self.every.take(Arc::clone(&shop));
        let (bulk, taken) = match waits {
            Waits::Nobody => {
                let bulk = self.bulk.take(self.bulk.shop(tenant)).await.map_err(closed)?;
                (Some(bulk), waiting.await)
            }
            Waits::Somebody => match self.every.try_take(&shop) {
                Some(taken) => (None, Ok(taken)),
                None => {
                    let taken = tokio::time::timeout(self.patience, waiting).await;
                    (None, taken.map_err(|_| PolicyFault::Busy(self.patience))?)
                }
            },
        };
        Ok(Place { shop, _bulk: bulk, _taken: taken.map_err(closed)? })
    }
}

/// Places that shops share.
struct Shared {
    all: Arc<Semaphore>,
    each: usize,
    shops: Mutex<HashMap<TenantId, Shop>>,
    nobody: Shop,
}

/// One of a shop's and one of all.
struct Taken {
    _of_shop: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Shared {
    fn new(all: usize) -> Self {
        let each = all.div_ceil(2);
        let of = |places| Arc::new(Semaphore::new(places));
        Self { all: of(all), each, shops: Mutex::default(), nobody: of(each) }
    }

    fn try_take(&self, shop: &Shop) -> Option<Taken> {
        let _of_shop = Arc::clone(shop).try_acquire_owned().ok()?;
        Some(Taken { _of_shop, _of_all: Arc::clone(&self.all).try_acquire_owned().ok()? })
    }

    async fn take(&self, shop: Shop) -> Result<Taken, AcquireError> {
        let _of_shop = shop.acquire_owned().await?;
        Ok(Taken { _of_shop, _of_all: Arc::clone(&self.all).acquire_owned().await? })
    }

    fn shop(&self, tenant: Option<&TenantId>) -> Shop {
        let Some(tenant) = tenant else { return Arc::clone(&self.nobody) };
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
    use super::{Waits::*, *};

    const PATIENCE: Duration = Duration::from_millis(20);

    fn tenant(number: usize) -> TenantId {
        format!("shop-{number}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_shop_has_half_of_the_places_and_another_finds_the_rest() {
        let places = Places::new(5, PATIENCE);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.take(Some(&tenant(1)), Somebody).await.unwrap());
        }
        assert!(matches!(places.take(Some(&tenant(1)), Somebody).await, Err(PolicyFault::Busy(PATIENCE))));
        for _ in 0..2 {
            held.push(places.take(Some(&tenant(2)), Somebody).await.unwrap());
        }
        assert!(matches!(places.take(Some(&tenant(3)), Somebody).await, Err(PolicyFault::Busy(_))));
        held.clear();
        assert!(places.take(Some(&tenant(3)), Somebody).await.is_ok());
    }

    #[tokio::test]
    async fn shops_without_a_call_are_forgotten() {
        let places = Places::new(4, PATIENCE);
        let _held = places.take(Some(&tenant(0)), Somebody).await.unwrap();
        for number in 1..3 * KNOWN {
            places.take(Some(&tenant(number)), Somebody).await.unwrap();
        }
        let shops = places.every.shops.lock();
        assert!(shops.len() <= KNOWN && shops.contains_key(&tenant(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_waits_itself_and_leaves_places_to_the_others() {
        let places = Places::new(8, PATIENCE);
        let (first, third) = (tenant(1), tenant(3));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.take(Some(&first), Nobody).await.unwrap());
        }
        let mut more = Box::pin(places.take(Some(&first), Nobody));
        assert!(tokio::time::timeout(100 * PATIENCE, &mut more).await.is_err());
        let search = places.take(Some(&first), Somebody).await.unwrap();
        assert!(matches!(places.take(Some(&first), Somebody).await, Err(PolicyFault::Busy(_))));
        held.pop();
        held.push(more.await.unwrap());
        drop(search);
        for shop in [2, 2, 2] {
            held.push(places.take(Some(&tenant(shop)), Nobody).await.unwrap());
        }
        assert!(tokio::time::timeout(100 * PATIENCE, places.take(Some(&third), Nobody)).await.is_err());
        assert!(places.take(Some(&third), Somebody).await.is_ok());
    }
}
