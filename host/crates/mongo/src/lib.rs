//! The store, the job ledger and the uploads in MongoDB.

mod call;
mod connection;
mod error;
mod ledger;
mod uploads;

pub use connection::{Mongo, MongoOptions};
pub use error::ConnectError;
pub use ledger::MongoLedger;
pub use uploads::GridUploads;
