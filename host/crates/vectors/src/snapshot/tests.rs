use futures::executor::block_on;
use taja_catalog::{
    Embedding, ImageHash,
    port::{VectorIndex, VectorRow},
};

use super::*;
use crate::{
    graph::{LEVELS, slots_on},
    shelf::View,
};

fn row(n: u32) -> VectorRow {
    let values = (0..40).map(|at| ((n * 40 + at) as f32 * 0.7).sin() + (n as f32 * 0.3).cos()).collect();
    VectorRow {
        tenant: "shop".parse().unwrap(),
        product: format!("p{n}").parse().unwrap(),
        image: ImageHash::of(&n.to_le_bytes()),
        embedding: Embedding::normalised(values, 40).unwrap(),
    }
}

fn view(index: &Index) -> View {
    index.inner.shops()[0].1.read().view()
}

#[test]
fn a_graph_is_taken_back_as_it_was_and_not_grown_again() {
    let index = Index::walking_from(40, 100);
    block_on(index.insert((0..3000).map(row).collect())).unwrap();
    index.settle();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.snapshot");
    index.save(&path, b"").unwrap();
    let (before, after) = (view(&index), view(&Index::open(&path, 40, b"").unwrap()));
    assert!(after.pending.is_empty());
    let (before, after) = (before.graph.unwrap(), after.graph.unwrap());
    assert!(after.width() > 0);
    assert_eq!((after.width_above(), after.width()), (before.width_above(), before.width()));
    let (before, after) = (before.links(), after.links());
    for level in 0..LEVELS {
        for slot in slots_on(level, 3000) {
            assert!(before.of(level, slot).eq(after.of(level, slot)), "the links of {slot} are others");
        }
    }
}
