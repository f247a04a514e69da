//! A search by words among the products of today's form: over the lists that are kept, once they are at the version of the
//! catalogue that the search has seen.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures::future::try_join;
use mongodb::ClientSession;
use taja_catalog::{Filter, PortError, PortResult, TenantId, port::PortErrorKind};
use tokio::task::spawn_blocking;

use super::{
    Occurrences, common,
    hits::{Hit, find, take_best},
    lists::{Kept, Lists},
    passing::MOST_LOOKED_UP,
    read::{self, Changed, Rows, Seen},
    shop::{Lacking, Shop, Standing},
    sought::{Key, Sought, keys, sought},
};
use crate::{collections::Collections, error::mongo, ranked::Placed, terms::Asked};

/// Products looked up first for each that is wanted: most filters let pass more than a quarter.
const LOOKED_UP: usize = 4;
/// Times a search begins while products are deleted; the last time it shares no list with others.
const ATTEMPTS: u32 = 4;

/// A search in a shop.
pub(crate) struct Search<'a> {
    pub(crate) collections: &'a Collections,
    pub(crate) lists: &'a Lists,
    pub(crate) tenant: &'a TenantId,
    pub(crate) asked: &'a [Asked],
    pub(crate) filter: &'a Filter,
    pub(crate) limit: usize,
}

/// The products that were found.
#[derive(Debug)]
pub(crate) struct Found {
    /// How often the words occur, here and elsewhere; nothing when there is one.
    pub(crate) occurrences: Occurrences,
    /// The first of them, in order.
    pub(super) best: Vec<Placed>,
    /// The others, in none.
    pub(super) others: Vec<Hit>,
    /// Where those have their numbers.
    pub(super) kept: Arc<Kept>,
}

/// What the lists are asked.
#[derive(Debug)]
struct Question {
    sought: Vec<Sought>,
    keys: Vec<Key>,
    /// How many products are put in order.
    first: usize,
    /// What was seen of the catalogue.
    seen: Seen,
    /// How many products there are, and how often the words occur outside of the lists.
    elsewhere: Occurrences,
}

/// What comes of a look at the lists.
enum Look {
    Found(Found),
    /// This is to be read.
    Lacking(Lacking),
    /// They do not go with what was seen.
    Unfit(Standing),
}

/// What was read for the lists.
struct News {
    lacking: Lacking,
    whole: Rows,
    changed: Changed,
}

