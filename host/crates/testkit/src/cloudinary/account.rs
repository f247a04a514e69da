//! The one account there is, and whether a request comes from it.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{cloud::unix_seconds, refusal::Refusal};

pub(super) const CLOUD_NAME: &str = "taja-test";
pub(super) const API_KEY: &str = "314159265358979";
pub(super) const API_SECRET: &str = "fake-Secret_27182818";

/// A signed request is taken for an hour.
const FRESH_SECONDS: u64 = 3600;
/// What is sent along but not signed.
const UNSIGNED: [&str; 5] = ["file", "cloud_name", "resource_type", "api_key", "signature"];

/// Whether the address names the account.
pub(super) fn check_cloud(name: &str) -> Result<(), Refusal> {
    match name == CLOUD_NAME {
        true => Ok(()),
        false => Err(Refusal::unauthorized(format!("Invalid cloud_name {name}"))),
    }
}

/// Whether a form carries the account's key, a time of the last hour, and a signature over all of it.
pub(super) fn check_signature(fields: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let field = |name| fields.get(name).map(String::as_str);
    match field("api_key") {
        Some(API_KEY) => {}
        Some(other) => return Err(Refusal::unauthorized(format!("Unknown API key {other}"))),
        None => return Err(Refusal::unauthorized("Must supply api_key")),
    }
    let time = field("timestamp").and_then(|time| time.parse::<u64>().ok());
    let time = time.ok_or_else(|| Refusal::invalid("Missing required parameter - timestamp"))?;
    if unix_seconds().abs_diff(time) > FRESH_SECONDS {
        return Err(Refusal::invalid(format!("Stale request - reported time is {time}")));
    }
    let signature =
        field("signature").ok_or_else(|| Refusal::invalid("Missing required parameter - signature"))?;
    let to_sign = to_sign(fields);
    if signature != format!("{:x}", Sha256::digest(format!("{to_sign}{API_SECRET}"))) {
        let message = format!("Invalid Signature {signature}. String to sign - '{to_sign}'.");
        return Err(Refusal::unauthorized(message));
    }
    Ok(())
}

/// The string to sign, by signature version 2: an `&` that is part of a parameter is encoded.
fn to_sign(fields: &BTreeMap<String, String>) -> String {
    let mut to_sign = String::new();
    for (name, value) in fields {
        if UNSIGNED.contains(&name.as_str()) || value.is_empty() {
            continue;
        }
        if !to_sign.is_empty() {
            to_sign.push('&');
        }
        let parameter = [name, "=", value].concat();
        to_sign.push_str(&parameter.replace('&', "%26"));
    }
    to_sign
}

/// Whether a request carries key and secret by basic authentication.
pub(super) fn check_basic(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = value.and_then(|value| BASE64_STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    match given {
        Some(given) if given == format!("{API_KEY}:{API_SECRET}").as_bytes() => Ok(()),
        Some(_) => Err(Refusal::unauthorized("Invalid credentials")),
        None => Err(Refusal::unauthorized("Authorization Required")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_what_is_exempt_is_signed_in_order_and_encoded() {
        let fields = [("timestamp", "1"), ("tags", "a&b=c"), ("api_key", "k"), ("file", "f"), ("folder", "")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(to_sign(&fields), "tags=a%26b=c&timestamp=1");
    }
}
