//! Where a follower stands in the stream.
//!
//! A transaction's events come one after another, but perhaps in two batches, and its version may come before its
//! vectors. So a version counts once an event of another transaction has come, or nothing more has. Which pictures went
//! comes with the version, which is written first; that their vectors were deleted is no news after that.

use taja_catalog::{ImageHash, TenantId, port::VectorRow};

use super::{
    event::{Event, News, Transaction},
    stream::Begin,
};

/// A place in the stream.
pub(super) struct Place {
    /// Where to go on.
    pub(super) from: Begin,
    /// The transaction of the latest event.
    transaction: Option<Transaction>,
    /// Versions it brought.
    held: Vec<(TenantId, u64)>,
    /// Whether it told which pictures went.
    told: bool,
}

/// A change of the index.
#[derive(Debug)]
pub(super) enum Step {
    /// These can be found.
    Insert(Vec<VectorRow>),
    /// These of a shop cannot any more.
    Remove(TenantId, Vec<ImageHash>),
}

/// What is known by now.
#[derive(Default)]
pub(super) struct Known {
    /// What changed, in this order.
    pub(super) steps: Vec<Step>,
    /// Versions that are complete with that.
    pub(super) versions: Vec<(TenantId, u64)>,
}

impl Place {
    /// Where the stream begins.
    pub(super) fn new(from: Begin) -> Self {
        Self { from, transaction: None, held: Vec::new(), told: false }
    }

    /// Whether no version waits for the rest of its transaction.
    pub(super) fn is_settled(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes in a batch.
    ///
    /// # Errors
    /// When an event cannot be followed, and why.
    pub(super) fn learn(&mut self, events: Vec<Event>) -> Result<Known, &'static str> {
        let mut known = Known::default();
        for event in events {
            if event.transaction.is_none() || event.transaction != self.transaction {
                known.versions.append(&mut self.held);
                self.transaction = event.transaction;
                self.told = false;
            }
            match event.news {
                News::Vector(row) => known.insert(row),
                News::Version(tenant, version, gone) => {
                    if !gone.is_empty() {
                        self.told = true;
                        known.steps.push(Step::Remove(tenant.clone(), gone));
                    }
                    self.held.push((tenant, version));
                }
                News::Deleted if self.told => {}
                News::Deleted => return Err("a vector was deleted"),
                News::Lost(reason) => return Err(reason),
                News::Other => {}
            }
        }
        Ok(known)
    }

    /// Nothing more has come.
    pub(super) fn rest(&mut self) -> Known {
        Known { steps: Vec::new(), versions: std::mem::take(&mut self.held) }
    }
}

impl Known {
    fn insert(&mut self, row: VectorRow) {
        match self.steps.last_mut() {
            Some(Step::Insert(rows)) => rows.push(row),
            _ => self.steps.push(Step::Insert(vec![row])),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, Timestamp, doc};
    use taja_catalog::{Embedding, ImageHash, Space};

    use super::*;

    fn space() -> Space {
        Space { id: "test@0".into(), model: "test".into(), dimension: 2 }
    }

    fn event(number: i64, coll: &str, what: Document) -> Event {
        let mut event =
            doc! { "ns": { "db": "taja", "coll": coll }, "lsid": { "id": 1 }, "txnNumber": number };
        event.extend(what);
        Event::read(&event, &space()).unwrap()
    }

    fn version(transaction: i64, version: i64) -> Event {
        let what = doc! {
            "operationType": "update", "documentKey": { "_id": "acme" },
            "updateDescription": { "updatedFields": { "version": version } },
        };
        event(transaction, "versions", what)
    }

    fn vector(transaction: i64, image: &str) -> Event {
        let embedding = Embedding::normalised(vec![3.0, 4.0], 2).unwrap();
        let (tenant, product) = ("acme".parse().unwrap(), "shoe".parse().unwrap());
        let image = ImageHash::of(image.as_bytes());
        let stored = crate::vectors::document(&space(), &tenant, &product, &image, &embedding);
        event(transaction, "vectors", doc! { "operationType": "insert", "fullDocument": stored })
    }

    fn place() -> Place {
        Place::new(Begin::Moment(Timestamp { time: 1, increment: 1 }))
    }

    fn removal(transaction: i64, version: i64, image: &str) -> Event {
        let removed = crate::removed::write(&[ImageHash::of(image.as_bytes())]);
        let what = doc! {
            "operationType": "update", "documentKey": { "_id": "acme" },
            "updateDescription": { "updatedFields": { "version": version, "removed": removed } },
        };
        event(transaction, "versions", what)
    }

    fn deletion(transaction: i64) -> Event {
        event(transaction, "vectors", doc! { "operationType": "delete" })
    }

    /// Each step: how many vectors it brings, or the pictures that it takes.
    fn steps(known: &Known) -> Vec<Result<usize, Vec<ImageHash>>> {
        let step = |step: &Step| match step {
            Step::Insert(rows) => Ok(rows.len()),
            Step::Remove(_, images) => Err(images.clone()),
        };
        known.steps.iter().map(step).collect()
    }

    fn versions(known: &Known) -> Vec<u64> {
        known.versions.iter().map(|(_, version)| *version).collect()
    }

    #[test]
    fn a_version_waits_for_the_rest_of_its_transaction() {
        let mut place = place();
        let known = place.learn(vec![version(1, 1), vector(1, "a")]).unwrap();
        assert_eq!((steps(&known), versions(&known)), (vec![Ok(1)], vec![]));
        assert!(!place.is_settled());
        let known = place.learn(vec![vector(1, "b"), version(2, 2)]).unwrap();
        assert_eq!((steps(&known), versions(&known)), (vec![Ok(1)], vec![1]));
        assert_eq!(versions(&place.rest()), [2]);
        assert!(place.is_settled());
    }

    #[test]
    fn what_went_goes_in_its_turn_and_its_deletion_is_no_news() {
        let mut place = place();
        let events = vec![vector(1, "a"), removal(2, 2, "a"), deletion(2), vector(3, "a"), vector(3, "b")];
        let known = place.learn(events).unwrap();
        assert_eq!(steps(&known), [Ok(1), Err(vec![ImageHash::of(b"a")]), Ok(2)]);
        assert_eq!(versions(&known), [2]);
        let mut place = self::place();
        assert!(place.learn(vec![removal(1, 1, "a")]).is_ok());
        assert!(place.learn(vec![deletion(1)]).is_ok(), "the rest may come later");
        assert!(place.learn(vec![deletion(2)]).is_err(), "this is another's");
    }

    #[test]
    fn what_was_taken_away_cannot_be_followed() {
        for (collection, operation) in [
            ("vectors", "delete"),
            ("vectors", "update"),
            ("versions", "drop"),
            ("", "dropDatabase"),
            ("", "invalidate"),
        ] {
            let gone = event(1, collection, doc! { "operationType": operation });
            assert!(place().learn(vec![gone]).is_err(), "{operation} of {collection}");
        }
        let other = event(1, "products", doc! { "operationType": "delete" });
        assert!(place().learn(vec![other]).is_ok());
    }
}
