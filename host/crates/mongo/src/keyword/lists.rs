//! What is kept in memory of all shops' words: reading the products of a common word out of the text index takes a server
//! tens of milliseconds, going through a list takes microseconds.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use parking_lot::{Mutex, RwLock};
use taja_catalog::TenantId;
use tokio::{sync::Semaphore, task::JoinSet};

use super::shop::Shop;

/// Memory for the lists of all shops. A term takes 4 bytes for each product that has it.
const MOST_BYTES: usize = 64 << 20;
/// Products of all shops that have numbers: some 80 MB of them. One shop alone may have more.
const MOST_PRODUCTS: usize = 500_000;
/// Searches of a shop that read whole lists at once; others wait, and then perhaps need not.
const READERS: usize = 4;

/// A shop as it is kept. Its products keep their numbers as long as this is held.
#[derive(Debug)]
pub(super) struct Kept {
    /// Its products and lists.
    pub(super) shop: RwLock<Shop>,
    /// Whose turn it is to read whole lists.
    pub(super) readers: Semaphore,
    /// What reads the common ones.
    pub(super) common: Mutex<JoinSet<()>>,
    /// Whether it did, and nobody has weighed them yet.
    pub(super) has_grown: AtomicBool,
    /// Bytes that its lists may take.
    pub(super) most_bytes: usize,
}

impl Kept {
    fn new(age: i64, most_bytes: usize) -> Arc<Self> {
        let (shop, readers) = (RwLock::new(Shop::of_age(age)), Semaphore::new(READERS));
        let (common, has_grown) = (Mutex::default(), AtomicBool::default());
        Arc::new(Self { shop, readers, common, has_grown, most_bytes })
    }
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    /// Products and bytes, as far as is known.
    size: (usize, usize),
    /// When it was last asked for.
    used: u64,
}

#[derive(Debug, Default)]
struct Shops {
    entries: HashMap<TenantId, Entry>,
    /// Counts questions.
    clock: u64,
}

/// The lists of all shops.
#[derive(Debug)]
pub(crate) struct Lists {
    shops: Mutex<Shops>,
    most_bytes: usize,
    most_products: usize,
}

impl Default for Lists {
    fn default() -> Self {
        Self { shops: Mutex::default(), most_bytes: MOST_BYTES, most_products: MOST_PRODUCTS }
    }
}

impl Lists {
    /// What is kept of a shop; of one that is not known, nothing, and so many deletions.
    pub(super) fn of(&self, tenant: &TenantId, age: i64) -> Arc<Kept> {
        let mut shops = self.shops.lock();
        shops.clock += 1;
        let now = shops.clock;
        let entry = shops.entries.entry(tenant.clone()).or_insert_with(|| Entry {
            kept: Kept::new(age, self.most_bytes),
            size: (0, 0),
            used: now,
        });
        entry.used = now;
        Arc::clone(&entry.kept)
    }

    /// Nothing of a shop, for one search alone.
    pub(super) fn nothing(&self, age: i64) -> Arc<Kept> {
        Kept::new(age, self.most_bytes)
    }

    /// Forgets a shop, if this is what is kept of it.
    pub(super) fn forget(&self, tenant: &TenantId, lost: &Arc<Kept>) {
        let mut shops = self.shops.lock();
        if shops.entries.get(tenant).is_some_and(|entry| Arc::ptr_eq(&entry.kept, lost)) {
            shops.entries.remove(tenant);
        }
    }

    /// Takes note of how large a shop has become. The shops that were not asked for the longest are forgotten for it.
    pub(super) fn weigh(&self, tenant: &TenantId, kept: &Arc<Kept>) {
        let size = kept.shop.read().size();
        let mut shops = self.shops.lock();
        match shops.entries.get_mut(tenant) {
            Some(entry) if Arc::ptr_eq(&entry.kept, kept) => entry.size = size,
            _ => return,
        }
        while self.is_too_much(&shops) {
            let others = shops.entries.iter().filter(|(other, _)| *other != tenant);
            let Some((oldest, _)) = others.min_by_key(|(_, entry)| entry.used) else { return };
            let oldest = oldest.clone();
            shops.entries.remove(&oldest);
        }
    }

    fn is_too_much(&self, shops: &Shops) -> bool {
        let sum = |sum: (usize, usize), entry: &Entry| (sum.0 + entry.size.0, sum.1 + entry.size.1);
        let (products, bytes) = shops.entries.values().fold((0, 0), sum);
        products > self.most_products || bytes > self.most_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::keyword::{
        read::{Rows, Seen},
        shop::Standing,
        sought::Key,
    };

    /// Puts a list of so many products into a shop.
    fn fill(lists: &Lists, shop: &str, products: u32) -> Arc<Kept> {
        let tenant = shop.parse().unwrap();
        let kept = lists.of(&tenant, 0);
        let rows = Rows {
            products: (0..products).map(|n| (format!("p{n}").parse().unwrap(), 0)).collect(),
            places: vec![(0..products).map(|n| (n, false)).collect()],
        };
        kept.shop.write().put(vec![Key::Term("shoe".into())], rows, 1);
        lists.weigh(&tenant, &kept);
        kept
    }

    fn known(lists: &Lists) -> String {
        let shops = lists.shops.lock();
        let mut names: Vec<_> = shops.entries.keys().map(ToString::to_string).collect();
        names.sort();
        names.iter().fold(String::new(), |mut all, name| {
            write!(all, "{name} ").unwrap();
            all
        })
    }

    #[test]
    fn the_shop_that_was_not_asked_for_the_longest_is_forgotten_first() {
        let lists = Lists { most_products: 30, ..Lists::default() };
        fill(&lists, "a", 10);
        fill(&lists, "b", 10);
        fill(&lists, "c", 10);
        lists.of(&"a".parse().unwrap(), 0);
        fill(&lists, "d", 10);
        assert_eq!(known(&lists), "a c d ");
        fill(&lists, "large", 99);
        assert_eq!(known(&lists), "large ", "one shop alone may have more");
    }

    #[test]
    fn shops_whose_lists_take_much_push_out_others_too() {
        let lists = Lists { most_bytes: 10_000, ..Lists::default() };
        fill(&lists, "a", 1000);
        fill(&lists, "b", 1000);
        assert_eq!(known(&lists), "a b ");
        fill(&lists, "c", 1000);
        assert_eq!(known(&lists), "b c ");
    }

    #[test]
    fn what_is_kept_of_a_shop_is_forgotten_once() {
        let lists = Lists::default();
        let (first, tenant) = (fill(&lists, "a", 1), "a".parse().unwrap());
        lists.forget(&tenant, &first);
        let second = lists.of(&tenant, 7);
        assert!(!Arc::ptr_eq(&first, &second));
        lists.forget(&tenant, &first);
        lists.weigh(&tenant, &first);
        assert!(Arc::ptr_eq(&lists.of(&tenant, 0), &second));
        let seen = Seen { age: 7, ..Seen::default() };
        assert_eq!(second.shop.read().standing(&seen), Standing::Level);
    }
}
