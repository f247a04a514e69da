//! `taja model pull` against a server on loopback that breaks off, forgets to resume, and lies.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Path as UrlPath, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};

use crate::support::taja;

/// How the server misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Ends the first answer for a large file half-way, then resumes.
    BreaksOff,
    /// Gives other bytes than the manifest says.
    Lies,
}

/// The file and the `Range` of a request.
type Asked = (String, Option<String>);

#[derive(Clone)]
struct Shelf {
    folder: Arc<Path>,
    manner: Manner,
    asked: Arc<Mutex<Vec<Asked>>>,
}

async fn file(State(shelf): State<Shelf>, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    let range = headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
    let first = !shelf.asked.lock().unwrap().iter().any(|(known, _)| *known == name);
    shelf.asked.lock().unwrap().push((name.clone(), range.clone()));
    let Ok(mut bytes) = std::fs::read(shelf.folder.join(&name)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if shelf.manner == Manner::Lies && name == "text.onnx" {
        bytes[10] ^= 1;
    }
    if let Some(start) =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
    {
        return (StatusCode::PARTIAL_CONTENT, bytes.split_off(start)).into_response();
    }
    if shelf.manner == Manner::BreaksOff && first && name == "image.onnx" {
        bytes.truncate(bytes.len() / 2);
        let half = stream::once(async { Ok(bytes) });
        // The half is on its way when the stream is found waiting.
        let end = stream::once(async {
            tokio::task::yield_now().await;
            Err(std::io::Error::other("broken off"))
        });
        return Body::from_stream(half.chain(end)).into_response();
    }
    bytes.into_response()
}

async fn serve(folder: &Path, manner: Manner) -> (String, Shelf) {
    let shelf = Shelf { folder: folder.into(), manner, asked: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/{name}", axum::routing::get(file)).with_state(shelf.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, shelf)
}

/// A small model of CLIP's form, its files pinned.
fn tiny() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/clip/tests/tiny/sentence")
}

async fn pull(from: &str, to: &Path) -> std::process::Output {
    let mut command = taja();
    command.args(["model", "pull", from, "--to"]).arg(to).output().await.unwrap()
}

#[tokio::test]
async fn a_download_that_broke_off_is_resumed_and_what_is_whole_stays() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("m");
    let (base, shelf) = serve(&tiny(), Manner::BreaksOff).await;
    let pulled = pull(&base, &to).await;
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let half = std::fs::metadata(tiny().join("image.onnx")).unwrap().len() / 2;
    let asked: Vec<_> =
        shelf.asked.lock().unwrap().iter().filter(|(name, _)| name == "image.onnx").cloned().collect();
    assert_eq!(asked[1].1, Some(format!("bytes={half}-")));
    for entry in std::fs::read_dir(&to).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            std::fs::read(entry.path()).unwrap(),
            std::fs::read(tiny().join(entry.file_name())).unwrap()
        );
    }

    shelf.asked.lock().unwrap().clear();
    assert!(pull(&base, &to).await.status.success());
    let asked: Vec<_> = shelf.asked.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(asked, ["model.toml"], "nothing is fetched twice");

    let from_folder = pull(tiny().to_str().unwrap(), &folder.path().join("n")).await;
    assert!(from_folder.status.success(), "{}", String::from_utf8_lossy(&from_folder.stderr));
}

#[tokio::test]
async fn a_file_that_is_not_the_pinned_one_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("m");
    let (base, _) = serve(&tiny(), Manner::Lies).await;
    let pulled = pull(&base, &to).await;
    assert_eq!(pulled.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&pulled.stderr).contains("SHA-256"),
        "{}",
        String::from_utf8_lossy(&pulled.stderr)
    );
    assert!(
        !to.join("model.toml").exists()
            && !to.join("text.onnx").exists()
            && !to.join("text.onnx.part").exists()
    );
}
