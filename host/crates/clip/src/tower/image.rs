//! Pixels in, vectors out.

use ort::{
    session::Session,
    value::{TensorElementType, TensorRef},
};

use super::{Loader, Tower, session};
use crate::{error::ClipError, head::Head, manifest};

/// The image tower of a model.
pub(crate) struct ImageTower {
    session: Session,
    input: String,
    output: String,
    size: usize,
    head: Head,
    batch_limit: usize,
}

impl ImageTower {
    /// `known_batch` is how many pictures may be run at once, where that was found out before.
    pub(crate) fn load(
        loader: &Loader<'_>,
        tower: &manifest::ImageTower,
        known_batch: Option<usize>,
    ) -> Result<Self, ClipError> {
        let session = loader.session(&tower.model)?;
        let head = loader.head(tower.head.as_ref())?;
        let problem = |problem| ClipError::model(&tower.model.file, problem);
        let batch_limit = Self::check(loader, &session, tower).map_err(problem)?;
        let (input, output, size) = (tower.input.clone(), tower.output.clone(), tower.preprocess.size);
        let mut tower = Self { session, input, output, size, head, batch_limit };
        tower.warm_up(loader.dimension, known_batch).map_err(problem)?;
        Ok(tower)
    }

    fn check(loader: &Loader<'_>, session: &Session, tower: &manifest::ImageTower) -> Result<usize, String> {
        let input = session::named(session.inputs(), &tower.input, "input")?;
        session::named(session.outputs(), &tower.output, "output")?;
        let (element, shape) = session::tensor_type(input)?;
        if element != TensorElementType::Float32 {
            return Err(format!("takes {element:?} as {}; only Float32 is fed", tower.input));
        }
        let size = tower.preprocess.size as i64;
        match shape[..] {
            [batch, 3 | -1, height, width]
                if [height, width].iter().all(|side| *side == size || *side < 0) =>
            {
                loader.batch_limit(batch)
            }
            _ => Err(format!(
                "takes {} of the shape {shape:?}, the manifest makes [_, 3, {size}, {size}]",
                tower.input
            )),
        }
    }

    /// Runs pictures that have nothing in common: the first real request must not be the first at all.
    fn warm_up(&mut self, dimension: usize, known_batch: Option<usize>) -> Result<(), String> {
        let len = 3 * self.size * self.size;
        let flat = vec![0.3; len];
        if let Some(batch) = known_batch {
            super::expect_dimension(&super::each(self, &[flat])?, dimension)?;
            self.batch_limit = self.batch_limit.min(batch);
            return Ok(());
        }
        let slope = (0..len).map(|place| place as f32 / len as f32 * 4.0 - 2.0).collect();
        let noise = (0..len as u32)
            .map(|place| (place.wrapping_mul(2_654_435_761) >> 16) as f32 / 16_384.0 - 2.0)
            .collect();
        let limit = super::safe_batch(self, &[flat, slope, noise], dimension, self.batch_limit)?;
        self.batch_limit = limit;
        Ok(())
    }
}

impl Tower for ImageTower {
    type Item = Vec<f32>;

    fn run(&mut self, items: &[&Self::Item]) -> Result<Vec<Vec<f32>>, String> {
        // One picture is read where it lies; several are laid behind each other.
        let joined;
        let pixels = match items {
            [item] => item.as_slice(),
            _ => {
                joined = items.iter().map(|item| item.as_slice()).collect::<Vec<_>>().concat();
                &joined
            }
        };
        let tensor = TensorRef::from_array_view(([items.len(), 3, self.size, self.size], pixels));
        let tensor = tensor.map_err(|error| error.to_string())?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => tensor]);
        let outputs = outputs.map_err(|error| error.to_string())?;
        let (shape, data) = session::output(&outputs, &self.output, items.len())?;
        let [_, size] = shape[..] else {
            return Err(format!("output {} has the shape {shape:?} instead of [batch, n]", self.output));
        };
        data.chunks_exact(size).map(|vector| map(&self.head, vector.to_vec())).collect()
    }

    fn batch_limit(&self) -> usize {
        self.batch_limit
    }
}

/// Through the head, if the vector fits it.
pub(super) fn map(head: &Head, vector: Vec<f32>) -> Result<Vec<f32>, String> {
    match head.input() {
        Some(input) if input != vector.len() => {
            Err(format!("gives {} components, and its head takes {input}", vector.len()))
        }
        _ => Ok(head.apply(vector)),
    }
}
