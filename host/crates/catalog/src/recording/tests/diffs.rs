//! What a diff tells.

use super::*;

fn ranking(products: &[(u32, f32)]) -> Answer {
    let ranked =
        |(product, score): &(u32, f32)| Ranked { product: *product, score: *score, evidence: vec![] };
    Answer::Ranking(Ranking { products: products.iter().map(ranked).collect(), notes: Vec::new() })
}

fn diff(recorded: &[(u32, f32)], replayed: &[(u32, f32)]) -> Diff {
    Diff::between(&ranking(recorded), &ranking(replayed))
}

#[test]
fn only_what_is_the_same_to_the_last_bit_is_identical() {
    let same = diff(&[(1, 0.5), (2, 0.0)], &[(1, 0.5), (2, 0.0)]);
    assert!(same.identical && same.orders[0].changes.is_empty());
    assert_eq!(same.to_string(), "identical to the last bit");
    assert!(!diff(&[(1, 0.0)], &[(1, -0.0)]).identical);
    assert!(!diff(&[(1, 0.5)], &[(1, 0.5_f32.next_up())]).identical);
    let nan = [(1, f32::NAN)];
    assert!(diff(&nan, &nan).identical && diff(&nan, &nan).orders[0].changes.is_empty());
}

#[test]
fn other_evidence_or_notes_show_although_the_order_is_the_same() {
    let Answer::Ranking(mut other) = ranking(&[(1, 0.5)]) else { unreachable!() };
    other.notes.push((0, "cheap".into()));
    let diff = Diff::between(&ranking(&[(1, 0.5)]), &Answer::Ranking(other));
    assert!(!diff.identical && diff.orders[0].changes.is_empty());
    assert!(diff.to_string().starts_with("same orders and scores, but other evidence"), "{diff}");
}

#[test]
fn what_moved_entered_left_and_was_scored_anew_is_told() {
    let diff = diff(&[(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6)], &[(1, 0.8), (3, 0.7), (2, 0.6), (5, 0.5)]);
    let changes = &diff.orders[0].changes;
    let told: Vec<_> = changes.iter().map(|change| (change.what.as_str(), change.from, change.to)).collect();
    let expected = [
        ("#3", Some(3), Some(2)),
        ("#2", Some(2), Some(3)),
        ("#5", None, Some(4)),
        ("#4", Some(4), None),
        ("#1", Some(1), Some(1)),
    ];
    assert_eq!(told, expected);
    assert_eq!((changes[4].recorded_score, changes[4].replayed_score), (Some(0.9), Some(0.8)));
    assert_eq!(diff.orders[0].overlap_of_first_ten, 0.8125);
    assert!((diff.orders[0].score_distance.unwrap() - 0.1).abs() < 1e-6);
    let text = "\
ranking: average overlap of the first ten 0.812, scores 0.100000 apart on average
  place  was  product     score       was
      2    3  #3       0.700000  0.700000
      3    2  #2       0.600000  0.800000
      4  new  #5       0.500000
   gone    4  #4                 0.600000
      1    1  #1       0.800000  0.900000";
    assert_eq!(diff.to_string(), text);
    let json = serde_json::to_value(&diff).unwrap();
    assert_eq!(json["orders"][0]["changes"][2]["from"], json!(null));
}

#[test]
fn at_most_twenty_lines_are_shown() {
    let order: Vec<_> = (0..25).map(|n| (n, 1.0)).collect();
    let text = diff(&order, &[]).to_string();
    assert_eq!(text.lines().count(), 1 + 1 + 20 + 1);
    assert!(text.ends_with("\n  and 5 more"), "{text}");
}

#[rstest::rstest]
#[case::nothing(&[], &[], 1.0)]
#[case::nothing_on_one_side(&[1], &[], 0.0)]
#[case::the_same(&[1, 2, 3], &[1, 2, 3], 1.0)]
#[case::two_swapped(&[1, 2], &[2, 1], 0.5)]
#[case::one_is_shorter(&[1, 2, 3, 4], &[1, 2], (1.0 + 1.0 + 2.0 / 3.0 + 2.0 / 4.0) / 4.0)]
#[case::no_better_for_what_stands_twice(&[1, 1, 2], &[1, 2, 2], 1.0)]
// At depth d all but the first, so 10 less the tenth harmonic number.
#[case::first_and_eleventh_swapped(
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &[11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1], (10.0 - 7381.0 / 2520.0) / 10.0
)]
#[case::backwards(
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
    (2.0 / 6.0 + 4.0 / 7.0 + 6.0 / 8.0 + 8.0 / 9.0 + 1.0) / 10.0
)]
fn the_overlap_is_the_mean_over_the_first_ten_depths(
    #[case] one: &[u32],
    #[case] other: &[u32],
    #[case] overlap: f64,
) {
    assert!((overlap_of_first_ten(one, other) - overlap).abs() < 1e-12);
    assert!((overlap_of_first_ten(other, one) - overlap).abs() < 1e-12);
}

#[test]
fn the_distance_of_scores_is_of_what_both_have() {
    assert_eq!(score_distance(&[("a", 1.0), ("b", 9.0)], &[("c", 5.0), ("a", 0.5)]), Some(0.5));
    assert_eq!(score_distance(&[("a", f32::INFINITY)], &[("a", f32::INFINITY)]), Some(0.0));
    assert_eq!(score_distance(&[("a", 1.0), ("a", 9.0)], &[("a", 1.0)]), Some(0.0), "the best place counts");
    assert_eq!(score_distance(&[("a", 1.0)], &[]), None);
}

fn leg(name: &str, products: &[&str]) -> Leg {
    let hit = |product: &&str| Hit {
        product: product.parse().unwrap(),
        image: Some(ImageHash::of(product.as_bytes())),
        score: 1.0,
        at_ms: None,
    };
    Leg {
        name: name.into(),
        modality: "text".into(),
        measure: Measure::Cosine,
        weight: 1.0,
        hits: products.iter().map(hit).collect(),
    }
}

#[test]
fn legs_are_compared_by_name() {
    let recorded = Answer::Legs(vec![leg("one", &["a", "b"]), leg("gone", &["a"])]);
    let replayed = Answer::Legs(vec![leg("new\u{1b}", &["a"]), leg("one", &["b", "a"])]);
    let diff = Diff::between(&recorded, &replayed);
    let told: Vec<_> = diff.orders.iter().map(|order| (order.name.as_str(), order.changes.len())).collect();
    assert_eq!(told, [("one", 2), ("gone", 1), ("new\u{1b}", 1)]);
    assert!(diff.orders[0].changes[0].what.starts_with("b 3e23e816"));
    assert!(!diff.to_string().contains('\u{1b}'), "a name cannot command the terminal");
}

#[test]
fn other_decisions_and_answers_of_another_kind_are_shown_side_by_side() {
    let reject = |reason: &str| {
        Answer::Decision(Decision { outcome: Outcome::Reject { reason: reason.into() }, dropped: vec![] })
    };
    assert!(Diff::between(&reject("x"), &reject("x")).identical);
    let diff = Diff::between(&reject("too small\u{9b}"), &Answer::Fault("trapped".into()));
    let shown = diff.to_string();
    assert!(
        !diff.identical && shown.contains("too small?") && shown.contains("\"fault\": \"trapped\""),
        "{shown}"
    );
    let same = Diff::between(&reject("x"), &reject("x"));
    assert!(same.answers.is_none());
}
