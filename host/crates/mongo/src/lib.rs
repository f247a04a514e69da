//! The store, the job ledger and the uploads in MongoDB.

mod connection;
mod error;

pub use connection::{Mongo, MongoOptions};
pub use error::ConnectError;
