use std::collections::HashSet;

use taja_catalog::ImageHash;

use super::*;
use crate::{
    code::{Query, Row, lines_of},
    kernel::Kernel,
    rows::{Label, Rows},
};

const DIMENSION: usize = 24;

fn vector(seed: usize) -> Vec<f32> {
    let mut state = seed as u64 * 2 + 1;
    let mut values: Vec<f32> = (0..DIMENSION)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    values
}

fn rows(count: usize) -> Rows {
    let mut rows = Rows::new(lines_of(DIMENSION));
    for n in 0..count {
        let label =
            Label { product: format!("p{n}").parse().unwrap(), image: ImageHash::of(&n.to_le_bytes()) };
        rows.push(label, &Row::of(&vector(n)));
    }
    rows
}

fn linked(rows: &Rows) -> Graph {
    let graph = Graph::new();
    let links = graph.links_for(rows.slots());
    let mut linker = Linker::new(Kernel::best(), &graph, rows, &links);
    (0..rows.slots() as u32).for_each(|slot| linker.link(slot));
    graph
}

/// The share of the ten nearest that walks find.
fn recall(rows: &Rows, graph: &Graph, admits: &dyn Fn(u32) -> bool) -> f64 {
    let links = graph.links();
    let mut hits = 0;
    for seed in 0..50 {
        let query = vector(1_000_000 + seed);
        let score = |slot: &u32| -> f32 {
            rows.decoded(*slot).iter().zip(&query).map(|(one, other)| one * other).sum()
        };
        let mut nearest: Vec<u32> = (0..rows.slots() as u32).filter(|slot| admits(*slot)).collect();
        nearest.sort_by(|one, other| score(other).total_cmp(&score(one)));
        let query = Query::of(&query);
        let mut walk = Walk::new(Kernel::best(), rows, &links);
        walk.descend(Target::Query(&query), 0, 16);
        assert!(walk.spread(Target::Query(&query), 0, 64, admits, usize::MAX));
        let met: HashSet<u32> = walk.met().iter().filter(|met| met.admitted).map(|met| met.slot).collect();
        assert!(met.iter().all(|slot| admits(*slot)));
        hits += nearest[..10].iter().filter(|slot| met.contains(slot)).count();
    }
    hits as f64 / 500.0
}

fn assert_lists_are_sound(rows: &Rows, links: &Links, gone: impl Fn(u32) -> bool) {
    for level in 0..LEVELS {
        for slot in slots_on(level, rows.slots()) {
            let list: Vec<u32> = links.of(level, slot).collect();
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len(), "{slot} is linked twice");
            for link in list {
                assert!(
                    link != slot && level_of(link) >= level && !gone(link),
                    "{slot} is linked with {link}"
                );
            }
        }
    }
}

#[test]
fn the_levels_of_a_slot_are_those_it_is_listed_on() {
    for slots in [0, 1, 2, 31, 32, 33, 1025, 5000] {
        for level in 0..LEVELS {
            let listed: Vec<u32> = slots_on(level, slots).collect();
            assert_eq!(listed.len(), nodes_on(level, slots));
            let expected = (0..slots as u32).filter(|slot| level_of(*slot) >= level);
            assert_eq!(listed, expected.collect::<Vec<_>>());
        }
    }
}

#[test]
fn walks_find_the_nearest_however_many_rows_there_are() {
    for count in [10, 64, 65, 300, 3000] {
        let rows = rows(count);
        let graph = linked(&rows);
        assert_lists_are_sound(&rows, &graph.links(), |_| false);
        let recall = recall(&rows, &graph, &|_| true);
        assert!(recall > 0.97, "{recall} of {count}");
    }
}

#[test]
fn walks_find_what_is_admitted_among_what_is_not() {
    let rows = rows(3000);
    let graph = linked(&rows);
    let recall = recall(&rows, &graph, &|slot| slot % 7 == 3);
    assert!(recall > 0.97, "{recall}");
}

#[test]
fn what_is_gone_is_led_around() {
    let mut rows = rows(3000);
    let graph = linked(&rows);
    let gone: Vec<u32> = (0..3000).filter(|slot| slot % 3 != 1).collect();
    gone.iter().for_each(|slot| rows.relabel(*slot, None));
    let links = graph.links();
    let mut linker = Linker::new(Kernel::best(), &graph, &rows, &links);
    let set = Slots::of(&gone);
    let alone: Vec<u32> = (0..3000).filter(|slot| linker.mend(*slot, &set)).collect();
    assert!(alone.iter().all(|slot| level_of(*slot) > 0), "{alone:?}");
    gone.iter().for_each(|slot| linker.bury(*slot));
    alone.iter().for_each(|slot| linker.link(*slot));
    assert_lists_are_sound(&rows, &links, |slot| set.has(slot));
    let recall = recall(&rows, &graph, &|slot| rows.label(slot).is_some());
    assert!(recall > 0.95, "{recall}");
}

#[test]
fn threads_that_link_at_the_same_time_leave_sound_lists() {
    let rows = rows(3000);
    let graph = Graph::new();
    let links = graph.links_for(rows.slots());
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let (graph, rows, links) = (&graph, &rows, &links);
            threads.spawn(move || {
                let mut linker = Linker::new(Kernel::best(), graph, rows, links);
                (0..3000).filter(|slot| slot % 4 == thread).for_each(|slot| linker.link(slot));
            });
        }
    });
    assert_lists_are_sound(&rows, &links, |_| false);
    let recall = recall(&rows, &graph, &|_| true);
    assert!(recall > 0.97, "{recall}");
}
