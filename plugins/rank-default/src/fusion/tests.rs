//! The order of products, from small tables of matches.

use proptest::prelude::*;

use super::*;

/// Rows of (leg, product, image, score).
type Rows<'a> = &'a [(u32, u32, u32, f32)];

fn leg(modality: &'static str, cosine: bool, weight: f32) -> Leg<'static> {
    Leg { name: modality, modality, cosine, weight }
}

fn settings(json: &str) -> Settings {
    Settings::parse(json).unwrap()
}

fn fuse_rows(legs: &[Leg<'_>], count: u32, rows: Rows<'_>, settings: &Settings) -> Result<Fused, String> {
    let column = |pick: fn(&(u32, u32, u32, f32)) -> u32| rows.iter().map(pick).collect::<Vec<_>>();
    let (legs_of, products, images) = (column(|r| r.0), column(|r| r.1), column(|r| r.2));
    let scores: Vec<f32> = rows.iter().map(|r| r.3).collect();
    let matches = Matches { legs: &legs_of, products: &products, images: &images, scores: &scores };
    fuse(legs, count, &matches, settings)
}

fn products(legs: &[Leg<'_>], count: u32, rows: Rows<'_>, json: &str) -> Vec<u32> {
    let fused = fuse_rows(legs, count, rows, &settings(json)).unwrap();
    fused.places.iter().map(|place| place.product).collect()
}

#[test]
fn a_product_with_many_matching_images_pushes_nobody_down() {
    let legs = [leg("image", true, 1.0), leg("text", false, 1.0)];
    let rows = [
        (0, 0, 0, 0.9),
        (0, 0, 1, 0.89),
        (0, 0, 2, 0.88),
        (0, 0, 3, 0.87),
        (0, 1, 4, 0.86),
        (1, 1, NONE, 7.0),
    ];
    let fused = fuse_rows(&legs, 2, &rows, &settings("{}")).unwrap();
    assert_eq!(fused.rank(4), Some(2), "the second product of the leg is second");
    // Product 1: (1/62 + 1/61) / (2/61).
    assert_eq!(fused.places[0].product, 1);
    assert!((fused.places[0].score - (61.0 / 62.0 + 1.0) / 2.0).abs() < 1e-6);
}

#[test]
fn first_in_every_leg_scores_one() {
    let legs = [leg("image", true, 2.0), leg("text", true, 0.5), leg("text", false, 1.0)];
    let rows = [(0, 3, 0, 0.9), (1, 3, 0, 0.2), (2, 3, NONE, 7.0), (2, 1, NONE, 6.0)];
    let fused = fuse_rows(&legs, 4, &rows, &settings("{}")).unwrap();
    assert_eq!(fused.places[0], Place { product: 3, score: 1.0 });
    // A leg that brought nothing keeps nobody from 1.
    let fused = fuse_rows(&legs, 4, &rows[..1], &settings("{}")).unwrap();
    assert_eq!(fused.places, [Place { product: 3, score: 1.0 }]);
}

#[test]
fn a_heavier_leg_wins_over_a_lighter_one() {
    let rows = [(0, 0, 0, 0.9), (0, 1, 1, 0.8), (1, 1, 1, 0.9), (1, 0, 0, 0.8)];
    let order = |a, b| products(&[leg("image", true, a), leg("text", true, b)], 2, &rows, "{}");
    assert_eq!(order(2.0, 1.0), [0, 1]);
    assert_eq!(order(1.0, 2.0), [1, 0]);
}

#[test]
fn a_leg_without_a_positive_weight_does_not_count() {
    for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let legs = [leg("image", true, 1.0), leg("text", true, weight)];
        assert_eq!(products(&legs, 2, &[(0, 0, 0, 0.5), (1, 1, 1, 0.9)], "{}"), [0], "{weight}");
    }
}

#[test]
fn what_the_results_should_be_unlike_falls_behind_and_brings_nothing() {
    let legs = [leg("image", true, 1.0), leg("text", true, -1.0)];
    let rows =
        [(0, 0, 0, 0.9), (0, 1, 1, 0.8), (0, 2, 2, 0.7), (1, 0, 0, 0.3), (1, 3, 3, 0.2), (1, 1, 1, 0.1)];
    let fused = fuse_rows(&legs, 4, &rows, &settings("{}")).unwrap();
    let order: Vec<_> = fused.places.iter().map(|place| place.product).collect();
    assert_eq!(order, [2, 1, 0], "the first in both is worth nothing, and product 3 was never asked for");
    // Product 1: (1/62 - 1/63) / (1/61).
    let expected = [61.0 / 63.0, 61.0 / 62.0 - 61.0 / 63.0, 0.0];
    let close = fused.places.iter().zip(expected).all(|(place, score)| (place.score - score).abs() < 1e-6);
    assert!(close, "{:?}", fused.places);
    // What is not like it enough is not unlike it either.
    assert_eq!(products(&legs, 4, &rows, r#"{"min_cosine_text": 0.4}"#), [0, 1, 2]);
}

#[test]
fn a_product_that_loses_more_than_it_gains_scores_nothing_and_comes_last() {
    let legs = [leg("text", false, 1.0), leg("text", false, -2.0)];
    let rows = [(0, 0, NONE, 9.0), (0, 1, NONE, 8.0), (1, 0, NONE, 5.0), (1, 1, NONE, 0.5)];
    let fused = fuse_rows(&legs, 2, &rows, &settings("{}")).unwrap();
    assert_eq!(fused.places[1], Place { product: 0, score: 0.0 });
    assert!(fused.places[0].score > 0.0);
}

#[test]
fn thresholds_apply_by_modality_and_never_to_relevance() {
    let legs = [leg("image", true, 1.0), leg("text", true, 1.0), leg("text", false, 1.0)];
    let rows = [(0, 0, 0, 0.4), (1, 1, 1, 0.3), (1, 2, 2, 0.1), (2, 3, NONE, 0.001)];
    let json = r#"{"min_cosine_image": 0.5, "min_cosine_text": 0.25}"#;
    assert_eq!(products(&legs, 4, &rows, json), [1, 3]);
}

#[test]
fn a_cosine_that_equals_the_threshold_passes() {
    let rows = [(0, 0, 0, 0.7), (0, 1, 1, 0.699_999)];
    assert_eq!(products(&[leg("image", true, 1.0)], 2, &rows, r#"{"min_cosine_image": 0.7}"#), [0]);
}

#[test]
fn nothing_above_the_threshold_is_an_empty_answer() {
    let rows = [(0, 0, 0, 0.4), (0, 1, 1, -0.3)];
    assert!(products(&[leg("image", true, 1.0)], 2, &rows, r#"{"min_cosine_image": 0.5}"#).is_empty());
    assert!(products(&[], 0, &[], "{}").is_empty());
}

#[test]
fn the_relative_cut_is_a_share_of_the_best_of_the_leg() {
    let rows = [(0, 0, 0, 0.8), (0, 1, 1, 0.41), (0, 2, 2, 0.39)];
    assert_eq!(products(&[leg("image", true, 1.0)], 3, &rows, r#"{"relative_cut": 0.5}"#), [0, 1]);
    let below = [(0, 0, 0, -0.1), (0, 1, 1, -0.4)];
    let json = r#"{"relative_cut": 0.5, "min_cosine_image": -1}"#;
    assert_eq!(products(&[leg("image", true, 1.0)], 2, &below, json), [0, 1]);
}

#[test]
fn ties_go_to_the_better_cosine_and_then_to_the_smaller_number() {
    let legs = [leg("image", true, 1.0), leg("text", false, 1.0)];
    // Each is first in one leg and second in the other.
    let rows = [(0, 1, 0, 0.9), (0, 0, 1, 0.8), (1, 0, NONE, 5.0), (1, 1, NONE, 4.0)];
    let ranks = r#"{"relevance_share": 0}"#;
    assert_eq!(products(&legs, 2, &rows, ranks), [1, 0]);
    let words = [leg("a", false, 1.0), leg("b", false, 1.0)];
    let rows = [(0, 1, NONE, 9.0), (0, 0, NONE, 8.0), (1, 0, NONE, 5.0), (1, 1, NONE, 4.0)];
    assert_eq!(products(&words, 2, &rows, ranks), [0, 1]);
}

#[test]
fn a_match_by_words_counts_as_much_as_its_relevance_to_the_best() {
    let legs = [leg("image", true, 1.0), leg("text", false, 1.0)];
    // By rank each is first once and second once; by words the first one is twice as good.
    let rows = [(0, 1, 0, 0.9), (0, 0, 1, 0.8), (1, 0, NONE, 8.0), (1, 1, NONE, 4.0)];
    let fused = fuse_rows(&legs, 2, &rows, &settings("{}")).unwrap();
    assert_eq!(fused.places[0].product, 0);
    // Product 1: (1/61 + 1/2 of 1/62) / (2/61).
    assert!((fused.places[1].score - (1.0 + 0.5 * 61.0 / 62.0) / 2.0).abs() < 1e-6);
    let half = fuse_rows(&legs, 2, &rows, &settings(r#"{"relevance_share": 0.5}"#)).unwrap();
    assert!((half.places[1].score - (1.0 + 0.75 * 61.0 / 62.0) / 2.0).abs() < 1e-6);
}

#[test]
fn relevances_without_a_positive_best_count_by_rank_alone() {
    let legs = [leg("text", false, 1.0)];
    for scores in [[0.0, -1.0], [-1.0, -2.0]] {
        let rows = [(0, 0, NONE, scores[0]), (0, 1, NONE, scores[1])];
        let fused = fuse_rows(&legs, 2, &rows, &settings("{}")).unwrap();
        assert!((fused.places[1].score - 61.0 / 62.0).abs() < 1e-6, "{:?}", fused.places);
    }
}

#[test]
fn the_same_ranks_in_other_legs_tie_in_spite_of_rounding() {
    let legs: Vec<_> = (0..3).map(|_| leg("image", true, 1.0)).collect();
    let turn = [[0, 1, 2], [1, 2, 0], [2, 0, 1]];
    let rows: Vec<_> = (0..3_u32)
        .flat_map(|leg| (0..3).map(move |rank| (leg, turn[leg as usize][rank], 0, 0.9 - rank as f32 / 10.0)))
        .collect();
    let fused = fuse_rows(&legs, 3, &rows, &settings("{}")).unwrap();
    assert_eq!(fused.places.iter().map(|place| place.product).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(fused.places.iter().all(|place| place.score == fused.places[0].score));
}

#[test]
fn scores_that_are_no_number_are_passed_over() {
    let legs = [leg("image", true, 1.0), leg("text", false, 1.0)];
    let rows =
        [(0, 0, 0, f32::NAN), (0, 1, 1, f32::INFINITY), (0, 2, 2, 0.1), (1, 0, NONE, f32::NEG_INFINITY)];
    assert_eq!(products(&legs, 3, &rows, "{}"), [2]);
}

#[test]
fn columns_that_cannot_be_are_an_error_and_no_panic() {
    let legs = [leg("image", true, 1.0)];
    let error = |rows: Rows<'_>, count| fuse_rows(&legs, count, rows, &settings("{}")).unwrap_err();
    assert!(error(&[(1, 0, 0, 0.5)], 1).contains("leg 1"));
    assert!(error(&[(0, 7, 0, 0.5)], 1).contains("product 7"));
    assert!(error(&[], u32::MAX).contains("products"));
    let uneven = Matches { legs: &[0], products: &[], images: &[0], scores: &[0.5] };
    assert!(fuse(&legs, 1, &uneven, &settings("{}")).unwrap_err().contains("length"));
}

proptest! {
    #[test]
    fn one_cosine_leg_alone_keeps_the_order_of_cosines(
        scores in prop::collection::vec(-0.5_f32..1.0, 0..200),
        k in 1.0..10_000.0,
    ) {
        let rows: Vec<_> =
            scores.iter().enumerate().map(|(at, score)| (0, at as u32 % 50, at as u32, *score)).collect();
        let count = rows.len().min(50) as u32;
        let order = products(&[leg("image", true, 0.7)], count, &rows, &format!(r#"{{"k": {k}}}"#));
        let best = |product: u32| {
            rows.iter().filter(|row| row.1 == product).map(|row| row.3).fold(f32::NEG_INFINITY, f32::max)
        };
        prop_assert!(order.is_sorted_by(|a, b| best(*a) >= best(*b)));
        prop_assert_eq!(order.len(), (0..count).filter(|product| best(*product) >= 0.0).count());
    }

    #[test]
    fn any_columns_give_each_product_once_with_falling_scores_from_zero_to_one(
        rows in prop::collection::vec((0_u32..4, 0_u32..30, 0_u32..9, any::<f32>()), 0..300),
        weights in prop::collection::vec(any::<f32>(), 4),
    ) {
        let legs: Vec<_> = weights.iter().enumerate().map(|(at, w)| leg("image", at % 2 == 0, *w)).collect();
        let places = fuse_rows(&legs, 30, &rows, &settings(r#"{"min_cosine_image": -1}"#)).unwrap().places;
        let mut seen: Vec<_> = places.iter().map(|place| place.product).collect();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), places.len());
        prop_assert!(places.iter().all(|place| (0.0..=1.0).contains(&place.score)));
        prop_assert!(places.is_sorted_by(|a, b| a.score >= b.score));
    }
}
