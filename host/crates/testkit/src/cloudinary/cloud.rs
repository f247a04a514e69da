//! What the stand-in holds: assets, the requests it saw, the faults to come.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{account::CLOUD_NAME, fault::Faults};

/// A hosted picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its file.
    pub bytes: Bytes,
    /// The ending of its address, such as `jpg`.
    pub format: &'static str,
    /// The second it was uploaded in, from 1970.
    pub version: u64,
    /// Its tags, joined with commas.
    pub tags: String,
}

/// A request that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Its path, as it was sent.
    pub path: String,
    /// When it came.
    pub at: Instant,
}

#[derive(Debug)]
pub(super) struct Cloud {
    url: String,
    pub(super) assets: BTreeMap<String, Asset>,
    pub(super) requests: Vec<Request>,
    pub(super) faults: Faults,
    uploads: BTreeMap<String, u32>,
}

impl Cloud {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            assets: BTreeMap::new(),
            requests: Vec::new(),
            faults: Faults::default(),
            uploads: BTreeMap::new(),
        }
    }

    pub(super) fn uploads(&self, public_id: &str) -> u32 {
        self.uploads.get(public_id).copied().unwrap_or_default()
    }

    pub(super) fn store(&mut self, public_id: &str, bytes: Bytes, format: &'static str, tags: String) {
        let asset = Asset { bytes, format, version: unix_seconds(), tags };
        self.assets.insert(public_id.into(), asset);
        *self.uploads.entry(public_id.into()).or_default() += 1;
    }

    /// An asset as answers show it.
    pub(super) fn described(&self, public_id: &str) -> Value {
        let Some(asset) = self.assets.get(public_id) else { return Value::Null };
        let Asset { bytes, format, version, tags } = asset;
        let tags: Vec<_> = tags.split(',').filter(|tag| !tag.is_empty()).collect();
        let url =
            format!("{}/{CLOUD_NAME}/image/upload/v{version}/{}.{format}", self.url, encoded(public_id));
        json!({
            "public_id": public_id, "version": version, "format": format, "resource_type": "image", "type": "upload",
            "tags": tags, "bytes": bytes.len(), "placeholder": false, "url": url, "secure_url": url,
        })
    }
}

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn encoded(public_id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    public_id.bytes().fold(String::new(), |url, byte| match plain(byte) {
        true => url + char::from(byte).encode_utf8(&mut [0; 4]),
        false => format!("{url}%{byte:02X}"),
    })
}
