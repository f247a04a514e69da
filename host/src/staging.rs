//! Uploaded files on their way into a job: streamed to disk under their SHA-256, one folder per job.
//!
//! When jobs run in other processes, a received file goes on to a store that all of them share, and the process that
//! runs the job takes it from there into its own folder.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use taja_catalog::{
    EffectKey, ImageHash, PortError,
    port::{PortErrorKind, UploadStore},
};
use taja_queue::JobId;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
};

/// How many of the first bytes decide what a file is.
pub const HEAD_BYTES: usize = 4096;
/// How long files are kept that no job is known for, from the last of them on: their request may still go on, and the host's
/// own lie there, too.
pub const ORPHANS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// The folder of files that are on their way to the shared store.
const RECEIVING: &str = "receiving";
/// Jobs whose left-over uploads are looked for at once.
const SWEPT_AT_ONCE: usize = 1000;

/// Where uploads wait for their jobs.
#[derive(Clone)]
pub struct Staging {
    root: PathBuf,
    shared: Option<Arc<dyn UploadStore>>,
}

/// The uploads of one job. Removed when dropped, unless the job was pushed.
pub struct Batch {
    job: JobId,
    folder: PathBuf,
    shared: Option<Arc<dyn UploadStore>>,
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
    /// The shared store failed.
    Store(PortError),
}

impl Staging {
    /// Opens the folder, making it if need be. With a shared store, files stay in the folder only while they are on
    /// their way into it or out of it.
    pub async fn open(root: PathBuf, shared: Option<Arc<dyn UploadStore>>) -> io::Result<Self> {
        fs::create_dir_all(&root).await?;
        let staging = Self { root, shared };
        if staging.shared.is_some() {
            // Requests that an earlier process was receiving.
            match fs::remove_dir_all(staging.root.join(RECEIVING)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(staging)
    }

    /// Room for the uploads of a new job; nothing is made until the first file comes.
    pub fn batch(&self, job: JobId) -> Batch {
        let folder = match &self.shared {
            None => self.folder(job),
            // Apart from the copies that a job reads, which may be here at the same time.
            Some(_) => self.root.join(RECEIVING).join(job.to_string()),
        };
        Batch { job, folder, shared: self.shared.clone(), files: 0, keep: false }
    }

    /// Where a job's file lies on this machine, brought there if need be.
    pub async fn path(&self, job: JobId, hash: &ImageHash) -> Result<PathBuf, PortError> {
        let path = self.brought_here(job, hash).await?;
        path.ok_or_else(|| {
            PortError::new("uploads", PortErrorKind::Broken, format!("uploaded file {hash} is gone"))
        })
    }

    /// None when the shared store has no such file.
    async fn brought_here(&self, job: JobId, hash: &ImageHash) -> Result<Option<PathBuf>, PortError> {
        let path = self.folder(job).join(hash.to_string());
        let Some(shared) = &self.shared else { return Ok(Some(path)) };
        if !fs::try_exists(&path).await.map_err(unreadable)? {
            fs::create_dir_all(self.folder(job)).await.map_err(unreadable)?;
            if !shared.fetch(&effect(job), hash, &path).await? {
                // Empty unless the job has other files.
                let _ = fs::remove_dir(self.folder(job)).await;
                return Ok(None);
            }
        }
        Ok(Some(path))
    }

    /// The bytes of a file that may be gone.
    pub async fn find(&self, job: JobId, hash: &ImageHash) -> Result<Option<Bytes>, PortError> {
        let Some(path) = self.brought_here(job, hash).await? else { return Ok(None) };
        match fs::read(path).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Keeps a small file of the host's own under a name; one that is there already stays.
    pub async fn note(&self, place: JobId, name: &ImageHash, bytes: &[u8]) -> Result<(), PortError> {
        let folder = match &self.shared {
            None => self.folder(place),
            Some(_) => self.root.join(RECEIVING).join(JobId::new().to_string()),
        };
        let path = folder.join(name.to_string());
        let noted = async {
            fs::create_dir_all(&folder).await?;
            let part = path.with_extension("part");
            let mut file = File::create(&part).await?;
            file.write_all(bytes).await?;
            file.sync_all().await?;
            fs::rename(&part, &path).await?;
            File::open(&folder).await?.sync_all().await
        };
        noted.await.map_err(unreadable)?;
        if let Some(shared) = &self.shared {
            let put = shared.note(&effect(place), name, &path).await;
            fs::remove_dir_all(&folder).await.map_err(unreadable)?;
            put?;
        }
        Ok(())
    }

    /// The bytes of a file of the host's own, if it is there; no copy of it stays on this machine.
    pub async fn noted(&self, place: JobId, name: &ImageHash) -> Result<Option<Bytes>, PortError> {
        let Some(shared) = &self.shared else { return self.find(place, name).await };
        let folder = self.root.join(RECEIVING).join(JobId::new().to_string());
        fs::create_dir_all(&folder).await.map_err(unreadable)?;
        let path = folder.join(name.to_string());
        let read = async {
            if !shared.noted(&effect(place), name, &path).await? {
                return Ok(None);
            }
            fs::read(&path).await.map(|bytes| Some(bytes.into())).map_err(unreadable)
        };
        let bytes = read.await;
        fs::remove_dir_all(&folder).await.map_err(unreadable)?;
        bytes
    }

    /// The bytes of a job's file.
    pub async fn read(&self, job: JobId, hash: &ImageHash) -> Result<Bytes, PortError> {
        let path = self.path(job, hash).await?;
        fs::read(path).await.map(Bytes::from).map_err(unreadable)
    }

    /// Forgets a job's files.
    pub async fn clear(&self, job: JobId) -> Result<(), PortError> {
        if let Some(shared) = &self.shared {
            shared.clear(&effect(job)).await?;
        }
        self.clear_here(job).await.map_err(unreadable)
    }

    /// Forgets the copies of a job's files on this machine, when there are others.
    pub async fn leave(&self, job: JobId) -> Result<(), PortError> {
        if self.shared.is_none() {
            return Ok(());
        }
        self.clear_here(job).await.map_err(unreadable)
    }

    async fn clear_here(&self, job: JobId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder(job)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The jobs that have files, and got none for so long. Anything else in the folder is not ours to touch.
    pub async fn older_than(&self, age: Duration) -> Result<Vec<JobId>, PortError> {
        let mut jobs = self.older_here(age).await.map_err(unreadable)?;
        if let Some(shared) = &self.shared {
            let before = Timestamp::try_from(SystemTime::now() - age).unwrap_or(Timestamp::MIN);
            let keys = shared.older_than(before, SWEPT_AT_ONCE).await?;
            jobs.extend(keys.iter().filter_map(|key| key.as_str().parse::<JobId>().ok()));
        }
        Ok(jobs)
    }

    async fn older_here(&self, age: Duration) -> io::Result<Vec<JobId>> {
        let mut entries = fs::read_dir(&self.root).await?;
        let mut jobs = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            let Some(job) = entry.file_name().to_str().and_then(|name| name.parse::<JobId>().ok()) else {
                continue;
            };
            let changed = entry.metadata().await?.modified()?;
            if changed.elapsed().unwrap_or_default() >= age {
                jobs.push(job);
            }
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
        let path = self.finish(file, &part, hash).await.map_err(ReceiveError::Disk)?;
        if let Some(shared) = &self.shared {
            shared.put(&effect(self.job), &hash, &path).await.map_err(ReceiveError::Store)?;
        }
        Ok(Staged { hash, size_bytes })
    }

    /// Where a file lies that was received.
    pub fn path(&self, file: &Staged) -> PathBuf {
        self.folder.join(file.hash.to_string())
    }

    async fn create(&mut self) -> io::Result<(PathBuf, File)> {
        fs::create_dir_all(&self.folder).await?;
        self.files += 1;
        let part = self.folder.join(format!("{}.part", self.files));
        let file = File::create(&part).await?;
        Ok((part, file))
    }

    async fn finish(&self, mut file: File, part: &Path, hash: ImageHash) -> io::Result<PathBuf> {
        file.flush().await?;
        // A job that was accepted must find its files after a power cut.
        file.sync_all().await?;
        let path = self.folder.join(hash.to_string());
        fs::rename(part, &path).await?;
        for folder in [Some(self.folder.as_path()), self.folder.parent()].into_iter().flatten() {
            File::open(folder).await?.sync_all().await?;
        }
        Ok(path)
    }

    /// The job was pushed: its files stay until it is done.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.files == 0 || (self.keep && self.shared.is_none()) {
            return;
        }
        // Small, and rare: the request was refused half-way. Or what lies here was a copy.
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "upload is left over");
        }
        let Some(shared) = self.shared.take().filter(|_| !self.keep) else { return };
        let job = self.job;
        // Outside a runtime, and after an error, the sweep finds it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = shared.clear(&effect(job)).await {
                    tracing::warn!(job.id = %job, %error, "refused upload is left over");
                }
            });
        }
    }
}

