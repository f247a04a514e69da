//! Policies are files: another build changes behaviour with the host as it is, and each way to fail has its name.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    component::fixture,
    pictures::{another_view, photograph},
    support::{Server, image_query, product, provisioned, words},
};

/// A copy of the plugin folder, to change.
fn plugins() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(provisioned("TAJA_PLUGINS", "target/plugins")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// Another ranking policy under the bundled one's name: first come, first served, or whatever its settings say.
fn replace_ranking(folder: &Path) {
    let manifest = "name = \"rank-default\"\nversion = \"9.0.0\"\nkind = \"rank\"\n";
    let packed = taja_sandbox::manifest::embed(&fixture("rank"), manifest).unwrap();
    std::fs::write(folder.join("rank-default.wasm"), packed).unwrap();
}

async fn start(plugins: &Path, data: &Path, task: &str) -> Server {
    let settings = json!({ "rank-default": { "do": task } }).to_string();
    let settings = if task.is_empty() { "{}".to_owned() } else { settings };
    let plugins = plugins.to_str().unwrap();
    Server::start_on(data, &[("plugins", plugins), ("attempts", "1"), ("plugin-settings", &settings)]).await
}

fn ranked_by(result: &Value) -> &Value {
    let plugins = result["plugins"].as_array().unwrap();
    plugins.iter().find(|plugin| plugin["name"] == "rank-default").unwrap()
}

#[tokio::test]
async fn another_build_of_a_policy_changes_the_answer_and_the_host_stays() {
    let (plugins, data) = (plugins(), tempfile::tempdir().unwrap());
    let server = start(plugins.path(), data.path(), "").await;
    for name in ["coffee", "chelsea", "rocket"] {
        server.result("/add_product", product(name, vec![photograph(name)])).await;
    }
    // By words alone coffee is first; its picture is the cat's.
    let query =
        || image_query(another_view("chelsea")).text("query", "coffee").text("weights", r#"{"text": 9}"#);
    let before = server.result("/search", query()).await;
    assert_eq!(before["matches"][0]["name"], "coffee");
    assert!(server.terminate().await.success());

    replace_ranking(plugins.path());
    let server = start(plugins.path(), data.path(), "").await;
    let after = server.result("/search", query()).await;
    assert_eq!(after["matches"][0]["name"], "chelsea", "the other policy takes the legs as they come");
    assert_eq!(ranked_by(&after)["version"], "9.0.0");
    assert_ne!(ranked_by(&before)["digest"], ranked_by(&after)["digest"]);
}

#[tokio::test]
async fn an_error_a_trap_a_timeout_and_an_impossible_answer_are_told_apart() {
    let (plugins, data) = (plugins(), tempfile::tempdir().unwrap());
    replace_ranking(plugins.path());
    let outcomes = [
        ("error", "guest_error", "no thanks"),
        ("panic", "trap", "out of cheese"),
        ("spin", "timeout", "ran longer than its"),
        ("nan", "invalid_answer", ""),
    ];
    for (task, outcome, says) in outcomes {
        let server = start(plugins.path(), data.path(), task).await;
        if task == "error" {
            server.result("/add_product", product("coffee", vec![photograph("coffee")])).await;
        }
        // The host ranks in its place, and says so.
        let result = server.result("/search", words("coffee")).await;
        assert_eq!(result["matches"][0]["name"], "coffee", "{task}: {result}");
        let degraded = &result["degraded"][0];
        assert_eq!(
            (&degraded["plugin"]["name"], &degraded["substitute"]),
            (&json!("rank-default"), &json!("host"))
        );
        assert!(degraded["reason"].as_str().unwrap().contains(says), "{task}: {degraded}");
        let (_, metrics) = server.get("/metrics").await;
        let digest = degraded["plugin"]["digest"].as_str().unwrap();
        let series = format!(
            "taja_plugin_calls_total{{plugin=\"rank-default\",kind=\"rank\",digest=\"{digest}\",tenant=\"default\",\
             part=\"live\",outcome=\"{outcome}\"}} "
        );
        let counted = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&*series));
        assert!(counted.is_some_and(|calls| calls != "0"), "{series}{counted:?}");
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn a_missing_policy_shows_in_health_and_is_nobody_elses_fault() {
    let (plugins, data) = (plugins(), tempfile::tempdir().unwrap());
    std::fs::write(plugins.path().join("rank-default.wasm"), b"\0asm not a component").unwrap();
    let server = start(plugins.path(), data.path(), "").await;
    let (status, health) = server.get("/health").await;
    assert_eq!(
        (status, &health["status"], &health["plugins"]["missing"]),
        (503, &json!("failing"), &json!(["rank"]))
    );
    let loaded = health["plugins"]["loaded"].as_array().unwrap();
    let refused = loaded.iter().find(|plugin| plugin["file"] == "rank-default.wasm").unwrap();
    assert_eq!(refused["state"], "refused");
    let job = server.finish("/search", words("coffee")).await;
    assert_eq!(
        (&job["failure"]["code"], &job["failure"]["blame"]),
        (&json!("plugin_host_failure"), &json!("host"))
    );
}
