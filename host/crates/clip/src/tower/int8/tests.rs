//! Quantised products against exact ones, on the real ONNX Runtime.

use ort::{session::Session, value::TensorRef};

use super::*;
use crate::{
    compute::{Backend, Precision, Provider},
    tower::{Loader, tests::library},
};

const ROWS: usize = 48;
const COLUMNS: usize = 20;
/// Opsets before and after the axes of a reduction became an input.
const OPSETS: [usize; 2] = [17, 18];

/// A model of one product: `y = x w`.
fn model(opset: usize, weights: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let mut graph = tensor("w", element::FLOAT, &[ROWS, COLUMNS], raw).concat();
    node(&mut graph, "MatMul", &["x", "w"], "y", &[]);
    let [input, output] = ["x", "y"].map(|name| onnx::value(name, element::FLOAT, None));
    onnx::model(&graph, [&input, &output], opset)
}

/// Numbers without a pattern, from -1 to 1.
fn numbers_of(count: usize, seed: u32) -> Vec<f32> {
    let number = |place: u32| ((place ^ seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    (1..=count as u32).map(number).collect()
}

const FORMS: [Form; 2] = [Form::Items, Form::Single];

/// A session of such a model, quantised.
fn session(opset: usize, weights: &[f32], form: Form) -> Session {
    opened(&model(opset, weights), form)
}

/// A session of a model, quantised.
fn opened(model: &[u8], form: Form) -> Session {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("product.onnx");
    std::fs::write(&path, model).unwrap();
    let environment = crate::runtime::environment(&library(), 2).unwrap();
    let backend = Backend::new(Provider::Cpu, Precision::Int8).unwrap();
    let loader =
        Loader { environment: &environment, folder: folder.path(), dimension: 1, backend, threads: 2 };
    loader.quantised(&path, 1, form).unwrap()
}

fn run(session: &mut Session, shape: &[usize], numbers: &[f32]) -> Vec<f32> {
    let input = TensorRef::from_array_view((shape.to_vec(), numbers)).unwrap();
    let outputs = session.run(ort::inputs!["x" => input]).unwrap();
    let (found, output) = outputs["y"].try_extract_tensor::<f32>().unwrap();
    let expected: Vec<i64> =
        [&shape[..shape.len() - 1], &[COLUMNS]].concat().iter().map(|size| *size as i64).collect();
    assert_eq!(found[..], expected[..]);
    output.to_vec()
}

fn exact(numbers: &[f32], weights: &[f32]) -> Vec<f32> {
    let product = |row: &[f32], column: usize| -> f32 {
        row.iter().zip(weights[column..].iter().step_by(COLUMNS)).map(|(x, w)| x * w).sum()
    };
    numbers.chunks_exact(ROWS).flat_map(|row| (0..COLUMNS).map(move |column| product(row, column))).collect()
}

/// The most that rounding both sides to the nearest step may change a product of numbers between these.
fn tolerance(most_number: f32, range: f32, most_weight: f32) -> f32 {
    let (step, weight_step) = (range / 255.0, most_weight / 127.0);
    ROWS as f32 * (most_weight * step / 2.0 + (most_number + step / 2.0) * weight_step / 2.0) + 1e-4
}

#[test]
fn products_are_as_near_as_rounding_allows() {
    let weights = numbers_of(ROWS * COLUMNS, 1);
    for (opset, form) in OPSETS.into_iter().flat_map(|opset| FORMS.map(|form| (opset, form))) {
        let mut session = session(opset, &weights, form);
        for (shape, low, high) in [
            (&[2, 3, ROWS][..], -1.0, 1.0),
            (&[5, ROWS], -0.2, 7.0),
            (&[1, 4, ROWS], 3.0, 5.0),
            (&[1, 1, ROWS], -9.0, -2.0),
        ] {
            let count = shape.iter().product();
            let numbers: Vec<f32> =
                numbers_of(count, 7).iter().map(|x| low + (x + 1.0) / 2.0 * (high - low)).collect();
            let found = run(&mut session, shape, &numbers);
            let most = tolerance(low.abs().max(high), high.max(0.0) - low.min(0.0), 1.0);
            for (found, exact) in found.iter().zip(exact(&numbers, &weights)) {
                assert!((found - exact).abs() <= most, "{found} {exact} {most} {shape:?}");
            }
        }
    }
}

/// A model of one product to which constants are added, `y = x w + b`, and of which more may be given.
fn biased(terms: [&str; 2], given: &str) -> Vec<u8> {
    let raw = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let weights = numbers_of(ROWS * COLUMNS, 1);
    let mut graph = tensor("w", element::FLOAT, &[ROWS, COLUMNS], raw(&weights)).concat();
    graph.extend(tensor("b", element::FLOAT, &[COLUMNS], raw(&numbers_of(COLUMNS, 5))).concat());
    node(&mut graph, "MatMul", &["x", "w"], "p", &[]);
    node(&mut graph, "Add", &terms, "s", &[]);
    node(&mut graph, "Add", &["s", given], "y", &[]);
    let [input, output] = ["x", "y"].map(|name| onnx::value(name, element::FLOAT, None));
    onnx::model(&graph, [&input, &output], 17)
}

#[test]
fn a_bias_is_added_once_and_a_product_that_is_used_elsewhere_stays() {
    let (weights, bias) = (numbers_of(ROWS * COLUMNS, 1), numbers_of(COLUMNS, 5));
    let numbers = numbers_of(3 * ROWS, 9);
    let products = exact(&numbers, &weights);
    // How often the product and the bias are in the sum.
    let sums = [
        (["p", "b"], "s", [2.0, 2.0]),
        (["b", "p"], "s", [2.0, 2.0]),
        (["p", "b"], "p", [2.0, 1.0]),
        (["p", "p"], "b", [2.0, 1.0]),
    ];
    for ((terms, given, [times, biases]), form) in sums.iter().flat_map(|sum| FORMS.map(|form| (*sum, form)))
    {
        let found = run(&mut opened(&biased(terms, given), form), &[1, 3, ROWS], &numbers);
        let most = 2.0 * tolerance(1.0, 2.0, 1.0);
        for (place, (found, product)) in found.iter().zip(&products).enumerate() {
            let expected = times * product + biases * bias[place % COLUMNS];
            assert!((found - expected).abs() <= most, "{found} {expected} {most} {terms:?} {given}");
        }
    }
}

#[test]
fn what_else_is_in_a_batch_changes_nothing() {
    let weights = numbers_of(ROWS * COLUMNS, 1);
    let mut session = session(17, &weights, Form::Items);
    let small = numbers_of(2 * ROWS, 3);
    let large: Vec<f32> = small.iter().map(|number| number * 1000.0).collect();
    let alone = run(&mut session, &[1, 2, ROWS], &small);
    let together = run(&mut session, &[2, 2, ROWS], &[large, small].concat());
    assert_eq!(together[2 * COLUMNS..], alone);
}

#[test]
fn nothing_at_all_gives_nothing() {
    for form in FORMS {
        let mut empty = session(17, &vec![0.0; ROWS * COLUMNS], form);
        assert_eq!(run(&mut empty, &[1, 1, ROWS], &numbers_of(ROWS, 2)), [0.0; COLUMNS]);
        let mut other = session(17, &numbers_of(ROWS * COLUMNS, 1), form);
        assert_eq!(run(&mut other, &[1, 1, ROWS], &[0.0; ROWS]), [0.0; COLUMNS]);
    }
}

#[test]
fn numbers_are_rounded_to_the_nearest() {
    for (number, expected) in [(0.4, 0), (0.6, 1), (-0.6, -1), (126.7, 127), (-127.0, -127), (0.0, 0)] {
        assert_eq!(nearest(number), expected);
    }
}

#[test]
fn a_file_that_cannot_be_quantised_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("product.onnx");
    let weights = numbers_of(ROWS * COLUMNS, 1);
    let problem = |model: &[u8], least| {
        std::fs::write(&path, model).unwrap();
        of(&path, least, Form::Items).unwrap_err()
    };
    assert!(problem(&model(12, &weights), 1).contains("opset 12"));
    assert!(problem(&model(17, &weights), 1 << 16).contains("no product with a large constant matrix"));
    let whole = model(17, &weights);
    assert!(problem(&whole[..whole.len() / 2], 1).contains("broken"));
    assert!(problem(b"", 1).contains("does not say which operators"));
}
