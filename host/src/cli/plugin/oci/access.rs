//! What a registry asks to be shown, and who may see it: a name and a password, or a token that is given for them.

use anyhow::{Context, bail, ensure};
use reqwest::{
    RequestBuilder, StatusCode, Url,
    header::{HeaderMap, WWW_AUTHENTICATE},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    answer::{read, told},
    reference::is_loopback,
};

const USER: &str = "TAJA_OCI_USER";
const PASSWORD: &str = "TAJA_OCI_PASSWORD";
const TOKEN_HOST: &str = "TAJA_OCI_TOKEN_HOST";
/// Longest answer of a server of tokens.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Who we are to a registry.
#[derive(Debug, Clone, Default)]
pub struct Access {
    credentials: Option<Credentials>,
    /// A host, and the port where it is named, that may see the credentials beside the registry.
    token_host: Option<String>,
}

#[derive(Debug, Clone)]
struct Credentials {
    user: String,
    password: SecretString,
}

/// What a request shows.
#[derive(Debug, Clone, Default)]
pub enum Shown {
    #[default]
    Nothing,
    Password,
    Token(SecretString),
}

/// One way that a registry lets somebody in.
#[derive(Debug, PartialEq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

/// The same under two names, of which many servers give both.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Access {
    /// From the variables that [`Self::advice`] speaks of.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let given = |name| lookup(name).filter(|text| !text.is_empty());
        let credentials = match (given(USER), given(PASSWORD)) {
            (Some(user), Some(password)) => Some(Credentials { user, password: password.into() }),
            (None, None) => None,
            _ => bail!("{USER} and {PASSWORD} belong together: set both, or neither"),
        };
        Ok(Self { credentials, token_host: given(TOKEN_HOST) })
    }

    /// Puts on a request what it is to show.
    pub fn show(&self, shown: &Shown, request: RequestBuilder) -> RequestBuilder {
        match (shown, &self.credentials) {
            (Shown::Token(token), _) => request.bearer_auth(token.expose_secret()),
            (Shown::Password, Some(Credentials { user, password })) => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            (Shown::Nothing | Shown::Password, _) => request,
        }
    }

    /// What to show to a registry that asked, for this scope.
    pub async fn answer(
        &self,
        http: &reqwest::Client,
        registry: &Url,
        asked: &HeaderMap,
        scope: &str,
    ) -> anyhow::Result<Shown> {
        let texts = asked.get_all(WWW_AUTHENTICATE).iter().filter_map(|text| text.to_str().ok());
        let challenges: Vec<_> = texts.flat_map(challenges).collect();
        let of =
            |scheme: &str| challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
        if let Some(bearer) = of("bearer") {
            return self.token(http, registry, bearer, scope).await;
        }
        ensure!(
            of("basic").is_some(),
            "it asks for neither a password nor a token, which is all that is known here"
        );
        ensure!(self.credentials.is_some(), "{}", self.advice());
        Ok(Shown::Password)
    }

    /// Fetches a token, for the credentials or for nothing.
    async fn token(
        &self,
        http: &reqwest::Client,
        registry: &Url,
        bearer: &Challenge,
        scope: &str,
    ) -> anyhow::Result<Shown> {
        let realm = bearer.parameter("realm").context("it asks for a token and does not say who gives it")?;
        let mut address = Url::parse(realm).with_context(|| format!("{}: no address", told(realm)))?;
        self.check_realm(registry, &address)?;
        let service = bearer.parameter("service").map(|service| ("service", service));
        address.query_pairs_mut().extend_pairs(service.into_iter().chain([("scope", scope)]));
        let shown = if self.credentials.is_some() { Shown::Password } else { Shown::Nothing };
        let answer = self.show(&shown, http.get(address)).send().await;
        let answer = answer.context("its server of tokens cannot be reached")?;
        match answer.status() {
            StatusCode::OK => {
                let bytes = read(answer, MAX_TOKEN_BYTES).await.context("its token")?;
                let token = serde_json::from_slice(&bytes).ok();
                let token = token.and_then(|token: Token| token.token.or(token.access_token));
                Ok(Shown::Token(token.context("its server of tokens gives none")?.into()))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => bail!("{}", self.advice()),
            status => bail!("its server of tokens answered {status}"),
        }
    }

    /// Nobody else sees the credentials because a registry says so.
    fn check_realm(&self, registry: &Url, realm: &Url) -> anyhow::Result<()> {
        ensure!(may_lead(registry, realm), "its tokens come over plain HTTP from {}", told(realm.as_str()));
        let host = place(realm);
        let known = registry.origin() == realm.origin() || self.token_host.as_ref() == Some(&host);
        ensure!(
            known || self.credentials.is_none(),
            "it wants {USER} and {PASSWORD} to be shown to {host}: set {TOKEN_HOST}={host} if that is right"
        );
        Ok(())
    }

    /// What to do when one is not let in.
    pub fn advice(&self) -> String {
        match &self.credentials {
            None => format!("it asks who you are: set {USER} and {PASSWORD}"),
            Some(Credentials { user, .. }) => {
                format!(
                    "it does not let {user:?} do that: see to {USER} and {PASSWORD}, and to what they may do there"
                )
            }
        }
    }
}

