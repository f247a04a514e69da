//! Who we are to Cloudinary: a cloud name, an API key, and a secret that is never shown.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;

const SCHEME: &str = "cloudinary://";

/// Options of a `CLOUDINARY_URL` that say where requests go. Passing over one would send pictures elsewhere.
const ROUTING: [&str; 4] = ["upload_prefix", "secure_distribution", "private_cdn", "cname"];

/// An account's cloud name, API key and API secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    cloud_name: String,
    api_key: String,
    api_secret: String,
}

/// What is wrong with credentials. No message holds any part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It is no `cloudinary://` address with all three parts.
    #[error("is not of the form `cloudinary://API_KEY:API_SECRET@CLOUD_NAME`")]
    Form,
    /// A part is missing, or holds what it cannot hold.
    #[error("the {0} is empty or holds a character that it cannot hold")]
    Part(&'static str),
    /// It carries an option that says where requests go.
    #[error("has the option `{0}`: addresses are configured on their own")]
    Option(&'static str),
}

impl Credentials {
    /// Puts the three values together.
    ///
    /// # Errors
    /// When one is empty or cannot be what it says.
    pub fn new(cloud_name: &str, api_key: &str, api_secret: &str) -> Result<Self, CredentialsError> {
        let word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        // The key is the user's part of basic authentication, which a colon would end.
        let visible = |c: char| c.is_ascii_graphic() && c != ':';
        check("cloud name", cloud_name, word)?;
        check("API key", api_key, visible)?;
        check("API secret", api_secret, |c| c.is_ascii_graphic())?;
        Ok(Self { cloud_name: cloud_name.into(), api_key: api_key.into(), api_secret: api_secret.into() })
    }

    /// The account's cloud name, part of each address.
    #[must_use]
    pub fn cloud_name(&self) -> &str {
        &self.cloud_name
    }

    pub(crate) fn api_key(&self) -> &str {
        &self.api_key
    }

    pub(crate) fn api_secret(&self) -> &str {
        &self.api_secret
    }
}

fn check(name: &'static str, value: &str, holds: impl Fn(char) -> bool) -> Result<(), CredentialsError> {
    let fits = !value.is_empty() && value.chars().all(holds);
    fits.then_some(()).ok_or(CredentialsError::Part(name))
}

/// Reads a `CLOUDINARY_URL`. Its options concern Cloudinary's own libraries and are not read, but for those that say
/// where requests go: they are refused.
impl FromStr for Credentials {
    type Err = CredentialsError;

    fn from_str(value: &str) -> Result<Self, CredentialsError> {
        let parts = value.trim().strip_prefix(SCHEME).ok_or(CredentialsError::Form)?;
        let (parts, options) = parts.split_once('?').unwrap_or((parts, ""));
        let (user, cloud_name) = parts.rsplit_once('@').ok_or(CredentialsError::Form)?;
        let (api_key, api_secret) = user.split_once(':').ok_or(CredentialsError::Form)?;
        let names = || options.split('&').filter_map(|option| option.split('=').next());
        if let Some(routing) = ROUTING.into_iter().find(|&routing| names().any(|name| name == routing)) {
            return Err(CredentialsError::Option(routing));
        }
        let decoded = |part| percent_decode_str(part).decode_utf8().map_err(|_| CredentialsError::Form);
        Self::new(cloud_name, &decoded(api_key)?, &decoded(api_secret)?)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("cloud_name", &self.cloud_name).finish_non_exhaustive()
    }
}
