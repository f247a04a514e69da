//! Ranked matches in columns, kept by the host behind a guest's handle, and what a guest may make of them.

use std::collections::{HashMap, HashSet};

use taja_catalog::{ImageHash, Numbered, ProductId, policy::Hit, port::Neighbour};

/// Stands for "not by an image".
pub(crate) const NO_IMAGE: u32 = u32::MAX;

/// Names of products and images inside one call: the guest sees numbers, which mean nothing in any other call.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    products: Numbered<ProductId>,
    images: Numbered<ImageHash>,
}

/// One match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) product: u32,
    pub(crate) image: u32,
    pub(crate) score: f32,
    /// Which row of the query's embeddings found it.
    pub(crate) query_row: u32,
    /// Where in its video the picture lies that the query row was made from.
    pub(crate) at_ms: Option<u32>,
}

/// A ranked list.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(unreachable_pub, reason = "generated code re-exports it as public")]
pub struct Hits {
    pub(crate) rows: Vec<Row>,
}

/// Rows or numbers that fit no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidRows(String);

impl Interner {
    /// Neighbours of every query row as one list, best first. `at_ms` tells where each query row comes from.
    pub(crate) fn neighbours(&mut self, found: Vec<Vec<Neighbour>>, at_ms: &[Option<u32>]) -> Hits {
        let mut rows = Vec::with_capacity(found.iter().map(Vec::len).sum());
        for (query_row, neighbours) in found.into_iter().enumerate() {
            for neighbour in neighbours {
                rows.push(Row {
                    product: self.products.number(&neighbour.product),
                    image: self.images.number(&neighbour.image),
                    score: neighbour.score,
                    query_row: query_row as u32,
                    at_ms: at_ms.get(query_row).copied().flatten(),
                });
            }
        }
        // Stable: equal scores stay in the order of the query rows.
        rows.sort_by(|a, b| b.score.total_cmp(&a.score));
        Hits { rows }
    }

    /// Products with their scores, in the order given.
    pub(crate) fn products(&mut self, found: impl IntoIterator<Item = (ProductId, f32)>) -> Hits {
        let row = |(product, score)| Row {
            product: self.products.number(&product),
            image: NO_IMAGE,
            score,
            query_row: 0,
            at_ms: None,
        };
        Hits { rows: found.into_iter().map(row).collect() }
    }

    /// The stored picture a row matched by, if it was by one, and the product it belongs to.
    pub(crate) fn identify(&self, row: &Row) -> Option<(&ProductId, &ImageHash)> {
        let image = self.images.get(row.image)?;
        Some((self.products.get(row.product)?, image))
    }

    /// The list in the host's words.
    pub(crate) fn resolve(&self, hits: &Hits) -> Vec<Hit> {
        let hit = |row: &Row| {
            Some(Hit {
                product: self.products.get(row.product)?.clone(),
                image: self.images.get(row.image).copied(),
                score: row.score,
                at_ms: row.at_ms,
            })
        };
        hits.rows.iter().filter_map(hit).collect()
    }
}

impl Hits {
    /// Bytes the host holds for it.
    pub(crate) fn held_bytes(&self) -> usize {
        self.rows.len() * size_of::<Row>()
    }

    /// Some rows in a new order with new scores; their evidence goes along.
    pub(crate) fn select(&self, rows: &[u32], scores: &[f32]) -> Result<Self, InvalidRows> {
        if rows.len() != scores.len() {
            return Err(InvalidRows(format!("{} rows have {} scores", rows.len(), scores.len())));
        }
        let mut taken = vec![false; self.rows.len()];
        let mut selected = Vec::with_capacity(rows.len().min(self.rows.len()));
        for (&row, &score) in rows.iter().zip(scores) {
            let Some(from) = self.rows.get(row as usize) else {
                return Err(InvalidRows(format!(
                    "row {row} is beyond the {} rows there are",
                    self.rows.len()
                )));
            };
            if std::mem::replace(&mut taken[row as usize], true) {
                return Err(InvalidRows(format!("row {row} is taken twice")));
            }
            if !score.is_finite() {
                return Err(InvalidRows(format!("the score of row {row} is not finite")));
            }
            selected.push(Row { score, ..*from });
        }
        Ok(Self { rows: selected })
    }

