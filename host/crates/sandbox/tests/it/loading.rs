//! Files in the plugin folder, most of them no good.

use std::{fs, sync::Arc};

use taja_catalog::{
    PluginDigest,
    policy::{Candidates, Lineup, PolicyFault},
};
use taja_sandbox::PluginState;

use crate::{
    fakes::{World, id},
    guests::{House, plugin},
};

#[tokio::test]
async fn a_good_file_is_reported_with_what_it_is() {
    let world = World::new();
    let component = plugin("rank", "rank", "[columns]\nnumbers = [\"price\"]");
    let sandbox = House::empty().with("r.wasm", &component).ready(&world).await;
    let status = &sandbox.report()[0];
    assert_eq!(status.file, "r.wasm");
    assert_eq!(status.digest, Some(PluginDigest::of(&component)));
    assert_eq!(status.manifest.as_ref().unwrap().name, "rank");
    assert_eq!(sandbox.team(&id("shop")).await.ranking_columns().numbers, ["price"]);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_even_read() {
    let mut house = House::empty().with("rank.wasm", &plugin("rank", "rank", ""));
    house.config.max_component_bytes = 1000;
    let sandbox = house.open(&World::new()).await;
    assert!(
        matches!(&sandbox.report()[0].state, PluginState::Refused(reason) if reason.contains("the limit is 1000"))
    );
}

#[tokio::test]
async fn the_later_of_two_plugins_that_clash_is_refused() {
    let search = |name: &str| plugin("search", name, "accepts = [\"text\"]");
    let house = House::empty()
        .with("a.wasm", &plugin("rank", "rank", ""))
        .with("b.wasm", &plugin("rank", "rank", "title = \"again\""))
        .with("c.wasm", &search("one"))
        .with("d.wasm", &search("two"));
    let sandbox = house.open(&World::new()).await;
    let report = sandbox.report();
    let states: Vec<_> = report.iter().map(|status| &status.state).collect();
    assert_eq!((states[0], states[2]), (&PluginState::Ready, &PluginState::Ready));
    assert!(
        matches!(states[1], PluginState::Refused(reason) if reason.contains("taken by a.wasm")),
        "{states:?}"
    );
    assert!(
        matches!(states[3], PluginState::Refused(reason) if reason.contains("taken by the plugin \"one\"")),
        "{states:?}"
    );
}

#[tokio::test]
async fn the_kinds_that_requests_need_and_that_are_not_there_are_named() {
    let (world, shop) = (World::new(), id("shop"));
    assert_eq!(House::empty().open(&world).await.missing(&shop), ["search", "ingest", "rank"]);
    let mut house = House::empty()
        .with("i.wasm", &plugin("ingest", "ingest", ""))
        .with("r.wasm", &plugin("rank", "rank", ""));
    assert_eq!(house.ready(&world).await.missing(&shop), ["search"]);
    house = house.with("s.wasm", &plugin("search", "words", "accepts = [\"text\"]"));
    assert!(house.ready(&world).await.missing(&shop).is_empty());
    // Loaded, but not by the name that is configured.
    house.config.rank = "another".into();
    house.store = Arc::default();
    assert_eq!(house.ready(&world).await.missing(&shop), ["rank"]);
}

#[tokio::test]
async fn without_a_ranking_plugin_ranking_is_the_hosts_failure() {
    let world = World::new();
    let sandbox = House::empty().open(&world).await;
    let error = sandbox.rank(&world.context("shop", ""), Candidates::default()).await.unwrap_err();
    assert!(
        matches!(&error.fault, PolicyFault::Host(text) if text.contains("no plugin of kind rank is active")),
        "{error}"
    );
}

#[tokio::test]
async fn compiled_code_is_kept_and_tampering_with_it_is_noticed() {
    let world = World::new();
    let cache = tempfile::tempdir().unwrap();
    let mut house = House::empty().with("rank.wasm", &plugin("rank", "rank", ""));
    house.config.cache = Some(cache.path().to_owned());
    // What a service with a store of its own reports of it.
    let cached = async |house: &mut House| {
        house.store = Arc::default();
        house.ready(&world).await.report()[0].cached
    };
    assert!(!cached(&mut house).await);
    assert!(cached(&mut house).await);

    let compiled = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let compiled = compiled.into_iter().find(|path| path.extension().is_some_and(|e| e == "cwasm")).unwrap();
    let good = fs::read(&compiled).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 0xff;
    fs::write(&compiled, bad).unwrap();
    assert!(!cached(&mut house).await);
    // What was wrong was written anew.
    assert_eq!(fs::read(&compiled).unwrap(), good);
    assert!(cached(&mut house).await);
}
