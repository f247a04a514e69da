//! An ONNX file whose large matrix products are of 8-bit integers: a quarter of the memory, and two to three times as fast
//! where the processor adds such products in one instruction (VNNI, dot products of Arm).
//!
//! - Weights have a scale per column of the product, `max |w| / 127`, and no zero point.
//! - What they are multiplied with is quantised as it comes, each item of a batch by its own least and greatest value, so that
//!   a vector does not depend on what else is in the batch: `q = round(x / s) + z`, `s = (max - min) / 255`,
//!   `z = round(-min / s)`, with 0 between `min` and `max` (as ONNX's `DynamicQuantizeLinear`, which takes a whole batch).
//! - `x w = s t (q v - z sum(v))` for a weight `w = t v`: the sum of a column is known, so zero points cost one subtraction,
//!   which a bias that is added to the product takes in.
//!
//! Sums are of 32 bits. Everything else is computed as in the file. Where there may be several items, the scales of columns go into
//! ONNX Runtime's own `MatMulIntegerToFloat`, which applies them to what is still in the cache; those of items do not, since it
//! would apply several of them in one thread. Of a single item all goes into its `DynamicQuantizeMatMul`, the quantising and the
//! bias too: one node in place of twenty, and no pass over the product to scale it.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    ops::Range,
    path::Path,
};

use rayon::prelude::*;

use super::outline::Outline;
use crate::{
    onnx::{self, attribute, attribute_list, element, node, tensor},
    protobuf::{self, Field, bytes, opening},
};

/// The first version of ONNX's operators in which `QuantizeLinear` has a scale per item.
const FIRST_OPSET: u64 = 13;
/// The version from which the axes of a reduction are an input.
const AXES_ARE_INPUTS: u64 = 18;
/// Before the names of all that is added.
const PREFIX: &str = "int8/";
/// A scale that is too small to divide by is this.
const LEAST_SCALE: f32 = 1e-30;
/// Sums of more products of 255 and 127 could overflow 32 bits.
const MOST_ROWS: usize = 1 << 16;
/// Greatest magnitude of a quantised weight.
const MOST: f32 = 127.0;

/// How many items there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Any number.
    Items,
    /// One: several would share a scale.
    Single,
}

/// An ONNX file in which products with constant matrices of `least` bytes and more are quantised; other tensors of that size
/// are looked for in the file itself. The problem is told in words.
pub(super) fn of(path: &Path, least: u64, form: Form) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("has a name that is no text")?;
    let model = protobuf::fields(&file, 0..size)?;
    let opset = opset(&file, &model)?;
    if opset < FIRST_OPSET {
        return Err(format!("is of opset {opset}, products are quantised from {FIRST_OPSET} on"));
    }
    let mut outline = Outline::new(&file, name, least);
    let mut written = Vec::new();
    for field in model {
        match field.content {
            Some(content) if field.number == u64::from(onnx::MODEL_GRAPH) => {
                let graph = Graph::read(&file, content, least)?.quantised(&mut outline, opset, form)?;
                let length = graph.iter().map(Vec::len).sum();
                written.reserve(length);
                written.extend(opening(onnx::MODEL_GRAPH, length));
                graph.into_iter().for_each(|piece| written.extend(piece));
            }
            _ => written.extend(outline.copy(field.whole)?),
        }
    }
    written.extend(onnx::runtime_operators());
    Ok(written)
}

/// The version of ONNX's own operators that the file uses.
fn opset(file: &File, model: &[Field]) -> Result<u64, String> {
    for import in model.iter().filter(|field| field.number == u64::from(onnx::MODEL_OPSET)) {
        let Some(content) = import.content.clone() else { continue };
        let fields = protobuf::fields(file, content)?;
        if texts(file, &fields, onnx::OPSET_DOMAIN)?
            .iter()
            .all(|domain| domain.is_empty() || domain == "ai.onnx")
            && let Some(version) = numbers(&fields, onnx::OPSET_VERSION).next()
        {
            return Ok(version);
        }
    }
    Err("does not say which operators it uses".to_owned())
}

/// A weight that can be quantised.
#[derive(Debug, Clone)]
struct Weight {
    name: String,
    /// Where its tensor begins.
    place: u64,
    /// Where its numbers lie.
    data: Range<u64>,
    rows: usize,
    columns: usize,
}

