//! What is sent of a product's details, as JSON: all of it, or a merge patch.

use axum::{
    extract::Request,
    http::{StatusCode, header},
};
use serde_json::{Map, Value, json};
use taja_catalog::Details;
use utoipa::ToSchema;

use super::super::{FieldProblem, Problem};

/// Longest body, bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// What every product says, as a form that adds one does.
const REQUIRED: [&str; 3] = ["name", "price", "description"];

/// What a shop says of a product.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub struct DetailsBody {
    /// Display name.
    name: String,
    /// Price, at least 0.
    price: f64,
    /// Free text.
    description: String,
    /// ISO 4217 code.
    currency: Option<String>,
    /// Category.
    category: Option<String>,
    /// The shop's own article number.
    sku: Option<String>,
    /// Pieces in stock.
    stock: Option<u32>,
    /// Weight in kilograms.
    weight_kg: Option<f64>,
    /// Colour.
    color: Option<String>,
    /// Sizes on offer.
    sizes: Option<Vec<String>>,
    /// Selling points.
    key_features: Option<Vec<String>>,
    /// What variants of one product have in common, such as one shirt in several sizes.
    item_group_id: Option<String>,
    /// Texts, numbers, booleans and lists of texts. A text such as `2026-03-01` or `2026-03-01T12:30:00Z` is a date, too.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Value>,
}

/// Receives a JSON object of one of these types.
pub(super) async fn receive(request: Request, types: &[&str]) -> Result<Map<String, Value>, Problem> {
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let sent = sent.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !types.iter().any(|wanted| wanted.eq_ignore_ascii_case(sent)) {
        let detail = format!("send {}", types.join(" or "));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_unsupported", detail));
    }
    let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES).await;
    let bytes = bytes.map_err(|_| Problem::too_large("a product's details", MAX_BODY_BYTES as u64))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "json_malformed", error.to_string()))
}

/// All of a product's details. A field that is null is not there.
pub(super) fn details(mut sent: Map<String, Value>) -> Result<Details, Problem> {
    sent.retain(|_, value| !value.is_null());
    let missing = REQUIRED.iter().filter(|name| !sent.contains_key(**name));
    let mut mistakes: Vec<_> = missing.map(|name| FieldProblem::new(name, "is missing")).collect();
    // Alone, each tells what is wrong with it.
    mistakes.extend(sent.iter().filter_map(|(name, value)| {
        let error = serde_json::from_value::<Details>(json!({ name: value })).err()?;
        let known = Details::FIELDS.contains(&name.as_str()) || name == "attributes";
        let detail = if known { error.to_string() } else { "is no field of a product".to_owned() };
        Some(FieldProblem::new(&escaped(name), detail))
    }));
    if !mistakes.is_empty() {
        return Err(Problem::fields(mistakes));
    }
    let details: Details =
        serde_json::from_value(sent.into()).map_err(|error| Problem::field("", error.to_string()))?;
    details.check().map_err(|invalid| Problem::field(&invalid.field.replace('.', "/"), invalid.problem))?;
    Ok(details)
}

/// A name as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// These details after a merge patch.
pub(super) fn patched(details: &Details, patch: &Map<String, Value>) -> Result<Details, Problem> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(details) else {
        return Err(Problem::internal(&"details are no JSON object"));
    };
    merge(&mut all, patch);
    let details = self::details(all)?;
    // Many small patches make no larger product than one body does.
    match serde_json::to_vec(&details) {
        Ok(json) if json.len() <= MAX_BODY_BYTES => Ok(details),
        _ => Err(Problem::too_large("what the product would say", MAX_BODY_BYTES as u64)),
    }
}

/// RFC 7396. A body of a megabyte that was parsed is nested 128 deep at most.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match change {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(change) => {
                let place = target.entry(name.clone()).or_insert(Value::Null);
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                if let Value::Object(place) = place {
                    merge(place, change);
                }
            }
            value => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("{value} is no object") };
        object
    }

    /// The examples of the RFC, appendix A, whose targets and patches are objects.
    #[rstest::rstest]
    #[case(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}))]
    #[case(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}))]
    #[case(json!({"a": "b"}), json!({"a": null}), json!({}))]
    #[case(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}))]
    #[case(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}))]
    #[case(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}))]
    #[case(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}))]
    #[case(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}))]
    #[case(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}))]
    #[case(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}))]
    fn patches_are_merged_as_the_rfc_says(
        #[case] target: Value,
        #[case] patch: Value,
        #[case] result: Value,
    ) {
        let mut target = object(target);
        merge(&mut target, &object(patch));
        assert_eq!(Value::Object(target), result);
    }

    #[test]
    fn every_field_at_fault_is_named_at_once() {
        let sent = json!({"price": "cheap", "stock": -1, "smell": "roses", "sizes": null, "a/b": 1});
        let problem = details(object(sent)).unwrap_err();
        let mut pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/a~1b", "/description", "/name", "/price", "/smell", "/stock"]);
    }

    #[test]
    fn patches_do_not_make_a_product_larger_than_a_body() {
        let list: Vec<_> = (0..60).map(|n| format!("{n}{}", "x".repeat(16_000))).collect();
        let mut shoe = Details { name: "shoe".into(), ..Details::default() };
        shoe = patched(&shoe, &object(json!({ "attributes": { "a": list } }))).unwrap();
        assert_eq!(patched(&shoe, &object(json!({ "attributes": { "b": list } }))).unwrap_err().status, 413);
    }

    #[test]
    fn what_a_product_must_say_cannot_be_patched_away() {
        let shoe = Details { name: "shoe".into(), stock: Some(3), ..Details::default() };
        let patch = |patch: Value| patched(&shoe, &object(patch));
        assert_eq!(patch(json!({"stock": null, "price": 2})).unwrap().stock, None);
        assert_eq!(patch(json!({"name": null})).unwrap_err().errors[0].pointer, "/name");
        assert_eq!(patch(json!({"price": -1})).unwrap_err().errors[0].pointer, "/price");
        let nested = patch(json!({"attributes": {"deep": {"a": 1}}})).unwrap_err();
        assert_eq!(nested.errors[0].pointer, "/attributes/deep");
    }
}
