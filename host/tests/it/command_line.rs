//! The commands as people and scripts use them: output, exit status, and no server needed.

use std::process::Output;

use serde_json::{Value, json};
use taja_catalog::PluginDigest;
use taja_sandbox::signature::TrustedKeys;

use crate::{
    pictures::{another_view, photograph},
    support::{Server, provisioned, taja},
};

async fn run(arguments: &[&str], folder: &std::path::Path) -> Output {
    let mut command = taja();
    // A free port, so that nobody else's server is taken for ours.
    command.env("TAJA_LISTEN", "127.0.0.1:1").env("TAJA_DATA", folder.join("data")).current_dir(folder);
    command.args(arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write_shop(folder: &std::path::Path) {
    for name in ["coffee", "chelsea", "rocket"] {
        std::fs::write(folder.join(format!("{name}.png")), photograph(name)).unwrap();
    }
    let rows = [
        json!({"name": "Cup of coffee", "price": 3.5, "description": "hot", "category": "drinks", "images": ["coffee.png"]}),
        json!({"name": "Ginger cat", "price": 9, "description": "a poster", "images": ["chelsea.png"]}),
        json!({"name": "Lost", "price": 9, "description": "no such picture", "images": ["gone.png"]}),
    ];
    let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("shop.ndjson"), lines.join("\n")).unwrap();
    std::fs::write(
        folder.join("more.csv"),
        "name,price,description,sizes,images\nModel rocket,25,\"to build, and to fly\",S;L,rocket.png\n",
    )
    .unwrap();
}

#[tokio::test]
async fn a_shop_is_imported_and_searched_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    write_shop(folder.path());

    let import = run(&["import", "shop.ndjson", "--json"], folder.path()).await;
    assert_eq!(import.status.code(), Some(1), "one product failed: {}", text(&import.stderr));
    let rows: Vec<Value> =
        text(&import.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = rows.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["success", "success", "failed"]);
    assert!(rows[2]["error"].as_str().unwrap().contains("gone.png"), "{}", rows[2]);
    assert!(text(&import.stderr).contains("2 added, 0 known already, 1 failed"), "{}", text(&import.stderr));

    let again = run(&["import", "more.csv"], folder.path()).await;
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("success"), "{}", text(&again.stdout));

    std::fs::write(folder.path().join("query.jpg"), another_view("rocket")).unwrap();
    let by_image = run(&["search", "--image", "query.jpg", "--json", "--limit", "1"], folder.path()).await;
    let result: Value = serde_json::from_slice(&by_image.stdout).unwrap();
    assert_eq!(
        (&result["matches"][0]["name"], &result["matches"][0]["sizes"]),
        (&json!("Model rocket"), &json!(["S", "L"]))
    );

    let by_words = run(&["search", "--text", "ginger cat"], folder.path()).await;
    let table = text(&by_words.stdout);
    let first = table.lines().find(|line| line.contains(" 1 ")).unwrap_or_default();
    assert!(first.contains("Ginger cat"), "{table}");

    let browsed = run(&["search", "--sort", "-name", "--json"], folder.path()).await;
    let result: Value = serde_json::from_slice(&browsed.stdout).unwrap();
    assert_eq!(result["matches"][0]["name"], "Model rocket", "{}", text(&browsed.stderr));
}

#[tokio::test]
async fn what_is_exported_without_a_server_is_imported_without_one() {
    let folder = tempfile::tempdir().unwrap();
    write_shop(folder.path());
    run(&["import", "shop.ndjson"], folder.path()).await;
    let export = run(&["export", "--out", "all.ndjson"], folder.path()).await;
    assert_eq!(export.status.code(), Some(0), "{}", text(&export.stderr));
    let import = run(&["import", "all.ndjson"], folder.path()).await;
    assert_eq!(import.status.code(), Some(0), "{}", text(&import.stderr));
    assert!(text(&import.stderr).contains("0 added, 2 known already, 0 failed"), "{}", text(&import.stderr));
}

#[tokio::test]
async fn the_commands_act_on_the_server_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    write_shop(folder.path());
    let server = Server::start().await;
    let import = run(&["import", "more.csv", "--server", &server.base], folder.path()).await;
    assert_eq!(import.status.code(), Some(0), "{}", text(&import.stderr));
    assert_eq!(server.counts().await, (1, 1));
    assert!(!folder.path().join("data").exists(), "no second catalogue was made");
}

