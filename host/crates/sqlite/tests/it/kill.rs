//! A process that is killed in the middle of a commit leaves all of it or nothing.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use taja_catalog::{
    Details, Embedding, Filter, ImageHash, PerceptualHash, ProductId, StoredImage,
    port::{Change, NewImage, Store},
};
use taja_sqlite::SqliteStore;

use crate::{creation, shop, space};

/// Where the child finds its file.
const FILE: &str = "TAJA_TEST_STORE";
/// Images of each product: enough for most of a commit to be the writing of rows.
const IMAGES: usize = 300;
/// Times the child is killed.
const KILLS: u32 = 20;

fn image(product: &str, n: usize) -> NewImage {
    let image = StoredImage {
        hash: ImageHash::of(format!("{product}/{n}").as_bytes()),
        perceptual: PerceptualHash(n as u64),
        url: format!("/images/{product}-{n}.webp"),
        width: 1,
        height: 1,
    };
    NewImage { image, embedding: Embedding::normalised(vec![1.0, n as f32], 2).unwrap() }
}

/// Not a test of its own: the process that the test below kills. It tells of each
/// commit when it begins and once it is acknowledged.
#[tokio::test]
#[ignore = "the child of a_killed_writer_leaves_all_or_nothing"]
#[expect(clippy::print_stdout, reason = "its parent reads along")]
async fn commits_until_killed() {
    let Ok(path) = std::env::var(FILE) else { return };
    let store = SqliteStore::open(path).unwrap();
    let first = store.counts().await.unwrap().products;
    for n in first.. {
        let id = format!("p{n}");
        let details = Details { name: format!("thing {id}"), ..Details::default() };
        let Change::Create { mut product, index_text, .. } = creation(&id, details, &format!("thing {id}"))
        else {
            unreachable!("a creation is one")
        };
        let images: Vec<_> = (0..IMAGES).map(|n| image(&id, n)).collect();
        product.images = images.iter().map(|new| new.image.clone()).collect();
        let change = Change::Create { product, images, index_text };
        let receipt = serde_json::json!({"product": id});
        println!("begins {n}");
        store.commit(&shop(), &id.parse().unwrap(), &space(), change, &receipt).await.unwrap();
        println!("acknowledged {n}");
    }
}

/// Lets the child commit `commits` times and kills it during the next, after it has worked for a while on it; how
/// many it told of as acknowledged.
fn commit_and_kill(path: &Path, commits: u32, work: u32) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::commits_until_killed", "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let begun = lines.by_ref().filter(|line| line.contains("begins ")).nth(commits as usize);
    let begun: u64 = begun.expect("the child commits").split_once("begins ").unwrap().1.parse().unwrap();
    // No waiting for a time, which would be another one on another machine: just some work, from none to a lot.
    (0..work).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged = lines.filter(|line| line.contains("acknowledged ")).count();
    begun + acknowledged as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_leaves_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taja.db");
    for round in 0..KILLS {
        let child_path = path.clone();
        let kill =
            tokio::task::spawn_blocking(move || commit_and_kill(&child_path, round % 3, round * 10_000));
        let acknowledged = kill.await.unwrap();
        let store = SqliteStore::open(&path).unwrap();
        let products = check_whole(&store).await;
        assert!(products >= acknowledged, "{acknowledged} were acknowledged, {products} are there");
        assert!(products <= acknowledged + 1, "{acknowledged} were acknowledged, {products} are there");
        store.close().await.unwrap();
    }
}

/// Products, images, vectors, words and receipts agree; how many products there are.
async fn check_whole(store: &SqliteStore) -> u64 {
    store.check().await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.images, counts.products * IMAGES as u64);
    let vectors = store.vectors(&space(), None, usize::MAX).await.unwrap();
    assert_eq!(vectors.len() as u64, counts.images);
    for n in 0..counts.products {
        let id: ProductId = format!("p{n}").parse().unwrap();
        let product = store.product(&shop(), &id).await.unwrap().expect("numbers have no gaps");
        assert_eq!(product.images.len(), IMAGES);
        let receipt = store.receipt(&shop(), &id.as_str().parse().unwrap()).await.unwrap();
        assert_eq!(receipt.unwrap()["product"], id.as_str());
    }
    let next = format!("p{}", counts.products).parse().unwrap();
    assert_eq!(store.receipt(&shop(), &next).await.unwrap(), None);
    let found = store.keyword(&shop(), &"thing".into(), &Filter::everything(), usize::MAX).await.unwrap();
    assert_eq!(found.len() as u64, counts.products);
    counts.products
}
