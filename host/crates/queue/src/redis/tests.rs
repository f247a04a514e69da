//! The contract on a real Redis, and what only Redis promises.

use std::sync::atomic::{AtomicU32, Ordering};

use taja_testkit::RedisServer;

use super::*;
use crate::{ManualClock, contract::MemoryLedger};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start().await.unwrap();
    let made = AtomicU32::new(0);
    crate::contract::suite(|clock: Arc<ManualClock>| {
        let name = format!("case-{}", made.fetch_add(1, Ordering::Relaxed));
        let (url, options) = (server.url(), RedisOptions { name, clock, ..RedisOptions::default() });
        async move {
            let ledger = Arc::new(MemoryLedger::default());
            Arc::new(RedisQueue::open(&url, ledger, options).await.unwrap()) as Arc<dyn Queue>
        }
    })
    .await;
}
