//! Keeps what was measured in a file per machine and model, and believes such a file only where all of it fits.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Part, Row, Seat, Tuning, machine::Key};
use crate::{compute::Backend, model::Found, notes};

/// Moves when the meaning of a file does.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    format: u32,
    key: Key,
    tuning: Tuning,
    /// Files from before this was noted lack it.
    #[serde(default)]
    fills_up: Option<bool>,
}

/// What is remembered.
pub(super) struct Remembered {
    /// What was measured.
    pub(super) tuning: Tuning,
    /// Whether texts have to be filled up to the context, once the chosen text tower was warmed up.
    pub(super) fills_up: Option<bool>,
}

/// What was measured before under this key. A file that is damaged or not ours is told of and left unread.
pub(super) fn recall(folder: &Path, key: &Key) -> Option<Remembered> {
    let path = folder.join(key.file_name());
    let page = notes::read::<Page>(&path).and_then(|page| page.map(|page| believe(page, key)).transpose());
    page.unwrap_or_else(|problem| {
        tracing::warn!(path = %path.display(), "what was measured before is not believed: {problem}");
        None
    })
}

fn believe(page: Page, key: &Key) -> Result<Remembered, String> {
    if page.format != FORMAT {
        return Err(format!("it has the format {} instead of {FORMAT}", page.format));
    }
    if page.key != *key {
        return Err("it is of another machine, library, model or configuration".to_owned());
    }
    check(Part::Image, page.tuning.image, &page.tuning, key)?;
    check(Part::Text, page.tuning.text, &page.tuning, key)?;
    Ok(Remembered { tuning: page.tuning, fills_up: page.fills_up })
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
pub(super) fn remember(folder: &Path, key: &Key, tuning: &Tuning, fills_up: Option<bool>) {
    let page = Page { format: FORMAT, key: key.clone(), tuning: tuning.clone(), fills_up };
    if let Err(error) = notes::write(folder, &key.file_name(), &page) {
        tracing::warn!(folder = %folder.display(), "what was measured cannot be remembered: {error}");
    }
}

/// What warming the reference up has shown.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmUp {
    format: u32,
    key: Key,
    found: Found,
}

/// What warming the reference up has shown before under this key. A file that is damaged or not ours is told of and left
/// unread.
pub(super) fn recall_found(folder: &Path, key: &Key) -> Option<Found> {
    let path = folder.join(warm_up_file(key));
    let problem = match notes::read::<WarmUp>(&path) {
        Ok(None) => return None,
        Ok(Some(note)) if note.format == FORMAT && note.key == *key => return Some(note.found),
        Ok(Some(_)) => "it is of another format, machine, library, model or configuration".to_owned(),
        Err(problem) => problem,
    };
    tracing::warn!(path = %path.display(), "what warming up has shown before is not believed: {problem}");
    None
}

/// Writes the file whole or not at all. Failing is told of, and costs the next start some time.
pub(super) fn remember_found(folder: &Path, key: &Key, found: Found) {
    let note = WarmUp { format: FORMAT, key: key.clone(), found };
    if let Err(error) = notes::write(folder, &warm_up_file(key), &note) {
        tracing::warn!(folder = %folder.display(), "what warming up has shown cannot be remembered: {error}");
    }
}

/// Beside the file of what was measured: the reference may be measured, too.
fn warm_up_file(key: &Key) -> String {
    key.file_name().replacen("tuning", "warm-up", 1)
}

impl Key {
    /// The operator named this backend.
    fn insists_on(&self, backend: Backend) -> bool {
        self.choice() == backend.to_string()
    }
}
