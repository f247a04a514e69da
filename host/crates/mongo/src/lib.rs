//! The store, the job ledger and the uploads in MongoDB.
