//! The index's lists of rows, kept in memory once they were asked for: reading the rows of a common word out of the index
//! takes milliseconds, going through a list takes microseconds.
//!
//! Rows of the index are mostly added, with ever higher numbers. So a list that reaches to some row stays right, and is
//! read on from there when rows have come, whoever wrote them. When one changed or went, the index is of another age, and
//! all is forgotten; so it is where the numbers of rows do not fit that.

use std::{collections::HashMap, ops::Deref, sync::Arc};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};
use taja_catalog::{PortResult, ProductId, TenantId};

use super::occurrences::Occurrences;
use crate::error::{damaged, sqlite};

/// Memory for all lists. A word takes 12 bytes for each product that has it.
const MOST_BYTES: usize = 64 << 20;
/// Identifiers that are kept: 20 MB of them.
const MOST_IDS: usize = 200_000;
/// What a list takes besides its rows, roughly.
const LIST_BYTES: usize = 128;

/// What products are called, by number.
pub(super) type Ids = HashMap<u32, ProductId, foldhash::fast::RandomState>;

/// A row that has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    /// The product's number.
    pub(super) product: u32,
    /// How often.
    pub(super) occurrences: Occurrences,
}

/// Rows in the order of their numbers.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    list: Arc<Vec<Posting>>,
    /// How many of them a search sees: later ones came after it began.
    seen: usize,
}

impl Deref for Rows {
    type Target = [Posting];

    fn deref(&self) -> &[Posting] {
        &self.list[..self.seen]
    }
}

#[cfg(test)]
impl FromIterator<Posting> for Rows {
    fn from_iter<I: IntoIterator<Item = Posting>>(rows: I) -> Self {
        let list: Vec<_> = rows.into_iter().collect();
        Self { seen: list.len(), list: Arc::new(list) }
    }
}

/// What a search sees of the index, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// How often rows changed or went.
    pub(super) age: i64,
    /// Number of the last product.
    pub(super) last: u32,
    /// How many rows there are.
    pub(super) rows: i64,
    /// How many words they have together.
    pub(super) tokens: i64,
}

impl Snapshot {
    /// Looks through the rows of an expression; none when there are none.
    pub(super) fn read(connection: &Connection, expression: &str) -> PortResult<Option<Self>> {
        let sql = "SELECT (SELECT max(seq) FROM products), word_rows(words), word_tokens(words),
                          (SELECT age FROM words_age)
                   FROM words WHERE words MATCH ?1 LIMIT 1";
        let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
        let row = statement.query_row([expression], |row| {
            Ok(Self { last: row.get(0)?, rows: row.get(1)?, tokens: row.get(2)?, age: row.get(3)? })
        });
        row.optional().map_err(sqlite)
    }

    /// Whether one became the other by rows that came, and nothing else, as far as the numbers tell.
    fn fits(&self, other: &Self) -> bool {
        self.age == other.age
            && self.rows - other.rows == i64::from(self.last) - i64::from(other.last)
            && (self.rows != other.rows || self.tokens == other.tokens)
    }
}

/// A list as it is kept.
#[derive(Debug)]
struct List {
    rows: Arc<Vec<Posting>>,
    /// The number of a product that it reaches to.
    until: u32,
    /// When it was last asked for.
    used: u64,
}

impl List {
    fn bytes(&self, expression: &str) -> usize {
        self.rows.capacity() * size_of::<Posting>() + expression.len() + LIST_BYTES
    }
}

#[derive(Debug, Default)]
struct Kept {
    lists: HashMap<String, List>,
    /// What was seen of the index last.
    snapshot: Option<Snapshot>,
    /// The shops' products by number.
    ids: HashMap<TenantId, Ids>,
    /// Counts how often everything was forgotten.
    age: u64,
    /// Counts questions.
    clock: u64,
    bytes: usize,
}

impl Kept {
    /// A list, and how far it reaches.
    fn get(&mut self, expression: &str) -> Option<(Arc<Vec<Posting>>, u32)> {
        self.clock += 1;
        let list = self.lists.get_mut(expression)?;
        list.used = self.clock;
        Some((Arc::clone(&list.rows), list.until))
    }

    fn put(&mut self, expression: &str, rows: Arc<Vec<Posting>>, until: u32, most_bytes: usize) {
        self.remove(expression);
        let list = List { rows, until, used: self.clock };
        let bytes = list.bytes(expression);
        if bytes <= most_bytes / 2 {
            self.bytes += bytes;
            self.lists.insert(expression.to_owned(), list);
        }
        if self.bytes > most_bytes {
            self.shrink(most_bytes / 2);
        }
    }