/// A product with such a weight.
#[derive(Debug)]
struct Product {
    input: String,
    weight: String,
    /// What is added to it.
    bias: Option<String>,
    output: String,
}

/// What is said of a node.
struct Node {
    place: u64,
    operator: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Node {
    fn read(file: &File, place: Range<u64>) -> Result<Self, String> {
        let fields = protobuf::fields(file, place.clone())?;
        Ok(Self {
            place: place.start,
            operator: texts(file, &fields, onnx::NODE_OPERATOR)?.pop().unwrap_or_default(),
            inputs: texts(file, &fields, onnx::NODE_INPUT)?,
            outputs: texts(file, &fields, onnx::NODE_OUTPUT)?,
        })
    }
}

/// What the graph of a file is made of.
struct Graph<'a> {
    file: &'a File,
    fields: Vec<Field>,
    /// By the places of their nodes.
    products: HashMap<u64, Product>,
    weights: HashMap<String, Weight>,
    /// Weights that something else uses, too.
    kept: HashSet<String>,
    /// The places of the nodes that products take in.
    taken_in: HashSet<u64>,
}

impl<'a> Graph<'a> {
    fn read(file: &'a File, place: Range<u64>, least: u64) -> Result<Self, String> {
        let fields = protobuf::fields(file, place)?;
        let (mut all, mut vectors) = (HashMap::new(), HashMap::new());
        for content in contents(&fields, onnx::GRAPH_INITIALIZER) {
            match Constant::read(file, content, least)? {
                Some(Constant::Weight(weight)) => drop(all.insert(weight.name.clone(), weight)),
                Some(Constant::Vector(name, size)) => drop(vectors.insert(name, size)),
                None => {}
            }
        }
        let nodes = contents(&fields, onnx::GRAPH_NODE).map(|place| Node::read(file, place));
        let nodes: Vec<_> = nodes.collect::<Result<_, _>>()?;
        let (mut products, mut weights, mut kept) = (HashMap::new(), HashMap::new(), HashSet::new());
        for Node { place, operator, inputs, outputs } in &nodes {
            match (&inputs[..], &outputs[..]) {
                ([input, weight], [output])
                    if operator == "MatMul" && all.contains_key(weight) && input != weight =>
                {
                    weights.insert(weight.clone(), all[weight].clone());
                    let (input, weight, output) = (input.clone(), weight.clone(), output.clone());
                    products.insert(*place, Product { input, weight, bias: None, output });
                }
                _ => kept.extend(inputs.iter().filter(|input| all.contains_key(*input)).cloned()),
            }
        }
        if products.is_empty() {
            return Err("has no product with a large constant matrix of 32-bit floats".to_owned());
        }
        let mut graph = Self { file, fields, products, weights, kept, taken_in: HashSet::new() };
        graph.take_in_biases(&nodes, &vectors)?;
        Ok(graph)
    }

    /// Finds the products that nothing but an addition of a constant uses.
    fn take_in_biases(&mut self, nodes: &[Node], vectors: &HashMap<String, usize>) -> Result<(), String> {
        let mut uses: HashMap<String, usize> = HashMap::new();
        let used = nodes.iter().flat_map(|node| node.inputs.iter().cloned());
        for name in used.chain(self.outputs()?) {
            *uses.entry(name).or_default() += 1;
        }
        let mut biases = HashMap::new();
        for node in nodes.iter().filter(|node| node.operator == "Add") {
            let ([one, other], [output]) = (&node.inputs[..], &node.outputs[..]) else { continue };
            for (sum, bias) in [(one, other), (other, one)] {
                if let Some(size) = vectors.get(bias) {
                    biases.insert(sum, (bias, *size, output, node.place));
                }
            }
        }
        for product in self.products.values_mut() {
            let Some((bias, size, output, place)) = biases.get(&product.output) else { continue };
            if uses[&product.output] == 1 && self.weights[&product.weight].columns == *size {
                product.bias = Some((*bias).clone());
                product.output = (*output).clone();
                self.taken_in.insert(*place);
            }
        }
        Ok(())
    }

