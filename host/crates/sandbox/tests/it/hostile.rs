//! Ten thousand hostile calls, and what they leave behind: nothing.

use std::time::Duration;

use taja_catalog::{
    fakes::InMemoryPlugins,
    plugins::{PluginStore, Slot},
    policy::Candidates,
};
use taja_sandbox::{AddError, Capability, Step, Upload, signature};

use crate::{
    fakes::{World, image, text},
    guests::{House, Opened, plugin, wanted},
    rank::candidates,
};

/// Calls of each quick kind of hostility; those that end by a clock are fewer.
const CALLS: usize = 1600;
const SLOW_CALLS: usize = 20;

/// Bytes of memory that this process holds, as the kernel counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel tells");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
    kib * 1024
}

/// One process ranks for everybody with a guest that is told to do harm, and after each harm with one that is not.
async fn suffer(
    sandbox: &Opened,
    world: &World,
    digest: taja_catalog::PluginDigest,
    task: &str,
    calls: usize,
) {
    sandbox.step(Slot::Rank, Step::Activate(wanted(digest, task))).await.expect("the step is taken");
    let context = world.context("shop", "");
    for _ in 0..calls {
        let _ = sandbox.rank(&context, candidates(10)).await;
    }
    sandbox.step(Slot::Rank, Step::Activate(wanted(digest, ""))).await.expect("the step is taken");
    let ranking = sandbox.rank(&context, candidates(10)).await.expect("the next call is not harmed");
    assert_eq!(ranking.products.len(), 10);
}

#[tokio::test]
async fn ten_thousand_hostile_calls_harm_nobody_and_leave_no_memory_behind() {
    let world = World::new();
    let house = House::empty().with("rank.wasm", &plugin("rank", "rank", "")).told("rank", "");
    let sandbox = house.ready(&world).await;
    let digest = house.store.activation(None, &Slot::Rank).await.unwrap().unwrap().live.unwrap().digest;
    let quick = ["panic", "nan", "foreign", "exit", "huge", "recurse"];
    for task in quick.iter().chain(&["bomb", "spin", "sleep", "log"]) {
        suffer(&sandbox, &world, digest, task, 3).await;
    }
    let before = resident();
    for task in quick {
        suffer(&sandbox, &world, digest, task, CALLS).await;
    }
    suffer(&sandbox, &world, digest, "bomb", 380).await;
    for task in ["spin", "sleep", "log"] {
        suffer(&sandbox, &world, digest, task, SLOW_CALLS).await;
    }
    let after = resident();
    // The allocator keeps some of what it was given back; 10,000 leaks of a page each would be 40 MiB.
    assert!(after < before + (24 << 20), "{before} bytes before, {after} after");
}

/// What a guest holds when its caller goes away is let go of.
#[tokio::test]
async fn calls_dropped_half_way_give_their_places_back() {
    let world = World::slow(Duration::from_secs(3600));
    let lines = "accepts = [\"text\", \"image\"]\n[limits]\ncpu_ms = 8000\nwall_ms = 30000";
    let house = House::empty().with("s.wasm", &plugin("search", "search", lines)).told("search", "vector");
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    for _ in 0..50 {
        let call = sandbox.search(&context, vec![text("a")], 5);
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    }
    // Pictures need no slow model.
    let legs = sandbox.search(&context, vec![image([1, 2, 3])], 5).await.expect("there are free places");
    assert_eq!(legs.len(), 1);
}

/// A swap in the middle of harm: the old version spins, the new one serves.
#[tokio::test]
async fn a_swap_goes_through_while_the_old_version_spins() {
    let world = World::new();
    let house = House::empty().with("rank.wasm", &plugin("rank", "rank", "")).told("rank", "spin");
    let sandbox = house.ready(&world).await;
    let second = sandbox.upload(&plugin("rank", "rank", "title = \"second\"")).await;
    let context = world.context("shop", "");
    let spinning = async {
        for _ in 0..10 {
            let _ = sandbox.rank(&context, Candidates::default()).await;
        }
    };
    let swap = async {
        sandbox.step(Slot::Rank, Step::Activate(wanted(second, ""))).await.expect("the step is taken");
        sandbox.rank(&context, candidates(10)).await.expect("the new version serves")
    };
    let ((), ranking) = tokio::join!(spinning, swap);
    assert_eq!(ranking.products.len(), 10);
}

