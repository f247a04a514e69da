//! What is dropped into the plugin folder while the service runs.

use std::path::Path;

use serde_json::{Value, json};

use super::{at_last, bundled, digest_of, ranking};
use crate::{
    pictures::photograph,
    support::{Server, product},
};

/// Bundled policies, but for the one that ranks.
const OTHERS: [&str; 2] = ["ingest-product", "search-text"];

/// What became of a file, once the service says it of these bytes or of these words.
async fn told(server: &Server, file: &str, says: &str) -> Value {
    at_last(says, async || {
        let (_, list) = server.get("/plugins").await;
        let files = list["folder"].as_array().unwrap().clone();
        files.into_iter().find(|line| line["file"] == file && line.to_string().contains(says))
    })
    .await
}

async fn serves(server: &Server, component: &[u8]) {
    let digest = digest_of(component);
    at_last("it serves", async || {
        let (_, plugin) = server.get("/plugins/rank-default").await;
        (plugin["activation"]["live"]["digest"] == json!(digest)).then_some(())
    })
    .await;
    assert_eq!(server.ranked_by("", &format!("cup {digest}")).await.1, digest);
}

fn drop_in(folder: &Path, file: &str, bytes: &[u8]) {
    std::fs::write(folder.join(file), bytes).unwrap();
}

#[tokio::test]
async fn what_is_dropped_into_the_plugin_folder_serves_and_what_is_broken_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in OTHERS {
        drop_in(folder.path(), &format!("{name}.wasm"), &bundled(name, "0.1.0"));
    }
    let server = Server::start_with(&[("plugins", folder.path().to_str().unwrap())]).await;
    let (status, health) = server.get("/health").await;
    assert_eq!((status, &health["plugins"]["missing"]), (503, &json!(["rank"])));

    let (first, second) = (ranking("1.0.0"), ranking("2.0.0"));
    drop_in(folder.path(), "rank.wasm", &first);
    at_last("all is there", async || (server.get("/health").await.0 == 200).then_some(())).await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    serves(&server, &first).await;
    drop_in(folder.path(), "rank.wasm", &second);
    serves(&server, &second).await;
    let (_, events) = server.get("/plugins/rank-default/history").await;
    let told_of: Vec<_> =
        events.as_array().unwrap().iter().map(|event| (&event["action"], &event["by"])).collect();
    let by_folder = (&json!("activated"), &json!("plugin folder"));
    assert_eq!(told_of, [by_folder, by_folder], "{events}");

    // Neither another file nor the one that serves takes anything away by being broken.
    let third = ranking("3.0.0");
    for (file, broken) in [("more.wasm", &b"not a component"[..]), ("rank.wasm", &third[..third.len() / 2])] {
        drop_in(folder.path(), file, broken);
        let line = told(&server, file, "refused").await;
        assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line}");
        serves(&server, &second).await;
    }
    let (status, health) = server.get("/health").await;
    assert_eq!((status, health["plugins"]["troubles"].clone()), (200, json!([])));
    drop_in(folder.path(), "rank.wasm", &third);
    serves(&server, &third).await;
    told(&server, "rank.wasm", &digest_of(&third)).await;
}
