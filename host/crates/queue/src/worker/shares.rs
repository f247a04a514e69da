//! How many places of a lane each tenant has, where none may have more than it leaves free.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The places of one lane, by tenant.
#[derive(Debug)]
pub(super) struct Shares {
    places: usize,
    taken: Mutex<HashMap<String, usize>>,
    given_back: Notify,
}

/// A tenant's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    shares: Arc<Shares>,
    tenant: String,
}

impl Shares {
    pub(super) fn of(places: usize) -> Self {
        Self { places, taken: Mutex::default(), given_back: Notify::new() }
    }

    /// The tenants that would have more than they leave if they had one more.
    pub(super) fn used_up(&self) -> Vec<String> {
        let taken = self.taken.lock();
        let free = self.places.saturating_sub(taken.values().sum());
        taken.iter().filter(|(_, has)| **has >= free).map(|(tenant, _)| tenant.clone()).collect()
    }

    pub(super) fn take(self: &Arc<Self>, tenant: &str) -> Place {
        *self.taken.lock().entry(tenant.to_owned()).or_default() += 1;
        Place { shares: Arc::clone(self), tenant: tenant.to_owned() }
    }

    /// Waits until a place was given back since the last time.
    pub(super) async fn given_back(&self) {
        self.given_back.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        if let Some(has) = taken.get_mut(&self.tenant) {
            *has -= 1;
        }
        taken.retain(|_, has| *has > 0);
        self.shares.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_may_have_as_many_places_as_it_leaves() {
        let shares = Arc::new(Shares::of(16));
        let mut had = Vec::new();
        let mut places = Vec::new();
        for tenant in ["first", "second", "third", "fourth", "fifth"] {
            let mut has = 0;
            while places.len() < 16 && !shares.used_up().iter().any(|used_up| used_up == tenant) {
                places.push(shares.take(tenant));
                has += 1;
            }
            had.push(has);
        }
        assert_eq!(had, [8, 4, 2, 1, 1]);
        places.clear();
        assert!(shares.used_up().is_empty());
        let only = Arc::new(Shares::of(1));
        assert!(only.used_up().is_empty());
        let _place = only.take("one");
        assert_eq!(only.used_up(), ["one"]);
    }
}
