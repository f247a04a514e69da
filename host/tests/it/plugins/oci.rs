//! Policies that travel through a registry.

use std::path::Path;

use reqwest::{Client, header::ACCEPT};
use serde_json::{Value, json};
use taja_testkit::RegistryServer;

use super::{build, digest_of, version};
use crate::support::{Server, taja};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A folder to work in, and what `taja plugin` finds in its environment.
struct Desk<'a> {
    folder: &'a Path,
    variables: Vec<(&'a str, &'a str)>,
}

impl Desk<'_> {
    /// Its exit status, and what it printed as data and as words.
    async fn plugin(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = taja();
        command.current_dir(self.folder).arg("plugin").args(arguments).envs(self.variables.iter().copied());
        let output = command.env("TAJA_DATA", self.folder.join("none")).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// What it prints as JSON when it does what it is asked for.
    async fn done(&self, arguments: &[&str]) -> Value {
        let (code, printed, error) = self.plugin(&[arguments, &["--json"]].concat()).await;
        assert_eq!(code, Some(0), "{arguments:?}: {error}");
        serde_json::from_str(&printed).unwrap()
    }

    async fn refused(&self, arguments: &[&str], says: &str) {
        let (code, _, error) = self.plugin(arguments).await;
        assert!(code == Some(1) && error.contains(says), "{arguments:?}: {error}");
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }
}

/// The repository `shop/rank`, as any other tool sees it.
struct Repository {
    http: Client,
    base: String,
}

impl Repository {
    fn of(registry: &RegistryServer) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self { http, base: format!("http://{}/v2/shop/rank", registry.host()) }
    }

    async fn get(&self, path: &str) -> Vec<u8> {
        let request = self.http.get(format!("{}/{path}", self.base)).header(ACCEPT, MANIFEST);
        request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
    }

    /// Puts something there that is no component.
    async fn put(&self, tag: &str, manifest: &Value) {
        let request = self.http.put(format!("{}/manifests/{tag}", self.base));
        let request = request.header("content-type", MANIFEST).body(manifest.to_string());
        request.send().await.unwrap().error_for_status().unwrap();
    }
}

#[tokio::test]
async fn a_policy_is_published_and_installed_by_digest_and_by_tag() {
    let folder = tempfile::tempdir().unwrap();
    let registry = RegistryServer::start().await.unwrap();
    let nowhere = Desk { folder: folder.path(), variables: vec![("TAJA_LISTEN", "127.0.0.1:1")] };
    let public = nowhere.plugin(&["keygen", "--out", "shop.key"]).await.1;
    let server = Server::start_with(&[("plugin-trusted-keys", &format!("shop={public}"))]).await;
    let address = server.base.strip_prefix("http://").unwrap();
    let desk = Desk { folder: folder.path(), variables: vec![("TAJA_LISTEN", address)] };
    for (name, number) in [("one.wasm", "1.0.0"), ("two.wasm", "2.0.0"), ("three.wasm", "3.0.0+b.1")] {
        desk.write(name, &build("rank-travelled", number, ""));
    }
    for name in ["one.wasm", "two.wasm"] {
        assert_eq!(desk.plugin(&["sign", name, "--key", "shop.key"]).await.0, Some(0));
    }
    let place = format!("oci://{}/shop/rank", registry.host());
    let one = desk.done(&["publish", "one.wasm", &place]).await;
    let component = format!("sha256:{}", digest_of(&desk.read("one.wasm")));
    assert_eq!((&one["component"], &one["signed"]), (&json!(component), &json!(true)));
    assert_eq!(one["reference"], format!("{place}:1.0.0"), "its version is its tag");
    assert_eq!(desk.done(&["publish", "one.wasm", &place]).await, one, "publishing again changes nothing");
    let (code, printed, error) = desk.plugin(&["publish", "two.wasm", &format!("{place}:stable")]).await;
    assert_eq!(code, Some(0), "{error}");
    let two = printed.lines().find_map(|line| line.strip_prefix("manifest  ")).unwrap();

    // What lies there is what `wkg` puts there and looks for.
    let repository = Repository::of(&registry);
    let bytes = repository.get("manifests/1.0.0").await;
    assert_eq!(one["manifest"], format!("sha256:{}", digest_of(&bytes)));
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&manifest["schemaVersion"], &manifest["mediaType"]), (&json!(2), &json!(MANIFEST)));
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.0.0");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!((layers.len(), &layers[0]["mediaType"]), (1, &json!("application/wasm")));
    assert_eq!(layers[0]["annotations"]["org.opencontainers.image.title"], "rank-travelled.wasm");
    assert_eq!(layers[0]["digest"], component);
    assert_eq!(repository.get(&format!("blobs/{component}")).await, desk.read("one.wasm"));
    let config = repository.get(&format!("blobs/{}", manifest["config"]["digest"].as_str().unwrap())).await;
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["layerDigests"], json!([component]));
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(exports[0].as_str().unwrap().starts_with("taja:plugin/ranking@"), "{config}");
    let imports = config["component"]["imports"].as_array().unwrap();
    assert!(imports.iter().any(|name| name.as_str().unwrap().starts_with("taja:host/log@")), "{config}");

    let installed = desk.done(&["push", one["pinned"].as_str().unwrap()]).await;
    assert_eq!((&installed["version"], &installed["signer"]), (&json!("1.0.0"), &json!("shop")));
    assert_eq!(installed["digest"], digest_of(&desk.read("one.wasm")));
    let (code, installed, error) = desk.plugin(&["push", &format!("{place}:stable"), "--activate"]).await;
    assert!(code == Some(0) && installed.starts_with("rank-travelled 2.0.0"), "{installed}{error}");
    assert_eq!(error, format!("fetched {place}@{two}"), "what the tag meant");
    let plugin = server.get("/plugins/rank-travelled").await.1;
    assert_eq!(version(&plugin, &digest_of(&desk.read("two.wasm")))["state"], "live");

    let fetched = desk.done(&["fetch", &format!("{place}:1.0.0"), "--out", "fetched.wasm"]).await;
    assert_eq!(fetched["manifest"], one["manifest"]);
    assert_eq!(desk.read("fetched.wasm"), desk.read("one.wasm"));
    assert_eq!(desk.read("fetched.wasm.sig"), desk.read("one.wasm.sig"));

    let three = desk.done(&["publish", "three.wasm", &place]).await;
    assert_eq!(
        (&three["reference"], &three["signed"]),
        (&json!(format!("{place}:3.0.0_b.1")), &json!(false))
    );
    desk.refused(&["push", three["pinned"].as_str().unwrap()], "refused at the check `signature`").await;
}