fn upload(component: &[u8]) -> Upload {
    Upload {
        owner: None,
        by: "test".into(),
        component: component.to_vec().into(),
        signature: None,
        granted: Capability::ALL.into(),
    }
}

#[tokio::test]
async fn each_refusal_names_the_check_and_what_to_change() {
    let (world, house) = (World::new(), House::empty());
    let mut house = house;
    house.config.max_component_bytes = 1 << 20;
    let sandbox = house.open(&world).await;
    let search = |lines: &str| plugin("search", "words", &format!("accepts = [\"text\"]\n{lines}"));
    let broken_schema =
        "[settings]\ntype = \"object\"\n[settings.properties.k]\ntype = \"number\"\nminimum = \"no\"";
    let spinning = "(component
        (core module $m (func $spin (loop (br 0))) (start $spin) (func (export \"rank\")))
        (core instance $i (instantiate $m))
        (func $rank (canon lift (core func $i \"rank\")))
        (instance $r (export \"rank\" (func $rank)))
        (export \"taja:plugin/ranking@0.1.0\" (instance $r)))";
    let spinning = taja_sandbox::manifest::embed(
        &wat::parse_str(spinning).unwrap(),
        &crate::guests::manifest_text("rank", "x", ""),
    );
    for (component, stage, says) in [
        (vec![0; (1 << 20) + 1], "size", "the limit is 1048576"),
        (b"GIF89a".to_vec(), "format", "not a WebAssembly component"),
        (b"\x7fELF\x02".to_vec(), "format", "precompiled machine code"),
        (crate::component::fixture("rank"), "manifest", "no section"),
        (search(broken_schema), "manifest", "settings"),
        (search("capabilities = [\"embed\"]"), "grants", "add \"catalogue\" to the line"),
        (spinning.unwrap(), "trial", "of cpu time"),
    ] {
        let AddError::Refused(refused) = sandbox.add(upload(&component)).await.unwrap_err() else {
            panic!("the store failed")
        };
        assert_eq!(refused.stage, stage, "{refused}");
        assert!(refused.reason.contains(says), "{refused}");
    }
    let few = Upload { granted: [Capability::Embed].into(), ..upload(&search("")) };
    let refused = sandbox.add(few).await.unwrap_err().to_string();
    assert!(refused.contains("the operator does not grant \"catalogue\""), "{refused}");
    assert!(house.store.versions(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn where_keys_are_trusted_nothing_unsigned_comes_in_not_even_through_the_store() {
    let world = World::new();
    let key = signature::SigningKey::generate().unwrap();
    let mut house = House::empty();
    house.config.trusted = signature::TrustedKeys::parse([format!("release={}", key.public())]).unwrap();
    let sandbox = house.open(&world).await;
    let component = plugin("rank", "rank", "");
    let refused = sandbox.add(upload(&component)).await.unwrap_err().to_string();
    assert!(refused.contains("sign"), "{refused}");
    let signature = Some(key.sign(&component).parse().unwrap());
    let added = sandbox.add(Upload { signature, ..upload(&component) }).await.unwrap();
    assert_eq!(added.version.signer.as_deref(), Some("release"));
    // Somebody who can write to the store, and cannot sign.
    house.store = std::sync::Arc::new(InMemoryPlugins::default());
    house.keep_active(&component, &[], "").await;
    let sandbox = house.open(&world).await;
    let troubles = sandbox.troubles();
    assert!(troubles[0].2.contains("sign"), "{troubles:?}");
    assert_eq!(sandbox.missing(&crate::fakes::id("shop")), ["search", "ingest", "rank"]);
}
