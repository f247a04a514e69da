//! The manifest of a model folder (`model.toml`): which files it has, how they were trained to be used, their licence.

mod digests;
mod read;
mod verify;

use std::path::Path;

use crate::image::Preprocess;

pub use verify::{Progress, Verified, VerifyError};

/// What a model folder holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Unique name, such as `openai-clip-vit-b-32`.
    pub name: String,
    /// For people.
    pub title: String,
    /// Components of the vectors it gives.
    pub dimension: usize,
    /// SPDX name of the weights' licence.
    pub licence: String,
    /// Where the weights come from.
    pub source: String,
    /// What whoever starts the model should be told of it.
    pub notice: Option<String>,
    /// What turns pictures into vectors.
    pub image: ImageTower,
    /// What turns texts into vectors of the same space.
    pub text: TextTower,
}

/// A file of the model folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Path relative to the folder.
    pub file: String,
    /// SHA-256 in lower-case hex, when it is pinned.
    pub sha256: Option<String>,
    /// Size in bytes, when it is pinned.
    pub size_bytes: Option<u64>,
}

/// `[image]`
#[derive(Debug, Clone, PartialEq)]
pub struct ImageTower {
    /// The ONNX graph.
    pub model: ModelFile,
    /// Name of the input that takes `[batch, 3, size, size]`.
    pub input: String,
    /// Name of the output that gives `[batch, n]`.
    pub output: String,
    /// What training did to pictures.
    pub preprocess: Preprocess,
    /// A linear map behind the tower.
    pub head: Option<ModelFile>,
}

/// `[text]`
#[derive(Debug, Clone, PartialEq)]
pub struct TextTower {
    /// The ONNX graph.
    pub model: ModelFile,
    /// Name of the output: `[batch, n]`, or `[batch, sequence, n]` when it is pooled here.
    pub output: String,
    /// Most tokens a text may have.
    pub context: usize,
    /// How states become one vector.
    pub pooling: Pooling,
    /// The vocabulary.
    pub tokenizer: TokenizerFile,
    /// A linear map behind the tower.
    pub head: Option<ModelFile>,
}

/// How the states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The graph does it.
    None,
    /// Their mean over the attention mask, scaled to unit length.
    Mean,
}

/// `[text.tokenizer]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFile {
    /// What it is.
    pub kind: TokenizerKind,
    /// The file.
    pub file: ModelFile,
}

/// Which tokenizer a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// OpenAI's byte pairs for CLIP.
    ClipBpe,
    /// A tokenizer in the JSON form of Hugging Face's `tokenizers`.
    WordPiece,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read the model manifest {path}; run set-up, or name another folder: {source}")]
    Unreadable {
        /// The manifest.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("model manifest {path} is not TOML: {source}")]
    Syntax {
        /// The manifest.
        path: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// It lacks something, or has something wrong. All mistakes together.
    #[error("model manifest {path} has mistakes:\n  {}", .mistakes.join("\n  "))]
    Mistakes {
        /// The manifest.
        path: String,
        /// One line each.
        mistakes: Vec<String>,
    },
}

impl Manifest {
    /// Reads a manifest; every mistake in it is reported at once.
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Unreadable { path: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a manifest; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Self, ManifestError> {
        let table = text
            .parse::<toml::Table>()
            .map_err(|source| ManifestError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        read::manifest(&table).map_err(|mistakes| ManifestError::Mistakes { path: path.to_owned(), mistakes })
    }

    /// Every file, in the order in which their digests make the name of the space.
    pub fn files(&self) -> impl Iterator<Item = &ModelFile> {
        let image = [Some(&self.image.model), self.image.head.as_ref()];
        let text = [Some(&self.text.model), Some(&self.text.tokenizer.file), self.text.head.as_ref()];
        image.into_iter().chain(text).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../tests/tiny/sentence/model.toml");

    fn mistakes(text: &str) -> Vec<String> {
        match Manifest::parse(text, "model.toml") {
            Err(ManifestError::Mistakes { mistakes, .. }) => mistakes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let manifest = Manifest::parse(GOOD, "model.toml").unwrap();
        assert_eq!((manifest.dimension, manifest.text.pooling), (12, Pooling::Mean));
        assert_eq!(manifest.files().count(), 5);
        assert_eq!(manifest.image.model.size_bytes, None);
    }

    #[test]
    fn a_notice_may_be_given() {
        let noticed =
            |line: &str| Manifest::parse(&format!("{line}{GOOD}"), "m").map(|manifest| manifest.notice);
        assert_eq!(noticed("").unwrap(), None);
        assert_eq!(noticed("notice = \"A stand-in.\"\n").unwrap().as_deref(), Some("A stand-in."));
        assert_eq!(mistakes(&format!("notice = 1\n{GOOD}")), ["notice must be text that is not empty"]);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let text = GOOD
            .replace("dimension = 12", "dimension = 0")
            .replace("\"bicubic\"", "\"nearest\"")
            .replace("output = \"last_hidden_state\"", "outputs = \"x\"")
            .replace("file = \"tokenizer.json\"", "file = \"../../etc/passwd\"")
            .replace("mean = [0.48145466, 0.4578275, 0.40821073]", "mean = [0.5]");
        let found = mistakes(&text).join("\n");
        for place in [
            "dimension",
            "image.preprocess.interpolation",
            "text.output is",
            "text.outputs",
            "text.tokenizer.file",
            "image.preprocess.mean",
        ] {
            assert!(found.contains(place), "{place} is missing in:\n{found}");
        }
    }

    #[test]
    fn pins_that_are_no_digest_are_refused() {
        let text = GOOD.replacen("sha256 = \"", "sha256 = \"xyz", 1);
        assert_eq!(mistakes(&text).len(), 1);
        assert!(matches!(Manifest::parse("name = ", "m"), Err(ManifestError::Syntax { .. })));
    }
}
