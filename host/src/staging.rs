//! Uploaded files on their way into a job: streamed to disk under their SHA-256, one folder per job.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use taja_catalog::ImageHash;
use taja_queue::JobId;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
};

/// How many of the first bytes decide what a file is.
pub const HEAD_BYTES: usize = 4096;

/// Where uploads wait for their jobs.
#[derive(Debug, Clone)]
pub struct Staging {
    root: PathBuf,
}

/// The uploads of one job. Removed when dropped, unless the job was pushed.
#[derive(Debug)]
pub struct Batch {
    job: JobId,
    folder: PathBuf,
    files: u32,
    keep: bool,
}

/// A file that was received whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// SHA-256 of its bytes, and its name in the job's folder.
    pub hash: ImageHash,
    /// Its size.
    pub size_bytes: u64,
}

/// Why a file was not received. `E` is what the stream of its bytes fails with.
#[derive(Debug)]
pub enum ReceiveError<R, E> {
    /// The head shows something that is not wanted.
    Refused(R),
    /// More bytes than the judge of the head allowed.
    TooLarge(u64),
    /// The client's stream broke.
    Stream(E),
    /// The disk failed.
    Disk(io::Error),
}

impl Staging {
    /// Opens the folder, making it if need be.
    pub async fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root).await?;
        Ok(Self { root })
    }

    /// Room for the uploads of a new job; nothing is made until the first file comes.
    pub fn batch(&self, job: JobId) -> Batch {
        Batch { job, folder: self.folder(job), files: 0, keep: false }
    }

    /// Where a job's file lies.
    pub fn path(&self, job: JobId, hash: &ImageHash) -> PathBuf {
        self.folder(job).join(hash.to_string())
    }

    /// The bytes of a job's file.
    pub async fn read(&self, job: JobId, hash: &ImageHash) -> io::Result<Bytes> {
        fs::read(self.path(job, hash)).await.map(Bytes::from)
    }

    /// How long ago a job's folder last changed.
    pub async fn age(&self, job: JobId) -> io::Result<Duration> {
        let changed = fs::metadata(self.folder(job)).await?.modified()?;
        Ok(changed.elapsed().unwrap_or_default())
    }

    /// Forgets a job's files.
    pub async fn clear(&self, job: JobId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder(job)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The jobs that have a folder, for a sweep at start. Anything else in the root is not ours to touch.
    pub async fn jobs(&self) -> io::Result<Vec<JobId>> {
        let mut entries = fs::read_dir(&self.root).await?;
        let mut jobs = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            jobs.extend(entry.file_name().to_str().and_then(|name| name.parse::<JobId>().ok()));
        }
        Ok(jobs)
    }

    fn folder(&self, job: JobId) -> PathBuf {
        self.root.join(job.to_string())
    }
}

impl Batch {
    /// The job the uploads are for.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Streams one file to disk. `judge` sees its first bytes and says how many bytes it may have, or refuses it;
    /// a refused or oversized file is not read to its end.
    pub async fn receive<R, E>(
        &mut self,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
        judge: impl FnOnce(&[u8]) -> Result<u64, R>,
    ) -> Result<Staged, ReceiveError<R, E>> {
        let mut head = Vec::new();
        while head.len() < HEAD_BYTES
            && let Some(chunk) = bytes.next().await
        {
            head.extend_from_slice(&chunk.map_err(ReceiveError::Stream)?);
        }
        let limit = judge(&head[..head.len().min(HEAD_BYTES)]).map_err(ReceiveError::Refused)?;
        let (part, mut file) = self.create().await.map_err(ReceiveError::Disk)?;
        let mut digest = Sha256::new();
        let mut size_bytes = 0;
        let mut next = Some(Ok(Bytes::from(head)));
        while let Some(chunk) = next {
            let chunk = chunk.map_err(ReceiveError::Stream)?;
            size_bytes += chunk.len() as u64;
            if size_bytes > limit {
                return Err(ReceiveError::TooLarge(limit));
            }
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(ReceiveError::Disk)?;
            next = bytes.next().await;
        }
        let hash = ImageHash::from_digest(digest.finalize().into());
        self.finish(file, &part, hash).await.map_err(ReceiveError::Disk)?;
        Ok(Staged { hash, size_bytes })
    }

    async fn create(&mut self) -> io::Result<(PathBuf, File)> {
        fs::create_dir_all(&self.folder).await?;
        self.files += 1;
        let part = self.folder.join(format!("{}.part", self.files));
        let file = File::create(&part).await?;
        Ok((part, file))
    }

    async fn finish(&self, mut file: File, part: &Path, hash: ImageHash) -> io::Result<()> {
        file.flush().await?;
        // A job that was accepted must find its files after a power cut.
        file.sync_all().await?;
        fs::rename(part, self.folder.join(hash.to_string())).await?;
        for folder in [Some(self.folder.as_path()), self.folder.parent()].into_iter().flatten() {
            File::open(folder).await?.sync_all().await?;
        }
        Ok(())
    }

    /// The job was pushed: its files stay until it is done.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.keep && self.files > 0 {
            // Small, and rare: the request was refused half-way.
            if let Err(error) = std::fs::remove_dir_all(&self.folder) {
                tracing::warn!(folder = %self.folder.display(), %error, "refused upload is left over");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn chunks(parts: &[&'static [u8]]) -> impl Stream<Item = Result<Bytes, ()>> + Unpin + use<> {
        stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_file_lies_under_the_hash_of_all_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("s")).await.unwrap();
        let mut batch = staging.batch(JobId::new());
        let job = batch.job();
        let staged = batch.receive(chunks(&[b"ab", b"", b"c"]), |_| Ok::<_, ()>(3)).await.unwrap();
        assert_eq!(staged, Staged { hash: ImageHash::of(b"abc"), size_bytes: 3 });
        batch.keep();
        assert_eq!(staging.read(job, &staged.hash).await.unwrap(), "abc");
        assert_eq!(staging.jobs().await.unwrap(), [job]);
        staging.clear(job).await.unwrap();
        assert!(staging.jobs().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_refused_or_oversized_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("s")).await.unwrap();
        let mut batch = staging.batch(JobId::new());
        batch.receive(chunks(&[b"first"]), |_| Ok::<_, ()>(100)).await.unwrap();
        let refused = batch.receive(chunks(&[b"bad"]), |head| Err::<u64, _>(head.to_vec())).await;
        assert!(matches!(refused, Err(ReceiveError::Refused(head)) if head == b"bad"));
        let large = batch.receive(chunks(&[b"too", b"long"]), |_| Ok::<_, ()>(5)).await;
        assert!(matches!(large, Err(ReceiveError::TooLarge(5))));
        drop(batch);
        assert!(staging.jobs().await.unwrap().is_empty());
    }
}
