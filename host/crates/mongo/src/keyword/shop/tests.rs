use super::*;
use crate::keyword::sought::{Key, Sought};

fn product(name: &str) -> ProductId {
    name.parse().unwrap()
}

fn term(text: &str) -> Key {
    Key::Term(text.into())
}

/// Rows of these products, which have some of the keys, all in the text.
fn rows(keys: &[Key], has: &[(&str, &[&str])]) -> Rows {
    let places = keys.iter().map(|key| {
        let with = (0..).zip(has).filter(|(_, (_, has))| has.contains(&key.text()));
        with.map(|(row, _)| (row, false)).collect()
    });
    Rows { products: has.iter().map(|(name, _)| (product(name), 0)).collect(), places: places.collect() }
}

/// A shop whose lists of these terms reach to a version.
fn shop(terms: &[&str], has: &[(&str, &[&str])], version: i64) -> Shop {
    let mut shop = Shop::default();
    put(&mut shop, terms, has, version);
    shop
}

fn put(shop: &mut Shop, terms: &[&str], has: &[(&str, &[&str])], version: i64) {
    let keys: Vec<_> = terms.iter().map(|text| term(text)).collect();
    let rows = rows(&keys, has);
    shop.put(keys, rows, version);
}

/// Reads lists on: these changed, and those that are listed have this now.
fn read_on(shop: &mut Shop, terms: &[&str], changed: &[&str], has: &[(&str, &[&str])], version: i64) {
    let keys: Vec<_> = terms.iter().map(|text| term(text)).collect();
    let lacking = shop.lacking(&keys, version);
    assert_eq!((&lacking.whole, &lacking.behind), (&Vec::new(), &keys));
    let rows = rows(&keys, has);
    shop.read_on(
        &lacking,
        Changed { products: changed.iter().map(|name| product(name)).collect(), rows },
        version,
    );
    assert!(shop.lacking(&keys, version).is_empty());
}

fn seen(version: i64, age: i64, deleted: &[&str]) -> Seen {
    Seen { version, age, deleted: deleted.iter().map(|name| product(name)).collect() }
}

/// The products of a list, by number.
fn found(shop: &Shop, text: &str) -> Vec<String> {
    let sought = [Sought { keys: vec![term(text)], word: 0, in_name: 3.0, in_text: 1.0 }];
    let phrases = shop.phrases(&sought);
    let named = |posting: &Posting| shop.product(posting.number()).0.to_string();
    phrases.iter().flat_map(|phrase| phrase.postings.iter()).map(named).collect()
}

#[test]
fn a_list_is_read_on_from_where_it_ends() {
    let mut shop = shop(&["shoe", "hat"], &[("a", &["shoe"]), ("b", &["shoe", "hat"])], 3);
    read_on(&mut shop, &["shoe"], &["c"], &[("c", &["shoe"])], 4);
    assert_eq!(found(&shop, "shoe"), ["a", "b", "c"]);
    let lacking = shop.lacking(&[term("shoe"), term("hat"), term("bag")], 4);
    assert_eq!(lacking, Lacking { whole: vec![term("bag")], behind: vec![term("hat")], after: 3 });
    let far = shop.lacking(&[term("shoe"), term("hat")], 1004);
    assert_eq!(far, Lacking { whole: vec![term("hat")], behind: vec![term("shoe")], after: 4 });
}

#[test]
fn a_product_whose_words_changed_is_in_the_lists_of_what_it_says_now() {
    let mut shop = shop(&["shoe", "hat"], &[("a", &["shoe"]), ("b", &["shoe"])], 2);
    read_on(&mut shop, &["shoe", "hat"], &["a"], &[("a", &["hat"])], 3);
    assert_eq!((found(&shop, "shoe"), found(&shop, "hat")), (vec!["b".to_owned()], vec!["a".to_owned()]));
    // Told again, and of none of the words any more.
    read_on(&mut shop, &["shoe", "hat"], &["a", "b", "unknown"], &[("b", &["shoe"])], 4);
    assert_eq!((found(&shop, "shoe"), found(&shop, "hat")), (vec!["b".to_owned()], vec![]));
}

#[test]
fn what_an_earlier_search_read_changes_no_list_that_is_further() {
    let mut shop = shop(&["shoe"], &[("a", &["shoe"])], 2);
    let (keys, earlier) = ([term("shoe")], shop.lacking(&[term("shoe")], 3));
    read_on(&mut shop, &["shoe"], &["a", "b"], &[("b", &["shoe"])], 4);
    let late = Changed { products: vec![product("a")], rows: rows(&keys, &[("a", &["shoe"])]) };
    shop.read_on(&earlier, late, 3);
    put(&mut shop, &["shoe"], &[("a", &["shoe"])], 3);
    assert_eq!(found(&shop, "shoe"), ["b"]);
}

#[test]
fn what_was_deleted_is_in_no_list_and_may_come_again() {
    let mut shop = shop(&["shoe", "hat"], &[("a", &["shoe", "hat"]), ("b", &["shoe"])], 2);
    let now = seen(3, 1, &["a"]);
    assert_eq!(shop.standing(&now), Standing::Lost);
    assert_eq!(shop.catch_up(&now), Standing::Level);
    assert_eq!((found(&shop, "shoe"), found(&shop, "hat")), (vec!["b".to_owned()], vec![]));
    read_on(&mut shop, &["shoe"], &["a"], &[("a", &["shoe"])], 4);
    assert_eq!(found(&shop, "shoe"), ["a", "b"]);
    assert_eq!(shop.standing(&seen(2, 0, &[])), Standing::Ahead);
}

#[test]
fn more_deletions_than_are_told_leave_nothing_to_use() {
    let mut shop = shop(&["shoe"], &[("a", &["shoe"]), ("b", &["shoe"])], 2);
    assert_eq!(shop.catch_up(&seen(4, 2, &["a", "b"])), Standing::Level);
    assert_eq!(shop.catch_up(&seen(9, 5, &["c", "d"])), Standing::Lost);
    assert_eq!(shop.catch_up(&seen(9, 3, &[])), Standing::Lost);
}

#[test]
fn a_shop_most_of_whose_products_are_gone_is_lost() {
    let names: Vec<_> = (0..MOST_GONE + 1).map(|n| format!("p{n}")).collect();
    let has: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), ["shoe"].as_slice())).collect();
    let mut shop = shop(&["shoe"], &has, 1);
    let last: Vec<_> = names.iter().map(String::as_str).collect();
    let age = last.len() as i64;
    assert_eq!(shop.catch_up(&seen(2, age - 1, &last[1..])), Standing::Level);
    assert_eq!(shop.catch_up(&seen(3, age, &last[..1])), Standing::Lost);
}

#[test]
fn lists_that_were_not_asked_for_the_longest_go_first() {
    let terms = ["a", "b", "c", "d"];
    let mut shop = shop(&terms, &[("p", &terms)], 1);
    let each = shop.size().1 / 4;
    for text in ["b", "c", "d", "a"] {
        assert_eq!(found(&shop, text), ["p"]);
    }
    shop.shrink(4 * each);
    assert_eq!(shop.lists.len(), 4);
    shop.shrink(4 * each - 1);
    assert_eq!(found(&shop, "a"), ["p"]);
    assert!(found(&shop, "b").is_empty() && found(&shop, "d").is_empty());
    assert_eq!(shop.size(), (1, each));
}
