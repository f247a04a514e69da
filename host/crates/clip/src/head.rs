//! A small map behind a tower, read from safetensors: it moves vectors of one tower into the space of the other.

use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// `y = W (x - c) + b + mix * softmax(scale * K (x - c)) V`; what a file lacks is left out.
#[derive(Debug, Default)]
pub(crate) struct Head {
    center: Option<Vec<f32>>,
    weight: Option<Matrix>,
    bias: Option<Vec<f32>>,
    anchors: Option<Anchors>,
}

#[derive(Debug)]
struct Anchors {
    keys: Matrix,
    values: Matrix,
    scale: f32,
    mix: f32,
}

/// Rows one after the other.
#[derive(Debug)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

const NAMES: [&str; 7] =
    ["center_in", "weight", "bias", "anchor_keys", "anchor_values", "anchor_scale", "anchor_mix"];

impl Head {
    /// Reads a file that maps to `dimension` components; the problem is told in words.
    pub(crate) fn read(file: &[u8], dimension: usize) -> Result<Self, String> {
        let tensors =
            SafeTensors::deserialize(file).map_err(|error| format!("is not safetensors: {error}"))?;
        if let Some(name) = tensors.names().iter().find(|name| !NAMES.contains(name)) {
            return Err(format!("holds {name}, which is not known; known are {}", NAMES.join(", ")));
        }
        let head = Self {
            center: vector(&tensors, "center_in")?,
            weight: matrix(&tensors, "weight")?,
            bias: vector(&tensors, "bias")?,
            anchors: anchors(&tensors)?,
        };
        head.check(dimension)?;
        Ok(head)
    }

    /// Components of the vectors it takes; none when it does not say.
    pub(crate) fn input(&self) -> Option<usize> {
        let center = self.center.as_ref().map(Vec::len);
        let keys = self.anchors.as_ref().map(|anchors| anchors.keys.columns);
        center.or(self.weight.as_ref().map(|weight| weight.columns)).or(keys)
    }

    fn check(&self, dimension: usize) -> Result<(), String> {
        let input = self.input();
        let inputs = [
            ("weight", self.weight.as_ref().map(|weight| weight.columns)),
            ("anchor_keys", self.anchors.as_ref().map(|anchors| anchors.keys.columns)),
        ];
        let outputs = [
            ("weight", self.weight.as_ref().map_or(input, |weight| Some(weight.rows))),
            ("bias", self.bias.as_ref().map(Vec::len)),
            ("anchor_values", self.anchors.as_ref().map(|anchors| anchors.values.columns)),
        ];
        let takes = inputs.iter().find(|(_, size)| size.is_some() && *size != input);
        let gives = outputs.iter().find(|(_, size)| size.is_some_and(|size| size != dimension));
        match (takes, gives) {
            (Some((name, _)), _) => Err(format!("{name} takes vectors of another length than the others")),
            (_, Some((name, Some(size)))) => {
                Err(format!("{name} gives {size} components, the model has {dimension}"))
            }
            _ => Ok(()),
        }
    }

    /// The mapped vector, not normalised. `x` has the length the head takes.
    pub(crate) fn apply(&self, mut x: Vec<f32>) -> Vec<f32> {
        if let Some(center) = &self.center {
            add(&mut x, center, -1.0);
        }
        let mut y = match &self.weight {
            Some(weight) => weight.times(&x),
            None => x.clone(),
        };
        if let Some(bias) = &self.bias {
            add(&mut y, bias, 1.0);
        }
        if let Some(anchors) = &self.anchors {
            let shares = softmax(anchors.keys.times(&x), anchors.scale);
            for (share, value) in shares.iter().zip(anchors.values.rows()) {
                add(&mut y, value, anchors.mix * share);
            }
        }
        y
    }
}

impl Matrix {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }

    fn times(&self, x: &[f32]) -> Vec<f32> {
        self.rows().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    }
}

fn add(sum: &mut [f32], other: &[f32], factor: f32) {
    sum.iter_mut().zip(other).for_each(|(a, b)| *a += factor * b);
}

fn softmax(mut logits: Vec<f32>, scale: f32) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|logit| *logit = (scale * (*logit - top)).exp());
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|share| *share /= sum);
    logits
}

