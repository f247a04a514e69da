//! Small files of JSON in the memory folder: written whole or not at all, and bounded when they are read.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

/// Far more than anything that is noted takes.
const MOST_BYTES: u64 = 1 << 20;

/// What a file says; nothing where there is none. The problem with a damaged one is told in words.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
}

/// Makes the folder where it is missing. Processes that write at the same time each write their own; the last one stays.
pub(crate) fn write(folder: &Path, name: &str, note: &impl Serialize) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name);
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = File::create(&unfinished)?;
    file.write_all(&serde_json::to_vec_pretty(note)?)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, &path)
}
