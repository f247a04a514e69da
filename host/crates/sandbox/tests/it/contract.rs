//! The contract as it was published: components that were built then, on the host as it is now; and versions that live
//! side by side.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::json;
use taja_catalog::{
    fakes::RecordingJob,
    policy::{Outcome, Submission},
    recording::{Answer, Input},
};
use taja_sandbox::{Host, Player, manifest};
use wasmtime::{
    Config, Engine,
    component::{Component, Linker, ResourceType, types::ComponentItem},
};

use crate::{
    component::fixture,
    fakes::{World, text},
    guests::{House, manifest_text},
    rank::candidates,
};

/// Time enough for any machine.
const PATIENT: &str = "[limits]\ncpu_ms = 8000\nwall_ms = 30000";

fn wit() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../wit")
}

/// The folders of `wit/published`, one for each version.
fn published() -> Vec<PathBuf> {
    let entries = fs::read_dir(wit().join("published")).unwrap();
    let folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!folders.is_empty());
    folders
}

async fn answer(component: &[u8], input: &Input) -> Answer {
    let world = World::new().with("nobody", "red", [255, 0, 0], 1.0);
    let mut house = House::empty();
    house.config.cache = None;
    let player = Player::open(&house.config, world.video.clone()).unwrap();
    let subject = player.load(component.to_vec().into()).await.unwrap();
    let host = Host {
        catalogue: world.shelf.clone(),
        filter: taja_catalog::Filter::everything(),
        embedder: world.embedder.clone(),
        video: world.video.clone(),
        job: Arc::new(RecordingJob::default()),
    };
    player.call(&subject, input, host, &json!({})).await.unwrap().0.unwrap()
}

#[tokio::test]
async fn components_of_every_published_version_serve_on_this_host() {
    for folder in published() {
        let component = |name: &str| fs::read(folder.join("components").join(name)).unwrap();
        let ranked = answer(&component("rank-default.wasm"), &Input::Rank(candidates(20))).await;
        let Answer::Ranking(ranking) = ranked else { panic!("no ranking") };
        assert_eq!((ranking.products.len(), ranking.products[0].product), (20, 0));

        let words = Input::Search { parts: vec![text("red")], limit: 5 };
        let Answer::Legs(legs) = answer(&component("search-text.wasm"), &words).await else {
            panic!("no legs")
        };
        assert_eq!(
            legs.iter().map(|leg| leg.name.as_str()).collect::<Vec<_>>(),
            ["text-vector", "text-keyword"]
        );

        let details = taja_catalog::Details { name: " Shoe ".into(), ..Default::default() };
        let submission = Input::Ingest(Submission { details, uploads: Vec::new() });
        let Answer::Decision(decision) = answer(&component("ingest-product.wasm"), &submission).await else {
            panic!("no decision")
        };
        assert!(matches!(decision.outcome, Outcome::Reject { .. } | Outcome::Create { .. }), "{decision:?}");
    }
}

#[test]
fn what_plugins_export_is_as_it_was_published() {
    let current = fs::read_to_string(wit().join("world.wit")).unwrap();
    assert_eq!(current, fs::read_to_string(wit().join("published/0.1.0/world.wit")).unwrap());
}

/// A host that offers the next patch version of everything, and one function more of each interface.
#[test]
fn a_host_with_a_newer_minor_still_runs_what_was_built_before() {
    let engine = Engine::new(Config::new().wasm_component_model(true)).unwrap();
    for folder in published() {
        let component = fs::read(folder.join("components/search-text.wasm")).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        let mut newer = 0;
        for (name, import) in component.component_type().imports(&engine) {
            let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
            let offered = name.replace("@0.1.0", "@0.1.9");
            newer += usize::from(offered != name);
            let mut instance = linker.instance(&offered).unwrap();
            for (export, item) in interface.exports(&engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(_) => {
                        instance.func_new(export, |_, _, _, _| panic!("nobody calls")).unwrap();
                    }
                    ComponentItem::Resource(_) => {
                        instance.resource(export, ResourceType::host::<()>(), |_, _| Ok(())).unwrap();
                    }
                    _ => {}
                }
            }
            instance.func_new("added-later", |_, _, _, _| panic!("nobody calls")).unwrap();
        }
        assert!(newer > 0, "nothing of taja:host is imported");
        linker.instantiate_pre(&component).unwrap();
    }
}

#[tokio::test]
async fn a_breaking_version_lives_beside_the_old_one() {
    let component =
        |name: &str| manifest::embed(&fixture(name), &manifest_text("rank", "rank", PATIENT)).unwrap();
    let day = taja_catalog::policy::Candidates { day: 20_420, ..candidates(3) };
    let input = Input::Rank(day);
    let Answer::Ranking(later) = answer(&component("rank_0_2"), &input).await else { panic!("no ranking") };
    assert_eq!((later.products.len(), later.notes), (3, vec![(0, "day 20420".to_owned())]));
    let Answer::Ranking(earlier) = answer(&component("rank"), &input).await else { panic!("no ranking") };
    assert_eq!(earlier.products.len(), 3);
}
