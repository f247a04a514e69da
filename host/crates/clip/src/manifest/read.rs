//! From TOML to a manifest, collecting mistakes instead of stopping at the first.

use toml::{Table, Value};

use super::{ImageTower, Manifest, ModelFile, Pooling, TextTower, TokenizerFile, TokenizerKind};
use crate::image::{Interpolation, Preprocess, Resize};

/// Largest side of a tower's square, vector and context; what is beyond them is a slip of the pen.
const MAX_SIZE: usize = 4096;

/// Reads a manifest, or lists everything that is wrong with it.
pub(super) fn manifest(table: &Table) -> Result<Manifest, Vec<String>> {
    let mut mistakes = Vec::new();
    let read = Section { path: String::new(), table, mistakes: &mut mistakes }.manifest();
    match read {
        Some(manifest) if mistakes.is_empty() => Ok(manifest),
        _ => Err(mistakes),
    }
}

/// A table of the file, and where it is.
struct Section<'a> {
    path: String,
    table: &'a Table,
    mistakes: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    fn manifest(mut self) -> Option<Manifest> {
        self.only(&["name", "title", "dimension", "licence", "source", "notice", "image", "text", "fetch"]);
        let name = self.name();
        let (title, licence, source) = (self.text("title"), self.text("licence"), self.text("source"));
        let dimension = self.size("dimension");
        let notice = self.notice();
        let image = self.section("image").and_then(Section::image);
        let text = self.section("text").and_then(Section::text_tower);
        Some(Manifest {
            name: name?,
            title: title?,
            dimension: dimension?,
            licence: licence?,
            source: source?,
            notice: notice?,
            image: image?,
            text: text?,
        })
    }

    /// The name goes into the names of spaces and files.
    fn name(&mut self) -> Option<String> {
        let name = self.text("name")?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if !plain {
            self.note("name", "may hold only letters, digits, '-', '.' and '_'");
        }
        Some(name)
    }

    /// None when it is wrong; nothing inside when there is none.
    fn notice(&mut self) -> Option<Option<String>> {
        if self.table.contains_key("notice") { self.text("notice").map(Some) } else { Some(None) }
    }

    fn image(mut self) -> Option<ImageTower> {
        self.only(&["file", "sha256", "size_bytes", "input", "output", "preprocess", "head"]);
        let model = self.file();
        let (input, output) = (self.text("input"), self.text("output"));
        let preprocess = self.section("preprocess").and_then(Section::preprocess);
        let head = self.head();
        Some(ImageTower {
            model: model?,
            input: input?,
            output: output?,
            preprocess: preprocess?,
            head: head?,
        })
    }

    fn preprocess(mut self) -> Option<Preprocess> {
        self.only(&["size", "resize", "interpolation", "mean", "std"]);
        let size = self.size("size");
        let resize = self.choice("resize", &[("shortest", Resize::Shortest), ("squash", Resize::Squash)]);
        let curves = [("bicubic", Interpolation::Bicubic), ("bilinear", Interpolation::Bilinear)];
        let interpolation = self.choice("interpolation", &curves);
        let (mean, std) = (self.channels("mean"), self.channels("std"));
        if std.is_some_and(|std| std.iter().any(|value| *value <= 0.0)) {
            self.note("std", "must be above 0");
        }
        Some(Preprocess {
            size: size?,
            resize: resize?,
            interpolation: interpolation?,
            mean: mean?,
            std: std?,
        })
    }

    fn text_tower(mut self) -> Option<TextTower> {
        self.only(&["file", "sha256", "size_bytes", "output", "context", "pooling", "tokenizer", "head"]);
        let model = self.file();
        let output = self.text("output");
        let context = self.size("context");
        if context.is_some_and(|context| context < 3) {
            self.note("context", "must be at least 3: a token between start and end");
        }
        let pooling = self.choice("pooling", &[("none", Pooling::None), ("mean", Pooling::Mean)]);
        let tokenizer = self.section("tokenizer").and_then(Section::tokenizer);
        let head = self.head();
        Some(TextTower {
            model: model?,
            output: output?,
            context: context?,
            pooling: pooling?,
            tokenizer: tokenizer?,
            head: head?,
        })
    }

    fn tokenizer(mut self) -> Option<TokenizerFile> {
        self.only(&["kind", "file", "sha256", "size_bytes"]);
        let kinds = [("clip-bpe", TokenizerKind::ClipBpe), ("wordpiece", TokenizerKind::WordPiece)];
        let (kind, file) = (self.choice("kind", &kinds), self.file());
        Some(TokenizerFile { kind: kind?, file: file? })
    }

    /// None when it is wrong; nothing inside when there is no head.
    fn head(&mut self) -> Option<Option<ModelFile>> {
        if !self.table.contains_key("head") {
            return Some(None);
        }
        let mut head = self.section("head")?;
        head.only(&["file", "sha256", "size_bytes"]);
        head.file().map(Some)
    }

    fn file(&mut self) -> Option<ModelFile> {
        let file = self.text("file");
        let inside =
            |file: &str| !file.contains('\\') && file.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if file.as_deref().is_some_and(|file| !inside(file)) {
            self.note("file", "must be a path inside the model's folder");
        }
        let (sha256, size_bytes) = (self.digest(), self.size_bytes());
        Some(ModelFile { file: file?, sha256: sha256?, size_bytes: size_bytes? })
    }

    fn digest(&mut self) -> Option<Option<String>> {
        match self.table.get("sha256").map(Value::as_str) {
            None | Some(Some("")) => Some(None),
            Some(Some(hex)) if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(Some(hex.to_ascii_lowercase()))
            }
            _ => self.mistake("sha256", "must be 64 hex digits, or empty when the file is not pinned"),
        }
    }

    fn size_bytes(&mut self) -> Option<Option<u64>> {
        match self.table.get("size_bytes").map(Value::as_integer) {
            None | Some(Some(0)) => Some(None),
            Some(Some(size)) if size > 0 => Some(Some(size.cast_unsigned())),
            _ => self.mistake("size_bytes", "must be a number of bytes, or 0 when the size is not pinned"),
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.get(key).map(Value::as_str) {
            Some(Some(text)) if !text.trim().is_empty() => Some(text.to_owned()),
            None => self.mistake(key, "is missing"),
            _ => self.mistake(key, "must be text that is not empty"),
        }
    }

    fn size(&mut self, key: &str) -> Option<usize> {
        let Some(value) = self.table.get(key) else {
            return self.mistake(key, "is missing");
        };
        match value.as_integer().and_then(|number| usize::try_from(number).ok()) {
            Some(size) if (1..=MAX_SIZE).contains(&size) => Some(size),
            _ => self.mistake(key, &format!("must be a whole number from 1 to {MAX_SIZE}")),
        }
    }

    fn channels(&mut self, key: &str) -> Option<[f32; 3]> {
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|number| number as f64));
        let list = self.table.get(key).and_then(Value::as_array);
        let numbers = list.and_then(|list| list.iter().map(number).collect::<Option<Vec<f64>>>());
        match numbers.as_deref() {
            Some([red, green, blue]) => Some([*red as f32, *green as f32, *blue as f32]),
            _ => self.mistake(key, "must be three numbers: red, green, blue"),
        }
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = self.text(key)?;
        let choice = choices.iter().find(|(name, _)| *name == found);
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ");
        match choice {
            Some((_, value)) => Some(*value),
            None => self.mistake(key, &format!("is \"{found}\", and must be {}", names())),
        }
    }

    fn section(&mut self, key: &str) -> Option<Section<'_>> {
        let path = self.at(key);
        match self.table.get(key).map(Value::as_table) {
            Some(Some(table)) => Some(Section { path, table, mistakes: self.mistakes }),
            found => self.mistake(key, if found.is_none() { "is missing" } else { "must be a table" }),
        }
    }

    /// A word that means nothing is more often a misspelt one than a superfluous one.
    fn only(&mut self, known: &[&str]) {
        let unknown = self.table.keys().filter(|key| !known.contains(&key.as_str()));
        for key in unknown.cloned().collect::<Vec<_>>() {
            self.note(&key, "is not known here");
        }
    }

    fn note(&mut self, key: &str, problem: &str) {
        self.mistakes.push(format!("{} {problem}", self.at(key)));
    }

    fn mistake<T>(&mut self, key: &str, problem: &str) -> Option<T> {
        self.note(key, problem);
        None
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
