//! How Cloudinary is reached.

use std::time::Duration;

use reqwest::Url;

use crate::{Credentials, Retry};

/// Where Cloudinary is, who we are, and how long we wait.
#[derive(Debug, Clone)]
pub struct CloudinaryConfig {
    /// The account.
    pub credentials: Credentials,
    /// Where pictures are sent: `https`, or `http` on this machine.
    pub upload_base: Url,
    /// Where pictures are served from.
    pub delivery_base: Url,
    /// Put before each public id with a slash; nothing when empty.
    pub folder: String,
    /// Tags of each uploaded picture; none is empty or holds a comma.
    pub tags: Vec<String>,
    /// How long one request may take, reply included.
    pub timeout: Duration,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long [`crate::Cloudinary::ping`] may take.
    pub ping_timeout: Duration,
    /// How long one call may take with all its attempts and waits.
    pub deadline: Duration,
    /// How often, and after which waits, a failed request is made again.
    pub retry: Retry,
    /// Requests under way at the same time, at least 1; further ones wait, within their deadline.
    pub max_concurrent_requests: usize,
}

impl CloudinaryConfig {
    /// The account at Cloudinary's own addresses, with patience for a picture of some megabytes.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            upload_base: address("https://api.cloudinary.com"),
            delivery_base: address("https://res.cloudinary.com"),
            folder: String::new(),
            tags: Vec::new(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(3),
            deadline: Duration::from_secs(90),
            retry: Retry::default(),
            max_concurrent_requests: 8,
        }
    }
}

fn address(constant: &str) -> Url {
    Url::parse(constant).expect("a constant address is valid")
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is none that paths can be appended to.
    #[error("`{0}` is no http or https address")]
    Address(Url),
    /// The address would carry the secret in the clear.
    #[error("`{0}` is neither https nor on this machine, and the secret would travel in the clear")]
    Clear(Url),
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// The base with further path segments, each percent-encoded.
pub(crate) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Result<Url, SetupError> {
    let refused = || SetupError::Address(base.clone());
    if !matches!(base.scheme(), "http" | "https") || base.query().is_some() || base.fragment().is_some() {
        return Err(refused());
    }
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(segments);
    Ok(url)
}

/// Refuses an address that would show the secret to the network.
pub(crate) fn confidential(base: &Url) -> Result<(), SetupError> {
    let host = base.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (base.scheme() == "https" || loopback).then_some(()).ok_or_else(|| SetupError::Clear(base.clone()))
}
