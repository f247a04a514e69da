//! The store, the job ledger and the uploads in MongoDB 5.0 and newer, and in Atlas.
//!
//! Decisions of the store:
//! - A commit is one transaction with `w: majority`; its receipt tells whether it happened when the reply was lost.
//! - `products` holds what people read, in the field names that an older service in Python used too. What filters and
//!   words look in is a document of its own in `search`, so that no name of a field is ever a path.
//! - Pictures are documents of their own: a unique index over a list would not see the same picture twice in one list.
//! - Every commit writes its shop's document in `versions`, so commits of one shop happen one after the other. By that
//!   document everybody else knows what to read on: followers the vectors, searches by words their lists.
//! - Times are kept in milliseconds, which is what the server's dates hold.

mod access;
mod atlas;
mod call;
mod collections;
mod connection;
mod deadline;
mod document;
mod edit;
mod error;
mod filter;
mod follow;
#[cfg(test)]
mod golden;
mod intents;
mod judgements;
mod keyword;
mod ledger;
mod legacy;
mod look;
mod lookup;
mod models;
mod plugins;
mod ranked;
mod removed;
mod schema;
mod store;
mod terms;
mod texts;
mod transaction;
mod uploads;
mod vectors;
mod write;

pub use atlas::AtlasIndex;
pub use connection::{Mongo, MongoOptions};
pub use error::ConnectError;
pub use follow::{FollowOptions, FollowState, Follower};
pub use ledger::MongoLedger;
pub use legacy::{Legacy, migrate::MigrationReport};
pub use store::{MongoStore, MongoStoreOptions};
pub use uploads::GridUploads;
