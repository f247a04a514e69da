//! The two towers: sessions of ONNX Runtime, what goes in and what comes out.

mod image;
mod int8;
mod outline;
mod session;
mod text;

pub(crate) use image::ImageTower;
pub(crate) use session::Loader;
pub(crate) use text::TextTower;

/// Something that answers several items in one go. It owns its session: `run` is for one thread at a time.
pub(crate) trait Tower: Send + 'static {
    /// One prepared input.
    type Item: Send + 'static;

    /// One vector per item, in order. The problem is told in words.
    fn run(&mut self, items: &[&Self::Item]) -> Result<Vec<Vec<f32>>, String>;

    /// Most items that may be run at once.
    fn batch_limit(&self) -> usize {
        usize::MAX
    }
}

/// Cosine above which two vectors of one input count as the same. Sums in another order stay above 0.999999.
const SAME: f64 = 0.999_9;

/// Most items that may be run at once: `limit`, or 1 when a vector depends on what else is in the batch, as it does in
/// graphs whose activations are quantised by the range of the whole batch. Checks the dimension on the way.
fn safe_batch<T: Tower>(
    tower: &mut T,
    items: &[T::Item],
    dimension: usize,
    limit: usize,
) -> Result<usize, String> {
    let alone = each(tower, items)?;
    expect_dimension(&alone, dimension)?;
    if limit == 1 {
        return Ok(1);
    }
    let together = tower.run(&items.iter().collect::<Vec<_>>())?;
    expect_dimension(&together, dimension)?;
    if same(&alone, &together) {
        return Ok(limit);
    }
    tracing::warn!("the model's vectors depend on what else is in a batch; its inputs are run one by one");
    Ok(1)
}

fn each<T: Tower>(tower: &mut T, items: &[T::Item]) -> Result<Vec<Vec<f32>>, String> {
    items.iter().map(|item| tower.run(&[item]).map(|mut vectors| vectors.remove(0))).collect()
}

fn same(some: &[Vec<f32>], others: &[Vec<f32>]) -> bool {
    some.iter().zip(others).all(|(a, b)| cosine(a, b) > SAME)
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Every vector has the manifest's dimension and is made of numbers.
fn expect_dimension(vectors: &[Vec<f32>], dimension: usize) -> Result<(), String> {
    for vector in vectors {
        if vector.len() != dimension {
            return Err(format!(
                "gives vectors of {} components, the manifest says {dimension}",
                vector.len()
            ));
        }
        if !vector.iter().all(|value| value.is_finite()) {
            return Err("gives vectors with NaN or infinity in them".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
