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

use crate::support::{root, taja};

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

/// A checkpoint with random weights of the smallest shape, and a manifest for it.
fn checkpoint(folder: &Path) {
    let script = "import sys; sys.path.insert(0, sys.argv[1])\n\
        from clip_graph import ARCHITECTURES\n\
        from make_random import random_weights\n\
        from safetensors.numpy import save_file\n\
        save_file(random_weights(ARCHITECTURES['tiny'], 3), sys.argv[2])";
    let mut python = std::process::Command::new("python3");
    python.env("PYTHONPATH", root().join(".tools/python")).args(["-c", script]).arg(root().join("models"));
    assert!(python.arg(folder.join("tiny.safetensors")).status().unwrap().success());
    let known = std::fs::read_to_string(root().join("models/openai-clip-vit-b-32.toml")).unwrap();
    let tiny =
        known.replace("dimension = 512", "dimension = 64").replace("openai-clip-vit-b-32", "tiny-export");
    std::fs::write(folder.join("tiny.toml"), tiny).unwrap();
}

async fn export(folder: &Path, model: &str, checkpoint: &str) -> std::process::Output {
    let mut command = taja();
    command.env("PYTHONPATH", root().join(".tools/python")).current_dir(folder);
    command
        .args(["model", "export", model, "--checkpoint", checkpoint, "--to", "shelf/made"])
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_checkpoint_is_exported_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path());
    for (model, file, status) in [("nobody", "tiny.safetensors", 2), ("tiny.toml", "gone.safetensors", 1)] {
        let refused = export(folder.path(), model, file).await;
        assert_eq!(refused.status.code(), Some(status), "{}", String::from_utf8_lossy(&refused.stderr));
    }
    assert!(!folder.path().join("shelf/made").exists());
    let made = export(folder.path(), "tiny.toml", "tiny.safetensors").await;
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success() && told.contains("names none to compare with")
            || told.contains("not the published"),
        "{told}"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path().join("shelf"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["made"]);
    let again = export(folder.path(), "tiny.toml", "tiny.safetensors").await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let mut verify = taja();
    verify.env("TAJA_MODEL", folder.path().join("shelf/made")).args(["model", "verify"]);
    let verified = verify.output().await.unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
