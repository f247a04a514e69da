//! Somebody who never wrote a plugin: from an empty folder to a search that is ordered by their own code, in each
//! language, beside a service that runs all the while.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    pictures::photograph,
    support::{Server, image_query, product, root, taja},
};

/// A folder that nothing is in yet.
struct Desk(TempDir);

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `taja plugin` in a folder of the desk.
    fn taja(&self, folder: &str) -> Command {
        let mut command = taja();
        // Tools that set-up brought stand before those of the machine.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", root().join(".tools/bin").display()));
        // What every package is built with is built once; what is made of the package itself stays on the desk.
        let shared = concat!(env!("CARGO_TARGET_TMPDIR"), "/newcomers");
        command.env("CARGO_TARGET_DIR", self.at("target")).env("CARGO_BUILD_BUILD_DIR", shared);
        command.env("TAJA_DATA", self.at("none")).current_dir(self.at(folder)).arg("plugin");
        command
    }

    /// Runs `taja plugin ...` in a folder of the desk.
    async fn plugin(&self, folder: &str, arguments: &[&str]) -> Said {
        let output = self.taja(folder).args(arguments).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Said { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
    }

    /// The same, which must go well.
    async fn done(&self, folder: &str, arguments: &[&str]) -> String {
        let said = self.plugin(folder, arguments).await;
        assert_eq!(said.code, Some(0), "{arguments:?}: {}\n{}", said.out, said.error);
        said.out
    }
}

/// A service with two things of which the one that is looked for is sold out.
async fn shop() -> Server {
    let server = Server::start().await;
    for (name, picture, stock) in [("Coffee", "coffee", "0"), ("Rocket", "rocket", "5")] {
        let form = product(name, vec![photograph(picture)]).text("stock", stock);
        server.result("/add_product", form).await;
    }
    server
}

async fn a_newcomer_gets_there(language: &str) {
    let (desk, server) = (Desk::new(), shop().await);
    let query = || image_query(photograph("coffee"));
    assert_eq!(server.found(query()).await, ["Coffee", "Rocket"]);

    desk.done(".", &["new", "stock-first", "--kind", "rank", "--lang", language]).await;
    desk.done("stock-first", &["build"]).await;
    let tested = desk.done("stock-first", &["test", "--no-build"]).await;
    assert!(tested.ends_with("2 passed, 0 failed") && tested.contains("fuel "), "{tested}");
    let checked = desk.done("stock-first", &["check"]).await;
    assert!(checked.contains("stock-first") && checked.contains("ready"), "{checked}");
    let component = "build/stock-first.wasm";
    desk.done("stock-first", &["push", component, "--server", &server.base]).await;
    assert_eq!(server.found(query()).await, ["Coffee", "Rocket"], "nothing changed yet");
    desk.done("stock-first", &["activate", "stock-first", "--server", &server.base]).await;
    let result = server.result("/search", query().text("explain", "true")).await;
    let found = crate::support::names(&result);
    assert_eq!(found, ["Rocket", "Coffee"], "{result}");
    assert_eq!(result["matches"][0]["explain"]["notes"][0], "in stock");
    assert!(result["degraded"].is_null(), "{result}");
    let record =
        ["record", "--image", "x.jpg", "--out", "tests/one.recording.json", "--server", &server.base];
    std::fs::write(desk.at("stock-first/x.jpg"), photograph("coffee")).unwrap();
    desk.done("stock-first", &record).await;
    let tested = desk.done("stock-first", &["test", "--no-build", "--only", "recording"]).await;
    assert!(tested.ends_with("1 passed, 0 failed"), "{tested}");
}

#[tokio::test]
async fn a_newcomer_ranks_in_rust() {
    a_newcomer_gets_there("rust").await;
}

#[tokio::test]
async fn a_newcomer_ranks_in_typescript() {
    a_newcomer_gets_there("ts").await;
}

#[tokio::test]
async fn a_newcomer_ranks_in_python() {
    a_newcomer_gets_there("python").await;
}

#[tokio::test]
async fn the_other_kinds_begin_as_easily() {
    let desk = Desk::new();
    for (kind, language) in [("search", "rust"), ("ingest", "rust"), ("search", "ts"), ("ingest", "ts")] {
        let name = format!("{kind}-{language}");
        desk.done(".", &["new", &name, "--kind", kind, "--lang", language]).await;
        let tested = desk.done(&name, &["test"]).await;
        assert!(tested.contains(" 0 failed"), "{tested}");
    }
}

