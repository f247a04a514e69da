//! The other terms that a product of a file is sold on, as an export tells them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use taja_catalog::{
    Details, EffectKey, Failure, Offer,
    product::{MAX_LIST_ENTRIES, add_offer},
};

/// What tells one offer from another; which it is and since when is each service's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    name: String,
    price: f64,
    currency: Option<String>,
    sku: Option<String>,
    stock: Option<u32>,
    color: Option<String>,
    #[serde(default)]
    sizes: Vec<String>,
}

/// What an export tells of offers.
pub fn told(offers: &[Offer]) -> Value {
    let told = offers.iter().map(|offer| {
        let mut told = json!(offer);
        if let Some(told) = told.as_object_mut() {
            told.retain(|name, _| name != "id" && name != "added_at");
        }
        told
    });
    told.collect()
}

/// The offers of a row, which a table tells as the text of a list.
pub fn read(told: Option<Value>, effect: &EffectKey) -> Result<Vec<Offer>, Failure> {
    let wrong = |problem: String| Failure::client("field_invalid", format!("offers: {problem}"));
    let told: Vec<Terms> = match told {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(&text),
        Some(list) => serde_json::from_value(list),
    }
    .map_err(|error| wrong(format!("is no list of offers: {error}")))?;
    if told.len() > MAX_LIST_ENTRIES {
        return Err(wrong(format!("has more than {MAX_LIST_ENTRIES} entries")));
    }
    let mut offers = Vec::with_capacity(told.len());
    for (index, terms) in told.into_iter().enumerate() {
        let Terms { name, price, currency, sku, stock, color, sizes } = terms;
        let details = Details { name, price, currency, sku, stock, color, sizes, ..Details::default() };
        details
            .check()
            .map_err(|invalid| wrong(format!("entry {index} {}: {}", invalid.field, invalid.problem)))?;
        let id = format!("{effect}_{index}").parse();
        let id = id.map_err(|_| Failure::host("import_broken", "an offer has no identifier"))?;
        add_offer(&mut offers, Offer::of(id, &details, Timestamp::now()));
    }
    Ok(offers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(told: Value) -> Result<Vec<Offer>, Failure> {
        read(Some(told), &"job_7".parse().unwrap())
    }

    #[test]
    fn what_an_export_tells_is_read_again_from_a_list_or_its_text() {
        let list = json!([{"name": "used", "price": 2.0, "sku": "8", "sizes": ["S"]}, {"name": "new", "price": 3.0}]);
        for told in [list.clone(), list.to_string().into()] {
            let offers = offers(told).unwrap();
            assert_eq!(super::told(&offers), list);
            assert_eq!((offers[0].id.as_str(), offers[1].id.as_str()), ("job_7_0", "job_7_1"));
        }
        assert!(offers(Value::Null).unwrap().is_empty());
    }

    #[test]
    fn what_is_none_is_told() {
        for (told, says) in [
            (json!("cheap"), "no list"),
            (json!({}), "no list"),
            (json!([{"name": "used"}]), "price"),
            (json!([{"name": "used", "price": 2, "id": "mine"}]), "unknown field"),
            (json!([{"name": "used", "price": 2}, {"name": " ", "price": 2}]), "entry 1 name: is empty"),
            (json!([{"name": "used", "price": -2}]), "is negative"),
            (json!(vec![json!({"name": "used", "price": 2}); MAX_LIST_ENTRIES + 1]), "more than"),
        ] {
            let failure = offers(told).unwrap_err();
            assert!(failure.message.contains(says), "{}", failure.message);
        }
    }
}
