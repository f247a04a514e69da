//! Runs probes through a tower and notes how long it takes and how far its vectors are from the reference's.

use std::time::{Duration, Instant};

use super::{Part, Row, SAME_SPACE};
use crate::{
    clock::{Clock, Took},
    compute::Backend,
    error::ClipError,
    tower::{Tower, cosine},
};

/// Enough runs of one batch.
const RUNS: usize = 5;
/// Or enough time spent on them.
const BUDGET: Duration = Duration::from_millis(1500);

/// The measuring of one tower.
pub(super) struct Run {
    pub(super) part: Part,
    pub(super) threads: usize,
    pub(super) max_batch: usize,
    /// Batches are made of as many probes, from the first.
    pub(super) timed: usize,
    pub(super) rows: Vec<Row>,
}

impl Run {
    /// Tries all candidates, the reference first. Only the reference has to run.
    pub(super) fn all<T: Tower>(
        &mut self,
        candidates: &[Backend],
        probes: &[T::Item],
        open: impl Fn(Backend) -> Result<T, ClipError>,
    ) -> Result<(), ClipError> {
        let mut reference = None;
        for &backend in candidates {
            let outcome = open(backend).and_then(|mut tower| {
                self.one(backend, &mut tower, probes, reference.as_deref())
                    .map_err(|problem| ClipError::Config(format!("{backend} {problem}")))
            });
            match outcome {
                Ok(vectors) if reference.is_none() => reference = Some(vectors),
                Ok(_) => {}
                Err(error) if reference.is_none() => return Err(error),
                Err(error) => self.refuse(backend, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Gives the vectors of all probes, each computed alone.
    fn one<T: Tower>(
        &mut self,
        backend: Backend,
        tower: &mut T,
        probes: &[T::Item],
        reference: Option<&[Vec<f32>]>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let mut alone = Vec::new();
        for probe in probes {
            alone.extend(tower.run(&[probe])?);
        }
        let most = self.max_batch.min(tower.batch_limit());
        for batch in
            std::iter::successors(Some(1), |batch| Some(batch * 2)).take_while(|batch| *batch <= most)
        {
            let items: Vec<_> = probes.iter().take(self.timed).cycle().take(batch).collect();
            let (took, vectors) = self.fastest(backend, tower, &items)?;
            let expected = reference.unwrap_or(&alone);
            let mut cosine = lowest(&vectors, &expected[..self.timed.min(expected.len())]);
            if batch == 1 {
                cosine = lowest(&alone, expected);
            }
            let refused = (cosine.is_nan() || cosine < SAME_SPACE)
                .then(|| format!("its vectors are others: cosine {cosine:.4} to the reference"));
            let each = |took: Duration| Some(took.as_secs_f64() * 1e3 / batch as f64);
            let (ms_per_item, ms_alone) = (each(took.wall), each(took.alone));
            self.rows.push(Row {
                ms_per_item,
                ms_alone,
                cosine: Some(cosine),
                refused,
                ..self.row(backend, batch)
            });
        }
        Ok(alone)
    }

    /// The shortest of several runs.
    fn fastest<T: Tower>(
        &self,
        backend: Backend,
        tower: &mut T,
        items: &[&T::Item],
    ) -> Result<(Took, Vec<Vec<f32>>), String> {
        let begun = Instant::now();
        // The first run of a shape compiles or packs for it.
        let mut vectors = tower.run(items)?;
        let mut shortest = Took { wall: Duration::MAX, alone: Duration::MAX };
        for _ in 0..RUNS {
            let clock = Clock::start();
            vectors = tower.run(items)?;
            let took = clock.stop(backend, self.threads);
            shortest = Took { wall: shortest.wall.min(took.wall), alone: shortest.alone.min(took.alone) };
            if begun.elapsed() > BUDGET {
                break;
            }
        }
        Ok((shortest, vectors))
    }

    fn refuse(&mut self, backend: Backend, problem: &str) {
        self.rows.retain(|row| row.backend != backend);
        let refused = Some(shortened(problem));
        self.rows.push(Row { refused, ..self.row(backend, 1) });
    }

    fn row(&self, backend: Backend, batch: usize) -> Row {
        let (part, threads) = (self.part, self.threads);
        Row {
            part,
            backend,
            threads,
            batch,
            ms_per_item: None,
            ms_alone: None,
            cosine: None,
            refused: None,
            chosen: false,
        }
    }
}

/// One line of what may be a page: libraries say what they were doing first and what went wrong last.
fn shortened(problem: &str) -> String {
    let line = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters: Vec<char> = line.chars().collect();
    match letters.len() {
        0..=400 => line,
        count => [&letters[..180], &[' ', '…', ' '], &letters[count - 180..]].concat().into_iter().collect(),
    }
}

fn lowest(vectors: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let cosines = vectors.iter().zip(expected.iter().cycle()).map(|(a, b)| cosine(a, b));
    // NaN stays NaN, which `f64::min` would lose.
    cosines.fold(1.0, |lowest: f64, one| if one.is_nan() || one < lowest { one } else { lowest })
}
