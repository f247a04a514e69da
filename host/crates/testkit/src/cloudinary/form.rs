//! A multipart form: its fields, its file, and what they must be like.

use std::collections::BTreeMap;

use axum::extract::{Multipart, multipart::MultipartError};
use bytes::Bytes;

use super::{account::check_signature, refusal::Refusal};

const PUBLIC_ID_CHARS: usize = 255;

#[derive(Default)]
pub(super) struct Form {
    fields: BTreeMap<String, String>,
    file: Option<Bytes>,
}

impl Form {
    /// Reads a form to its end, and checks its signature.
    pub(super) async fn read(mut parts: Multipart) -> Result<Self, Refusal> {
        let broken = |error: MultipartError| Refusal::new(error.status(), error.body_text());
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            let name = part.name().unwrap_or_default().to_owned();
            let twice = match name.as_str() {
                "file" => form.file.replace(part.bytes().await.map_err(broken)?).is_some(),
                _ => form.fields.insert(name.clone(), part.text().await.map_err(broken)?).is_some(),
            };
            if twice {
                return Err(Refusal::invalid(format!("Parameter given twice - {name}")));
            }
        }
        check_signature(&form.fields)?;
        Ok(form)
    }

    pub(super) fn public_id(&self) -> Result<&str, Refusal> {
        self.fields
            .get("public_id")
            .map(String::as_str)
            .ok_or_else(|| Refusal::invalid("Missing required parameter - public_id"))
    }

    /// The public id, which Cloudinary takes no new picture under when it holds certain characters.
    pub(super) fn new_public_id(&self) -> Result<&str, Refusal> {
        let id = self.public_id()?;
        let framed = id.starts_with([' ', '/']) || id.ends_with([' ', '/']);
        if id.is_empty() || framed || id.contains(['?', '&', '#', '\\', '%', '<', '>', '+']) {
            return Err(Refusal::invalid(format!("public_id ({id}) is invalid")));
        }
        if id.chars().count() > PUBLIC_ID_CHARS {
            return Err(Refusal::invalid("public_id is too long"));
        }
        Ok(id)
    }

    /// Whether a picture that is there already is replaced: so it is unless the request says otherwise.
    pub(super) fn overwrites(&self) -> bool {
        !matches!(self.fields.get("overwrite").map(String::as_str), Some("false" | "0"))
    }

    pub(super) fn tags(&self) -> String {
        self.fields.get("tags").cloned().unwrap_or_default()
    }

    /// The picture and the ending of its address.
    pub(super) fn picture(&self) -> Result<(Bytes, &'static str), Refusal> {
        let file = self.file.as_ref().ok_or_else(|| Refusal::invalid("Missing required parameter - file"))?;
        let format = format(file).ok_or_else(|| Refusal::invalid("Invalid image file"))?;
        Ok((file.clone(), format))
    }
}

/// What a file is, by its first bytes; a JPEG must have its last ones, too.
fn format(file: &[u8]) -> Option<&'static str> {
    match file {
        [0xff, 0xd8, 0xff, .., 0xff, 0xd9] => Some("jpg"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        _ => None,
    }
}
