//! The pictures of an imported product: written into the file itself, hosted here already, or fetched from where it says.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use reqwest::{Response, Url, header::LOCATION};
use serde_json::Value;
use taja_catalog::Failure;
use taja_media::Sniffed;

use super::hosted::Hosted;
use crate::{
    config::Limits,
    outbound::{self, Guard},
};

/// Longest that a picture may take to come.
const FETCH_WITHIN: Duration = Duration::from_secs(30);
/// How often a picture's address may lead to another one.
const MAX_REDIRECTS: usize = 4;

/// Where pictures come from.
pub struct Pictures {
    guard: Guard,
    client: reqwest::Client,
    limits: Limits,
    hosted: Option<Hosted>,
}

impl Pictures {
    /// Fetches from where the guard lets it, but for what this service hosts itself.
    pub fn new(guard: Guard, limits: Limits, hosted: Option<Hosted>) -> reqwest::Result<Self> {
        Ok(Self { client: guard.client(FETCH_WITHIN)?, guard, limits, hosted })
    }

    /// The bytes of all pictures that a row names, in their order.
    pub async fn all(&self, named: Option<Value>) -> Result<Vec<Bytes>, Failure> {
        let wrong = |problem: String| Failure::client("field_invalid", format!("images: {problem}"));
        let named = match named {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(named)) => named,
            Some(_) => return Err(wrong("is not a list of addresses".to_owned())),
        };
        match named.len() {
            0 => return Err(wrong("is missing: name one picture or more".to_owned())),
            n if n > self.limits.images => {
                return Err(wrong(format!("has {n} pictures; {} are allowed", self.limits.images)));
            }
            _ => {}
        }
        let mut pictures = Vec::with_capacity(named.len());
        for (index, source) in named.iter().enumerate() {
            let Some(source) = source.as_str() else {
                return Err(wrong(format!("entry {index} is not a text")));
            };
            let picture = self.one(source.trim()).await;
            pictures.push(picture.map_err(|failure| Failure {
                message: format!("images: entry {index} {}", failure.message),
                ..failure
            })?);
        }
        Ok(pictures)
    }

    async fn one(&self, source: &str) -> Result<Bytes, Failure> {
        let bytes = if let Some(inline) = source.strip_prefix("data:") {
            self.inline(inline)?
        } else if source.starts_with("http://") || source.starts_with("https://") {
            match self.hosted(source).await? {
                Some(bytes) => bytes,
                None => self.fetch(source).await?,
            }
        } else {
            let problem = "is neither an address that begins with http:// or https:// nor a data: address";
            return Err(Failure::client("image_address_invalid", problem));
        };
        let what = match taja_media::sniff(&bytes) {
            Sniffed::Image(kind) if self.limits.image_types.contains(&kind) => return Ok(bytes),
            Sniffed::Image(kind) => kind.mime(),
            Sniffed::Video(kind) => kind.mime(),
            Sniffed::Other(what) => what,
            Sniffed::Empty => return Err(Failure::client("media_empty", "is empty")),
        };
        Err(Failure::client("media_type_unsupported", format!("is {what}, no picture that is taken")))
    }

    /// `data:image/png;base64,…` (RFC 2397), of which only the content counts.
    fn inline(&self, rest: &str) -> Result<Bytes, Failure> {
        let invalid = || Failure::client("image_address_invalid", "is no picture in base64");
        let (head, text) = rest.split_once(',').ok_or_else(invalid)?;
        if !head.to_ascii_lowercase().ends_with(";base64") {
            return Err(invalid());
        }
        if text.len() as u64 / 4 * 3 > self.limits.image_bytes + 2 {
            return Err(self.too_large());
        }
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| invalid())?;
        if bytes.len() as u64 > self.limits.image_bytes { Err(self.too_large()) } else { Ok(bytes.into()) }
    }

    async fn hosted(&self, address: &str) -> Result<Option<Bytes>, Failure> {
        let Some(hosted) = &self.hosted else { return Ok(None) };
        match hosted.read(address).await? {
            Some(bytes) if bytes.len() as u64 > self.limits.image_bytes => Err(self.too_large()),
            read => Ok(read),
        }
    }

    async fn fetch(&self, address: &str) -> Result<Bytes, Failure> {
        let refused = |why: String| Failure::client("image_address_invalid", why);
        let mut url = self.guard.read(address).map_err(refused)?;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.client.get(url.clone()).send().await.map_err(|error| unfetched(&error))?;
            if answer.status().is_success() {
                return self.content(answer).await;
            }
            if !answer.status().is_redirection() {
                return Err(Failure {
                    retryable: answer.status().is_server_error(),
                    ..Failure::client("image_unfetchable", format!("is answered with {}", answer.status()))
                });
            }
            url = self.guard.read(redirected(&answer, &url)?.as_str()).map_err(refused)?;
        }
        Err(Failure::client("image_unfetchable", "leads from one address to the next"))
    }

    async fn content(&self, mut answer: Response) -> Result<Bytes, Failure> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unfetched(&error))? {
            if (bytes.len() + chunk.len()) as u64 > self.limits.image_bytes {
                return Err(self.too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    fn too_large(&self) -> Failure {
        let problem = format!("is larger than the {} bytes allowed", self.limits.image_bytes);
        Failure::client("too_large", problem)
    }
}

fn redirected(answer: &Response, from: &Url) -> Result<Url, Failure> {
    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    let to = to.and_then(|to| from.join(to).ok());
    to.ok_or_else(|| Failure::client("image_unfetchable", "leads nowhere"))
}

fn unfetched(error: &reqwest::Error) -> Failure {
    match outbound::forbidden(error) {
        Some(forbidden) => Failure::client("image_address_invalid", format!("is refused: {forbidden}")),
        None => Failure {
            retryable: true,
            ..Failure::client(
                "image_unfetchable",
                "cannot be fetched: its server does not answer as it should",
            )
        },
    }
}
