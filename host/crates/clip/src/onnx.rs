//! The little of ONNX's format that is read and written here (`onnx.proto`).

use crate::protobuf::{bytes, number, opening};

/// Numbers of fields in the messages.
pub(crate) const MODEL_GRAPH: u8 = 7;
pub(crate) const MODEL_OPSET: u8 = 8;
pub(crate) const OPSET_DOMAIN: u8 = 1;
pub(crate) const OPSET_VERSION: u8 = 2;
pub(crate) const GRAPH_NODE: u8 = 1;
pub(crate) const GRAPH_INITIALIZER: u8 = 5;
pub(crate) const GRAPH_OUTPUT: u8 = 12;
pub(crate) const NODE_INPUT: u8 = 1;
pub(crate) const NODE_OUTPUT: u8 = 2;
pub(crate) const NODE_OPERATOR: u8 = 4;
pub(crate) const VALUE_NAME: u8 = 1;
pub(crate) const TENSOR_DIMENSIONS: u8 = 1;
pub(crate) const TENSOR_TYPE: u8 = 2;
pub(crate) const TENSOR_NAME: u8 = 8;
pub(crate) const TENSOR_RAW_DATA: u8 = 9;
pub(crate) const TENSOR_EXTERNAL_DATA: u8 = 13;
pub(crate) const TENSOR_DATA_LOCATION: u8 = 14;
pub(crate) const ENTRY_KEY: u8 = 1;
pub(crate) const ENTRY_VALUE: u8 = 2;
const MODEL_FORMAT: u8 = 1;
const GRAPH_NAME: u8 = 2;
const GRAPH_INPUT: u8 = 11;
const NODE_ATTRIBUTE: u8 = 5;
const NODE_DOMAIN: u8 = 7;
const ATTRIBUTE_NAME: u8 = 1;
const ATTRIBUTE_INT: u8 = 3;
const ATTRIBUTE_INTS: u8 = 8;
const ATTRIBUTE_TYPE: u8 = 20;

/// The data location that means "in another file".
pub(crate) const EXTERNAL: usize = 1;
/// Where ONNX Runtime's own operators are.
const RUNTIME: &[u8] = b"com.microsoft";
/// The version of the format that is written.
const FORMAT: usize = 8;

/// Element types.
pub(crate) mod element {
    pub(crate) const FLOAT: usize = 1;
    pub(crate) const UINT8: usize = 2;
    pub(crate) const INT8: usize = 3;
    pub(crate) const INT32: usize = 6;
    pub(crate) const INT64: usize = 7;
}

/// A file: a graph with one input and one output, and the version of ONNX's operators.
pub(crate) fn model(graph: &[u8], [input, output]: [&[u8]; 2], opset: usize) -> Vec<u8> {
    let graph =
        [graph, &bytes(GRAPH_NAME, b"graph"), &bytes(GRAPH_INPUT, input), &bytes(GRAPH_OUTPUT, output)]
            .concat();
    let opset = bytes(MODEL_OPSET, &number(OPSET_VERSION, opset));
    [number(MODEL_FORMAT, FORMAT), bytes(MODEL_GRAPH, &graph), opset].concat()
}

/// An input or output, of any shape where none is given.
pub(crate) fn value(name: &str, element: usize, shape: Option<&[usize]>) -> Vec<u8> {
    let shape = shape.map(|shape| {
        let sizes: Vec<u8> = shape.iter().flat_map(|size| bytes(1, &number(1, *size))).collect();
        bytes(2, &sizes)
    });
    let tensor = [number(1, element), shape.unwrap_or_default()].concat();
    [bytes(VALUE_NAME, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// Adds a node with one output to a graph.
pub(crate) fn node(graph: &mut Vec<u8>, operator: &str, inputs: &[&str], output: &str, attributes: &[u8]) {
    let mut node: Vec<u8> = inputs.iter().flat_map(|input| bytes(NODE_INPUT, input.as_bytes())).collect();
    node.extend(bytes(NODE_OUTPUT, output.as_bytes()));
    node.extend(bytes(NODE_OPERATOR, operator.as_bytes()));
    node.extend(attributes);
    graph.extend(bytes(GRAPH_NODE, &node));
}

/// What a model says that uses ONNX Runtime's own operators.
pub(crate) fn runtime_operators() -> Vec<u8> {
    bytes(MODEL_OPSET, &[bytes(OPSET_DOMAIN, RUNTIME), number(OPSET_VERSION, 1)].concat())
}

/// Where an attribute would be: the node is one of ONNX Runtime's own operators.
pub(crate) fn of_runtime() -> Vec<u8> {
    bytes(NODE_DOMAIN, RUNTIME)
}

/// An attribute that is a whole number.
pub(crate) fn attribute(name: &str, value: usize) -> Vec<u8> {
    const INT: usize = 2;
    attribute_of(name, INT, ATTRIBUTE_INT, value)
}

/// An attribute that is a list of one whole number.
pub(crate) fn attribute_list(name: &str, value: i64) -> Vec<u8> {
    const INTS: usize = 7;
    attribute_of(name, INTS, ATTRIBUTE_INTS, value.cast_unsigned() as usize)
}

fn attribute_of(name: &str, kind: usize, field: u8, value: usize) -> Vec<u8> {
    let parts = [bytes(ATTRIBUTE_NAME, name.as_bytes()), number(field, value), number(ATTRIBUTE_TYPE, kind)];
    bytes(NODE_ATTRIBUTE, &parts.concat())
}

/// A tensor of a graph: all but its numbers, and these.
pub(crate) fn tensor(name: &str, element: usize, dimensions: &[usize], raw: Vec<u8>) -> [Vec<u8>; 2] {
    let mut tensor: Vec<u8> = dimensions.iter().flat_map(|size| number(TENSOR_DIMENSIONS, *size)).collect();
    tensor.extend(number(TENSOR_TYPE, element));
    tensor.extend(bytes(TENSOR_NAME, name.as_bytes()));
    tensor.extend(opening(TENSOR_RAW_DATA, raw.len()));
    let opening = opening(GRAPH_INITIALIZER, tensor.len() + raw.len());
    [[opening, tensor].concat(), raw]
}
