//! Which backend computes each tower here: measured on the model itself, held against the reference, remembered.
//!
//! Every backend of the library runs the same probes. One whose vector of any probe has a cosine below [`SAME_SPACE`] to
//! that of the reference (`cpu/f32`) is refused: its vectors must not be mixed with others. All that pass share one space,
//! so an index made on one machine is searched on another. Of those the fastest is chosen, by the time of one item alone
//! plus the time per item of its best batch; a tie goes to the more exact.

mod machine;
mod memory;
mod probes;
mod stopwatch;

use std::{path::Path, time::Duration};

use memory::Remembered;
use serde::{Deserialize, Serialize};

use crate::{
    compute::{Backend, Choice, Compute},
    error::ClipError,
    model::{Found, Model},
    provider,
    tower::{ImageTower, TextTower, Tower},
};

/// The cosine from which vectors of two backends count as of one space. What stays below turns the order of near
/// neighbours over; `bf16` reaches 0.9999 on CLIP's towers.
pub(crate) const SAME_SPACE: f64 = 0.999;

/// How much faster a less exact backend has to be.
const WORTHWHILE: f64 = 0.95;

/// The longest that measuring and loading may take: a large model on few cores, on every backend.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1800);

/// A part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Pictures to vectors.
    Image,
    /// Texts to vectors.
    Text,
}

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The tower.
    pub part: Part,
    /// What computed it.
    pub backend: Backend,
    /// On how many threads, where it is the processor.
    pub threads: usize,
    /// Items run together.
    pub batch: usize,
    /// Milliseconds per item, the best of several runs; nothing where it does not run.
    pub ms_per_item: Option<f64>,
    /// The same without the time that other programs took from it meanwhile, by which backends are compared: a busy machine
    /// must not have the wrong one remembered.
    pub ms_alone: Option<f64>,
    /// The lowest cosine between a probe's vector and the reference's.
    pub cosine: Option<f64>,
    /// Why it may not serve.
    pub refused: Option<String>,
    /// It serves.
    pub chosen: bool,
}

/// What was measured of a model on a machine, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// All that was tried, tower by tower, the reference first.
    pub rows: Vec<Row>,
    /// What serves pictures.
    pub image: Seat,
    /// What serves texts.
    pub text: Seat,
}

/// What serves a tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// What computes it.
    pub backend: Backend,
    /// Most items that are worth running together.
    pub batch: usize,
    /// Its vectors are of the reference's space.
    pub same_space: bool,
}

impl Seat {
    fn untuned(batch: usize) -> Self {
        Self { backend: Backend::REFERENCE, batch, same_space: true }
    }
}

impl Tuning {
    /// The reference, with batches as configured; nothing was measured.
    fn untuned(max_batch: usize) -> Self {
        Self { rows: Vec::new(), image: Seat::untuned(max_batch), text: Seat::untuned(max_batch) }
    }

    /// What follows the id of the space where the operator insists on a backend that gives other vectors.
    pub(crate) fn space_suffix(&self) -> Option<String> {
        let other = [self.image, self.text].into_iter().find(|seat| !seat.same_space)?;
        Some(format!("-{}-{}", other.backend.provider(), other.backend.precision()))
    }
}

/// The towers on what serves this model here: remembered, or measured now and remembered.
pub(crate) fn towers(
    model: &Model,
    compute: &Compute,
    max_batch: usize,
) -> Result<(Tuning, ImageTower, TextTower), ClipError> {
    let key = machine::Key::of(model, compute.choice, max_batch);
    if compute.choice == Choice::Fixed(Backend::REFERENCE) {
        return reference(model, compute.memory.as_deref(), &key);
    }
    let remembered = compute.memory.as_deref().and_then(|folder| memory::recall(folder, &key));
    let opened = remembered.and_then(|Remembered { tuning, fills_up }| {
        let opened = open(model, tuning, fills_up);
        let told = |error| {
            tracing::warn!("what served before does not start, so all is measured again: {error}");
        };
        opened.map_err(told).ok().map(|opened| (opened, fills_up))
    });
    let (opened, noted) = match opened {
        Some(opened) => opened,
        None => (open(model, try_all(model, compute.choice, max_batch)?, None)?, None),
    };
    if let (Some(folder), None) = (&compute.memory, noted) {
        let (tuning, _, text) = &opened;
        memory::remember(folder, &key, tuning, Some(text.fills_up()));
    }
    Ok(opened)
}

/// The towers on the reference, of which nothing is measured; but what their warming up shows is remembered.
fn reference(
    model: &Model,
    folder: Option<&Path>,
    key: &machine::Key,
) -> Result<(Tuning, ImageTower, TextTower), ClipError> {
    let tuning = Tuning::untuned(key.max_batch());
    let known = folder.and_then(|folder| memory::recall_found(folder, key));
    let (image, text) = model.towers(tuning.image.backend, tuning.text.backend, known.unwrap_or_default())?;
    if let (Some(folder), None) = (folder, known) {
        let most = |batch: usize| batch.min(key.max_batch());
        let texts = Some((most(text.batch_limit()), text.fills_up()));
        memory::remember_found(folder, key, Found { pictures: Some(most(image.batch_limit())), texts });
    }
    Ok((tuning, image, text))
}

