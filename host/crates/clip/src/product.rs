//! How fast this machine multiplies matrices: the measure of how near a tower is to what the hardware can do.

use std::path::Path;

use ort::{
    session::{Session, SessionInputValue},
    value::TensorRef,
};

use crate::{
    clock::Clock,
    compute::{Backend, Precision},
    error::ClipError,
    onnx::{
        self,
        element::{FLOAT, INT8, INT32, UINT8},
    },
    provider, runtime,
};

/// The rate of products of two square matrices, operations per second (a multiplication and an addition are two), by the
/// kernels that a tower is computed with, less what other programs took from it meanwhile. `side` is 1,024 to 4,096 for a figure that means something. The best of several
/// runs.
///
/// # Errors
/// When ONNX Runtime cannot be loaded, or the backend is not to be had here.
pub fn product_rate(library: &Path, threads: usize, backend: Backend, side: usize) -> Result<f64, ClipError> {
    let environment = runtime::environment(library, threads)?;
    let kinds = Kinds::of(backend.precision());
    let graph = graph(side, kinds);
    let (numbers, integers) = (numbers(side * side), integers(side * side));
    let measure = || -> Result<f64, String> {
        let builder = Session::builder(&environment).map_err(|error| error.to_string())?;
        let mut builder = provider::configure(builder, backend, threads)?;
        let mut session = builder.commit_from_memory(&graph).map_err(|error| error.to_string())?;
        let mut shortest = f64::INFINITY;
        for _ in 0..RUNS {
            let shape = [side, side];
            let input: Result<SessionInputValue<'_>, _> = match kinds.input {
                UINT8 => TensorRef::from_array_view((shape, integers.as_slice())).map(Into::into),
                _ => TensorRef::from_array_view((shape, numbers.as_slice())).map(Into::into),
            };
            let input = input.map_err(|error| error.to_string())?;
            let clock = Clock::start();
            session.run(ort::inputs!["a" => input]).map_err(|error| error.to_string())?;
            shortest = shortest.min(clock.stop(backend, threads).alone.as_secs_f64());
        }
        Ok(2.0 * (side as f64).powi(3) / shortest)
    };
    measure()
        .map_err(|problem| ClipError::Config(format!("no product could be measured on {backend}: {problem}")))
}

/// The first packs the constant matrix.
const RUNS: usize = 6;

/// From -1 to 1, without a pattern.
fn numbers(count: usize) -> Vec<f32> {
    let number = |place: u32| (place.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    (0..count as u32).map(number).collect()
}

/// From 0 to 255, without a pattern.
fn integers(count: usize) -> Vec<u8> {
    (0..count as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What is multiplied with what, and what becomes of it.
#[derive(Clone, Copy)]
struct Kinds {
    operator: &'static str,
    input: usize,
    weights: usize,
    output: usize,
}

impl Kinds {
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::Int8 | Precision::Int8Single => {
                Self { operator: "MatMulInteger", input: UINT8, weights: INT8, output: INT32 }
            }
            _ => Self { operator: "MatMul", input: FLOAT, weights: FLOAT, output: FLOAT },
        }
    }
}

/// The version of ONNX's operators that is asked for.
const OPSET: usize = 17;

/// An ONNX file: `c = a b`, where `b` is constant as a tower's weights are.
fn graph(side: usize, kinds: Kinds) -> Vec<u8> {
    let weights: Vec<u8> = match kinds.weights {
        INT8 => integers(side * side),
        _ => numbers(side * side).iter().flat_map(|number| number.to_le_bytes()).collect(),
    };
    let shape = [side, side];
    let mut graph = onnx::tensor("b", kinds.weights, &shape, weights).concat();
    onnx::node(&mut graph, kinds.operator, &["a", "b"], "c", &[]);
    let input = onnx::value("a", kinds.input, Some(&shape));
    let output = onnx::value("c", kinds.output, Some(&shape));
    onnx::model(&graph, [&input, &output], OPSET)
}
