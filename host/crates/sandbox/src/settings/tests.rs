use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::manifest;

fn manifest(schema: &str) -> Manifest {
    manifest::parse(&format!("name = \"r\"\nversion = \"1.0.0\"\nkind = \"rank\"\n{schema}")).unwrap()
}

const PLAIN: &str = "
    [settings]
    type = \"object\"
    additionalProperties = false
    required = [\"k\"]
    [settings.properties]
    k = { type = \"number\", minimum = 1 }
    words = { type = \"array\", items = { \"$ref\" = \"#/$defs/word\" } }
    [settings.\"$defs\".word]
    type = \"string\"
    pattern = '^[\\p{L}-]+$'
";

#[test]
fn settings_that_fit_are_taken_as_they_are() {
    let settings = json!({"k": 60, "words": ["red", "blå"]});
    assert_eq!(checked(&manifest(PLAIN), Some(&settings)).unwrap(), settings);
    assert!(schema(&manifest(PLAIN)).unwrap().is_some());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let settings = json!({"k": 0, "words": ["red", 7, "two words"], "kk": 1});
    let error = checked(&manifest(PLAIN), Some(&settings)).unwrap_err();
    for says in
        ["settings of \"r\"", "/k: 0 is less", "/words/1: 7 is not", "/words/2: ", "'kk' was unexpected"]
    {
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn none_is_the_empty_object_and_is_checked_too() {
    assert_eq!(checked(&manifest(""), None).unwrap(), json!({}));
    let error = checked(&manifest(PLAIN), None).unwrap_err();
    assert!(error.contains("\"k\" is a required property"), "{error}");
}

#[test]
fn without_a_schema_any_object_will_do_and_nothing_else() {
    let any = manifest("");
    assert!(schema(&any).unwrap().is_none());
    assert_eq!(checked(&any, Some(&json!({"x": [1]}))).unwrap(), json!({"x": [1]}));
    for other in [json!(null), json!([]), json!("{}"), json!(1)] {
        assert!(checked(&any, Some(&other)).unwrap_err().contains("not an object"), "{other}");
    }
}

#[test]
fn settings_are_bounded_in_length_depth_and_work() {
    let long = json!({"x": "a".repeat(MAX_SETTINGS_BYTES)});
    assert!(checked(&manifest(""), Some(&long)).unwrap_err().contains("the limit is 65536"));
    let deep = (0..100).fold(json!({}), |inner, _| json!({ "x": inner }));
    assert!(checked(&manifest(""), Some(&deep)).unwrap_err().contains("nested deeper"));
    let many = json!({"x": vec![1; 30_000]});
    assert!(checked(&manifest(""), Some(&many)).is_ok());
    let wide = format!("[settings]\nenum = [{}]", "0,".repeat(2000));
    assert!(checked(&manifest(&wide), Some(&many)).unwrap_err().contains("too many to check"));
}

#[test]
fn a_flood_of_mistakes_is_cut_short() {
    let text = manifest("[settings.properties.x.items]\ntype = \"string\"\nmaxLength = 1");
    let error = checked(&text, Some(&json!({"x": vec![7; 1000]}))).unwrap_err();
    assert!(error.contains("and 968 more"), "{error}");
    let long = checked(&text, Some(&json!({"x": ["é".repeat(20_000)]}))).unwrap_err();
    assert!(long.len() < 500, "{long}");
}

#[rstest::rstest]
#[case::not_valid("properties.k.type = \"nummer\"", "is not valid: /properties/k/type")]
#[case::not_finite("minimum = nan", "is not valid: /minimum")]
#[case::bad_pattern("pattern = \"(\"", "is not valid: /pattern")]
#[case::looking_around("pattern = \"(?=a)\"", "is not valid: /pattern")]
#[case::huge_pattern("pattern = \"(a{1000}){1000}\"", "is not valid: /pattern")]
#[case::http("\"$ref\" = \"https://example.com/schema.json\"", "refers to \"https://example.com")]
#[case::file("properties.k.\"$ref\" = \"file:///etc/passwd\"", "refer to nothing but its own parts")]
#[case::whole("properties.k.\"$ref\" = \"#\"", "refers to \"#\"")]
#[case::missing("properties.k.\"$ref\" = \"#/$defs/k\"", "which is not there")]
#[case::itself(
    "\"$defs\".a.allOf = [{ \"$ref\" = \"#/$defs/a\" }]",
    "refers to itself through \"#/$defs/a\""
)]
#[case::base("properties.k.\"$id\" = \"https://example.com/\"", "uses \"$id\"")]
#[case::dynamic("\"$dynamicRef\" = \"#x\"", "uses \"$dynamicRef\"")]
#[case::version("\"$schema\" = \"http://json-schema.org/draft-04/schema#\"", "another version")]
#[case::unevaluated("unevaluatedProperties = false", "additionalProperties")]
fn a_schema_that_will_not_do_is_refused_with_what_to_change(#[case] line: &str, #[case] says: &str) {
    let error = schema(&manifest(&format!("[settings]\n{line}"))).unwrap_err();
    assert!(error.starts_with("settings schema of \"r\""), "{error}");
    assert!(error.contains(says), "{error}");
}

#[test]
fn what_only_looks_like_a_keyword_is_data_or_a_name() {
    let text =
        "[settings]\nproperties.\"$id\".type = \"string\"\nproperties.\"$ref\".default.\"$ref\" = \"x\"";
    assert!(schema(&manifest(text)).is_ok());
    assert!(checked(&manifest(text), Some(&json!({"$id": 1}))).unwrap_err().contains("/$id: 1"));
}

/// Each part refers twice to the next.
fn doubling(levels: usize) -> String {
    let part = |level: usize| {
        let next = format!("{{ \"$ref\" = \"#/$defs/p{}\" }}", level + 1);
        format!("[settings.\"$defs\".p{level}]\nallOf = [{next}, {next}]\n")
    };
    let parts: String = (0..levels).map(part).collect();
    format!("{parts}[settings.\"$defs\".p{levels}]\ntype = \"string\"\n")
}

#[test]
fn a_schema_that_grows_without_end_is_refused_at_once() {
    let began = Instant::now();
    let error = schema(&manifest(&doubling(14))).unwrap_err();
    assert!(error.contains("too large with all that it refers to"), "{error}");
    let chain =
        (0..200).map(|n| format!("[settings.\"$defs\".p{n}]\nnot.\"$ref\" = \"#/$defs/p{}\"\n", n + 1));
    let chain = chain.collect::<String>() + "[settings.\"$defs\".p200]\n";
    assert!(schema(&manifest(&chain)).unwrap_err().contains("nested deeper"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn the_deepest_schema_fits_the_stack_of_an_ordinary_thread() {
    let mut deepest = (0..200).filter_map(|depth| {
        let text = format!("[settings]\n{} = true", vec!["not"; depth + 1].join("."));
        let parsed = manifest::parse(&format!("name = \"r\"\nversion = \"1.0.0\"\nkind = \"rank\"\n{text}"));
        let manifest = parsed.ok()?;
        schema(&manifest).ok().map(|_| (depth, checked(&manifest, Some(&json!({}))).is_ok()))
    });
    let (depth, _) = deepest.next_back().unwrap();
    assert!((50..MAX_DEPTH).contains(&depth), "{depth}");
}

#[test]
fn the_worst_that_is_let_through_ends_soon() {
    let pattern =
        "properties.x.allOf = [".to_owned() + &"{ pattern = \"(a|b)*a(a|b){150}c\" },".repeat(32) + "]";
    let patterns = manifest(&format!("[settings]\n{pattern}"));
    let text: String =
        (0..60_000_u32).map(|n| if n.wrapping_mul(2_654_435_761) >> 31 == 0 { 'a' } else { 'b' }).collect();
    let began = Instant::now();
    assert!(checked(&patterns, Some(&json!({ "x": text }))).is_err());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    let began = Instant::now();
    let any = "{ anyOf = [{ type = \"string\" }, { type = \"null\" }] },".repeat(250);
    let choices = manifest(&format!("[settings]\nproperties.x.items.allOf = [{any}]"));
    assert!(checked(&choices, Some(&json!({ "x": vec![1; 500] }))).is_err());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