impl Search<'_> {
    /// Finds the products. `elsewhere` is how often the words occur in products that no list has.
    pub(crate) async fn run(&self, elsewhere: &Occurrences) -> PortResult<Found> {
        let mut attempt = 1;
        loop {
            let mut session = self.collections.client().start_session().await.map_err(mongo)?;
            let seen = read::seen(self.collections, &mut session, self.tenant);
            let (seen, products) = try_join(seen, self.products()).await?;
            let kept = if attempt < ATTEMPTS {
                self.lists.of(self.tenant, seen.age)
            } else {
                self.lists.nothing(seen.age)
            };
            let question = Arc::new(self.question(seen, products, elsewhere));
            match self.answer(&mut session, &kept, &question).await? {
                Ok(found) => return Ok(found),
                Err(Standing::Lost) => self.lists.forget(self.tenant, &kept),
                Err(_) => {}
            }
            attempt += 1;
        }
    }

    /// How many products there are, when that matters.
    async fn products(&self) -> PortResult<f64> {
        if self.asked.len() < 2 {
            return Ok(0.0);
        }
        // Of all shops, and as of the last checkpoint after a crash: near enough for a logarithm.
        Ok(self.collections.search.estimated_document_count().await.map_err(mongo)? as f64)
    }

    fn question(&self, seen: Seen, products: f64, elsewhere: &Occurrences) -> Question {
        let mut elsewhere = elsewhere.clone();
        elsewhere.products += products;
        let sought = sought(self.asked);
        Question { keys: keys(&sought), sought, first: self.first(), seen, elsewhere }
    }

    /// How many products are put in order before it is known what passes.
    fn first(&self) -> usize {
        if self.filter.is_everything() {
            self.limit
        } else {
            self.limit.saturating_mul(LOOKED_UP).min(MOST_LOOKED_UP)
        }
    }

    /// Reads what the lists lack until they answer, or turn out not to go with what was seen.
    async fn answer(
        &self,
        session: &mut ClientSession,
        kept: &Arc<Kept>,
        question: &Arc<Question>,
    ) -> PortResult<Result<Found, Standing>> {
        let (mut news, mut turn) = (None, None);
        let mut has_grown = kept.has_grown.swap(false, Relaxed);
        loop {
            match look(kept, question, news.take()).await? {
                Look::Unfit(standing) => return Ok(Err(standing)),
                Look::Found(found) => {
                    if has_grown {
                        self.lists.weigh(self.tenant, kept);
                    }
                    return Ok(Ok(found));
                }
                Look::Lacking(lacking) if turn.is_none() && !lacking.whole.is_empty() => {
                    turn = Some(kept.readers.acquire().await.expect("nobody closes it"));
                }
                Look::Lacking(lacking) => {
                    let read = self.read(session, lacking).await?;
                    if read.whole.products.len() >= common::LONG {
                        common::begin(self.collections, self.tenant, kept);
                    }
                    news = Some(read);
                    has_grown = true;
                }
            }
        }
    }

    async fn read(&self, session: &mut ClientSession, lacking: Lacking) -> PortResult<News> {
        let Self { collections, tenant, .. } = self;
        let mut news = News { lacking, whole: Rows::default(), changed: Changed::default() };
        let Lacking { whole, behind, after } = &news.lacking;
        if !whole.is_empty() {
            news.whole = read::whole_lists(collections, session, tenant, whole).await?;
        }
        if !behind.is_empty() {
            news.changed = read::changed(collections, session, tenant, *after, behind).await?;
        }
        Ok(news)
    }
}

/// Looks into the lists, which learn first what was read for them.
async fn look(kept: &Arc<Kept>, question: &Arc<Question>, news: Option<News>) -> PortResult<Look> {
    let (kept, question) = (Arc::clone(kept), Arc::clone(question));
    let looked = aside(move || {
        if news.is_none()
            && let Some(found) = at_once(&kept, &question)
        {
            return found.map(Look::Found);
        }
        let mut shop = kept.shop.write();
        let Question { keys, seen, .. } = &*question;
        if let Some(news) = news {
            // It may hold what is known to be deleted.
            if shop.standing(seen) != Standing::Level {
                return Ok(Look::Unfit(shop.standing(seen)));
            }
            shop.read_on(&news.lacking, news.changed, seen.version);
            shop.put(news.lacking.whole, news.whole, seen.version);
        }
        let standing = shop.catch_up(seen);
        if standing != Standing::Level {
            return Ok(Look::Unfit(standing));
        }
        let lacking = shop.lacking(keys, seen.version);
        if !lacking.is_empty() {
            return Ok(Look::Lacking(lacking));
        }
        let found = answered(&kept, &shop, &question);
        shop.shrink(kept.most_bytes);
        found.map(Look::Found)
    });
    looked.await?
}

/// What is found when nothing has to be read.
fn at_once(kept: &Arc<Kept>, question: &Question) -> Option<PortResult<Found>> {
    let shop = kept.shop.read();
    let is_level = shop.standing(&question.seen) == Standing::Level;
    let is_whole = is_level && shop.lacking(&question.keys, question.seen.version).is_empty();
    is_whole.then(|| answered(kept, &shop, question))
}

fn answered(kept: &Arc<Kept>, shop: &Shop, question: &Question) -> PortResult<Found> {
    let (mut others, occurrences) = find(shop, &question.sought, &question.elsewhere);
    let best = take_best(shop, &mut others, question.first)?;
    Ok(Found { occurrences, best, others, kept: Arc::clone(kept) })
}

/// Does what computes on a thread that serves nobody else meanwhile.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> PortResult<T> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| PortError::from_source("store", PortErrorKind::Broken, error))
}
