//! The derived files, as they are and as they should be.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Folders in which every file is a derived one.
const FOLDERS: [&str; 1] = [crate::typescript::FOLDER];

/// The folder of the whole project.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).expect("this crate lies three folders deep")
}

/// Paths below [`root`], each with its text.
pub(crate) struct Files(Vec<(PathBuf, String)>);

impl Files {
    pub(crate) fn new(files: Vec<(PathBuf, String)>) -> Self {
        Self(files)
    }

    /// The files that differ from what they should be, are missing, or are no longer made.
    pub(crate) fn stale(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut stale = self.leftover()?;
        for (path, text) in &self.0 {
            if read(&root().join(path))?.as_ref() != Some(text) {
                stale.push(path.clone());
            }
        }
        stale.sort();
        Ok(stale)
    }

    /// Brings all files up to date.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        for path in self.leftover()? {
            fs::remove_file(root().join(&path)).with_context(|| path.display().to_string())?;
        }
        for (path, text) in &self.0 {
            let whole = root().join(path);
            let folder = whole.parent().unwrap_or(root());
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            fs::write(&whole, text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Files of an earlier contract.
    fn leftover(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut leftover = Vec::new();
        for folder in FOLDERS.map(Path::new) {
            let entries = match fs::read_dir(root().join(folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.with_context(|| folder.display().to_string())?,
            };
            for entry in entries {
                let path = folder.join(entry?.file_name());
                if self.0.iter().all(|(made, _)| *made != path) {
                    leftover.push(path);
                }
            }
        }
        Ok(leftover)
    }
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => Ok(Some(text.with_context(|| path.display().to_string())?)),
    }
}
