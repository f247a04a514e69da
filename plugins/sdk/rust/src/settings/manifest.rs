//! Holds a policy's code against its `plugin.toml`: the schema that operators read must be the one the code obeys.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Panics where manifest and code disagree about a name, a default, a type or a bound.
///
/// `package` and `version` are those of the crate; `parse` reads settings, its error is the text a tenant sees.
pub fn assert_agrees<S: PartialEq + std::fmt::Debug>(
    manifest: &str,
    (package, version): (&str, &str),
    parse: impl Fn(&str) -> Result<S, String>,
) {
    let manifest: Value = toml::from_str(manifest).expect("the manifest is TOML");
    assert_eq!(manifest["name"], package);
    assert_eq!(manifest["version"], version);
    let schema = &manifest["settings"];
    assert_eq!(schema["additionalProperties"], false, "an unknown setting must be refused");
    let properties = schema["properties"].as_object().expect("the schema has properties");

    let defaults: Map<_, _> =
        properties.iter().map(|(name, property)| (name.clone(), property["default"].clone())).collect();
    let unset = parse("{}").expect("no settings are fine");
    assert_eq!(parse(&Value::Object(defaults).to_string()).expect("defaults are fine"), unset);

    let known = properties.keys().map(String::as_str).collect();
    assert_eq!(names_in(&parse(r#"{"no such setting": 1}"#).expect_err("it is unknown")), known);
    for (name, property) in properties {
        assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} is described");
        for value in acceptable(property) {
            let accepted = parse(&json!({ name: value }).to_string());
            assert!(accepted.is_ok(), "{name} = {value} was refused: {accepted:?}");
        }
        for value in unacceptable(property) {
            let error = parse(&json!({ name: value }).to_string());
            let error = error.expect_err(&format!("{name} = {value} must be refused"));
            assert!(error.contains(name.as_str()), "{error} names {name}");
        }
    }
}

/// The names in "setting x is not known; there are a, b".
fn names_in(error: &str) -> BTreeSet<&str> {
    let (_, names) = error.split_once("there are ").expect("the error lists the settings");
    names.split(", ").collect()
}

fn acceptable(property: &Value) -> Vec<Value> {
    let words = property["enum"].as_array().cloned().unwrap_or_default();
    let flags = if property["type"] == "boolean" { vec![json!(true), json!(false)] } else { Vec::new() };
    let bounds = ["minimum", "maximum"].iter().filter_map(|bound| property.get(*bound).cloned());
    words.into_iter().chain(flags).chain(bounds).collect()
}

fn unacceptable(property: &Value) -> Vec<Value> {
    let bound = |name: &str| property[name].as_f64().expect("a number has bounds");
    let mut values = vec![json!(null), json!({})];
    if property["type"] != "array" {
        values.push(json!([]));
    }
    match property["type"].as_str() {
        Some("number") => values.extend([json!("1"), json!(true)]),
        Some("integer") => values.extend([json!("1"), json!(bound("minimum") + 0.5)]),
        Some("boolean") => values.extend([json!(0), json!("true")]),
        Some("string") => values.push(json!(1)),
        Some("array") => values.extend([json!("1"), json!([null])]),
        other => panic!("a type the check does not know: {other:?}"),
    }
    if matches!(property["type"].as_str(), Some("number" | "integer")) {
        values.extend([json!(bound("minimum") - 1.0), json!(bound("maximum") + 1.0)]);
    }
    if property.get("enum").is_some() {
        values.push(json!("no such word"));
    }
    if let Some(most) = property["maxItems"].as_u64() {
        let entry = property["default"].get(0).cloned().unwrap_or_else(|| json!({}));
        values.push(json!(vec![entry; most as usize + 1]));
    }
    values
}
