//! A registry, spoken to as the OCI distribution specification says. Nothing that it answers is believed: sizes are
//! bounded, digests are computed here, and what it is shown is shown to no other host.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE},
    redirect::Policy,
};
use serde::Deserialize;

use super::{
    access::{Access, Shown},
    answer::{MAX_WORDS_BYTES, check_digest, digest_of, explanation, read, sent_on, told},
    artifact::{Layer, MANIFEST, OTHER_MANIFESTS},
    reference::{Digest, Reference, is_loopback},
};
use crate::cli::Usage;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a registry may send on to another address before it has to answer.
const MAX_REDIRECTS: u32 = 3;
/// Longest manifest; that of a component has some thousand bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Tags that are named to somebody who asked for another one.
const TAGS_NAMED: usize = 10;

/// Which rights are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Rights {
    Pull,
    Push,
}

/// One repository of a registry.
pub struct Registry {
    http: reqwest::Client,
    /// Of the repository, with a slash at its end.
    base: Url,
    access: Access,
    scope: String,
    shown: Shown,
}

/// One request, however often it has to be sent.
struct Ask<'a> {
    method: Method,
    address: Url,
    accept: Option<String>,
    body: Option<(&'a str, Bytes)>,
}

impl<'a> Ask<'a> {
    fn new(method: Method, address: Url) -> Self {
        Self { method, address, accept: None, body: None }
    }

    fn accept(self, media_types: String) -> Self {
        Self { accept: Some(media_types), ..self }
    }

    fn body(self, media_type: &'a str, bytes: Bytes) -> Self {
        Self { body: Some((media_type, bytes)), ..self }
    }
}

