//! The lists of one shop's products, and the products in them by number.
//!
//! A list holds what its shop had at some version of the catalogue, and of what changed later perhaps something. Once what
//! changed after that version is taken in, it holds what the shop has: a product's entry is set to what it is now, however
//! often. Products that were deleted are taken out of all lists when they are told of.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use taja_catalog::ProductId;

use super::{
    ranking::{Phrase, Posting, in_both},
    read::{Changed, Rows, Seen},
    sought::{Key, Sought},
};

/// A list that is this many versions behind is read again as a whole: what changed costs more to read than what is there.
const MOST_BEHIND: i64 = 1000;
/// Deleted products whose numbers are kept, whatever the shop's size.
const MOST_GONE: usize = 1000;
/// What a list takes besides its products, roughly.
const LIST_BYTES: usize = 160;

/// A list as it is kept.
#[derive(Debug)]
struct List {
    postings: Vec<Posting>,
    /// The version of the catalogue that it reaches to.
    until: i64,
    /// When it was last asked for.
    used: AtomicU64,
}

impl List {
    fn bytes(&self, key: &Key) -> usize {
        self.postings.capacity() * size_of::<Posting>() + key.text().len() + LIST_BYTES
    }

    /// Sets what a product has.
    fn set(&mut self, number: u32, is_in_name: Option<bool>) {
        let place = self.postings.binary_search_by_key(&number, |posting| posting.number());
        let posting = is_in_name.map(|is_in_name| Posting::new(number, is_in_name));
        match (place, posting) {
            (Ok(place), Some(posting)) => self.postings[place] = posting,
            (Ok(place), None) => _ = self.postings.remove(place),
            (Err(place), Some(posting)) => self.postings.insert(place, posting),
            (Err(_), None) => {}
        }
    }
}

/// How a shop's lists stand to what a search has seen of its catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They know of the same deletions.
    Level,
    /// They know of more: the search has seen too little.
    Ahead,
    /// More was deleted than is told: they cannot be used any more.
    Lost,
}

/// What has to be read before a search can be answered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lacking {
    /// Lists that are read as a whole.
    pub(super) whole: Vec<Key>,
    /// Lists that are read on.
    pub(super) behind: Vec<Key>,
    /// The version from which on those are.
    pub(super) after: i64,
}

impl Lacking {
    /// Whether nothing has to.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.behind.is_empty()
    }
}

/// What is kept of a shop.
#[derive(Debug, Default)]
pub(super) struct Shop {
    /// How many deletions are known.
    age: i64,
    /// Every product that was seen, and when it was added, in milliseconds since 1970.
    products: Vec<(ProductId, i64)>,
    numbers: HashMap<ProductId, u32>,
    /// How many of them were deleted.
    gone: usize,
    lists: HashMap<Key, List>,
    bytes: usize,
    /// Counts questions.
    clock: AtomicU64,
}

impl Shop {
    /// Nothing of a shop where so many products were deleted.
    pub(super) fn of_age(age: i64) -> Self {
        Self { age, ..Self::default() }
    }

