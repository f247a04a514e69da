//! Opens the files of a model folder, and says in words what is wrong with them.

use std::path::Path;

use ort::{
    environment::Environment,
    session::{Session, SessionOutputs, builder::SessionBuilder},
    value::{Outlet, TensorElementType},
};

use super::{
    int8::{self, Form},
    outline::{self, LARGE},
};
use crate::{
    compute::{Backend, Precision},
    error::ClipError,
    head::Head,
    manifest::ModelFile,
    provider,
};

/// Names the folder in which a graph that was given as bytes finds its tensors
/// (`kOrtSessionOptionsModelExternalInitializersFileFolderPath` of ONNX Runtime).
const EXTERNAL_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// A verified model folder.
pub(crate) struct Loader<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) folder: &'a Path,
    /// Components the model's vectors have.
    pub(crate) dimension: usize,
    /// What computes its sessions.
    pub(crate) backend: Backend,
    /// How many threads they use.
    pub(crate) threads: usize,
}

impl Loader<'_> {
    /// A session of an ONNX file.
    pub(super) fn session(&self, file: &ModelFile) -> Result<Session, ClipError> {
        let path = self.folder.join(&file.file);
        let session = match self.backend.precision() {
            Precision::Int8 => self.quantised(&path, LARGE, Form::Items),
            Precision::Int8Single => self.quantised(&path, LARGE, Form::Single),
            _ => {
                let maps = provider::maps_tensors(self.backend.provider());
                let mapped = maps.then(|| self.mapped(&path, LARGE)).flatten();
                mapped.map_or_else(|| self.whole(&path), Ok)
            }
        };
        session.map_err(|problem| {
            ClipError::model(
                &file.file,
                format!("is no ONNX model that runs here by {}: {problem}", self.backend),
            )
        })
    }

    /// A session of all that is in a file.
    pub(super) fn whole(&self, path: &Path) -> Result<Session, String> {
        self.builder()?.commit_from_file(path).map_err(|error| error.to_string())
    }

    /// A session whose tensors of `least` bytes and more lie in the file itself. Nothing where there are none, or where the
    /// runtime refuses; then the whole file says better what is wrong, if anything is.
    pub(super) fn mapped(&self, path: &Path, least: u64) -> Option<Session> {
        let outline =
            |path: &Path| outline::of(path, least)?.ok_or_else(|| "there are no large ones".to_owned());
        let session = self.beside(path, outline);
        session
            .inspect_err(|problem| {
                tracing::debug!(path = %path.display(), "the tensors are not mapped: {problem}");
            })
            .ok()
    }

    /// A session of a file whose large products are of integers. What is left of its tensors lies in the file.
    pub(super) fn quantised(&self, path: &Path, least: u64, form: Form) -> Result<Session, String> {
        self.beside(path, |path| int8::of(path, least, form))
    }

    /// Most items at once of a graph whose first dimension this is; an error when it insists on a number above 1.
    pub(super) fn batch_limit(&self, first_dimension: i64) -> Result<usize, String> {
        match first_dimension {
            fixed if fixed > 1 => {
                Err(format!("takes batches of exactly {fixed}; export it with any batch, or with 1"))
            }
            1 => Ok(1),
            _ if self.backend.precision() == Precision::Int8Single => Ok(1),
            _ => Ok(usize::MAX),
        }
    }

    /// A session of a graph that is made of a file, and whose tensors lie there.
    fn beside(
        &self,
        path: &Path,
        graph: impl FnOnce(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Session, String> {
        // A file that is a link is looked for where it really lies: tensors must not be taken from elsewhere.
        let path = std::fs::canonicalize(path).map_err(|error| error.to_string())?;
        let folder = path.parent().and_then(Path::to_str).ok_or("lies in a folder whose name is no text")?;
        let builder = self.builder()?.with_config_entry(EXTERNAL_FOLDER, folder);
        let mut builder = builder.map_err(|error| error.to_string())?;
        builder.commit_from_memory(&graph(&path)?).map_err(|error| error.to_string())
    }

    fn builder(&self) -> Result<SessionBuilder, String> {
        let builder = Session::builder(self.environment).map_err(|error| error.to_string())?;
        provider::configure(builder, self.backend, self.threads)
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, file: &ModelFile) -> Result<Vec<u8>, ClipError> {
        std::fs::read(self.folder.join(&file.file))
            .map_err(|error| ClipError::model(&file.file, error.to_string()))
    }

    /// A head, if there is to be one.
    pub(super) fn head(&self, file: Option<&ModelFile>) -> Result<Head, ClipError> {
        let Some(file) = file else { return Ok(Head::default()) };
        Head::read(&self.bytes(file)?, self.dimension)
            .map_err(|problem| ClipError::model(&file.file, problem))
    }
}

/// The input or output of this name; else the problem with the names there are.
pub(super) fn named<'a>(outlets: &'a [Outlet], name: &str, what: &str) -> Result<&'a Outlet, String> {
    outlets.iter().find(|outlet| outlet.name() == name).ok_or_else(|| {
        let names: Vec<_> = outlets.iter().map(Outlet::name).collect();
        format!("has no {what} {name}; it has {}", names.join(", "))
    })
}

/// The element type and the dimensions (-1 where any size goes) of a tensor.
pub(super) fn tensor_type(outlet: &Outlet) -> Result<(TensorElementType, Vec<i64>), String> {
    let dtype = outlet.dtype();
    let shape = dtype.tensor_shape().map(|shape| shape.to_vec());
    dtype.tensor_type().zip(shape).ok_or_else(|| format!("{} is no tensor", outlet.name()))
}

/// The named output as numbers, whose first dimension is the number of items.
pub(super) fn output<'a>(
    outputs: &'a SessionOutputs<'_>,
    name: &str,
    items: usize,
) -> Result<(Vec<usize>, &'a [f32]), String> {
    let value = outputs.get(name).ok_or_else(|| format!("gave no output {name}"))?;
    let (shape, data) =
        value.try_extract_tensor::<f32>().map_err(|error| format!("output {name}: {error}"))?;
    let shape: Vec<usize> = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
    if shape.first() == Some(&items) && !data.is_empty() {
        return Ok((shape, data));
    }
    Err(format!("output {name} has the shape {shape:?} for {items} items"))
}
