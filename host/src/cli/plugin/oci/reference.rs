//! What lies where in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.

use std::{fmt, net::IpAddr, str::FromStr};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What every reference begins with.
pub const SCHEME: &str = "oci://";
/// Longest repository; host and repository together are not to be longer at some registries.
const MAX_REPOSITORY: usize = 255;
/// Longest tag, from the distribution specification.
const MAX_TAG: usize = 128;

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host, and the port where it is named.
    host: String,
    /// Names with slashes between them.
    pub repository: String,
    /// A name that may be given to something else tomorrow.
    pub tag: Option<String>,
    /// What nothing else will ever have.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The address of the repository in the registry's interface, with a slash at its end. Plain HTTP is for loopback
    /// addresses, where nobody listens in.
    pub fn address(&self) -> Url {
        let address = |scheme| Url::parse(&format!("{scheme}://{}/v2/{}/", self.host, self.repository));
        let plain = address("http").expect("host and repository were checked");
        if is_loopback(&plain) { plain } else { address("https").expect("it is an address with http") }
    }

    /// The same place by this digest alone.
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

/// Whether an address leads nowhere else than to this machine.
pub fn is_loopback(address: &Url) -> bool {
    let host = address.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not oci://HOST[:PORT]/REPOSITORY[:TAG] or …@sha256:DIGEST");
        let (host, rest) =
            text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or_else(expected)?;
        if host.contains('@') {
            return Err("a reference names no user: set TAJA_OCI_USER and TAJA_OCI_PASSWORD instead".into());
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (rest, None),
        };
        if !is_host(host) {
            return Err(format!("{host:?} is no host of a registry; expected HOST or HOST:PORT"));
        }
        if !is_repository(repository) {
            return Err(format!(
                "{repository:?} is no repository: names of a-z and 0-9, with single . _ - inside, and / between them"
            ));
        }
        if let Some(tag) = tag.as_deref().filter(|tag| !is_tag(tag)) {
            return Err(format!(
                "{tag:?} is no tag: 1 to 128 letters, digits and . _ -, not beginning with . or -"
            ));
        }
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// Nothing but a host and a port, as an address has them.
fn is_host(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    plain && Url::parse(&format!("http://{text}/")).is_ok_and(|address| address.port() != Some(0))
}

fn is_repository(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separator = |between: &str| {
        matches!(between, "." | "_" | "__") || !between.is_empty() && between.bytes().all(|b| b == b'-')
    };
    let name = |name: &str| {
        let between =
            name.split(|c: char| c.is_ascii() && plain(c as u8)).filter(|between| !between.is_empty());
        let at_the_ends = [name.bytes().next(), name.bytes().last()];
        at_the_ends.into_iter().all(|end| end.is_some_and(plain)) && between.into_iter().all(separator)
    };
    text.len() <= MAX_REPOSITORY && text.split('/').all(name)
}

fn is_tag(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|b| plain(b) || b == b'.' || b == b'-')
}

/// SHA-256 of what lies in a registry: `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_none = || format!("{text:?} is no digest: sha256: and 64 digits of 0-9 and a-f");
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or_else(is_none)?;
        let digit = |b: u8| char::from(b).to_digit(16).filter(|_| !b.is_ascii_uppercase());
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = (digit(pair[0]).ok_or_else(is_none)? << 4 | digit(pair[1]).ok_or_else(is_none)?) as u8;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn a_reference_survives_its_text_form() {
        assert_eq!(Digest::of(b"").to_string(), DIGEST);
        for name in
            ["registry.example/rank", "registry.example:5000/shop/rank-default:1.0.0", "[::1]:5000/a__b/c.d"]
        {
            let plain = format!("oci://{name}");
            assert_eq!(read(&plain).to_string(), plain);
            let pinned = format!("{plain}@{DIGEST}");
            assert_eq!((read(&pinned).to_string(), read(&pinned).digest), (pinned, Some(Digest::of(b""))));
        }
        let pinned = read("oci://registry.example/rank:1.0.0").at(Digest::of(b"")).to_string();
        assert_eq!(pinned, format!("oci://registry.example/rank@{DIGEST}"));
    }

    #[rstest::rstest]
    #[case("registry.example/rank:1.0.0", "is not oci://")]
    #[case("oci://registry.example", "is not oci://")]
    #[case("oci://shop:secret@registry.example/rank", "TAJA_OCI_USER")]
    #[case("oci:///rank", "no host")]
    #[case("oci://registry.example:99999/rank", "no host")]
    #[case("oci://registry.example?x/rank", "no host")]
    #[case("oci://registry.example/", "no repository")]
    #[case("oci://registry.example/Rank", "no repository")]
    #[case("oci://registry.example/../rank", "no repository")]
    #[case("oci://registry.example/shop//rank", "no repository")]
    #[case("oci://registry.example/rank.", "no repository")]
    #[case("oci://registry.example/ra___nk", "no repository")]
    #[case("oci://registry.example/rank?x=1", "no repository")]
    #[case("oci://registry.example/rank:", "no tag")]
    #[case("oci://registry.example/rank:1.0.0+linux", "no tag")]
    #[case("oci://registry.example/rank:.1", "no tag")]
    #[case("oci://registry.example/rank:a:b", "no tag")]
    #[case("oci://registry.example/rank@sha256:12", "no digest")]
    #[case("oci://registry.example/rank@sha512:12", "no digest")]
    fn what_is_no_reference_is_refused(#[case] text: &str, #[case] says: &str) {
        let error = text.parse::<Reference>().unwrap_err();
        assert!(error.contains(says), "{error}");
        let upper = DIGEST.to_uppercase().replace("SHA", "sha");
        assert!(upper.parse::<Digest>().is_err());
    }

    #[rstest::rstest]
    #[case("127.0.0.1:5000", "http")]
    #[case("localhost:443", "http")]
    #[case("[::1]:5000", "http")]
    #[case("registry.example", "https")]
    #[case("registry.example:5000", "https")]
    #[case("localhost.example", "https")]
    #[case("127.0.0.1.example", "https")]
    #[case("10.0.0.1:5000", "https")]
    fn plain_http_is_for_loopback_alone(#[case] host: &str, #[case] scheme: &str) {
        let address = read(&format!("oci://{host}/shop/rank:1")).address();
        assert_eq!(address.as_str(), format!("{scheme}://{host}/v2/shop/rank/"));
    }
}
