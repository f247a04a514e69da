//! Unit vectors and the space they belong to.

use serde::{Deserialize, Serialize};

/// The space that one model's vectors live in. Vectors of two spaces are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Unique to the model's files: its name, `@`, and the first 16 hex digits of their joint SHA-256.
    pub id: String,
    /// The model's name.
    pub model: String,
    /// Components of each vector.
    pub dimension: usize,
}

/// A vector of length 1. It cannot exist with another length, another dimension than asked for, or with NaN in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

/// Numbers that make no embedding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmbedding {
    /// Not as many components as the space has.
    #[error("vector has {found} components, the space has {expected}")]
    Dimension {
        /// What the space has.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Zero, infinite or NaN: it has no direction.
    #[error("vector has no direction")]
    Degenerate,
    /// Of another length than 1 where it should have been scaled already.
    #[error("vector is not of length 1")]
    NotUnit,
}

impl Embedding {
    /// Scales `values` to unit length.
    pub fn normalised(mut values: Vec<f32>, dimension: usize) -> Result<Self, InvalidEmbedding> {
        if values.len() != dimension {
            return Err(InvalidEmbedding::Dimension { expected: dimension, found: values.len() });
        }
        // Summed in f64: the squares of a long vector lose digits in f32.
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm < 1e-12 {
            return Err(InvalidEmbedding::Degenerate);
        }
        values.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
        Ok(Self(values.into()))
    }

    /// The components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Number of components.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Cosine with another vector of the same space, from -1 to 1.
    pub fn cosine(&self, other: &Self) -> f32 {
        debug_assert_eq!(self.dimension(), other.dimension());
        let dot: f32 = self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum();
        dot.clamp(-1.0, 1.0)
    }

    /// The components as little-endian bytes, 4 each, for storage.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// Reads what [`Embedding::to_le_bytes`] wrote.
    pub fn from_le_bytes(bytes: &[u8], dimension: usize) -> Result<Self, InvalidEmbedding> {
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(InvalidEmbedding::Dimension { expected: dimension, found: bytes.len() / 4 });
        }
        Self::normalised(words.iter().copied().map(f32::from_le_bytes).collect(), dimension)
    }

    /// Reads what [`Embedding::to_le_bytes`] wrote, bit for bit: scaling again would move the last digits.
    pub fn from_exact_le_bytes(bytes: &[u8]) -> Result<Self, InvalidEmbedding> {
        let dimension = bytes.len() / 4;
        let scaled = Self::from_le_bytes(bytes, dimension)?;
        let exact: Box<[f32]> = bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect();
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
        match exact.iter().zip(&scaled.0).all(near) {
            true => Ok(Self(exact)),
            false => Err(InvalidEmbedding::NotUnit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_has_unit_length() {
        let e = Embedding::normalised(vec![3.0, 4.0], 2).unwrap();
        assert!((e.cosine(&e) - 1.0).abs() < 1e-6);
        assert_eq!(e.as_slice(), &[0.6, 0.8]);
    }

    #[test]
    fn a_vector_without_direction_is_refused() {
        assert_eq!(Embedding::normalised(vec![0.0, 0.0], 2), Err(InvalidEmbedding::Degenerate));
        assert_eq!(Embedding::normalised(vec![f32::NAN, 1.0], 2), Err(InvalidEmbedding::Degenerate));
        assert!(Embedding::normalised(vec![1.0], 2).is_err());
    }

    #[test]
    fn stored_bytes_give_the_same_vector_back() {
        let e = Embedding::normalised(vec![0.1, -0.7, 0.3], 3).unwrap();
        let back = Embedding::from_le_bytes(&e.to_le_bytes(), 3).unwrap();
        assert!(e.cosine(&back) > 0.999_999);
        assert!(Embedding::from_le_bytes(&e.to_le_bytes()[..11], 3).is_err());
    }

    #[test]
    fn a_vector_read_exactly_keeps_its_bits_and_must_be_of_length_1() {
        let e = Embedding::normalised(vec![0.1, -0.7, 0.3], 3).unwrap();
        assert_eq!(Embedding::from_exact_le_bytes(&e.to_le_bytes()), Ok(e));
        let long: Vec<u8> = [3.0_f32, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(Embedding::from_exact_le_bytes(&long), Err(InvalidEmbedding::NotUnit));
        assert!(Embedding::from_exact_le_bytes(&[]).is_err());
    }
}
