//! Evidence and notes of small answers.

use super::*;

const NONE: u32 = NO_IMAGE;

fn legs() -> [Leg<'static>; 2] {
    [
        Leg { name: "image-vector", modality: "image", cosine: true, weight: 1.0 },
        Leg { name: "text-keyword", modality: "text", cosine: false, weight: 1.0 },
    ]
}

/// Product 0 by three pictures (one of them twice) and words, product 1 by words, product 2 by one picture.
fn answer(limit: u32, json: &str) -> Ranking {
    let matches = Matches {
        legs: &[0, 0, 0, 0, 0, 1, 1],
        products: &[0, 0, 2, 0, 0, 1, 0],
        images: &[10, 11, 20, 10, 12, NONE, NONE],
        scores: &[0.9, 0.8, 0.7, 0.6, 0.5, 9.0, 8.0],
    };
    rank(&legs(), 3, &matches, limit, &Settings::parse(json).unwrap()).unwrap()
}

fn evidence_of(ranking: &Ranking, place: usize) -> &[u32] {
    let start = if place == 0 { 0 } else { ranking.evidence_ends[place - 1] };
    &ranking.evidence[start as usize..ranking.evidence_ends[place] as usize]
}

#[test]
fn evidence_is_the_best_image_first_and_each_image_once() {
    let ranking = answer(10, "{}");
    assert_eq!(ranking.products, [0, 1, 2]);
    assert_eq!(evidence_of(&ranking, 0), [0, 1, 4]);
    assert_eq!(evidence_of(&ranking, 1), [5], "words are evidence where no picture is");
    assert_eq!(evidence_of(&ranking, 2), [2]);
    assert_eq!(evidence_of(&answer(10, r#"{"evidence": 1}"#), 0), [0]);
}

#[test]
fn matches_below_the_threshold_are_no_evidence() {
    let ranking = answer(10, r#"{"min_cosine_image": 0.75}"#);
    assert_eq!(ranking.products, [0, 1]);
    assert_eq!(evidence_of(&ranking, 0), [0, 1]);
}

#[test]
fn no_more_than_the_limit_is_answered() {
    let ranking = answer(2, "{}");
    assert_eq!((ranking.products.len(), ranking.scores.len(), ranking.evidence_ends.len()), (2, 2, 2));
    assert_eq!(answer(0, "{}"), Ranking::default());
}

#[test]
fn notes_tell_how_each_leg_counted() {
    let notes = answer(10, r#"{"notes": 2}"#).notes;
    // 8/9 of 61/62 of a half.
    let words = "text-keyword rank 2, weight 1, worth 0.889: +0.437";
    assert_eq!(notes[0], (0, format!("image-vector rank 1, weight 1: +0.5; {words}")));
    assert_eq!(notes[1..], [(1, "text-keyword rank 1, weight 1: +0.5".into())]);
    assert!(answer(10, r#"{"notes": 0}"#).notes.is_empty());
    assert_eq!(answer(10, "{}").notes.len(), 3);
}

#[test]
fn what_legs_add_in_a_note_is_the_score() {
    let ranking = answer(10, r#"{"relevance_share": 0.5, "k": 7}"#);
    for (place, note) in &ranking.notes {
        let gains = note.split("; ").filter_map(|leg| leg.rsplit_once(": ")?.1.parse::<f32>().ok());
        let (sum, score) = (gains.sum::<f32>(), ranking.scores[*place as usize]);
        assert!((sum - score).abs() < 0.002, "{note}: {score}");
    }
}

#[test]
fn notes_tell_what_was_left_out_and_why() {
    // Product 0 has matches of the leg that count besides those that do not.
    let notes = answer(10, r#"{"min_cosine_image": 0.75}"#).notes;
    assert!(!notes[0].1.contains("left out"), "{notes:?}");
    let [image, words] = legs();
    let told = |legs: &[Leg<'_>], json: &str| {
        let matches = Matches {
            legs: &[0, 0, 1, 1],
            products: &[0, 1, 0, 1],
            images: &[10, 11, NONE, NONE],
            scores: &[0.5, -0.125, 9.0, 8.0],
        };
        rank(legs, 2, &matches, 9, &Settings::parse(json).unwrap()).unwrap().notes.pop().unwrap().1
    };
    let below = told(&[image, words], r#"{"min_cosine_image": 0.2, "relevance_share": 0}"#);
    assert_eq!(below, "text-keyword rank 2, weight 1: +0.492; image-vector left out: -0.125 is below 0.2");
    let weightless = told(&[Leg { weight: 0.0, ..image }, words], r#"{"relevance_share": 0}"#);
    assert_eq!(weightless, "text-keyword rank 2, weight 1: +0.984; image-vector left out: no weight");
}

#[test]
fn what_counts_against_a_product_is_told_and_not_shown() {
    let [image, words] = legs();
    let matches =
        Matches { legs: &[0, 1, 1], products: &[0, 0, 1], images: &[10, 11, NONE], scores: &[0.5, 9.0, 8.0] };
    let legs = [image, Leg { weight: -0.5, ..words }];
    let ranking = rank(&legs, 2, &matches, 9, &Settings::parse("{}").unwrap()).unwrap();
    assert_eq!((&ranking.products[..], evidence_of(&ranking, 0)), (&[0][..], &[0][..]));
    assert_eq!(
        ranking.notes,
        [(0, "image-vector rank 1, weight 1: +1; text-keyword rank 1, weight -0.5: -0.5".into())]
    );
}
