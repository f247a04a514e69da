//! What makes a request ours: its parameters, signed as Cloudinary documents it.

use std::collections::BTreeMap;

use cloudinary::upload::OptionalParameters;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::Credentials;

/// A request's fields: the options, the time in seconds, the key, and the signature over options and time.
///
/// The service takes a request for an hour from its time, so each attempt is signed anew.
pub(crate) fn signed(
    options: impl IntoIterator<Item = OptionalParameters>,
    credentials: &Credentials,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<_, _> = options.into_iter().map(|option| option.get_pair()).collect();
    fields.insert("timestamp".into(), now.as_second().to_string());
    let signature = signature(&fields, credentials.api_secret());
    fields.insert("signature".into(), signature);
    fields.insert("api_key".into(), credentials.api_key().into());
    fields
}

/// SHA-256, in hexadecimal, of `name=value` pairs sorted by name and joined with `&`, then the secret.
///
/// An `&` within a value is written as `%26` (signature version 2): otherwise one value could read as two
/// parameters, and a signature for the one would hold for the other.
fn signature(fields: &BTreeMap<String, String>, secret: &str) -> String {
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name}={value}").replace('&', "%26")).collect();
    format!("{:x}", Sha256::new().chain_update(pairs.join("&")).chain_update(secret).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str)]) -> String {
        signature(&fields.iter().map(|&(name, value)| (name.into(), value.into())).collect(), "abcd")
    }

    // The documentation's own example, by `sha256sum`.
    #[test]
    fn the_documented_example_has_its_signature() {
        let eager = ("eager", "w_400,h_300,c_pad|w_260,h_200,c_crop");
        let signature = of(&[("timestamp", "1315060510"), ("public_id", "sample_image"), eager]);
        assert_eq!(signature, "cc927e1290f9e3ae4c1a741eda21a4630b4ce80f9ce0bc0296337d25cf40f91e");
    }

    #[test]
    fn a_value_cannot_pass_for_two_parameters() {
        assert_ne!(of(&[("a", "1&b=2")]), of(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn times_are_in_seconds_and_the_key_is_not_signed() {
        let now = Timestamp::from_second(1_315_060_510).unwrap();
        let sign = |key| signed([], &Credentials::new("cloud", key, "abcd").unwrap(), now);
        assert_eq!(sign("1")["timestamp"], "1315060510");
        assert_eq!(sign("1")["signature"], of(&[("timestamp", "1315060510")]));
        assert_eq!(sign("1")["signature"], sign("2")["signature"]);
    }
}