fn anchors(tensors: &SafeTensors<'_>) -> Result<Option<Anchors>, String> {
    let parts = (
        matrix(tensors, "anchor_keys")?,
        matrix(tensors, "anchor_values")?,
        number(tensors, "anchor_scale")?,
        number(tensors, "anchor_mix")?,
    );
    match parts {
        (None, None, None, None) => Ok(None),
        (Some(keys), Some(values), Some(scale), Some(mix)) if keys.rows == values.rows && keys.rows > 0 => {
            Ok(Some(Anchors { keys, values, scale, mix }))
        }
        (Some(_), Some(_), Some(_), Some(_)) => {
            Err("anchor_keys and anchor_values differ in their rows".to_owned())
        }
        _ => Err("has some of the four anchor tensors, but not all".to_owned()),
    }
}

fn number(tensors: &SafeTensors<'_>, name: &str) -> Result<Option<f32>, String> {
    match vector(tensors, name)? {
        Some(values) if values.len() == 1 => Ok(values.first().copied()),
        Some(_) => Err(format!("{name} must be one number")),
        None => Ok(None),
    }
}

fn vector(tensors: &SafeTensors<'_>, name: &str) -> Result<Option<Vec<f32>>, String> {
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    match tensor.shape() {
        [_] => values(&tensor, name).map(Some),
        shape => Err(format!("{name} has the shape {shape:?} instead of one dimension")),
    }
}

fn matrix(tensors: &SafeTensors<'_>, name: &str) -> Result<Option<Matrix>, String> {
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    match *tensor.shape() {
        [rows, columns] if columns > 0 => Ok(Some(Matrix { rows, columns, values: values(&tensor, name)? })),
        ref shape => Err(format!("{name} has the shape {shape:?} instead of two dimensions")),
    }
}

fn values(tensor: &TensorView<'_>, name: &str) -> Result<Vec<f32>, String> {
    let data = tensor.data();
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect(),
        Dtype::F16 => {
            data.as_chunks().0.iter().copied().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect()
        }
        other => return Err(format!("{name} is of type {other:?}; F16 and F32 are read")),
    };
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(format!("{name} holds NaN or infinity"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn file(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let view = |((name, shape, _), data): (&(&str, &[usize], &[f32]), _)| {
            (name.to_string(), TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap())
        };
        let views: HashMap<_, _> = tensors.iter().zip(bytes.iter().map(Vec::as_slice)).map(view).collect();
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn a_vector_is_centred_then_mapped_then_moved() {
        let bytes = file(&[
            ("center_in", &[2], &[1.0, 1.0]),
            ("weight", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
            ("bias", &[3], &[0.0, 0.0, 10.0]),
        ]);
        let head = Head::read(&bytes, 3).unwrap();
        assert_eq!((head.input(), head.apply(vec![3.0, 4.0])), (Some(2), vec![2.0, 3.0, 15.0]));
    }

    #[test]
    fn anchors_pull_towards_the_values_of_the_nearest_keys() {
        let bytes = file(&[
            ("weight", &[1, 2], &[0.0, 0.0]),
            ("anchor_keys", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
            ("anchor_values", &[2, 1], &[10.0, 20.0]),
            ("anchor_scale", &[1], &[100.0]),
            ("anchor_mix", &[1], &[0.5]),
        ]);
        let head = Head::read(&bytes, 1).unwrap();
        assert!((head.apply(vec![0.0, 1.0])[0] - 10.0).abs() < 1e-4);
        assert!((head.apply(vec![0.5, 0.5])[0] - 7.5).abs() < 1e-4);
    }

    #[test]
    fn heads_that_do_not_fit_are_refused() {
        let weight: (&str, &[usize], &[f32]) = ("weight", &[1, 2], &[0.0, 0.0]);
        for (tensors, said) in [
            (vec![weight], "gives 1 components"),
            (vec![("center_in", &[3][..], &[0.0; 3][..]), weight], "another length"),
            (vec![("wieght", &[1][..], &[0.0][..])], "not known"),
            (vec![("anchor_mix", &[1][..], &[0.0][..])], "not all"),
            (vec![("bias", &[2][..], &[f32::NAN, 0.0][..])], "NaN"),
        ] {
            let problem = Head::read(&file(&tensors), 2).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
        assert!(Head::read(b"no tensors", 2).is_err());
    }
}
