//! What the service does not keep, and why.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;
use taja_catalog::plugins::{PluginDigest, PluginStore, Slot, Version};
use taja_sandbox::manifest::embed;

use super::{build, ranking};
use crate::{
    support::{Server, words},
    tenants::answer,
};

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_the_check_that_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = taja_sqlite::SqliteStore::open(folder.path().join("taja.db")).unwrap();
        for number in 0..194 {
            let component = format!("component {number}");
            let version = Version {
                owner: None,
                digest: PluginDigest::of(component.as_bytes()),
                name: "old".into(),
                version: format!("1.0.{number}"),
                slot: Slot::Rank,
                size: 1,
                granted: Default::default(),
                manifest: json!({}),
                signature: None,
                signer: None,
                uploaded_at: Timestamp::UNIX_EPOCH,
                uploaded_by: "operator".into(),
            };
            assert!(store.add_version(&version, component.into()).await.unwrap());
        }
    }
    let most = 1 << 21;
    let server = Server::start_on(folder.path(), &[("max-plugin-bytes", &most.to_string())]).await;
    let bare = b"\0asm\x0d\0\x01\0".to_vec();
    let no_policy = embed(&bare, "name = \"x\"\nversion = \"1.0.0\"\nkind = \"rank\"\n").unwrap();
    for (component, stage) in
        [(b"not a component".to_vec(), "format"), (bare, "manifest"), (no_policy, "world")]
    {
        let (status, problem) = server.upload("", "", component).await;
        assert_eq!(
            (status, &problem["code"], &problem["stage"]),
            (422, &json!("plugin_refused"), &json!(stage)),
            "{problem}"
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    let post = || server.http.post(server.url("/plugins")).header("content-type", "application/wasm");
    let unsigned = post().header("Taja-Signature", "12").body(build("r", "1.0.0", "")).send().await.unwrap();
    assert_eq!(answer(unsigned).await.1["stage"], "signature");
    let form = server.http.post(server.url("/plugins")).multipart(words("x")).send().await.unwrap();
    assert_eq!(
        (form.status().as_u16(), answer(form).await.1["code"].clone()),
        (415, json!("content_type_unsupported"))
    );
    for body in [
        reqwest::Body::from(vec![0; most + 1]),
        reqwest::Body::wrap_stream(futures::stream::iter(
            (0..3).map(|_| Ok::<_, std::io::Error>(vec![0; 1 << 20])),
        )),
    ] {
        let large = answer(post().body(body).send().await.unwrap()).await;
        assert_eq!((large.0, &large.1["code"]), (413, &json!("too_large")), "{}", large.1);
    }
    server.uploaded("", "", ranking("8.0.0")).await;
    let (status, problem) = server.upload("", "", ranking("9.0.0")).await;
    assert_eq!((status, &problem["code"]), (422, &json!("too_many_versions")), "{problem}");
    let removal = server.ask("", Method::DELETE, "/plugins/old/versions/1.0.7", None).await;
    assert_eq!(removal.0, 204, "{}", removal.1);
    server.uploaded("", "", ranking("9.0.0")).await;
    let (status, problem) = server.upload("", "?tenant=nobody", ranking("9.0.0")).await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
}
