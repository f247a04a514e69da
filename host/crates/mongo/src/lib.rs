//! The store, the job ledger and the uploads in MongoDB.

mod connection;
mod deadline;
mod error;
mod ledger;

pub use connection::{Mongo, MongoOptions};
pub use error::ConnectError;
pub use ledger::MongoLedger;
