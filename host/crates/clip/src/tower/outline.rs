//! An ONNX file without its large tensors, each of which says where it lies in that file instead ("external data").
//!
//! Of a whole file every provider makes copies: ONNX Runtime one or two, OpenVINO two more. An outline has the tensors
//! mapped from the file, which saves most of the processor time of a start and of the memory. What is computed is the same:
//! it is the same graph with the same numbers.

use std::{fs::File, ops::Range, path::Path};

use crate::{
    onnx,
    protobuf::{self, Field},
};

/// Tensors of fewer bytes stay in the outline: runtimes look into small ones (shapes, axes) before they load any, and some
/// do not look for those elsewhere.
pub(super) const LARGE: u64 = 1 << 16;
/// The most that is left of a file; where it is more, the large tensors are not what makes it large.
const MOST_BYTES: usize = 64 << 20;

/// The outline of an ONNX file, whose tensors of `least` bytes and more are looked for in a file of its name. Nothing where
/// there are none. The problem is told in words.
pub(super) fn of(path: &Path, least: u64) -> Result<Option<Vec<u8>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    let mut outline = Outline::new(&file, name, least);
    let model = outline.model(0..size)?;
    Ok((outline.left_out > 0).then_some(model))
}

/// What is written anew of a file.
pub(super) struct Outline<'a> {
    file: &'a File,
    name: &'a str,
    least: u64,
    /// Tensors.
    left_out: usize,
    /// Bytes.
    kept: usize,
}

impl<'a> Outline<'a> {
    pub(super) fn new(file: &'a File, name: &'a str, least: u64) -> Self {
        Self { file, name, least, left_out: 0, kept: 0 }
    }

    fn model(&mut self, place: Range<u64>) -> Result<Vec<u8>, String> {
        self.message(place, onnx::MODEL_GRAPH, Self::graph)
    }

    fn graph(&mut self, place: Range<u64>) -> Result<Vec<u8>, String> {
        self.message(place, onnx::GRAPH_INITIALIZER, Self::tensor)
    }

    /// A message in which the fields of one number are rewritten.
    fn message(
        &mut self,
        place: Range<u64>,
        number: u8,
        rewrite: impl Fn(&mut Self, Range<u64>) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, String> {
        let mut message = Vec::new();
        for field in protobuf::fields(self.file, place)? {
            match field.content {
                Some(content) if field.number == u64::from(number) => {
                    message.extend(protobuf::bytes(number, &rewrite(self, content)?));
                }
                _ => message.extend(self.copy(field.whole)?),
            }
        }
        Ok(message)
    }

    /// A tensor, which says where it lies when it is large.
    pub(super) fn tensor(&mut self, place: Range<u64>) -> Result<Vec<u8>, String> {
        let fields = protobuf::fields(self.file, place.clone())?;
        let raw = |field: &Field| field.content.clone().filter(|_| is(field, onnx::TENSOR_RAW_DATA));
        let large = |data: &Range<u64>| data.end - data.start >= self.least;
        let Some(data) = fields.iter().filter_map(raw).find(large) else { return self.copy(place) };
        self.left_out += 1;
        let replaced = [onnx::TENSOR_RAW_DATA, onnx::TENSOR_EXTERNAL_DATA, onnx::TENSOR_DATA_LOCATION];
        let mut tensor = Vec::new();
        for field in fields.into_iter().filter(|field| !replaced.iter().any(|number| is(field, *number))) {
            tensor.extend(self.copy(field.whole)?);
        }
        let (offset, length) = (data.start.to_string(), (data.end - data.start).to_string());
        for (key, value) in [("location", self.name), ("offset", &offset), ("length", &length)] {
            let entry = [
                protobuf::bytes(onnx::ENTRY_KEY, key.as_bytes()),
                protobuf::bytes(onnx::ENTRY_VALUE, value.as_bytes()),
            ];
            tensor.extend(protobuf::bytes(onnx::TENSOR_EXTERNAL_DATA, &entry.concat()));
        }
        tensor.extend(protobuf::number(onnx::TENSOR_DATA_LOCATION, onnx::EXTERNAL));
        Ok(tensor)
    }

    /// What is left as it is.
    pub(super) fn copy(&mut self, place: Range<u64>) -> Result<Vec<u8>, String> {
        let size = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        self.kept = self.kept.saturating_add(size);
        if self.kept > MOST_BYTES {
            return Err("is large even without its large tensors".to_owned());
        }
        protobuf::read(self.file, place)
    }
}

fn is(field: &Field, number: u8) -> bool {
    field.number == u64::from(number)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn tiny(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny/clip").join(file)
    }

    /// What the only initializer's fields hold, by their numbers, in a model of that one tensor.
    fn fields_of_tensor(model: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outline");
        std::fs::write(&path, model).unwrap();
        let file = File::open(path).unwrap();
        let inside = |place| protobuf::fields(&file, place).unwrap().remove(0).content.unwrap();
        let tensor = inside(inside(0..model.len() as u64));
        let bytes = |field: Field| {
            let place = field.content.unwrap_or(field.whole);
            (field.number, protobuf::read(&file, place).unwrap())
        };
        protobuf::fields(&file, tensor).unwrap().into_iter().map(bytes).collect()
    }

    /// A model of one tensor, which says once already where it lies, as some writers have it.
    fn model(data: &[u8]) -> Vec<u8> {
        let tensor = [
            protobuf::number(14, 0),
            protobuf::bytes(8, b"table"),
            protobuf::bytes(onnx::TENSOR_RAW_DATA, data),
            protobuf::number(2, 1),
        ];
        protobuf::bytes(onnx::MODEL_GRAPH, &protobuf::bytes(onnx::GRAPH_INITIALIZER, &tensor.concat()))
    }

    #[test]
    fn a_large_tensor_says_where_it_lies_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.onnx");
        let data = [3; 500];
        std::fs::write(&path, model(&data)).unwrap();
        let outline = of(&path, 500).unwrap().unwrap();
        let fields = fields_of_tensor(&outline);
        assert_eq!(fields.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [8, 2, 13, 13, 13, 14]);
        let value = |place: usize, key: &str| {
            let (_, entry) = &fields[place];
            let value = entry.strip_prefix(&protobuf::bytes(1, key.as_bytes())[..]).unwrap();
            String::from_utf8(value[2..].to_vec()).unwrap()
        };
        assert_eq!(value(2, "location"), "image.onnx");
        let (offset, length): (u64, u64) =
            (value(3, "offset").parse().unwrap(), value(4, "length").parse().unwrap());
        let file = File::open(&path).unwrap();
        assert_eq!(protobuf::read(&file, offset..offset + length).unwrap(), data);
    }

    #[test]
    fn a_file_without_large_tensors_has_no_outline() {
        assert_eq!(of(&tiny("image.onnx"), LARGE), Ok(None));
        assert!(of(&tiny("image.onnx"), 1 << 10).unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_cut_or_none_at_all_has_no_outline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.onnx");
        assert!(of(&path, LARGE).is_err());
        let whole = std::fs::read(tiny("image.onnx")).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(of(&path, LARGE).unwrap_err().contains("is broken"));
        assert!(of(&tiny("model.toml"), LARGE).is_err());
    }
}
