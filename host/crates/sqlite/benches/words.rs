//! How long a search by words takes among many products. Run with `cargo bench -p taja-sqlite --bench words -- FOLDER`
//! on a folder that the example `fill` filled, and with a search a line on standard input; without a folder there is
//! nothing to do.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::{
    io::BufRead,
    path::Path,
    time::{Duration, Instant},
};

use taja_catalog::{Filter, TenantId, port::Store};
use taja_sqlite::SqliteStore;

/// The shop that the example fills.
const SHOP: &str = "default";
/// Products wanted, as the default policy asks for them.
const WANTED: usize = 400;

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let (p50, p99, most) = (at(0.5), at(0.99), at(1.0));
    println!("{what:<40} {p50:>8.3} ms median, {p99:>8.3} ms p99, {most:>8.3} ms slowest");
}

/// Searches for each text in turn, and tells how long that took.
async fn search(what: &str, store: &SqliteStore, texts: &[String]) {
    let shop: TenantId = SHOP.parse().expect("a valid identifier");
    let mut times = Vec::with_capacity(texts.len());
    let mut found = 0;
    for text in texts {
        let began = Instant::now();
        found += store
            .keyword(&shop, &text.as_str().into(), &Filter::everything(), WANTED)
            .await
            .expect("answers")
            .len();
        times.push(began.elapsed());
    }
    print(what, times);
    println!("  {} found on average", found / texts.len());
}

#[tokio::main]
async fn main() {
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else { return };
    let texts: Vec<_> = std::io::stdin().lock().lines().map(|line| line.expect("text")).collect();
    let store = SqliteStore::open(Path::new(&folder).join("taja.db")).expect("a store");
    if !texts.is_empty() {
        search("the first time", &store, &texts).await;
        search("once more", &store, &texts).await;
    }
    store.close().await.expect("it closes");
}
