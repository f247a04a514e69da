//! `taja:host/embed`: vectors behind handles.

use std::sync::Arc;

use taja_catalog::{Embedding, Picture};
use wasmtime::component::Resource;

use crate::{
    bindings::host::{
        embed::{Host, HostEmbeddings},
        media::Image,
    },
    host::media::{ImageEntry, MAX_FRAMES},
    manifest::Capability,
    refusal::{Answer, Refusal},
    state::{GuestState, Held},
};

/// Texts of one call.
const MAX_TEXTS: usize = 64;
/// Longest text that is looked at, bytes; a model's context is far shorter.
pub(crate) const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Rows of one batch.
const MAX_ROWS: usize = 1024;
/// What has to be left of a weighted sum, as a share of its weights: of less only the rounding has a direction.
const LEFT_OF_BLEND: f64 = 1e-5;

/// A batch of vectors behind a handle.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "generated code re-exports it as public")]
pub struct Rows {
    pub(crate) vectors: Arc<[Embedding]>,
    /// For each row the place of its picture in its video, milliseconds.
    pub(crate) at_ms: Arc<[Option<u32>]>,
}

impl Rows {
    fn new(vectors: Vec<Embedding>, at_ms: Vec<Option<u32>>) -> Self {
        Self { vectors: vectors.into(), at_ms: at_ms.into() }
    }

    fn row(&self, row: u32) -> Answer<&Embedding> {
        let rows = self.vectors.len();
        self.vectors
            .get(row as usize)
            .ok_or_else(|| Refusal::invalid(format!("row {row} is beyond the {rows} rows there are")))
    }

    /// The weighted sum of all rows. Made of one row it keeps that row's place in the video.
    fn blend(&self, weights: &[f32]) -> Answer<Self> {
        if weights.len() != self.vectors.len() {
            let (rows, weights) = (self.vectors.len(), weights.len());
            return Err(Refusal::invalid(format!("{rows} rows have {weights} weights")));
        }
        let dimension = self.vectors.first().map_or(0, Embedding::dimension);
        let mut sum = vec![0.0_f32; dimension];
        for (vector, weight) in self.vectors.iter().zip(weights) {
            sum.iter_mut().zip(vector.as_slice()).for_each(|(sum, value)| *sum += weight * value);
        }
        let left = sum.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let weight: f64 = weights.iter().map(|weight| f64::from(weight.abs())).sum();
        let nothing = || Refusal::invalid("the weights leave no direction to look in");
        if left < LEFT_OF_BLEND * weight {
            return Err(nothing());
        }
        let blended = Embedding::normalised(sum, dimension).map_err(|_| nothing())?;
        let at_ms = if let [only] = &*self.at_ms { *only } else { None };
        Ok(Self::new(vec![blended], vec![at_ms]))
    }

    fn concat(&self, other: &Self) -> Answer<Self> {
        if self.vectors.len() + other.vectors.len() > MAX_ROWS {
            return Err(Refusal::too_large(format!("a batch holds at most {MAX_ROWS} rows")));
        }
        let vectors = [&*self.vectors, &*other.vectors].concat();
        Ok(Self::new(vectors, [&*self.at_ms, &*other.at_ms].concat()))
    }
}

impl Held for Rows {
    fn held_bytes(&self) -> usize {
        self.vectors.iter().map(|vector| size_of_val(vector.as_slice())).sum()
    }
}

impl HostEmbeddings for GuestState {
    async fn count(&mut self, rows: Resource<Rows>) -> wasmtime::Result<u32> {
        Ok(self.known(&rows)?.vectors.len() as u32)
    }

    async fn dimension(&mut self, _rows: Resource<Rows>) -> wasmtime::Result<u32> {
        Ok(self.dimensions().map_err(Refusal::into_error)? as u32)
    }

    async fn read(&mut self, rows: Resource<Rows>, row: u32) -> Answer<Vec<f32>> {
        let call = self.begin(Capability::Embed, "read", 0)?;
        let values = self.get(&rows)?.row(row)?.as_slice().to_vec();
        call.carry(size_of_val(&*values));
        Ok(values)
    }

    async fn blend(&mut self, rows: Resource<Rows>, weights: Vec<f32>) -> Answer<Resource<Rows>> {
        let _call = self.begin(Capability::Embed, "blend", size_of_val(&*weights))?;
        let blended = self.get(&rows)?.blend(&weights)?;
        self.give(blended)
    }

