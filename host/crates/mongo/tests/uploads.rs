//! Uploads in a real server: whole or not there, and no crumbs.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::path::{Path, PathBuf};

use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use mongodb::{
    Client, Collection,
    bson::{Document, doc},
};
use taja_catalog::{
    EffectKey, ImageHash,
    port::{PortErrorKind, UploadStore},
};
use taja_mongo::{GridUploads, Mongo, MongoOptions};
use taja_testkit::MongoServer;
use tempfile::TempDir;

struct Room {
    server: MongoServer,
    uploads: GridUploads,
    files: Collection<Document>,
    pieces: Collection<Document>,
    folder: TempDir,
}

impl Room {
    async fn open() -> Self {
        let server = MongoServer::start().await.unwrap();
        let mongo = Mongo::connect(&MongoOptions::new(server.uri(), "taja")).await.unwrap();
        let opened = join_all((0..4).map(|_| GridUploads::open(&mongo))).await;
        assert!(opened.iter().all(Result::is_ok), "processes that start together: {opened:?}");
        let uploads = GridUploads::open(&mongo).await.unwrap();
        let database = Client::with_uri_str(server.uri()).await.unwrap().database("taja");
        let (files, pieces) = (database.collection("uploads.files"), database.collection("uploads.chunks"));
        Self { server, uploads, files, pieces, folder: tempfile::tempdir().unwrap() }
    }

