//! A picture as Cloudinary has it.

use reqwest::Url;
use serde::Deserialize;

use crate::CloudinaryError;

/// An uploaded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// Where it is served.
    pub url: String,
    /// Its public id, the folder included.
    pub public_id: String,
    /// Its version: the second it was uploaded in, from 1970.
    pub version: u64,
    /// The size of its file in bytes.
    pub size_bytes: u64,
    /// Whether it was there before, and was left as it was.
    pub existing: bool,
}

/// The answer to an upload, as far as it is read.
#[derive(Deserialize)]
pub(crate) struct Uploaded {
    secure_url: String,
    public_id: String,
    version: u64,
    bytes: u64,
    #[serde(default)]
    existing: bool,
}

impl TryFrom<Uploaded> for Hosted {
    type Error = CloudinaryError;

    fn try_from(uploaded: Uploaded) -> Result<Self, CloudinaryError> {
        // Shoppers' clients are sent there.
        if !Url::parse(&uploaded.secure_url).is_ok_and(|url| matches!(url.scheme(), "https" | "http")) {
            return Err(CloudinaryError::broken("the picture's address is no web address"));
        }
        Ok(Self {
            url: uploaded.secure_url,
            public_id: uploaded.public_id,
            version: uploaded.version,
            size_bytes: uploaded.bytes,
            existing: uploaded.existing,
        })
    }
}