#[tokio::test]
async fn plugins_and_models_are_listed_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let list = run(&["plugin", "check", "--json"], folder.path()).await;
    assert_eq!(list.status.code(), Some(0), "{}", text(&list.stderr));
    for name in ["search-text", "search-image", "search-video", "ingest-product", "rank-default"] {
        assert!(text(&list.stdout).contains(name), "{name}: {}", text(&list.stdout));
    }
    assert!(text(&run(&["plugin", "check"], folder.path()).await.stdout).contains("rank-default"));

    let verify = run(&["model", "verify"], folder.path()).await;
    assert_eq!(verify.status.code(), Some(0), "{}", text(&verify.stderr));
    let models = run(&["model", "list", "--json"], folder.path()).await;
    let models: Value = serde_json::from_slice(&models.stdout).unwrap();
    assert!(models.as_array().unwrap().iter().any(|model| model["active"] == true), "{models}");
}

#[tokio::test]
async fn a_component_is_signed_with_a_key_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let packed = provisioned("TAJA_PLUGINS", "target/plugins").join("rank-default.wasm");
    std::fs::copy(packed, folder.path().join("rank.wasm")).unwrap();

    let made = run(&["plugin", "keygen", "--out", "shop.key"], folder.path()).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let trusted = TrustedKeys::parse([format!("shop={}", text(&made.stdout))]).unwrap();
    let again = run(&["plugin", "keygen", "--out", "shop.key"], folder.path()).await;
    assert_eq!(again.status.code(), Some(1), "a key was overwritten");

    let signed = run(&["plugin", "sign", "rank.wasm", "--key", "shop.key"], folder.path()).await;
    assert_eq!(signed.status.code(), Some(0), "{}", text(&signed.stderr));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let signature = text(&read("rank.wasm.sig")).parse().unwrap();
    assert_eq!(
        trusted.verify(&PluginDigest::of(&read("rank.wasm")), Some(&signature)),
        Ok(Some("shop".into()))
    );

    std::fs::write(folder.path().join("bare.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    let bare = run(&["plugin", "sign", "bare.wasm", "--key", "shop.key"], folder.path()).await;
    assert_eq!(bare.status.code(), Some(1));
    assert!(text(&bare.stderr).contains("embed a plugin.toml"), "{}", text(&bare.stderr));
}

#[tokio::test]
async fn the_compiler_is_nobodys_command() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!text(&run(&["help"], folder.path()).await.stdout).contains("compile-component"));
    let called = run(&["compile-component"], folder.path()).await;
    assert_eq!(called.status.code(), Some(2));
    assert!(text(&called.stderr).contains("called by taja itself"), "{}", text(&called.stderr));
}

#[tokio::test]
async fn wrong_usage_is_2_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.txt"), "").unwrap();
    for (arguments, says) in [
        (&["search"][..], "--text"),
        (&["serve", "--listen", "0.0.0.0:0"][..], "TAJA_API_KEY"),
        (&["serve", "--max-batch", "none"][..], "--max-batch"),
        (&["import", "shop.txt", "--server", "http://127.0.0.1:1"][..], ".ndjson"),
        (&["fly"][..], "unrecognized subcommand"),
    ] {
        let ended = run(arguments, folder.path()).await;
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains(says), "{arguments:?}: {}", text(&ended.stderr));
        assert!(ended.stdout.is_empty(), "errors go to standard error");
    }
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (setting, says) in [("--onnxruntime", "ONNX Runtime"), ("--model", "model")] {
        let ended =
            run(&["serve", "--listen", "127.0.0.1:0", setting, "/nowhere/at/all"], folder.path()).await;
        assert_eq!(ended.status.code(), Some(1));
        let message = text(&ended.stderr);
        assert!(message.contains(says) && message.contains("/nowhere/at/all"), "{message}");
    }
}

#[tokio::test]
async fn the_description_of_the_interface_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(&["openapi"], folder.path()).await;
    let api: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(api["paths"]["/search"]["post"].is_object());
}