#[tokio::test]
async fn what_a_registry_holds_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = RegistryServer::start().await.unwrap();
    let server = Server::start().await;
    let address = server.base.strip_prefix("http://").unwrap();
    let desk = Desk { folder: folder.path(), variables: vec![("TAJA_LISTEN", address)] };
    desk.write("one.wasm", &build("rank-travelled", "1.0.0", ""));
    let place = format!("oci://{}/shop/rank", registry.host());
    desk.refused(&["push", &format!("{place}:1.0.0")], "no other in this repository").await;
    let one = desk.done(&["publish", "one.wasm", &place]).await;
    let (pinned, tagged) = (one["pinned"].as_str().unwrap(), format!("{place}:1.0.0"));
    desk.refused(&["push", &format!("{place}:9.0.0")], "it has no such tag, but 1.0.0").await;
    let absent = format!("{place}@sha256:{}", "0".repeat(64));
    desk.refused(&["push", &absent], "it has nothing with the digest").await;
    let (code, _, error) = desk.plugin(&["push", &place]).await;
    assert!(code == Some(2) && error.contains("add :TAG or @sha256:DIGEST"), "{error}");
    let (code, _, error) = desk.plugin(&["publish", "one.wasm", pinned]).await;
    assert!(code == Some(2) && error.contains("publishing prints the digest"), "{error}");

    // The pieces of the component, as something that it is not.
    let repository = Repository::of(&registry);
    let mut manifest: Value = serde_json::from_slice(&repository.get("manifests/1.0.0").await).unwrap();
    manifest["config"]["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    repository.put("picture", &manifest).await;
    desk.refused(&["push", &format!("{place}:picture")], "it is no WebAssembly artifact").await;

    registry.spoil(one["component"].as_str().unwrap()).unwrap();
    for reference in [pinned, &tagged] {
        desk.refused(&["push", reference], "is not what its digest promises").await;
        desk.refused(&["fetch", reference, "--out", "fetched.wasm"], "is not what its digest promises").await;
    }
    assert!(!folder.path().join("fetched.wasm").exists());
    assert_eq!(server.get("/plugins/rank-travelled").await.0, 404, "nothing of it was kept");
}

#[tokio::test]
async fn a_registry_that_asks_is_shown_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let registry = RegistryServer::start_with_password().await.unwrap();
    let desk = |user, password| {
        let variables = vec![("TAJA_OCI_USER", user), ("TAJA_OCI_PASSWORD", password)];
        Desk { folder: folder.path(), variables }
    };
    let (nobody, stranger) = (desk("", ""), desk(RegistryServer::USER, "a guess"));
    let publisher = desk(RegistryServer::USER, RegistryServer::PASSWORD);
    let component = build("rank-travelled", "1.0.0", "");
    publisher.write("one.wasm", &component);
    let place = format!("oci://{}/shop/rank", registry.host());
    nobody.refused(&["publish", "one.wasm", &place], "set TAJA_OCI_USER and TAJA_OCI_PASSWORD").await;
    stranger.refused(&["publish", "one.wasm", &place], "it does not let \"publisher\" do that").await;
    let one = publisher.done(&["publish", "one.wasm", &place]).await;
    let fetch = ["fetch", one["pinned"].as_str().unwrap(), "--out", "fetched.wasm"];
    nobody.refused(&fetch, "set TAJA_OCI_USER and TAJA_OCI_PASSWORD").await;
    publisher.done(&fetch).await;
    assert_eq!(publisher.read("fetched.wasm"), component);
}
