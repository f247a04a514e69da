//! Multipart bodies: texts into memory, files into staging, each judged by its first bytes.

use std::collections::{BTreeMap, btree_map::Entry};

use axum::{
    extract::multipart::{Field, Multipart, MultipartError},
    http::StatusCode,
};
use taja_catalog::ImageHash;
use taja_media::Sniffed;

use super::problem::{FieldProblem, Problem};
use crate::{
    config::Limits,
    staging::{Batch, ReceiveError},
};

/// Longest text field, bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Most fields and files in one form.
const MAX_FIELDS: usize = 200;

/// What a received file is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A picture of a type that is taken.
    Image,
    /// A video of a type that is taken.
    Video,
}

/// A file of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormFile {
    /// The form field it came in.
    pub field: String,
    /// Its name in staging.
    pub hash: ImageHash,
    /// What it is.
    pub kind: FileKind,
}

/// A form that was received whole.
#[derive(Debug, Default)]
pub struct Form {
    /// Text fields.
    pub texts: BTreeMap<String, String>,
    /// What text fields brought that were given again, in the order of the request, where that is allowed.
    pub again: Vec<(String, String)>,
    /// Files, in the order of the request.
    pub files: Vec<FormFile>,
}

impl Form {
    /// Receives a form whose files are a product's pictures.
    pub async fn receive_pictures(
        multipart: Multipart,
        batch: &mut Batch,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        let wanted = |name: &str, _| (name == "images" || name == "image").then_some(&[FileKind::Image][..]);
        Self::receive(multipart, batch, limits, wanted).await
    }

    /// What is wrong with how many pictures there are.
    pub fn miscounted(&self, most: usize) -> Option<FieldProblem> {
        match self.files.len() {
            0 => Some(FieldProblem::new("images", "is missing: send one picture or more")),
            n if n > most => {
                Some(FieldProblem::new("images", format!("has {n} pictures; {most} are allowed")))
            }
            _ => None,
        }
    }

    /// Receives a multipart body. `wanted` says which kinds of file a field may carry, given its name and whether the
    /// client gave a file name; none for a text field, which is given once at most.
    pub async fn receive(
        multipart: Multipart,
        batch: &mut Batch,
        limits: &Limits,
        wanted: impl Fn(&str, bool) -> Option<&'static [FileKind]>,
    ) -> Result<Self, Problem> {
        Self::gather(multipart, batch, limits, wanted, false).await
    }

    /// The same of a form whose text fields may be given again.
    pub async fn receive_repeated(
        multipart: Multipart,
        batch: &mut Batch,
        limits: &Limits,
        wanted: impl Fn(&str, bool) -> Option<&'static [FileKind]>,
    ) -> Result<Self, Problem> {
        Self::gather(multipart, batch, limits, wanted, true).await
    }

    async fn gather(
        mut multipart: Multipart,
        batch: &mut Batch,
        limits: &Limits,
        wanted: impl Fn(&str, bool) -> Option<&'static [FileKind]>,
        repeated: bool,
    ) -> Result<Self, Problem> {
        let mut form = Self::default();
        while let Some(field) = multipart.next_field().await.map_err(|error| broken(&error))? {
            if form.texts.len() + form.again.len() + form.files.len() >= MAX_FIELDS {
                let detail = format!("the form has more than {MAX_FIELDS} fields");
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_fields", detail));
            }
            let name = field.name().unwrap_or_default().trim_end_matches("[]").to_owned();
            let named_file = field.file_name().map(|name| !name.is_empty());
            match (wanted(&name, named_file == Some(true)), named_file) {
                // A browser sends an empty part for a file input that was left empty.
                (Some(_), Some(false)) => {}
                (Some(kinds), _) => form.files.push(receive_file(name, field, batch, limits, kinds).await?),
                (None, Some(true)) => {
                    return Err(Problem::field(&name, "is a file, but this field takes text"));
                }
                (None, _) => form.add_text(name, field, repeated).await?,
            }
        }
        Ok(form)
    }

