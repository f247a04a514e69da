//! Digests of files that have not changed since they were hashed, kept in the memory folder: hashing a large model takes
//! seconds at every start.
//!
//! A file is known again by its path, size, inode and the times of its last change. Whoever can write the memory folder
//! can have another file taken for the one that was hashed, so it belongs to the service alone, like the rest of its data.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::notes;

/// The file in the memory folder, for all models.
const FILE: &str = "digests.json";
/// Moves when the meaning of the file does.
const FORMAT: u32 = 1;
/// A file that changed a shorter time ago may change once more without its times showing it.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    format: u32,
    files: BTreeMap<String, Known>,
}

/// A file as it was when it was hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    stamp: Stamp,
    sha256: [u8; 32],
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    size: u64,
    inode: u64,
    /// Of the content: seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// Of content, name or rights, which no program can set.
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            size: file.len(),
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Changed long enough before `now`.
    fn has_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let since_1970 = Duration::new(seconds.try_into().unwrap_or(0), nanoseconds.try_into().unwrap_or(0));
        let latest = SystemTime::UNIX_EPOCH + since_1970;
        now.duration_since(latest).is_ok_and(|age| age >= SETTLED)
    }
}

/// The digests that are known, and those that are learnt on the way.
pub(super) struct Digests {
    folder: Option<PathBuf>,
    files: BTreeMap<String, Known>,
    learnt: bool,
    now: fn() -> SystemTime,
}

impl Digests {
    /// Of a memory folder; without one nothing is remembered.
    pub(super) fn open(folder: Option<&Path>) -> Self {
        let files = folder.map(|folder| recall(&folder.join(FILE))).unwrap_or_default();
        Self { folder: folder.map(Path::to_owned), files, learnt: false, now: SystemTime::now }
    }

    /// The digest of an open file: the one that is known while the file is what it was and the digest is one that `may` be,
    /// else what `hash` says of it.
    pub(super) fn of(
        &mut self,
        path: &Path,
        file: &mut File,
        may: impl FnOnce(&[u8; 32]) -> bool,
        hash: impl FnOnce(&mut File) -> std::io::Result<[u8; 32]>,
    ) -> std::io::Result<[u8; 32]> {
        let before = Stamp::of(&file.metadata()?);
        let name = std::fs::canonicalize(path)?.to_str().map(str::to_owned);
        let Some(name) = name.filter(|_| self.folder.is_some()) else { return hash(file) };
        if let Some(known) = self.files.get(&name).filter(|known| known.stamp == before && may(&known.sha256))
        {
            return Ok(known.sha256);
        }
        let settled = before.has_settled((self.now)());
        let sha256 = hash(file)?;
        if settled && Stamp::of(&file.metadata()?) == before {
            self.files.insert(name, Known { stamp: before, sha256 });
            self.learnt = true;
        }
        Ok(sha256)
    }

    /// Writes down what was learnt, without files that are gone or have changed. Failing is told of, and costs the next
    /// start some time.
    pub(super) fn keep(mut self) {
        let Some(folder) = self.folder.filter(|_| self.learnt) else { return };
        let current = |path: &str| std::fs::metadata(path).ok().map(|file| Stamp::of(&file));
        self.files.retain(|path, known| current(path) == Some(known.stamp));
        if let Err(error) = notes::write(&folder, FILE, &Page { format: FORMAT, files: self.files }) {
            tracing::warn!(folder = %folder.display(), "the digests of the model's files cannot be remembered: {error}");
        }
    }
}

