//! Towers whose tensors are mapped from their file, on every processor backend of the real ONNX Runtime.

use std::path::{Path, PathBuf};

use ort::{
    session::Session,
    value::{Tensor, TensorRef},
};

use super::{Loader, cosine, int8::Form, session};
use crate::{
    compute::{Backend, Precision, Provider},
    manifest::ModelFile,
    provider, runtime,
};

pub(super) fn library() -> PathBuf {
    let place = "../../../.tools/onnxruntime/lib/libonnxruntime.so";
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    std::env::var_os("TAJA_ONNXRUNTIME").map_or(place, PathBuf::from)
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny/clip")
}

/// Runs something with a loader of the tiny model for each backend that takes mapped tensors here.
fn with_loaders(folder: &Path, check: impl Fn(&Loader<'_>)) {
    let environment = runtime::environment(&library(), 2).unwrap();
    let mapping = [Provider::Cpu, Provider::OpenVino].into_iter();
    for provider in mapping.filter(|provider| provider::is_built_in(*provider)) {
        assert!(provider::maps_tensors(provider));
        let backend = Backend::new(provider, Precision::F32).unwrap();
        check(&Loader { environment: &environment, folder, dimension: 12, backend, threads: 2 });
    }
}

fn picture(session: &mut Session) -> Vec<f32> {
    let pixels: Vec<f32> = (0..3 * 32 * 32).map(|place| (place as f32).sin()).collect();
    let pixels = TensorRef::from_array_view(([1, 3, 32, 32], pixels.as_slice())).unwrap();
    let outputs = session.run(ort::inputs!["pixel_values" => pixels]).unwrap();
    session::output(&outputs, "image_embeds", 1).unwrap().1.to_vec()
}

fn text(session: &mut Session) -> Vec<f32> {
    let ids = Tensor::from_array(([1, 4], vec![49_406_i64, 320, 1125, 49_407])).unwrap();
    let outputs = session.run(ort::inputs!["input_ids" => ids]).unwrap();
    session::output(&outputs, "text_embeds", 1).unwrap().1.to_vec()
}

#[test]
fn mapped_tensors_give_the_same_vectors_to_the_bit() {
    with_loaders(&tiny(), |loader| {
        let (image, words) = (tiny().join("image.onnx"), tiny().join("text.onnx"));
        let mut mapped = loader.mapped(&image, 1 << 10).unwrap();
        assert_eq!(picture(&mut mapped), picture(&mut loader.whole(&image).unwrap()));
        let mut mapped = loader.mapped(&words, 1 << 10).unwrap();
        assert_eq!(text(&mut mapped), text(&mut loader.whole(&words).unwrap()));
    });
}

#[test]
fn integers_give_nearly_the_same_vectors() {
    let environment = runtime::environment(&library(), 2).unwrap();
    for precision in [Precision::Int8, Precision::Int8Single] {
        let backend = Backend::new(Provider::Cpu, precision).unwrap();
        let loader =
            Loader { environment: &environment, folder: &tiny(), dimension: 12, backend, threads: 2 };
        let (image, words) = (tiny().join("image.onnx"), tiny().join("text.onnx"));
        let form = if precision == Precision::Int8 { Form::Items } else { Form::Single };
        let found = picture(&mut loader.quantised(&image, 1, form).unwrap());
        assert!(cosine(&found, &picture(&mut loader.whole(&image).unwrap())) > 0.999);
        let found = text(&mut loader.quantised(&words, 1, form).unwrap());
        assert!(cosine(&found, &text(&mut loader.whole(&words).unwrap())) > 0.999);
    }
}

#[test]
fn a_file_that_cannot_be_mapped_is_opened_whole() {
    let file = ModelFile { file: "image.onnx".to_owned(), sha256: None, size_bytes: None };
    with_loaders(&tiny(), |loader| {
        // Its tensors are small.
        assert!(loader.mapped(&tiny().join("image.onnx"), super::outline::LARGE).is_none());
        assert!(loader.session(&file).is_ok());
    });
}

#[test]
fn a_file_that_is_cut_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(tiny().join("image.onnx")).unwrap();
    std::fs::write(folder.path().join("image.onnx"), &whole[..whole.len() / 2]).unwrap();
    let file = ModelFile { file: "image.onnx".to_owned(), sha256: None, size_bytes: None };
    with_loaders(folder.path(), |loader| {
        let error = loader.session(&file).unwrap_err().to_string();
        assert!(error.contains("is no ONNX model that runs here"), "{error}");
    });
}
