//! Held against `serde_json`, which every component would otherwise carry.

use proptest::prelude::*;

use super::*;

fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (ours, theirs) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Number(a), Json::Number(b)) => {
            let b = b.as_f64().unwrap();
            (a - b).abs() <= b.abs() * 1e-14
        }
        (Value::Text(a), Json::String(b)) => a == b,
        (Value::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e300..1e300).prop_map(|number: f64| number.into()),
        (-10.0..10.0).prop_map(|number: f64| number.into()),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_reads_as_serde_json_reads_it(value in json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert!(same(&parse(&text).unwrap(), &value), "{text}");
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic_or_take_what_serde_json_refuses(
        text in prop_oneof![any::<String>(), r#"[\[\]{}",:0-9eE.\\+u\-tfn ]{0,24}"#]
    ) {
        let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
        match (parse(&text), theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{text}"),
            (Ok(_), Err(error)) => prop_assert!(false, "{text} is refused elsewhere: {error}"),
            (Err(error), Ok(_)) => prop_assert!(error.problem.contains("twice"), "{text}: {error}"),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn quoted_text_is_read_back(text in prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,40}"]) {
        prop_assert_eq!(parse(&quoted(&text)), Ok(Value::Text(text.clone())));
        let theirs: String = serde_json::from_str(&quoted(&text)).unwrap();
        prop_assert_eq!(theirs, text);
    }

    #[test]
    fn short_decimal_numbers_are_exact(digits in 0_u64..1_000_000_000_000_000, scale in 0_usize..15) {
        let text = format!("{}.{:0width$}", digits / 10_u64.pow(scale as u32),
            digits % 10_u64.pow(scale as u32), width = scale.max(1));
        prop_assert_eq!(parse(&text), Ok(Value::Number(text.parse().unwrap())));
    }
}

#[test]
fn escapes_are_understood_and_half_pairs_are_not() {
    let text = r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#;
    assert_eq!(parse(text), Ok(Value::Text("\"\\/\u{8}\u{c}\n\r\té😀".into())));
    for half in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\u12g4""#, r#""\x""#]
    {
        assert!(parse(half).is_err(), "{half}");
    }
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    assert!(parse(&"[".repeat(1_000_000)).is_err());
    assert!(parse(&format!("{}{}", "[".repeat(20), "]".repeat(20))).is_ok());
}

#[test]
fn numbers_beyond_f64_are_refused_and_tiny_ones_are_zero() {
    assert!(parse("1e400").is_err());
    assert!(parse("1e99999999999").is_err());
    assert_eq!(parse("1e-99999999999"), Ok(Value::Number(0.0)));
    assert!(parse("01").is_err());
    assert!(parse("1.").is_err());
    assert!(parse("-").is_err());
}
