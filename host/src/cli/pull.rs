//! Fetching a model: from a folder or over HTTP, resumed where it ended, every file checked before it is used.

use std::{
    io::{Read, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::{Stream, StreamExt};
use reqwest::{StatusCode, header};
use sha2::{Digest, Sha256};
use taja_clip::Manifest;
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};

use super::model;
use crate::app::MANIFEST;

/// Longest manifest.
const MAX_MANIFEST_BYTES: usize = 64 * 1024;
/// Longest silence of a server in the middle of a file.
const STALL: Duration = Duration::from_secs(30);
/// How often a broken download is taken up again before it is given up.
const ATTEMPTS: u32 = 5;

/// Where a model comes from.
enum Source {
    Folder(PathBuf),
    Web { base: String, http: reqwest::Client },
}

/// Fetches a model into the folder that `place` gives for its name. Files that are there already and whole stay.
pub async fn pull(
    from: &str,
    manifest_sha256: Option<&str>,
    place: impl Fn(&str) -> PathBuf,
) -> anyhow::Result<PathBuf> {
    let source = Source::of(from)?;
    let text = source.manifest().await.with_context(|| format!("{from}: no manifest"))?;
    let found = hex(&Sha256::digest(text.as_bytes()));
    if manifest_sha256.is_some_and(|expected| !expected.eq_ignore_ascii_case(&found)) {
        bail!("the manifest at {from} has SHA-256 {found}, not the one you gave");
    }
    let manifest = model::parse(&text, from)?;
    let folder = place(&manifest.name);
    tokio::fs::create_dir_all(&folder).await.with_context(|| folder.display().to_string())?;
    for file in manifest.files() {
        let sha256 = file.sha256.as_deref().unwrap_or_default();
        fetch(&source, &file.file, sha256, &folder).await.with_context(|| file.file.clone())?;
    }
    // Last: a folder with a manifest is a whole model.
    write_manifest(&folder, &text, &manifest).await?;
    Ok(folder)
}

async fn write_manifest(folder: &Path, text: &str, manifest: &Manifest) -> anyhow::Result<()> {
    manifest.verify(folder, &mut |_, _, _| {})?;
    let part = folder.join(format!("{MANIFEST}.part"));
    tokio::fs::write(&part, text).await?;
    tokio::fs::rename(part, folder.join(MANIFEST)).await?;
    Ok(())
}

async fn fetch(source: &Source, name: &str, sha256: &str, folder: &Path) -> anyhow::Result<()> {
    let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
    if digest_of(&path).await?.is_some_and(|found| found == sha256) {
        eprintln!("{name} is there already");
        return Ok(());
    }
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
        }
        match source.continue_into(name, &part).await {
            Ok(()) => {
                last = None;
                break;
            }
            Err(error) if error.is::<Final>() => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    if let Some(error) = last {
        return Err(error.context("what was fetched is kept: run it again to go on"));
    }
    let found = digest_of(&part).await?.unwrap_or_default();
    if found != sha256 {
        tokio::fs::remove_file(&part).await?;
        bail!("has SHA-256 {found} instead of {sha256}; it was thrown away");
    }
    Ok(tokio::fs::rename(part, path).await?)
}

/// A failure that another try will not mend.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {0}")]
struct Final(StatusCode);

impl Source {
    fn of(from: &str) -> anyhow::Result<Self> {
        if !from.starts_with("http://") && !from.starts_with("https://") {
            return Ok(Self::Folder(from.into()));
        }
        let http = reqwest::Client::builder().connect_timeout(STALL).read_timeout(STALL).build()?;
        Ok(Self::Web { base: from.trim_end_matches('/').to_owned(), http })
    }

    async fn manifest(&self) -> anyhow::Result<String> {
        let bytes = match self {
            Self::Folder(folder) => tokio::fs::read(folder.join(MANIFEST)).await?,
            Self::Web { base, http } => {
                let answer = http.get(format!("{base}/{MANIFEST}")).send().await?.error_for_status()?;
                let mut bytes = Vec::new();
                let mut stream = answer.bytes_stream();
                while let Some(chunk) = stream.next().await {
                    bytes.extend_from_slice(&chunk?);
                    if bytes.len() > MAX_MANIFEST_BYTES {
                        bail!("it is longer than {MAX_MANIFEST_BYTES} bytes");
                    }
                }
                bytes
            }
        };
        Ok(String::from_utf8(bytes)?)
    }

    /// Brings the rest of a file behind what there is of it.
    async fn continue_into(&self, name: &str, part: &Path) -> anyhow::Result<()> {
        let mut file = File::options().create(true).truncate(false).write(true).open(part).await?;
        let have = file.seek(SeekFrom::End(0)).await?;
        match self {
            Self::Folder(folder) => {
                file.set_len(0).await?;
                tokio::fs::copy(folder.join(name), part).await?;
                Ok(())
            }
            Self::Web { base, http } => {
                let mut request = http.get(format!("{base}/{name}"));
                if have > 0 {
                    request = request.header(header::RANGE, format!("bytes={have}-"));
                }
                let answer = request.send().await?;
                let total = answer.content_length().unwrap_or(0);
                match answer.status() {
                    StatusCode::PARTIAL_CONTENT => {}
                    // All of it was there; whether it is right shows the digest.
                    StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()),
                    StatusCode::OK => {
                        // The server does not resume.
                        file.set_len(0).await?;
                        file.seek(SeekFrom::Start(0)).await?;
                    }
                    status if status.is_server_error() => bail!("the server answered {status}"),
                    status => return Err(Final(status).into()),
                }
                let have = file.stream_position().await?;
                write_all(name, file, have, have + total, answer.bytes_stream()).await
            }
        }
    }
}

async fn write_all(
    name: &str,
    mut file: File,
    have: u64,
    total: u64,
    mut bytes: impl Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin,
) -> anyhow::Result<()> {
    let bar = model::bytes_bar();
    bar.set_message(name.to_owned());
    bar.set_length(total);
    bar.set_position(have);
    let received = async {
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk?;
            file.write_all(&chunk).await?;
            bar.inc(chunk.len() as u64);
        }
        anyhow::Ok(())
    }
    .await;
    // What came before a break is what the next attempt goes on from.
    file.flush().await?;
    file.sync_all().await?;
    bar.finish_and_clear();
    received
}

/// SHA-256 of a file in lower-case hex; none when there is no such file.
async fn digest_of(path: &Path) -> anyhow::Result<Option<String>> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (mut digest, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(Some(hex(&digest.finalize()))),
                read => digest.update(&piece[..read]),
            }
        }
    })
    .await?
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