/// Whether one address may send on to another: never to plain HTTP, except from this machine to itself.
pub fn may_lead(from: &Url, to: &Url) -> bool {
    to.scheme() == "https" || to.scheme() == "http" && is_loopback(to) && is_loopback(from)
}

/// Host, and the port where it is named.
fn place(address: &Url) -> String {
    let host = address.host_str().unwrap_or_default();
    address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl Challenge {
    fn parameter(&self, name: &str) -> Option<&str> {
        let named = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }
}

/// Reads `WWW-Authenticate` (RFC 9110, 11.6.1): schemes, and after each its parameters, with commas between everything.
/// What fits nowhere is passed over.
fn challenges(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_token) {
        let (word, after) = split(&rest[start..], is_token);
        let Some(value) = after.trim_start().strip_prefix('=') else {
            challenges.push(Challenge { scheme: word.to_owned(), parameters: Vec::new() });
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, after) = split(value, is_token);
                (value.to_owned(), after)
            }
        };
        if let Some(challenge) = challenges.last_mut() {
            challenge.parameters.push((word.to_owned(), value));
        }
        rest = after;
    }
    challenges
}

fn split(text: &str, belongs: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// The text up to the closing quote, and what comes after it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(variables: &[(&str, &str)]) -> anyhow::Result<Access> {
        Access::from_lookup(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_name_without_a_password_is_a_mistake() {
        assert!(access(&[]).unwrap().credentials.is_none());
        assert!(access(&[(USER, ""), (PASSWORD, "")]).unwrap().credentials.is_none());
        assert!(access(&[(USER, "shop"), (PASSWORD, "secret")]).unwrap().credentials.is_some());
        for half in [&[(USER, "shop")][..], &[(PASSWORD, "secret")], &[(USER, "shop"), (PASSWORD, "")]] {
            assert!(access(half).unwrap_err().to_string().contains("belong together"));
        }
    }

    #[test]
    fn challenges_are_read_as_they_are_written() {
        let token =
            r#"Bearer realm="https://auth.example/token",service="registry.example", scope="a:b:pull,push""#;
        let read = challenges(token);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].parameter("Realm"), Some("https://auth.example/token"));
        assert_eq!(read[0].parameter("scope"), Some("a:b:pull,push"));
        let both = challenges(r#"Basic realm = "a \"b\", c" , Negotiate abc==, bearer realm=https"#);
        let schemes: Vec<_> = both.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["Basic", "Negotiate", "bearer"]);
        assert_eq!(
            (both[0].parameter("realm"), both[2].parameter("realm")),
            (Some("a \"b\", c"), Some("https"))
        );
        for odd in ["", ",,", "=", "\"", "Basic realm=\"", "é=é", "Basic realm=\"a\\"] {
            assert!(challenges(odd).len() <= 1, "{odd}");
        }
    }

    #[rstest::rstest]
    #[case("https://registry.example/", "https://registry.example/token", "", true)]
    #[case("https://registry.example/", "https://registry.example:8443/token", "", false)]
    #[case("https://registry.example/", "https://auth.example/token", "", false)]
    #[case("https://registry.example/", "https://auth.example/token", "auth.example", true)]
    #[case("https://registry.example/", "https://auth.example:8443/token", "auth.example", false)]
    #[case("https://registry.example/", "http://registry.example/token", "registry.example", false)]
    #[case("https://registry.example/", "http://127.0.0.1/token", "127.0.0.1", false)]
    #[case("http://127.0.0.1:5000/", "http://127.0.0.1:5000/token", "", true)]
    #[case("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", "", false)]
    #[case("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", "127.0.0.1:5001", true)]
    fn credentials_are_shown_to_the_registry_and_to_whom_one_names(
        #[case] registry: &str,
        #[case] realm: &str,
        #[case] token_host: &str,
        #[case] shown: bool,
    ) {
        let access = access(&[(USER, "shop"), (PASSWORD, "secret"), (TOKEN_HOST, token_host)]).unwrap();
        let (registry, realm) = (Url::parse(registry).unwrap(), Url::parse(realm).unwrap());
        assert_eq!(access.check_realm(&registry, &realm).is_ok(), shown);
        assert!(!format!("{access:?}").contains("secret"));
    }
}