/// What a file of digests says. One that is damaged or not ours is told of and left unread.
fn recall(path: &Path) -> BTreeMap<String, Known> {
    let problem = match notes::read::<Page>(path) {
        Ok(None) => return BTreeMap::new(),
        Ok(Some(page)) if page.format == FORMAT => return page.files,
        Ok(Some(page)) => format!("it has the format {} instead of {FORMAT}", page.format),
        Err(problem) => problem,
    };
    tracing::warn!(path = %path.display(), "the remembered digests are not believed, so all files are hashed: {problem}");
    BTreeMap::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];

    /// A folder with a file in it, and a memory.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            std::fs::write(place.file(), "weights").unwrap();
            place
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("file")
        }

        fn page(&self) -> PathBuf {
            self.0.path().join("memory").join(FILE)
        }

        /// What is said of the file where hashing gives `hash`, ten seconds later than it is.
        fn ask(&self, hash: [u8; 32]) -> [u8; 32] {
            self.ask_at(hash, || SystemTime::now() + Duration::from_secs(10))
        }

        fn ask_at(&self, hash: [u8; 32], now: fn() -> SystemTime) -> [u8; 32] {
            let memory = self.0.path().join("memory");
            let mut digests = Digests { now, ..Digests::open(Some(&memory)) };
            let path = self.file();
            let found = digests.of(&path, &mut File::open(&path).unwrap(), |_| true, |_| Ok(hash)).unwrap();
            digests.keep();
            found
        }
    }

    #[test]
    fn an_unchanged_file_is_not_hashed_again() {
        let place = Place::new();
        assert_eq!(place.ask(TRUE), TRUE);
        assert_eq!(place.ask(OTHER), TRUE);
    }

    #[test]
    fn a_changed_file_is_hashed_again() {
        let place = Place::new();
        assert_eq!(place.ask(TRUE), TRUE);
        std::fs::write(place.file(), "WEIGHTS").unwrap();
        assert_eq!(place.ask(OTHER), OTHER);
    }

    #[test]
    fn a_file_of_the_same_size_and_time_in_its_place_is_hashed_again() {
        let place = Place::new();
        let time = std::fs::metadata(place.file()).unwrap().modified().unwrap();
        assert_eq!(place.ask(TRUE), TRUE);
        let other = place.0.path().join("other");
        std::fs::write(&other, "WEIGHTS").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(other, place.file()).unwrap();
        assert_eq!(place.ask(OTHER), OTHER);
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_remembered() {
        let place = Place::new();
        assert_eq!(place.ask_at(TRUE, SystemTime::now), TRUE);
        assert_eq!(place.ask(OTHER), OTHER);
    }

    #[test]
    fn a_file_that_changes_while_it_is_hashed_is_not_remembered() {
        let place = Place::new();
        let memory = place.0.path().join("memory");
        let later = || SystemTime::now() + Duration::from_secs(10);
        let mut digests = Digests { now: later, ..Digests::open(Some(&memory)) };
        let path = place.file();
        let hash = |_: &mut File| std::fs::write(&path, "longer weights").map(|()| TRUE);
        digests.of(&path, &mut File::open(&path).unwrap(), |_| true, hash).unwrap();
        digests.keep();
        assert_eq!(place.ask(OTHER), OTHER);
    }

    #[test]
    fn a_damaged_memory_is_not_believed_and_written_anew() {
        let place = Place::new();
        place.ask(TRUE);
        let good = std::fs::read_to_string(place.page()).unwrap();
        for bad in ["", "{", &good.replace("\"format\": 1", "\"format\": 2"), &good.replace("inode", "node")]
        {
            std::fs::write(place.page(), bad).unwrap();
            assert_eq!(place.ask(OTHER), OTHER, "{bad} was believed");
            assert_eq!(place.ask(TRUE), OTHER);
        }
    }

    #[test]
    fn files_that_are_gone_are_forgotten() {
        let place = Place::new();
        place.ask(TRUE);
        std::fs::rename(place.file(), place.0.path().join("elsewhere")).unwrap();
        std::fs::write(place.file(), "weights").unwrap();
        place.ask(OTHER);
        let page: Page = notes::read(&place.page()).unwrap().unwrap();
        assert_eq!(page.files.len(), 1);
    }

    #[test]
    fn without_a_memory_nothing_is_remembered() {
        let place = Place::new();
        for hash in [TRUE, OTHER] {
            let mut digests = Digests::open(None);
            let mut file = File::open(place.file()).unwrap();
            assert_eq!(digests.of(&place.file(), &mut file, |_| true, |_| Ok(hash)).unwrap(), hash);
            digests.keep();
        }
    }
}
