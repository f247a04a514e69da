//! `taja import`: interrupted anywhere it goes on, and tells of every line of the file.

use std::{
    collections::BTreeSet,
    io::Cursor,
    path::Path,
    process::{Output, Stdio},
};

use image::{ImageFormat, RgbImage, imageops};
use serde_json::{Value, json};
use taja_testkit::free_port;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    import::{HERE, gallery, mosaic},
    pictures::photograph,
    support::{Server, taja},
};

/// An import of `shop.ndjson` in a folder, into the server at this address or into a data folder there.
fn import(folder: &Path, server: Option<&str>) -> Command {
    let mut command = taja();
    command.current_dir(folder).args(["import", "shop.ndjson", "--json"]).stdout(Stdio::piped());
    command.env("TAJA_LISTEN", "127.0.0.1:1").env("TAJA_DATA", "data");
    command.env("TAJA_LEASE_SECONDS", "2").env("TAJA_ATTEMPTS", "10");
    if let Some(server) = server {
        command.args(["--server", server]);
    }
    command
}

/// What became of each line.
fn told(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(told: &[Value]) -> Vec<u64> {
    told.iter().map(|row| row["line"].as_u64().unwrap()).collect()
}

fn write_shop(folder: &Path, rows: &[Value]) {
    let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("shop.ndjson"), lines.join("\n")).unwrap();
}

/// A shop of mosaics, each of them a file; between any two of them are so many rows that are at fault.
fn shop_of_mosaics(products: u64, between: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    for n in 1..=products {
        std::fs::write(folder.path().join(format!("{n}.png")), mosaic(n)).unwrap();
        let name = format!("Mosaic {n}");
        rows.push(json!({ "name": name, "price": 10, "description": "", "images": [format!("{n}.png")] }));
        rows.extend((0..between).map(|at| json!({ "name": format!("No picture {n} {at}") })));
    }
    write_shop(folder.path(), &rows);
    folder
}

