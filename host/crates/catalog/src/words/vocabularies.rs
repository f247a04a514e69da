//! Every shop's vocabulary, kept up with what its products say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use super::{Languages, Vocabulary, Wanted, WordSettings};
use crate::{
    id::TenantId,
    port::{PortResult, Position, Store},
};

/// Texts read at once: some 5 ms of work.
const PAGE: usize = 1000;
/// Pages that one search reads at most: of a larger shop the first searches read a part each, and know the words of that.
const MOST_PAGES: usize = 20;
/// Texts that are read after the first time, in so many times the first, before all are read anew: words that went are known,
/// and those of texts that changed are counted again, until then.
const ANEW_AFTER: usize = 2;
/// Texts that are read on in any case.
const READ_ON: usize = 10_000;
/// Shops whose words are kept; what was not searched for the longest is forgotten.
const MOST_SHOPS: usize = 500;

/// Which words a shop is taken to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// All that its products say now.
    Now,
    /// Those that it had when words were last looked up: whoever just did need not ask the store what has come since.
    Lately,
}

/// The vocabularies of one store.
#[derive(Debug, Default)]
pub struct Vocabularies {
    shops: Mutex<Shops>,
}

#[derive(Debug, Default)]
struct Shops {
    kept: HashMap<TenantId, (u64, Arc<Shop>)>,
    /// Counts questions.
    clock: u64,
}

#[derive(Debug)]
struct Shop {
    language: Languages,
    vocabulary: RwLock<Vocabulary>,
    /// Held by the search that reads on. Others go on with what is known.
    reading: futures::lock::Mutex<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    /// The last text that was read.
    after: Option<Position>,
    /// The version of the catalogue that everything was read of.
    version: Option<u64>,
    /// Texts that were read.
    texts: usize,
    /// Texts that there were when all had been read for the first time.
    first: Option<usize>,
}

impl Reading {
    /// Whether so much was read again that all is to be read anew.
    fn is_worn(&self) -> bool {
        self.first.is_some_and(|first| self.texts > first.saturating_mul(ANEW_AFTER) + READ_ON)
    }
}

impl Shop {
    fn new(language: Languages) -> Self {
        let vocabulary = RwLock::new(Vocabulary::new(&language));
        Self { language, vocabulary, reading: futures::lock::Mutex::default() }
    }

    fn words(&self) -> RwLockReadGuard<'_, Vocabulary> {
        self.vocabulary.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the texts that have come since it last did.
    async fn catch_up(&self, store: &dyn Store, tenant: &TenantId) -> PortResult<()> {
        let Some(mut reading) = self.reading.try_lock() else { return Ok(()) };
        let version = store.version(tenant).await?;
        if reading.version == Some(version) {
            return Ok(());
        }
        if reading.is_worn() {
            *reading = Reading::default();
            *self.vocabulary.write().unwrap_or_else(PoisonError::into_inner) =
                Vocabulary::new(&self.language);
        }
        for _ in 0..MOST_PAGES {
            let page = store.texts(tenant, reading.after.as_ref(), PAGE).await?;
            let mut words = self.vocabulary.write().unwrap_or_else(PoisonError::into_inner);
            page.iter().for_each(|(_, text)| words.add(text));
            drop(words);
            reading.texts += page.len();
            let is_last = page.len() < PAGE;
            if let Some((last, _)) = page.into_iter().next_back() {
                reading.after = Some(last);
            }
            if is_last {
                let texts = reading.texts;
                reading.first.get_or_insert(texts);
                reading.version = Some(version);
                break;
            }
        }
        Ok(())
    }
}

impl Vocabularies {
    /// A text with all that stands for its words in a shop, as the shop wants it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn wanted(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        settings: &WordSettings,
        text: &str,
    ) -> PortResult<Wanted> {
        if settings.takes_words_literally() {
            return Ok(Wanted::new(text));
        }
        let shop = self.shop(tenant, settings);
        shop.catch_up(store, tenant).await?;
        let wanted = shop.words().wanted(text, settings);
        Ok(wanted)
    }

    /// A text with the words that a shop does not have written like ones that it has; none when there are none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn respelled(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        settings: &WordSettings,
        text: &str,
        known: Known,
    ) -> PortResult<Option<String>> {
        if !settings.typos {
            return Ok(None);
        }
        let shop = self.shop(tenant, settings);
        if known == Known::Now {
            shop.catch_up(store, tenant).await?;
        }
        let respelled = shop.words().respelled(text, settings);
        Ok(respelled)
    }

    /// The shop's; an empty one when it is new or another language was chosen.
    fn shop(&self, tenant: &TenantId, settings: &WordSettings) -> Arc<Shop> {
        let mut shops = self.shops.lock().unwrap_or_else(PoisonError::into_inner);
        shops.clock += 1;
        let now = shops.clock;
        if let Some((used, shop)) = shops.kept.get_mut(tenant)
            && shop.language == settings.language
        {
            *used = now;
            return Arc::clone(shop);
        }
        if shops.kept.len() >= MOST_SHOPS {
            let oldest =
                shops.kept.iter().min_by_key(|(_, (used, _))| *used).map(|(tenant, _)| tenant.clone());
            oldest.and_then(|oldest| shops.kept.remove(&oldest));
        }
        let shop = Arc::new(Shop::new(settings.language.clone()));
        shops.kept.insert(tenant.clone(), (now, Arc::clone(&shop)));
        shop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_anew_after_much_was_read_again() {
        let reading = |texts, first| Reading { texts, first, ..Reading::default() };
        assert!(!reading(1_000_000, None).is_worn());
        assert!(!reading(10_100, Some(50)).is_worn());
        assert!(reading(10_101, Some(50)).is_worn());
    }
}
