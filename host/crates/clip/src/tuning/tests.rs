//! Choosing from what was measured, and memory files that lie.

use super::*;

fn row(backend: &str, batch: usize, ms: f64) -> Row {
    Row {
        part: Part::Image,
        backend: backend.parse().unwrap(),
        threads: 2,
        batch,
        ms_per_item: Some(ms * 1.5),
        ms_alone: Some(ms),
        cosine: Some(1.0),
        refused: None,
        chosen: false,
    }
}

fn refused(backend: &str, batch: usize, ms: f64) -> Row {
    Row { refused: Some("its vectors are others".to_owned()), ..row(backend, batch, ms) }
}

#[test]
fn the_fastest_that_gives_the_same_vectors_serves() {
    let mut rows = [
        row("cpu/f32", 1, 100.0),
        row("openvino/bf16", 1, 50.0),
        refused("openvino/f16", 1, 10.0),
        row("openvino/f32", 1, 90.0),
    ];
    let seat = seat(&mut rows, Choice::Auto).unwrap();
    assert_eq!((seat.backend.to_string().as_str(), seat.same_space), ("openvino/bf16", true));
    assert_eq!(rows.map(|row| row.chosen), [false, true, false, false]);
}

#[test]
fn one_bad_batch_refuses_a_backend() {
    let mut rows =
        [row("cpu/f32", 1, 100.0), row("openvino/bf16", 1, 50.0), refused("openvino/bf16", 8, 5.0)];
    assert_eq!(seat(&mut rows, Choice::Auto).unwrap().backend, Backend::REFERENCE);
}

#[test]
fn a_hair_is_not_worth_exactness() {
    let mut rows = [row("cpu/f32", 1, 100.0), row("openvino/bf16", 1, 98.0)];
    assert_eq!(seat(&mut rows, Choice::Auto).unwrap().backend, Backend::REFERENCE);
}

#[test]
fn batches_are_as_large_as_they_pay() {
    let best = |times: &[(usize, f64)]| {
        let mut rows: Vec<_> = times.iter().map(|(batch, ms)| row("cpu/f32", *batch, *ms)).collect();
        seat(&mut rows, Choice::Auto).unwrap().batch
    };
    assert_eq!(best(&[(1, 100.0), (2, 80.0), (4, 60.0), (8, 59.5)]), 4);
    assert_eq!(best(&[(1, 50.0), (2, 60.0), (8, 70.0)]), 1);
}

#[test]
fn who_insists_gets_other_vectors_under_another_name() {
    let choice = Choice::Fixed("openvino/f16".parse().unwrap());
    let mut rows = [row("cpu/f32", 1, 100.0), refused("openvino/f16", 1, 10.0)];
    let image = seat(&mut rows, choice).unwrap();
    assert!(!image.same_space);
    let tuning = Tuning { rows: rows.to_vec(), image, text: Seat::untuned(1) };
    assert_eq!(tuning.space_suffix().as_deref(), Some("-openvino-f16"));
    // What does not run at all cannot be insisted on.
    let mut rows = [
        row("cpu/f32", 1, 100.0),
        Row { ms_per_item: None, ms_alone: None, ..refused("openvino/f16", 1, 1.0) },
    ];
    assert!(matches!(seat(&mut rows, choice), Err(ClipError::Config(_))));
}