    async fn add_text(&mut self, name: String, mut field: Field<'_>, repeated: bool) -> Result<(), Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
            if bytes.len() + chunk.len() > MAX_TEXT_BYTES {
                return Err(Problem::too_large(&format!("field {name}"), MAX_TEXT_BYTES as u64));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(bytes).map_err(|_| Problem::field(&name, "is not UTF-8 text"))?;
        match self.texts.entry(name) {
            Entry::Vacant(free) => {
                free.insert(text);
            }
            Entry::Occupied(known) if repeated => self.again.push((known.key().clone(), text)),
            Entry::Occupied(known) => return Err(Problem::field(known.key(), "is given twice")),
        }
        Ok(())
    }
}

async fn receive_file(
    name: String,
    field: Field<'_>,
    batch: &mut Batch,
    limits: &Limits,
    kinds: &[FileKind],
) -> Result<FormFile, Problem> {
    let mut found = None;
    let judge = |head: &[u8]| {
        let kind = judge(&name, head, kinds, limits)?;
        found = Some(kind);
        Ok(match kind {
            FileKind::Image => limits.image_bytes,
            FileKind::Video => limits.video_bytes,
        })
    };
    let staged = batch.receive(field, judge).await;
    let staged =
        staged.map_err(|error| unreceived(error, &format!("file {name}"), |error| broken(&error)))?;
    let kind = found.ok_or_else(|| Problem::internal(&"a received file was not judged"))?;
    Ok(FormFile { field: name, hash: staged.hash, kind })
}

/// Why a file was not received; `broken` tells it of a stream that broke.
pub fn unreceived<E>(
    error: ReceiveError<Problem, E>,
    what: &str,
    broken: impl FnOnce(E) -> Problem,
) -> Problem {
    match error {
        ReceiveError::Refused(problem) => problem,
        ReceiveError::TooLarge(limit) => Problem::too_large(what, limit),
        ReceiveError::Stream(error) => broken(error),
        ReceiveError::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Problem::unavailable("there is no room on the server's disk")
        }
        ReceiveError::Disk(error) => Problem::internal(&error),
        ReceiveError::Store(error) => error.into(),
    }
}

/// What the first bytes show, if that is wanted here. The client's file name and content type are not looked at.
fn judge(name: &str, head: &[u8], kinds: &[FileKind], limits: &Limits) -> Result<FileKind, Problem> {
    let refuse = |what: &str| {
        let images =
            limits.image_types.iter().map(|kind| kind.mime()).filter(|_| kinds.contains(&FileKind::Image));
        let videos =
            limits.video_types.iter().map(|kind| kind.mime()).filter(|_| kinds.contains(&FileKind::Video));
        let taken: Vec<_> = images.chain(videos).collect();
        let detail = format!("file {name} is {what}; taken are {}", taken.join(", "));
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", detail);
        Err(Problem { errors: vec![FieldProblem::new(name, format!("is {what}"))], ..problem })
    };
    match taja_media::sniff(head) {
        Sniffed::Image(kind) if kinds.contains(&FileKind::Image) && limits.image_types.contains(&kind) => {
            Ok(FileKind::Image)
        }
        Sniffed::Video(kind) if kinds.contains(&FileKind::Video) && limits.video_types.contains(&kind) => {
            Ok(FileKind::Video)
        }
        Sniffed::Image(kind) => refuse(kind.mime()),
        Sniffed::Video(kind) => refuse(kind.mime()),
        Sniffed::Other(what) => refuse(what),
        Sniffed::Empty => {
            let problem = Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "media_empty",
                format!("file {name} is empty"),
            );
            Err(Problem { errors: vec![FieldProblem::new(name, "is empty")], ..problem })
        }
    }
}

fn broken(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the request is larger than allowed",
        );
    }
    Problem::new(StatusCode::BAD_REQUEST, "multipart_malformed", error.body_text())
}