    /// How many products have a number, and how many bytes the lists take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.products.len(), self.bytes)
    }

    /// How the lists stand to what was seen.
    pub(super) fn standing(&self, seen: &Seen) -> Standing {
        match self.age.cmp(&seen.age) {
            Ordering::Equal => Standing::Level,
            Ordering::Greater => Standing::Ahead,
            Ordering::Less => Standing::Lost,
        }
    }

    /// Takes out what was deleted, as far as that is told.
    pub(super) fn catch_up(&mut self, seen: &Seen) -> Standing {
        if self.age < seen.age
            && let Some(gone) = seen.deleted_since(self.age)
        {
            gone.iter().for_each(|product| self.remove(product));
            self.age = seen.age;
        }
        if self.gone > MOST_GONE.max(self.products.len() / 2) { Standing::Lost } else { self.standing(seen) }
    }

    fn remove(&mut self, product: &ProductId) {
        let Some(number) = self.numbers.get(product) else { return };
        self.lists.values_mut().for_each(|list| list.set(*number, None));
        self.gone += 1;
    }

    /// What has to be read for these lists to reach to a version.
    pub(super) fn lacking(&self, keys: &[Key], version: i64) -> Lacking {
        let mut lacking = Lacking { after: version, ..Lacking::default() };
        for key in keys {
            match self.lists.get(key) {
                Some(list) if list.until >= version => {}
                Some(list) if version - list.until <= MOST_BEHIND => {
                    lacking.behind.push(key.clone());
                    lacking.after = lacking.after.min(list.until);
                }
                _ => lacking.whole.push(key.clone()),
            }
        }
        lacking
    }

    /// Keeps lists that were read as a whole, in this order, at a version or later.
    pub(super) fn put(&mut self, keys: Vec<Key>, rows: Rows, version: i64) {
        let numbers: Vec<_> = rows.products.into_iter().map(|row| self.number(row)).collect();
        for (key, places) in keys.into_iter().zip(rows.places) {
            if self.lists.get(&key).is_some_and(|list| list.until >= version) {
                continue;
            }
            let posting = |(row, is_in_name): (u32, bool)| Posting::new(numbers[row as usize], is_in_name);
            let mut postings: Vec<_> = places.into_iter().map(posting).collect();
            postings.sort_unstable();
            // A product that changed meanwhile may be told twice.
            postings.dedup_by_key(|posting| posting.number());
            postings.shrink_to_fit();
            self.drop_list(&key);
            let list = List { postings, until: version, used: self.now().into() };
            self.bytes += list.bytes(&key);
            self.lists.insert(key, list);
        }
    }

    /// Takes in what changed between two versions, or since.
    pub(super) fn read_on(&mut self, lacking: &Lacking, changed: Changed, version: i64) {
        let rows = changed.rows;
        let numbers: Vec<_> = rows.products.into_iter().map(|row| self.number(row)).collect();
        let changed: Vec<_> =
            changed.products.iter().filter_map(|product| self.numbers.get(product).copied()).collect();
        for (key, places) in lacking.behind.iter().zip(rows.places) {
            let Some(list) = self.lists.get_mut(key) else { continue };
            if list.until < lacking.after || list.until >= version {
                continue;
            }
            let before = list.bytes(key);
            let mut has: HashMap<_, _> =
                places.into_iter().map(|(row, is_in_name)| (numbers[row as usize], is_in_name)).collect();
            changed.iter().for_each(|number| list.set(*number, has.remove(number)));
            list.until = version;
            self.bytes = self.bytes - before + list.bytes(key);
        }
    }

    /// The number of a product, which it keeps.
    fn number(&mut self, (product, created_at): (ProductId, i64)) -> u32 {
        let next = self.products.len() as u32;
        let number = *self.numbers.entry(product.clone()).or_insert(next);
        if number == next {
            self.products.push((product, created_at));
        } else {
            self.products[number as usize].1 = created_at;
        }
        number
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed) + 1
    }

    /// Those of these lists that are there: all of them, once nothing is lacking.
    pub(super) fn phrases<'a>(&'a self, sought: &'a [Sought]) -> Vec<Phrase<'a>> {
        let now = self.now();
        let postings = |key: &Key| {
            let list = self.lists.get(key)?;
            list.used.store(now, Relaxed);
            Some(list.postings.as_slice())
        };
        let phrase = |sought: &'a Sought| {
            let (first, others) = sought.keys.split_first()?;
            let mut all = Cow::Borrowed(postings(first)?);
            for key in others {
                all = Cow::Owned(in_both(&all, postings(key)?));
            }
            Some(Phrase { postings: all, sought })
        };
        sought.iter().filter_map(phrase).collect()
    }

    /// A product by its number, and when it was added.
    pub(super) fn product(&self, number: u32) -> (&ProductId, i64) {
        let (product, created_at) = &self.products[number as usize];
        (product, *created_at)
    }

    /// The number of a product that was seen.
    pub(super) fn number_of(&self, product: &ProductId) -> Option<u32> {
        self.numbers.get(product).copied()
    }

    /// Forgets the lists that were not asked for the longest, once all take more than `most_bytes`.
    pub(super) fn shrink(&mut self, most_bytes: usize) {
        if self.bytes <= most_bytes {
            return;
        }
        let mut oldest: Vec<_> =
            self.lists.iter().map(|(key, list)| (list.used.load(Relaxed), key.clone())).collect();
        oldest.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in oldest {
            if self.bytes <= most_bytes / 2 {
                break;
            }
            self.drop_list(&key);
        }
    }

    fn drop_list(&mut self, key: &Key) {
        if let Some(old) = self.lists.remove(key) {
            self.bytes -= old.bytes(key);
        }
    }
}

#[cfg(test)]
mod tests;