    /// The names of what the graph gives.
    fn outputs(&self) -> Result<Vec<String>, String> {
        let names = contents(&self.fields, onnx::GRAPH_OUTPUT)
            .map(|place| texts(self.file, &protobuf::fields(self.file, place)?, onnx::VALUE_NAME));
        Ok(names.collect::<Result<Vec<_>, String>>()?.concat())
    }

    /// The graph with quantised products, piece by piece: hundreds of megabytes are better not copied. Tensors that stay are
    /// outlined.
    fn quantised(self, outline: &mut Outline<'_>, opset: u64, form: Form) -> Result<Vec<Vec<u8>>, String> {
        let weights: Vec<_> = self.weights.values().collect();
        let quantised = weights.par_iter().map(|weight| {
            let data = protobuf::read(self.file, weight.data.clone())?;
            Ok(quantised(weight, &data, form))
        });
        let quantised: Vec<_> = quantised.collect::<Result<_, String>>()?;
        let replaced = weights.iter().filter(|weight| !self.kept.contains(&weight.name));
        let replaced: HashSet<u64> = replaced.map(|weight| weight.place).collect();
        let mut graph = if form == Form::Items { constants().concat() } else { Vec::new() };
        let mut inputs = HashSet::new();
        for field in self.fields {
            let is = |number: u8| field.number == u64::from(number);
            match field.content {
                Some(content) if is(onnx::GRAPH_NODE) && self.products.contains_key(&content.start) => {
                    let product = &self.products[&content.start];
                    match form {
                        Form::Single => multiply_single(&mut graph, product),
                        Form::Items => {
                            if inputs.insert(&product.input) {
                                quantise(&mut graph, &product.input, opset);
                            }
                            multiply(&mut graph, product);
                        }
                    }
                }
                Some(content) if is(onnx::GRAPH_NODE) && self.taken_in.contains(&content.start) => {}
                Some(content) if is(onnx::GRAPH_INITIALIZER) => {
                    if !replaced.contains(&content.start) {
                        graph.extend(bytes(onnx::GRAPH_INITIALIZER, &outline.tensor(content)?));
                    }
                }
                _ => graph.extend(outline.copy(field.whole)?),
            }
        }
        let mut pieces: Vec<_> = quantised.into_iter().flatten().flatten().collect();
        pieces.push(graph);
        Ok(pieces)
    }
}

/// A tensor of 32-bit floats that products may use.
enum Constant {
    /// A matrix worth quantising.
    Weight(Weight),
    /// A name, and how many numbers it stands for.
    Vector(String, usize),
}

impl Constant {
    fn read(file: &File, place: Range<u64>, least: u64) -> Result<Option<Self>, String> {
        let fields = protobuf::fields(file, place.clone())?;
        if !numbers(&fields, onnx::TENSOR_TYPE).eq([element::FLOAT as u64]) {
            return Ok(None);
        }
        let name = texts(file, &fields, onnx::TENSOR_NAME)?.pop().unwrap_or_default();
        let data = contents(&fields, onnx::TENSOR_RAW_DATA).next();
        Ok(match (&dimensions(file, &fields)?[..], data) {
            (&[size], _) => Some(Self::Vector(name, size)),
            (&[rows, columns], Some(data)) => {
                let size = data.end - data.start;
                let count = rows.checked_mul(columns);
                let is_whole = count.is_some_and(|count| size / 4 == count as u64 && size % 4 == 0);
                let is_worth_it = size >= least.max(4) && rows <= MOST_ROWS;
                let weight = Weight { name, place: place.start, data, rows, columns };
                (is_whole && is_worth_it).then_some(Self::Weight(weight))
            }
            _ => None,
        })
    }
}

/// The dimensions of a tensor, which are written one by one or together.
fn dimensions(file: &File, tensor: &[Field]) -> Result<Vec<usize>, String> {
    let mut dimensions: Vec<_> = numbers(tensor, onnx::TENSOR_DIMENSIONS).collect();
    for packed in contents(tensor, onnx::TENSOR_DIMENSIONS) {
        dimensions.extend(protobuf::packed(file, packed)?);
    }
    dimensions.into_iter().map(|size| usize::try_from(size).map_err(|error| error.to_string())).collect()
}

