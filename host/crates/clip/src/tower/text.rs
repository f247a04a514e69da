//! Token ids in, vectors out.

use ort::{
    session::Session,
    value::{DynTensor, Outlet, Tensor, TensorElementType},
};

use super::{Loader, Tower, image::map, session};
use crate::{
    error::ClipError,
    head::Head,
    manifest::{self, Pooling},
    text::Tokenizer,
};

/// The text tower of a model.
pub(crate) struct TextTower {
    session: Session,
    inputs: Vec<Input>,
    output: String,
    pooling: Pooling,
    head: Head,
    batch_limit: usize,
    pad: u32,
    /// Every sequence is filled up to this length; none when the longest of its batch is enough.
    length: Option<usize>,
}

struct Input {
    name: String,
    role: Role,
    narrow: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Ids,
    Mask,
    Kinds,
}

impl TextTower {
    /// `known` is how many texts may be run at once and whether they have to be filled up, where that was found out before.
    pub(crate) fn load(
        loader: &Loader<'_>,
        tower: &manifest::TextTower,
        tokenizer: &Tokenizer,
        known: Option<(usize, bool)>,
    ) -> Result<Self, ClipError> {
        let session = loader.session(&tower.model)?;
        let head = loader.head(tower.head.as_ref())?;
        let problem = |problem| ClipError::model(&tower.model.file, problem);
        session::named(session.outputs(), &tower.output, "output").map_err(problem)?;
        session::named(session.inputs(), "input_ids", "input").map_err(problem)?;
        let inputs = session.inputs().iter().map(Input::read).collect::<Result<_, _>>().map_err(problem)?;
        let (batch_limit, length) = shape_of(loader, session.inputs(), tower.context).map_err(problem)?;
        let (output, pooling, pad) = (tower.output.clone(), tower.pooling, tokenizer.pad());
        let mut made = Self { session, inputs, output, pooling, head, batch_limit, pad, length };
        match known {
            Some(known) => made.warm_up_again(loader.dimension, tower.context, tokenizer, known),
            None => made.warm_up(loader.dimension, tower.context, tokenizer),
        }
        .map_err(problem)?;
        Ok(made)
    }

    /// Runs a short and a long text. A tower without a mask is also asked whether it sees what lies behind the end of a
    /// text: when not, texts need not be filled up to the context, which is several times faster for short ones.
    fn warm_up(&mut self, dimension: usize, context: usize, tokenizer: &Tokenizer) -> Result<(), String> {
        let long = "word ".repeat(context);
        let texts = ["a photo of a cat", "red", &long].map(|text| tokenizer.encode(text));
        let texts = texts.into_iter().collect::<Result<Vec<_>, _>>()?;
        let free = self.length.is_none();
        let masked = self.inputs.iter().any(|input| input.role == Role::Mask);
        if !masked {
            self.length = Some(context);
        }
        let filled = super::each(self, &texts)?;
        if free && !masked {
            self.length = None;
            let same = super::each(self, &texts).is_ok_and(|cut| super::same(&cut, &filled));
            self.length = if same { None } else { Some(context) };
        }
        self.batch_limit = super::safe_batch(self, &texts, dimension, self.batch_limit)?;
        Ok(())
    }

    /// Runs one text: all that there was to find out is known.
    fn warm_up_again(
        &mut self,
        dimension: usize,
        context: usize,
        tokenizer: &Tokenizer,
        (batch, fills_up): (usize, bool),
    ) -> Result<(), String> {
        if fills_up {
            self.length.get_or_insert(context);
        }
        let text = tokenizer.encode("a photo of a cat")?;
        super::expect_dimension(&super::each(self, &[text])?, dimension)?;
        self.batch_limit = self.batch_limit.min(batch);
        Ok(())
    }

    /// Whether texts are filled up to the context rather than to the longest of their batch.
    pub(crate) fn fills_up(&self) -> bool {
        self.length.is_some()
    }

