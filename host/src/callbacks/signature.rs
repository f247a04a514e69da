//! How a callback is signed: HMAC-SHA-256 over its id, its time and its body, as the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>) has it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use taja_catalog::callback::CallbackSecret;

/// The header `webhook-signature`: for each secret `v1,` and the base64 of the code, separated by spaces.
pub fn sign<'a>(
    secrets: impl Iterator<Item = &'a CallbackSecret>,
    id: &str,
    timestamp: Timestamp,
    body: &str,
) -> String {
    let content = format!("{id}.{}.{body}", timestamp.as_second());
    let codes: Vec<String> = secrets.map(|secret| code(&secret.key(), &content)).collect();
    codes.join(" ")
}

fn code(key: &[u8], content: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(content.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_signed_as_there() {
        // The key of the example is 24 bytes long, shorter than ours.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let content = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(code(&key, content), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs() {
        let secret = |byte| CallbackSecret::of_random(&[byte; 32]);
        let (old, new) = (secret(1), secret(2));
        let header = sign([&new, &old].into_iter(), "id", Timestamp::UNIX_EPOCH, "{}");
        let alone = sign([&old].into_iter(), "id", Timestamp::UNIX_EPOCH, "{}");
        assert_eq!(header.split(' ').nth(1), Some(alone.as_str()));
        assert_eq!(header.split(' ').count(), 2);
    }
}
