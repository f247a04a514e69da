use super::*;
use crate::keyword::register;

/// Rows by number, each with one text.
fn index(rows: &[(u32, &str)]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    let sql = "CREATE VIRTUAL TABLE words USING fts5 (tenant, name, text);
        CREATE TABLE products (seq INTEGER PRIMARY KEY);
        CREATE TABLE words_age (age INTEGER);
        INSERT INTO words_age VALUES (0)";
    connection.execute_batch(sql).unwrap();
    rows.iter().for_each(|(number, text)| add(&connection, *number, text));
    connection
}

fn add(connection: &Connection, number: u32, text: &str) {
    connection.execute("INSERT INTO products VALUES (?1)", [number]).unwrap();
    let sql = "INSERT INTO words (rowid, tenant, name, text) VALUES (?1, 'x', '', ?2)";
    connection.execute(sql, (number, text)).unwrap();
}

fn snapshot(connection: &Connection) -> Snapshot {
    Snapshot::read(connection, "tenant : x").unwrap().unwrap()
}

fn products(rows: &[Posting]) -> Vec<u32> {
    rows.iter().map(|row| row.product).collect()
}

/// What a search that begins now finds.
fn found(lists: &Lists, connection: &Connection, word: &str) -> Vec<u32> {
    products(&lists.begin(snapshot(connection)).rows(connection, word).unwrap())
}

#[test]
fn a_list_is_read_on_when_rows_have_come() {
    let connection = index(&[(1, "shoe"), (2, "hat")]);
    let lists = Lists::default();
    assert_eq!(found(&lists, &connection, "shoe"), [1]);
    add(&connection, 3, "shoe");
    add(&connection, 4, "hat");
    assert_eq!(found(&lists, &connection, "shoe"), [1, 3]);
    assert_eq!(found(&lists, &connection, "shoe"), [1, 3]);
    assert_eq!(found(&lists, &connection, "hat"), [2, 4]);
}

#[test]
fn an_earlier_search_does_not_see_what_a_later_one_read() {
    let connection = index(&[(1, "shoe")]);
    let lists = Lists::default();
    let earlier = lists.begin(snapshot(&connection));
    add(&connection, 2, "shoe");
    assert_eq!(found(&lists, &connection, "shoe"), [1, 2]);
    assert_eq!(products(&earlier.rows(&connection, "shoe").unwrap()), [1]);
    assert_eq!(found(&lists, &connection, "shoe"), [1, 2]);
}

#[test]
fn what_products_are_called_is_known_to_their_shop_and_forgotten_with_the_lists() {
    let connection = index(&[(1, "shoe"), (2, "hat")]);
    let lists = Lists::default();
    let (shop, other): (TenantId, TenantId) = ("shop".parse().unwrap(), "other".parse().unwrap());
    let named: Ids = [(1, "one".parse().unwrap())].into_iter().collect();
    lists.begin(snapshot(&connection)).learn(&shop, &named);
    assert_eq!(lists.begin(snapshot(&connection)).ids(&shop, [1, 2]), (named, vec![2]));
    assert_eq!(lists.begin(snapshot(&connection)).ids(&other, [1]), (Ids::default(), vec![1]));
    connection.execute("DELETE FROM words WHERE rowid = 2", []).unwrap();
    assert_eq!(lists.begin(snapshot(&connection)).ids(&shop, [1]), (Ids::default(), vec![1]));
}

#[test]
fn a_row_that_went_or_changed_makes_everything_be_read_again() {
    for change in
        ["DELETE FROM words WHERE rowid = 2", "UPDATE words SET text = 'a longer text' WHERE rowid = 2"]
    {
        let connection = index(&[(1, "shoe"), (2, "shoe"), (3, "hat")]);
        let lists = Lists::default();
        let earlier = lists.begin(snapshot(&connection));
        assert_eq!(found(&lists, &connection, "shoe"), [1, 2]);
        connection.execute_batch(change).unwrap();
        assert_eq!(found(&lists, &connection, "shoe"), [1], "{change}");
        // What a search keeps that began before is not taken for the new.
        earlier.rows(&connection, "hat").unwrap();
        assert!(!lists.kept.lock().lists.contains_key("hat"));
    }
}

#[test]
fn a_row_whose_words_were_changed_for_as_many_others_is_read_again() {
    let connection = index(&[(1, "shoe"), (2, "hat")]);
    let lists = Lists::default();
    let earlier = lists.begin(snapshot(&connection));
    assert_eq!(found(&lists, &connection, "hat"), [2]);
    let change = "UPDATE words_age SET age = age + 1; UPDATE words SET text = 'hat' WHERE rowid = 1";
    connection.execute_batch(change).unwrap();
    assert_eq!(found(&lists, &connection, "hat"), [1, 2]);
    earlier.rows(&connection, "shoe").unwrap();
    assert!(!lists.kept.lock().lists.contains_key("shoe"));
}

#[test]
fn what_was_not_asked_for_the_longest_goes_first() {
    let connection = index(&[(1, "a b c d e f"), (2, "a b c d e f")]);
    let each = LIST_BYTES + 1 + 2 * size_of::<Posting>();
    let lists = Lists { most_bytes: 5 * each, ..Lists::default() };
    for word in ["a", "b", "c", "d", "e", "a", "f"] {
        assert_eq!(found(&lists, &connection, word), [1, 2]);
    }
    let kept = lists.kept.lock();
    let mut words: Vec<_> = kept.lists.keys().cloned().collect();
    words.sort();
    assert_eq!(words, ["a", "f"]);
    assert_eq!(kept.bytes, 2 * each);
}

#[test]
fn a_list_that_would_push_out_the_others_is_not_kept() {
    let connection = index(&[(1, "a b"), (2, "a"), (3, "a")]);
    let lists = Lists { most_bytes: 2 * (LIST_BYTES + 1 + 2 * size_of::<Posting>()), ..Lists::default() };
    assert_eq!(found(&lists, &connection, "b"), [1]);
    assert_eq!(found(&lists, &connection, "a"), [1, 2, 3]);
    assert_eq!(lists.kept.lock().lists.keys().collect::<Vec<_>>(), ["b"]);
}
