use super::*;
use crate::code::lines_of;

const DIMENSION: usize = 100;

fn row(n: usize) -> Row {
    let mut values = vec![0.0; DIMENSION];
    values[n % DIMENSION] = 1.0;
    Row::of(&values)
}

fn id(n: usize) -> ProductId {
    format!("p{n}").parse().unwrap()
}

fn put(shelf: &mut Shelf, n: usize) {
    shelf.put(Label { product: id(n), image: ImageHash::of(&n.to_le_bytes()) }, &row(n));
}

fn filled(rows: usize) -> Shelf {
    let mut shelf = Shelf::new(lines_of(DIMENSION));
    (0..rows).for_each(|n| put(&mut shelf, n));
    shelf
}

fn assert_listed(shelf: &Shelf) {
    for (image, slot) in &shelf.places {
        let label = shelf.rows.label(*slot).expect("a listed row is somebody's");
        assert_eq!(label.image, *image);
        assert!(shelf.products[&label.product].contains(slot));
    }
    assert_eq!(shelf.products.values().map(Vec::len).sum::<usize>(), shelf.len());
}

#[test]
fn removed_rows_give_their_memory_back_and_the_others_are_found_where_they_went() {
    let mut shelf = filled(10 * SEGMENT);
    for n in (0..10 * SEGMENT).filter(|n| n % 5 != 0) {
        shelf.remove(&id(n));
        assert!(shelf.holes.len() < SEGMENT);
    }
    assert_eq!(shelf.len(), 2 * SEGMENT);
    assert_listed(&shelf);
    assert!(shelf.rows.segments() <= 3, "{} segments for two", shelf.rows.segments());
}

#[test]
fn a_view_does_not_see_later_writes() {
    let mut shelf = filled(2);
    let before = shelf.view();
    put(&mut shelf, 2);
    shelf.remove(&id(1));
    assert_eq!((before.rows.slots(), before.len), (2, 2));
    assert_eq!(before.rows.label(1).unwrap().product, id(1));
}

#[test]
fn under_a_graph_a_slot_is_filled_again_only_when_it_is_buried() {
    let mut shelf = filled(10);
    shelf.begin_graph((0..10).collect());
    shelf.linked(10, 10);
    shelf.remove(&id(3));
    put(&mut shelf, 10);
    assert_eq!((shelf.rows.slots(), shelf.dead(), &**shelf.pending), (11, &[3][..], &[10][..]));
    shelf.buried(1, &[10, 7]);
    put(&mut shelf, 11);
    assert_eq!((shelf.rows.slots(), &**shelf.pending), (11, &[10, 7, 3][..]));
    assert_listed(&shelf);
}

#[test]
fn a_graph_that_begins_knows_each_row_once_and_no_hole() {
    let mut shelf = filled(10);
    shelf.remove(&id(3));
    // Two slots came, or two went, after the order was made.
    shelf.begin_graph((0..8).collect());
    assert_eq!(**shelf.pending, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    shelf.drop_graph();
    shelf.begin_graph((0..12).collect());
    assert_eq!(**shelf.pending, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn under_a_graph_another_vector_takes_another_slot_and_another_owner_does_not() {
    let mut shelf = filled(10);
    shelf.begin_graph((0..10).collect());
    shelf.linked(10, 10);
    let image = ImageHash::of(&4_usize.to_le_bytes());
    shelf.put(Label { product: id(77), image }, &row(4));
    assert!(shelf.dead().is_empty() && shelf.pending.is_empty());
    shelf.put(Label { product: id(77), image }, &row(5));
    assert_eq!((shelf.dead(), &**shelf.pending), (&[4][..], &[10][..]));
    assert_eq!(shelf.len(), 10);
    assert_listed(&shelf);
    shelf.drop_graph();
    assert_eq!(shelf.holes, [4]);
}