    async fn concat(&mut self, rows: Resource<Rows>, other: Resource<Rows>) -> Answer<Resource<Rows>> {
        let _call = self.begin(Capability::Embed, "concat", 0)?;
        let both = self.get(&rows)?.concat(self.get(&other)?)?;
        self.give(both)
    }

    async fn cosine(
        &mut self,
        rows: Resource<Rows>,
        row: u32,
        other: Resource<Rows>,
        other_row: u32,
    ) -> Answer<f32> {
        let _call = self.begin(Capability::Embed, "cosine", 0)?;
        Ok(self.get(&rows)?.row(row)?.cosine(self.get(&other)?.row(other_row)?))
    }

    async fn drop(&mut self, rows: Resource<Rows>) -> wasmtime::Result<()> {
        self.forget(rows)
    }
}

impl Host for GuestState {
    async fn space(&mut self) -> wasmtime::Result<String> {
        Ok(self.session().map_err(Refusal::into_error)?.embedder.space().id.clone())
    }

    async fn texts(&mut self, texts: Vec<String>) -> Answer<Resource<Rows>> {
        let call = self.begin(Capability::Embed, "texts", texts.iter().map(String::len).sum())?;
        if texts.len() > MAX_TEXTS || texts.iter().any(|text| text.len() > MAX_TEXT_BYTES) {
            let most = format!("one call embeds at most {MAX_TEXTS} texts of {MAX_TEXT_BYTES} bytes each");
            return Err(Refusal::too_large(most));
        }
        let at_ms = vec![None; texts.len()];
        self.room_for(self.row_bytes(texts.len())?)?;
        let session = self.session()?;
        let vectors = session.embedder.texts(&session.tenant, &texts);
        let vectors = call.wait(vectors).await?;
        self.give_rows(vectors, at_ms)
    }

    async fn images(&mut self, images: Vec<Resource<Image>>) -> Answer<Resource<Rows>> {
        let call = self.begin(Capability::Embed, "images", 0)?;
        if images.len() > MAX_FRAMES as usize {
            return Err(Refusal::too_large(format!("one call embeds at most {MAX_FRAMES} pictures")));
        }
        self.room_for(self.row_bytes(images.len())?)?;
        let entries = images.iter().map(|image| self.get(image)).collect::<Answer<Vec<&ImageEntry>>>()?;
        let at_ms = entries.iter().map(|entry| entry.at_ms).collect();
        let pictures: Vec<Arc<Picture>> = entries.iter().map(|entry| Arc::clone(&entry.picture)).collect();
        let session = self.session()?;
        let vectors = session.embedder.images(&session.tenant, &pictures);
        let vectors = call.wait(vectors).await?;
        self.give_rows(vectors, at_ms)
    }
}

impl GuestState {
    fn dimensions(&self) -> Answer<usize> {
        Ok(self.session()?.embedder.space().dimension)
    }

    fn row_bytes(&self, rows: usize) -> Answer<usize> {
        Ok(rows.saturating_mul(self.dimensions()? * size_of::<f32>()))
    }

    fn give_rows(&mut self, vectors: Vec<Embedding>, at_ms: Vec<Option<u32>>) -> Answer<Resource<Rows>> {
        if vectors.len() != at_ms.len() {
            return Err(Refusal::broken(format!(
                "the model gave {} vectors for {}",
                vectors.len(),
                at_ms.len()
            )));
        }
        self.give(Rows::new(vectors, at_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(vectors: &[[f32; 3]]) -> Rows {
        let vectors: Vec<_> =
            vectors.iter().map(|vector| Embedding::normalised(vector.to_vec(), 3).unwrap()).collect();
        let at_ms = vec![None; vectors.len()];
        Rows::new(vectors, at_ms)
    }

    #[test]
    fn what_rounding_leaves_of_a_blend_is_no_direction() {
        let (one, other) = ([0.1, 0.7, -0.3], [0.9, 0.2, 0.5]);
        let both = rows(&[one, other, one, other, one]);
        // In 32 bits the first and the third are not quite what the last takes away.
        assert!(both.blend(&[0.1, 3.3, 0.2, -3.3, -0.3]).is_err());
        assert!(both.blend(&[0.0; 5]).is_err());
        assert!(both.blend(&[0.1, 3.3, 0.2, -3.3, -0.3 + 1e-3]).is_ok());
    }
}
