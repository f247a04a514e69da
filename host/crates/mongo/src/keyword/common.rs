//! The lists of the words that are common in a shop, read together.
//!
//! To read one list of a common word a server goes through a large part of the shop's products, and tells of each what it
//! has. To go through all of them, and to tell everything, takes hardly longer. So once a search had to read such a list,
//! all lists like it are read in the background, and the next words are there when they are asked for.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
};

use mongodb::{
    ClientSession, SessionCursor,
    bson::{Document, RawDocument, RawDocumentBuf, doc},
    options::Hint,
};
use taja_catalog::{PortResult, TenantId};

use super::{
    lists::Kept,
    ranking::Posting,
    read::{self, Rows, entry},
    search::aside,
    shop::Standing,
    sought::Key,
};
use crate::{
    collections::Collections,
    deadline::{READ, within},
    error::{damaged, mongo},
};

/// A list of so many products makes that the others like it are read.
pub(super) const LONG: usize = 1000;
/// Products that tell which keys are common.
const SAMPLE: usize = 1000;
/// A key that so many of those have is common.
const COMMON: usize = 10;
/// The common lists take a part of the memory for lists, at most.
const PART: usize = 4;

/// Reads the common lists in the background, once for what is kept of a shop; whoever lets go of that ends it.
pub(super) fn begin(collections: &Collections, tenant: &TenantId, kept: &Arc<Kept>) {
    let mut task = kept.common.lock();
    if task.is_empty() {
        let (collections, tenant, kept) = (collections.clone(), tenant.clone(), Arc::downgrade(kept));
        task.spawn(async move {
            if let Err(error) = within(READ, "common_words", fetch(&collections, &tenant, &kept)).await {
                tracing::debug!(%error, "the common words of {tenant} are read when they are asked for");
            }
        });
    }
}

/// Reads the common lists into what is kept of a shop, unless something was deleted meanwhile.
pub(super) async fn fetch(collections: &Collections, tenant: &TenantId, kept: &Weak<Kept>) -> PortResult<()> {
    let mut session = collections.client().start_session().await.map_err(mongo)?;
    let seen = read::seen(collections, &mut session, tenant).await?;
    let products = collections.search.estimated_document_count().await.map_err(mongo)?;
    let Some(most_bytes) = kept.upgrade().map(|kept| kept.most_bytes / PART) else { return Ok(()) };
    let most_postings = most_bytes / size_of::<Posting>();
    // All shops' products are more than this one's: the lists will take less.
    let most_of_sample = most_postings.saturating_mul(SAMPLE) / (products as usize).max(1);
    let (keys, rows) = read(collections, &mut session, tenant, most_of_sample).await?;
    let Some(kept) = kept.upgrade() else { return Ok(()) };
    let learn = move || {
        let mut shop = kept.shop.write();
        if shop.catch_up(&seen) == Standing::Level {
            shop.put(keys, rows, seen.version);
            shop.shrink(kept.most_bytes);
            kept.has_grown.store(true, Relaxed);
        }
    };
    aside(learn).await
}

/// Every product's common keys, as many as the first products have `most` of in all.
async fn read(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    most: usize,
) -> PortResult<(Vec<Key>, Rows)> {
    let fields = doc! { "_id": 0, "product": 1, "created_at": 1, "name": 1, "text": 1, "beginnings": 1 };
    let find = collections.search.find(doc! { "tenant": tenant.as_str() }).projection(fields);
    let find = find.hint(Hint::Name("taja_newest".into())).session(&mut *session);
    let mut cursor: SessionCursor<Document> = find.await.map_err(mongo)?;
    let mut first: Vec<RawDocumentBuf> = Vec::new();
    while first.len() < SAMPLE && cursor.advance(session).await.map_err(mongo)? {
        first.push(cursor.current().to_owned());
    }
    let mut common = Common::of(&first, most)?;
    for row in &first {
        common.add(row)?;
    }
    while cursor.advance(session).await.map_err(mongo)? {
        common.add(cursor.current())?;
    }
    Ok((common.keys, common.rows))
}

/// Common keys, and the products that have them.
#[derive(Debug, Default)]
struct Common {
    keys: Vec<Key>,
    /// The place of each term among the keys.
    terms: HashMap<String, usize>,
    /// The place of each beginning.
    beginnings: HashMap<String, usize>,
    rows: Rows,
}