    /// Reciprocal-rank fusion: a product scores the sum of weight / (k + rank) over the lists it is in, where its
    /// rank counts the distinct products before its best row. The evidence is that of the list that gave it most.
    pub(crate) fn fuse(lists: &[&Self], weights: &[f32], k: f32) -> Result<Self, InvalidRows> {
        if lists.len() != weights.len() {
            return Err(InvalidRows(format!("{} lists have {} weights", lists.len(), weights.len())));
        }
        if !(k.is_finite() && k >= 0.0 && weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)) {
            return Err(InvalidRows("k and the weights must be finite and not negative".into()));
        }
        let mut fused: Vec<(Row, f32)> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        for (list, weight) in lists.iter().zip(weights) {
            let mut seen = HashSet::with_capacity(list.rows.len());
            for row in &list.rows {
                if !seen.insert(row.product) {
                    continue;
                }
                let share = weight / (k + seen.len() as f32);
                let place = *places.entry(row.product).or_insert(fused.len());
                match fused.get_mut(place) {
                    None => fused.push((Row { score: share, ..*row }, share)),
                    Some((into, best)) => {
                        let score = into.score + share;
                        if share > *best {
                            *best = share;
                            *into = *row;
                        }
                        into.score = score;
                    }
                }
            }
        }
        let mut rows: Vec<Row> = fused.into_iter().map(|(row, _)| row).collect();
        rows.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(Self { rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(product: u32, at_ms: u32) -> Row {
        Row { product, image: product, score: 1.0, query_row: 0, at_ms: Some(at_ms) }
    }

    fn list(products: &[u32], at_ms: u32) -> Hits {
        Hits { rows: products.iter().map(|product| row(*product, at_ms)).collect() }
    }

    #[test]
    fn fusion_sums_reciprocal_ranks_and_counts_a_product_once_per_list() {
        let fused = Hits::fuse(&[&list(&[7, 7, 8], 1), &list(&[8, 9], 2)], &[1.0, 2.0], 60.0).unwrap();
        let scores: Vec<_> = fused.rows.iter().map(|row| (row.product, row.score)).collect();
        assert_eq!(scores, [(8, 1.0 / 62.0 + 2.0 / 61.0), (9, 2.0 / 62.0), (7, 1.0 / 61.0)]);
    }

    #[test]
    fn a_fused_product_keeps_the_evidence_of_the_list_that_gave_it_most() {
        let fused = Hits::fuse(&[&list(&[7], 1), &list(&[7], 2)], &[1.0, 2.0], 60.0).unwrap();
        assert_eq!(fused.rows[0].at_ms, Some(2));
    }

    #[rstest::rstest]
    #[case(&[0, 0], &[1.0, 1.0], "taken twice")]
    #[case(&[9], &[1.0], "beyond")]
    #[case(&[0], &[f32::NAN], "not finite")]
    #[case(&[0], &[], "scores")]
    fn a_selection_cannot_invent_repeat_or_spoil_a_row(
        #[case] rows: &[u32],
        #[case] scores: &[f32],
        #[case] says: &str,
    ) {
        let error = list(&[7, 8], 0).select(rows, scores).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn neighbours_of_several_queries_are_one_list_with_the_time_of_the_frame_that_found_each() {
        let near = |id: &str, score| Neighbour {
            product: id.parse().unwrap(),
            image: ImageHash::of(id.as_bytes()),
            score,
        };
        let mut interner = Interner::default();
        let hits =
            interner.neighbours(vec![vec![near("a", 0.5)], vec![near("b", 0.9)]], &[Some(0), Some(40)]);
        let resolved = interner.resolve(&hits);
        assert_eq!(resolved[0].product.as_str(), "b");
        assert_eq!((resolved[0].at_ms, resolved[1].at_ms), (Some(40), Some(0)));
    }
}
