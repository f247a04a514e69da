//! Orders of small shops under rules.

use taja_plugin::testing::Sample;

use super::*;

/// Four products, found in the order in which they stand here.
fn shop() -> Sample {
    Sample::new(&["stock", "attributes.margin"], &settings::FIELDS)
        .product(
            "lamp",
            &[("stock", 0.0), ("attributes.margin", 0.9)],
            &[("sku", "L-1"), ("category", "lamps")],
        )
        .product("vase", &[("stock", 4.0), ("attributes.margin", 0.2)], &[("attributes.brand", "Acme")])
        .product("bowl", &[("attributes.margin", 0.4)], &[("attributes.brand", "Acme")])
        .product("chair", &[("stock", 1.0)], &[("category", "Outlet")])
        .cosines("text-vector", "text", &[("lamp", 0.4), ("vase", 0.3), ("bowl", 0.2), ("chair", 0.1)])
}

/// The order, and the notes of one product.
fn ranked(settings: &str, product: &str) -> (Vec<String>, String) {
    let shop = shop().settings(settings);
    let ranked = RankRules::rank(shop.candidates()).unwrap();
    let order = shop.order(&ranked).into_iter().map(str::to_owned).collect();
    (order, shop.note(&ranked, product).unwrap_or_default().to_owned())
}

#[test]
fn what_is_out_of_stock_stands_after_the_others_and_an_unknown_stock_is_one() {
    assert_eq!(ranked("{}", "lamp").0, ["vase", "bowl", "chair", "lamp"]);
    assert_eq!(ranked("{}", "lamp").1, "out of stock");
    let (order, note) = ranked(r#"{"in_stock_first": false}"#, "lamp");
    assert_eq!(
        (order, note.as_str()),
        (vec!["lamp".into(), "vase".into(), "bowl".into(), "chair".into()], "")
    );
}

#[test]
fn a_boost_multiplies_and_the_note_names_its_rule() {
    let settings = r#"{"boost": [
        {"name": "house brand", "field": "attributes.brand", "is": "ACME", "factor": 1.2},
        {"field": "category", "is": "outlet", "factor": 3}]}"#;
    let (order, note) = ranked(settings, "vase");
    assert_eq!(order, ["chair", "vase", "bowl", "lamp"]);
    assert_eq!(note, "boosted by house brand");
    assert_eq!(ranked(settings, "chair").1, "boosted by category is outlet");
}

#[test]
fn what_is_buried_stands_even_after_what_is_out_of_stock() {
    let settings = r#"{"bury": [{"name": "brands last", "field": "attributes.brand", "is": "acme"}]}"#;
    let (order, note) = ranked(settings, "bowl");
    assert_eq!(order, ["chair", "lamp", "vase", "bowl"]);
    assert_eq!(note, "buried by brands last");
}

#[test]
fn a_pin_beats_stock_and_burying_and_keeps_its_place() {
    let settings = r#"{"pin": [{"is": "L-1", "place": 2}], "bury": [{"is": "l-1"}]}"#;
    let (order, note) = ranked(settings, "lamp");
    assert_eq!(order, ["vase", "lamp", "bowl", "chair"]);
    assert_eq!(note, "out of stock; buried by sku is l-1; pinned to place 2 by sku is L-1");
}

#[test]
fn pins_of_one_place_follow_each_other_and_places_behind_the_end_are_the_end() {
    let settings = r#"{"pin": [
        {"field": "category", "is": "lamps", "place": 900},
        {"field": "category", "is": "outlet"},
        {"field": "attributes.brand", "is": "acme"}]}"#;
    assert_eq!(ranked(settings, "").0, ["chair", "vase", "bowl", "lamp"]);
}

#[test]
fn margin_can_outweigh_relevance() {
    assert_eq!(ranked(r#"{"margin_weight": 0.9}"#, "").0, ["bowl", "vase", "chair", "lamp"]);
}

#[test]
fn nothing_found_is_an_empty_answer() {
    let nothing = Sample::new(&["stock", "attributes.margin"], &settings::FIELDS);
    assert!(RankRules::rank(nothing.candidates()).unwrap().products.is_empty());
}