impl Common {
    /// The commonest keys of these products, each had by enough of them, and all together by no more than `most`.
    fn of(sample: &[RawDocumentBuf], most: usize) -> PortResult<Self> {
        let (mut terms, mut beginnings) = (HashMap::new(), HashMap::new());
        for row in sample {
            let mut name = Vec::new();
            each(row, "name", |term| name.push(term.to_owned()))?;
            each(row, "text", |term| {
                if !name.iter().any(|other| other == term) {
                    *terms.entry(term.to_owned()).or_insert(0_usize) += 1;
                }
            })?;
            name.into_iter().for_each(|term| *terms.entry(term).or_insert(0) += 1);
            each(row, "beginnings", |text| *beginnings.entry(text.to_owned()).or_insert(0) += 1)?;
        }
        let terms = terms.into_iter().map(|(term, count)| (count, Key::Term(term)));
        let beginnings = beginnings.into_iter().map(|(text, count)| (count, Key::Beginning(text)));
        let mut all: Vec<_> = terms.chain(beginnings).filter(|(count, _)| *count >= COMMON).collect();
        all.sort_unstable_by_key(|(count, _)| Reverse(*count));
        let mut common = Self::default();
        let mut sum = 0;
        for (count, key) in all {
            sum += count;
            if sum > most {
                break;
            }
            let places = match &key {
                Key::Term(_) => &mut common.terms,
                Key::Beginning(_) => &mut common.beginnings,
            };
            places.insert(key.text().to_owned(), common.keys.len());
            common.keys.push(key);
        }
        common.rows.places = common.keys.iter().map(|_| Vec::new()).collect();
        Ok(common)
    }

    fn add(&mut self, row: &RawDocument) -> PortResult<()> {
        let next = self.rows.products.len() as u32;
        let places = &mut self.rows.places;
        let mut is_any = false;
        for (list, known, is_in_name) in [
            ("name", &self.terms, true),
            ("text", &self.terms, false),
            ("beginnings", &self.beginnings, false),
        ] {
            each(row, list, |text| {
                let Some(place) = known.get(text) else { return };
                let list = &mut places[*place];
                // A term that is in the name is not told to be in the text as well.
                if list.last().is_none_or(|(last, _)| *last != next) {
                    list.push((next, is_in_name));
                }
                is_any = true;
            })?;
        }
        if is_any {
            self.rows.products.push(entry(row)?);
        }
        Ok(())
    }
}

/// Does something with each text of a list.
fn each(row: &RawDocument, list: &str, mut with: impl FnMut(&str)) -> PortResult<()> {
    for text in row.get_array(list).map_err(|error| damaged("search", error))? {
        let text = text.map_err(|error| damaged("search", error))?;
        with(text.as_str().ok_or_else(|| damaged("search", "a term is no text"))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::DateTime;

    use super::*;

    fn row(name: &[&str], text: &[&str], beginnings: &[&str]) -> RawDocumentBuf {
        let created_at = DateTime::from_millis(7);
        let row = doc! { "product": "p", "created_at": created_at, "name": name, "text": text, "beginnings": beginnings };
        RawDocumentBuf::try_from(&row).unwrap()
    }

    #[test]
    fn lists_are_of_what_is_common_and_tell_the_place_that_counts_more() {
        let mut sample = vec![row(&["shoe"], &["shoe", "red"], &["sho"]); COMMON];
        sample.push(row(&["rare"], &["red"], &["rar"]));
        let mut common = Common::of(&sample, 99).unwrap();
        let mut keys: Vec<_> = common.keys.iter().map(|key| format!("{key:?}")).collect();
        keys.sort();
        assert_eq!(keys, ["Beginning(\"sho\")", "Term(\"red\")", "Term(\"shoe\")"]);
        for row in
            [row(&["rare"], &[], &[]), row(&["shoe"], &["red", "shoe"], &[]), row(&[], &["shoe"], &["sho"])]
        {
            common.add(&row).unwrap();
        }
        assert_eq!(common.rows.products.len(), 2, "one has nothing that is common");
        assert_eq!(common.rows.places[common.terms["shoe"]], [(0, true), (1, false)]);
        assert_eq!(common.rows.places[common.terms["red"]], [(0, false)]);
        assert_eq!(common.rows.places[common.beginnings["sho"]], [(1, false)]);
    }

    #[test]
    fn the_commonest_come_first_and_no_more_than_there_is_room_for() {
        let sample = vec![row(&[], &["red", "shoe"], &[]); COMMON];
        let mut sample = [sample, vec![row(&[], &["shoe"], &[])]].concat();
        let keys = |sample: &[_], most| Common::of(sample, most).unwrap().keys;
        assert_eq!(keys(&sample, 20), [Key::Term("shoe".into())]);
        assert_eq!(keys(&sample, 21), [Key::Term("shoe".into()), Key::Term("red".into())]);
        assert!(keys(&sample, 10).is_empty());
        sample.remove(0);
        assert_eq!(keys(&sample, 99), [Key::Term("shoe".into())], "the other is not common any more");
    }
}