#[tokio::test]
async fn a_package_is_watched_and_every_change_serves_until_the_end() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let (desk, server) = (Desk::new(), shop().await);
    desk.done(".", &["new", "stock-first", "--kind", "rank", "--lang", "rust"]).await;
    let folder = desk.at("stock-first");
    std::fs::write(desk.at("x.jpg"), photograph("coffee")).unwrap();
    let mut dev = desk.taja("stock-first");
    dev.args(["dev", "--image", "../x.jpg", "--server", &server.base]).stdout(std::process::Stdio::piped());
    let mut dev = dev.spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut until = async |text: &str| loop {
        let line = lines.next_line().await.unwrap().expect("it goes on");
        if line.contains(text) {
            return line;
        }
    };
    until("live after").await;
    assert!(until("Rocket").await.contains("in stock"));

    edit(&folder.join("src/lib.rs"), "\"in stock\"", "\"to be had\"");
    until("live after").await;
    assert!(until("Rocket").await.contains("to be had"));
    let pid = dev.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(dev.wait().await.unwrap().success());
    let (_, plugin) = server.get("/plugins/stock-first").await;
    assert_eq!(plugin["activation"]["live"]["name"], "rank-default", "{plugin}");
    assert_eq!(server.found(image_query(photograph("coffee"))).await, ["Coffee", "Rocket"]);
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} holds {from}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// What an author may get wrong in Rust: the change to a fresh package, the command that notices, and what it says.
#[tokio::test]
async fn every_mistake_of_an_author_has_a_message_that_says_what_to_do() {
    let desk = Desk::new();
    desk.done(".", &["new", "slip", "--kind", "rank", "--lang", "rust"]).await;
    let folder = desk.at("slip");
    let (manifest, source) = (folder.join("plugin.toml"), folder.join("src/lib.rs"));
    let fresh = [&manifest, &source].map(|file| (file, std::fs::read_to_string(file).unwrap()));
    let body = "let settings = Settings::parse";
    let before = |what: &str| format!("{what} #[allow(unreachable_code)] {body}");
    let (panic, spin) = (before("panic!(\"out of cheese\");"), before("loop { std::hint::black_box(0); }"));
    let connect = before("std::net::TcpStream::connect(\"127.0.0.1:1\").ok();");
    let columns = ("[columns]\nnumbers = [\"stock\"]\n", "");
    let export = "taja_plugin::rank::export!(Slip);";
    for (file, edits, command, says) in [
        (&source, &[(export, "")][..], "test", "exports taja:plugin/ranking: build it against"),
        (&manifest, &[("\"rank\"", "\"ingest\"")], "test", "columns is for rank plugins only"),
        (&manifest, &[("\"rank\"", "\"ingest\""), columns], "test", "correct `kind` in plugin.toml"),
        (&source, &[(body, &connect)], "test", "wasi:sockets"),
        (&source, &[(body, &panic)], "test", "out of cheese"),
        (&source, &[(body, &spin)], "test", "`cpu_ms` under [limits]"),
        (&manifest, &[("minimum = 0\n", "minimum = \"none\"\n")], "test", "minimum"),
        (&manifest, &[columns], "test", "stock"),
        (&manifest, &[("version = \"0.1.0\"", "version = \"one\"")], "build", "version"),
        (&source, &[("use taja_plugin::{", "use taja_plugins::{")], "build", "taja_plugins"),
    ] {
        for (file, text) in &fresh {
            std::fs::write(file, text).unwrap();
        }
        edits.iter().for_each(|(from, to)| edit(file, from, to));
        let said = desk.plugin("slip", &[command]).await;
        let all = format!("{}\n{}", said.out, said.error);
        assert!(said.code == Some(1) && all.contains(says), "{edits:?} should say {says:?}:\n{all}");
    }
    for (file, text) in &fresh {
        std::fs::write(file, text).unwrap();
    }
    std::fs::write(
        folder.join("tests/odd.json"),
        r#"{"settings": {"in_stock": 7}, "legs": [], "expect": {"order": []}}"#,
    )
    .unwrap();
    let said = desk.plugin("slip", &["test", "--only", "odd"]).await;
    assert!(said.code == Some(1) && said.out.contains("in_stock"), "{}\n{}", said.out, said.error);
    std::fs::write(folder.join("tests/odd.json"), r#"{"legs": [], "expects": {}, "expect": {}}"#).unwrap();
    let said = desk.plugin("slip", &["test", "--only", "odd"]).await;
    assert!(said.out.contains("has no field") && said.out.contains("expects"), "{}", said.out);
    let said = desk.plugin(".", &["build"]).await;
    assert!(said.error.contains("taja plugin new"), "{}", said.error);
}

/// The figures that `taja plugin bench` prints are of calls that went well.
#[tokio::test]
async fn components_are_measured_side_by_side() {
    let desk = Desk::new();
    desk.done(".", &["new", "quick", "--kind", "rank", "--lang", "rust"]).await;
    desk.done("quick", &["build"]).await;
    let own = desk.at("quick/build/quick.wasm").display().to_string();
    let told = desk.done("quick", &["bench", &own, &own, "--calls", "50", "--json"]).await;
    let rows: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["calls"], &row["failures"]), (&50.into(), &0.into()), "{row}");
        assert!(
            row["component_bytes"].as_u64() > Some(1000) && row["peak_memory_bytes"].as_u64() > Some(1000),
            "{row}"
        );
    }
}