/// The products that were made, each once.
fn made(told: &[Value]) -> u64 {
    let made = told.iter().filter(|row| row["status"] == "success");
    let ids: Vec<_> = made.map(|row| row["result"]["product_id"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    ids.len() as u64
}

/// The imports that a server had so far.
async fn imports(server: &Server) -> Vec<String> {
    let (_, list) = server.get("/jobs?kind=import&limit=100").await;
    let jobs = list["jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until some products are in, and not all.
async fn in_the_middle(server: &Server, products: u64) {
    while server.counts().await.0 == 0 {
        if let Some(job) = imports(server).await.first() {
            server.get(&format!("/jobs/{job}?wait=1")).await;
        }
    }
    assert!(server.counts().await.0 < products, "it is over already");
}

#[tokio::test]
async fn a_command_that_was_killed_is_gone_on_with_and_one_that_ended_begins_anew() {
    const PRODUCTS: u64 = 160;
    let shop = shop_of_mosaics(PRODUCTS, 0);
    let server = Server::start().await;
    let mut first = import(shop.path(), Some(&server.base)).spawn().unwrap();
    in_the_middle(&server, PRODUCTS).await;
    first.kill().await.unwrap();
    let journal = shop.path().join("shop.ndjson.importing");
    assert!(journal.exists());

    let second = import(shop.path(), Some(&server.base)).output().await.unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let all = told(&second);
    assert_eq!(lines(&all), (1..=PRODUCTS).collect::<Vec<_>>());
    assert_eq!(server.counts().await.0, made(&all));
    assert!(made(&all) > PRODUCTS / 2, "mosaics differ");
    let jobs: BTreeSet<_> = all.iter().map(|row| row["job_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        imports(&server).await.into_iter().collect::<BTreeSet<_>>(),
        jobs,
        "no part was taken in twice"
    );
    assert!(!journal.exists());

    let third = import(shop.path(), Some(&server.base)).output().await.unwrap();
    assert!(third.status.success(), "{}", String::from_utf8_lossy(&third.stderr));
    let again = told(&third);
    for (before, now) in all.iter().zip(&again).filter(|(before, _)| before["status"] == "success") {
        assert_eq!(
            (&now["status"], &now["result"]["product_id"]),
            (&json!("duplicate"), &before["result"]["product_id"])
        );
    }
    assert_eq!(imports(&server).await.len(), 2 * jobs.len());
    assert_eq!(server.counts().await.0, made(&all) + made(&again));
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_waited_for() {
    const PRODUCTS: u64 = 120;
    let shop = shop_of_mosaics(PRODUCTS, 0);
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let data = tempfile::tempdir().unwrap();
    let settings = [("listen", listen.as_str()), ("lease-seconds", "2"), ("attempts", "10")];
    let server = Server::start_on(data.path(), &settings).await;
    let running = import(shop.path(), Some(&server.base)).spawn().unwrap();
    in_the_middle(&server, PRODUCTS).await;
    server.kill().await;
    let server = Server::start_on(data.path(), &settings).await;
    let ended = running.wait_with_output().await.unwrap();
    assert!(ended.status.success());
    let all = told(&ended);
    assert_eq!(lines(&all), (1..=PRODUCTS).collect::<Vec<_>>());
    assert_eq!(server.counts().await.0, made(&all));
    assert!(made(&all) > PRODUCTS / 2, "mosaics differ");
}

#[tokio::test]
async fn without_a_server_an_import_that_was_killed_is_gone_on_with() {
    const PRODUCTS: u64 = 100;
    let shop = shop_of_mosaics(PRODUCTS, 9);
    let mut first = import(shop.path(), None).spawn().unwrap();
    let mut out = BufReader::new(first.stdout.take().unwrap()).lines();
    out.next_line().await.unwrap().expect("a row is done");
    first.kill().await.unwrap();

    let second = import(shop.path(), None).output().await.unwrap();
    assert_eq!(
        second.status.code(),
        Some(1),
        "rows were at fault: {}",
        String::from_utf8_lossy(&second.stderr)
    );
    let all = told(&second);
    assert_eq!(lines(&all), (1..=PRODUCTS * 10).collect::<Vec<_>>());
    let failed = all.iter().filter(|row| row["status"] == "failed").count() as u64;
    assert_eq!(failed, PRODUCTS * 9);
    assert!(made(&all) > PRODUCTS / 2, "mosaics differ");
    let server = Server::start_on(&shop.path().join("data"), &[]).await;
    assert_eq!(server.counts().await.0, made(&all));
}

#[tokio::test]
async fn a_server_that_takes_less_at_once_is_sent_less_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let gallery = gallery().await;
    std::fs::write(folder.path().join("large.png"), photograph("coffee")).unwrap();
    std::fs::write(folder.path().join("small.png"), mosaic(1)).unwrap();
    let product =
        |name: &str, image: &str| json!({ "name": name, "price": 1, "description": "", "images": [image] });
    let mut rows: Vec<_> = (1..=40).map(|n| json!({ "name": format!("No picture {n}") })).collect();
    rows[4] = product("Large", "large.png");
    rows[5] = product("Lost", "lost.png");
    rows[30] = product("Small", "small.png");
    rows[39] = product("Rocket", &format!("{gallery}/rocket"));
    write_shop(folder.path(), &rows);
    let limits = [HERE[0], ("max-import-rows", "7"), ("max-import-bytes", "100000")];
    let server = Server::start_with(&limits).await;
    let ended = import(folder.path(), Some(&server.base)).output().await.unwrap();
    let all = told(&ended);
    assert_eq!(lines(&all), (1..=40).collect::<Vec<_>>());
    for (at, row) in all.iter().enumerate() {
        let expected = if [30, 39].contains(&at) { "success" } else { "failed" };
        assert_eq!((&row["name"], &row["status"]), (&rows[at]["name"], &json!(expected)), "{row}");
    }
    assert!(all[4]["error"].as_str().unwrap().contains("larger than"), "{}", all[4]);
    assert!(all[5]["error"].as_str().unwrap().contains("lost.png"), "{}", all[5]);
    assert_eq!(all[6]["failure"]["code"], "field_invalid", "{}", all[6]);
    assert_eq!(server.counts().await, (2, 2));
}

/// A picture enlarged to so many bytes that two of them are too much for a row.
fn enlarged(name: &str) -> Vec<u8> {
    let small: RgbImage = image::load_from_memory(&photograph(name)).unwrap().to_rgb8();
    let large = imageops::resize(&small, 2300, 2300, imageops::FilterType::Nearest);
    let mut bytes = Cursor::new(Vec::new());
    large.write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn pictures_that_are_too_large_for_a_row_are_taken_in_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["coffee", "rocket"] {
        std::fs::write(folder.path().join(name), enlarged(name)).unwrap();
    }
    let product = json!({ "name": "Both", "price": 1, "description": "", "sizes": ["S"], "images": ["coffee", "rocket"] });
    write_shop(folder.path(), &[product, json!({ "name": "None" })]);
    let server = Server::start().await;
    let ended = import(folder.path(), Some(&server.base)).output().await.unwrap();
    let all = told(&ended);
    assert_eq!((&all[0]["status"], &all[0]["result"]["added"]), (&json!("success"), &json!(2)), "{}", all[0]);
    assert_eq!(all[1]["status"], "failed");
    let (_, both) =
        server.get(&format!("/products/{}", all[0]["result"]["product_id"].as_str().unwrap())).await;
    assert_eq!((&both["name"], &both["sizes"]), (&json!("Both"), &json!(["S"])));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once_and_nothing_is_left() {
    let shop = shop_of_mosaics(1, 0);
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let ended = import(shop.path(), Some(&nobody)).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let says = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(says.contains("the server does not answer"), "{says}");
    assert!(!shop.path().join("shop.ndjson.importing").exists());
}