/// The towers on what was measured to serve them. What was measured together may run together.
fn open(
    model: &Model,
    tuning: Tuning,
    fills_up: Option<bool>,
) -> Result<(Tuning, ImageTower, TextTower), ClipError> {
    let found = Found {
        pictures: Some(tuning.image.batch),
        texts: fills_up.map(|fills_up| (tuning.text.batch, fills_up)),
    };
    let (image, text) = model.towers(tuning.image.backend, tuning.text.backend, found)?;
    Ok((tuning, image, text))
}

/// Measures anew, and remembers it where there is a memory.
pub(crate) fn measure(model: &Model, compute: &Compute, max_batch: usize) -> Result<Tuning, ClipError> {
    let tuning = try_all(model, compute.choice, max_batch)?;
    if let Some(folder) = &compute.memory {
        memory::remember(folder, &machine::Key::of(model, compute.choice, max_batch), &tuning, None);
    }
    Ok(tuning)
}

/// Tries whatever may compute the model here.
fn try_all(model: &Model, choice: Choice, max_batch: usize) -> Result<Tuning, ClipError> {
    tracing::info!(model = %model.space.id, %choice, "measuring what computes this model fastest here");
    let candidates: Vec<Backend> = match choice {
        Choice::Auto => Backend::all().filter(|backend| provider::is_built_in(backend.provider())).collect(),
        Choice::Fixed(Backend::REFERENCE) => vec![Backend::REFERENCE],
        Choice::Fixed(backend) => vec![Backend::REFERENCE, backend],
    };
    let (pictures, texts) =
        (probes::pictures(&model.manifest.image.preprocess), probes::texts(&model.tokenizer)?);
    let run =
        |part, timed| stopwatch::Run { part, threads: model.threads, max_batch, timed, rows: Vec::new() };
    let mut image = run(Part::Image, pictures.len());
    image.all(&candidates, &pictures, |backend| model.image(backend, None))?;
    let mut text = run(Part::Text, probes::USUAL_TEXTS);
    text.all(&candidates, &texts, |backend| model.text(backend, None))?;
    let (image_seat, text_seat) = (seat(&mut image.rows, choice)?, seat(&mut text.rows, choice)?);
    let rows = [image.rows, text.rows].concat();
    Ok(Tuning { rows, image: image_seat, text: text_seat })
}

/// Who serves, of what was measured of one tower; marks its row.
fn seat(rows: &mut [Row], choice: Choice) -> Result<Seat, ClipError> {
    let backend = match choice {
        Choice::Fixed(backend) => backend,
        Choice::Auto => fastest(rows),
    };
    let of_it = || rows.iter().filter(|row| row.backend == backend);
    if let Some(problem) = of_it().find(|row| row.ms_per_item.is_none()).and_then(|row| row.refused.clone()) {
        return Err(ClipError::Config(problem));
    }
    let same_space = of_it().all(|row| row.refused.is_none());
    let batch = best_batch(of_it());
    for row in rows.iter_mut() {
        row.chosen = row.backend == backend && row.batch == batch;
    }
    Ok(Seat { backend, batch, same_space })
}

/// The batch of the least time per item; a larger one has to be worth its longer wait.
fn best_batch<'a>(rows: impl Iterator<Item = &'a Row>) -> usize {
    let mut best = (1, f64::INFINITY);
    for (batch, ms) in rows.filter_map(|row| Some((row.batch, row.ms_alone?))) {
        if ms < best.1 * 0.98 {
            best = (batch, ms);
        }
    }
    best.0
}

fn fastest(rows: &[Row]) -> Backend {
    let mut best = (Backend::REFERENCE, cost(rows, Backend::REFERENCE).unwrap_or(f64::INFINITY));
    for backend in Backend::all() {
        match cost(rows, backend) {
            Some(cost) if cost < best.1 * WORTHWHILE => best = (backend, cost),
            _ => {}
        }
    }
    best.0
}

/// Milliseconds of one item alone and of one in its best batch together; none for what may not serve.
fn cost(rows: &[Row], backend: Backend) -> Option<f64> {
    let of_it = || rows.iter().filter(|row| row.backend == backend);
    if of_it().any(|row| row.refused.is_some()) {
        return None;
    }
    let alone = of_it().find(|row| row.batch == 1)?.ms_alone?;
    Some(alone + of_it().filter_map(|row| row.ms_alone).fold(alone, f64::min))
}

#[cfg(test)]
mod tests;