    fn tensor(&self, input: &Input, items: &[&Vec<u32>], length: usize) -> Result<DynTensor, String> {
        let mut values = Vec::with_capacity(items.len() * length);
        for ids in items {
            let real = ids.len().min(length);
            let fill = std::iter::repeat_n(
                if input.role == Role::Ids { i64::from(self.pad) } else { 0 },
                length - real,
            );
            match input.role {
                Role::Ids => values.extend(ids.iter().take(real).map(|id| i64::from(*id))),
                Role::Mask => values.extend(std::iter::repeat_n(1, real)),
                Role::Kinds => values.extend(std::iter::repeat_n(0, real)),
            }
            values.extend(fill);
        }
        let shape = [items.len(), length];
        let tensor = if input.narrow {
            let narrow: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
            Tensor::from_array((shape, narrow)).map(Tensor::upcast)
        } else {
            Tensor::from_array((shape, values)).map(Tensor::upcast)
        };
        tensor.map_err(|error| error.to_string())
    }
}

impl Tower for TextTower {
    type Item = Vec<u32>;

    fn run(&mut self, items: &[&Self::Item]) -> Result<Vec<Vec<f32>>, String> {
        let longest = items.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
        let length = self.length.unwrap_or(longest);
        let feeds =
            self.inputs.iter().map(|input| Ok((input.name.clone(), self.tensor(input, items, length)?)));
        let feeds = feeds.collect::<Result<Vec<_>, String>>()?;
        let outputs = self.session.run(feeds).map_err(|error| error.to_string())?;
        let (shape, data) = session::output(&outputs, &self.output, items.len())?;
        let pooled: Vec<Vec<f32>> = match (self.pooling, &shape[..]) {
            (Pooling::None, [_, size]) => data.chunks_exact(*size).map(<[f32]>::to_vec).collect(),
            (Pooling::Mean, [_, sequence, size]) => {
                let texts = data.chunks_exact(sequence * size).zip(items);
                texts.map(|(states, ids)| mean(states, *size, ids.len().clamp(1, *sequence))).collect()
            }
            (pooling, shape) => {
                return Err(format!(
                    "output {} has the shape {shape:?}, which pooling {pooling:?} does not take",
                    self.output
                ));
            }
        };
        pooled.into_iter().map(|vector| map(&self.head, vector)).collect()
    }

    fn batch_limit(&self) -> usize {
        self.batch_limit
    }
}

impl Input {
    fn read(outlet: &Outlet) -> Result<Self, String> {
        let role = match outlet.name() {
            "input_ids" => Role::Ids,
            "attention_mask" => Role::Mask,
            "token_type_ids" => Role::Kinds,
            other => {
                return Err(format!(
                    "takes {other}; only input_ids, attention_mask and token_type_ids are fed"
                ));
            }
        };
        let (element, _) = session::tensor_type(outlet)?;
        let narrow = match element {
            TensorElementType::Int64 => false,
            TensorElementType::Int32 => true,
            other => {
                return Err(format!("takes {other:?} as {}; only Int64 and Int32 are fed", outlet.name()));
            }
        };
        Ok(Self { name: outlet.name().to_owned(), role, narrow })
    }
}

/// Most texts at once, and the length of a sequence when the graph fixes it.
fn shape_of(
    loader: &Loader<'_>,
    inputs: &[Outlet],
    context: usize,
) -> Result<(usize, Option<usize>), String> {
    let (_, shape) = session::tensor_type(session::named(inputs, "input_ids", "input")?)?;
    let [batch, sequence] = shape[..] else {
        return Err(format!("takes input_ids of the shape {shape:?} instead of [batch, sequence]"));
    };
    let length = usize::try_from(sequence).ok();
    if length.is_some_and(|length| length < context) {
        return Err(format!("takes sequences of {sequence}, the manifest's context is {context}"));
    }
    Ok((loader.batch_limit(batch)?, length))
}

/// Mean of the first `count` states, at unit length.
fn mean(states: &[f32], size: usize, count: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; size];
    for state in states.chunks_exact(size).take(count) {
        sum.iter_mut().zip(state).for_each(|(sum, value)| *sum += value);
    }
    // The length takes the count out; a vector of zeros stays one and is refused later.
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|value| *value /= norm);
    sum
}
