//! The older service's clients, which know nothing of this one, against it: what they send is taken, what they wait for
//! comes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    pictures::{another_view, photograph},
    support::{Server, root},
};

/// A picture to add, and another view of the same thing to search with.
struct Pictures {
    folder: TempDir,
}

impl Pictures {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("front.png"), photograph("chelsea")).unwrap();
        std::fs::write(folder.path().join("query.jpg"), another_view("chelsea")).unwrap();
        Self { folder }
    }

    fn paths(&self) -> [PathBuf; 2] {
        ["front.png", "query.jpg"].map(|name| self.folder.path().join(name))
    }
}

/// Runs a client to its end; what it printed. `program` has to be there: `./just test` provides it.
async fn run(program: &Path, script: &str, server: &Server) -> Value {
    let pictures = Pictures::make();
    let script = root().join("host/tests/clients").join(script);
    let mut command = Command::new(program);
    command.arg(script).arg(&server.base).args(pictures.paths()).kill_on_drop(true);
    // Neither is sent through somebody else's proxy.
    command.env("NO_PROXY", "*").env("no_proxy", "*");
    let ended = command.output().await;
    let ended = ended.unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{err}\n{out}");
    serde_json::from_str(&out).unwrap()
}

/// A program that the environment names, else the first of this name on the path.
fn program(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| name.into(), PathBuf::from)
}

#[tokio::test]
async fn the_platforms_node_client_is_served() {
    let server = Server::start().await;
    let said = run(&program("TAJA_TEST_NODE", "node"), "shop.mjs", &server).await;
    assert_eq!(said["accepted"]["status"], "processing");
    assert_eq!((&said["added"]["status"], &said["added"]["added"]), (&json!("success"), &json!(1)));
    for found in [&said["found"], &said["byWords"]] {
        let first = &found["matches"][0];
        assert_eq!((&first["name"], &first["price"]), (&json!("Ginger cat poster"), &json!(19.5)));
        assert!(first["image_urls"][0].as_str().unwrap().starts_with(&server.base), "{first}");
    }
    let image = &said["found"]["matches"][0]["matched_images"][0];
    assert!(image["similarity"].as_f64().unwrap() > 0.6 && image["image_hash"].is_string(), "{image}");
}

#[tokio::test]
async fn the_services_python_client_is_served() {
    let server = Server::start().await;
    let said = run(&program("PYTHON", "python3"), "service.py", &server).await;
    for (progress, job) in [("add_progress", "added"), ("search_progress", "found")] {
        let progress = said[progress].as_array().unwrap();
        assert_eq!(progress.last(), Some(&json!(100)), "{progress:?}");
        assert_eq!(said[job]["status"], "completed");
    }
    assert_eq!(said["added"]["result"]["status"], "success");
    let first = &said["found"]["result"]["matches"][0];
    assert_eq!((&first["name"], &first["category"]), (&json!("Ginger cat poster"), &json!("posters")));
    assert_eq!((&first["sizes"], &first["weight_kg"]), (&json!(["A3", "A2"]), &json!(0.2)));
}