    /// A file of so many bytes that are no other file's.
    fn file(&self, seed: u8, bytes: usize) -> (ImageHash, PathBuf, Vec<u8>) {
        let content: Vec<u8> = (0..bytes).map(|at| (at / 7 + at % 251) as u8 ^ seed).collect();
        let hash = ImageHash::of(&content);
        let path = self.folder.path().join(format!("in-{hash}"));
        std::fs::write(&path, &content).unwrap();
        (hash, path, content)
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn counts(&self) -> (u64, u64) {
        let count = async |of: &Collection<Document>| of.count_documents(doc! {}).await.unwrap();
        (count(&self.files).await, count(&self.pieces).await)
    }

    async fn old(&self) -> Vec<String> {
        let soon = Timestamp::now() + 1.minute();
        let old = self.uploads.older_than(soon, 10).await.unwrap();
        old.into_iter().map(|effect| effect.to_string()).collect()
    }
}

fn effect(name: &str) -> EffectKey {
    name.parse().unwrap()
}

fn half_written(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains(".part")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_whole_or_not_there_and_leaves_nothing() {
    let mut room = Room::open().await;
    files_come_back_as_they_went_in(&room).await;
    many_that_keep_the_same_file_keep_it_once(&room).await;
    other_bytes_than_the_name_says_are_refused(&room).await;
    a_name_of_choice_stays_with_what_came_first(&room).await;
    what_a_dead_process_left_is_found_and_goes(&room).await;
    the_oldest_come_first(&room).await;
    whoever_still_brings_files_is_not_old(&room).await;
    a_damaged_file_is_not_handed_out(&room).await;
    a_server_that_is_gone_is_unavailable(&mut room).await;
}

async fn files_come_back_as_they_went_in(room: &Room) {
    let one = effect("one");
    for (seed, bytes) in [(1, 0), (2, 1), (3, 1024 * 1024), (4, 3 * 1024 * 1024 + 5)] {
        let (hash, path, content) = room.file(seed, bytes);
        assert!(!room.uploads.fetch(&one, &hash, &room.out("none")).await.unwrap());
        room.uploads.put(&one, &hash, &path).await.unwrap();
        room.uploads.put(&one, &hash, &path).await.unwrap();
        let out = room.out(&format!("out-{seed}"));
        assert!(room.uploads.fetch(&one, &hash, &out).await.unwrap());
        assert_eq!(std::fs::read(&out).unwrap(), content);
        assert!(!room.uploads.fetch(&effect("other"), &hash, &room.out("none")).await.unwrap());
    }
    assert_eq!(room.counts().await, (4, 1 + 1 + 4));
    room.uploads.clear(&effect("other")).await.unwrap();
    assert_eq!(room.counts().await.0, 4);
    room.uploads.clear(&one).await.unwrap();
    assert_eq!(room.counts().await, (0, 0));
    assert!(!room.out("none").exists());
}

async fn many_that_keep_the_same_file_keep_it_once(room: &Room) {
    let (hash, path, content) = room.file(5, 2 * 1024 * 1024);
    let many = effect("many");
    let kept = join_all((0..8).map(|_| room.uploads.put(&many, &hash, &path))).await;
    assert!(kept.iter().all(Result::is_ok), "{kept:?}");
    assert_eq!(room.counts().await, (1, 2));
    let (one, other) = (room.out("many"), room.out("many too"));
    let fetched =
        tokio::join!(room.uploads.fetch(&many, &hash, &one), room.uploads.fetch(&many, &hash, &other));
    assert!(fetched.0.unwrap() && fetched.1.unwrap());
    assert!(std::fs::read(one).unwrap() == content && std::fs::read(other).unwrap() == content);
    room.uploads.clear(&many).await.unwrap();
}

async fn other_bytes_than_the_name_says_are_refused(room: &Room) {
    let (_, path, _) = room.file(6, 1024 * 1024 + 1);
    let wrong = room.uploads.put(&effect("wrong"), &ImageHash::of(b"other"), &path).await.unwrap_err();
    assert_eq!(wrong.kind, PortErrorKind::Broken);
    let missing = room.uploads.put(&effect("wrong"), &ImageHash::of(b"other"), &room.out("nowhere")).await;
    assert_eq!(missing.unwrap_err().kind, PortErrorKind::Broken);
    assert_eq!(room.counts().await, (0, 0));
}

async fn a_name_of_choice_stays_with_what_came_first(room: &Room) {
    let (notes, name) = (effect("notes"), ImageHash::of(b"block 0"));
    let (_, path, content) = room.file(9, 1024 * 1024 + 1);
    let (_, other, _) = room.file(10, 5);
    assert!(!room.uploads.noted(&notes, &name, &room.out("none")).await.unwrap());
    room.uploads.note(&notes, &name, &path).await.unwrap();
    room.uploads.note(&notes, &name, &other).await.unwrap();
    assert!(room.uploads.noted(&notes, &name, &room.out("noted")).await.unwrap());
    assert_eq!(std::fs::read(room.out("noted")).unwrap(), content);
    let upload = room.uploads.fetch(&notes, &name, &room.out("none")).await;
    assert_eq!(upload.unwrap_err().kind, PortErrorKind::Broken, "it is no upload");
    assert!(!room.out("none").exists());
    room.uploads.clear(&notes).await.unwrap();
    assert_eq!(room.counts().await, (0, 0));
}

async fn what_a_dead_process_left_is_found_and_goes(room: &Room) {
    let (hash, path, content) = room.file(7, 40 * 1024 * 1024);
    let dead = effect("dead");
    let (uploads, theirs, file) = (room.uploads.clone(), dead.clone(), path.clone());
    let writing = tokio::spawn(async move { uploads.put(&theirs, &hash, &file).await });
    while room.pieces.find_one(doc! {}).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled(), "forty pieces take longer than one");
    assert!(!room.uploads.fetch(&dead, &hash, &room.out("dead")).await.unwrap());
    // What was seen above a majority may yet have to see.
    while room.old().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(room.old().await, ["dead"]);
    room.uploads.put(&dead, &hash, &path).await.unwrap();
    assert!(room.uploads.fetch(&dead, &hash, &room.out("alive")).await.unwrap());
    assert_eq!(std::fs::read(room.out("alive")).unwrap(), content);
    room.uploads.clear(&dead).await.unwrap();
    assert_eq!(room.counts().await, (0, 0));
    assert!(room.old().await.is_empty());
}

async fn the_oldest_come_first(room: &Room) {
    let (hash, path, _) = room.file(8, 10);
    let (empty, nothing, _) = room.file(9, 0);
    for name in ["b", "a", "c"] {
        room.uploads.put(&effect(name), &hash, &path).await.unwrap();
        room.uploads.put(&effect(name), &empty, &nothing).await.unwrap();
        // Ages are whole milliseconds.
        let now = Timestamp::now().as_millisecond();
        while Timestamp::now().as_millisecond() == now {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(room.old().await, ["b", "a", "c"]);
    let soon = Timestamp::now() + 1.minute();
    assert_eq!(room.uploads.older_than(soon, 2).await.unwrap(), ["b", "a"].map(effect));
    assert_eq!(room.uploads.older_than(soon, 0).await.unwrap(), []);
    assert_eq!(room.uploads.older_than(Timestamp::now() - 1.hour(), 9).await.unwrap(), []);
    for name in ["a", "b", "c"] {
        room.uploads.clear(&effect(name)).await.unwrap();
    }
}

async fn whoever_still_brings_files_is_not_old(room: &Room) {
    let (first, second) = (ImageHash::of(b"block 0"), ImageHash::of(b"block 1"));
    let (_, path, _) = room.file(12, 1024 * 1024 + 1);
    for name in ["long", "over"] {
        room.uploads.note(&effect(name), &first, &path).await.unwrap();
    }
    let two_days_ago = mongodb::bson::DateTime::from_millis((Timestamp::now() - 48.hours()).as_millisecond());
    room.files.update_many(doc! {}, doc! { "$set": { "uploadDate": two_days_ago } }).await.unwrap();
    room.pieces.update_many(doc! {}, doc! { "$set": { "at": two_days_ago } }).await.unwrap();
    let a_day_ago = || Timestamp::now() - 24.hours();
    assert_eq!(room.uploads.older_than(a_day_ago(), 9).await.unwrap().len(), 2);
    room.uploads.note(&effect("long"), &second, &path).await.unwrap();
    assert_eq!(room.uploads.older_than(a_day_ago(), 1).await.unwrap(), [effect("over")]);
    // So it is while only a piece of the next one is there.
    room.files.delete_one(doc! { "filename": second.to_string() }).await.unwrap();
    assert_eq!(room.uploads.older_than(a_day_ago(), 9).await.unwrap(), [effect("over")]);
    for name in ["long", "over"] {
        room.uploads.clear(&effect(name)).await.unwrap();
    }
    assert_eq!(room.counts().await, (0, 0));
}

async fn a_damaged_file_is_not_handed_out(room: &Room) {
    let (hash, path, content) = room.file(10, 2 * 1024 * 1024);
    let harm = effect("harm");
    room.uploads.put(&harm, &hash, &path).await.unwrap();
    let (second, out) = (doc! { "n": 1 }, room.out("harm"));
    let piece = room.pieces.find_one(second.clone()).await.unwrap().unwrap();
    let mut bytes = piece.get_binary_generic("data").unwrap().clone();
    bytes[0] ^= 1;
    let data = mongodb::bson::Binary { subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes };
    room.pieces.update_one(second.clone(), doc! { "$set": { "data": data } }).await.unwrap();
    let refused = room.uploads.fetch(&harm, &hash, &out).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Broken);
    room.pieces.delete_one(second).await.unwrap();
    assert!(!room.uploads.fetch(&harm, &hash, &out).await.unwrap());
    assert!(!out.exists());
    assert_eq!(half_written(room.folder.path()), 0);
    room.uploads.put(&harm, &hash, &path).await.unwrap();
    assert!(room.uploads.fetch(&harm, &hash, &out).await.unwrap());
    assert_eq!(std::fs::read(out).unwrap(), content);
    assert_eq!(room.counts().await, (1, 2));
}

async fn a_server_that_is_gone_is_unavailable(room: &mut Room) {
    let (hash, path, content) = room.file(11, 1024 * 1024 + 1);
    let gone = effect("gone");
    room.uploads.put(&gone, &hash, &path).await.unwrap();
    room.server.kill();
    let out = room.out("gone");
    let (put, fetched, cleared) = tokio::join!(
        room.uploads.put(&gone, &hash, &path),
        room.uploads.fetch(&gone, &hash, &out),
        room.uploads.clear(&gone),
    );
    for refused in [put.unwrap_err(), fetched.unwrap_err(), cleared.unwrap_err()] {
        assert_eq!((refused.part, refused.kind), ("uploads", PortErrorKind::Unavailable));
    }
    room.server.restart().await.unwrap();
    assert!(room.uploads.fetch(&gone, &hash, &out).await.unwrap());
    assert_eq!(std::fs::read(out).unwrap(), content);
}
