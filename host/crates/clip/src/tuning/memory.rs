//! Keeps what was measured in a file per machine and model, and believes such a file only where all of it fits.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{Part, Row, Seat, Tuning, machine::Key};
use crate::compute::Backend;

/// Moves when the meaning of a file does.
const FORMAT: u32 = 1;
/// Far more than all backends at all batches take.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    format: u32,
    key: Key,
    tuning: Tuning,
}

/// What was measured before under this key. A file that is damaged or not ours is told of and left unread.
pub(super) fn recall(folder: &Path, key: &Key) -> Option<Tuning> {
    let path = folder.join(key.file_name());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), "what was measured before cannot be read: {error}");
            return None;
        }
    };
    match read(file, key) {
        Ok(tuning) => Some(tuning),
        Err(problem) => {
            tracing::warn!(path = %path.display(), "what was measured before is not believed: {problem}");
            None
        }
    }
}

fn read(file: File, key: &Key) -> Result<Tuning, String> {
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let page: Page = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if page.format != FORMAT {
        return Err(format!("it has the format {} instead of {FORMAT}", page.format));
    }
    if page.key != *key {
        return Err("it is of another machine, library, model or configuration".to_owned());
    }
    check(Part::Image, page.tuning.image, &page.tuning, key)?;
    check(Part::Text, page.tuning.text, &page.tuning, key)?;
    Ok(page.tuning)
}

/// A seat follows from the rows that are there: none may put in a backend or a batch that was not measured.
fn check(part: Part, seat: Seat, tuning: &Tuning, key: &Key) -> Result<(), String> {
    let of_it = |row: &&Row| row.part == part && row.chosen && row.backend == seat.backend;
    let mut chosen = tuning.rows.iter().filter(of_it);
    let measured = (1..=key.max_batch()).contains(&seat.batch)
        && chosen.any(|row| row.batch == seat.batch && row.ms_per_item.is_some());
    // Only an operator who insists on a backend gets one that gives other vectors.
    let same = |row: &Row| row.part != part || row.backend != seat.backend || row.refused.is_none();
    let allowed =
        seat.same_space == tuning.rows.iter().all(same) && (seat.same_space || key.insists_on(seat.backend));
    if measured && allowed {
        Ok(())
    } else {
        Err(format!("{} was not chosen by what was measured", seat.backend))
    }
}

/// Writes the file whole or not at all. Failing is told of, and costs the next start some time.
pub(super) fn remember(folder: &Path, key: &Key, tuning: &Tuning) {
    let page = Page { format: FORMAT, key: key.clone(), tuning: tuning.clone() };
    if let Err(error) = write(folder, &page) {
        tracing::warn!(folder = %folder.display(), "what was measured cannot be remembered: {error}");
    }
}

fn write(folder: &Path, page: &Page) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(page.key.file_name());
    // Processes that measure at the same time each write their own.
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = File::create(&unfinished)?;
    file.write_all(&serde_json::to_vec_pretty(page)?)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, &path)
}

impl Key {
    /// The operator named this backend.
    fn insists_on(&self, backend: Backend) -> bool {
        self.choice() == backend.to_string()
    }
}
