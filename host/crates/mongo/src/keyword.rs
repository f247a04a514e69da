//! Keyword search without a search engine beside the server: a text index finds the products of a word, the host keeps
//! them as lists, and ranks.
//!
//! - The terms of a product are made by the host (see [`crate::terms`]). The text index is over these terms with
//!   language `none`; it begins with the shop, so that a search reads nothing of another one.
//! - The lists are read once, and read on when the catalogue changed, whoever changed it ([`lists`], [`shop`]). How often
//!   words occur is counted in all of the shop's products, whether or not they pass the filter.
//! - Relevance is the sum, over the words asked for, of how rare the word is (BM25's inverse document frequency) times
//!   where it was found ([`NAME`], [`TEXT`], [`BEGINNING`]), plus [`ALL_WORDS_BONUS`] when every word is there ([`ranking`]).
//!   The server's own text score knows nothing of rareness, and "the" would count as much as "teapot".
//! - What else stands for a word (another form, a synonym, what it may be a typing error of) counts where the word itself is
//!   not, by its weight; of a phrase that stands for it, all words have to be there.
//! - When no word finds anything, products come whose text has all three-letter pieces of a word.

mod common;
mod hits;
mod lists;
mod passing;
mod ranking;
mod read;
mod search;
mod shop;
mod sought;

use futures::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Document, doc},
};
use taja_catalog::{Filter, PortResult, TenantId};

use crate::{
    document::amount,
    error::mongo,
    filter::condition,
    lookup::placed,
    ranked::Placed,
    terms::{Asked, Terms},
};

pub(crate) use self::{lists::Lists, search::Search};

/// How much a word in the name counts.
const NAME: f64 = 3.0;
/// How much a word in the text counts.
const TEXT: f64 = 1.0;
/// How much the beginning of a longer word counts.
const BEGINNING: f64 = 0.8;
/// What having every word adds.
const ALL_WORDS_BONUS: f64 = 2.0;
/// Relevance of a product that was found by pieces of a word: below that of any word.
const PIECES_RELEVANCE: f64 = 1e-9;

/// How often words occur.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Occurrences {
    /// Products that there are.
    pub(crate) products: f64,
    /// Products with each word, in the order of the words.
    pub(crate) each: Vec<f64>,
}

impl Occurrences {
    /// None at all.
    pub(crate) fn none(words: usize) -> Self {
        Self { products: 0.0, each: vec![0.0; words] }
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.products += other.products;
        self.each.iter_mut().zip(&other.each).for_each(|(one, other)| *one += other);
    }

    /// Counts a product in which the words were found so.
    pub(crate) fn count(&mut self, found: &[f64]) {
        self.products += 1.0;
        self.each.iter_mut().zip(found).for_each(|(each, found)| *each += f64::from(u8::from(*found > 0.0)));
    }

    /// How rare each word is: the inverse document frequency of BM25.
    fn rareness(&self) -> Vec<f64> {
        let rareness = |each: &f64| ((self.products.max(*each) - each + 0.5) / (each + 0.5)).ln_1p();
        self.each.iter().map(rareness).collect()
    }

    /// The relevance of a product in which the words were found so.
    pub(crate) fn score(&self, found: &[f64]) -> f64 {
        let sum: f64 = self.rareness().iter().zip(found).map(|(rareness, found)| rareness * found).sum();
        let is_whole = found.len() > 1 && found.iter().all(|found| *found > 0.0);
        sum + if is_whole { ALL_WORDS_BONUS } else { 0.0 }
    }
}

/// Where each word is found in a product, and what that counts.
pub(crate) fn find_in(terms: &Terms, asked: &[Asked]) -> Vec<f64> {
    let found = |asked: &Asked| {
        if terms.name.contains(&asked.term) {
            NAME
        } else if terms.text.contains(&asked.term) {
            TEXT
        } else if asked.beginning.as_ref().is_some_and(|beginning| terms.beginnings.contains(beginning)) {
            BEGINNING
        } else {
            let instead = asked.instead.iter().find_map(|(all, weight)| {
                let is_in_text = |term: &String| terms.name.contains(term) || terms.text.contains(term);
                let place = if all.iter().all(|term| terms.name.contains(term)) {
                    NAME
                } else if all.iter().all(is_in_text) {
                    TEXT
                } else {
                    return None;
                };
                Some(weight * place)
            });
            instead.unwrap_or_default()
        }
    };
    asked.iter().map(found).collect()
}

/// Whether a product has all pieces of a word; its relevance then.
pub(crate) fn has_pieces(terms: &Terms, asked: &[Asked]) -> Option<f64> {
    let has = |asked: &Asked| {
        !asked.pieces.is_empty() && asked.pieces.iter().all(|piece| terms.pieces.contains(piece))
    };
    asked.iter().any(has).then_some(PIECES_RELEVANCE)
}

/// The condition on products that have all pieces of a word; none when no word is long enough.
pub(crate) fn by_pieces(tenant: &TenantId, asked: &[Asked], filter: &Filter) -> Option<Document> {
    let words = asked.iter().filter(|asked| !asked.pieces.is_empty());
    let words: Vec<_> = words.map(|asked| doc! { "pieces": { "$all": &asked.pieces } }).collect();
    let wanted = doc! { "$and": [{ "tenant": tenant.as_str() }, { "$or": &words }, condition(filter)] };
    (!words.is_empty()).then_some(wanted)
}

/// Runs a pipeline whose documents have `product`, `created_at` and `score`.
pub(crate) async fn run(search: &Collection<Document>, pipeline: Vec<Document>) -> PortResult<Vec<Placed>> {
    let mut cursor = search.aggregate(pipeline).await.map_err(mongo)?;
    let mut all = Vec::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        all.push(placed(&document, amount(document.get("score")).unwrap_or_default())?);
    }
    Ok(all)
}

/// Products found by pieces of words, newest first.
pub(crate) async fn run_by_pieces(
    search: &Collection<Document>,
    wanted: Document,
    limit: i64,
) -> PortResult<Vec<Placed>> {
    let wanted = [
        doc! { "$match": wanted },
        doc! { "$sort": { "created_at": -1, "product": -1 } },
        doc! { "$limit": limit },
        doc! { "$project": { "_id": 0, "product": 1, "created_at": 1, "score": { "$literal": PIECES_RELEVANCE } } },
    ];
    run(search, wanted.to_vec()).await
}

#[cfg(test)]
mod tests;
