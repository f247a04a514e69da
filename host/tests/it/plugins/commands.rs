//! The life of a policy as `taja plugin` leads it.

use serde_json::Value;

use super::{build, ranking};
use crate::{
    pictures::photograph,
    support::{Server, product, taja},
};

#[tokio::test]
async fn a_policy_lives_its_life_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |address: &str, arguments: &[&str]| {
        let mut command = taja();
        command.env("TAJA_LISTEN", address).env("TAJA_DATA", folder.path().join("none"));
        let output = command.current_dir(folder.path()).args(arguments).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, public, error) = run("127.0.0.1:1", &["plugin", "keygen", "--out", "shop.key"]).await;
    assert_eq!(code, Some(0), "{error}");
    let write = |name: &str, component: Vec<u8>| std::fs::write(folder.path().join(name), component).unwrap();
    write("one.wasm", build("rank-plain", "1.0.0", ""));
    write("two.wasm", build("rank-plain", "2.0.0", "[limits]\ncpu_ms = 11000"));
    let (code, checked, error) = run("127.0.0.1:1", &["plugin", "check", "one.wasm"]).await;
    assert_eq!((code, checked.contains("rank-plain")), (Some(0), true), "{error}");
    assert!(checked.contains("cpu_ms=20 wall_ms=250 memory_mib=16 "), "{checked}");
    let limits = ["--plugin-limits", "cpu_ms=9000"];
    let (_, checked, _) = run("127.0.0.1:1", &[&["plugin", "check", "two.wasm"], &limits[..]].concat()).await;
    assert!(checked.contains("cpu_ms=9000 wall_ms=250 memory_mib=16; asks for cpu_ms=11000"), "{checked}");
    let (code, checked, _) =
        run("127.0.0.1:1", &["plugin", "check", "one.wasm", "--plugin-trusted-keys", &public]).await;
    assert_eq!((code, checked.contains("not signed")), (Some(1), true), "{checked}");

    let server = Server::start_with(&[("plugin-trusted-keys", &format!("shop={public}"))]).await;
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let plugin = async |arguments: &[&str]| run(&address, &[&["plugin"], arguments].concat()).await;
    let (code, _, error) = plugin(&["push", "one.wasm"]).await;
    assert_eq!((code, error.contains("refused at the check `signature`")), (Some(1), true), "{error}");
    for component in ["one.wasm", "two.wasm"] {
        let (code, _, error) = run(&address, &["plugin", "sign", component, "--key", "shop.key"]).await;
        assert_eq!(code, Some(0), "{error}");
    }
    let (code, pushed, error) = plugin(&["push", "one.wasm", "--activate"]).await;
    assert_eq!(
        (code, pushed.starts_with("rank-plain 1.0.0") && pushed.ends_with("live")),
        (Some(0), true),
        "{pushed}{error}"
    );
    let (_, pushed, _) = plugin(&["push", "two.wasm", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&pushed).unwrap()["signer"], "shop");
    write("settings.json", b"{\"do\": \"\"}".to_vec());
    for (arguments, says) in [
        (&["canary", "rank-plain", "--version", "2.0.0", "--percent", "5"][..], "5 % of the sessions"),
        (&["canary", "rank-plain", "--stop", "--reason", "enough"], "live      rank-plain 1.0.0"),
        (&["shadow", "rank-plain", "--version", "2.0.0", "--every", "4"], "1 request in 4"),
        (&["status", "rank-plain"], "1 in 4"),
        (&["shadow", "rank-plain", "--stop"], "live      rank-plain 1.0.0"),
        (&["activate", "rank-plain", "--version", "2.0.0", "--settings", "@settings.json"], "{\"do\":\"\"}"),
        (&["rollback", "rank-plain", "--to", "1.0.0", "--json"], "\"rank\""),
        (&["history", "rank-plain"], "canary stopped"),
        (&["list"], "cpu_ms=10000 wall_ms=250 memory_mib=16; asks for cpu_ms=11000"),
        (&["status", "rank-plain", "--json"], "\"versions\""),
        (&["remove", "rank-plain", "2.0.0"], ""),
        (&["deactivate", "rank-plain"], "live      nothing"),
        (&["list", "--tenant", "default", "--json"], "\"previous\""),
    ] {
        let (code, shown, error) = plugin(arguments).await;
        assert_eq!((code, shown.contains(says)), (Some(0), true), "{arguments:?}: {shown}{error}");
    }
    for (arguments, expected, says) in [
        (&["status", "nobody"][..], 1, "no such plugin"),
        (&["activate", "rank-plain", "--tenant", "nobody"], 1, "no such tenant"),
        (&["canary", "rank-plain", "--percent", "5"], 2, "--version"),
        (&["canary", "rank-plain", "--version", "1.0.0", "--percent", "500"], 2, "500"),
        (&["activate", "rank-plain", "--settings", "[]"], 2, "JSON object"),
        (&["activate", "../tenants"], 2, "plugin's name"),
    ] {
        let (code, _, error) = plugin(arguments).await;
        assert_eq!((code, error.contains(says)), (Some(expected), true), "{arguments:?}: {error}");
    }
    assert!(!folder.path().join("none").exists(), "no service of its own was started");
}

#[tokio::test]
async fn a_search_is_recorded_and_played_again_through_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start().await;
    server.result("/add_product", product("Cup of coffee", vec![photograph("coffee")])).await;
    let run = async |arguments: &[&str]| taja().args(arguments).output().await.unwrap();
    let (recording, component) = (at("search.json"), at("rank.wasm"));
    let asked = ["plugin", "record", "--text", "coffee", "--server", &server.base, "--out", &recording];
    let recorded = run(&asked).await;
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    server.kill().await;

    let same = run(&["plugin", "replay", &recording, "--json"]).await;
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
    let lines = String::from_utf8(same.stdout).unwrap();
    let played: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(played.len(), 2);
    assert!(played.iter().all(|call| call["diff"]["identical"] == true), "{lines}");

    std::fs::write(&component, ranking("9.0.0")).unwrap();
    let settings = r#"{"k": 1}"#;
    let other = ["plugin", "replay", &recording, "--with", &component, "--settings", settings];
    let other = run(&other).await;
    let told = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(other.status.success() && told.contains("-> rank-default 9.0.0"), "{told}");
}
