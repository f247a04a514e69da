//! Made-up embeddings, the same at every run, and their files for `bench/vectors/peers.py`.

use std::{fs, io, path::Path};

use rayon::prelude::*;
use taja_catalog::{
    Embedding, ImageHash, ProductId, TenantId,
    port::{Neighbour, VectorRow},
};

/// Components, as many as the larger of the usual image towers give.
pub const DIMENSION: usize = 768;
/// Directions in which embeddings really differ.
const LATENT: usize = 48;
/// Rows of one cluster.
const CLUSTER: usize = 100;

/// How clusters lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Clusters that overlap, in a space of 48 directions: the case of embeddings of pictures.
    Latent,
    /// Clusters in random directions of the whole space, at right angles to each other: the hard case for a graph,
    /// because nothing leads from one to another.
    Apart,
}

/// Rows and queries of one shape.
pub struct Data {
    shape: Shape,
    rows: usize,
    mixing: Vec<f32>,
}

/// Pseudo-random numbers (SplitMix64) of about normal distribution.
struct Normal(u64);

impl Normal {
    fn of(kind: u64, n: usize) -> Self {
        Self(kind.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n as u64).wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// The sum of four uniform numbers, scaled to variance 1.
    fn next(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|part| bits >> (part * 16) & 0xFFFF).sum();
        (sum as f32 / 65536.0 - 2.0) * 1.732
    }
}

impl Data {
    /// So many rows.
    pub fn new(shape: Shape, rows: usize) -> Self {
        let mut normal = Normal::of(1, 0);
        Self { shape, rows, mixing: (0..LATENT * DIMENSION).map(|_| normal.next()).collect() }
    }

    fn vector(&self, kind: u64, n: usize) -> Embedding {
        let mut own = Normal::of(kind, n);
        let cluster = own.bits() as usize % (self.rows / CLUSTER).max(1);
        let mut centre = Normal::of(2, cluster);
        let values: Vec<f32> = match self.shape {
            Shape::Apart => (0..DIMENSION).map(|_| centre.next() + 0.5 * own.next()).collect(),
            Shape::Latent => {
                let latent: Vec<f32> = (0..LATENT).map(|_| centre.next() + 0.5 * own.next()).collect();
                let mixed = self.mixing.chunks(LATENT).map(|weights| {
                    weights.iter().zip(&latent).map(|(weight, value)| weight * value).sum::<f32>()
                });
                mixed.map(|value| value + 0.7 * own.next()).collect()
            }
        };
        Embedding::normalised(values, DIMENSION).expect("random vectors have a direction")
    }

    /// Rows from `first` on.
    pub fn rows(&self, tenant: &TenantId, first: usize, count: usize) -> Vec<VectorRow> {
        let row = |n| VectorRow {
            tenant: tenant.clone(),
            product: product(n),
            image: ImageHash::of(&n.to_le_bytes()),
            embedding: self.vector(3, n),
        };
        (first..(first + count).min(self.rows)).into_par_iter().map(row).collect()
    }

    /// Queries near the rows, none of which is a row.
    pub fn queries(&self, count: usize) -> Vec<Embedding> {
        (0..count).into_par_iter().map(|n| self.vector(4, n)).collect()
    }

    /// Queries from all around, which lie near no row: what words are to vectors of pictures is something in between.
    pub fn strangers(count: usize) -> Vec<Embedding> {
        let stranger = |n| {
            let mut normal = Normal::of(5, n);
            let values = (0..DIMENSION).map(|_| normal.next()).collect();
            Embedding::normalised(values, DIMENSION).expect("random vectors have a direction")
        };
        (0..count).into_par_iter().map(stranger).collect()
    }

    /// Writes `vectors.f32`, `queries.f32` and `truth.u32`, little-endian.
    pub fn write(&self, folder: &Path, queries: &[Embedding], truth: &[Vec<Neighbour>]) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let tenant: TenantId = "shop".parse().expect("a valid identifier");
        let mut file = io::BufWriter::new(fs::File::create(folder.join("vectors.f32"))?);
        for first in (0..self.rows).step_by(10_000) {
            for row in self.rows(&tenant, first, 10_000) {
                io::Write::write_all(&mut file, &row.embedding.to_le_bytes())?;
            }
        }
        let bytes: Vec<u8> = queries.iter().flat_map(Embedding::to_le_bytes).collect();
        fs::write(folder.join("queries.f32"), bytes)?;
        let number = |neighbour: &Neighbour| neighbour.product.as_str()[1..].parse::<u32>();
        let ids = truth.iter().flatten().flat_map(|neighbour| number(neighbour).map(u32::to_le_bytes));
        fs::write(folder.join("truth.u32"), ids.flatten().collect::<Vec<u8>>())
    }
}

/// The product of a row.
pub fn product(n: usize) -> ProductId {
    format!("p{n}").parse().expect("a valid identifier")
}
