//! What was sent of a file, written down beside it while it is imported: so the same command goes on after an interruption,
//! and begins anew after an end.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use taja_catalog::ImageHash;
use taja_queue::JobId;

/// What the name of a journal ends with.
const ENDING: &str = ".importing";
/// What it begins with; the import's name follows.
const HEADING: &str = "taja import ";
/// How long one is believed that nobody wrote to: the server forgets jobs and results after a day.
const BELIEVED: Duration = Duration::from_secs(20 * 3600);

/// A journal, of which each line but the first names a part of the file and the job that takes it in.
#[derive(Debug)]
pub struct Journal {
    /// Tells this import from another one of the same file.
    name: String,
    jobs: HashMap<String, String>,
    kept: Option<(PathBuf, File)>,
}

impl Journal {
    /// Of an import that nobody goes on with.
    pub fn unkept() -> Self {
        Self { name: JobId::new().to_string(), jobs: HashMap::new(), kept: None }
    }

    /// Goes on with that of an interrupted import of this file; else, or when it is to be anew, begins one.
    pub fn open(imported: &Path, anew: bool) -> io::Result<Self> {
        let path = beside(imported);
        let earlier = if anew { None } else { read(&path)? };
        let (name, jobs) = earlier.unwrap_or_else(|| (JobId::new().to_string(), HashMap::new()));
        let mut text = format!("{HEADING}{name}\n");
        jobs.iter().for_each(|(part, job)| text += &line(part, job));
        // Whole and in one step: a line that an interruption cut off is not written on.
        let written = path.with_added_extension("part");
        fs::write(&written, text)?;
        fs::rename(&written, &path)?;
        let file = File::options().append(true).open(&path)?;
        Ok(Self { name, jobs, kept: Some((path, file)) })
    }

    /// The job that took a part.
    pub fn job_of(&self, part: &ImageHash) -> Option<String> {
        self.jobs.get(&part.to_string()).cloned()
    }

    /// What names the request that brings a part.
    pub fn key_of(&self, part: &ImageHash) -> ImageHash {
        ImageHash::of(format!("{} {part}", self.name).as_bytes())
    }

    /// Notes which job took a part.
    pub fn note(&mut self, part: &ImageHash, job: &str) -> io::Result<()> {
        let part = part.to_string();
        if let Some((_, file)) = &mut self.kept {
            file.write_all(line(&part, job).as_bytes())?;
        }
        self.jobs.insert(part, job.to_owned());
        Ok(())
    }

    /// The import is over: the next one is another one.
    pub fn close(self) -> io::Result<()> {
        match self.kept.map(|(path, _)| fs::remove_file(path)) {
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Where the journal of a file lies.
pub fn beside(imported: &Path) -> PathBuf {
    let mut path = imported.as_os_str().to_owned();
    path.push(ENDING);
    path.into()
}

fn line(part: &str, job: &str) -> String {
    format!("{part} {job}\n")
}

/// What an earlier import left, if it can be gone on with.
fn read(path: &Path) -> io::Result<Option<(String, HashMap<String, String>)>> {
    let text = match fs::read_to_string(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            return Ok(None);
        }
        text => text?,
    };
    let is_old = fs::metadata(path)?.modified()?.elapsed().is_ok_and(|age| age > BELIEVED);
    // What an interruption cut off has no end.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let name = lines.next().and_then(|line| line.strip_prefix(HEADING)).filter(|_| !is_old);
    let jobs = lines.filter_map(|line| line.split_once(' '));
    Ok(name.map(|name| (name.to_owned(), jobs.map(|(part, job)| (part.into(), job.into())).collect())))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_import_is_gone_on_with_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.ndjson");
        let [one, other] = ["one", "other"].map(|part| ImageHash::of(part.as_bytes()));
        let mut journal = Journal::open(&file, false).unwrap();
        let key = journal.key_of(&one);
        journal.note(&one, "job").unwrap();
        drop(journal);
        let cut = fs::read_to_string(beside(&file)).unwrap() + &format!("{other} jo");
        fs::write(beside(&file), cut).unwrap();

        let mut again = Journal::open(&file, false).unwrap();
        assert_eq!(
            (again.key_of(&one), again.job_of(&one), again.job_of(&other)),
            (key, Some("job".into()), None)
        );
        again.note(&other, "another").unwrap();
        drop(again);
        let again = Journal::open(&file, false).unwrap();
        assert_eq!((again.job_of(&one), again.job_of(&other)), (Some("job".into()), Some("another".into())));
        again.close().unwrap();
        let new = Journal::open(&file, false).unwrap();
        assert_eq!((new.key_of(&one) == key, new.job_of(&one)), (false, None));
    }

    #[test]
    fn what_is_old_or_no_journal_or_not_wanted_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.csv");
        let part = ImageHash::of(b"part");
        let begun = |anew| {
            let journal = Journal::open(&file, anew).unwrap();
            (journal.key_of(&part), journal)
        };
        let (key, _) = begun(false);
        assert_eq!(begun(false).0, key);
        let (other, journal) = begun(true);
        assert_ne!(other, key);
        let long_ago = SystemTime::now() - BELIEVED - Duration::from_secs(60);
        journal.kept.unwrap().1.set_modified(long_ago).unwrap();
        let (new, _) = begun(false);
        assert_ne!(new, other);
        fs::write(beside(&file), b"\xff\n").unwrap();
        assert_ne!(begun(false).0, new);
        fs::write(beside(&file), "a line of somebody else's\n").unwrap();
        assert_ne!(begun(false).0, new);
    }
}