/// The tensors that stand for a weight: integers, their scales, and for several items the sums of its columns.
fn quantised(weight: &Weight, data: &[u8], form: Form) -> Vec<[Vec<u8>; 2]> {
    let Columns { integers, scales, sums } = Columns::of(data, weight.columns);
    let floats = |what: &str, values: &[f32]| {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensor(&of_weight(&weight.name, what), element::FLOAT, &[weight.columns], raw)
    };
    let shape = [weight.rows, weight.columns];
    let mut tensors = vec![
        tensor(&of_weight(&weight.name, "integers"), element::INT8, &shape, integers),
        floats("scales", &scales),
    ];
    tensors.extend((form == Form::Items).then(|| floats("sums", &sums)));
    tensors
}

/// A matrix, column by column.
struct Columns {
    /// Row by row, as the numbers came.
    integers: Vec<u8>,
    /// What 1 of a column's integers is.
    scales: Vec<f32>,
    /// The sum of the numbers that a column's integers stand for.
    sums: Vec<f32>,
}

impl Columns {
    /// Quantises rows of numbers, four bytes each.
    fn of(data: &[u8], columns: usize) -> Self {
        let rows = || data.chunks_exact(4 * columns).map(|row| row.as_chunks::<4>().0);
        let mut most = vec![0.0_f32; columns];
        for row in rows() {
            most.iter_mut()
                .zip(row)
                .for_each(|(most, bytes)| *most = most.max(f32::from_le_bytes(*bytes).abs()));
        }
        let scales: Vec<f32> = most.iter().map(|most| (most / MOST).max(LEAST_SCALE)).collect();
        let per_unit: Vec<f32> = scales.iter().map(|scale| scale.recip()).collect();
        let (mut integers, mut sums) = (vec![0; data.len() / 4], vec![0_i32; columns]);
        for (row, integers) in rows().zip(integers.chunks_exact_mut(columns)) {
            for (((bytes, per_unit), integer), sum) in row.iter().zip(&per_unit).zip(integers).zip(&mut sums)
            {
                let rounded = nearest(f32::from_le_bytes(*bytes) * per_unit);
                *sum += i32::from(rounded);
                *integer = rounded.cast_unsigned();
            }
        }
        let sums = sums.iter().zip(&scales).map(|(sum, scale)| *sum as f32 * scale).collect();
        Self { integers, scales, sums }
    }
}

/// The nearest integer of a number between -127 and 127: added to this, it is in the lowest bits. Many are done at once,
/// which a call for each is not.
fn nearest(number: f32) -> i8 {
    const SHIFT: f32 = 12_582_912.0;
    (number + SHIFT).to_bits() as i8
}

/// Tensors that all products use.
fn constants() -> [Vec<u8>; 6] {
    let float = |name: &str, value: f32| {
        tensor(&shared(name), element::FLOAT, &[], value.to_le_bytes().into()).concat()
    };
    let whole = |name: &str, value: i64| {
        tensor(&shared(name), element::INT64, &[1], value.to_le_bytes().into()).concat()
    };
    [
        float("none", 0.0),
        float("one", 1.0),
        float("step", 1.0 / 255.0),
        float("least", LEAST_SCALE),
        whole("first", 1),
        whole("last", -1),
    ]
}

