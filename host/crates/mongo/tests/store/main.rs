//! The store against its contract, against filters in memory, and against a server that fails.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod filters;
mod old;
mod support;
mod words;
mod writes;

use support::Server;

#[tokio::test]
async fn a_database_keeps_the_contract() {
    let server = Server::start().await;
    taja_catalog::contract::store_suite(async || (server.fresh().await, ())).await;
}