impl Registry {
    /// The repository of a reference; nothing is sent yet.
    pub fn of(reference: &Reference, rights: Rights, access: Access) -> anyhow::Result<Self> {
        let base = reference.address();
        let http = reqwest::Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
        let http = http.timeout(REQUEST_TIMEOUT).user_agent(concat!("taja/", env!("CARGO_PKG_VERSION")));
        // What is said over plain HTTP does not leave this machine.
        let http = if is_loopback(&base) { http.no_proxy() } else { http };
        let actions = match rights {
            Rights::Pull => "pull",
            Rights::Push => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", reference.repository);
        Ok(Self { http: http.build()?, base, access, scope, shown: Shown::Nothing })
    }

    /// The manifest that a tag or a digest names, and its digest.
    pub async fn manifest(&mut self, reference: &Reference) -> anyhow::Result<(Digest, Vec<u8>)> {
        let name = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => {
                return Err(Usage(format!("say what of {reference}: add :TAG or @sha256:DIGEST")).into());
            }
        };
        let accept = [&[MANIFEST][..], &OTHER_MANIFESTS].concat().join(", ");
        let ask = Ask::new(Method::GET, self.address(&format!("manifests/{name}"))?).accept(accept);
        let answer = self.send(ask).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            bail!("{}", self.not_found(reference).await);
        }
        let answer = self.expect(answer, &[StatusCode::OK]).await?;
        let promised = reference.digest.or_else(|| digest_of(answer.headers()));
        let bytes = read(answer, MAX_MANIFEST_BYTES).await.context("its manifest")?;
        let digest = check_digest("the manifest", &bytes, promised)?;
        Ok((digest, bytes))
    }

    /// The component of an artifact.
    pub async fn component(&mut self, layer: &Layer) -> anyhow::Result<Vec<u8>> {
        let answer =
            self.send(Ask::new(Method::GET, self.address(&format!("blobs/{}", layer.digest))?)).await?;
        ensure!(
            answer.status() != StatusCode::NOT_FOUND,
            "it has the manifest but not the component {}: publish it again",
            layer.digest
        );
        let answer = self.expect(answer, &[StatusCode::OK]).await?;
        let bytes = read(answer, layer.size).await.context("its component")?;
        check_digest("the component", &bytes, Some(layer.digest))?;
        Ok(bytes)
    }

    /// Brings a blob, unless it is there.
    pub async fn add_blob(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        let digest = Digest::of(&bytes);
        let there = self.send(Ask::new(Method::HEAD, self.address(&format!("blobs/{digest}"))?)).await?;
        if there.status() == StatusCode::OK {
            return Ok(());
        }
        let begun = self.send(Ask::new(Method::POST, self.address("blobs/uploads/")?)).await?;
        let begun = self.expect(begun, &[StatusCode::ACCEPTED]).await?;
        let mut address = sent_on(begun.url(), begun.headers())?;
        address.query_pairs_mut().append_pair("digest", &digest.to_string());
        let ask = Ask::new(Method::PUT, address).body("application/octet-stream", bytes.into());
        let kept = self.send(ask).await?;
        self.expect(kept, &[StatusCode::CREATED]).await?;
        Ok(())
    }

    /// Lets a tag name this manifest, whose blobs are there; its digest.
    pub async fn add_manifest(&mut self, tag: &str, manifest: Vec<u8>) -> anyhow::Result<Digest> {
        let digest = Digest::of(&manifest);
        let ask = Ask::new(Method::PUT, self.address(&format!("manifests/{tag}"))?);
        let kept = self.send(ask.body(MANIFEST, manifest.into())).await?;
        let kept = self.expect(kept, &[StatusCode::CREATED]).await?;
        let theirs = digest_of(kept.headers()).unwrap_or(digest);
        ensure!(
            theirs == digest,
            "it keeps the manifest as {theirs}, and it is {digest}: it was changed on its way"
        );
        Ok(digest)
    }

    fn address(&self, path: &str) -> anyhow::Result<Url> {
        // As a path of its own: the colon of a digest would make it look like an address.
        Ok(self.base.join(&format!("./{path}"))?)
    }

    /// Sends a request, and once more with what the registry then asks to be shown.
    async fn send(&mut self, ask: Ask<'_>) -> anyhow::Result<Response> {
        let answer = self.follow(&ask).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || answer.url().origin() != self.base.origin() {
            return Ok(answer);
        }
        self.shown = self.access.answer(&self.http, &self.base, answer.headers(), &self.scope).await?;
        self.follow(&ask).await
    }

    /// Sends a request, and on to where the registry says that the answer is.
    async fn follow(&self, ask: &Ask<'_>) -> anyhow::Result<Response> {
        let mut address = ask.address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.once(ask, address).await?;
            if !answer.status().is_redirection() || !ask.method.is_safe() {
                return Ok(answer);
            }
            address = sent_on(answer.url(), answer.headers())?;
        }
        bail!("it sends on to another address more than {MAX_REDIRECTS} times")
    }

    async fn once(&self, ask: &Ask<'_>, address: Url) -> anyhow::Result<Response> {
        let ours = address.origin() == self.base.origin();
        let mut request = self.http.request(ask.method.clone(), address);
        if let Some(media_types) = &ask.accept {
            request = request.header(ACCEPT, media_types);
        }
        if let Some((media_type, bytes)) = &ask.body {
            request = request.header(CONTENT_TYPE, *media_type).body(bytes.clone());
        }
        let request = if ours { self.access.show(&self.shown, request) } else { request };
        // Addresses that registries send on to are secrets for as long as they are good.
        request
            .send()
            .await
            .map_err(|error| anyhow::Error::new(error.without_url()))
            .context("it cannot be reached")
    }

    /// An answer that is one of these, or what is wrong.
    async fn expect(&self, answer: Response, expected: &[StatusCode]) -> anyhow::Result<Response> {
        let status = answer.status();
        match status {
            status if expected.contains(&status) => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => bail!("{}", self.access.advice()),
            _ => bail!("it answered {status}{}", explanation(answer).await),
        }
    }

    /// What to say of a name that names nothing.
    async fn not_found(&mut self, reference: &Reference) -> String {
        if let Some(digest) = &reference.digest {
            return format!(
                "it has nothing with the digest {digest}: see what `taja plugin publish` printed"
            );
        }
        match self.tags().await {
            Ok(tags) if !tags.is_empty() => format!("it has no such tag, but {}", tags.join(", ")),
            _ => "it has no such tag, and no other in this repository: publish it first, or correct the name"
                .into(),
        }
    }

    /// Some of the tags of the repository.
    async fn tags(&mut self) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let mut address = self.address("tags/list")?;
        address.query_pairs_mut().append_pair("n", &TAGS_NAMED.to_string());
        let answer = self.send(Ask::new(Method::GET, address)).await?;
        let answer = self.expect(answer, &[StatusCode::OK]).await?;
        let list: List = serde_json::from_slice(&read(answer, MAX_WORDS_BYTES).await?)?;
        let tags = list.tags.unwrap_or_default();
        Ok(tags.iter().take(TAGS_NAMED).map(|tag| told(tag)).collect())
    }
}

#[cfg(test)]
mod tests;
