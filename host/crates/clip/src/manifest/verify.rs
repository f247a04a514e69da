//! Are the files of a model folder there, and are they the ones the manifest means?

use std::{fs::File, io::Read, path::Path};

use sha2::{Digest, Sha256};
use taja_catalog::Space;

use super::{Manifest, ModelFile, digests::Digests};

/// Told after each piece of a file: its name, bytes read, bytes there are.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// The files of a model folder were there and matched their pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// SHA-256 of every file, in the manifest's order.
    pub digests: Vec<[u8; 32]>,
    /// The space of its vectors: the name, `@`, and the first 16 hex digits of the SHA-256 over all digests.
    pub space: Space,
}

/// What is wrong with a model folder. All of it together.
#[derive(Debug, thiserror::Error)]
#[error("model {name} in {folder} cannot be used; run set-up again to fetch what is wrong:\n  {}", .problems.join("\n  "))]
pub struct VerifyError {
    /// The model.
    pub name: String,
    /// Its folder.
    pub folder: String,
    /// One line each.
    pub problems: Vec<String>,
}

impl Manifest {
    /// Reads every file of the folder once, and compares sizes and digests where they are pinned.
    pub fn verify(&self, folder: &Path, progress: Progress<'_>) -> Result<Verified, VerifyError> {
        self.compare(folder, &mut Digests::open(None), progress)
    }

    /// The same for a start, which does not read what has not changed since it was read before: `memory` is a folder for
    /// what is remembered.
    pub fn verify_changed(&self, folder: &Path, memory: Option<&Path>) -> Result<Verified, VerifyError> {
        let mut digests = Digests::open(memory);
        let verified = self.compare(folder, &mut digests, &mut |_, _, _| {});
        digests.keep();
        verified
    }

    fn compare(
        &self,
        folder: &Path,
        known: &mut Digests,
        progress: Progress<'_>,
    ) -> Result<Verified, VerifyError> {
        let mut problems = Vec::new();
        let mut digests = Vec::new();
        for file in self.files() {
            match check(file, folder, known, progress) {
                Ok(digest) => digests.push(digest),
                Err(problem) => problems.push(format!("{}: {problem}", file.file)),
            }
        }
        if !problems.is_empty() {
            return Err(VerifyError {
                name: self.name.clone(),
                folder: folder.display().to_string(),
                problems,
            });
        }
        let joint = hex(&Sha256::digest(digests.concat()));
        let id = format!("{}@{}", self.name, &joint[..16]);
        Ok(Verified { digests, space: Space { id, model: self.name.clone(), dimension: self.dimension } })
    }
}

fn check(
    file: &ModelFile,
    folder: &Path,
    known: &mut Digests,
    progress: Progress<'_>,
) -> Result<[u8; 32], String> {
    let path = folder.join(&file.file);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "is missing".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let mut reader = File::open(&path).map_err(unreadable)?;
    let size = reader.metadata().map_err(unreadable)?.len();
    if let Some(pinned) = file.size_bytes.filter(|pinned| *pinned != size) {
        return Err(format!("has {size} bytes instead of {pinned}"));
    }
    let pinned = |digest: &[u8; 32]| file.sha256.as_ref().is_none_or(|pinned| *pinned == hex(digest));
    let hash = |reader: &mut File| digest(reader, |done| progress(&file.file, done, size));
    let digest = known.of(&path, &mut reader, pinned, hash).map_err(unreadable)?;
    match &file.sha256 {
        Some(expected) if !pinned(&digest) => {
            Err(format!("has SHA-256 {} instead of {expected}", hex(&digest)))
        }
        _ => Ok(digest),
    }
}

fn digest(reader: &mut File, mut progress: impl FnMut(u64)) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&piece[..read]);
        done += read as u64;
        progress(done);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn tiny() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tiny/sentence")
    }

    fn manifest(edit: impl Fn(String) -> String) -> Manifest {
        let text = std::fs::read_to_string(tiny().join("model.toml")).unwrap();
        Manifest::parse(&edit(text), "model.toml").unwrap()
    }

    #[test]
    fn a_whole_folder_is_verified_with_progress() {
        let mut told = Vec::new();
        let verified = manifest(|text| text)
            .verify(&tiny(), &mut |name, done, size| told.push((name.to_owned(), done == size)))
            .unwrap();
        assert_eq!((verified.digests.len(), told.len()), (5, 5));
        assert!(told.iter().all(|(_, whole)| *whole));
        assert!(verified.space.id.starts_with("tiny-sentence@") && verified.space.id.len() == 14 + 16);
    }

    #[test]
    fn the_space_depends_on_every_file() {
        let space = |folder: &Path| {
            manifest(|text| text.replace("sha256", "#")).verify(folder, &mut |_, _, _| {}).unwrap().space
        };
        let copy = tempfile::tempdir().unwrap();
        for file in manifest(|text| text).files() {
            std::fs::copy(tiny().join(&file.file), copy.path().join(&file.file)).unwrap();
        }
        assert_eq!(space(copy.path()), space(&tiny()));
        std::fs::write(copy.path().join("text-head.safetensors"), b"other").unwrap();
        assert_ne!(space(copy.path()), space(&tiny()));
    }

    #[test]
    fn a_start_believes_what_is_remembered_and_a_full_check_does_not() {
        let memory = tempfile::tempdir().unwrap();
        let unpinned = manifest(|text| text.replace("sha256", "#"));
        let start = || unpinned.verify_changed(&tiny(), Some(memory.path())).unwrap().digests;
        let check = || unpinned.verify(&tiny(), &mut |_, _, _| {}).unwrap().digests;
        assert_eq!(start(), check());
        let page = memory.path().join("digests.json");
        let mut known: serde_json::Value = serde_json::from_slice(&std::fs::read(&page).unwrap()).unwrap();
        let files = known["files"].as_object_mut().unwrap();
        assert_eq!(files.len(), 5);
        files.values_mut().for_each(|file| file["sha256"] = vec![7; 32].into());
        std::fs::write(page, known.to_string()).unwrap();
        assert_eq!(start(), [[7; 32]; 5]);
        assert_ne!(check(), [[7; 32]; 5]);
        // What no pin allows is hashed again rather than complained about.
        let pinned = manifest(|text| text).verify_changed(&tiny(), Some(memory.path()));
        assert_eq!(pinned.unwrap().digests, check());
    }

    #[test]
    fn all_that_is_wrong_is_reported_together() {
        let edited = manifest(|text| {
            text.replace("file = \"image.onnx\"", "file = \"gone.onnx\"")
                .replacen("size_bytes = 0\noutput", "size_bytes = 5\noutput", 1)
                .replace("file = \"tokenizer.json\"", "file = \"model.toml\"")
        });
        let problems = edited.verify(&tiny(), &mut |_, _, _| {}).unwrap_err().problems.join("\n");
        for expected in ["gone.onnx: is missing", "instead of 5", "model.toml: has SHA-256"] {
            assert!(problems.contains(expected), "{expected} is missing in:\n{problems}");
        }
    }
}