    /// Learns what products of a shop are called.
    fn learn(&mut self, tenant: &TenantId, ids: &Ids) {
        let known: usize = self.ids.values().map(Ids::len).sum();
        if known + ids.len() > MOST_IDS {
            self.ids.clear();
        }
        let of_shop = self.ids.entry(tenant.clone()).or_default();
        of_shop.extend(ids.iter().map(|(number, id)| (*number, id.clone())));
    }

    fn remove(&mut self, expression: &str) {
        if let Some(old) = self.lists.remove(expression) {
            self.bytes -= old.bytes(expression);
        }
    }

    /// Forgets what was not asked for the longest.
    fn shrink(&mut self, to: usize) {
        let mut oldest: Vec<_> = self.lists.iter().map(|(key, list)| (list.used, key.clone())).collect();
        oldest.sort_unstable();
        for (_, expression) in oldest {
            if self.bytes <= to {
                break;
            }
            self.remove(&expression);
        }
    }
}

/// The lists of one index, for all who read it.
#[derive(Debug)]
pub(crate) struct Lists {
    kept: Mutex<Kept>,
    most_bytes: usize,
}

impl Default for Lists {
    fn default() -> Self {
        Self { kept: Mutex::default(), most_bytes: MOST_BYTES }
    }
}

impl Lists {
    /// Begins a search: forgets everything when the index changed otherwise than by rows that came.
    pub(super) fn begin(&self, snapshot: Snapshot) -> View<'_> {
        let mut kept = self.kept.lock();
        if kept.snapshot.is_some_and(|seen| !snapshot.fits(&seen)) {
            *kept = Kept { age: kept.age + 1, ..Kept::default() };
        }
        if kept.snapshot.is_none_or(|seen| seen.last <= snapshot.last) {
            kept.snapshot = Some(snapshot);
        }
        View { lists: self, snapshot, age: kept.age }
    }
}

/// The lists as one search sees them.
#[derive(Debug)]
pub(super) struct View<'lists> {
    lists: &'lists Lists,
    snapshot: Snapshot,
    age: u64,
}

impl View<'_> {
    /// The rows of an expression. What is not known of them is read from the index.
    pub(super) fn rows(&self, connection: &Connection, expression: &str) -> PortResult<Rows> {
        let kept = { self.lists.kept.lock().get(expression) };
        let last = self.snapshot.last;
        let list = match kept {
            Some((list, until)) if until >= last => list,
            Some((list, until)) => {
                let mut list = Arc::unwrap_or_clone(list);
                read(connection, expression, until, &mut list)?;
                self.keep(expression, list)
            }
            None => {
                let mut list = Vec::new();
                read(connection, expression, 0, &mut list)?;
                self.keep(expression, list)
            }
        };
        let seen = list.partition_point(|posting| posting.product <= last);
        Ok(Rows { list, seen })
    }

    /// What products of a shop are called: those of these numbers that are known, and the numbers of the others.
    pub(super) fn ids(&self, tenant: &TenantId, numbers: impl IntoIterator<Item = u32>) -> (Ids, Vec<u32>) {
        let kept = self.lists.kept.lock();
        let of_shop = kept.ids.get(tenant).filter(|_| kept.age == self.age);
        let (mut known, mut others) = (Ids::default(), Vec::new());
        for number in numbers {
            match of_shop.and_then(|ids| ids.get(&number)) {
                Some(id) => {
                    known.insert(number, id.clone());
                }
                None => others.push(number),
            }
        }
        (known, others)
    }

    /// Keeps what products of a shop are called.
    pub(super) fn learn(&self, tenant: &TenantId, ids: &Ids) {
        let mut kept = self.lists.kept.lock();
        if kept.age == self.age {
            kept.learn(tenant, ids);
        }
    }

    fn keep(&self, expression: &str, mut list: Vec<Posting>) -> Arc<Vec<Posting>> {
        list.shrink_to_fit();
        let list = Arc::new(list);
        let mut kept = self.lists.kept.lock();
        if kept.age == self.age {
            kept.put(expression, Arc::clone(&list), self.snapshot.last, self.lists.most_bytes);
        }
        list
    }
}

/// Adds the rows after a product.
fn read(connection: &Connection, expression: &str, after: u32, list: &mut Vec<Posting>) -> PortResult<()> {
    let sql =
        "SELECT rowid, word_occurrences(words) FROM words WHERE words MATCH ?1 AND rowid > ?2 ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let mut rows = statement.query((expression, after)).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let product: i64 = row.get(0).map_err(sqlite)?;
        let product = product.try_into().map_err(|error| damaged("product number", error))?;
        let occurrences = Occurrences::unpack(row.get(1).map_err(sqlite)?);
        list.push(Posting { product, occurrences });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