/// Nodes that quantise what comes: the `integers`, `scale` and `shift` (scale times zero point) of each item.
fn quantise(graph: &mut Vec<u8>, input: &str, opset: u64) {
    let own = |what: &str| format!("{PREFIX}{input}/{what}");
    // First each row, which lies together, and then the rows of each item; an item of one row is its own.
    for (operator, bound, end) in [("ReduceMax", "Max", "top"), ("ReduceMin", "Min", "bottom")] {
        let (rows, items) = (own(&format!("{end} of rows")), own(&format!("{end} of items")));
        for (of, axis, reduced) in [(input, "last", &rows), (&rows, "first", &items)] {
            if opset >= AXES_ARE_INPUTS {
                node(graph, operator, &[of, &shared(axis)], reduced, &[]);
            } else {
                node(
                    graph,
                    operator,
                    &[of],
                    reduced,
                    &attribute_list("axes", if axis == "last" { -1 } else { 1 }),
                );
            }
        }
        node(graph, bound, &[&items, &shared("none")], &own(end), &[]);
    }
    let to_bytes = attribute("to", element::UINT8);
    let of_items = attribute("axis", 0);
    let steps: [(_, &[&str], _, &[u8]); 11] = [
        ("Sub", &[&own("top"), &own("bottom")], "range", &[]),
        ("Mul", &[&own("range"), &shared("step")], "any scale", &[]),
        ("Max", &[&own("any scale"), &shared("least")], "scale", &[]),
        ("Div", &[&own("bottom"), &own("scale")], "lowest", &[]),
        ("Neg", &[&own("lowest")], "offset", &[]),
        ("Round", &[&own("offset")], "zero", &[]),
        ("Mul", &[&own("scale"), &own("zero")], "shift", &[]),
        ("Reshape", &[&own("scale"), &shared("last")], "scales", &[]),
        ("Reshape", &[&own("zero"), &shared("last")], "zeros", &[]),
        ("Cast", &[&own("zeros")], "zero points", &to_bytes),
        ("QuantizeLinear", &[input, &own("scales"), &own("zero points")], "integers", &of_items),
    ];
    for (operator, inputs, output, attributes) in steps {
        node(graph, operator, inputs, &own(output), attributes);
    }
}

/// Nodes that multiply what was quantised.
fn multiply(graph: &mut Vec<u8>, Product { input, weight, bias, output }: &Product) {
    let of_input = |what: &str| format!("{PREFIX}{input}/{what}");
    // One input may be multiplied with several weights, and one weight with several inputs.
    let own = |what: &str| format!("{PREFIX}{output}/{what}");
    let (scaled, shift, shifted_bias) = (own("scaled"), own("shift"), own("bias"));
    let columns =
        [&of_input("integers"), &of_weight(weight, "integers"), &shared("one"), &of_weight(weight, "scales")];
    node(graph, "MatMulIntegerToFloat", &columns.map(String::as_str), &own("sum"), &onnx::of_runtime());
    let mut add = |operator, inputs: &[&str], output: &str| node(graph, operator, inputs, output, &[]);
    add("Mul", &[&of_input("shift"), &of_weight(weight, "sums")], &shift);
    add("Mul", &[&own("sum"), &of_input("scale")], &scaled);
    match bias {
        Some(bias) => {
            add("Sub", &[bias, &shift], &shifted_bias);
            add("Add", &[&scaled, &shifted_bias], output);
        }
        None => add("Sub", &[&scaled, &shift], output),
    }
}

/// The node that quantises a single item and multiplies it.
fn multiply_single(graph: &mut Vec<u8>, Product { input, weight, bias, output }: &Product) {
    let (integers, scales) = (of_weight(weight, "integers"), of_weight(weight, "scales"));
    // The fourth would be zero points of the weight.
    let inputs = [input, &integers, &scales, "", bias.as_deref().unwrap_or_default()];
    let given = if bias.is_some() { &inputs[..] } else { &inputs[..3] };
    node(graph, "DynamicQuantizeMatMul", given, output, &onnx::of_runtime());
}

/// The name of a tensor that all products use.
fn shared(what: &str) -> String {
    format!("{PREFIX}{what}")
}

/// The name of a tensor that stands for a weight.
fn of_weight(weight: &str, what: &str) -> String {
    format!("{PREFIX}{weight}/{what}")
}

/// What the fields of a number hold that hold bytes, text or messages.
fn contents(fields: &[Field], number: u8) -> impl Iterator<Item = Range<u64>> {
    fields
        .iter()
        .filter(move |field| field.number == u64::from(number))
        .filter_map(|field| field.content.clone())
}

/// The numbers in the fields of a number.
fn numbers(fields: &[Field], number: u8) -> impl Iterator<Item = u64> {
    fields.iter().filter(move |field| field.number == u64::from(number)).filter_map(|field| field.value)
}

/// The texts in the fields of a number.
fn texts(file: &File, fields: &[Field], number: u8) -> Result<Vec<String>, String> {
    let text = |place| String::from_utf8(protobuf::read(file, place)?).map_err(|error| error.to_string());
    contents(fields, number).map(text).collect()
}

#[cfg(test)]
mod tests;
