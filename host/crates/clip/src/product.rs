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
    protobuf::{bytes, number},
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

/// ONNX's numbers for what is multiplied with what, and what becomes of it.
#[derive(Clone, Copy)]
struct Kinds {
    operator: &'static [u8],
    input: usize,
    weights: usize,
    output: usize,
}

const FLOAT: usize = 1;
const UINT8: usize = 2;
const INT8: usize = 3;
const INT32: usize = 6;

impl Kinds {
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::Int8 => {
                Self { operator: b"MatMulInteger", input: UINT8, weights: INT8, output: INT32 }
            }
            _ => Self { operator: b"MatMul", input: FLOAT, weights: FLOAT, output: FLOAT },
        }
    }
}

/// An ONNX file: `c = a b`, where `b` is constant as a tower's weights are.
fn graph(side: usize, kinds: Kinds) -> Vec<u8> {
    let weights: Vec<u8> = match kinds.weights {
        INT8 => integers(side * side),
        _ => numbers(side * side).iter().flat_map(|number| number.to_le_bytes()).collect(),
    };
    let dimension = number(1, side);
    let tensor =
        [number(1, side), number(1, side), number(2, kinds.weights), bytes(8, b"b"), bytes(9, &weights)]
            .concat();
    let shape = [bytes(1, &dimension), bytes(1, &dimension)].concat();
    let value = |name: &[u8], kind: usize| {
        let kind = bytes(1, &[number(1, kind), bytes(2, &shape)].concat());
        [bytes(1, name), bytes(2, &kind)].concat()
    };
    let node = [bytes(1, b"a"), bytes(1, b"b"), bytes(2, b"c"), bytes(4, kinds.operator)].concat();
    let parts = [
        bytes(1, &node),
        bytes(2, b"product"),
        bytes(5, &tensor),
        bytes(11, &value(b"a", kinds.input)),
        bytes(12, &value(b"c", kinds.output)),
    ];
    // The versions of the format and of the operators.
    [number(1, 8), bytes(7, &parts.concat()), bytes(8, &number(2, 17))].concat()
}