/// The name of a job's uploads in the shared store.
fn effect(job: JobId) -> EffectKey {
    job.to_string().parse().expect("a job's id is an effect key")
}

fn unreadable(error: io::Error) -> PortError {
    PortError::from_source("uploads", PortErrorKind::Broken, error)
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
        let staging = Staging::open(folder.path().join("s"), None).await.unwrap();
        let mut batch = staging.batch(JobId::new());
        let job = batch.job();
        let staged = batch.receive(chunks(&[b"ab", b"", b"c"]), |_| Ok::<_, ()>(3)).await.unwrap();
        assert_eq!(staged, Staged { hash: ImageHash::of(b"abc"), size_bytes: 3 });
        batch.keep();
        assert_eq!(staging.read(job, &staged.hash).await.unwrap(), "abc");
        assert_eq!(staging.older_than(Duration::ZERO).await.unwrap(), [job]);
        staging.clear(job).await.unwrap();
        assert!(staging.older_than(Duration::ZERO).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_still_gets_files_is_not_old() {
        let day = Duration::from_secs(24 * 3600);
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().to_owned(), None).await.unwrap();
        let place = JobId::new();
        staging.note(place, &ImageHash::of(b"block 0"), b"first").await.unwrap();
        let lies_in = std::fs::File::open(folder.path().join(place.to_string())).unwrap();
        lies_in.set_modified(SystemTime::now() - 2 * day).unwrap();
        assert_eq!(staging.older_than(day).await.unwrap(), [place]);
        staging.note(place, &ImageHash::of(b"block 1"), b"second").await.unwrap();
        assert!(staging.older_than(day).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_refused_or_oversized_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("s"), None).await.unwrap();
        let mut batch = staging.batch(JobId::new());
        batch.receive(chunks(&[b"first"]), |_| Ok::<_, ()>(100)).await.unwrap();
        let refused = batch.receive(chunks(&[b"bad"]), |head| Err::<u64, _>(head.to_vec())).await;
        assert!(matches!(refused, Err(ReceiveError::Refused(head)) if head == b"bad"));
        let large = batch.receive(chunks(&[b"too", b"long"]), |_| Ok::<_, ()>(5)).await;
        assert!(matches!(large, Err(ReceiveError::TooLarge(5))));
        drop(batch);
        assert!(staging.older_than(Duration::ZERO).await.unwrap().is_empty());
    }
}
