use std::os::unix::fs::PermissionsExt;

use super::*;

const COMPONENT: &[u8] = b"\0asm and so on";

fn digest(component: &[u8]) -> PluginDigest {
    PluginDigest::of(component)
}

fn signed(key: &SigningKey, component: &[u8]) -> Signature {
    key.sign(component).parse().unwrap()
}

fn keys() -> (SigningKey, SigningKey, TrustedKeys) {
    let (shop, maker) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let trusted = TrustedKeys::parse([format!("shop={}", shop.public()), maker.public()]).unwrap();
    (shop, maker, trusted)
}

#[test]
fn the_signer_is_named_by_the_list_of_keys() {
    let (shop, maker, trusted) = keys();
    let by = |key| trusted.verify(&digest(COMPONENT), Some(&signed(key, COMPONENT))).unwrap().unwrap();
    assert_eq!(by(&shop), "shop");
    assert_eq!(by(&maker), maker.public()[..16]);
}

#[test]
fn without_trusted_keys_everything_is_accepted_and_nobody_named() {
    let none = TrustedKeys::parse([""; 0]).unwrap();
    assert!(none.is_empty());
    let wrong = Signature([7; SIGNATURE_LENGTH]);
    assert_eq!(
        (none.verify(&digest(COMPONENT), None), none.verify(&digest(COMPONENT), Some(&wrong))),
        (Ok(None), Ok(None))
    );
}

#[test]
fn with_trusted_keys_what_is_not_signed_by_one_is_refused() {
    let (.., trusted) = keys();
    assert!(trusted.verify(&digest(COMPONENT), None).unwrap_err().contains("taja plugin sign"));
    let stranger = signed(&SigningKey::generate().unwrap(), COMPONENT);
    assert!(
        trusted.verify(&digest(COMPONENT), Some(&stranger)).unwrap_err().contains("trusted here (shop, ")
    );
}

#[test]
fn one_changed_bit_of_component_or_signature_is_noticed() {
    let (shop, _, trusted) = keys();
    let good = signed(&shop, COMPONENT);
    let mut tampered = COMPONENT.to_vec();
    tampered[3] ^= 1;
    assert!(trusted.verify(&digest(&tampered), Some(&good)).is_err());
    for byte in 0..SIGNATURE_LENGTH {
        let mut bad = good;
        bad.0[byte] ^= 1;
        assert!(trusted.verify(&digest(COMPONENT), Some(&bad)).is_err(), "byte {byte}");
    }
}

#[test]
fn a_signature_over_the_component_for_another_purpose_is_none() {
    let (shop, _, trusted) = keys();
    for message in [COMPONENT.to_vec(), digest(COMPONENT).as_bytes().to_vec()] {
        let other = Signature(shop.0.sign(&message).to_bytes());
        assert!(trusted.verify(&digest(COMPONENT), Some(&other)).is_err());
    }
}

#[test]
fn a_key_that_anybody_can_sign_for_is_refused() {
    let identity = format!("01{}", "0".repeat(62));
    let zero_order_four = "0".repeat(64);
    for weak in [identity, zero_order_four] {
        let error = TrustedKeys::parse([format!("weak={weak}")]).unwrap_err();
        assert!(error.contains("\"weak\" is not a public key"), "{error}");
    }
}

#[test]
fn all_malformed_keys_are_told_together() {
    let good = SigningKey::generate().unwrap().public();
    let texts = [
        format!("two words={good}"),
        format!("={good}"),
        format!("short={}", &good[1..]),
        format!("long={good}0"),
        format!("letters={}", "g".repeat(64)),
        "é".repeat(32),
        String::new(),
        format!("a={good}"),
        format!("b={good}"),
        format!("a={}", SigningKey::generate().unwrap().public()),
    ];
    let error = TrustedKeys::parse(&texts).unwrap_err();
    assert_eq!(error.matches(';').count(), 8, "{error}");
    for says in [
        "\"two words=",
        "\"short\" is not 64",
        "\"letters\" is not 64",
        "key \"b\" is there twice",
        "name \"a\" is there twice",
    ] {
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn a_signature_is_read_back_from_its_text_and_from_no_other() {
    let signature = signed(&SigningKey::generate().unwrap(), COMPONENT);
    assert_eq!(format!("{signature}\n").parse(), Ok(signature));
    assert_eq!(signature.to_string().to_uppercase().parse(), Ok(signature));
    for text in ["", "00", &"0".repeat(127), &"0".repeat(129), &"0".repeat(130), &"+".repeat(128)] {
        assert!(text.parse::<Signature>().is_err(), "{text}");
    }
}

#[test]
fn a_key_file_is_private_read_back_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = SigningKey::generate().unwrap();
    key.write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SigningKey::read(&path).unwrap().public(), key.public());
    let error = SigningKey::generate().unwrap().write(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(SigningKey::read(&path).unwrap().public(), key.public());
}

#[test]
fn what_is_no_key_file_is_refused_without_telling_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for text in ["", "secret", &"0".repeat(63), &"0".repeat(5000)] {
        fs::write(&path, text).unwrap();
        let error = SigningKey::read(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(!error.to_string().contains("secret"));
    }
    let key = SigningKey::generate().unwrap();
    assert!(!format!("{key:?}").contains(&to_hex(key.0.as_bytes())));
}
