//! Folds the neighbours of all frames into one match per product.

use crate::settings::Settings;

/// The neighbours of every frame, in columns of equal length.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours<'a> {
    /// Number of the product.
    pub products: &'a [u32],
    /// Cosine.
    pub scores: &'a [f32],
    /// The frame.
    pub frames: &'a [u32],
}

/// A product's match: the row to show, which is that of its best frame, and the score it gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Place in the columns.
    pub row: u32,
    /// Cosine of the best frame, or between that and the mean of the best few.
    pub score: f32,
}

/// One match per product, best first, at most `depth`. The error names what cannot be.
pub fn fold(
    neighbours: &Neighbours<'_>,
    frame_count: usize,
    depth: u32,
    settings: &Settings,
) -> Result<Vec<Match>, String> {
    let count = neighbours.products.len();
    if [neighbours.scores.len(), neighbours.frames.len()] != [count; 2] {
        return Err("the columns of hits differ in length".to_owned());
    }
    let score = |row: u32| neighbours.scores[row as usize];
    // By product, then best first, then by row. One type of sort key serves both sorts and keeps the component small.
    let mut keys: Vec<[u32; 3]> = (0..count as u32)
        .filter(|row| score(*row).is_finite())
        .map(|row| [neighbours.products[row as usize], descending(score(row)), row])
        .collect();
    keys.sort_unstable();
    // What counts for a frame that did not bring the product: as much as the last of all that were brought.
    let floor = keys.iter().map(|[_, _, row]| score(*row)).fold(f32::INFINITY, f32::min);
    let mut matches: Vec<[u32; 3]> = Vec::new();
    let mut scores = vec![0.0; count];
    for rows in keys.chunk_by(|a, b| a[0] == b[0]) {
        let [_, _, best] = rows[0];
        let blended = agreed(rows, neighbours, frame_count, floor, settings);
        scores[best as usize] = blended;
        matches.push([descending(blended), best, 0]);
    }
    matches.sort_unstable();
    matches.truncate(depth as usize);
    Ok(matches.into_iter().map(|[_, row, _]| Match { row, score: scores[row as usize] }).collect())
}

/// `(1 - agreement) * best + agreement * mean of the best frames`, of one product's rows, best first.
fn agreed(
    rows: &[[u32; 3]],
    neighbours: &Neighbours<'_>,
    frame_count: usize,
    floor: f32,
    settings: &Settings,
) -> f32 {
    let best = neighbours.scores[rows[0][2] as usize];
    let wanted = settings.agreement_frames.min(frame_count);
    if settings.agreement == 0.0 || wanted == 0 {
        return best;
    }
    let mut seen: Vec<u32> = Vec::with_capacity(wanted);
    let mut sum = 0.0;
    for [_, _, row] in rows {
        let frame = neighbours.frames[*row as usize];
        if seen.len() < wanted && !seen.contains(&frame) {
            seen.push(frame);
            sum += neighbours.scores[*row as usize];
        }
    }
    let mean = (sum + floor * (wanted - seen.len()) as f32) / wanted as f32;
    best + settings.agreement * (mean - best)
}

/// A key that is smaller for a larger score.
fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    // IEEE 754: the bits of positive numbers rise with them, those of negative ones fall.
    if score.is_sign_negative() { bits } else { !bits & 0x7fff_ffff }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of (product, cosine, frame).
    fn fold_rows(rows: &[(u32, f32, u32)], frames: usize, depth: u32, json: &str) -> Vec<Match> {
        let products: Vec<_> = rows.iter().map(|row| row.0).collect();
        let scores: Vec<_> = rows.iter().map(|row| row.1).collect();
        let of: Vec<_> = rows.iter().map(|row| row.2).collect();
        let neighbours = Neighbours { products: &products, scores: &scores, frames: &of };
        fold(&neighbours, frames, depth, &Settings::parse(json).unwrap()).unwrap()
    }

    const ROWS: [(u32, f32, u32); 5] = [(7, 0.9, 2), (8, 0.85, 0), (8, 0.84, 1), (8, 0.83, 2), (7, 0.3, 0)];

    #[test]
    fn a_product_is_shown_by_the_frame_that_matched_best() {
        let matches = fold_rows(&ROWS, 3, 100, "{}");
        assert_eq!(matches, [Match { row: 0, score: 0.9 }, Match { row: 1, score: 0.85 }]);
    }

    #[test]
    fn agreement_of_several_frames_may_outweigh_one_good_frame() {
        let matches = fold_rows(&ROWS, 3, 100, r#"{"agreement": 0.5}"#);
        assert_eq!(matches.iter().map(|found| found.row).collect::<Vec<_>>(), [1, 0]);
        // Product 7: best 0.9; mean of 0.9, 0.3 and the floor 0.3 is 0.5.
        assert!((matches[1].score - 0.7).abs() < 1e-6);
        // Several images in one frame are one frame.
        let crowd = fold_rows(&[(1, 0.9, 0), (1, 0.8, 0), (1, 0.1, 1)], 2, 9, r#"{"agreement": 1}"#);
        assert!((crowd[0].score - 0.5).abs() < 1e-6);
    }

    #[test]
    fn one_frame_alone_agrees_with_itself() {
        let matches = fold_rows(&[(1, 0.6, 0), (2, 0.5, 0)], 1, 100, r#"{"agreement": 1}"#);
        assert_eq!(matches, [Match { row: 0, score: 0.6 }, Match { row: 1, score: 0.5 }]);
    }

    #[test]
    fn scores_that_are_no_number_bring_nothing() {
        assert!(fold_rows(&[(1, f32::NAN, 0)], 1, 100, "{}").is_empty());
        assert!(fold_rows(&[], 0, 100, r#"{"agreement": 1}"#).is_empty());
        let uneven = Neighbours { products: &[1], scores: &[], frames: &[0] };
        assert!(fold(&uneven, 1, 9, &Settings::parse("{}").unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn each_product_comes_once_and_scores_never_rise(
            rows in prop::collection::vec((0_u32..20, -1.0_f32..1.0, 0_u32..5), 0..200),
            agreement in 0.0..1.0,
            depth in 0_u32..30,
        ) {
            let matches = fold_rows(&rows, 5, depth, &format!(r#"{{"agreement": {agreement:.3}}}"#));
            prop_assert!(matches.len() <= depth as usize);
            prop_assert!(matches.is_sorted_by(|a, b| a.score >= b.score));
            let mut products: Vec<_> = matches.iter().map(|found| rows[found.row as usize].0).collect();
            products.sort_unstable();
            prop_assert!(products.is_sorted_by(|a, b| a < b));
            prop_assert!(matches.iter().all(|found| found.score <= rows[found.row as usize].1 + 1e-6));
        }
    }
}
