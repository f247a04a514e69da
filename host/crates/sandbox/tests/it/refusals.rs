//! Components that do not come in: each refusal says at which check, what is wrong, and what to change.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use taja_catalog::{
    plugins::PluginStore,
    policy::{Pins, Policies},
    recording::{Recording, Tape},
};
use taja_sandbox::{AddError, Capability, Upload, compile::Compiler, manifest, signature};

use crate::{
    component::fixture,
    fakes::{World, id},
    guests::{House, in_text, manifest_text, plugin, refused, upload},
    rank::candidates,
};

/// Largest component of these tests: larger than every fixture.
const MOST: u64 = 4 << 20;

/// A component, the check that it fails, what the reason says of it, and what to change.
type Row = (Vec<u8>, &'static str, &'static str, &'static str);

async fn each_is_refused(house: &House, rows: Vec<Row>) {
    let sandbox = house.open(&World::new()).await;
    for (component, stage, wrong, change) in rows {
        let refused = refused(&sandbox, &component).await;
        assert_eq!(refused.stage, stage, "{refused}");
        assert!(refused.reason.contains(wrong), "what is wrong, {wrong:?}: {refused}");
        assert!(refused.reason.contains(change), "what to change, {change:?}: {refused}");
    }
    assert!(house.store.versions(None).await.unwrap().is_empty());
}

fn house() -> House {
    let mut house = House::empty();
    house.config.max_component_bytes = MOST;
    house
}

fn text(component: &str) -> Vec<u8> {
    in_text(component, "")
}

/// With this manifest, whatever is wrong with it.
fn with_manifest(text: &str) -> Vec<u8> {
    let name = b"taja:manifest";
    let mut section = vec![name.len() as u8];
    section.extend(name);
    section.extend(text.as_bytes());
    let mut component = wat::parse_str("(component)").unwrap();
    // Lengths of up to 16383 fit two bytes.
    component.extend([0, (section.len() & 0x7f) as u8 | 0x80, (section.len() >> 7) as u8]);
    component.extend(section);
    component
}

#[tokio::test]
async fn what_is_no_component_of_a_fitting_size() {
    let whole = plugin("rank", "rank", "");
    each_is_refused(
        &house(),
        vec![
            (
                vec![0; MOST as usize + 1],
                "size",
                "is 4194305 bytes; the limit is 4194304",
                "raise max-plugin-bytes",
            ),
            (b"GIF89a".to_vec(), "format", "not a WebAssembly component", "wasm32-wasip2"),
            (Vec::new(), "format", "not a WebAssembly component", "wasm32-wasip2"),
            (wat::parse_str("(module)").unwrap(), "format", "a core module", "build for wasm32-wasip2"),
            (
                b"\x7fELF\x02".to_vec(),
                "format",
                "precompiled machine code",
                "the component that it was compiled from",
            ),
            (whole[..whole.len() / 2].to_vec(), "format", "is cut short", "bring the whole file"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_manifest_that_cannot_be_used() {
    let schema =
        "[settings]\ntype = \"object\"\n[settings.properties.k]\ntype = \"number\"\nminimum = \"no\"";
    let correct = "correct plugin.toml and pack the component again";
    each_is_refused(
        &house(),
        vec![
            (fixture("rank"), "manifest", "no section \"taja:manifest\"", "with `taja plugin pack`"),
            (with_manifest("name = "), "manifest", "manifest cannot be read", correct),
            (
                with_manifest(&manifest_text("rank", "r", "colour = 1")),
                "manifest",
                "unknown field `colour`",
                correct,
            ),
            (with_manifest(&manifest_text("search", "s", "")), "manifest", "accepts is missing", correct),
            (
                plugin("rank", "rank", schema),
                "manifest",
                "is not valid: /properties/k/minimum",
                "correct [settings] of plugin.toml",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn code_that_does_not_compile() {
    let mut code = text("(component (core module (func (result i32) (i32.const 7))))");
    let place = code.windows(2).position(|code| code == [0x41, 7]).unwrap();
    code[place] = 0x42; // i64.const in the place of i32.const
    let again = "build it again for wasm32-wasip2";
    let threads = text("(component (core module (memory 1 1 shared)))");
    let wide = text("(component (core module (memory i64 1)))");
    let rows = vec![
        (code, "compile", "type mismatch", again),
        (threads, "compile", "threads", "without threads"),
        (wide, "compile", "memory64", "64-bit memories"),
    ];
    each_is_refused(&house(), rows).await;
    let mut house = house();
    house.config.compiler = Some(Compiler::new("/nowhere/taja"));
    let row = (plugin("rank", "rank", ""), "compile", "the compiler cannot be started", "tell the operator");
    each_is_refused(&house, vec![row]).await;
}

#[tokio::test]
async fn imports_that_are_not_offered_are_named_one_by_one() {
    let imports = |import: &str, function: &str| {
        text(&format!("(component (import \"{import}\" (instance {function})))"))
    };
    let network = "plugins have no network: leave out what uses it";
    let in_search =
        manifest::embed(&fixture("search"), &manifest_text("rank", "x", "")).expect("the manifest is valid");
    each_is_refused(
        &house(),
        vec![
            (imports("wasi:sockets/network@0.2.6", ""), "imports", "imports wasi:sockets/network@0.2.6", network),
            (imports("wasi:http/outgoing-handler@0.2.6", ""), "imports", "imports wasi:http/outgoing-handler@0.2.6", network),
            (text("(component (import \"surprise\" (func)))"), "imports", "imports surprise", "leave out what uses it"),
            (
                imports("taja:host/log@0.9.0", "(export \"write\" (func))"),
                "imports",
                "imports taja:host/log@0.9.0, and this host runs taja:host@0.1",
                "build it against the wit/ of this host",
            ),
            (
                imports("taja:host/telepathy@0.1.4", ""),
                "imports",
                "imports taja:host/telepathy@0.1.4, but taja:host@0.1 has types, media, embed, catalogue, job, log",
                "bring it to a newer host",
            ),
            (
                imports("taja:host/log@0.1.4", "(export \"shout\" (func))"),
                "imports",
                "taja:host/log@0.1.4",
                "build it against the wit/ of this host",
            ),
            (
                imports("taja:host/log@0.1.4", "(export \"shout\" (func))"),
                "imports",
                "`shout`",
                "build it against the wit/ of this host",
            ),
            (in_search, "imports", "imports taja:host/catalogue@0.1.0, which a rank plugin does not get", "in a search plugin"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_world_that_is_not_the_manifests() {
    let exports =
        |interface: &str| text(&format!("(component (instance $r) (export \"{interface}\" (instance $r)))"));
    let other = manifest::embed(&fixture("rank"), &manifest_text("ingest", "x", "")).expect("it is valid");
    let function = "(component
        (core module $m (func (export \"rank\")))
        (core instance $i (instantiate $m))
        (func $rank (canon lift (core func $i \"rank\")))
        (instance $r (export \"rank\" (func $rank)))
        (export \"taja:plugin/ranking@0.1.0\" (instance $r)))";
    let asks =
        "the world rank of taja:plugin@0.1 and 0.2, which plugin.toml asks for, exports taja:plugin/ranking";
    let unchanged = "build it against the wit/ of this host";
    each_is_refused(
        &house(),
        vec![
            (text("(component)"), "world", "exports nothing of taja:plugin", asks),
            (
                exports("taja:plugin/ranking@0.9.0"),
                "world",
                "exports taja:plugin/ranking@0.9.0, and this host runs taja:plugin@0.1 and 0.2",
                unchanged,
            ),
            (
                exports("taja:plugin/searching@0.1.0"),
                "world",
                "exports taja:plugin/searching@0.1.0, but the world rank",
                "correct `kind` in plugin.toml",
            ),
            (
                other,
                "world",
                "exports taja:plugin/ranking@0.1.0, but the world ingest",
                "or build it against that world",
            ),
            (
                exports("taja:plugin/ranking@0.1.0"),
                "world",
                "exports the world rank not as taja:plugin@0.1 and 0.2 has it",
                unchanged,
            ),
            (text(function), "world", "type mismatch", unchanged),
        ],
    )
    .await;
}

#[tokio::test]
async fn capabilities_that_are_not_granted() {
    let house = house();
    let search = |lines: &str| plugin("search", "words", &format!("accepts = [\"text\"]\n{lines}"));
    let row = (
        search("capabilities = [\"embed\"]"),
        "grants",
        "imports functions of taja:host/catalogue",
        "add \"catalogue\" to the line `capabilities = [..]` of plugin.toml",
    );
    each_is_refused(&house, vec![row]).await;
    let sandbox = house.open(&World::new()).await;
    let few = Upload { granted: [Capability::Embed].into(), ..upload(&search("")) };
    let AddError::Refused(refused) = sandbox.add(few).await.unwrap_err() else { panic!("the store failed") };
    assert_eq!(refused.stage, "grants");
    assert!(refused.reason.contains("the operator does not grant \"catalogue\""), "{refused}");
    assert!(
        refused.reason.contains("ask them to upload it, or use nothing of taja:host/catalogue"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_instance_that_does_not_start() {
    let starts = |body: &str| {
        text(&format!(
            "(component
                (core module $m (memory 1) (func $go {body}) (start $go) (func (export \"rank\")))
                (core instance $i (instantiate $m))
                (func $rank (canon lift (core func $i \"rank\")))
                (instance $r (export \"rank\" (func $rank)))
                (export \"taja:plugin/ranking@0.1.0\" (instance $r)))"
        ))
    };
    each_is_refused(
        &house(),
        vec![
            (
                starts("(loop (br 0))"),
                "trial",
                "ran longer than its 20ms of cpu time",
                "ask for more with cpu_ms under [limits] of plugin.toml",
            ),
            (
                starts("(unreachable)"),
                "trial",
                "wasm `unreachable` instruction executed",
                "let it start without a request",
            ),
            (
                starts("(drop (memory.grow (i32.const 1000)))"),
                "trial",
                "memory limit of 16777216 bytes",
                "with memory_mib under [limits]",
            ),
        ],
    )
    .await;
}

/// What a ranking answered, as it is written down.
async fn recorded() -> Recording {
    let world = World::new();
    let tape = Arc::new(Tape::default());
    let house = House::empty().with("rank.wasm", &plugin("rank", "rank", ""));
    let sandbox = house.ready(&world).await;
    let lineup = sandbox.lineup(&id("shop"), &Pins::default()).await.unwrap();
    lineup.rank(&world.context("shop", "").with_tape(tape.clone()), candidates(10)).await.unwrap();
    tape.recording(id("shop"), Timestamp::now()).unwrap()
}

#[tokio::test]
async fn golden_requests_that_are_not_answered_as_recorded() {
    let recording = recorded().await;
    let golden = |lines: &str, change: &dyn Fn(&mut Recording)| {
        let mut recording = recording.clone();
        change(&mut recording);
        let recording = recording.to_json().unwrap();
        manifest::embed_goldens(&plugin("rank", "rank", lines), recording.as_bytes()).unwrap()
    };
    let broken = manifest::embed_goldens(&plugin("rank", "rank", ""), b"{}").unwrap();
    let schema = "[settings]\nadditionalProperties = false";
    each_is_refused(
        &house(),
        vec![
            (
                broken,
                "goldens",
                "golden requests cannot be read",
                "record them anew with `taja plugin record`",
            ),
            (
                golden("", &|recording| recording.calls = vec![recording.calls[0].clone(); 33]),
                "goldens",
                "33 golden requests are more than 32",
                "keep those that tell most",
            ),
            (
                golden("[columns]\nnumbers = [\"price\"]", &|_| ()),
                "goldens",
                "golden request 1 asks for what it does not hold: the column price",
                "record it anew with this version",
            ),
            (
                golden("", &|recording| recording.calls[0].settings = json!({ "do": "reverse" })),
                "goldens",
                "golden request 1 is answered otherwise than recorded",
                "record it anew if that is meant",
            ),
            (
                golden(schema, &|recording| recording.calls[0].settings = json!({ "do": "" })),
                "goldens",
                "golden request 1: settings of \"rank\" do not fit its schema",
                "record it anew",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn signatures_that_nobody_trusted_made() {
    let (key, stranger) =
        (signature::SigningKey::generate().unwrap(), signature::SigningKey::generate().unwrap());
    let mut house = house();
    house.config.trusted = signature::TrustedKeys::parse([format!("release={}", key.public())]).unwrap();
    let component = plugin("rank", "rank", "");
    let row = (
        component.clone(),
        "signature",
        "is not signed",
        "sign it with `taja plugin sign COMPONENT --key FILE`",
    );
    each_is_refused(&house, vec![row]).await;
    let sandbox = house.open(&World::new()).await;
    let signature = Some(stranger.sign(&component).parse().unwrap());
    let refused = sandbox.add(Upload { signature, ..upload(&component) }).await.unwrap_err();
    let AddError::Refused(refused) = refused else { panic!("the store failed") };
    assert_eq!(refused.stage, "signature");
    assert!(refused.reason.contains("by a key that is trusted here (release)"), "{refused}");
    assert!(refused.reason.contains("sign this very file with one of them"), "{refused}");
    let text = "12".parse::<signature::Signature>().unwrap_err();
    assert!(
        text.contains("not 128 hexadecimal digits") && text.contains("what `taja plugin sign` wrote"),
        "{text}"
    );
}
