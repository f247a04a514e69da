//! Files in the plugin folder, most of them no good.

use std::{fs, sync::Arc};

use taja_catalog::{
    PluginDigest,
    policy::{Candidates, Lineup, PolicyFault},
};
use taja_sandbox::{PluginState, manifest};

use crate::{
    component::fixture,
    fakes::{World, id},
    guests::{House, manifest_text, plugin},
};

/// A component in text form with the manifest of a ranking plugin.
fn in_text(component: &str) -> Vec<u8> {
    let bytes = wat::parse_str(component).expect("the text is a component");
    manifest::embed(&bytes, &manifest_text("rank", "rank", "")).expect("the manifest is valid")
}

async fn refusal(bytes: &[u8]) -> String {
    let sandbox = House::empty().with("bad.wasm", bytes).open(&World::new()).await;
    match &sandbox.report()[0].state {
        PluginState::Refused(reason) => reason.clone(),
        PluginState::Ready => panic!("accepted"),
    }
}

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
async fn files_that_are_no_components_are_refused_by_what_they_are() {
    let whole = plugin("rank", "rank", "");
    for (bytes, says) in [
        (wat::parse_str("(module)").unwrap(), "core module"),
        (b"\x7fELF and so on".to_vec(), "precompiled"),
        (b"hello".to_vec(), "not a WebAssembly component"),
        (whole[..whole.len() / 2].to_vec(), "damaged"),
        (fixture("rank"), "no section"),
        (Vec::new(), "not a WebAssembly component"),
    ] {
        let reason = refusal(&bytes).await;
        assert!(reason.contains(says), "{reason}");
    }
}

#[tokio::test]
async fn code_that_is_not_valid_is_refused() {
    let mut bytes = in_text("(component (core module (func (result i32) (i32.const 7))))");
    let place = bytes.windows(2).position(|code| code == [0x41, 7]).unwrap();
    bytes[place] = 0x42; // i64.const in the place of i32.const
    assert!(refusal(&bytes).await.contains("does not compile"));
}

#[tokio::test]
async fn a_plugin_of_another_world_is_refused() {
    let wrong = manifest::embed(&fixture("rank"), &manifest_text("ingest", "x", "")).unwrap();
    assert!(refusal(&wrong).await.contains("world ingest"));
    let greedy = manifest::embed(&fixture("search"), &manifest_text("rank", "x", "")).unwrap();
    let reason = refusal(&greedy).await;
    assert!(
        reason.contains("taja:host/catalogue") && reason.contains("a rank plugin does not get"),
        "{reason}"
    );
}

#[rstest::rstest]
#[case::sockets("(component (import \"wasi:sockets/network@0.2.6\" (instance)))", "wasi:sockets/network")]
#[case::http(
    "(component (import \"wasi:http/outgoing-handler@0.2.6\" (instance)))",
    "wasi:http/outgoing-handler"
)]
#[case::other("(component (import \"surprise\" (func)))", "surprise")]
#[case::newer_host(
    "(component (import \"taja:host/log@0.9.0\" (instance (export \"shout\" (func)))))",
    "imports do not fit"
)]
#[case::newer_contract(
    "(component (instance $r) (export \"taja:plugin/ranking@0.9.0\" (instance $r)))",
    "world rank"
)]
#[case::nothing("(component)", "world rank")]
#[tokio::test]
async fn what_is_not_offered_or_not_there_is_named(#[case] component: &str, #[case] says: &str) {
    let reason = refusal(&in_text(component)).await;
    assert!(reason.contains(says), "{reason}");
}

#[tokio::test]
async fn a_function_of_another_type_is_refused() {
    let component = "(component
        (core module $m (func (export \"rank\")))
        (core instance $i (instantiate $m))
        (func $rank (canon lift (core func $i \"rank\")))
        (instance $r (export \"rank\" (func $rank)))
        (export \"taja:plugin/ranking@0.1.0\" (instance $r)))";
    let reason = refusal(&in_text(component)).await;
    assert!(reason.contains("type mismatch"), "{reason}");
}

#[tokio::test]
async fn a_guest_that_spins_when_it_starts_is_refused_in_time() {
    let component = "(component
        (core module $m (func $spin (loop (br 0))) (start $spin) (func (export \"rank\")))
        (core instance $i (instantiate $m))
        (func $rank (canon lift (core func $i \"rank\")))
        (instance $r (export \"rank\" (func $rank)))
        (export \"taja:plugin/ranking@0.1.0\" (instance $r)))";
    let reason = refusal(&in_text(component)).await;
    assert!(reason.contains("of cpu time"), "{reason}");
}

#[tokio::test]
async fn the_memory_limit_is_over_all_memories_of_a_plugin() {
    let component = "(component
        (core module $m (memory 160))
        (core module $n (memory 160) (func (export \"rank\")))
        (core instance (instantiate $m))
        (core instance $i (instantiate $n))
        (func $rank (canon lift (core func $i \"rank\")))
        (instance $r (export \"rank\" (func $rank)))
        (export \"taja:plugin/ranking@0.1.0\" (instance $r)))";
    let reason = refusal(&in_text(component)).await;
    assert!(reason.contains("memory limit of 16777216 bytes"), "{reason}");
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
